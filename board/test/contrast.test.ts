import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

type Colours = ReadonlyMap<string, string>;

/** The colours of a rule of the style sheet; the tests run beside it. */
function colours(selector: string): Colours {
  const sheet = readFileSync("css/tokens.css", "utf8");
  const rule = sheet.slice(sheet.indexOf(`${selector} {`)).split("}")[0] ?? "";
  return new Map([...rule.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, name = "", value = ""]) => [name, value]));
}

/** Relative luminance as WCAG 2 defines it. */
function luminance(colour: string): number {
  const part = (at: number) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

function contrast(one: string, other: string): number {
  const [a, b] = [luminance(one), luminance(other)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/** Texts, and what they stand on. */
const TEXTS: readonly [string, string][] = [
  ...["bg", "panel", "raised", "warn-bg", "alarm-bg"].map((ground): [string, string] => ["text", ground]),
  ...["bg", "panel", "raised"].map((ground): [string, string] => ["muted", ground]),
  ["accent", "bg"], ["accent", "panel"], ["on-accent", "accent"],
  ["ok", "bg"], ["ok", "panel"], ["warn", "panel"], ["alarm", "panel"], ["warn", "warn-bg"], ["alarm", "alarm-bg"],
  ["panel", "warn"], ["panel", "alarm"],
  ["on-cool", "heat-0"], ["on-cool", "heat-1"], ["on-cool", "heat-2"], ["on-heat", "heat-3"], ["on-heat", "heat-4"],
  ["on-hot", "heat-5"], ["on-hot", "heat-6"],
];

/** Bars and lines, which are no text: 3 is enough. */
const SHAPES = [1, 2, 3, 4, 5, 6, 7, 8].map((place): [string, string] => [`series-${place}`, "panel"]);

for (const selector of [":root", `:root[data-theme="dark"]`]) {
  test(`contrasts of ${selector}`, () => {
    const all = colours(selector);
    const least = (pairs: readonly [string, string][], bound: number) => {
      for (const [one, other] of pairs) {
        const [a, b] = [all.get(one), all.get(other)];
        assert.ok(a !== undefined && b !== undefined, `${one} and ${other} are colours`);
        assert.ok(contrast(a, b) >= bound, `${one} on ${other}: ${contrast(a, b).toFixed(2)}`);
      }
    };
    least(TEXTS, 4.5);
    least(SHAPES, 3);
  });
}

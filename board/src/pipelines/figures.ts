// A pipeline's figures, and what it does.
import { el, fillList, setAttribute, setText } from "../dom";
import { bytes, grouped, span, took } from "../format";
import { lang } from "../lang";
import type { Pipeline } from "../wire/pipelines";
import { say, sayHosts } from "../words";

type Level = "ok" | "quiet" | "warn" | "alarm";

const OF_PHASE: Readonly<Record<string, Level>> = {
  running: "ok",
  finished: "quiet",
  waiting: "warn",
  holding: "warn",
  held: "warn",
  stopped: "alarm",
  disabled: "alarm",
};

export function levelOfPhase(phase: string): Level {
  return Object.hasOwn(OF_PHASE, phase) ? (OF_PHASE[phase] ?? "quiet") : "quiet";
}

/** The phase, and what else is to be known at a glance. */
export function fillBadges(element: HTMLElement, pipeline: Pipeline): void {
  const badges: [Level, string][] = [[levelOfPhase(pipeline.phase), sayHosts(pipeline.phase)]];
  if (pipeline.onTrial) badges.push(["quiet", say("onTrial")]);
  if (pipeline.pinned) badges.push(["quiet", say("pinned")]);
  if (pipeline.refused !== null) badges.push(["warn", say("newestRefused")]);
  fillList(element, badges, () => el("li"), (badge, [level, text]) => {
    setAttribute(badge, "class", `state state-${level}`);
    setText(badge, text);
  });
}

/** Reasons why it isn't running, or doesn't run what it should. */
export function fillWhy(element: HTMLElement, { why, refused }: Pipeline): void {
  const reasons = [why, refused].filter((one) => one !== null && one !== "");
  setText(element, reasons.join("\n"));
  element.hidden = reasons.length === 0;
}

type Figure = readonly [name: string, value: string, level: Level];

export function figuresOf(pipeline: Pipeline, now: number): Figure[] {
  const figure = (name: string, value: number | null, show: (value: number) => string, level: Level = "ok"): Figure | null =>
    value === null ? null : [name, show(value), level];
  const bad = (value: number | null): Level => (value !== null && value > 0 ? "warn" : "ok");
  const all: (Figure | null)[] = [
    figure(say("rate"), pipeline.rate, (rate) => grouped(Math.round(rate))),
    figure(say("lag"), pipeline.lag, grouped),
    figure(say("batchTime"), pipeline.batch, took),
    figure(say("delay"), pipeline.delay, took),
    figure(say("groups"), pipeline.groups, grouped),
    figure(say("stateSize"), pipeline.stateBytes, bytes),
    figure(say("generation"), pipeline.generation, (generation) => `#${generation}`),
    figure(say("lastSwap"), pipeline.swappedAt, (at) => agoOf(now - at)),
    figure(say("rejected"), pipeline.rejected, grouped, bad(pipeline.rejected)),
    figure(say("deadLetters"), pipeline.deadLetters, grouped, bad(pipeline.deadLetters)),
  ];
  return all.filter((one) => one !== null);
}

function agoOf(ms: number): string {
  const text = span(ms, lang);
  return lang === "zh" ? text + say("ago") : `${text} ${say("ago")}`;
}

export function figuresElement(): HTMLElement {
  return el("dl", { class: "figures" });
}

export function fillFigures(element: HTMLElement, pipeline: Pipeline, now: number): void {
  fillList(element, figuresOf(pipeline, now), () => el("div", {}, el("dt"), el("dd")), (item, [name, value, level]) => {
    const [term, text] = item.children;
    if (term) setText(term, name);
    if (text) setText(text, value);
    setAttribute(item, "class", level === "ok" ? null : `at-${level}`);
  });
}

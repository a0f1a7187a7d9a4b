import { el, setAttribute, setText } from "../dom";
import { grouped } from "../format";
import { lang } from "../lang";
import type { Cell, Panel } from "../wire/board";
import { say } from "../words";
import { PROVINCES, provinceOf } from "./provinces";
import { dataOf, levelOf, numberOf } from "./series";
import { STEPS, stepOf } from "./steps";
import type { View } from "./view";

interface Tile {
  readonly element: HTMLElement;
  readonly value: HTMLElement;
}

/** A map of squares: a list that can be read as it stands. */
export function tilesView(): View {
  const tiles = new Map<string, Tile>(PROVINCES.map((one) => [one.name, tileOf(one)]));
  const list = el("ul", { class: "tiles" }, ...[...tiles.values()].map(({ element }) => element));
  const top = el("p", { class: "tiles-top" }, el("span", {}, say("most")), el("strong"));
  const legend = el("p", { class: "tiles-legend", "aria-hidden": "true" }, el("span"), el("i"), el("span"));
  const steps = legend.children[1];
  for (let step = 0; step < STEPS; step++) steps?.append(el("b", { class: `heat-${step}` }));
  const others = el("p", { class: "tiles-others" });
  return {
    element: el("div", { class: "tile-map" }, top, list, el("div", { class: "tiles-foot" }, legend, others)),
    isReadable: true,
    fill(panel) {
      const { byProvince, elsewhere } = sorted(panel);
      const numbers = [...byProvince.values()].map(numberOf).filter((number) => number !== null);
      const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
      for (const [name, tile] of tiles) fillTile(tile, name, byProvince.get(name) ?? null, least, most, panel);
      const longest = Math.max(0, ...[...byProvince.values()].map((cell) => grouped(cell).length));
      list.style.setProperty("--length", String(longest));
      if (top.lastElementChild) setText(top.lastElementChild, greatest(byProvince, most));
      if (legend.firstElementChild) setText(legend.firstElementChild, numbers.length > 0 ? grouped(least) : "");
      if (legend.lastElementChild) setText(legend.lastElementChild, numbers.length > 0 ? grouped(most) : "");
      setText(others, elsewhere.map(([label, cell]) => `${label} ${grouped(cell)}`).join("   "));
    },
    shown: () => [...tiles].map(([name, { value }]) => [name, value.textContent]),
    dispose: () => undefined,
  };
}

function tileOf({ name, english, column, row }: (typeof PROVINCES)[number]): Tile {
  const value = el("b");
  const element = el("li", { title: lang === "zh" ? name : english }, el("span", {}, name), value);
  element.style.gridArea = `${row} / ${column}`;
  return { element, value };
}

function fillTile(tile: Tile, name: string, cell: Cell, least: number, most: number, panel: Panel): void {
  const number = numberOf(cell);
  const level = levelOf(number, panel.thresholds);
  const heat = number === null ? "none" : `heat-${stepOf(number, least, most)}`;
  setAttribute(tile.element, "class", level === "ok" ? heat : `at-${level}`);
  setAttribute(tile.element, "data-name", name);
  setText(tile.value, cell === null ? "–" : grouped(cell));
}

/** Where the value is greatest, and what it is there. Their sum may mean nothing: one person can be in two provinces. */
function greatest(byProvince: Map<string, Cell>, most: number): string {
  for (const [name, cell] of byProvince) if (numberOf(cell) === most) return `${name} ${grouped(cell)}`;
  return "";
}

/** Values by province, and those of labels that are none. */
function sorted(panel: Panel): { byProvince: Map<string, Cell>; elsewhere: [string, Cell][] } {
  const data = dataOf(panel);
  const byProvince = new Map<string, Cell>();
  const elsewhere: [string, Cell][] = [];
  data.labels.forEach((label, place) => {
    const cell = data.series[0]?.cells[place] ?? null;
    const province = provinceOf(label);
    if (province !== null && !byProvince.has(province)) byProvince.set(province, cell);
    else elsewhere.push([label, cell]);
  });
  return { byProvince, elsewhere };
}

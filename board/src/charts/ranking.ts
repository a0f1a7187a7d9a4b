import { el, fillList, setAttribute, setText } from "../dom";
import { grouped } from "../format";
import type { Panel } from "../wire/board";
import { dataOf, levelOf } from "./series";
import type { View } from "./view";

/** Rows that the height is shared by, even if there are fewer: three alone would be giants. */
const LEAST_ROWS = 5;

/** A list with bars: in the order of the rows, which is the statement's. */
export function rankingView(): View {
  const list = el("ol", { class: "ranking" });
  const make = () => el("li", {}, el("i", { "aria-hidden": "true" }), el("span"), el("b"), el("div", { class: "track" }, el("div", { class: "bar" })));
  return {
    element: el("div", { class: "ranking-frame" }, list),
    isReadable: true,
    fill(panel: Panel) {
      const data = dataOf(panel);
      const series = data.series[0];
      const most = Math.max(0, ...(series?.numbers ?? []).map((number) => number ?? 0));
      list.style.setProperty("--count", String(Math.max(LEAST_ROWS, data.labels.length)));
      fillList(list, data.labels, make, (item, label, place) => {
        const [rank, name, value, track] = item.children;
        const number = series?.numbers[place] ?? 0;
        const level = levelOf(number, panel.thresholds);
        setAttribute(item, "class", level === "ok" ? (place < 3 ? "top" : "") : `at-${level}`);
        if (rank) setText(rank, String(place + 1));
        if (name) setText(name, label);
        if (value) setText(value, grouped(series?.cells[place] ?? null));
        const bar = track?.firstElementChild;
        if (bar instanceof HTMLElement) bar.style.width = `${most > 0 ? Math.max(0, (number / most) * 100) : 0}%`;
      });
    },
    shown: () => [...list.children].map((item) => [item.children[1]?.textContent, item.children[2]?.textContent]),
    dispose: () => undefined,
  };
}

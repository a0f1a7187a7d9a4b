import { el, fillList, setText } from "../dom";
import { grouped } from "../format";
import { inOurs } from "../lang";
import { colour, onTheme, rem, seriesColour } from "../theme";
import { say } from "../words";
import type { Panel } from "../wire/board";
import { withUnit } from "./axes";
import { EChart, type Option, tooltip } from "./echart";
import { type Data, dataOf, sum } from "./series";
import { summaryOf } from "./summary";
import type { View } from "./view";

/** A ring with its total, and beside it what each part is: labels around it would overlap. */
export function pieView(): View {
  let panel: Panel | null = null;
  const chart = new EChart("pie", () => (panel === null ? null : option(panel, dataOf(panel))));
  const total = el("strong");
  const of = el("span");
  const parts = el("ul", { class: "parts" });
  const ring = el("div", { class: "ring" }, chart.element, el("p", { class: "ring-total", "aria-hidden": "true" }, total, of));
  const colours = () => { [...parts.children].forEach(paint); };
  onTheme(colours);
  return {
    element: el("div", { class: "pie" }, ring, el("div", { class: "parts-frame", "aria-hidden": "true" }, parts)),
    isReadable: false,
    fill(next) {
      panel = next;
      chart.draw(summaryOf(next));
      const data = dataOf(next);
      setText(total, grouped(sum(data.series[0])));
      setText(of, next.unit === null ? say("total") : inOurs(next.unit));
      fillParts(parts, data);
      colours();
    },
    shown: () => chart.shown(),
    dispose: () => { chart.dispose(); },
  };
}

function option(panel: Panel, data: Data): Option {
  const cells = data.series[0]?.cells ?? [];
  return {
    tooltip: {
      ...tooltip(),
      trigger: "item",
      formatter: ({ dataIndex, percent }: { dataIndex: number; percent: number }) =>
        `${data.labels[dataIndex] ?? ""}\n${withUnit(grouped(cells[dataIndex] ?? null), panel)}  ${percent}%`,
    },
    series: [
      {
        id: "pie",
        type: "pie",
        radius: ["66%", "96%"],
        label: { show: false },
        labelLine: { show: false },
        itemStyle: { borderColor: colour("panel"), borderWidth: 0.15 * rem(), borderRadius: 0.25 * rem() },
        emphasis: { scaleSize: 0.2 * rem() },
        data: data.labels.map((name, place) => ({
          name,
          value: data.series[0]?.numbers[place] ?? 0,
          itemStyle: { color: seriesColour(place) },
        })),
      },
    ],
  };
}

function fillParts(parts: HTMLElement, data: Data): void {
  const series = data.series[0];
  const total = (series?.numbers ?? []).reduce<number>((all, number) => all + (number ?? 0), 0);
  const make = () => el("li", {}, el("i"), el("span"), el("b"), el("small"));
  fillList(parts, data.labels, make, (item, label, place) => {
    const [, name, value, share] = item.children;
    const number = series?.numbers[place] ?? 0;
    if (name) setText(name, label);
    if (value) setText(value, grouped(series?.cells[place] ?? null));
    if (share) setText(share, total > 0 ? `${((number / total) * 100).toFixed(1)}%` : "");
  });
}

function paint(part: Element, place: number): void {
  const mark = part.firstElementChild;
  if (mark instanceof HTMLElement) mark.style.background = seriesColour(place);
}

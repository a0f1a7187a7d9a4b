import { colour, rem, seriesColour } from "../theme";
import type { Panel } from "../wire/board";
import { labelAxis, legend, overLabel, valueAxis } from "./axes";
import { EChart, type Option, area, tooltip } from "./echart";
import { type Data, dataOf } from "./series";
import { summaryOf } from "./summary";
import type { View } from "./view";

/** More points than these have no dots: the line is enough. */
const MOST_DOTTED = 30;

/** More points than these are thinned to what the screen can show. */
const THINNED_FROM = 2_000;

export function lineView(): View {
  let panel: Panel | null = null;
  const chart = new EChart("line", () => (panel === null ? null : option(panel, dataOf(panel))));
  return {
    element: chart.element,
    isReadable: false,
    fill(next) {
      panel = next;
      chart.draw(summaryOf(next));
    },
    shown: () => chart.shown(),
    dispose: () => { chart.dispose(); },
  };
}

/** The time of a label in milliseconds, as if the board's zone were UTC. */
function timeOf(label: string): number {
  return Date.parse(label.includes("T") ? `${label}Z` : label);
}

function option(panel: Panel, data: Data): Option {
  const scaled = data.timed && data.labels.every((label) => Number.isFinite(timeOf(label)));
  return {
    grid: { ...area(), top: (data.series.length > 1 ? 2.4 : 1) * rem() },
    legend: legend(data),
    tooltip: {
      ...tooltip(),
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: colour("muted") } },
      formatter: (points: { dataIndex: number; seriesIndex: number }[]) => overLabel(data, panel, points),
    },
    xAxis: { ...labelAxis(data, scaled), ...(scaled ? {} : { boundaryGap: false }) },
    yAxis: valueAxis(),
    series: data.series.map((series, place) => ({
      id: `line ${place}`,
      type: "line",
      name: series.name,
      color: seriesColour(place),
      smooth: 0.25,
      smoothMonotone: "x",
      showSymbol: data.labels.length <= MOST_DOTTED,
      symbol: "circle",
      symbolSize: 0.4 * rem(),
      sampling: data.labels.length > THINNED_FROM ? "lttb" : undefined,
      lineStyle: { width: 0.16 * rem() },
      areaStyle: data.series.length > 1 ? undefined : { color: seriesColour(place), opacity: 0.16 },
      data: series.numbers.map((value, at) => (scaled ? [timeOf(data.labels[at] ?? ""), value] : value)),
      markLine: marks(panel),
    })),
  };
}

/** Lines at the thresholds. */
function marks(panel: Panel): Record<string, unknown> | undefined {
  if (panel.thresholds === null) return undefined;
  const { warn, alarm } = panel.thresholds;
  const line = (yAxis: number, name: "warn" | "alarm") => ({ yAxis, lineStyle: { color: colour(name), type: "dashed" } });
  return { silent: true, symbol: "none", label: { show: false }, data: [line(warn, "warn"), line(alarm, "alarm")] };
}

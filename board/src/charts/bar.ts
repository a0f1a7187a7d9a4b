import { grouped } from "../format";
import { colour, fontFamily, rem, seriesColour } from "../theme";
import type { Panel } from "../wire/board";
import { labelAxis, legend, overLabel, valueAxis } from "./axes";
import { EChart, type Option, area, tooltip } from "./echart";
import { type Data, dataOf, levelOf } from "./series";
import { summaryOf } from "./summary";
import type { View } from "./view";

/** More bars have no numbers on them: they would overlap. */
const MOST_NUMBERED = 14;

/** Longer labels are read from left to right, beside bars that lie. */
const LONG_LABEL = 10;

export function barView(): View {
  let panel: Panel | null = null;
  const chart = new EChart("bar", () => (panel === null ? null : option(panel, dataOf(panel))));
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

function option(panel: Panel, data: Data): Option {
  const lies = !data.timed && data.labels.some((label) => label.length > LONG_LABEL);
  const labels = labelAxis(data, false);
  const values = valueAxis();
  const numbered = data.labels.length * data.series.length <= MOST_NUMBERED;
  const round = 0.25 * rem();
  return {
    grid: { ...area(), top: (data.series.length > 1 ? 2.6 : 1.8) * rem(), right: (lies ? 4 : 0.6) * rem() },
    legend: legend(data),
    tooltip: {
      ...tooltip(),
      trigger: "axis",
      axisPointer: { type: "shadow", shadowStyle: { color: colour("line"), opacity: 0.4 } },
      formatter: (points: { dataIndex: number; seriesIndex: number }[]) => overLabel(data, panel, points),
    },
    xAxis: lies ? values : labels,
    yAxis: lies ? { ...labels, inverse: true } : values,
    series: data.series.map((series, place) => ({
      id: `bar ${place}`,
      type: "bar",
      name: series.name,
      barMaxWidth: 3.2 * rem(),
      barCategoryGap: "32%",
      itemStyle: { borderRadius: lies ? [0, round, round, 0] : [round, round, 0, 0] },
      label: {
        show: numbered,
        position: lies ? "right" : "top",
        color: colour("text"),
        fontFamily: fontFamily(),
        fontSize: 0.9 * rem(),
        fontWeight: 600,
        formatter: ({ dataIndex }: { dataIndex: number }) => grouped(series.cells[dataIndex] ?? null),
      },
      labelLayout: { hideOverlap: true },
      data: series.numbers.map((value) => {
        const level = levelOf(value, panel.thresholds);
        return { value, itemStyle: { color: level === "ok" ? seriesColour(place) : colour(level) } };
      }),
    })),
  };
}

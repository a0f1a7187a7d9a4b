import { grouped, short } from "../format";
import { lang } from "../lang";
import { colour, fontFamily, rem, seriesColour } from "../theme";
import type { Cell, Panel } from "../wire/board";
import { labelAxis, legend, overLabel, valueAxis } from "./axes";
import { EChart, type Option, type Size, area, tooltip } from "./echart";
import { type Data, dataOf, levelOf, numberOf } from "./series";
import { summaryOf } from "./summary";
import type { View } from "./view";

/** Longer labels are read from left to right, beside bars that lie. */
const LONG_LABEL = 10;

/** Height of a bar that lies, and width of a digit above one that stands, in units of type. Less: texts overlap. */
const LYING = 1.7;
const DIGIT = 0.56;

/** Width of the axis of values, in units of type. */
const AXIS = 3;

export function barView(): View {
  let panel: Panel | null = null;
  const chart = new EChart("bar", (size) => (panel === null ? null : option(panel, dataOf(panel), size)));
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

type Numbers = "whole" | "short" | "none";

/** How bars are drawn so that their texts have room: they lie, or stand with whole, with short or without numbers. */
function roomFor(data: Data, { width, height }: Size): { lies: boolean; numbers: Numbers; beside: number } {
  const bars = data.labels.length * data.series.length;
  const hasLong = data.labels.some((label) => label.length > LONG_LABEL);
  const longest = (show: (cell: Cell) => string) =>
    Math.max(0, ...data.series.flatMap(({ cells }) => cells.map((cell) => show(cell).length)));
  const stands = (length: number) => bars * (length * DIGIT + 0.3) <= width - AXIS;
  const canLie = !isInTime(data) && bars * LYING <= height;
  const whole = longest(grouped);
  const beside = whole * DIGIT + 0.6;
  if (!hasLong && stands(whole)) return { lies: false, numbers: "whole", beside: 0 };
  // Half of the width is for the bars.
  if (canLie && beside * 2 <= width) return { lies: true, numbers: "whole", beside };
  if (canLie) return { lies: true, numbers: "short", beside: longest(shortly) * DIGIT + 0.6 };
  return { lies: hasLong && !isInTime(data), numbers: stands(longest(shortly)) ? "short" : "none", beside: 0 };
}

/** Time goes from left to right, also that of hours alone. */
function isInTime(data: Data): boolean {
  return data.timed || data.labels.every((label) => /^\d{1,2}:\d{2}/.test(label));
}

function shortly(cell: Cell): string {
  const number = numberOf(cell);
  return number === null ? "" : short(number, lang);
}

function option(panel: Panel, data: Data, size: Size): Option {
  const { lies, numbers, beside } = roomFor(data, size);
  const show = numbers === "whole" ? grouped : shortly;
  const labels = labelAxis(data, false);
  const values = valueAxis();
  const round = 0.25 * rem();
  return {
    grid: { ...area(), top: (data.series.length > 1 ? 2.6 : lies ? 0.2 : 1.8) * rem(), right: (0.4 + beside) * rem() },
    legend: legend(data),
    tooltip: {
      ...tooltip(),
      trigger: "axis",
      axisPointer: { type: "shadow", shadowStyle: { color: colour("line"), opacity: 0.4 } },
      formatter: (points: { dataIndex: number; seriesIndex: number }[]) => overLabel(data, panel, points),
    },
    // Bars that lie have their numbers beside them.
    xAxis: lies ? { ...values, show: false } : labels,
    yAxis: lies ? { ...labels, inverse: true } : values,
    series: data.series.map((series, place) => ({
      id: `bar ${place}`,
      type: "bar",
      name: series.name,
      color: seriesColour(place),
      barMaxWidth: 3.2 * rem(),
      barCategoryGap: "32%",
      itemStyle: { borderRadius: lies ? [0, round, round, 0] : [round, round, 0, 0] },
      label: {
        show: numbers !== "none",
        distance: 0.3 * rem(),
        position: lies ? "right" : "top",
        color: colour("text"),
        fontFamily: fontFamily(),
        fontSize: 0.9 * rem(),
        fontWeight: 600,
        formatter: ({ dataIndex }: { dataIndex: number }) => show(series.cells[dataIndex] ?? null),
      },
      labelLayout: { hideOverlap: true },
      data: series.numbers.map((value) => {
        const level = levelOf(value, panel.thresholds);
        return { value, itemStyle: { color: level === "ok" ? seriesColour(place) : colour(level) } };
      }),
    })),
  };
}

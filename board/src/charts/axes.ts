// Axes and labels of bars and lines.
import { cellTime, grouped, short, shortTime } from "../format";
import { inOurs, lang } from "../lang";
import { colour } from "../theme";
import type { Panel } from "../wire/board";
import { axisLabel, quietLine } from "./echart";
import type { Data } from "./series";

/** The axis of values, with few lines and short numbers. */
export function valueAxis(): Record<string, unknown> {
  return {
    type: "value",
    splitNumber: 4,
    axisLabel: { ...axisLabel(), formatter: (value: number) => short(value, lang) },
    splitLine: quietLine(),
    axisLine: { show: false },
    axisTick: { show: false },
  };
}

/** The axis of labels; times are a scale of their own only where lines are drawn over it. */
export function labelAxis(data: Data, scaled: boolean): Record<string, unknown> {
  const common = { axisLabel: axisLabel(), axisLine: quietLine(), axisTick: { show: false } };
  if (scaled) {
    const formatter = (time: number) => shortTime(new Date(time).toISOString().slice(0, 19), data.labels);
    return { ...common, type: "time", splitLine: { show: false }, axisLabel: { ...axisLabel(), formatter } };
  }
  const formatter = (label: string) => (data.timed ? shortTime(label, data.labels) : label);
  return { ...common, type: "category", data: data.labels, axisLabel: { ...axisLabel(), formatter } };
}

/** A number with its panel's unit. */
export function withUnit(text: string, panel: Panel): string {
  return panel.unit === null ? text : `${text} ${inOurs(panel.unit)}`;
}

interface Point {
  readonly dataIndex: number;
  readonly seriesIndex: number;
}

/** The text of a tooltip over one label: its values in all series, exact. */
export function overLabel(data: Data, panel: Panel, points: readonly Point[]): string {
  const place = points[0]?.dataIndex ?? 0;
  const label = data.labels[place] ?? "";
  const head = data.timed ? cellTime(label) : label;
  const lines = points.map(({ seriesIndex }) => {
    const series = data.series[seriesIndex];
    const value = withUnit(grouped(series?.cells[place] ?? null), panel);
    return data.series.length > 1 ? `${series?.name ?? ""}  ${value}` : value;
  });
  return [head, ...lines].join("\n");
}

/** A legend where there are several series. */
export function legend(data: Data): Record<string, unknown> {
  const { color, fontSize, fontFamily } = axisLabel();
  return {
    show: data.series.length > 1,
    top: 0,
    icon: "roundRect",
    inactiveColor: colour("line"),
    textStyle: { color, fontSize, fontFamily },
  };
}

// Generations on the rate: what a change of code did to the speed.
import { EChart, type Option, area, axisLabel, quietLine, tooltip } from "../charts/echart";
import { Zone, grouped, short } from "../format";
import { lang } from "../lang";
import { colour, fontFamily, rem, seriesColour } from "../theme";
import type { Rate } from "../wire/pipelines";
import { say } from "../words";

/** Span of time that is shown: the host keeps half an hour. */
const SHOWN = 30 * 60_000;

export class Timeline {
  readonly element: HTMLElement;
  readonly #chart: EChart;
  #rates: readonly Rate[] = [];

  constructor() {
    this.#chart = new EChart("timeline", () => (this.#rates.length === 0 ? null : option(this.#rates)));
    this.element = this.#chart.element;
  }

  fill(rates: readonly Rate[]): void {
    this.#rates = rates;
    this.#chart.draw(say("timeline"));
  }
}

function option(rates: readonly Rate[]): Option {
  const last = rates.at(-1)?.at ?? 0;
  const zone = new Zone("UTC");
  const line = (name: string, of: (rate: Rate) => number | null, place: number) => ({
    id: name,
    type: "line",
    name,
    yAxisIndex: place,
    color: place === 0 ? seriesColour(0) : colour("muted"),
    showSymbol: false,
    lineStyle: { width: (place === 0 ? 0.14 : 0.08) * rem() },
    areaStyle: place === 0 ? { color: seriesColour(0), opacity: 0.14 } : undefined,
    data: rates.map((rate) => [rate.at, of(rate)]),
  });
  const axis = (name: string, place: number) => ({
    type: "value",
    name,
    min: 0,
    splitNumber: 3,
    nameTextStyle: { ...axisLabel(), align: place === 0 ? "left" : "right" },
    axisLabel: { ...axisLabel(), formatter: (value: number) => short(value, lang) },
    splitLine: place === 0 ? quietLine() : { show: false },
  });
  return {
    grid: { ...area(), top: 3.4 * rem() },
    tooltip: {
      ...tooltip(),
      trigger: "axis",
      formatter: ([point]: { dataIndex: number }[]) => overPoint(rates[point?.dataIndex ?? 0], zone),
    },
    xAxis: { type: "time", min: last - SHOWN, max: last, axisLabel: axisLabel(), axisLine: quietLine(), splitLine: { show: false } },
    yAxis: [axis(say("rate"), 0), axis(say("lag"), 1)],
    series: [
      { ...line(say("rate"), ({ rate }) => rate, 0), markLine: swaps(rates) },
      line(say("lag"), ({ lag }) => lag, 1),
    ],
  };
}

function overPoint(rate: Rate | undefined, zone: Zone): string {
  if (rate === undefined) return "";
  const shown = (value: number | null) => (value === null ? "–" : grouped(Math.round(value)));
  const generation = rate.generation === null ? "" : `  #${rate.generation}`;
  return `${zone.time(rate.at)}${generation}\n${say("rate")}  ${shown(rate.rate)}\n${say("lag")}  ${shown(rate.lag)}`;
}

/** A mark wherever another generation begins. */
function swaps(rates: readonly Rate[]): Record<string, unknown> {
  const begins = rates.filter(({ generation }, place) => {
    const before = rates[place - 1];
    return generation !== null && before !== undefined && before.generation !== generation;
  });
  return {
    silent: true,
    symbol: ["none", "none"],
    lineStyle: { color: colour("accent"), type: "solid", width: 0.1 * rem() },
    label: { color: colour("text"), fontFamily: fontFamily(), fontSize: 0.85 * rem(), formatter: "{b}" },
    data: begins.map(({ at, generation }) => ({ xAxis: at, name: `#${generation ?? ""}` })),
  };
}

// The part of Apache ECharts that the pages use, and what all their charts have in common.
import { BarChart, LineChart, MapChart, PieChart } from "echarts/charts";
import {
  AriaComponent,
  GeoComponent,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TooltipComponent,
  VisualMapComponent,
} from "echarts/components";
import { type ECharts, type EChartsCoreOption, init, registerMap, use } from "echarts/core";
import { LabelLayout } from "echarts/features";
import { CanvasRenderer } from "echarts/renderers";
import { el } from "../dom";
import { colour, fontFamily, onTheme, rem } from "../theme";

use([
  BarChart, LineChart, MapChart, PieChart,
  AriaComponent, GeoComponent, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent, VisualMapComponent,
  LabelLayout, CanvasRenderer,
]);

export { registerMap };
export type Option = EChartsCoreOption;

/** Sides of a chart, in units of type. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Time in which a chart moves to its new values. Longer: it still moves when the next ones come. */
const MOVES_FOR = 500;

const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A chart in an element: it follows the element's size and the page's theme. */
export class EChart {
  readonly element: HTMLElement;
  readonly #chart: ECharts;
  readonly #option: (size: Size) => Option | null;
  readonly #watch: ResizeObserver;
  #summary = "";

  /** Takes a function that gives what is to be drawn, with the colours and sizes of then. */
  constructor(kind: string, option: (size: Size) => Option | null) {
    this.element = el("div", { class: `chart chart-${kind}` });
    this.#chart = init(this.element, null, { renderer: "canvas", width: 300, height: 200 });
    this.#option = option;
    this.#watch = new ResizeObserver(() => { this.#resize(); });
    this.#watch.observe(this.element);
    onTheme(() => { this.draw(this.#summary, true); });
  }

  /** Draws again what changed. The summary is what a screen reader says of the picture. */
  draw(summary: string, anew = false): void {
    this.#summary = summary;
    const option = this.#option(this.#size());
    if (option === null) {
      this.#chart.clear();
      return;
    }
    const all = { ...common(summary), ...option };
    if (anew) this.#chart.setOption(all, { notMerge: true });
    else this.#chart.setOption(all, { replaceMerge: ["series"] });
  }

  #size(): Size {
    const { clientWidth, clientHeight } = this.element;
    return { width: clientWidth / rem(), height: clientHeight / rem() };
  }

  /** Data of the series as the chart has them. */
  shown(): unknown {
    const { series } = this.#chart.getOption() as { series?: { data?: unknown }[] };
    return (series ?? []).map(({ data }) => data);
  }

  dispose(): void {
    this.#watch.disconnect();
    this.#chart.dispose();
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width === 0 || height === 0) return;
    this.#chart.resize({ width, height });
    // Type grows with the screen.
    this.draw(this.#summary);
  }
}

function common(summary: string): Option {
  return {
    aria: { enabled: true, label: { description: summary } },
    animation: !isStill(),
    animationDuration: MOVES_FOR,
    animationDurationUpdate: MOVES_FOR,
    textStyle: { fontFamily: fontFamily(), fontSize: rem(), color: colour("text") },
    tooltip: tooltip(),
    // Times are of the board's zone already: they are read, and written, as if they were UTC.
    useUTC: true,
  };
}

/** A tooltip that is drawn, not HTML: that would need styles in elements, which the security policy forbids. */
export function tooltip(): Record<string, unknown> {
  return {
    renderMode: "richText",
    confine: true,
    backgroundColor: colour("raised"),
    borderColor: colour("line"),
    borderWidth: 1,
    padding: [0.5 * rem(), 0.7 * rem()],
    textStyle: { color: colour("text"), fontSize: 0.9 * rem(), fontFamily: fontFamily() },
  };
}

/** Style of the labels along an axis. */
export function axisLabel(): Record<string, unknown> {
  return { color: colour("muted"), fontSize: 0.85 * rem(), fontFamily: fontFamily(), margin: 0.5 * rem(), hideOverlap: true };
}

/** Style of a chart's area: the axes' labels take the room that they need. */
export function area(): Record<string, unknown> {
  const gap = 0.4 * rem();
  return { left: gap, right: 0.6 * rem(), top: 1.6 * rem(), bottom: gap, outerBoundsMode: "same", outerBoundsContain: "axisLabel" };
}

export const quietLine = (): Record<string, unknown> => ({ lineStyle: { color: colour("line") } });

// Places of panels: rows that fill the screen, in the file's order.
import type { Chart } from "../wire/board";

/** Columns of the grid; a panel spans as many as its share of its row. Many small numbers divide it. */
export const COLUMNS = 120;

/** Width of each kind, relative to the others of its row. A map of squares needs twice a bar chart's to be read from far. */
const WEIGHT: Readonly<Record<Chart, number>> = {
  map: 2,
  table: 1.4,
  line: 1.2,
  bar: 1.1,
  pie: 1,
  ranking: 1,
  number: 0.8,
};

/** A panel's width over its height that is aimed at. */
const SHAPE = 1.5;

/** Least width and height of a panel, in units of type. Smaller: labels overlap. */
const LEAST_WIDTH = 19;
const LEAST_HEIGHT = 15;

export interface Layout {
  /** Columns of the grid for each panel. */
  readonly spans: readonly number[];
  /** True if all fits on the screen; false if one scrolls. */
  readonly fits: boolean;
}

/** Lays panels out on an area whose sides are given in units of type. */
export function layOut(charts: readonly Chart[], width: number, height: number): Layout {
  const weights = charts.map((chart) => WEIGHT[chart]);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (charts.length === 0) return { spans: [], fits: true };
  const most = Math.max(1, Math.floor(width / LEAST_WIDTH));
  const ideal = Math.round(Math.sqrt((total * SHAPE * height) / width));
  const least = Math.ceil(charts.length / most);
  const count = Math.min(charts.length, Math.max(1, ideal, least));
  const rows = split(weights, count, most);
  const spans = rows.flatMap(spansOf);
  return { spans, fits: rows.length * LEAST_HEIGHT <= height };
}

/** Splits weights into rows of nearly the same sum, none of more than `most` panels. */
function split(weights: readonly number[], count: number, most: number): number[][] {
  const aim = weights.reduce((sum, weight) => sum + weight, 0) / count;
  // cost[i]: the least cost of the first i panels in rows; from[i]: where the last of those rows begins.
  const cost = [0];
  const from = [0];
  for (let end = 1; end <= weights.length; end++) {
    cost[end] = Infinity;
    let sum = 0;
    for (let begin = end - 1; begin >= Math.max(0, end - most); begin--) {
      sum += weights[begin] ?? 0;
      const here = (cost[begin] ?? 0) + (sum - aim) ** 2;
      if (here < (cost[end] ?? 0)) [cost[end], from[end]] = [here, begin];
    }
  }
  const rows: number[][] = [];
  for (let end = weights.length; end > 0; end = from[end] ?? 0) rows.unshift(weights.slice(from[end], end));
  return rows;
}

/** Spans of a row's panels, which together fill it. */
function spansOf(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let [sum, before] = [0, 0];
  return weights.map((weight) => {
    sum += weight;
    const end = Math.round((sum / total) * COLUMNS);
    const span = end - before;
    before = end;
    return span;
  });
}

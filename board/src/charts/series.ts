// A panel's rows as what charts draw: labels, and a number for each label and series.
import type { Level } from "../board/verdict";
import type { Cell, Panel, Thresholds } from "../wire/board";

export interface Series {
  readonly name: string;
  readonly cells: readonly Cell[];
  /** The cells as charts need them; null where there is no number. */
  readonly numbers: readonly (number | null)[];
}

export interface Data {
  readonly labels: readonly string[];
  /** True if the labels are times, or dates. */
  readonly timed: boolean;
  readonly series: readonly Series[];
}

export function dataOf(panel: Panel): Data {
  const column = (name: string) => panel.columns.findIndex((one) => one.name === name);
  const label = column(panel.label);
  const cells = (place: number) => panel.rows.map((row) => row[place] ?? null);
  const type = panel.columns[label]?.type;
  return {
    labels: cells(label).map((cell) => (cell === null ? "–" : String(cell))),
    timed: type === "time" || type === "date",
    series: panel.values.map((name) => {
      const own = cells(column(name));
      return { name, cells: own, numbers: own.map(numberOf) };
    }),
  };
}

export function numberOf(cell: Cell): number | null {
  if (typeof cell === "number") return cell;
  if (typeof cell !== "string" || cell.trim() === "") return null;
  const number = Number(cell);
  return Number.isFinite(number) ? number : null;
}

/** The sum of all numbers, exact as long as they are whole. */
export function sum(series: Series | undefined): Cell {
  const cells = series?.cells ?? [];
  if (cells.every((cell) => cell === null || isWhole(cell))) {
    return cells.reduce<bigint>((total, cell) => total + BigInt(cell ?? 0), 0n).toString();
  }
  return (series?.numbers ?? []).reduce<number>((total, number) => total + (number ?? 0), 0);
}

function isWhole(cell: Exclude<Cell, null>): cell is string | number {
  return typeof cell === "number" ? Number.isSafeInteger(cell) : typeof cell === "string" && /^-?\d+$/.test(cell);
}

/** What a value is by the panel's thresholds, which go up or down. */
export function levelOf(value: number | null, thresholds: Thresholds | null): Level {
  if (thresholds === null || value === null) return "ok";
  const { warn, alarm } = thresholds;
  const beyond = (bound: number) => (alarm >= warn ? value >= bound : value <= bound);
  if (beyond(alarm)) return "alarm";
  return beyond(warn) ? "warn" : "ok";
}

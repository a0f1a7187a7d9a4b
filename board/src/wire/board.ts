// A board as the host sends it.
import type { Text } from "../lang";
import { type Fields, Malformed, fields, flag, list, maybe, maybeNumber, maybeText, number, text, texts } from "./read";

export const CHARTS = ["map", "pie", "bar", "line", "ranking", "number", "table"] as const;
export type Chart = (typeof CHARTS)[number];

const STATES = ["ok", "lagging", "stale", "held", "stopped", "disabled", "unknown"] as const;
export type State = (typeof STATES)[number];

/** A value of a row. Numbers that a browser's can't hold, and decimals, are texts of digits. */
export type Cell = string | number | boolean | null;
export type Row = readonly Cell[];

export interface Column {
  readonly name: string;
  readonly type: string;
}

export interface Thresholds {
  readonly warn: number;
  readonly alarm: number;
}

/** A pipeline whose rows a panel shows. */
export interface Behind {
  readonly name: string;
  readonly phase: string;
  readonly generation: number | null;
  readonly digest: string | null;
  readonly lag: number | null;
  readonly source: string | null;
  readonly operators: readonly string[];
}

export interface Health {
  readonly state: State;
  readonly why: string;
  readonly dataAt: number | null;
  readonly staleAfter: number;
  readonly pipelines: readonly Behind[];
}

export interface Panel {
  readonly title: Text;
  readonly chart: Chart;
  readonly unit: Text | null;
  readonly thresholds: Thresholds | null;
  readonly label: string;
  readonly values: readonly string[];
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  readonly truncated: boolean;
  readonly queriedAt: number | null;
  readonly error: string | null;
  readonly health: Health;
}

export interface Board {
  readonly name: string;
  readonly title: Text;
  readonly zone: string;
  readonly now: number;
  readonly map: boolean;
  readonly error: string | null;
  readonly panels: readonly Panel[];
}

export function readBoard(value: unknown): Board {
  const from = fields(value);
  return {
    name: text(from, "name"),
    title: readText(from["title"]),
    zone: text(from, "zone"),
    now: number(from, "now"),
    map: flag(from, "map"),
    error: maybeText(from, "error"),
    panels: list(from, "panels", readPanel),
  };
}

export function readPanel(value: unknown): Panel {
  const from = fields(value);
  return {
    title: readText(from["title"]),
    chart: oneOf(from, "chart", CHARTS),
    unit: maybe(from, "unit", readText),
    thresholds: maybe(from, "thresholds", readThresholds),
    label: maybeText(from, "label") ?? "",
    values: texts(from, "values"),
    columns: list(from, "columns", readColumn),
    rows: list(from, "rows", readRow),
    truncated: flag(from, "truncated"),
    queriedAt: maybeNumber(from, "queried_at"),
    error: maybeText(from, "error"),
    health: readHealth(from["health"]),
  };
}

export function readHealth(value: unknown): Health {
  const from = fields(value);
  return {
    state: oneOf(from, "state", STATES),
    why: maybeText(from, "why") ?? "",
    dataAt: maybeNumber(from, "data_at"),
    staleAfter: number(from, "stale_after_ms"),
    pipelines: list(from, "pipelines", readBehind),
  };
}

/** A panel whose rows, or all of it, changed. */
export function readPanelEvent(value: unknown): { now: number; index: number; panel: Panel } {
  const from = fields(value);
  return { now: number(from, "now"), index: number(from, "index"), panel: readPanel(from["panel"]) };
}

export interface HealthOf {
  readonly index: number;
  readonly queriedAt: number | null;
  readonly health: Health;
}

/** Panels of which only the health, or their age, changed. */
export function readHealthEvent(value: unknown): { now: number; panels: HealthOf[] } {
  const from = fields(value);
  const read = (item: unknown): HealthOf => {
    const of = fields(item);
    return { index: number(of, "index"), queriedAt: maybeNumber(of, "queried_at"), health: readHealth(of["health"]) };
  };
  return { now: number(from, "now"), panels: list(from, "panels", read) };
}

/** The names and titles of all boards. */
export function readBoards(value: unknown): { name: string; title: Text }[] {
  return list(fields(value), "boards", (item) => {
    const from = fields(item);
    return { name: text(from, "name"), title: readText(from["title"]) };
  });
}

function readText(value: unknown): Text {
  if (typeof value === "string") return { zh: value, en: value };
  const from = fields(value);
  return { zh: text(from, "zh"), en: text(from, "en") };
}

function readThresholds(value: unknown): Thresholds {
  const from = fields(value);
  return { warn: number(from, "warn"), alarm: number(from, "alarm") };
}

function readColumn(value: unknown): Column {
  const from = fields(value);
  return { name: text(from, "name"), type: text(from, "type") };
}

function readRow(value: unknown): Row {
  if (!Array.isArray(value)) throw new Malformed("a row is no list");
  return value.map((cell: unknown): Cell => {
    if (cell === null || typeof cell === "string" || typeof cell === "number" || typeof cell === "boolean") return cell;
    throw new Malformed("a cell is neither text nor number");
  });
}

function readBehind(value: unknown): Behind {
  const from = fields(value);
  return {
    name: text(from, "name"),
    phase: text(from, "phase"),
    generation: maybeNumber(from, "generation"),
    digest: maybeText(from, "digest"),
    lag: maybeNumber(from, "lag"),
    source: maybeText(from, "source"),
    operators: texts(from, "operators"),
  };
}

function oneOf<T extends string>(from: Fields, name: string, known: readonly T[]): T {
  const value = text(from, name);
  const found = known.find((one) => one === value);
  if (found === undefined) throw new Malformed(`${name} is ${value}, which isn't known`);
  return found;
}

// Numbers, spans and times as people read them.
import type { Lang } from "./lang";
import type { Cell } from "./wire/board";

const DIGITS = /^([+-]?)(\d+)(\.\d+)?$/;

/** Returns a number with separated thousands. Those that came as digits stay exact, whatever their size. */
export function grouped(cell: Cell): string {
  if (cell === null) return "–";
  const digits = DIGITS.exec(plain(cell));
  if (digits === null) return String(cell);
  const [, sign = "", whole = "", fraction = ""] = digits;
  return sign.replace("-", "−") + whole.replace(/\B(?=(\d{3})+$)/g, ",") + fraction;
}

/** A number's digits, without an exponent; at most three of a fraction that was reckoned, as thirds are. */
function plain(cell: Exclude<Cell, null>): string {
  if (typeof cell !== "number" || Number.isInteger(cell)) {
    return typeof cell === "number" && Math.abs(cell) >= 1e21 ? BigInt(cell).toString() : String(cell);
  }
  return Number.isFinite(cell) ? cell.toFixed(Math.abs(cell) < 1 ? 3 : 2).replace(/\.?0+$/, "") : String(cell);
}

/** Returns a number in short, as on an axis: 1.2M, 120万. */
export function short(value: number, lang: Lang): string {
  const locale = lang === "zh" ? "zh-CN" : "en";
  return new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1, useGrouping: "always" }).format(value);
}

/** Returns bytes in short, with a unit. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [size, unit] = [value, 0];
  while (size >= 1024 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${size >= 100 || unit === 0 ? size.toFixed(0) : size.toFixed(1)} ${units[unit] ?? ""}`;
}

/** Returns a span of milliseconds in its largest unit, and for hours and days the next one, too. */
export function span(ms: number, lang: Lang): string {
  const [second, minute, hour, day] = lang === "zh" ? ["秒", "分钟", "小时", "天"] : ["s", "min", "h", "d"];
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} ${second}`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} ${minute}`;
  const two = (first: number, firstUnit: string, rest: number, restUnit: string) =>
    rest === 0 ? `${first} ${firstUnit}` : `${first} ${firstUnit} ${rest} ${restUnit}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return two(Math.floor(minutes / 60), hour, minutes % 60, minute);
  const hours = Math.floor(minutes / 60);
  return two(Math.floor(hours / 24), day, hours % 24, hour);
}

/** Returns milliseconds as a time that something took. */
export function took(ms: number): string {
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

/** Times of a zone. */
export class Zone {
  readonly name: string;
  readonly #date: Intl.DateTimeFormat;

  /** Takes UTC for a zone that the browser doesn't know, and says so by the name. */
  constructor(name: string) {
    const format = (timeZone: string) =>
      new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" });
    try {
      this.#date = format(name);
      this.name = name;
    } catch {
      this.#date = format("UTC");
      this.name = "UTC";
    }
  }

  /** 2026-11-28 01:02:03 */
  dateTime(ms: number): string {
    return this.#date.format(ms);
  }

  /** 01:02:03 */
  time(ms: number): string {
    return this.dateTime(ms).slice(11);
  }
}

/** Returns a time that the database gave, in the board's zone already, as people write it. */
export function cellTime(cell: string): string {
  return cell.replace("T", " ").replace(/\.0+$/, "");
}

/** Leaves out of a time what all labels have in common: the date, or the time if it is midnight everywhere. */
export function shortTime(label: string, all: readonly string[]): string {
  const [date = "", time = ""] = cellTime(label).split(" ");
  if (time === "") return date;
  const minutes = time.endsWith(":00") ? time.slice(0, 5) : time;
  if (all.every((one) => one.startsWith(date))) return minutes;
  return minutes === "00:00" ? date.slice(5) : `${date.slice(5)} ${minutes}`;
}

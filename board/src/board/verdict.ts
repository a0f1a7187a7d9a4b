// What a panel's figures are worth now. The host's word is taken for worse, never for better: a page that hears nothing any more
// ages by itself.
import type { Panel, State } from "../wire/board";

/** How bad it is: `quiet` is neither good nor bad. */
export type Level = "ok" | "quiet" | "warn" | "alarm";

export interface Verdict {
  readonly level: Level;
  readonly state: State | "error" | "offline";
  /** Time that the figures are of; null before there are any. */
  readonly asOf: number | null;
  /** Milliseconds since then. */
  readonly age: number | null;
  readonly why: string;
}

const OF_STATE: Readonly<Record<State, Level>> = {
  ok: "ok",
  unknown: "quiet",
  lagging: "warn",
  stale: "warn",
  held: "warn",
  stopped: "alarm",
  disabled: "alarm",
};

/** What is this many times older than it may be is an alarm. Less: each hiccup is one. More: a dead board stays amber. */
const ALARM_AFTER = 4;

export function judge(panel: Panel, now: number, connected: boolean): Verdict {
  const { health } = panel;
  const asOf = health.dataAt ?? panel.queriedAt;
  const age = asOf === null ? null : Math.max(0, now - asOf);
  const limit = health.staleAfter;
  const isOld = age !== null && age > limit;
  const ofAge: Level = age !== null && age > limit * ALARM_AFTER ? "alarm" : "warn";
  const as = (level: Level, state: Verdict["state"], why = health.why): Verdict => ({ level, state, asOf, age, why });

  if (panel.error !== null) return as("alarm", "error", panel.error);
  if (OF_STATE[health.state] === "alarm") return as("alarm", health.state);
  if (!connected) return as(ofAge, "offline", "");
  if (health.state === "held") return as(ofAge, "held");
  if (isOld || health.state === "stale") return as(ofAge, "stale");
  return as(OF_STATE[health.state], health.state);
}

// Panels to test with.
import { type Panel, readPanel } from "../src/wire/board";

export const HEALTH = { state: "ok", why: "", data_at: 1_000_000, stale_after_ms: 30_000, pipelines: [] };

export function sent(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    title: { zh: "礼物", en: "Gifts" },
    chart: "bar",
    unit: null,
    thresholds: null,
    label: "gift_type",
    values: ["total"],
    columns: [{ name: "gift_type", type: "text" }, { name: "total", type: "number" }],
    rows: [["1", 1234], ["2", 99]],
    truncated: false,
    queried_at: 1_000_000,
    error: null,
    health: HEALTH,
    ...changes,
  };
}

export function panel(changes: Readonly<Record<string, unknown>> = {}): Panel {
  return readPanel(sent(changes));
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { readBoard, readHealthEvent, readPanel } from "../src/wire/board";
import { readDetail, readPipelines } from "../src/wire/pipelines";
import { Malformed, parsed } from "../src/wire/read";
import { HEALTH, sent } from "./panels";

test("a board is read as it was sent", () => {
  const board = readBoard({ name: "live", title: "Live", zone: "UTC", now: 5, map: false, error: null, panels: [sent()] });
  assert.deepEqual(board.title, { zh: "Live", en: "Live" });
  assert.deepEqual(board.panels[0]?.rows, [["1", 1234], ["2", 99]]);
  assert.equal(board.panels[0].health.staleAfter, 30_000);
});

test("what isn't as agreed is refused, in one way", () => {
  const bad: unknown[] = [
    null, 7, "x", [], {}, sent({ chart: "hologram" }), sent({ rows: [[{}]] }), sent({ rows: ["x"] }), sent({ health: null }),
    sent({ health: { ...HEALTH, state: "splendid" } }), sent({ columns: [{ name: 1 }] }), sent({ title: { en: "x" } }), sent({ values: [1] }),
  ];
  for (const value of bad) assert.throws(() => readPanel(value), Malformed, JSON.stringify(value));
  assert.throws(() => parsed("{"), Malformed);
});

test("health comes with or without the time of the query", () => {
  const { panels } = readHealthEvent({ now: 9, panels: [{ index: 1, queried_at: 8, health: HEALTH }, { index: 2, health: HEALTH }] });
  assert.deepEqual(panels.map(({ index, queriedAt }) => [index, queriedAt]), [[1, 8], [2, null]]);
});

test("figures of a pipeline that nobody knows are missing, not wrong", () => {
  const { pipelines } = readPipelines({ now: 1, pipelines: [{ name: "a", phase: "waiting", lag: null }] });
  assert.equal(pipelines[0]?.lag, null);
  assert.deepEqual(pipelines[0].chain, []);
  const detail = readDetail({ now: 1, pipeline: { name: "a", phase: "running" } });
  assert.deepEqual([detail.rates, detail.log, detail.letters.count], [[], [], null]);
});

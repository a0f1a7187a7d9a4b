import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "../src/board/verdict";
import { HEALTH, panel } from "./panels";

const AT = HEALTH.data_at;
const of = (state: string, more: object = {}) => panel({ health: { ...HEALTH, state, ...more } });

test("what the host says is well, and young, is well", () => {
  const verdict = judge(of("ok"), AT + 5_000, true);
  assert.deepEqual([verdict.level, verdict.state, verdict.age], ["ok", "ok", 5_000]);
});

test("what nobody says anything about ages by itself, to an alarm", () => {
  const states = [30_000, 30_001, 120_000, 120_001].map((age) => {
    const { level, state } = judge(of("ok"), AT + age, true);
    return `${level} ${state}`;
  });
  assert.deepEqual(states, ["ok ok", "warn stale", "warn stale", "alarm stale"]);
});

test("nothing looks well without a connection", () => {
  for (const state of ["ok", "lagging", "stale", "held", "unknown"]) {
    assert.notEqual(judge(of(state), AT, false).level, "ok", state);
    assert.notEqual(judge(of(state), AT, false).level, "quiet", state);
  }
  assert.equal(judge(of("ok"), AT + 120_001, false).level, "alarm");
});

test("each bad state is said as it is, however young the figures are", () => {
  const levels = ["lagging", "stale", "held", "stopped", "disabled", "unknown"].map((state) => {
    const verdict = judge(of(state), AT, true);
    assert.equal(verdict.state, state);
    return verdict.level;
  });
  assert.deepEqual(levels, ["warn", "warn", "warn", "alarm", "alarm", "quiet"]);
});

test("an error goes before everything, with its words", () => {
  const broken = panel({ error: "no such table: gifts", health: { ...HEALTH, state: "stopped" } });
  const verdict = judge(broken, AT, false);
  assert.deepEqual([verdict.level, verdict.state, verdict.why], ["alarm", "error", "no such table: gifts"]);
});

test("the age is the query's where no pipeline is known", () => {
  const alone = panel({ queried_at: AT - 7_000, health: { ...HEALTH, state: "unknown", data_at: null } });
  assert.equal(judge(alone, AT, true).age, 7_000);
  assert.equal(judge(alone, AT + 60_000, true).state, "stale");
  const never = panel({ queried_at: null, health: { ...HEALTH, state: "unknown", data_at: null } });
  assert.equal(judge(never, AT, true).age, null);
});

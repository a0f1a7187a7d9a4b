import assert from "node:assert/strict";
import { test } from "node:test";
import { COLUMNS, layOut } from "../src/board/layout";
import { CHARTS, type Chart } from "../src/wire/board";

/** Lengths of rows, by the spans that fill them. */
function rows(spans: readonly number[]): number[] {
  const lengths: number[] = [];
  let [sum, length] = [0, 0];
  for (const span of spans) {
    [sum, length] = [sum + span, length + 1];
    assert.ok(sum <= COLUMNS, `a row of ${sum} columns`);
    if (sum === COLUMNS) {
      lengths.push(length);
      [sum, length] = [0, 0];
    }
  }
  assert.equal(sum, 0, "the last row is full");
  return lengths;
}

const SIX: Chart[] = ["map", "pie", "bar", "line", "ranking", "line"];

test("rows are full, whatever the panels and the screen", () => {
  for (let count = 0; count <= 20; count++) {
    const charts = Array.from({ length: count }, (_, place) => CHARTS[(place * 3) % CHARTS.length] ?? "bar");
    for (const [width, height] of [[26, 56], [60, 40], [100, 50], [300, 20], [5, 5]] as const) {
      const { spans } = layOut(charts, width, height);
      assert.equal(spans.length, count);
      rows(spans);
      assert.ok(spans.every((span) => span > 0));
    }
  }
});

test("six panels are two rows on a wall, and one column on a phone, which scrolls", () => {
  const wall = layOut(SIX, 100, 52);
  assert.deepEqual(rows(wall.spans), [3, 3]);
  assert.ok(wall.fits);
  const phone = layOut(SIX, 26, 56);
  assert.deepEqual(rows(phone.spans), [1, 1, 1, 1, 1, 1]);
  assert.ok(!phone.fits);
});

test("a map is wider than what is beside it", () => {
  const { spans } = layOut(SIX, 100, 52);
  assert.ok((spans[0] ?? 0) > 1.5 * (spans[1] ?? 0));
});

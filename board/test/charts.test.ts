import assert from "node:assert/strict";
import { test } from "node:test";
import { PROVINCES, TILE_COLUMNS, TILE_ROWS, provinceOf } from "../src/charts/provinces";
import { dataOf, levelOf, numberOf, sum } from "../src/charts/series";
import { stepOf } from "../src/charts/steps";
import { shortTime } from "../src/format";
import { panel } from "./panels";

/** As the generator of records names them. */
const NAMES =
  "北京 广东 山东 江苏 河南 上海 河北 浙江 香港 陕西 湖南 重庆 福建 天津 云南 四川 广西 安徽 海南 江西 湖北 山西 辽宁 台湾 黑龙江 内蒙古 澳门 贵州 甘肃 青海 新疆 西藏 吉林 宁夏";

test("every province has a square of its own", () => {
  assert.deepEqual(PROVINCES.map(({ name }) => name).sort(), NAMES.split(" ").sort());
  const places = new Set(PROVINCES.map(({ column, row }) => `${column} ${row}`));
  assert.equal(places.size, PROVINCES.length);
  for (const { column, row } of PROVINCES) {
    assert.ok(column >= 1 && column <= TILE_COLUMNS && row >= 1 && row <= TILE_ROWS);
  }
});

test("a province is known by its short, its full and its English name", () => {
  for (const label of ["广西", "广西壮族自治区", "guangxi", " Guangxi "]) assert.equal(provinceOf(label), "广西", label);
  assert.equal(provinceOf("香港特别行政区"), "香港");
  assert.equal(provinceOf("Inner Mongolia"), "内蒙古");
  assert.equal(provinceOf("北京市"), "北京");
  assert.equal(provinceOf("Atlantis"), null);
});

test("steps of colour go from the least to the greatest", () => {
  assert.deepEqual([10, 15, 20].map((number) => stepOf(number, 10, 20)), [0, 3, 6]);
  assert.equal(stepOf(5, 5, 5), 3);
});

test("labels and series are found by the columns' names, wherever they are", () => {
  const { labels, series, timed } = dataOf(panel({
    label: "b", values: ["c", "a"],
    columns: [{ name: "a", type: "number" }, { name: "b", type: "time" }, { name: "c", type: "number" }],
    rows: [[1, "2026-11-28T01:00:00", "12345678901234567890"], [null, null, 2.5]],
  }));
  assert.ok(timed);
  assert.deepEqual(labels, ["2026-11-28T01:00:00", "–"]);
  assert.deepEqual(series.map(({ name }) => name), ["c", "a"]);
  assert.deepEqual(series[1]?.numbers, [1, null]);
  assert.equal(series[0]?.cells[0], "12345678901234567890");
});

test("sums of whole numbers are exact", () => {
  const total = (cells: (string | number | null)[]) => sum({ name: "n", cells, numbers: cells.map(numberOf) });
  assert.equal(total(["9007199254740993", 7, null]), "9007199254741000");
  assert.equal(total([0.5, 1]), 1.5);
  assert.equal(sum(undefined), "0");
});

test("thresholds go up or down", () => {
  const up = { warn: 10, alarm: 20 };
  assert.deepEqual([9, 10, 20].map((value) => levelOf(value, up)), ["ok", "warn", "alarm"]);
  const down = { warn: 20, alarm: 10 };
  assert.deepEqual([21, 20, 10].map((value) => levelOf(value, down)), ["ok", "warn", "alarm"]);
  assert.equal(levelOf(null, up), "ok");
  assert.equal(levelOf(99, null), "ok");
});

test("labels leave out the date that all have", () => {
  const day = ["2026-11-28T01:00:00", "2026-11-28T01:30:05"];
  assert.deepEqual(day.map((label) => shortTime(label, day)), ["01:00", "01:30:05"]);
  const days = ["2026-11-28T23:00:00", "2026-11-29T00:00:00"];
  assert.deepEqual(days.map((label) => shortTime(label, days)), ["11-28 23:00", "11-29"]);
  assert.equal(shortTime("2026-11-28", ["2026-11-28"]), "2026-11-28");
});

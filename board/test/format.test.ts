import assert from "node:assert/strict";
import { test } from "node:test";
import { Zone, bytes, cellTime, grouped, short, span, took } from "../src/format";

test("thousands are separated, and digits that no number holds stay as they are", () => {
  assert.equal(grouped(0), "0");
  assert.equal(grouped(999), "999");
  assert.equal(grouped(1234567), "1,234,567");
  assert.equal(grouped(-1234), "−1,234");
  assert.equal(grouped("9007199254740993"), "9,007,199,254,740,993");
  assert.equal(grouped("-12345.6700"), "−12,345.6700");
  assert.equal(grouped(1e21), "1,000,000,000,000,000,000,000");
  assert.equal(grouped(1234.5), "1,234.5");
  assert.equal(grouped(1 / 3), "0.333");
  assert.equal(grouped(null), "–");
  assert.equal(grouped("text"), "text");
  assert.equal(grouped(true), "true");
});

test("axes have short numbers, in the unit of the language", () => {
  assert.equal(short(1_200_000, "en"), "1.2M");
  assert.equal(short(1_200_000, "zh"), "120万");
  assert.equal(short(1_229, "zh"), "1,229");
});

test("spans are in their largest unit", () => {
  assert.equal(span(-5, "en"), "0 s");
  assert.equal(span(59_999, "en"), "59 s");
  assert.equal(span(60_000, "en"), "1 min");
  assert.equal(span(3_599_000, "zh"), "59 分钟");
  assert.equal(span(3_600_000, "en"), "1 h");
  assert.equal(span(5_400_000, "en"), "1 h 30 min");
  assert.equal(span(90_000_000, "zh"), "1 天 1 小时");
});

test("bytes and times that things take have their unit", () => {
  assert.equal(bytes(512), "512 B");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(bytes(300 * 1024 * 1024), "300 MiB");
  assert.equal(took(3.14), "3.1 ms");
  assert.equal(took(250), "250 ms");
  assert.equal(took(1500), "1.5 s");
});

test("times are of the board's zone, and UTC where the browser doesn't know it", () => {
  const at = Date.UTC(2026, 10, 28, 20, 1, 2);
  assert.equal(new Zone("Asia/Shanghai").dateTime(at), "2026-11-29 04:01:02");
  assert.equal(new Zone("Asia/Shanghai").time(at), "04:01:02");
  const unknown = new Zone("Nowhere/Atall");
  assert.equal(unknown.name, "UTC");
  assert.equal(unknown.dateTime(at), "2026-11-28 20:01:02");
  assert.equal(cellTime("2026-11-28T01:02:03"), "2026-11-28 01:02:03");
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { makeScale } from "../../../src/cellist/board/static/scale.js";

/** @type {[number, number | null][]} */
const NIGHT = [[4_000, 3_604_000]];

test("without idle time the scale is a straight line over the whole width", () => {
  const scale = makeScale(1_000, 11_000, false, [], 500);
  assert.equal(scale.x(1_000), 0);
  assert.equal(scale.x(6_000), 250);
  assert.equal(scale.x(11_000), 500);
  assert.equal(scale.folds.length, 0);
});

test("an hour in which everything waited takes little room, and the work the rest", () => {
  const scale = makeScale(0, 3_610_000, false, NIGHT, 544);
  const [fold] = scale.folds;
  assert.equal(fold.text, "+1 h");
  assert.equal(Math.round(scale.x(4_000)), 200);
  assert.equal(Math.round(scale.x(3_604_000)), 200 + fold.width);
  assert.equal(Math.round(scale.x(3_610_000)), 544);
  assert.ok(scale.x(2_000_000) > 200 && scale.x(2_000_000) < 200 + fold.width);
});

test("a wait that is short beside the work is not folded", () => {
  assert.equal(makeScale(0, 10_000, false, [[4_000, 6_000]], 500).folds.length, 0);
  assert.equal(makeScale(0, 1_200, false, [[300, 1_100]], 500).folds.length, 0, "nor one below a second");
});

test("a wait that goes on is folded up to now", () => {
  const before = makeScale(0, 3_000, true, [[2_000, null]], 500);
  assert.equal(before.folds.length, 0);
  const after = makeScale(0, 60_000, true, [[2_000, null]], 500);
  assert.equal(after.folds[0].end, 60_000);
  assert.ok(after.x(60_000) <= 500);
});

test("places lead back to their times", () => {
  for (const idle of [[], NIGHT, /** @type {[number, number][]} */ ([[10, 5_000], [6_000, 900_000], [901_000, 3_604_000]])]) {
    const scale = makeScale(0, 3_610_000, false, idle, 700);
    for (let time = 0; time <= 3_610_000; time += 40_000) {
      assert.ok(Math.abs(scale.time(scale.x(time)) - time) < 1, `${time}`);
    }
  }
});

test("the end grows in steps while it goes on, so that bars do not crawl", () => {
  const keys = new Set();
  for (let now = 10_000; now < 20_000; now += 50) keys.add(makeScale(0, now, true, [], 500).key);
  assert.ok(keys.size <= 12, `${keys.size}`);
});

test("the texts of the axis neither overlap nor stand in a fold", () => {
  for (const now of [900, 4_000, 61_000, 3_610_000, 90_000_000]) {
    for (const idle of [[], NIGHT]) {
      const scale = makeScale(0, now, now === 4_000, idle, 400);
      assert.equal(scale.ticks[0].text, "0");
      scale.ticks.slice(1).forEach(({ x }, i) => {
        assert.ok(x - scale.ticks[i].x >= 30, `${now}: ${JSON.stringify(scale.ticks)}`);
        assert.ok(x <= 401);
        for (const fold of scale.folds) assert.ok(x <= fold.x || x >= fold.x + fold.width);
      });
    }
  }
});

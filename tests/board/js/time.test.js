import assert from "node:assert/strict";
import { test } from "node:test";

import { countdown, growing, niceStep } from "../../../src/cellist/board/static/time.js";

test("a growing duration shows tenths and no milliseconds", () => {
  assert.equal(growing(-5), "0.0 s");
  assert.equal(growing(940), "0.9 s");
  assert.equal(growing(61_000), "1 min 01 s");
});

test("a countdown counts whole seconds from above and never below now", () => {
  assert.equal(countdown(11_001), "in 12 s");
  assert.equal(countdown(1), "in 1 s");
  assert.equal(countdown(0), "now");
  assert.equal(countdown(-9_000), "now");
});

test("the steps of an axis are round and never more than asked for", () => {
  for (const span of [3, 90, 1_000, 7_300, 61_000, 4e5, 5e6, 1e8, 9e8]) {
    const step = niceStep(span, 6);
    assert.ok(span / step <= 6, `${span} in steps of ${step}`);
    assert.ok(step >= 1);
  }
  assert.equal(niceStep(10_000, 6), 2_000);
  assert.equal(niceStep(400_000, 6), 120_000);
});

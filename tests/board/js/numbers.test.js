import assert from "node:assert/strict";
import { test } from "node:test";

import { number } from "../../../src/cellist/board/static/numbers.js";

test("numbers have the commas that a locale would give them", () => {
  for (const n of [0, 7, 999, 1_000, 9_999, 10_000, 123_456, 1_000_000, 1_234_567]) {
    assert.equal(number(n), n.toLocaleString("en"));
  }
});

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Filter } from "../../../src/cellist/board/static/filter.js";

/** @typedef {import("../../../src/cellist/board/static/types.js").Row} Row */

const ROWS = /** @type {Row[]} */ (/** @type {unknown} */ ([
  { id: "a", name: "fetch-001", look: "completed", word: "completed", tags: ["net"], inputs: [["url", "'example.org'"]] },
  { id: "b", name: "fetch-002", look: "failed", word: "failed", tags: ["net", "slow"], error: "ValueError: No such page" },
  { id: "c", name: "fetch-003", look: "cached", word: "reused", why: "reused from 14:02" },
]));
const GROUP = /** @type {import("../../../src/cellist/board/static/types.js").Group} */ ({ name: "fetch" });

let filter = new Filter();
const picked = () => filter.pick(GROUP, ROWS).map((row) => row.id).join("");

beforeEach(() => { filter = new Filter(); });

test("nothing chosen is everything", () => {
  assert.equal(filter.active, false);
  assert.equal(picked(), "abc");
});

const SEARCHES = { "fetch": "abc", "FETCH-002": "b", "no such": "b", "example": "a", "14:02": "c", "slow": "b",
  "fetch reused": "c", "page example": "", "  ": "abc", "url": "a" };
for (const [text, ids] of Object.entries(SEARCHES)) {
  test(`"${text}" finds what holds all of its words, in any case`, () => {
    filter.search(text);
    assert.equal(picked(), ids);
  });
}

test("states and tags: one of each kind is enough, both kinds are needed", () => {
  filter.toggle(filter.looks, "failed");
  filter.toggle(filter.looks, "completed");
  assert.equal(picked(), "ab");
  filter.toggle(filter.tags, "slow");
  assert.equal(picked(), "b");
  filter.toggle(filter.looks, "failed");
  assert.equal(picked(), "");
  filter.toggle(filter.looks, "completed");
  assert.equal(picked(), "b");
});

test("one state alone forgets the rest, and clearing forgets all", () => {
  filter.search("003");
  filter.only("failed");
  assert.equal(picked(), "b");
  const { version } = filter;
  filter.clear();
  assert.equal(filter.active, false);
  assert.ok(filter.version > version);
});

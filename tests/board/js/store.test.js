import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Store } from "../../../src/cellist/board/static/store.js";

/** @typedef {import("../../../src/cellist/board/static/types.js").Message} Message */

let asked = 0;
let store = new Store(() => {});

/**
 * A message with only what a test is about.
 * @param {string} kind
 * @param {number} seq
 * @param {object} [content]
 */
const message = (kind, seq, content) => /** @type {Message} */ ({ kind, seq, now: Date.now(), ...content });

beforeEach(() => {
  asked = 0;
  store = new Store(() => { asked += 1; });
});

test("a patch before any snapshot paints nothing and asks for everything", () => {
  assert.equal(store.receive(message("patch", 4)), false);
  assert.equal(asked, 1);
});

test("patches that follow each other are merged, cell by cell", () => {
  store.receive(message("snapshot", 1, { groups: [{ id: 0, cells: "prr" }], rows: [{ id: "a", g: 0, i: 0 }] }));
  assert.equal(store.receive(message("patch", 2, { cells: [[0, 0], [1, 3], "dp"] })), true);
  assert.deepEqual(store.groups.get(0)?.cells, ["p", "d", "r", "p"]);
  assert.deepEqual(store.rowsOf(0).map((row) => row.id), ["a"]);
});

/** @type {Record<string, [string, string, string, boolean]>} */
const LOOKS = { failed: ["✕", "failed", "f", true], running: ["►", "running", "r", false],
  pending: ["○", "pending", "p", false], completed: ["✓", "completed", "d", true] };

test("what is said of a group follows from its cells, also after patches", () => {
  store.receive(message("snapshot", 1, { looks: LOOKS, groups: [{ id: 0, name: "fetch", cells: "dr" }] }));
  const group = store.groupOf(0);
  assert.deepEqual([group.total, group.over, group.look, group.detail], [2, 1, "running", "1 of 2"]);
  const before = group.version;
  store.receive(message("patch", 2, { cells: [[0, 0], [1, 2], "fd"] }));
  assert.notEqual(group.version, before);
  assert.deepEqual(group.counts, [["failed", 1], ["completed", 2]]);
  assert.deepEqual([group.look, group.word, group.detail], ["failed", "failed", "3 runs · 1 failed"]);
  assert.equal(group.label, "fetch: 1 failed, 2 completed");
  assert.equal(group.more, "… and 3 more");
});

test("the only run of a group lends it its words", () => {
  store.receive(message("snapshot", 1, { looks: LOOKS, groups: [{ id: 0, name: "fetch", cells: "r" }],
    rows: [{ id: "a", g: 0, i: 0, look: "running", word: "retrying", node: "42 %" }] }));
  const group = store.groupOf(0);
  assert.deepEqual([group.run, group.word, group.detail, group.took], ["a", "retrying", "42 %", null]);
  store.receive(message("patch", 2, { cells: [[0], [0], "f"],
    rows: [{ id: "a", g: 0, i: 0, look: "failed", word: "timed out", took: "3.0 s" }] }));
  assert.deepEqual([group.word, group.detail, group.took], ["timed out", "timed out · 3.0 s", "3.0 s"]);
});

test("news of a pace are merged into its columns", () => {
  const pace = { begin: 0, width: 50, parts: [[0, "completed", 3], [1, "completed", 1]] };
  store.receive(message("snapshot", 1, { looks: LOOKS, groups: [{ id: 0, pace }] }));
  store.receive(message("patch", 2, { groups: [{ id: 0, pace: { begin: 0, width: 50, changed: [[1, "failed", 1], [1, "completed", 4]] } }] }));
  assert.deepEqual(store.groups.get(0)?.pace?.parts, [[0, "completed", 3], [1, "failed", 1], [1, "completed", 4]]);
});

test("a gap asks for everything, once a second at the most, and paints nothing", () => {
  store.receive(message("snapshot", 1));
  assert.equal(store.receive(message("patch", 3)), false);
  assert.equal(store.receive(message("patch", 4)), false);
  assert.equal(asked, 1);
  assert.equal(store.receive(message("snapshot", 5)), true);
  assert.equal(store.receive(message("patch", 6)), true);
});

test("a patch that comes twice or late is dropped", () => {
  store.receive(message("snapshot", 7));
  assert.equal(store.receive(message("patch", 7)), false);
  assert.equal(store.receive(message("patch", 3)), false);
  assert.equal(asked, 0);
});

test("a snapshot replaces everything", () => {
  store.receive(message("snapshot", 1, { groups: [{ id: 0 }, { id: 1 }], rows: [{ id: "a", g: 1, i: 0 }] }));
  store.receive(message("snapshot", 2, { groups: [{ id: 0 }], rows: [] }));
  assert.deepEqual([...store.groups.keys()], [0]);
  assert.deepEqual(store.rowsOf(1), []);
});

test("the kernel's clock counts, not the page's", () => {
  store.receive({ kind: "snapshot", seq: 1, now: Date.now() + 60_000 });
  assert.ok(Math.abs(store.now() - Date.now() - 60_000) < 1_000);
});

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
  assert.equal(store.receive(message("patch", 2, { groups: [{ id: 0, changed: [[1, "d"], [3, "p"]] }] })), true);
  assert.deepEqual(store.groups.get(0)?.cells, ["p", "d", "r", "p"]);
  assert.deepEqual(store.rowsOf(0).map((row) => row.id), ["a"]);
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

import assert from "node:assert/strict";
import { test } from "node:test";

import { endOf, rowAt } from "../../../src/cellist/board/static/bars.js";
import { neighbour, tiled } from "../../../src/cellist/board/static/graph.js";
import { lineUp } from "../../../src/cellist/board/static/roving.js";
import { makeScale } from "../../../src/cellist/board/static/scale.js";
import { Selection } from "../../../src/cellist/board/static/selection.js";
import { enter, leave } from "../../../src/cellist/board/static/views.js";

/** @typedef {import("../../../src/cellist/board/static/types.js").Row} Row */

const ROWS = /** @type {Row[]} */ (/** @type {unknown} */ ([
  { id: "a", lane: 0, bars: [["failed", 0, 100], ["waiting", 100, 400], ["completed", 400, 500]] },
  { id: "b", lane: 1, bars: [["running", 200, null]] },
  { id: "c", lane: 0, bars: [["completed", 505, 506]] },
]));
const HOW = { scale: makeScale(0, 1_000, false, [], 1_000), pitch: 10, now: 600 };

test("a place on the timeline is the run whose bar or wait is there, or just beside it", () => {
  const found = (/** @type {number} */ x, /** @type {number} */ y) => rowAt(ROWS, x, y, HOW)?.id;
  assert.equal(found(50, 5), "a");
  assert.equal(found(250, 5), "a", "the wait between two attempts");
  assert.equal(found(250, 15), "b");
  assert.equal(found(599, 15), "b", "up to now");
  assert.equal(found(650, 15), undefined);
  assert.equal(found(509, 5), "c", "a bar that is thin");
  assert.equal(found(50, 25), undefined);
});

test("a wait lasts until the next attempt is due", () => {
  const row = /** @type {Row} */ ({ due: 900 });
  assert.equal(endOf(row, ["waiting", 0, null], 600), 900);
  assert.equal(endOf(row, ["waiting", 0, null], 950), 950);
  assert.equal(endOf(row, ["running", 0, null], 600), 600);
  assert.equal(endOf(row, ["waiting", 0, 300], 600), 300);
});

/** Two columns and a node apart:   0 2   4
 *                                  1 3     @type {[number, number][]} */
const PLACES = [[0, 0], [0, 60], [200, 0], [200, 60], [400, 30]];
const STEPS = /** @type {[number, string, number][]} */ ([
  [0, "ArrowRight", 2], [0, "ArrowDown", 1], [1, "ArrowRight", 3], [2, "ArrowRight", 4], [4, "ArrowLeft", 2],
  [0, "ArrowLeft", 0], [3, "ArrowUp", 2], [2, "Home", 0], [0, "End", 4],
]);
for (const [from, key, to] of STEPS) {
  test(`${key} leads from node ${from} to node ${to}`, () => assert.equal(neighbour(PLACES, from, key), to));
}

test("other keys lead nowhere", () => {
  assert.equal(neighbour(PLACES, 0, "a"), undefined);
  assert.equal(lineUp(/** @type {HTMLElement[]} */ (Array(3)), 0, "x"), undefined);
});

test("up and down stop at the ends of a list", () => {
  const items = /** @type {HTMLElement[]} */ (Array(3));
  assert.deepEqual(["ArrowUp", "ArrowDown", "End", "Home"].map((key) => lineUp(items, 0, key)), [0, 1, 2, 0]);
  assert.equal(lineUp(items, 2, "ArrowDown"), 2);
});

test("what is pointed at goes before what was opened, and leaves it be", () => {
  const selection = new Selection();
  let told = 0;
  selection.listeners.add(() => { told += 1; });
  selection.open(3, "x");
  selection.point(4);
  selection.point(4);
  assert.deepEqual([selection.group, selection.run, told], [4, "", 2], "the same twice is told once");
  selection.leave();
  assert.deepEqual([selection.group, selection.run], [3, "x"]);
  selection.close();
  assert.equal(selection.group, -1);
});

test("a view that left the page sleeps when another one of its board comes", () => {
  const slept = /** @type {string[]} */ ([]);
  const view = (/** @type {string} */ name, /** @type {boolean} */ isConnected) =>
    ({ el: /** @type {HTMLElement} */ ({ isConnected }), sleep: () => { slept.push(name); } });
  const [gone, shown, other] = [view("gone", false), view("shown", true), view("other", false)];
  enter("board", gone);
  enter("another board", other);
  assert.deepEqual(slept, []);
  enter("board", shown);
  assert.deepEqual(slept, ["gone"]);
  enter("board", view("third", true));
  assert.deepEqual(slept, ["gone"], "once is enough, and what is on the page is left alone");
  leave("board", shown);
});

test("a few nodes are one block, many are blocks of neighbours that hold them whole", () => {
  const grid = (/** @type {number} */ count) => ({ w: 200 * count, h: 100,
    nodes: /** @type {[number, number, number][]} */ (Array.from({ length: count }, (_, i) => [i, 200 * i, 20])), edges: [] });
  assert.equal(tiled(grid(60), [176, 46]).length, 1);
  const many = tiled(grid(90), [176, 46]);
  assert.equal(many.length, 30);
  assert.deepEqual(many[1].items, [[3, 0, 20], [4, 200, 20], [5, 400, 20]]);
  assert.equal(many[1].style, "left:595px;top:-5px;width:786px;height:110px");
  assert.equal(many[29].style, "left:17395px;top:-5px;width:610px;height:110px", "not beyond the drawing");
});

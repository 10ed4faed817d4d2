// @ts-check
// The graph: nodes are buttons, edges are one SVG below them. Python laid it out in both
// directions; the page takes the one that fits its width.

import { makeArc, paintArc } from "./arc.js";
import { Blocks, newest } from "./blocks.js";
import { h, keyed, s, setAttr, setMarked, setText } from "./dom.js";
import { showDone } from "./progress.js";
import { rove } from "./roving.js";

const LEAST_SCALE = 0.75;
/** Of the panel in the stylesheet, above and below. */
const PADDING = 20;
/** Nodes up to which all are one block, so that they move smoothly when others come. */
const FEW = 60;
/** Of a block of many nodes, in pixels. */
const TILE = [600, 560];

/** @typedef {[id: number, x: number, y: number]} At */

/**
 * @param {import("./store.js").Store} store
 * @param {import("./selection.js").Selection} selection
 * @param {(group: number) => void} open  Shows a group in the list.
 * @returns {import("./types.js").Painter}
 */
export function makeGraph(store, selection, open) {
  const edges = s("svg", { class: "cellist-edges", "aria-hidden": "true" });
  const nodes = h("div", { class: "cellist-nodes", role: "list", "aria-label": "Tasks" });
  const canvas = h("div", { class: "cellist-canvas" }, nodes);
  canvas.prepend(edges);
  const more = h("p", { class: "cellist-more" });
  const el = h("div", { class: "cellist-graph" }, canvas, more);
  /** @type {Map<number, Element>} */
  const made = new Map();
  /** @type {Map<string, Element>} */
  const lines = new Map();
  /** Which version of its group a node shows. @type {WeakMap<Element, number>} */
  const painted = new WeakMap();
  /** @type {Map<number, [number, number]>} */
  const places = new Map();
  const blocks = new Blocks(nodes, ([id]) => id, (/** @type {At} */ at) => made.get(at[0]) ?? makeNode(at), updateNode);
  let size = [0, 0];
  /** @type {Omit<import("./blocks.js").Block<At>, "version">[]} */
  let tiles = [];
  let drawn = "";
  let marked = -1;
  const settle = rove(nodes, ".cellist-node", (items, at, key) => {
    return neighbour(items.map((item) => placeOf(Number(item.parentElement?.getAttribute("data-group")))), at, key);
  });

  /** @param {number} id */
  function placeOf(id) {
    return places.get(id) ?? /** @type {[number, number]} */ ([0, 0]);
  }

  /** @param {At} place */
  function makeNode([id]) {
    const button = h("button", { class: "cellist-node", type: "button", tabindex: "-1" },
      h("span", { class: "cellist-node-name" }),
      h("span", { class: "cellist-node-state" }));
    button.addEventListener("click", () => open(id));
    selection.attach(button, id);
    const place = h("div", { role: "listitem", class: "cellist-place", "data-group": id }, button);
    made.set(id, place);
    return place;
  }

  /**
   * @param {HTMLElement} place
   * @param {At} at  Within its block.
   */
  function updateNode(place, [id, x, y]) {
    const transform = `translate(${x}px, ${y}px)`;
    if (place.style.transform !== transform) place.style.transform = transform;
    setMarked(place, id === selection.group);
    fill(place);
  }

  /** Show a group in its node. @param {HTMLElement} place */
  function fill(place) {
    const group = store.groups.get(Number(place.getAttribute("data-group")));
    if (!group || painted.get(place) === group.version) return;
    painted.set(place, group.version);
    const button = /** @type {HTMLElement} */ (place.firstElementChild);
    setAttr(button, "class", `cellist-node is-${group.look}${group.total > 1 ? " is-many" : ""}`);
    setAttr(button, "aria-description", group.why ? `${group.label}. ${group.why}` : group.label);
    showDone(button, group.doing);
    const [name, state] = button.children;
    setText(name, group.name);
    setText(state, `${store.icon(group.look)} ${group.detail}`);
    if (group.total < 2) button.children[2]?.remove();
    else paintArc(button.children[2] ?? button.appendChild(makeArc()), group.counts, group.total);
  }

  /** @param {import("./types.js").Graph} graph */
  function pick(graph) {
    const [width, height] = [(size[0] || 600) - 4, (size[1] || 280) - PADDING];
    const fitting = (/** @type {import("./types.js").Drawing} */ { w, h }) => Math.min(1, width / w, height / h);
    // the one that is larger when all of it is seen; of two that are not, the one to scroll downwards
    const wide = fitting(graph.wide) >= Math.min(LEAST_SCALE, fitting(graph.tall)) || graph.wide.w <= graph.tall.w;
    const drawing = wide ? graph.wide : graph.tall;
    const scale = Math.max(LEAST_SCALE, Math.min(1, fitting(drawing)));
    const middle = [width - drawing.w * scale, height - drawing.h * scale].map((space) => Math.max(0, space / 2));
    return { drawing, scale, middle, name: `${wide} ${scale.toFixed(3)} ${middle} ${store.graphVersion}` };
  }

  /** @param {import("./types.js").Graph} graph */
  function layOut(graph) {
    const { drawing, scale, middle, name } = pick(graph);
    if (name === drawn) return;
    drawn = name;
    setAttr(edges, "viewBox", `0 0 ${drawing.w} ${drawing.h}`);
    setAttr(edges, "width", String(drawing.w));
    setAttr(edges, "height", String(drawing.h));
    canvas.style.width = `${drawing.w * scale}px`;
    canvas.style.height = `${drawing.h * scale}px`;
    canvas.style.transform = `translate(${middle[0]}px, ${middle[1]}px)`;
    edges.style.transform = nodes.style.transform = `scale(${scale})`;
    nodes.style.setProperty("--node-w", `${graph.node[0]}px`);
    nodes.style.setProperty("--node-h", `${graph.node[1]}px`);
    setText(more, graph.more ?? "");
    keyed(edges, lines, drawing.edges, ([a, b]) => `${a}-${b}`, () => s("path"),
      (line, [a, b, kind, path]) => {
        setAttr(line, "class", `cellist-edge is-${kind}`);
        setAttr(line, "data-ends", `${a} ${b}`);
        setAttr(line, "d", path);
      });
    places.clear();
    for (const [id, x, y] of drawing.nodes) places.set(id, [x, y]);
    tiles = tiled(drawing, graph.node);
  }

  /** Bring the nodes up to date; one that moves to another block keeps the focus. */
  function fillTiles() {
    const focused = /** @type {HTMLElement | null} */ (nodes.contains(document.activeElement) ? document.activeElement : null);
    blocks.paint(tiles.map((tile) => ({ ...tile, version: `${drawn} ${newest(tile.items.map(([id]) => store.groups.get(id)))}` })));
    for (const [id, place] of made) if (!places.has(id)) made.delete(id), place.remove();
    if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
  }

  return {
    el,
    paint() {
      if (!store.graph) return;
      layOut(store.graph);
      fillTiles();
      settle();
    },
    measure() {
      size = [el.clientWidth, el.parentElement?.clientHeight ?? 0];
    },
    get isBehind() {
      return blocks.isBehind;
    },
    tick() {},
    mark() {
      if (marked === selection.group) return;
      setMarked(made.get(marked), false);
      marked = selection.group;
      setMarked(made.get(marked), true);
      for (const line of lines.values()) {
        const ends = (line.getAttribute("data-ends") ?? "").split(" ");
        setMarked(line, ends.includes(String(marked)));
      }
    },
    focus(group) {
      blocks.reveal(group);
      /** @type {HTMLElement | null | undefined} */ (made.get(group)?.querySelector("button"))?.focus();
    },
    stop() {
      blocks.stop();
    },
  };
}

/**
 * The nodes of a drawing in blocks of those that are near each other.
 * @param {import("./types.js").Drawing} drawing
 * @param {[number, number]} node  How large one is.
 */
export function tiled(drawing, node) {
  const few = drawing.nodes.length <= FEW;
  const [width, height] = few ? [drawing.w, drawing.h] : TILE;
  /** @type {Map<string, {name: string, style: string, items: At[]}>} */
  const tiles = new Map();
  for (const [id, x, y] of drawing.nodes) {
    const [left, top] = few ? [0, 0] : [x - (x % width), y - (y % height)];
    const name = `${left} ${top}`;
    const wide = Math.min(width + node[0], drawing.w - left) + 10; // else there would be something to scroll to
    const high = Math.min(height + node[1], drawing.h - top) + 10;
    const style = `left:${left - 5}px;top:${top - 5}px;width:${wide}px;height:${high}px`;
    const tile = tiles.get(name) ?? { name, style, items: [] };
    tiles.set(name, tile);
    tile.items.push([id, x - left, y - top]);
  }
  return [...tiles.values()];
}

/**
 * The nearest place in the direction of an arrow key; straight on counts as nearer than aside.
 * @param {[number, number][]} places
 * @param {number} at
 * @param {string} key
 * @returns {number | undefined}
 */
export function neighbour(places, at, key) {
  if (key === "Home") return 0;
  if (key === "End") return places.length - 1;
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
  const from = places[at];
  if (!way || !from) return undefined;
  let best = at;
  let least = Infinity;
  places.forEach(([x, y], i) => {
    const [dx, dy] = [x - from[0], y - from[1]];
    const along = dx * way[0] + dy * way[1];
    const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
    if (along > 1 && along + 2 * aside < least) [best, least] = [i, along + 2 * aside];
  });
  return best;
}

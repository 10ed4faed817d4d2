// @ts-check
// Many elements in blocks of a few. What the browser does in every frame for each element it may
// leave out, it does for a block instead; and a block is filled when it comes into sight, or with
// one of the next frames, so that hundreds of elements do not cost one frame all of its time.

import { h, keyed } from "./dom.js";
import { Sight } from "./sight.js";

/** Blocks that are filled at once, before it is known what is in sight. */
const FIRST = 6;
/** Blocks out of sight that a frame brings up to date. */
const SPARE = 2;

/**
 * @template T
 * @typedef {object} Block
 * @property {string | number} name
 * @property {T[]} items
 * @property {string} version  Another one when the elements would look different.
 * @property {string} style  Where it is, or how large while it is left out.
 */

/** @template T */
export class Blocks {
  /**
   * @param {Element} parent
   * @param {(item: T) => string | number} key
   * @param {(item: T) => Element} make
   * @param {(el: any, item: T) => void} update
   * @param {(el: Element) => void} [come]  Told of a block that came into sight and is filled.
   */
  constructor(parent, key, make, update, come) {
    this.parent = parent;
    this.key = key;
    this.make = make;
    this.update = update;
    /** @type {Map<string | number, Element>} */
    this.made = new Map();
    /** @type {WeakMap<Element, {block: Block<T>, version: string, style: string, known: Map<string | number, Element>}>} */
    this.states = new WeakMap();
    this.sight = new Sight((el) => {
      this.fill(el);
      come?.(el);
    });
  }

  /** Whether some block shows what was. */
  get isBehind() {
    return this.sight.isBehind;
  }

  /**
   * Whether an element may be seen.
   * @param {Element} el
   */
  sees(el) {
    return el.parentElement !== null && this.sight.seen.has(el.parentElement);
  }

  /** @param {Block<T>[]} blocks */
  paint(blocks) {
    this.sight.begin(this.made.size ? SPARE : FIRST);
    keyed(this.parent, this.made, blocks, (block) => block.name, (block) => this.begin(block),
      (el, block) => this.offer(el, block));
  }

  /** @param {Block<T>} block */
  begin(block) {
    const el = h("div", { class: "cellist-block", role: "none" });
    this.states.set(el, { block, version: "", style: "", known: new Map() });
    this.sight.watch(el);
    return el;
  }

  /**
   * @param {HTMLElement} el
   * @param {Block<T>} block
   */
  offer(el, block) {
    const state = this.states.get(el);
    if (!state) return;
    state.block = block;
    if (state.style !== block.style) {
      state.style = block.style;
      el.setAttribute("style", block.style);
    }
    if (state.version !== block.version && this.sight.takes(el)) this.fill(el);
  }

  /** @param {Element} el */
  fill(el) {
    const state = this.states.get(el);
    if (!state || state.version === state.block.version) return;
    state.version = state.block.version;
    keyed(el, state.known, state.block.items, this.key, this.make, this.update);
  }

  /**
   * Fill the block of an item, so that it can have the focus.
   * @param {string | number} key
   */
  reveal(key) {
    for (const el of this.made.values()) {
      if (this.states.get(el)?.block.items.some((item) => this.key(item) === key)) this.fill(el);
    }
  }

  stop() {
    this.sight.stop();
  }
}

/**
 * Groups in blocks of ten, each with room for its lines while it is left out.
 * @param {Iterable<import("./types.js").Group>} groups
 * @param {string} around  What all lines depend on, besides their groups.
 * @param {(group: import("./types.js").Group) => number} height  Of a line, in pixels.
 * @returns {Block<import("./types.js").Group>[]}
 */
export function inBlocks(groups, around, height) {
  /** @type {Map<number, import("./types.js").Group[]>} */
  const found = new Map();
  for (const group of groups) {
    const name = Math.floor(group.id / 10);
    const items = found.get(name);
    if (items) items.push(group);
    else found.set(name, [group]);
  }
  return [...found].map(([name, items]) => ({
    name,
    items,
    version: `${around} ${items.length} ${newest(items)}`,
    style: `contain-intrinsic-block-size:auto ${items.reduce((sum, group) => sum + height(group), 0)}px`,
  }));
}

/** @param {Iterable<{version: number} | undefined>} groups */
export function newest(groups) {
  let version = 0;
  for (const group of groups) if (group && group.version > version) version = group.version;
  return version;
}

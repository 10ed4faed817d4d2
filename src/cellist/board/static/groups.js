// @ts-check
// A group as the page knows it: the state of each of its runs, and what follows from those. The
// same words as `wording` in Python, worked out here so that a change of state costs a few bytes
// on the way and nothing where nobody looks: a test compares them.

import { number } from "./numbers.js";

/** @typedef {import("./store.js").Store} Store */

const WHILE_ACTIVE = ["cancelling", "running", "waiting", "paused"];
const QUEUED = ["pending", "scheduled"];
const WHEN_OVER = ["failed", "crashed", "cancelled", "skipped", "completed", "cached", "superseded"];
const TROUBLE = ["failed", "crashed"];

let changes = 0;

export class Group {
  /**
   * @param {number} id
   * @param {Store} store
   */
  constructor(id, store) {
    this.id = id;
    this.store = store;
    this.name = "";
    this.kind = "";
    this.depth = 0;
    this.why = "";
    /** @type {string | null} */
    this.error = null;
    this.lanes = 0;
    this.pitch = 14;
    /** How long many runs took together. @type {string | null} */
    this.together = null;
    /** @type {string[]} */
    this.tags = [];
    /** Given where not every run has a bar. @type {import("./types.js").Pace | null} */
    this.pace = null;
    /** The state of each run, as its letter. @type {string[]} */
    this.cells = [];
    /** Another one whenever something of the group is different; no two groups ever have the same. */
    this.version = changes += 1;
    /** How many runs are over. */
    this.over = 0;
    /** How many runs have a look. @type {Map<string, number>} */
    this.numbers = new Map();
    /** @type {{version: number, counts: [string, number][], look: string}} */
    this.said = { version: -1, counts: [], look: "pending" };
  }

  /** Note that something is different. */
  touch() {
    this.version = changes += 1;
  }

  /** @param {import("./types.js").Facts} facts */
  take({ cells, pace, took, ...facts }) {
    this.touch();
    Object.assign(this, facts);
    if (took !== undefined) this.together = took;
    for (let i = 0; i < (cells?.length ?? 0); i += 1) this.setCell(i, /** @type {string} */ (cells)[i]);
    if (pace) this.pace = merged(this.pace, pace, this.store.order);
  }

  /**
   * @param {number} index
   * @param {string} code
   */
  setCell(index, code) {
    const before = this.cells[index];
    if (before === code) return;
    this.touch();
    this.cells[index] = code;
    const { lookOf, looks } = this.store;
    if (before !== undefined) this.count(lookOf[before], -1, looks);
    this.count(lookOf[code], 1, looks);
  }

  /**
   * @param {string} look
   * @param {number} by
   * @param {Store["looks"]} looks
   */
  count(look, by, looks) {
    this.numbers.set(look, (this.numbers.get(look) ?? 0) + by);
    if (looks[look]?.[3]) this.over += by;
  }

  get total() {
    return this.cells.length;
  }

  /** Its run, if there is only one. */
  get only() {
    return this.total === 1 ? this.store.byGroup.get(this.id)?.get(0) : undefined;
  }

  get run() {
    return this.only?.id ?? null;
  }

  get doing() {
    return this.only?.doing ?? null;
  }

  get took() {
    return (this.total === 1 ? this.only?.took : this.together) ?? null;
  }

  /** What was worked out from the cells, anew if they changed. */
  get words() {
    if (this.said.version !== this.version) {
      this.said = { version: this.version, counts: ordered(this.numbers, this.store.order), look: lookOfMany(this.numbers) };
    }
    return this.said;
  }

  /** How many runs have which look, what deserves attention first. */
  get counts() {
    return this.words.counts;
  }

  get look() {
    return this.words.look;
  }

  get label() {
    return `${this.name}: ${this.counts.map(([look, n]) => `${number(n)} ${this.store.word(look)}`).join(", ")}`;
  }

  get word() {
    return this.only?.word ?? this.store.word(this.look);
  }

  /** Progress, or duration for a single run. */
  get detail() {
    if (this.total !== 1) return progressText(this.numbers, this.over, this.total);
    const only = this.only;
    return only?.took ? `${this.word} · ${only.took}` : only?.node ?? this.word;
  }

  /** The note on runs that are only counted. */
  get more() {
    const rest = this.total - (this.store.byGroup.get(this.id)?.size ?? 0);
    return rest > 0 ? `… and ${number(rest)} more` : null;
  }
}

/**
 * The counts that are not zero, what deserves attention first.
 * @param {Map<string, number>} numbers
 * @param {Record<string, number>} order
 */
export function ordered(numbers, order) {
  return [...numbers].filter(([, n]) => n).sort(([a], [b]) => order[a] - order[b]);
}

/**
 * The look that stands for several runs: what they do now, else how they ended.
 * @param {Map<string, number>} numbers
 */
export function lookOfMany(numbers) {
  const has = (/** @type {string} */ look) => (numbers.get(look) ?? 0) > 0;
  const active = WHILE_ACTIVE.find(has);
  if (active) return active;
  const queued = QUEUED.find(has);
  const over = WHEN_OVER.find(has);
  if (queued) return over ? "running" : queued; // some are over and the others have not started: it is under way
  return over ?? "pending";
}

/**
 * How far a group is: `128 of 200 · 2 failed`, or `200 runs` when it is over.
 * @param {Map<string, number>} numbers
 * @param {number} over
 * @param {number} total
 */
export function progressText(numbers, over, total) {
  const text = over === total ? `${number(total)} run${total === 1 ? "" : "s"}` : `${number(over)} of ${number(total)}`;
  const trouble = TROUBLE.reduce((sum, look) => sum + (numbers.get(look) ?? 0), 0);
  return trouble && trouble < total ? `${text} · ${number(trouble)} failed` : text;
}

/**
 * A pace with its news: all columns, or those that changed.
 * @param {import("./types.js").Pace | null} before
 * @param {import("./types.js").Pace} news
 * @param {Record<string, number>} order
 * @returns {import("./types.js").Pace}
 */
function merged(before, news, order) {
  if (!news.changed) return news;
  const parts = new Map((before?.parts ?? []).map((part) => [`${part[0]} ${part[1]}`, part]));
  for (const part of news.changed) parts.set(`${part[0]} ${part[1]}`, part);
  return { begin: news.begin, width: news.width,
    parts: [...parts.values()].sort((a, b) => a[0] - b[0] || order[a[1]] - order[b[1]]) };
}

// @ts-check
// What the page knows: the last snapshot with all patches since. A gap in the numbers of the
// patches means a message was dropped; then everything is asked for anew.

import { Group } from "./groups.js";

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Row} Row */

const RESYNC_PAUSE = 1000;

export class Store {
  /** @param {() => void} resync  Asks the kernel for a snapshot. */
  constructor(resync) {
    this.resync = resync;
    this.seq = -1;
    this.skew = 0;
    this.closed = false;
    this.lastAsked = 0;
    /** Of each look its icon, its word, its letter, and whether it means that a run is over.
     * @type {Record<string, [string, string, string, boolean]>} */
    this.looks = {};
    /** @type {Record<string, string>} */
    this.lookOf = {};
    /** The place of each look, what deserves attention first. @type {Record<string, number>} */
    this.order = {};
    /** @type {import("./types.js").Header | null} */
    this.header = null;
    /** @type {import("./types.js").Graph | null} */
    this.graph = null;
    this.graphVersion = 0;
    /** @type {Map<number, Group>} */
    this.groups = new Map();
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    /** @type {Map<number, Map<number, Row>>} */
    this.byGroup = new Map();
  }

  /** Whether more is to come. */
  get goesOn() {
    return !this.closed && !this.header?.end;
  }

  /** The kernel's time now, in milliseconds. */
  now() {
    return Date.now() + this.skew;
  }

  /**
   * Take in a message; returns whether there is something new to paint.
   * @param {Message} message
   */
  receive(message) {
    if (message.kind === "snapshot") {
      this.groups.clear();
      this.rows.clear();
      this.byGroup.clear();
      if (message.looks) this.setLooks(message.looks);
      this.closed = message.closed === true;
    } else if (message.kind === "patch") {
      if (message.seq !== this.seq + 1) {
        if (this.seq < 0 || (message.seq ?? 0) > this.seq) this.askAnew();
        return false;
      }
    } else {
      return false;
    }
    this.seq = message.seq ?? 0;
    this.skew = (message.now ?? Date.now()) - Date.now();
    this.merge(message);
    return true;
  }

  askAnew() {
    if (Date.now() - this.lastAsked < RESYNC_PAUSE) return;
    this.lastAsked = Date.now();
    this.resync();
  }

  /** @param {Message} message */
  merge(message) {
    if (message.header) this.header = message.header;
    if (message.graph) {
      this.graph = message.graph;
      this.graphVersion += 1;
    }
    for (const facts of message.groups ?? []) this.groupOf(facts.id).take(facts);
    const [groups, places, codes] = message.cells ?? [[], [], ""];
    for (let i = 0; i < groups.length; i += 1) this.groupOf(groups[i]).setCell(places[i], codes[i]);
    for (const row of message.rows ?? []) {
      this.rows.set(row.id, row);
      let rows = this.byGroup.get(row.g);
      if (!rows) this.byGroup.set(row.g, (rows = new Map()));
      rows.set(row.i, row);
      this.groupOf(row.g).touch();
    }
  }

  /** @param {number} id */
  groupOf(id) {
    let group = this.groups.get(id);
    if (!group) this.groups.set(id, (group = new Group(id, this)));
    return group;
  }

  /** @param {Store["looks"]} looks */
  setLooks(looks) {
    this.looks = looks;
    Object.entries(looks).forEach(([look, [, , code]], place) => {
      this.lookOf[code] = look;
      this.order[look] = place;
    });
  }

  /**
   * The drawn runs of a group, in order.
   * @param {number} group
   * @returns {Row[]}
   */
  rowsOf(group) {
    return [...(this.byGroup.get(group)?.values() ?? [])].sort((a, b) => a.i - b.i);
  }

  /** @param {string} look */
  icon(look) {
    return this.looks[look]?.[0] ?? "?";
  }

  /** @param {string} look */
  word(look) {
    return this.looks[look]?.[1] ?? look;
  }
}

// @ts-check
// Which runs the list shows: those that hold all words, are in one of the states, have one of the
// tags. Nothing chosen means everything.

/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./types.js").Group} Group */

export class Filter {
  constructor() {
    this.text = "";
    /** @type {Set<string>} */
    this.looks = new Set();
    /** @type {Set<string>} */
    this.tags = new Set();
    this.version = 0;
  }

  get active() {
    return this.text.trim() !== "" || this.looks.size > 0 || this.tags.size > 0;
  }

  /** @param {string} text */
  search(text) {
    this.text = text.toLowerCase();
    this.version += 1;
  }

  /**
   * @param {Set<string>} chosen  `looks` or `tags`.
   * @param {string} value
   */
  toggle(chosen, value) {
    if (!chosen.delete(value)) chosen.add(value);
    this.version += 1;
  }

  /** @param {string} look */
  only(look) {
    this.clear();
    this.looks.add(look);
  }

  clear() {
    this.text = "";
    this.looks.clear();
    this.tags.clear();
    this.version += 1;
  }

  /**
   * Whether a run fits, given that its group's name counts as part of it.
   * @param {Row} row
   * @param {string} group
   */
  fits(row, group) {
    if (this.looks.size && !this.looks.has(row.look)) return false;
    if (this.tags.size && !row.tags?.some((tag) => this.tags.has(tag))) return false;
    if (!this.text.trim()) return true;
    const inputs = (row.inputs ?? []).flat();
    const whole = [group, row.name, row.word, row.error, row.why, row.attempt, ...(row.tags ?? []), ...inputs]
      .join("\n").toLowerCase();
    return this.text.split(/\s+/).every((word) => whole.includes(word));
  }

  /**
   * The runs of a group that fit, in the order given.
   * @param {Group} group
   * @param {Row[]} rows
   */
  pick(group, rows) {
    return this.active ? rows.filter((row) => this.fits(row, group.name)) : rows;
  }
}

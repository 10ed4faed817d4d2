// @ts-check
// The search beyond what the page lists: the kernel looks at all runs of the cell and sends some
// that fit. It is asked a moment after the last key, and now and then while runs go on.

const PAUSE = 250;
const AGAIN = 5000;

export class Finder {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./filter.js").Filter} filter
   * @param {(message: object) => void} send
   * @param {() => void} changed
   */
  constructor(store, filter, send, changed) {
    this.store = store;
    this.filter = filter;
    this.send = send;
    this.changed = changed;
    this.timer = 0;
    this.asked = -1;
    this.askedAt = 0;
    /** The version of the filter that was answered, and how many runs fit. */
    this.answer = { version: -1, fit: 0 };
  }

  /** How many runs of the cell fit, as far as the kernel has said. */
  get fit() {
    return this.answer.version === this.filter.version ? this.answer.fit : null;
  }

  /**
   * Whether runs may fit that are not listed.
   * @param {number} total  How many runs there are.
   */
  mayFind(total) {
    return this.filter.active && !this.store.closed && this.store.rows.size < total;
  }

  /**
   * Ask if it is time to.
   * @param {number} total
   */
  look(total) {
    const { filter, store } = this;
    if (!this.mayFind(total) || this.timer) return;
    const isNew = this.asked !== filter.version;
    if (!isNew && !(store.goesOn && Date.now() - this.askedAt > AGAIN)) return;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      if (!filter.active) return;
      this.asked = filter.version;
      this.askedAt = Date.now();
      this.send({ kind: "find", token: filter.version, text: filter.text, looks: [...filter.looks], tags: [...filter.tags] });
    }, PAUSE);
  }

  /** @param {import("./types.js").Message} message */
  receive(message) {
    if (message.kind !== "found" || Number(message.token) !== this.filter.version) return;
    this.answer = { version: this.filter.version, fit: message.fit ?? 0 };
    this.changed();
  }

  stop() {
    window.clearTimeout(this.timer);
  }
}

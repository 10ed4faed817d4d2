// @ts-check
// The colours of the theme for what is painted on a canvas, which no stylesheet reaches.

import { h } from "./dom.js";

export class Inks {
  /**
   * @param {import("./store.js").Store} store
   * @param {() => void} changed  Called when the theme changed.
   */
  constructor(store, changed) {
    this.store = store;
    this.version = 0;
    /** Its colours have a transition of no length in the stylesheet, so a new theme is an event:
     * an observer of the page would outlive the board. */
    this.el = h("i", { class: "cellist-sentinel", "aria-hidden": "true" });
    this.el.addEventListener("transitionrun", () => {
      this.read();
      changed();
    });
    /** @type {Record<string, string>} */
    this.known = {};
  }

  read() {
    const style = getComputedStyle(this.el);
    for (const look of Object.keys(this.store.looks)) {
      this.known[look] = style.getPropertyValue(`--is-${look}`).trim() || "gray";
    }
    for (const name of ["paper", "raised", "text", "quiet", "rule", "focus"]) {
      this.known[name] = style.getPropertyValue(`--${name}`).trim() || "gray";
    }
    this.version += 1;
  }

  /**
   * A colour by look, or by the name of a property.
   * @param {string} name
   */
  get(name) {
    if (!(name in this.known)) this.read();
    return this.known[name] ?? "gray";
  }
}

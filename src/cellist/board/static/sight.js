// @ts-check
// Which of many elements are in sight. Those are painted with every frame; the others are brought
// up to date a few at a time, for whoever reads them without seeing them.

const TOLD = "contentvisibilityautostatechange";

export class Sight {
  /** @param {(el: Element) => void} come  Told of an element that comes into sight. */
  constructor(come) {
    this.come = come;
    this.spare = 0;
    /** Whether one that has changed was left for a later frame. */
    this.isBehind = false;
    /** @type {WeakSet<Element>} */
    this.seen = new WeakSet();
    // The browser watches what the stylesheet gives `content-visibility: auto`, and tells; to have
    // them watched a second time would cost part of every frame.
    this.observer = `on${TOLD}` in document.documentElement ? null : new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.note(target, isIntersecting);
    });
  }

  /** @param {Element} el  That has `content-visibility: auto`. */
  watch(el) {
    if (this.observer) this.observer.observe(el);
    else el.addEventListener(TOLD, (event) => this.note(el, !(/** @type {any} */ (event).skipped)));
  }

  /**
   * @param {Element} el
   * @param {boolean} isSeen
   */
  note(el, isSeen) {
    if (!isSeen) {
      this.seen.delete(el);
      return;
    }
    this.seen.add(el);
    this.come(el);
  }

  /**
   * Begin a frame.
   * @param {number} spare  How many elements may be painted in it that are out of sight.
   */
  begin(spare) {
    this.spare = spare;
    this.isBehind = false;
  }

  /**
   * Whether an element that has changed is to be painted in this frame.
   * @param {Element} el
   */
  takes(el) {
    if (this.seen.has(el)) return true;
    this.spare -= 1;
    if (this.spare < 0) this.isBehind = true;
    return this.spare >= 0;
  }

  stop() {
    this.observer?.disconnect();
  }
}

// @ts-check
// Which of many elements are in sight. Those are painted with every frame; the others are brought
// up to date a few at a time, for whoever reads them without seeing them.

const SPARE = 16;
const TOLD = "contentvisibilityautostatechange";

export class Sight {
  /** @param {(el: Element) => void} come  Told of an element that comes into sight. */
  constructor(come) {
    this.come = come;
    this.spare = 0;
    /** @type {WeakSet<Element>} */
    this.seen = new WeakSet();
    // The browser watches what the stylesheet gives `content-visibility: auto`, and tells; to have
    // hundreds of elements watched a second time would cost a millisecond of every frame.
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
   * @param {boolean} goesOn  Whether there will be another one; the last one leaves nothing behind.
   */
  begin(goesOn) {
    this.spare = goesOn ? SPARE : Infinity;
  }

  /**
   * Whether an element that has changed is to be painted in this frame.
   * @param {Element} el
   */
  takes(el) {
    if (this.seen.has(el)) return true;
    this.spare -= 1;
    return this.spare >= 0;
  }

  stop() {
    this.observer?.disconnect();
  }
}

// @ts-check
// One tab stop for many elements; arrow keys move among them. The elements are made with
// tabindex -1.

import { setAttr } from "./dom.js";

/**
 * Which of the items a key leads to, if they stand below each other.
 * @param {HTMLElement[]} items
 * @param {number} at
 * @param {string} key
 * @returns {number | undefined}
 */
export function lineUp(items, at, key) {
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[key];
  return to === undefined ? undefined : Math.max(0, Math.min(items.length - 1, to));
}

/**
 * @param {HTMLElement} el
 * @param {string} selector  Of the elements that can have the focus.
 * @param {(items: HTMLElement[], at: number, key: string) => number | undefined} [move]
 * @returns {() => void}  To be called when elements came or went.
 */
export function rove(el, selector, move = lineUp) {
  /** @type {HTMLElement | null} */
  let current = null;
  const items = () => /** @type {HTMLElement[]} */ ([...el.querySelectorAll(selector)]).filter((item) => item.offsetParent);

  /** @param {HTMLElement | null} item */
  function choose(item) {
    if (current === item) return;
    if (current) setAttr(current, "tabindex", "-1");
    current = item;
    if (current) setAttr(current, "tabindex", "0");
  }

  el.addEventListener("focusin", (event) => {
    const item = /** @type {Element} */ (event.target).closest(selector);
    if (item) choose(/** @type {HTMLElement} */ (item));
  });
  el.addEventListener("keydown", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (!target.matches(selector) || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = items();
    const to = move(all, all.indexOf(/** @type {HTMLElement} */ (target)), event.key);
    if (to === undefined || !all[to]) return;
    event.preventDefault();
    event.stopPropagation(); // arrows would move the notebook's selection
    all[to].focus();
  });
  return () => {
    // not offsetParent, which would have everything laid out here and now
    if (!current?.isConnected || current.closest("[hidden]")) choose(el.querySelector(selector));
  };
}

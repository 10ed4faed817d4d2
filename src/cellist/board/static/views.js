// @ts-check
// The views of one board. Jupyter does not say so when it draws an output anew: the old view just
// leaves the page. So when a new one comes, those that are out of the page go to sleep; one that was
// only scrolled away wakes when it is back.

/** @typedef {{el: HTMLElement, sleep: () => void}} View */

/** @type {Map<string, Set<View>>} */
const known = new Map();

/**
 * @param {string} ident  Of the board.
 * @param {View} view
 */
export function enter(ident, view) {
  const others = known.get(ident) ?? new Set();
  for (const other of others) {
    if (other === view || other.el.isConnected) continue;
    others.delete(other);
    other.sleep();
  }
  others.add(view);
  known.set(ident, others);
}

/**
 * @param {string} ident
 * @param {View} view
 */
export function leave(ident, view) {
  const others = known.get(ident);
  others?.delete(view);
  if (!others?.size) known.delete(ident);
}

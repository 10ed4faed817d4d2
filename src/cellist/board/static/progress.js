// @ts-check
// How far a run is that counts what it does: a bar at the foot of its line or node.

import { setAttr } from "./dom.js";

/**
 * @param {Element} el
 * @param {import("./types.js").Doing | null | undefined} doing
 */
export function showDone(el, doing) {
  const share = doing?.[0];
  if (typeof share !== "number") {
    setAttr(el, "data-done", null);
    return;
  }
  setAttr(el, "data-done", `${Math.round(share * 100)}`);
  /** @type {HTMLElement} */ (el).style.setProperty("--done", String(share));
}

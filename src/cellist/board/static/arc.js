// @ts-check
// The progress of a group as a ring: one arc for each state, as long as its share.

import { s, setAttr } from "./dom.js";

const RADIUS = 8;

/** @returns {SVGElement} */
export function makeArc() {
  return s("svg", { class: "cellist-arc", viewBox: "0 0 22 22", width: 22, height: 22, "aria-hidden": "true" });
}

/**
 * @param {Element} arc
 * @param {[string, number][]} counts
 * @param {number} total
 */
export function paintArc(arc, counts, total) {
  const parts = total ? counts : [];
  while (arc.children.length > parts.length) arc.lastElementChild?.remove();
  let begin = 0;
  // from the end: what is done starts at the top, what deserves attention closes the ring
  [...parts].reverse().forEach(([look, number], i) => {
    const share = (100 * number) / total;
    const part = arc.children[i] ?? arc.appendChild(
      s("circle", { cx: 11, cy: 11, r: RADIUS, pathLength: 100, transform: "rotate(-90 11 11)" }),
    );
    setAttr(part, "class", `is-${look}`);
    setAttr(part, "stroke-dasharray", `${Math.max(share, 2).toFixed(2)} 100`);
    setAttr(part, "stroke-dashoffset", (-begin).toFixed(2));
    begin += share;
  });
}

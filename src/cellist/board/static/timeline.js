// @ts-check
// The timeline: a band for each group, one bar per attempt, dashes for waits. Bars stand in
// milliseconds; a band is an SVG whose viewBox is the time span, so that growing time moves one
// attribute per band and not every bar.

import { h, keyed, s, setAttr, setText } from "./dom.js";
import { duration, niceStep } from "./time.js";

const TICKS = 6;

/** @param {number} ms */
const tickText = (ms) => duration(ms).replace(".0 s", " s").replace(" 00 s", "").replace(" 00 min", "");

/**
 * @param {import("./store.js").Store} store
 * @param {(group: number, run?: string) => void} open  Shows a run in the list.
 * @returns {import("./types.js").Painter}
 */
export function makeTimeline(store, open) {
  const axis = h("div", { class: "cellist-axis", "aria-hidden": "true" });
  const bands = h("div", { class: "cellist-bands", role: "list", "aria-label": "Tasks over time" });
  const el = h("div", { class: "cellist-timeline" },
    h("div", { class: "cellist-axis-row" }, h("span", {}), axis), bands);
  /** @type {Map<number, Element>} */
  const made = new Map();
  /** @type {WeakMap<Element, Map<string, Element>>} */
  const bars = new WeakMap();
  /** Rows as they were painted: a row that changes is a new object.
   * @type {WeakSet<import("./types.js").Row>} */
  const painted = new WeakSet();
  /** @type {Map<SVGElement, [start: number, row: string]>} */
  const growingBars = new Map();
  let shownSpan = 0;

  const origin = () => store.header?.start ?? 0;

  /** @param {number} now */
  function span(now) {
    const header = store.header;
    if (!header?.start) return 1000;
    if (header.end) return Math.max(1, header.end - header.start);
    const least = Math.max(1000, (now - header.start) * 1.04);
    const step = niceStep(least, TICKS);
    return Math.ceil(least / step) * step; // grows in steps, so that bars do not crawl
  }

  /** @param {import("./types.js").Group} group */
  function makeBand(group) {
    const label = h("button", { class: "cellist-band-name", type: "button" });
    label.addEventListener("click", () => open(group.id));
    const drawing = s("svg", { class: "cellist-lanes", preserveAspectRatio: "none", "aria-hidden": "true" });
    drawing.addEventListener("click", (event) => {
      const run = /** @type {Element} */ (event.target).getAttribute("data-run");
      open(group.id, run ?? undefined);
    });
    const band = h("div", { class: "cellist-band", role: "listitem" }, label);
    band.append(drawing);
    bars.set(band, new Map());
    return band;
  }

  /** One bar: a rectangle for an attempt, a dashed line for a wait.
   * @param {Element} drawing
   * @param {Map<string, Element>} known
   * @param {import("./types.js").Row} row
   * @param {number} index
   * @param {number} pitch  How high a lane is.
   */
  function paintBar(drawing, known, row, index, pitch) {
    const [look, start, end] = /** @type {import("./types.js").Bar[]} */ (row.bars)[index];
    const key = `${row.id}-${index}`;
    let bar = /** @type {SVGElement | undefined} */ (known.get(key));
    const tag = look === "waiting" ? "line" : "rect";
    if (!bar || bar.tagName !== tag) {
      bar?.remove();
      bar = s(tag, { "data-run": row.id, "vector-effect": "non-scaling-stroke" });
      bar.append(s("title"));
      known.set(key, bar);
      drawing.append(bar);
    }
    const y = (row.lane ?? 0) * pitch + 1;
    const x = start - origin();
    setAttr(bar, "class", `cellist-stretch is-${look}${row.shade ? " is-shaded" : ""}`);
    if (tag === "rect") {
      setAttr(bar, "x", String(x));
      setAttr(bar, "y", String(y));
      setAttr(bar, "height", String(pitch - 2));
    } else {
      const middle = String(y + pitch / 2 - 1);
      setAttr(bar, "x1", String(x));
      setAttr(bar, "y1", middle);
      setAttr(bar, "y2", middle);
    }
    if (bar.firstChild) setText(/** @type {Element} */ (bar.firstChild), `${row.name}: ${store.word(look)}`);
    if (end === null && !store.closed) growingBars.set(bar, [x, row.id]);
    else growingBars.delete(bar);
    setEnd(bar, x, (end ?? store.now()) - origin());
  }

  /**
   * @param {SVGElement} bar
   * @param {number} start
   * @param {number} end
   */
  function setEnd(bar, start, end) {
    if (bar.tagName === "line") setAttr(bar, "x2", String(Math.max(start, end)));
    else setAttr(bar, "width", String(Math.max(0, end - start)));
  }

  /**
   * @param {HTMLElement} band
   * @param {import("./types.js").Group} group
   */
  function updateBand(band, group) {
    const [label, drawing] = band.children;
    setText(label, `${store.icon(group.look)} ${group.name}${group.total > 1 ? ` ×${group.total.toLocaleString("en")}` : ""}`);
    setAttr(label, "class", `cellist-band-name is-${group.look}`);
    setAttr(label, "title", group.label);
    setAttr(label, "aria-label", `${group.label}${group.took ? `, took ${group.took}` : ""}`);
    const total = group.lanes * group.pitch + 2;
    setAttr(drawing, "data-height", String(total));
    const style = /** @type {HTMLElement} */ (drawing).style;
    if (style.height !== `${total}px`) style.height = `${total}px`;
    setAttr(drawing, "viewBox", `0 0 ${shownSpan} ${total}`);
    const known = /** @type {Map<string, Element>} */ (bars.get(band));
    const repaint = band.getAttribute("data-pitch") !== String(group.pitch);
    setAttr(band, "data-pitch", String(group.pitch));
    for (const row of store.byGroup.get(group.id)?.values() ?? []) {
      if (painted.has(row) && !repaint) continue;
      painted.add(row);
      (row.bars ?? []).forEach((_, index) => paintBar(drawing, known, row, index, group.pitch));
    }
  }

  /** @param {number} now */
  function rescale(now) {
    const wanted = span(now);
    if (wanted === shownSpan) return;
    shownSpan = wanted;
    const step = niceStep(wanted, TICKS);
    axis.replaceChildren();
    for (let at = 0; at <= wanted; at += step) {
      axis.append(h("span", { style: `left:${(at * 100) / wanted}%` }, at ? tickText(at) : "0"));
    }
    for (const band of made.values()) {
      const drawing = band.children[1];
      setAttr(drawing, "viewBox", `0 0 ${wanted} ${drawing.getAttribute("data-height")}`);
    }
  }

  return {
    el,
    paint() {
      rescale(store.now());
      const groups = [...store.groups.values()].filter((group) => group.lanes > 0);
      keyed(bands, made, groups, (group) => group.id, makeBand, updateBand);
    },
    tick(now) {
      rescale(now);
      for (const [bar, [start, id]] of growingBars) {
        if (!bar.isConnected) growingBars.delete(bar);
        const due = store.rows.get(id)?.due;
        setEnd(bar, start, (bar.tagName === "line" && due ? Math.max(due, now) : now) - origin());
      }
    },
  };
}

// @ts-check
// The timeline: a band for each group, painted on a canvas of its own while it is in sight. The
// names beside the bands are buttons; from them the keys reach every bar.

import { PACE_HEIGHT, paintBars, paintFolds, paintPace, rowAt } from "./bars.js";
import { Blocks, inBlocks } from "./blocks.js";
import { h, setAttr, setMarked, setText } from "./dom.js";
import { number } from "./numbers.js";
import { lineUp, rove } from "./roving.js";
import { makeScale } from "./scale.js";

/** Milliseconds until what runs is drawn longer. */
const GROWTH = 90;
/** Of a band in the stylesheet, above and below its bars. */
const AROUND = 5;

/** @typedef {import("./types.js").Group} Group */
/** @typedef {{el: HTMLElement, label: HTMLElement, canvas: HTMLCanvasElement,
 *   group: Group, version: number, key: string, at: number}} Band */

/**
 * @param {import("./store.js").Store} store
 * @param {import("./selection.js").Selection} selection
 * @param {import("./inks.js").Inks} inks
 * @param {(group: number, run?: string) => void} open  Shows a run in the list.
 * @returns {import("./types.js").Painter}
 */
export function makeTimeline(store, selection, inks, open) {
  const axis = h("div", { class: "cellist-axis", "aria-hidden": "true" });
  const bands = h("div", { class: "cellist-bands", role: "list", "aria-label": "Tasks over time" });
  const el = h("div", { class: "cellist-timeline" },
    h("div", { class: "cellist-axis-row" }, h("span", {}), axis), bands);
  /** @type {Map<number, Band>} */
  const parts = new Map();
  const settle = rove(bands, ".cellist-band-name", lineUp);
  const blocks = new Blocks(bands, (/** @type {Group} */ group) => group.id, makeBand, updateBand, (el) => {
    for (const child of el.children) {
      const band = parts.get(Number(child.getAttribute("data-group")));
      if (band) draw(band, store.now());
    }
  });
  let marked = -1;
  let width = 0;
  let scale = makeScale(0, 1, false, [], 600);

  const rows = (/** @type {number} */ group) => [...(store.byGroup.get(group)?.values() ?? [])];

  /** @param {number} now */
  function rescale(now) {
    const header = store.header;
    const begin = header?.start ?? now;
    const next = makeScale(begin, header?.end ?? now, store.goesOn, header?.idle ?? [], width);
    if (next.key === scale.key) return;
    scale = next;
    axis.replaceChildren(
      ...next.ticks.map(({ x, text }) => h("span", { class: "cellist-tick",
        style: x > width - 20 ? "right:0;transform:none" : `left:${x.toFixed(1)}px` }, text)),
      ...next.folds.map((fold) => h("span", { class: "cellist-fold-text", style: `left:${fold.x}px;width:${fold.width}px`,
        title: `nothing ran for ${fold.text}` }, fold.text)),
    );
  }

  /** @param {Group} group */
  function makeBand(group) {
    const label = h("button", { class: "cellist-band-name", type: "button", tabindex: "-1" });
    const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "cellist-lanes", "aria-hidden": "true" }));
    const band = h("div", { class: "cellist-band", role: "listitem", "data-group": group.id }, label, canvas);
    const id = group.id;
    selection.attach(label, id);
    label.addEventListener("click", () => open(id, selection.group === id && selection.run ? selection.run : undefined));
    label.addEventListener("keydown", (event) => step(event, id));
    const at = (/** @type {MouseEvent} */ event) => {
      const pitch = store.groups.get(id)?.pitch ?? 7;
      return rowAt(rows(id), event.offsetX, event.offsetY, { scale, pitch, now: store.now() });
    };
    canvas.addEventListener("pointermove", (event) => selection.point(id, at(event)?.id));
    canvas.addEventListener("pointerleave", () => selection.leave());
    canvas.addEventListener("click", (event) => open(id, at(event)?.id));
    parts.set(id, { el: band, label, canvas, group, version: -1, key: "", at: 0 });
    return band;
  }

  /**
   * Left and right go from bar to bar.
   * @param {KeyboardEvent} event
   * @param {number} id
   */
  function step(event, id) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const drawn = rows(id).filter((row) => row.lane !== undefined && row.bars?.length);
    drawn.sort((a, b) => (a.bars?.[0][1] ?? 0) - (b.bars?.[0][1] ?? 0));
    const place = drawn.findIndex((row) => row.id === selection.run);
    const next = drawn[place < 0 ? (by > 0 ? 0 : drawn.length - 1) : Math.max(0, Math.min(drawn.length - 1, place + by))];
    if (next) selection.point(id, next.id, true);
  }

  /**
   * @param {Element} el
   * @param {Group} group
   */
  function updateBand(el, group) {
    const band = parts.get(group.id);
    if (!band) return;
    band.group = group;
    setMarked(el, group.id === selection.group);
    name(band);
  }

  /** Say beside a band what it is. @param {Band} band */
  function name(band) {
    const group = band.group;
    if (band.version === group.version) return;
    band.version = group.version;
    const many = group.total > 1 ? ` ×${number(group.total)}` : "";
    setText(band.label, `${store.icon(group.look)} ${group.name}${many}`);
    setAttr(band.label, "class", `cellist-band-name is-${group.look}`);
    setAttr(band.label, "style", `--depth:${Math.min(group.depth, 6)}`);
    setAttr(band.label, "aria-description", `${group.label}${group.took ? `, took ${group.took}` : ""}`);
    const height = heightOf(group);
    if (band.canvas.style.height !== `${height}px`) band.canvas.style.height = `${height}px`;
  }

  /**
   * Paint a band if it would look different: what runs grows with time, the rest stays.
   * @param {Band} band
   * @param {number} now
   */
  function draw(band, now) {
    const { group, canvas } = band;
    const pen = canvas.getContext("2d");
    if (!pen || width <= 0) return;
    const marked = selection.group === group.id ? selection.run : "";
    const key = `${scale.key}|${inks.version}|${marked}|${window.devicePixelRatio}|${group.version}`;
    const grows = store.goesOn && group.over < group.total && now - band.at >= GROWTH;
    if (key === band.key && !grows) return;
    band.key = key;
    band.at = now;
    const height = heightOf(group);
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (scale.folds.length) paintFolds(pen, scale, height, inks.get("rule"));
    const how = { scale, pitch: group.pitch, width, now: store.closed ? scale.time(width) : now, marked, inks };
    if (group.pace) paintPace(pen, group.pace, how);
    else paintBars(pen, rows(group.id), how);
  }

  /** @param {number} now */
  function drawAll(now) {
    for (const band of parts.values()) if (blocks.sees(band.el)) draw(band, now);
  }

  return {
    el,
    paint() {
      const now = store.now();
      rescale(now);
      const groups = [...store.groups.values()].filter((group) => group.lanes > 0);
      blocks.paint(inBlocks(groups, "", (group) => heightOf(group) + AROUND));
      for (const [id, band] of parts) if (!band.el.isConnected) parts.delete(id);
      settle();
      drawAll(now);
    },
    measure() {
      width = axis.clientWidth;
    },
    get isBehind() {
      return blocks.isBehind;
    },
    tick(now) {
      if (!store.goesOn) return;
      rescale(now);
      drawAll(now);
    },
    mark() {
      setMarked(parts.get(marked)?.el, false);
      marked = selection.group;
      setMarked(parts.get(marked)?.el, true);
      drawAll(store.now());
    },
    focus(group) {
      blocks.reveal(group);
      parts.get(group)?.label.focus();
    },
    stop() {
      blocks.stop();
    },
  };
}

/** @param {Group} group */
function heightOf(group) {
  return group.pace ? PACE_HEIGHT : Math.max(16, group.lanes * group.pitch + 2);
}

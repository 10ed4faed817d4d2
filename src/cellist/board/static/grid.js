// @ts-check
// All runs of a group as small cells on a canvas: ten thousand fit, and one glance finds what
// failed. The counts above and the rows below say the same in words; for the keyboard it is a list
// of which one cell at a time can be chosen.

import { h, setAttr, setText } from "./dom.js";
import { number } from "./numbers.js";

const MARKED = new Set(["failed", "crashed"]);
/** Left padding of the group's body in the stylesheet. */
const INDENT = 20;
const HOLLOW = new Set(["pending", "scheduled", "waiting"]);
let made = 0;

/**
 * @param {import("./store.js").Store} store
 * @param {number} id  The group.
 * @param {import("./selection.js").Selection} selection
 * @param {import("./inks.js").Inks} inks
 * @param {(index: number) => void} open
 */
export function makeGrid(store, id, selection, inks, open) {
  const chosen = h("div", { role: "option", id: `cellist-cell-${(made += 1)}`, "aria-selected": "true" });
  const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "cellist-grid", tabindex: "0", role: "listbox",
    "aria-activedescendant": chosen.id }, chosen));
  let pitch = 13;
  let columns = 1;
  let geometry = "";
  let cursor = 0;
  let outlined = -1;
  /** Codes as drawn, so that a change costs one cell and not ten thousand.
   * @type {string[]} */
  let drawn = [];
  const pen = canvas.getContext("2d");

  const cells = () => store.groups.get(id)?.cells ?? [];

  /** @param {number} index */
  function nameOf(index) {
    const row = store.byGroup.get(id)?.get(index);
    return row ? `${row.name}: ${row.word}` : `run ${number(index + 1)}: ${store.word(store.lookOf[cells()[index]])}`;
  }

  /** @param {MouseEvent} event */
  function indexAt(event) {
    const column = Math.floor(event.offsetX / pitch);
    const index = Math.floor(event.offsetY / pitch) * columns + column;
    return column < columns && index >= 0 && index < cells().length ? index : -1;
  }

  /**
   * @param {number} index
   * @param {boolean} byKeyboard
   */
  function point(index, byKeyboard) {
    cursor = index;
    setText(chosen, nameOf(index));
    canvas.title = byKeyboard ? "" : nameOf(index);
    selection.point(id, store.byGroup.get(id)?.get(index)?.id ?? "", byKeyboard);
    outline(index);
  }

  canvas.addEventListener("click", (event) => {
    const index = indexAt(event);
    if (index >= 0) open(index);
  });
  canvas.addEventListener("pointermove", (event) => {
    const index = indexAt(event);
    if (index >= 0 && index !== outlined) point(index, false);
  });
  canvas.addEventListener("pointerleave", () => selection.leave());
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) point(Math.min(cursor, cells().length - 1), true);
  });
  canvas.addEventListener("blur", () => selection.leave());
  canvas.addEventListener("keydown", (event) => {
    const last = cells().length - 1;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -last, End: last }[event.key];
    if (event.key === "Enter" || event.key === " ") open(cursor);
    else if (by !== undefined) point(Math.max(0, Math.min(last, cursor + by)), true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  /** Fit the canvas to width and number of cells; returns whether all must be drawn anew.
   * @param {number} count
   */
  function fit(count) {
    pitch = count > 2000 ? 8 : 13;
    const width = (canvas.parentElement?.clientWidth || 600) - INDENT;
    columns = Math.max(1, Math.floor(width / pitch));
    const height = Math.ceil(count / columns) * pitch;
    const ratio = window.devicePixelRatio || 1;
    const now = `${columns} ${height} ${pitch} ${ratio} ${inks.version}`;
    if (now === geometry) return false;
    geometry = now;
    canvas.width = columns * pitch * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${columns * pitch}px`;
    canvas.style.height = `${height}px`;
    pen?.scale(ratio, ratio);
    return true;
  }

  /** @param {number} index */
  function draw(index) {
    if (!pen) return;
    const [x, y] = [(index % columns) * pitch, Math.floor(index / columns) * pitch];
    const look = store.lookOf[cells()[index]];
    pen.clearRect(x, y, pitch, pitch);
    paintCell(pen, look, inks.get(look), x + 1, y + 1, pitch - (pitch > 10 ? 4 : 3), inks.get("paper"));
    if (index !== outlined) return;
    pen.setLineDash([]);
    pen.strokeStyle = inks.get("text");
    pen.strokeRect(x + 0.5, y + 0.5, pitch - 2, pitch - 2);
  }

  /** @param {number} index */
  function outline(index) {
    if (index === outlined) return;
    const before = outlined;
    outlined = index;
    for (const one of [before, index]) if (one >= 0 && one < cells().length) draw(one);
  }

  return {
    el: canvas,
    paint() {
      const group = store.groups.get(id);
      const all = cells();
      if (!group || !all.length || !pen) return;
      setAttr(canvas, "aria-label", group.label);
      if (fit(all.length)) drawn = [];
      setText(chosen, nameOf(Math.min(cursor, all.length - 1)));
      for (let i = 0; i < all.length; i += 1) {
        if (all[i] === drawn[i]) continue;
        drawn[i] = all[i];
        draw(i);
      }
    },
    /** Outline the run that is marked anywhere. */
    mark() {
      const row = store.rows.get(selection.run);
      if (row && row.g === id) outline(row.i);
      else if (selection.group !== id || !selection.pointed) outline(-1);
    },
  };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {string} look
 * @param {string} ink
 * @param {number} x
 * @param {number} y
 * @param {number} size
 * @param {string} paper
 */
function paintCell(pen, look, ink, x, y, size, paper) {
  pen.fillStyle = pen.strokeStyle = ink;
  pen.lineWidth = 1;
  if (HOLLOW.has(look)) {
    pen.setLineDash(look === "waiting" ? [2, 2] : []);
    pen.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
  } else if (look === "cached") {
    pen.beginPath();
    pen.moveTo(x + size / 2, y);
    pen.lineTo(x + size, y + size / 2);
    pen.lineTo(x + size / 2, y + size);
    pen.lineTo(x, y + size / 2);
    pen.fill();
  } else {
    pen.fillRect(x, y, size, size);
    if (look === "running") pen.clearRect(x + size * 0.3, y + size * 0.3, size * 0.4, size * 0.4);
    if (!MARKED.has(look)) return;
    pen.setLineDash([]);
    pen.strokeStyle = paper;
    pen.beginPath();
    pen.moveTo(x + 1, y + 1);
    pen.lineTo(x + size - 1, y + size - 1);
    pen.moveTo(x + size - 1, y + 1);
    pen.lineTo(x + 1, y + size - 1);
    pen.stroke();
  }
}

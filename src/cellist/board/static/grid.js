// @ts-check
// All runs of a group as small cells on a canvas: ten thousand fit, and one glance finds what
// failed. The counts above and the rows below say the same in words.

import { h, setAttr } from "./dom.js";

const MARKED = new Set(["failed", "crashed"]);
/** Left padding of the group's body in the stylesheet. */
const INDENT = 20;
const HOLLOW = new Set(["pending", "scheduled", "waiting"]);

/**
 * @param {import("./store.js").Store} store
 * @param {number} id  The group.
 * @param {(run: string) => void} open
 */
export function makeGrid(store, id, open) {
  const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "cellist-grid", role: "img" }));
  let pitch = 13;
  let columns = 1;
  let geometry = "";
  /** Codes as drawn, so that a change costs one cell and not ten thousand.
   * @type {string[]} */
  let drawn = [];
  /** @type {Record<string, [look: string, ink: string]>} */
  const inks = {};
  const pen = canvas.getContext("2d");

  /** @param {MouseEvent} event */
  function rowAt(event) {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / pitch);
    const index = Math.floor((event.clientY - box.top) / pitch) * columns + column;
    return column < columns ? { index, row: store.byGroup.get(id)?.get(index) } : { index: -1, row: undefined };
  }

  canvas.addEventListener("click", (event) => {
    const { row } = rowAt(event);
    if (row) open(row.id);
  });
  canvas.addEventListener("mousemove", (event) => {
    const { index, row } = rowAt(event);
    const code = store.groups.get(id)?.cells?.[index];
    const look = Object.entries(store.looks).find(([, known]) => known[2] === code);
    canvas.title = row ? `${row.name}: ${row.word}` : look ? `run ${index + 1}: ${look[1][1]}` : "";
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
    const now = `${columns} ${height} ${pitch} ${ratio} ${getComputedStyle(canvas).getPropertyValue("--is-failed")}`;
    if (now === geometry) return false;
    geometry = now;
    canvas.width = columns * pitch * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${columns * pitch}px`;
    canvas.style.height = `${height}px`;
    pen?.scale(ratio, ratio);
    return true;
  }

  function readInks() {
    const style = getComputedStyle(canvas);
    for (const [look, known] of Object.entries(store.looks)) {
      inks[known[2]] = [look, style.getPropertyValue(`--is-${look}`).trim() || "gray"];
    }
  }

  function paint() {
    const group = store.groups.get(id);
    const cells = group?.cells;
    if (!group || !cells || !pen) return;
    setAttr(canvas, "aria-label", group.label);
    if (fit(cells.length)) {
      readInks();
      drawn = [];
    }
    const size = pitch - (pitch > 10 ? 3 : 2);
    for (let i = 0; i < cells.length; i += 1) {
      if (cells[i] === drawn[i]) continue;
      const [x, y] = [(i % columns) * pitch, Math.floor(i / columns) * pitch];
      if (drawn[i]) pen.clearRect(x, y, pitch, pitch);
      drawn[i] = cells[i];
      const [look, ink] = inks[cells[i]] ?? ["", "gray"];
      paintCell(pen, look, ink, x, y, size);
    }
  }

  return { el: canvas, paint };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {string} look
 * @param {string} ink
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
function paintCell(pen, look, ink, x, y, size) {
  pen.fillStyle = pen.strokeStyle = ink;
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
    if (MARKED.has(look)) {
      pen.strokeStyle = "#fff";
      pen.beginPath();
      pen.moveTo(x + 2, y + 2);
      pen.lineTo(x + size - 2, y + size - 2);
      pen.moveTo(x + size - 2, y + 2);
      pen.lineTo(x + 2, y + size - 2);
      pen.stroke();
    }
  }
}

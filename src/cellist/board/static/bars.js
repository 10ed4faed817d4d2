// @ts-check
// One band of the timeline on a canvas: a bar for each attempt, dashes for waits; of a group with
// more runs than bars, how many ended when.

/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./scale.js").Scale} Scale */

export const PACE_HEIGHT = 42;
const LEAST_WIDTH = 2;
const REACH = 4;
const MARKED = new Set(["failed", "crashed"]);
const HOLLOW = new Set(["pending", "scheduled", "cancelled", "skipped", "superseded", "paused"]);

/**
 * The end of a stretch that may still last; a wait lasts until its next attempt is due.
 * @param {Row} row
 * @param {import("./types.js").Bar} bar
 * @param {number} now
 */
export function endOf(row, [look, , end], now) {
  if (end !== null) return end;
  return look === "waiting" && row.due ? Math.max(row.due, now) : now;
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Iterable<Row>} rows
 * @param {{scale: Scale, pitch: number, width: number, now: number, marked: string,
 *   inks: import("./inks.js").Inks}} how
 */
export function paintBars(pen, rows, how) {
  for (const row of rows) {
    if (row.lane === undefined) continue;
    const y = row.lane * how.pitch + 1;
    const height = how.pitch - (how.pitch > 5 ? 2 : 1);
    for (const bar of row.bars ?? []) {
      const x = how.scale.x(bar[1]);
      const width = Math.max(LEAST_WIDTH, Math.min(how.scale.x(endOf(row, bar, how.now)), how.width) - x);
      paintBar(pen, bar[0], how.inks.get(bar[0]), x, y, width, height, row.shade === true);
    }
  }
  if (how.marked) paintMark(pen, rows, how);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {string} look
 * @param {string} ink
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @param {boolean} shade
 */
function paintBar(pen, look, ink, x, y, width, height, shade) {
  pen.fillStyle = pen.strokeStyle = ink;
  if (look === "waiting") {
    pen.lineWidth = 1.5;
    pen.setLineDash([4, 3]);
    pen.beginPath();
    pen.moveTo(x, y + height / 2);
    pen.lineTo(x + width, y + height / 2);
    pen.stroke();
    pen.setLineDash([]);
  } else if (HOLLOW.has(look)) {
    pen.lineWidth = 1;
    pen.strokeRect(x + 0.5, y + 0.5, Math.max(1, width - 1), height - 1);
  } else if (look === "cached" && height > 4 && width < 2 * height) {
    paintDiamond(pen, x + height / 2, y + height / 2, height / 2);
  } else {
    pen.globalAlpha = look === "running" ? 0.6 : shade && !MARKED.has(look) ? 0.75 : 1;
    pen.fillRect(x, y, width, height);
    pen.globalAlpha = 1;
    if (look === "running") pen.fillRect(x, y, Math.min(2, width), height);
    if (MARKED.has(look)) paintCross(pen, x + width - 1, y + height / 2, Math.min(height, 9) / 2);
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
function paintDiamond(pen, x, y, size) {
  pen.beginPath();
  pen.moveTo(x, y - size);
  pen.lineTo(x + size, y);
  pen.lineTo(x, y + size);
  pen.lineTo(x - size, y);
  pen.fill();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
function paintCross(pen, x, y, size) {
  if (size < 2) return;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(x - size, y - size);
  pen.lineTo(x + size, y + size);
  pen.moveTo(x + size, y - size);
  pen.lineTo(x - size, y + size);
  pen.stroke();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Iterable<Row>} rows
 * @param {{scale: Scale, pitch: number, width: number, now: number, marked: string,
 *   inks: import("./inks.js").Inks}} how
 */
function paintMark(pen, rows, how) {
  for (const row of rows) {
    if (row.id !== how.marked || row.lane === undefined || !row.bars?.length) continue;
    const x = how.scale.x(row.bars[0][1]);
    const last = row.bars[row.bars.length - 1];
    const end = Math.min(how.scale.x(endOf(row, last, how.now)), how.width);
    pen.strokeStyle = how.inks.get("text");
    pen.lineWidth = 1.5;
    pen.strokeRect(x - 1, row.lane * how.pitch + 0.5, Math.max(LEAST_WIDTH, end - x) + 2, how.pitch - 1);
  }
}

/**
 * The run at a place, or the nearest one in its lane.
 * @param {Iterable<Row>} rows
 * @param {number} x
 * @param {number} y
 * @param {{scale: Scale, pitch: number, now: number}} how
 * @returns {Row | undefined}
 */
export function rowAt(rows, x, y, how) {
  const lane = Math.floor(y / how.pitch);
  let nearest;
  let reach = REACH;
  for (const row of rows) {
    if (row.lane !== lane) continue;
    for (const bar of row.bars ?? []) {
      const begin = how.scale.x(bar[1]);
      const away = Math.max(begin - x, x - Math.max(how.scale.x(endOf(row, bar, how.now)), begin + LEAST_WIDTH), 0);
      if (away < reach) [nearest, reach] = [row, away];
    }
  }
  return nearest;
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {import("./types.js").Pace} pace
 * @param {{scale: Scale, inks: import("./inks.js").Inks}} how
 */
export function paintPace(pen, pace, how) {
  /** @type {Map<number, number>} */
  const sums = new Map();
  for (const [place, , number] of pace.parts ?? []) sums.set(place, (sums.get(place) ?? 0) + number);
  const most = Math.max(1, ...sums.values());
  let column = -1;
  let y = 0;
  for (const [place, look, number] of pace.parts ?? []) {
    if (place !== column) [column, y] = [place, PACE_HEIGHT - 1];
    const begin = pace.begin + place * pace.width;
    const x = how.scale.x(begin);
    const width = Math.max(1, how.scale.x(begin + pace.width) - x - 0.5);
    const height = Math.max(MARKED.has(look) ? 2 : 0, (number * (PACE_HEIGHT - 3)) / most);
    pen.fillStyle = how.inks.get(look);
    pen.fillRect(x, y - height, width, height);
    y -= height;
  }
}

/**
 * Stripes where idle time is folded.
 * @param {CanvasRenderingContext2D} pen
 * @param {Scale} scale
 * @param {number} height
 * @param {string} ink
 */
export function paintFolds(pen, scale, height, ink) {
  pen.strokeStyle = ink;
  pen.lineWidth = 1;
  for (const fold of scale.folds) {
    pen.save();
    pen.beginPath();
    pen.rect(fold.x + 1, 0, fold.width - 2, height);
    pen.clip();
    pen.beginPath();
    for (let x = fold.x - height; x < fold.x + fold.width; x += 6) {
      pen.moveTo(x, height);
      pen.lineTo(x + height, 0);
    }
    pen.stroke();
    pen.restore();
  }
}

// @ts-check
// From time to place on the timeline and back. Stretches in which everything waited are folded to
// a fixed width, so that a night of waiting leaves room for the minutes of work.

import { duration, niceStep } from "./time.js";

const FOLD = 44;
const LEAST_IDLE = 1000;
const TICK_ROOM = 64;

/**
 * @typedef {object} Fold
 * @property {number} begin
 * @property {number} end
 * @property {number} x
 * @property {number} width
 * @property {string} text  How long it was.
 *
 * @typedef {object} Scale
 * @property {(time: number) => number} x
 * @property {(x: number) => number} time
 * @property {Fold[]} folds
 * @property {{x: number, text: string}[]} ticks
 * @property {string} key  Two scales with the same key draw the same.
 */

/** @param {number} ms */
export const tickText = (ms) => (ms === 0 ? "0" : duration(ms).replace(".0 s", " s").replace(" 00 s", "").replace(" 00 min", ""));

/**
 * @param {number} begin
 * @param {number} now
 * @param {boolean} goesOn  The end grows in steps then, so that bars do not crawl.
 * @param {[number, number | null][]} idle
 * @param {number} width  Pixels.
 * @returns {Scale}
 */
export function makeScale(begin, now, goesOn, idle, width) {
  const gaps = foldable(begin, now, idle);
  const folded = gaps.reduce((sum, [a, b]) => sum + b - a, 0);
  const worked = Math.max(1, now - begin - folded);
  const room = Math.max(40, width - gaps.length * FOLD);
  const shown = goesOn ? rounded(Math.max(1000, worked * 1.04)) : worked;
  const perMs = room / shown;

  /** @type {Fold[]} */
  const folds = [];
  let x = 0;
  let at = begin;
  for (const [a, b] of gaps) {
    x += (a - at) * perMs;
    folds.push({ begin: a, end: b, x, width: FOLD, text: `+${tickText(b - a)}` });
    x += FOLD;
    at = b;
  }

  /** @param {number} time */
  const place = (time) => {
    let past = 0;
    for (const fold of folds) {
      if (time < fold.begin) break;
      if (time < fold.end) return fold.x + (FOLD * (time - fold.begin)) / (fold.end - fold.begin);
      past += FOLD / perMs - (fold.end - fold.begin);
    }
    return (time - begin + past) * perMs;
  };

  /** @param {number} px */
  const back = (px) => {
    let past = 0;
    for (const fold of folds) {
      if (px < fold.x) break;
      if (px < fold.x + FOLD) return fold.begin + ((px - fold.x) / FOLD) * (fold.end - fold.begin);
      past += fold.end - fold.begin - FOLD / perMs;
    }
    return begin + px / perMs + past;
  };

  const key = `${begin} ${shown} ${width} ${gaps.join()}`;
  return { x: place, time: back, folds, ticks: ticksOf(begin, shown + folded, room, shown, folds, place, width), key };
}

/**
 * The gaps that are worth folding; one that goes on ends now.
 * @param {number} begin
 * @param {number} now
 * @param {[number, number | null][]} idle
 * @returns {[number, number][]}
 */
function foldable(begin, now, idle) {
  const known = idle.map(([a, b]) => /** @type {[number, number]} */ ([Math.max(a, begin), Math.min(b ?? now, now)]));
  const worked = now - begin - known.reduce((sum, [a, b]) => sum + Math.max(0, b - a), 0);
  return known.filter(([a, b]) => b - a > Math.max(LEAST_IDLE, worked / 3));
}

/** @param {number} span */
function rounded(span) {
  const step = niceStep(span, 12);
  return Math.ceil(span / step) * step;
}

/**
 * Where the axis names a time: at round steps, but not within a fold nor over its text.
 * @param {number} begin
 * @param {number} span
 * @param {number} room
 * @param {number} shown
 * @param {Fold[]} folds
 * @param {(time: number) => number} place
 * @param {number} width
 */
function ticksOf(begin, span, room, shown, folds, place, width) {
  const step = niceStep(shown, Math.max(1, Math.floor(room / TICK_ROOM)));
  const ticks = [];
  let last = -TICK_ROOM;
  for (let at = 0; at <= span; at += step) {
    const fold = folds.find((one) => begin + at > one.begin && begin + at < one.end);
    if (fold) {
      at += Math.floor((fold.end - begin - at) / step) * step; // a long one has many steps
      continue;
    }
    const x = place(begin + at);
    if (x > width + 1) break;
    const crowded = folds.some((one) => x > one.x - TICK_ROOM / 2 && x < one.x + FOLD + TICK_ROOM / 3);
    if ((crowded && at > 0) || x - last < TICK_ROOM * 0.6) continue;
    ticks.push({ x, text: tickText(at) });
    last = x;
  }
  return ticks;
}

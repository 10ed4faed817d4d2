// @ts-check
// Durations that tick. The same words as `wording.duration` in Python: a test compares them.

/**
 * @param {number} ms
 * @returns {string}
 */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 0.9995) return `${Math.round(ms)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/**
 * A duration that is still growing: no milliseconds, they would only flicker.
 * @param {number} ms
 */
export function growing(ms) {
  return ms < 9950 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : duration(ms);
}

/**
 * Time left until a moment, counted in whole seconds from above.
 * @param {number} ms
 */
export function countdown(ms) {
  return ms <= 0 ? "now" : `in ${duration(Math.ceil(ms / 1000) * 1000).replace(".0 s", " s")}`;
}

/**
 * Round spans up in steps, so that a growing axis moves seldom.
 * @param {number} ms
 */
export function niceSpan(ms) {
  let step = 500;
  while (step < ms) step *= step.toString().startsWith("2") ? 2 : 1.6;
  return step;
}

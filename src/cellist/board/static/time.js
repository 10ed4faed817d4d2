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
 * A round step for an axis: 1, 2 or 5 times a power of ten, or what is round in minutes and hours.
 * @param {number} span  Milliseconds the axis shows.
 * @param {number} most  How many steps at the most.
 */
export function niceStep(span, most) {
  const least = span / most;
  const round = [6e4, 12e4, 3e5, 6e5, 12e5, 18e5, 36e5, 72e5, 144e5, 288e5, 432e5, 864e5];
  if (least > 3e4) return round.find((step) => step >= least) ?? Math.ceil(least / 864e5) * 864e5;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10);
}

// @ts-check
// In command mode JupyterLab takes keys from whatever has the focus in a notebook: d twice would
// delete the cell, Enter would edit it. It leaves alone only an element that itself says so. While
// Control or Command is held it does not say so, as saving has to work from everywhere.

const LEAVE_ALONE = "data-lm-suppress-shortcuts";
const HELD = new Set(["Control", "Meta"]);

/** @param {HTMLElement} root */
export function keepKeys(root) {
  root.addEventListener("focusin", (event) => say(event, true));
  root.addEventListener("keydown", (event) => HELD.has(event.key) && say(event, false));
  root.addEventListener("keyup", (event) => HELD.has(event.key) && say(event, true));
}

/**
 * @param {Event} event
 * @param {boolean} leaveAlone
 */
function say(event, leaveAlone) {
  /** @type {Element} */ (event.target).toggleAttribute(LEAVE_ALONE, leaveAlone);
}

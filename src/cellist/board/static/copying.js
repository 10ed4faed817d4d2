// @ts-check
// Text to the clipboard. A page that is not served securely has none to offer; then the text is
// selected the old way.

import { h, setText } from "./dom.js";

const SHOWN_FOR = 2500;

/**
 * Copy a text; resolves to whether that worked.
 * @param {string} text
 * @param {HTMLElement} place  Where a field may stand for a moment.
 */
export async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = /** @type {HTMLTextAreaElement} */ (h("textarea", { class: "cellist-spoken", "aria-hidden": "true" }));
    field.value = text;
    place.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/**
 * @param {string} label
 * @param {string} text
 * @param {string} about  What the text is of, for screen readers.
 */
export function copyButton(label, text, about) {
  const words = h("span", { "aria-live": "polite" }, label);
  const el = h("button", { type: "button", class: "cellist-button", "aria-label": `${label}: ${about}` }, words);
  el.addEventListener("click", async () => {
    const done = await copy(text, el);
    setText(words, done ? "Copied" : "Select it below");
    window.setTimeout(() => setText(words, label), SHOWN_FOR);
  });
  return el;
}

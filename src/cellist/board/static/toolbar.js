// @ts-check
// Above the list: search, and a switch for each state and each tag there is.

import { h, keyed, setAttr, setText } from "./dom.js";
import { number } from "./numbers.js";

/**
 * @param {import("./store.js").Store} store
 * @param {import("./filter.js").Filter} filter
 * @param {() => void} changed
 */
export function makeToolbar(store, filter, changed) {
  const input = /** @type {HTMLInputElement} */ (h("input", { class: "cellist-search", type: "search",
    placeholder: "Search runs", "aria-label": "Search runs", autocomplete: "off", spellcheck: "false" }));
  const looks = h("span", { class: "cellist-switches", role: "group", "aria-label": "States" });
  const tags = h("span", { class: "cellist-switches", role: "group", "aria-label": "Tags" });
  const found = h("span", { class: "cellist-found", role: "status" });
  const el = h("div", { class: "cellist-toolbar", role: "search" }, input, looks, tags, found);
  /** @type {Map<string, Element>} */
  const lookButtons = new Map();
  /** @type {Map<string, Element>} */
  const tagButtons = new Map();

  input.addEventListener("input", () => {
    filter.search(input.value);
    changed();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !input.value) return;
    event.stopPropagation();
    input.value = "";
    filter.search("");
    changed();
  });

  /**
   * @param {Set<string>} chosen
   * @param {string} value
   */
  function makeSwitch(chosen, value) {
    const button = h("button", { class: "cellist-switch", type: "button" });
    button.addEventListener("click", () => {
      filter.toggle(chosen, value);
      changed();
    });
    return button;
  }

  return {
    el,
    paint() {
      if (input !== document.activeElement && input.value.toLowerCase() !== filter.text) input.value = filter.text;
      const counts = new Map(store.header?.counts);
      for (const look of filter.looks) if (!counts.has(look)) counts.set(look, 0);
      keyed(looks, lookButtons, counts, ([look]) => look, ([look]) => makeSwitch(filter.looks, look),
        (button, [look, n]) => {
          setAttr(button, "class", `cellist-switch is-${look}`);
          setAttr(button, "aria-pressed", String(filter.looks.has(look)));
          setText(button, `${store.icon(look)} ${store.word(look)} ${number(n)}`);
        });
      const known = new Set([...store.groups.values()].flatMap((group) => group.tags ?? []).concat(...filter.tags));
      keyed(tags, tagButtons, [...known].sort(), (tag) => tag, (tag) => makeSwitch(filter.tags, tag),
        (button, tag) => {
          setAttr(button, "aria-pressed", String(filter.tags.has(tag)));
          setText(button, `#${tag}`);
        });
    },
    /**
     * @param {number} shown  Runs that fit and are listed.
     * @param {number} listed
     * @param {number} all
     * @param {number | null} fit  Runs that fit, listed or not, if that is known.
     */
    tell(shown, listed, all, fit) {
      const more = fit !== null && fit > shown ? `, ${number(shown)} listed` : "";
      const whole = fit !== null || listed >= all ? `${number(Math.max(fit ?? 0, shown))} of ${number(all)} runs${more}`
        : `${number(shown)} of ${number(listed)} listed runs`;
      setText(found, filter.active ? whole : "");
    },
    focus() {
      input.focus();
    },
  };
}

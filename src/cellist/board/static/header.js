// @ts-check
// The lines above the tabs: state, title, time, counts, what reuse saved, the next retry.

import { h, keyed, setAttr, setText } from "./dom.js";
import { number } from "./numbers.js";
import { growing } from "./time.js";

const SPEAK_EVERY = 5000;

/**
 * @param {import("./store.js").Store} store
 * @param {import("./commands.js").Commands} commands
 * @param {{el: HTMLElement, paint: () => void, tick: (now: number) => void}} card
 * @param {() => void} unfold  Show or hide the rest of the board of a lone run.
 * @param {(look: string) => void} filter  List the runs in one state.
 */
export function makeHeader(store, commands, card, unfold, filter) {
  const icon = h("span", { class: "cellist-icon", "aria-hidden": "true" });
  const word = h("span", { class: "cellist-word" });
  const state = h("span", { class: "cellist-state" }, icon, word);
  const title = h("span", { class: "cellist-title" });
  const usual = h("span", { class: "cellist-usual" });
  const clock = h("span", { class: "cellist-clock" });
  const buttons = h("span", { class: "cellist-buttons" });
  const bar = h("div", { class: "cellist-bar", "aria-hidden": "true" });
  const counts = h("span", { class: "cellist-counts" });
  const saved = h("span", { class: "cellist-saved" });
  const why = h("span", { class: "cellist-why" });
  const fold = h("button", { class: "cellist-fold", type: "button", "aria-expanded": "false" }, "Details");
  fold.addEventListener("click", unfold);
  const spoken = h("div", { class: "cellist-spoken", role: "status", "aria-live": "polite" });
  const el = h("div", { class: "cellist-header" },
    h("div", { class: "cellist-line cellist-first" }, state, title, usual, clock, buttons), bar,
    h("div", { class: "cellist-line cellist-second" }, why, counts, saved, fold),
    card.el, commands.el, spoken);
  /** @type {Map<string, Element>} */
  const segments = new Map();
  /** @type {Map<string, Element>} */
  const chips = new Map();
  let cancelling = "";
  let lastSpoken = 0;

  function paintButtons() {
    const header = store.header;
    if (!header) return;
    const runs = store.closed ? [] : header.cancel;
    if (runs.join() !== cancelling) {
      cancelling = runs.join();
      buttons.replaceChildren();
      if (runs.length) {
        const button = h("button", { class: "cellist-button", type: "button" },
          runs.length > 1 ? "Cancel all" : "Cancel");
        button.addEventListener("click", () => {
          if (button.getAttribute("aria-disabled") === "true") return;
          for (const run of runs) commands.issue("cancel", { run }, button);
        });
        buttons.append(button);
      }
    }
  }

  return {
    el,
    fold,
    paint() {
      const header = store.header;
      if (!header) return;
      setText(icon, store.icon(header.look));
      setText(word, header.word);
      setAttr(state, "class", `cellist-state is-${header.look}`);
      setText(title, header.title);
      setText(saved, header.saved ?? "");
      setText(usual, header.usual ?? "");
      const total = header.counts.reduce((sum, [, n]) => sum + n, 0);
      keyed(bar, segments, header.counts, ([look]) => look,
        ([look]) => h("i", { class: `is-${look}` }),
        (part, [, n]) => { part.style.flexGrow = String(n); });
      keyed(counts, chips, header.counts, ([look]) => look,
        ([look]) => {
          const chip = h("button", { type: "button", class: `cellist-chip is-${look}`, title: `List them` });
          chip.addEventListener("click", () => filter(look));
          return chip;
        },
        (chip, [look, n]) => setText(chip, `${store.icon(look)} ${number(n)} ${store.word(look)}`));
      setAttr(bar, "data-empty", total ? null : "");
      setText(why, header.why ?? "");
      setAttr(why, "title", header.why);
      setAttr(why, "class", `cellist-why${header.look === "failed" || header.look === "crashed" ? " is-error" : ""}`);
      paintButtons();
      card.paint();
      const now = Date.now();
      if (now - lastSpoken > SPEAK_EVERY || header.end) {
        lastSpoken = now;
        setText(spoken, header.sentence);
      }
    },
    /** @param {number} now */
    tick(now) {
      const header = store.header;
      if (!header) return;
      const elapsed = header.start && !store.closed ? growing(now - header.start) : "";
      setText(clock, header.took ?? elapsed);
      card.tick(now);
    },
  };
}

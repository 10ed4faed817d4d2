// @ts-check
// The card on what needs somebody: a retry that is waited for, else what has failed.

import { h, prose, setAttr, setText } from "./dom.js";
import { countdown } from "./time.js";

/**
 * @param {import("./store.js").Store} store
 * @param {import("./commands.js").Commands} commands
 * @param {{open: (run: string) => void, openAt: (run: string, section: string) => void}} detail
 */
export function makeCard(store, commands, detail) {
  const text = h("span", { class: "cellist-next" });
  const error = h("span", { class: "cellist-card-error" });
  const more = h("span", { class: "cellist-quiet" });
  const buttons = h("span", { class: "cellist-buttons" });
  const el = h("div", { class: "cellist-line cellist-third cellist-card" }, text, error, more, buttons);
  let painted = "";

  /**
   * @param {string} label
   * @param {string} about
   * @param {() => void} act
   */
  function plainButton(label, about, act) {
    const button = h("button", { type: "button", class: "cellist-button", "aria-label": `${label}: ${about}` }, label);
    button.addEventListener("click", act);
    return button;
  }

  /** @param {NonNullable<import("./types.js").Header["next"]>} wait */
  function retryButtons(wait) {
    return [
      ...(store.closed ? [] : [commands.button("retry_now", { run: wait.run }, wait.name), commands.button("give_up", { run: wait.run }, wait.name)]),
      plainButton("Details", wait.name, () => detail.open(wait.run)),
    ];
  }

  /** @param {NonNullable<import("./types.js").Header["failure"]>} failure */
  function failureButtons(failure) {
    const { name, run, retry } = failure;
    return [
      ...(retry ? [commands.button("retry_failed", { run: retry }, "what failed in this cell")] : []),
      ...(failure.inputs ? [plainButton("Load the inputs", name, () => detail.openAt(run, "Inputs"))] : []),
      ...(failure.trace ? [plainButton("Traceback", name, () => detail.openAt(run, "Traceback"))] : []),
    ];
  }

  return {
    el,
    paint() {
      const wait = store.header?.next;
      const failure = wait ? null : store.header?.failure;
      const told = wait ?? failure;
      setAttr(el, "data-card", wait ? "waiting" : failure ? "failed" : null);
      setAttr(error, "title", told?.error ?? null);
      error.replaceChildren(...prose(told?.error ?? ""));
      setText(more, wait?.more ?? (told ? "" : store.header?.note ?? ""));
      const now = JSON.stringify([wait?.run, failure, store.closed]);
      if (now === painted) return;
      painted = now;
      buttons.replaceChildren(...(wait ? retryButtons(wait) : failure ? failureButtons(failure) : []));
    },
    /** @param {number} now */
    tick(now) {
      const wait = store.header?.next;
      const failure = store.header?.failure;
      setText(text, wait
        ? `${store.icon("waiting")} ${wait.name} failed; ${wait.attempt} ${store.closed ? "" : countdown(wait.due - now)}`
        : failure ? `${store.icon("failed")} ${failure.text}` : "");
    },
  };
}

/**
 * What can be done with all runs of a group at once.
 * @param {Element} place
 * @param {import("./types.js").Group} group
 * @param {import("./store.js").Store} store
 * @param {import("./commands.js").Commands} commands
 */
export function groupButtons(place, group, store, commands) {
  const isLive = !store.closed && group.total > 1 && group.over < group.total;
  const waits = group.counts.some(([look]) => look === "waiting");
  const can = isLive ? [...(waits ? ["retry_now", "give_up"] : []), "cancel"] : [];
  if (place.getAttribute("data-can") === can.join()) return;
  setAttr(place, "data-can", can.join());
  place.replaceChildren(...can.map((action) => commands.button(action, { group: group.id }, `all runs of ${group.name}`)));
}

// @ts-check
// One line over the foot of the views: what is known of what is marked. It covers and moves
// nothing. What the keyboard marks is announced, what the pointer passes is not.

import { h, setAttr, setText } from "./dom.js";

/**
 * @param {import("./store.js").Store} store
 * @param {import("./selection.js").Selection} selection
 */
export function makeReadout(store, selection) {
  const state = h("b", {});
  const text = h("span", {});
  const el = h("div", { class: "cellist-readout", role: "status", "aria-live": "off" }, state, text);
  el.hidden = true;

  return {
    el,
    mark() {
      const group = selection.pointed && !selection.isTold ? store.groups.get(selection.group) : undefined;
      el.hidden = !group;
      if (!group) return;
      setAttr(el, "aria-live", selection.byKeyboard && selection.run ? "polite" : "off");
      const row = store.rows.get(selection.run || group.run || "");
      const look = row?.look ?? group.look;
      const facts = row
        ? [row.name, row.attempt, row.took, row.error ?? row.doing?.[1] ?? row.why]
        : [group.label, group.took, group.error ?? group.why];
      setAttr(state, "class", `is-${look}`);
      setText(state, `${store.icon(look)} ${row?.word ?? group.word}`);
      setText(text, facts.filter(Boolean).join(" · "));
    },
  };
}

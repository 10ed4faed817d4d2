// @ts-check
// The board as a plain table, for screen readers: the same facts, one row for each task and for
// each run that needs attention. Rewritten every few seconds at the most, so that it can be read.

import { h, setText } from "./dom.js";

const EVERY = 5000;
const MOST = 300;
const URGENT = new Set(["failed", "crashed", "waiting", "paused"]);
const HEADS = ["Task or run", "State", "Runs", "Took", "Why"];

/** @param {import("./store.js").Store} store */
export function makeTable(store) {
  const caption = h("caption", {});
  const body = h("tbody", {});
  const el = h("table", { class: "cellist-spoken" }, caption,
    h("thead", {}, h("tr", {}, ...HEADS.map((head) => h("th", { scope: "col" }, head)))), body);
  let written = 0;

  function write() {
    setText(caption, store.header?.sentence ?? "");
    const lines = [];
    for (const group of store.groups.values()) {
      lines.push([group.name, group.word, group.detail, group.took ?? "", group.error ?? group.why]);
      if (group.total < 2) continue;
      for (const row of store.rowsOf(group.id)) {
        if (URGENT.has(row.look)) lines.push([row.name, row.word, row.attempt ?? "", row.took ?? "", row.error ?? row.why ?? ""]);
      }
    }
    fit(lines.slice(0, MOST));
  }

  /** Write the lines over those there are: to make hundreds of cells anew costs a frame. @param {string[][]} lines */
  function fit(lines) {
    while (body.children.length > lines.length) body.lastElementChild?.remove();
    lines.forEach((texts, place) => {
      const line = body.children[place] ?? body.appendChild(
        h("tr", {}, ...texts.map((_, i) => (i ? h("td", {}) : h("th", { scope: "row" })))));
      texts.forEach((text, i) => setText(line.children[i], text));
    });
  }

  return {
    el,
    paint() {
      const now = Date.now();
      if (now - written < EVERY && !store.closed && !store.header?.end) return;
      if (el.contains(document.activeElement)) return;
      written = now;
      write();
    },
  };
}

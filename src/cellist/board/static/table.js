// @ts-check
// The board as a plain table, for screen readers: the same facts, one row for each task and for
// each run that needs attention. Rewritten every few seconds at the most, so that it can be read.

import { h, setText } from "./dom.js";

const EVERY = 5000;
const MOST = 300;
/** Lines that are written in one frame. */
const AT_ONCE = 10;
const URGENT = new Set(["failed", "crashed", "waiting", "paused"]);
const HEADS = ["Task or run", "State", "Runs", "Took", "Why"];

/** @param {import("./store.js").Store} store */
export function makeTable(store) {
  const caption = h("caption", {});
  const body = h("tbody", {});
  const el = h("div", { class: "cellist-twin" }, h("table", {}, caption,
    h("thead", {}, h("tr", {}, ...HEADS.map((head) => h("th", { scope: "col" }, head)))), body));
  let written = 0;
  /** What each line says. @type {string[][]} */
  const said = [];
  /** What it is to say. @type {string[][]} */
  let wanted = [];
  /** From which line on it may say something else. */
  let from = 0;
  /** Which message it was written after. */
  let told = -1;

  /** @returns {string[][]} */
  function collected() {
    const lines = [];
    for (const group of store.groups.values()) {
      lines.push([group.name, group.word, group.detail, group.took ?? "", group.error ?? group.why]);
      if (group.total < 2) continue;
      for (const row of store.byGroup.get(group.id)?.values() ?? []) {
        if (URGENT.has(row.look)) lines.push([row.name, row.word, row.attempt ?? "", row.took ?? "", row.error ?? row.why ?? ""]);
      }
      if (lines.length >= MOST) break;
    }
    return lines.slice(0, MOST);
  }

  /** Write some lines over those there are: to make hundreds of cells anew costs a frame. */
  function write() {
    while (said.length > wanted.length) {
      said.pop();
      body.lastElementChild?.remove();
    }
    for (let left = AT_ONCE; from < wanted.length && left > 0; from += 1) {
      const [texts, before] = [wanted[from], said[from]];
      if (before?.every((text, i) => text === texts[i])) continue;
      left -= 1;
      said[from] = texts;
      if (!before) body.append(h("tr", {}, ...texts.map((text, i) => (i ? h("td", {}, text) : h("th", { scope: "row" }, text)))));
      else texts.forEach((text, i) => setText(body.children[from].children[i], text));
    }
  }

  return {
    el,
    paint() {
      const now = Date.now();
      if (el.contains(document.activeElement)) return;
      const isTime = now - written >= EVERY || (!store.goesOn && told !== store.seq);
      if (isTime && from >= wanted.length) {
        written = now;
        told = store.seq;
        setText(caption, store.header?.sentence ?? "");
        wanted = collected();
        from = 0;
      }
      write();
    },
    get isBehind() {
      return from < wanted.length;
    },
  };
}

// @ts-check
// What is known of one run, below its line.

import { h } from "./dom.js";
import { duration } from "./time.js";

/**
 * @param {import("./store.js").Store} store
 * @param {import("./types.js").Row} row
 */
export function makeDetail(store, row) {
  const list = h("dl", { class: "cellist-detail" });
  /**
   * @param {string} name
   * @param {(Node | string)[]} content
   */
  const add = (name, ...content) => {
    list.append(h("dt", {}, name), h("dd", {}, ...content));
  };
  if (row.why) add("why", row.why);
  if (row.notes) add("note", h("ul", {}, ...row.notes.map((note) => h("li", {}, note))));
  if (row.diff) add("diff", h("pre", { class: "cellist-diff" }, ...diffLines(row.diff)));
  if (row.progress) add("progress", h("ul", {}, ...row.progress.map(([, words]) => h("li", {}, words))));
  if (row.error) add("error", h("span", { class: "is-error" }, row.error));
  const bars = row.bars ?? [];
  if (bars.filter(([look]) => look !== "waiting").length > 1) {
    add("attempts", h("ul", {}, ...attemptLines(store, bars)));
  }
  if (row.inputs?.length) {
    add("inputs", h("ul", {}, ...row.inputs.map(([name, text]) => h("li", {}, h("code", {}, `${name} = ${text}`)))));
  }
  if (row.result) add("result", h("code", {}, row.result));
  if (row.logs?.length) add("log", h("pre", {}, row.logs.join("\n")));
  if (row.trace) add("traceback", h("pre", {}, row.trace));
  if (row.where) add("ran on", row.where);
  if (!list.children.length) add("state", row.word);
  return list;
}

/**
 * The lines of a unified diff; the + and - say it without colour as well.
 * @param {string} diff
 */
function diffLines(diff) {
  return diff.split("\n").filter((line) => !/^(---|\+\+\+) /.test(line)).map((line) => {
    const look = { "+": "is-completed", "-": "is-failed", "@": "is-pending" }[line[0]];
    return h("span", { class: look ?? "" }, `${line}\n`);
  });
}

/**
 * One line per attempt and per wait between two.
 * @param {import("./store.js").Store} store
 * @param {import("./types.js").Bar[]} bars
 */
function attemptLines(store, bars) {
  let number = 0;
  return bars.map(([look, start, end]) => {
    const time = end === null ? "" : duration(end - start);
    if (look === "waiting") return h("li", { class: "is-waiting" }, time ? `waited ${time}` : "waiting");
    number += 1;
    return h("li", { class: `is-${look}` },
      `attempt ${number}: ${store.icon(look)} ${store.word(look)}${time && `, ${time}`}`);
  });
}

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
  if (row.error) add("error", h("span", { class: "is-error" }, row.error));
  const bars = row.bars ?? [];
  const attempts = bars.filter(([look]) => look !== "waiting");
  if (attempts.length > 1) {
    add("attempts", h("ol", {}, ...bars.map(([look, start, end]) => h("li", { class: `is-${look}` },
      `${store.icon(look)} ${store.word(look)}${end === null ? "" : `, ${duration(end - start)}`}`))));
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

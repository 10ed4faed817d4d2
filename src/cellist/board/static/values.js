// @ts-check
// What a value looks like: a table, a picture or text.

import { h } from "./dom.js";

/**
 * @typedef {object} Preview
 * @property {string} [type]
 * @property {string} [text]
 * @property {{columns: [string, string][], index?: string[], rows: string[][], more: string | null}} [table]
 * @property {{src: string, alt: string}} [picture]
 * @property {string} [more]
 * @property {string} [origin]  Where the value was found.
 * @property {string} [problem]  Why there is no look at it.
 * @property {string} [code]  Code that loads it.
 */

const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/;

/**
 * @param {Preview} value
 * @returns {HTMLElement[]}
 */
export function paintPreview(value) {
  /** @type {HTMLElement[]} */
  const found = [];
  const { picture, table } = value;
  if (picture && PICTURE.test(picture.src)) found.push(h("img", { src: picture.src, alt: picture.alt }));
  if (table) found.push(tableElement(table));
  if (value.text !== undefined) found.push(h("pre", { tabindex: "0" }, value.text));
  const more = table?.more ?? value.more;
  if (more) found.push(h("p", { class: "cellist-more" }, more));
  return found;
}

/** @param {NonNullable<Preview["table"]>} table */
function tableElement(table) {
  const corner = table.index ? [h("td", {})] : [];
  const head = h("tr", {}, ...corner, ...table.columns.map(([name, type]) => h("th", { scope: "col" }, name,
    ...(type ? [h("span", { class: "cellist-dtype" }, type)] : []))));
  const numeric = table.columns.map(([, type], i) => /int|float|decimal/i.test(type)
    || (!type && table.rows.every((row) => row[i] !== "" && !Number.isNaN(Number(row[i])))));
  const rows = table.rows.map((cells, y) => h("tr", {},
    ...(table.index ? [h("th", { scope: "row" }, table.index[y])] : []),
    ...cells.map((cell, i) => h("td", { class: numeric[i] ? "cellist-number" : "" }, cell))));
  return h("div", { class: "cellist-table", tabindex: "0", role: "region", "aria-label": "table" },
    h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows)));
}

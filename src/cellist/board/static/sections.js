// @ts-check
// The sections of what is known of a run, painted by kind. The words come from Python.

import { h, prose } from "./dom.js";
import { copyButton } from "./copying.js";
import { paintPreview } from "./values.js";

/**
 * @typedef {object} Section
 * @property {string} kind
 * @property {string} title
 * @property {boolean} [side]  Whether it stands beside the others where there is room.
 * @property {string | null} [more]
 * @property {string} [key]  Of the code that loads the values.
 * @property {string} [head]
 * @property {any[]} [frames]
 * @property {string} [text]
 * @property {any[]} [items]
 * @property {[string, string, string][]} [lines]
 * @property {string} [sentence]
 * @property {string[]} [notes]
 * @property {{text: string, diff: string}[]} [changes]
 * @property {[string, string, string, string, string | null][]} [rows]
 * @property {Link[]} [runs]
 * @property {string[]} [words]
 *
 * @typedef {{id: string, name: string, look: string, word: string}} Link
 *
 * @typedef {object} Context  What painting needs besides the section.
 * @property {import("./store.js").Store} store
 * @property {(run: string) => void} open  Opens another run.
 * @property {Record<string, import("./values.js").Preview>} values  Those that have come so far.
 * @property {boolean} asked  Whether values may still come.
 */

/**
 * @param {Section} section
 * @param {Context} context
 */
export function paintSection(section, context) {
  const paint = PAINTERS[section.kind];
  const head = h("h4", {}, section.title);
  const code = section.key && context.values[section.key]?.code;
  const el = h("section", { class: `cellist-section is-kind-${section.kind}`, "aria-label": section.title },
    h("div", { class: "cellist-section-head" }, head, ...(code ? [copyButton("Copy code", code, section.title)] : [])));
  if (paint) el.append(...paint(section, context));
  if (section.more) el.append(h("p", { class: "cellist-more" }, section.more));
  if (code) {
    el.append(h("details", { class: "cellist-load" }, h("summary", {}, "Load in a cell"), h("pre", { tabindex: "0" }, code)));
  }
  return el;
}

/** @type {Record<string, (section: Section, context: Context) => Node[]>} */
const PAINTERS = {
  frames(section) {
    const head = h("p", { class: "is-error" }, section.head ?? "");
    const frames = (section.frames ?? []).map(frameElement);
    const whole = h("details", {}, h("summary", {}, "As Python prints it"), h("pre", { tabindex: "0" }, section.text ?? ""));
    return frames.length ? [head, h("ol", { class: "cellist-frames" }, ...frames), whole] : [head, h("pre", {}, section.text ?? "")];
  },
  values(section, context) {
    return (section.items ?? []).map((item) => valueElement(item, context));
  },
  output(section) {
    return (section.items ?? []).map((item) => (item.src
      ? h("img", { src: item.src, alt: item.alt })
      : h("pre", { class: item.stream === "stderr" ? "is-stderr" : "", tabindex: "0" }, item.text)));
  },
  logs(section) {
    const rows = (section.lines ?? []).map(([time, level, text]) => h("tr", { class: `is-level-${level}` },
      h("td", {}, time), h("td", {}, level), h("td", {}, text)));
    return [h("table", { class: "cellist-logs" }, h("tbody", {}, ...rows))];
  },
  why(section) {
    const found = [h("p", {}, ...prose(section.sentence ?? ""))];
    for (const note of section.notes ?? []) found.push(h("p", { class: "cellist-quiet" }, ...prose(note)));
    for (const change of section.changes ?? []) {
      if (change.text) found.push(h("p", {}, ...prose(change.text)));
      if (change.diff) found.push(h("pre", { class: "cellist-diff", tabindex: "0" }, ...diffLines(change.diff)));
    }
    return found;
  },
  states(section, { store }) {
    const rows = (section.rows ?? []).map(([time, offset, look, word, message]) => h("tr", {},
      h("td", { class: "cellist-number", title: time }, offset),
      h("td", {}, h("span", { class: `cellist-ink is-${look}` }, `${store.icon(look)} ${word}`),
        ...(message ? [h("div", { class: "cellist-quiet" }, message)] : []))));
    const begin = section.rows?.[0]?.[0];
    return [h("table", { class: "cellist-states" }, ...(begin ? [h("caption", {}, `since ${begin}`)] : []),
      h("tbody", {}, ...rows))];
  },
  links(section, context) {
    return [h("ul", { class: "cellist-links" }, ...(section.runs ?? []).map((run) => h("li", {}, linkElement(run, context))))];
  },
  words(section) {
    return [h("p", {}, ...(section.words ?? []).map((word) => h("code", {}, word)))];
  },
};

/** @param {any} frame */
function frameElement(frame) {
  if (!frame.place) return h("li", { class: "cellist-between" }, frame.text);
  const head = h("div", {}, h("b", {}, frame.place), `, line ${frame.line}, in `, h("code", {}, frame.name));
  const lines = [frame.source, frame.marks].filter(Boolean).join("\n");
  const source = h("pre", {}, lines);
  return h("li", { class: frame.own ? "is-own" : "" }, head, ...(lines ? [source] : []));
}

/**
 * @param {any} item
 * @param {Context} context
 */
function valueElement(item, context) {
  const value = context.values[item.key];
  const name = item.name ? [h("code", { class: "cellist-value-name" }, item.name)] : [];
  const type = value?.type ? [h("span", { class: "cellist-quiet" }, value.type)] : [];
  const from = (item.from ?? []).flatMap((/** @type {Link} */ run) => [" ← ", linkElement(run, context)]);
  const origin = value?.origin && !from.length ? [h("span", { class: "cellist-origin" }, ...prose(value.origin))] : [];
  const el = h("div", { class: "cellist-value" }, h("div", { class: "cellist-value-head" }, ...name, ...type, ...from, ...origin));
  if (!value || value.problem) {
    el.append(h("pre", {}, item.look));
    const note = value?.problem ?? (context.asked ? "looking …" : null);
    if (note) el.append(h("p", { class: "cellist-quiet" }, ...prose(note)));
  } else {
    el.append(...paintPreview(value));
  }
  return el;
}

/**
 * @param {Link} run
 * @param {Context} context
 */
function linkElement(run, { store, open }) {
  const button = h("button", { type: "button", class: "cellist-link", title: run.word },
    h("span", { class: `cellist-ink is-${run.look}`, "aria-hidden": "true" }, store.icon(run.look)), ` ${run.name}`,
    h("span", { class: "cellist-spoken" }, `, ${run.word}`));
  button.addEventListener("click", () => open(run.id));
  return button;
}

/**
 * The lines of a unified diff; the + and - say it without colour as well.
 * @param {string} diff
 */
export function diffLines(diff) {
  return diff.split("\n").filter((line) => !/^(---|\+\+\+) /.test(line)).map((line) => {
    const look = { "+": "is-completed", "-": "is-failed", "@": "is-pending" }[line[0]];
    return h("span", { class: look ?? "" }, `${line}\n`);
  });
}

// @ts-check
// The list: every group a line that opens to its runs, every run a line that opens to what is
// known of it. This is also the twin of graph and timeline for screen readers.

import { h, keyed, setAttr, setText } from "./dom.js";
import { makeDetail } from "./detail.js";
import { makeGrid } from "./grid.js";
import { showDone } from "./progress.js";
import { countdown, growing } from "./time.js";

const FIRST_ROWS = 50;
const GRID_FROM = 13;
const URGENT = new Set(["failed", "crashed", "waiting", "paused"]);

/**
 * @param {import("./store.js").Store} store
 * @param {import("./commands.js").Commands} commands
 * @returns {import("./types.js").Painter & {open: (group: number, run?: string) => void}}
 */
export function makeList(store, commands) {
  const el = h("div", { class: "cellist-list", role: "list", "aria-label": "Runs" });
  /** @type {Map<number, Element>} */
  const made = new Map();
  /** @type {Map<number, ReturnType<typeof makeParts>>} */
  const parts = new Map();
  /** How many runs of a group are listed; only open groups are here.
   * @type {Map<number, number>} */
  const opened = new Map();
  /** @type {Set<string>} */
  const openRuns = new Set();

  /** @param {import("./types.js").Group} group */
  function makeParts(group) {
    const line = h("button", { class: "cellist-group-line", type: "button" },
      h("span", { class: "cellist-twist", "aria-hidden": "true" }, "›"),
      h("span", { class: "cellist-cell-name" }), h("span", { class: "cellist-cell-state" }),
      h("span", { class: "cellist-cell-detail" }), h("span", { class: "cellist-cell-took" }),
      h("span", { class: "cellist-cell-why" }));
    line.addEventListener("click", () => toggle(group.id));
    const body = h("div", { class: "cellist-group-body" });
    const grid = makeGrid(store, group.id, (run) => show(group.id, run));
    const rows = h("div", { role: "list" });
    const more = h("button", { class: "cellist-button", type: "button" });
    more.addEventListener("click", () => {
      opened.set(group.id, (opened.get(group.id) ?? FIRST_ROWS) * 4);
      paint();
    });
    const note = h("p", { class: "cellist-more" });
    body.append(grid.el, rows, more, note);
    const el = h("div", { class: "cellist-group", role: "listitem" }, line, body);
    /** @type {Map<string, Element>} */
    const known = new Map();
    return { el, line, body, grid, rows, more, note, known };
  }

  /** @param {number} id */
  function toggle(id) {
    const group = store.groups.get(id);
    if (opened.has(id)) opened.delete(id);
    else opened.set(id, FIRST_ROWS);
    if (group?.run && opened.has(id)) openRuns.add(group.run);
    paint();
  }

  /**
   * @param {number} id
   * @param {string} [run]
   */
  function show(id, run) {
    const place = run ? store.rowsOf(id).findIndex((row) => row.id === run) : -1;
    opened.set(id, Math.max(opened.get(id) ?? FIRST_ROWS, place + 1));
    const only = run ?? store.groups.get(id)?.run;
    if (only) openRuns.add(only);
    paint();
    const part = parts.get(id);
    const target = (only && part?.known.get(only)) || part?.el;
    target?.scrollIntoView({ block: "nearest" });
    /** @type {HTMLElement | null | undefined} */ (target?.querySelector("button"))?.focus({ preventScroll: true });
  }

  /**
   * @param {Element} _el
   * @param {import("./types.js").Group} group
   */
  function updateGroup(_el, group) {
    const part = parts.get(group.id);
    if (!part) return;
    const isOpen = opened.has(group.id);
    const [, name, state, detail, took, why] = part.line.children;
    setAttr(part.line, "aria-expanded", String(isOpen));
    setAttr(part.line, "style", `--depth:${Math.min(group.depth, 6)}`);
    setAttr(state, "class", `cellist-cell-state is-${group.look}`);
    setText(state, `${store.icon(group.look)} ${group.word}`);
    setText(name, group.name);
    setText(detail, group.total > 1 ? group.detail : "");
    setText(took, group.took ?? "");
    const only = group.run ? store.rows.get(group.run) : undefined;
    const error = only?.error ?? group.error;
    setText(why, error ?? group.doing?.[1] ?? group.why);
    showDone(part.line, group.doing);
    setAttr(why, "class", `cellist-cell-why${error ? " is-error" : ""}`);
    setAttr(why, "title", error ?? group.why);
    part.body.hidden = !isOpen;
    if (isOpen) paintBody(part, group);
  }

  /**
   * @param {ReturnType<typeof makeParts>} part
   * @param {import("./types.js").Group} group
   */
  function paintBody(part, group) {
    part.grid.el.hidden = group.total < GRID_FROM;
    if (!part.grid.el.hidden) part.grid.paint();
    const all = store.rowsOf(group.id).sort((a, b) => Number(URGENT.has(b.look)) - Number(URGENT.has(a.look)));
    const shown = all.slice(0, opened.get(group.id));
    keyed(part.rows, part.known, shown, (row) => row.id, makeRow, updateRow);
    part.more.hidden = shown.length >= all.length;
    setText(part.more, `Show more of ${all.length.toLocaleString("en")}`);
    part.note.hidden = !group.more;
    setText(part.note, group.more ?? "");
  }

  /** @param {import("./types.js").Row} row */
  function makeRow(row) {
    const line = h("button", { class: "cellist-run-line", type: "button" },
      h("span", { class: "cellist-twist", "aria-hidden": "true" }, "›"),
      h("span", { class: "cellist-cell-name" }), h("span", { class: "cellist-cell-state" }),
      h("span", { class: "cellist-cell-detail" }), h("span", { class: "cellist-cell-took" }),
      h("span", { class: "cellist-cell-why" }));
    line.addEventListener("click", () => {
      if (!openRuns.delete(row.id)) openRuns.add(row.id);
      paint();
    });
    const buttons = h("span", { class: "cellist-buttons" });
    return h("div", { class: "cellist-run", role: "listitem" },
      h("div", { class: "cellist-run-head" }, line, buttons));
  }

  /** Rows as they were painted: a row that changes is a new object.
   * @type {WeakMap<Element, [row: object, open: boolean]>} */
  const painted = new WeakMap();

  /**
   * @param {HTMLElement} el
   * @param {import("./types.js").Row} row
   */
  function updateRow(el, row) {
    const isOpen = openRuns.has(row.id);
    const before = painted.get(el);
    if (before && before[0] === row && before[1] === isOpen) return;
    painted.set(el, [row, isOpen]);
    const head = /** @type {Element} */ (el.firstElementChild);
    const [line, buttons] = head.children;
    const [, name, state, detail, took, why] = line.children;
    setAttr(line, "aria-expanded", String(isOpen));
    setAttr(state, "class", `cellist-cell-state is-${row.look}`);
    setText(state, `${store.icon(row.look)} ${row.word}`);
    setText(name, row.name);
    setText(detail, row.attempt ?? "");
    setAttr(took, "data-run", row.took ? null : row.id);
    setText(took, row.took ?? "");
    setText(why, row.doing?.[1] ?? row.error ?? row.why ?? "");
    showDone(line, row.doing);
    setAttr(why, "class", `cellist-cell-why${row.error ? " is-error" : ""}`);
    const can = (!store.closed && row.can) || [];
    if (buttons.getAttribute("data-can") !== can.join()) {
      setAttr(buttons, "data-can", can.join());
      buttons.replaceChildren(...can.map((action) => commands.button(action, row.id, row.name)));
    }
    el.querySelector(".cellist-detail")?.remove();
    if (isOpen) el.append(makeDetail(store, row));
  }

  function paint() {
    keyed(el, made, store.groups.values(), (group) => group.id,
      (group) => {
        const part = makeParts(group);
        parts.set(group.id, part);
        return part.el;
      }, updateGroup);
  }

  return {
    el,
    paint,
    open: show,
    tick(now) {
      if (store.closed) return;
      for (const cell of el.querySelectorAll("[data-run]")) {
        const row = store.rows.get(cell.getAttribute("data-run") ?? "");
        if (!row) continue;
        const last = row.bars?.[row.bars.length - 1];
        if (row.due) setText(cell, countdown(row.due - now));
        else if (last && last[2] === null) setText(cell, growing(now - last[1]));
      }
    },
  };
}

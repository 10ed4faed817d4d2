// @ts-check
// The list: every group a line that opens to its runs, every run a line that opens the pane with
// what is known of it. Search and switches above it choose; while they do, what fits is open.

import { Blocks, inBlocks } from "./blocks.js";
import { groupButtons } from "./cards.js";
import { h, keyed, setAttr, setMarked, setText } from "./dom.js";
import { Filter } from "./filter.js";
import { Finder } from "./finder.js";
import { makeGrid } from "./grid.js";
import { showDone } from "./progress.js";
import { number } from "./numbers.js";
import { rove } from "./roving.js";
import { countdown, growing } from "./time.js";
import { makeToolbar } from "./toolbar.js";

/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./types.js").Group} Group */

const FIRST_ROWS = 50;
const GRID_FROM = 13;
/** Of the line of a group in the stylesheet. */
const LINE = 29;
const URGENT = new Set(["failed", "crashed", "waiting", "paused"]);

/**
 * @param {import("./store.js").Store} store
 * @param {import("./commands.js").Commands} commands
 * @param {{run: () => string, open: (run: string) => void, toggle: (run: string, stay?: boolean) => void}} pane
 * @param {import("./selection.js").Selection} selection
 * @param {import("./inks.js").Inks} inks
 * @param {(message: object) => void} send  To ask for runs that are only counted.
 * @returns {import("./types.js").Painter & {open: (group: number, run?: string) => void, only: (look: string) => void,
 *   receive: (message: import("./types.js").Message) => void}}
 */
export function makeList(store, commands, pane, selection, inks, send) {
  const filter = new Filter();
  const toolbar = makeToolbar(store, filter, () => paint());
  const finder = new Finder(store, filter, send, () => paint());
  const want = (/** @type {number} */ group, /** @type {number} */ first, /** @type {number} */ number) =>
    send({ kind: "want", group, first, number });
  const lines = h("div", { class: "cellist-lines", role: "list", "aria-label": "Runs" });
  const nothing = h("p", { class: "cellist-more" }, "No run fits.");
  const el = h("div", { class: "cellist-list" }, toolbar.el, lines, nothing);
  const settle = rove(lines, ".cellist-row");
  /** @type {Map<number, ReturnType<typeof makeParts>>} */
  const parts = new Map();
  /** How many runs of a group are listed; only open groups are here.
   * @type {Map<number, number>} */
  const opened = new Map();
  /** What shows a time that goes on. @type {Set<Element>} */
  const ticking = new Set();
  const blocks = new Blocks(lines, (/** @type {Group} */ group) => group.id, (group) => {
    const part = makeParts(group);
    parts.set(group.id, part);
    return part.el;
  }, (_, group) => updateGroup(/** @type {ReturnType<typeof makeParts>} */ (parts.get(group.id)), group));
  /** Goes up whenever a group opens or closes. */
  let turned = 0;
  let width = 0;
  let marked = -1;
  /** What all lines depend on, besides their groups. */
  let around = "";

  /** The parts of a line that opens. @param {string} kind */
  function makeLine(kind) {
    return h("button", { class: `cellist-row cellist-${kind}-line`, type: "button", tabindex: "-1" },
      h("span", { class: "cellist-twist", "aria-hidden": "true" }, "›"),
      h("span", { class: "cellist-cell-name" }), h("span", { class: "cellist-cell-state" }),
      h("span", { class: "cellist-cell-detail" }), h("span", { class: "cellist-cell-took" }),
      h("span", { class: "cellist-cell-why" }));
  }

  /**
   * Right opens a line, left and Escape close it; Escape on a closed one is for the board.
   * @param {HTMLElement} line
   * @param {(byArrow: boolean) => void} toggle
   */
  function obeyKeys(line, toggle) {
    line.addEventListener("click", () => toggle(false));
    line.addEventListener("keydown", (event) => {
      const isOpen = line.getAttribute("aria-expanded") === "true";
      const meant = event.key === "ArrowRight" ? !isOpen : ["ArrowLeft", "Escape"].includes(event.key) && isOpen;
      if (!meant) return;
      event.preventDefault();
      event.stopPropagation();
      toggle(true);
    });
  }

  /** @param {Group} group */
  function makeParts(group) {
    const id = group.id;
    const line = makeLine("group");
    obeyKeys(line, (byArrow) => toggle(id, byArrow));
    selection.attach(line, id, "", true);
    const buttons = h("span", { class: "cellist-buttons" });
    const el = h("div", { class: "cellist-group", role: "listitem", "data-group": id }, h("div", { class: "cellist-run-head" }, line, buttons));
    return { id, el, line, buttons, body: /** @type {ReturnType<typeof makeBody> | null} */ (null),
      painted: -1, around: "", shown: /** @type {number | undefined} */ (0) };
  }

  /** What a group opens to; made when it does. @param {number} id */
  function makeBody(id) {
    const grid = makeGrid(store, id, selection, inks, (index) => showCell(id, index));
    const rows = h("div", { role: "list" });
    const more = h("button", { class: "cellist-button", type: "button" });
    more.addEventListener("click", () => showMore(id));
    const note = h("p", { class: "cellist-more" });
    const el = h("div", { class: "cellist-group-body" }, grid.el, rows, more, note);
    /** @type {Map<string, Element>} */
    const known = new Map();
    return { el, grid, rows, more, note, known };
  }

  /**
   * @param {number} id
   * @param {boolean} byArrow  Whether the focus stays where it is.
   */
  function toggle(id, byArrow) {
    const only = store.groups.get(id)?.run;
    if (only) {
      pane.toggle(only, byArrow);
      return;
    }
    if (opened.has(id)) opened.delete(id);
    else opened.set(id, FIRST_ROWS);
    turned += 1;
    paint();
  }

  /** @param {number} id */
  function showMore(id) {
    const shown = opened.get(id) ?? FIRST_ROWS;
    const rows = store.byGroup.get(id);
    const total = store.groups.get(id)?.total ?? 0;
    if (rows && rows.size < total && shown * 2 > rows.size) {
      let first = 0;
      while (rows.has(first)) first += 1;
      want(id, first, 200);
    }
    opened.set(id, shown * 4);
    turned += 1;
    paint();
  }

  /**
   * Show the run of a cell of the grid, which may be one that was only counted so far.
   * @param {number} id
   * @param {number} index
   */
  function showCell(id, index) {
    const row = store.byGroup.get(id)?.get(index);
    if (row) show(id, row.id);
    else {
      wanted = [id, index];
      want(id, index, 1);
    }
  }
  /** @type {[group: number, index: number] | null} */
  let wanted = null;

  /**
   * @param {number} id
   * @param {string} [run]
   */
  function show(id, run) {
    const group = store.groups.get(id);
    const row = run ? store.rows.get(run) : undefined;
    if (group && filter.active && !(row ? filter.fits(row, group.name) : filter.pick(group, store.rowsOf(id)).length)) {
      filter.clear();
    }
    const place = run ? inOrder(id).findIndex((one) => one.id === run) : -1;
    const only = run ?? group?.run;
    if (!group?.run) opened.set(id, Math.max(opened.get(id) ?? FIRST_ROWS, place + 1));
    turned += 1;
    paint();
    blocks.reveal(id);
    const part = parts.get(id);
    const target = (only && part?.body?.known.get(only)) || part?.el;
    target?.scrollIntoView({ block: "nearest" });
    /** @type {HTMLElement | null | undefined} */ (target?.querySelector("button"))?.focus({ preventScroll: true });
    if (only) pane.open(only);
  }

  /** The listed runs of a group, what needs attention first. @param {number} id */
  function inOrder(id) {
    return store.rowsOf(id).sort((a, b) => Number(URGENT.has(b.look)) - Number(URGENT.has(a.look)));
  }

  /**
   * @param {ReturnType<typeof makeParts>} part
   * @param {Group} group
   */
  function updateGroup(part, group) {
    const shown = opened.get(group.id);
    if (part.around === around && part.shown === shown && part.painted === group.version) return;
    part.painted = group.version;
    part.around = around;
    part.shown = shown;
    const fitting = filter.active ? filter.pick(group, inOrder(group.id)) : null;
    const isOpen = !group.run && (shown !== undefined || (fitting !== null && group.total > 1));
    const [, name, state, detail, took, why] = part.line.children;
    setAttr(part.line, "aria-expanded", String(isOpen || (group.run !== null && group.run === pane.run())));
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
    groupButtons(part.buttons, group, store, commands);
    setMarked(part.line, group.id === selection.group);
    if (isOpen && !part.body) part.el.append((part.body = makeBody(group.id)).el);
    if (part.body) part.body.el.hidden = !isOpen;
    if (part.body && isOpen) paintBody(part.body, group, fitting);
  }

  /**
   * @param {ReturnType<typeof makeBody>} part
   * @param {Group} group
   * @param {Row[] | null} fitting  The runs to choose from; `null` for all.
   */
  function paintBody(part, group, fitting) {
    part.grid.el.hidden = group.total < GRID_FROM || filter.active;
    if (!part.grid.el.hidden) part.grid.paint();
    const all = fitting ?? inOrder(group.id);
    const shown = all.slice(0, opened.get(group.id) ?? FIRST_ROWS);
    keyed(part.rows, part.known, shown, (row) => row.id, makeRow, updateRow);
    const rest = !store.closed && !filter.active && all.length < group.total;
    part.more.hidden = shown.length >= all.length && !rest;
    setText(part.more, `Show more of ${number(fitting ? all.length : group.total)}`);
    part.note.hidden = !store.closed || !group.more;
    setText(part.note, group.more ?? "");
  }

  /** @param {Row} row */
  function makeRow(row) {
    const line = makeLine("run");
    obeyKeys(line, (byArrow) => pane.toggle(row.id, byArrow));
    selection.attach(line, row.g, row.id, true);
    const buttons = h("span", { class: "cellist-buttons" });
    return h("div", { class: "cellist-run", role: "listitem" },
      h("div", { class: "cellist-run-head" }, line, buttons));
  }

  /** Rows as they were painted: a row that changes is a new object.
   * @type {WeakMap<Element, [row: object, open: boolean, closed: boolean]>} */
  const painted = new WeakMap();

  /**
   * @param {HTMLElement} el
   * @param {Row} row
   */
  function updateRow(el, row) {
    const isOpen = row.id === pane.run();
    const before = painted.get(el);
    if (before && before[0] === row && before[1] === isOpen && before[2] === store.closed) return;
    painted.set(el, [row, isOpen, store.closed]);
    const head = /** @type {Element} */ (el.firstElementChild);
    const [line, buttons] = head.children;
    const [, name, state, detail, took, why] = line.children;
    setAttr(line, "aria-expanded", String(isOpen));
    setAttr(state, "class", `cellist-cell-state is-${row.look}`);
    setText(state, `${store.icon(row.look)} ${row.word}`);
    if (name.textContent !== row.name + (row.given ?? "")) name.replaceChildren(row.name, h("i", {}, row.given ?? ""));
    setText(detail, row.attempt ?? "");
    setAttr(took, "data-run", row.took ? null : row.id);
    if (row.took) ticking.delete(took);
    else ticking.add(took);
    setText(took, row.took ?? "");
    setText(why, row.doing?.[1] ?? row.error ?? row.why ?? "");
    showDone(line, row.doing);
    setAttr(why, "class", `cellist-cell-why${row.error ? " is-error" : ""}`);
    const can = (!store.closed && row.can) || [];
    if (buttons.getAttribute("data-can") !== can.join()) {
      setAttr(buttons, "data-can", can.join());
      buttons.replaceChildren(...can.map((action) => commands.button(action, { run: row.id }, row.name)));
    }
  }

  function paint() {
    around = `${filter.version} ${store.closed} ${inks.version} ${width} ${pane.run()}`;
    toolbar.paint();
    let fit = 0;
    const groups = [...store.groups.values()].filter((group) => {
      if (!filter.active) return true;
      const rows = filter.pick(group, store.rowsOf(group.id));
      fit += rows.length;
      return rows.length > 0;
    });
    blocks.paint(inBlocks(groups, `${around} ${turned}`, () => LINE));
    for (const [id, part] of parts) if (!part.el.isConnected) parts.delete(id);
    nothing.hidden = groups.length > 0 || !filter.active;
    let total = 0;
    for (const group of store.groups.values()) total += group.total;
    setText(nothing, finder.fit === null && finder.mayFind(total) ? "Looking at all runs…" : "No run fits.");
    finder.look(total);
    toolbar.tell(fit, store.rows.size, total, finder.fit);
    settle();
    const ready = wanted && store.byGroup.get(wanted[0])?.get(wanted[1]);
    if (ready) {
      wanted = null;
      show(ready.g, ready.id);
    }
  }

  return {
    el,
    paint,
    measure() {
      width = lines.clientWidth;
    },
    get isBehind() {
      return blocks.isBehind;
    },
    open: show,
    receive(message) {
      finder.receive(message);
    },
    only(look) {
      filter.only(look);
      paint();
      el.parentElement?.scrollTo({ top: 0 });
      toolbar.focus();
    },
    tick(now) {
      if (store.closed) return;
      for (const cell of ticking) {
        if (!lines.contains(cell)) ticking.delete(cell);
        const row = store.rows.get(cell.getAttribute("data-run") ?? "");
        if (!row) continue;
        const last = row.bars?.[row.bars.length - 1];
        if (row.due) setText(cell, countdown(row.due - now));
        else if (last && last[2] === null) setText(cell, growing(now - last[1]));
      }
    },
    stop() {
      blocks.stop();
      finder.stop();
    },
    mark() {
      setMarked(parts.get(marked)?.line, false);
      marked = selection.group;
      setMarked(parts.get(marked)?.line, true);
      for (const { body } of parts.values()) {
        if (!body || body.el.hidden) continue;
        for (const [run, row] of body.known) setMarked(row, run === selection.run);
        body.grid.mark();
      }
    },
    focus(group) {
      blocks.reveal(group);
      parts.get(group)?.line.focus();
    },
  };
}

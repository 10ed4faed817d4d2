// @ts-check
// The pane that tells all about one run, below whatever view it was opened from. What the page
// knows is shown at once; the kernel is asked for the rest, and may have to be waited for.

import { h, setAttr, setText } from "./dom.js";
import { paintSection } from "./sections.js";
import { countdown, duration, growing } from "./time.js";

const PATIENCE = 500;
const LOST = 30000;
const ASK_AGAIN = 400;

/** @typedef {import("./sections.js").Section} Section */

/**
 * @param {import("./store.js").Store} store
 * @param {import("./commands.js").Commands} commands
 * @param {(message: object) => void} send
 * @param {() => void} changed  Told when another run is open, or none.
 * @param {() => void} lost  Gives the focus to something when what opened the pane cannot have it.
 */
export function makeDetail(store, commands, send, changed, lost) {
  const state = h("span", { class: "cellist-pane-state" });
  const name = h("span", { class: "cellist-pane-name" });
  const title = h("h3", { class: "cellist-pane-title", tabindex: "-1" }, state, " ", name);
  const what = h("span", { class: "cellist-quiet" });
  const clock = h("span", { class: "cellist-pane-clock" });
  const buttons = h("span", { class: "cellist-buttons" });
  const back = h("button", { type: "button", class: "cellist-button", "aria-label": "Back to the run before" }, "‹");
  const shut = h("button", { type: "button", class: "cellist-button", "aria-label": "Close the details" }, "✕");
  const note = h("p", { class: "cellist-quiet", role: "status" });
  const main = h("div", { class: "cellist-detail-main" });
  const side = h("div", { class: "cellist-detail-side" });
  const body = h("div", { class: "cellist-detail" }, main, side);
  const el = h("section", { class: "cellist-pane", "aria-label": "Details of a run" },
    h("div", { class: "cellist-line cellist-pane-head" }, back, title, what, clock, buttons, shut), note, body);
  el.hidden = true;

  let run = "";
  let token = "";
  let asks = 0;
  let timers = { slow: 0, lost: 0, again: 0 };
  /** @type {any} */
  let facts = null;
  /** @type {Record<string, import("./values.js").Preview>} */
  let values = {};
  let asked = false;
  /** What of the row the last question was about; when it differs, it is asked anew. */
  let known = "";
  /** What to do when the kernel has told of the values. @type {(() => void) | null} */
  let afterwards = null;
  /** @type {string[]} */
  const before = [];
  /** @type {HTMLElement | null} */
  let opener = null;

  back.addEventListener("click", () => {
    const last = before.pop();
    if (last) show(last);
  });
  shut.addEventListener("click", close);
  el.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    event.preventDefault();
    close();
  });

  /** @param {string} id */
  function show(id) {
    run = id;
    facts = null;
    values = {};
    el.hidden = false;
    back.hidden = !before.length;
    ask();
    paint();
    changed();
    title.focus({ preventScroll: true });
    el.scrollIntoView({ block: "nearest" });
  }

  function ask() {
    asks += 1;
    token = `detail-${asks}`;
    asked = true;
    known = mark();
    stopTimers();
    setText(note, "");
    timers.slow = window.setTimeout(() => setText(note, facts ? "" : "The kernel is busy in a cell; more is shown here when it is free."), PATIENCE);
    timers.lost = window.setTimeout(() => {
      asked = false;
      setText(note, "The kernel does not answer: it is busy, or has ended. This is what the page knows.");
      paintBody();
    }, LOST);
    send({ kind: "detail", run, token });
  }

  function stopTimers() {
    for (const timer of Object.values(timers)) window.clearTimeout(timer);
  }

  /** What must change of a row for the kernel to be asked again. */
  function mark() {
    const row = store.rows.get(run);
    return row ? `${row.look} ${row.bars?.length} ${row.logs?.length} ${row.result}` : "";
  }

  /** @param {any} message */
  function receive(message) {
    if (message.token !== token) return;
    if (message.problem) {
      stopTimers();
      asked = false;
      setText(note, message.problem);
    } else if (message.facts) {
      window.clearTimeout(timers.slow);
      setText(note, "");
      facts = message.facts;
    } else {
      stopTimers();
      asked = false;
      values = message.values;
    }
    paint();
    if (!asked && afterwards) {
      const act = afterwards;
      afterwards = null;
      act();
    }
  }

  function close() {
    if (el.hidden) return;
    stopTimers();
    el.hidden = true;
    run = token = "";
    before.length = 0;
    const target = opener?.isConnected && opener.matches("button, canvas") ? opener : null;
    opener = null;
    changed();
    if (target) target.focus({ preventScroll: true });
    else lost();
  }

  function paint() {
    if (el.hidden) return;
    const row = store.rows.get(run);
    const look = row?.look ?? facts?.look ?? "pending";
    setAttr(state, "class", `cellist-pane-state is-${look}`);
    setText(state, `${store.icon(look)} ${row?.word ?? facts?.word ?? ""}`);
    setText(name, row?.name ?? facts?.name ?? "");
    setText(what, [facts?.what, row?.attempt].filter(Boolean).join(" · "));
    const can = (!store.closed && row?.can) || [];
    if (buttons.getAttribute("data-can") !== can.join() + run) {
      setAttr(buttons, "data-can", can.join() + run);
      buttons.replaceChildren(...can.map((action) => commands.button(action, { run }, row?.name ?? "")));
    }
    paintBody();
    if (!asked && known !== mark()) {
      known = mark();
      window.clearTimeout(timers.again);
      timers.again = window.setTimeout(ask, ASK_AGAIN);
    }
  }

  /** @type {any[]} */
  let painted = [];

  function paintBody() {
    const row = store.rows.get(run);
    const now = [run, facts, values, asked, facts ? null : row];
    if (now.every((one, i) => one === painted[i])) return;
    painted = now;
    /** @type {Section[]} */
    const sections = facts?.sections ?? (row ? fromRow(row, store) : []);
    const opened = new Set([...body.querySelectorAll("details[open]")].map(place));
    const context = { store, open: follow, values, asked };
    for (const [parent, isSide] of /** @type {[HTMLElement, boolean][]} */ ([[main, false], [side, true]])) {
      parent.replaceChildren(...sections.filter((one) => Boolean(one.side) === isSide).map((one) => paintSection(one, context)));
    }
    for (const details of body.querySelectorAll("details")) details.open = opened.has(place(details));
  }

  /**
   * Where in the pane something stands that was opened; it is painted anew and must stay open.
   * @param {Element} one
   */
  function place(one) {
    return `${one.closest(".cellist-section")?.getAttribute("aria-label")}: ${one.querySelector("summary")?.textContent}`;
  }

  /** @param {string} id */
  function follow(id) {
    if (run) before.push(run);
    show(id);
  }

  return {
    el,
    /** The run that is open; empty if none is. */
    run: () => run,
    paint,
    close,
    receive,
    /** @param {string} id */
    open(id) {
      if (!el.contains(document.activeElement)) opener = /** @type {HTMLElement | null} */ (document.activeElement);
      before.length = 0;
      if (!el.hidden && run === id) title.focus();
      else show(id);
    },
    /**
     * @param {string} id
     * @param {boolean} [stay]  Whether the focus stays where it is.
     */
    toggle(id, stay = false) {
      const focused = document.activeElement;
      if (run === id) close();
      else this.open(id);
      if (stay && focused instanceof HTMLElement) focused.focus({ preventScroll: true });
    },
    /**
     * Open a run at one of its sections, as soon as that is there.
     * @param {string} id
     * @param {string} section
     */
    openAt(id, section) {
      afterwards = () => {
        const found = /** @type {HTMLElement | null} */ (body.querySelector(`[aria-label="${section}"]`));
        const load = found?.querySelector("details.cellist-load");
        if (load) /** @type {HTMLDetailsElement} */ (load).open = true;
        found?.scrollIntoView({ block: "nearest" });
        const target = found?.querySelector(".cellist-section-head button, .cellist-frames .is-own:last-of-type, summary");
        if (target instanceof HTMLElement) {
          if (!target.matches("button, summary")) target.tabIndex = -1;
          target.focus({ preventScroll: true });
        }
      };
      this.open(id);
      if (!asked) afterwards();
    },
    /** @param {number} now */
    tick(now) {
      if (el.hidden) return;
      const row = store.rows.get(run);
      const last = row?.bars?.[row.bars.length - 1];
      if (row?.took || !last || store.closed) setText(clock, row?.took ?? facts?.took ?? "");
      else if (row?.due) setText(clock, `next attempt ${countdown(row.due - now)}`);
      else setText(clock, last[2] === null ? growing(now - last[1]) : "");
    },
    stop: stopTimers,
  };
}

/**
 * What the page knows of a run before the kernel has told more.
 * @param {import("./types.js").Row} row
 * @param {import("./store.js").Store} store
 * @returns {Section[]}
 */
function fromRow(row, store) {
  /** @type {Section[]} */
  const found = [];
  if (row.progress) found.push({ kind: "words", title: "Progress", words: row.progress.map(([, words]) => words) });
  if (row.error) found.push({ kind: "frames", title: "Traceback", head: row.error, text: row.trace ?? "" });
  if (row.inputs) found.push({ kind: "values", title: "Inputs", items: row.inputs.map(([name, look]) => ({ name, look })) });
  if (row.result) found.push({ kind: "values", title: "Result", items: [{ look: row.result }] });
  if (row.logs) found.push({ kind: "logs", title: "Log", lines: row.logs.map((text) => ["", "", text]) });
  if (row.why) {
    const changes = row.diff ? [{ text: "", diff: row.diff }] : [];
    found.push({ kind: "why", title: "Cache", sentence: row.why, notes: row.notes, changes });
  }
  const bars = row.bars ?? [];
  if (bars.length) {
    const rows = bars.map(([look, start, end]) => /** @type {[string, string, string, string, null]} */ (
      ["", `+${duration(start - bars[0][1])}`, look, `${store.word(look)}${end === null ? "" : `, ${duration(end - start)}`}`, null]));
    found.push({ kind: "states", title: "States", side: true, rows });
  }
  if (row.where) found.push({ kind: "words", title: "Ran in", side: true, words: [row.where] });
  return found;
}

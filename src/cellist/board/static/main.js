// @ts-check
// The board: takes messages, holds one store, and lets the visible views paint once per frame.

import { makeCard } from "./cards.js";
import { Commands } from "./commands.js";
import { makeDetail } from "./detail.js";
import { h, setAttr } from "./dom.js";
import { makeForms } from "./form.js";
import { makeGraph } from "./graph.js";
import { makeHeader } from "./header.js";
import { Inks } from "./inks.js";
import { makeList } from "./list.js";
import { makeReadout } from "./readout.js";
import { Selection } from "./selection.js";
import { keepKeys } from "./shortcuts.js";
import { Store } from "./store.js";
import { makeTable } from "./table.js";
import { makeTabs } from "./tabs.js";
import { makeTimeline } from "./timeline.js";
import { enter, leave } from "./views.js";

const TICK = 100;
const CALM_TICK = 1000;
const SETTLED = 500;
const ASK_AGAIN = 2500;

/**
 * Hide the record while the board lives: wherever on the page it is, also after it was rewritten.
 * @param {string} ident
 */
function hideRecord(ident) {
  const id = CSS.escape(ident);
  return h("style", {}, `[data-cellist-static="${id}"],.jp-OutputArea-child:has([data-cellist-static="${id}"]){display:none!important}`);
}

/**
 * @param {import("./types.js").Model} model
 * @param {HTMLElement} el
 */
function start(model, el) {
  const store = new Store(() => model.send({ kind: "resync" }));
  const commands = new Commands((message) => model.send(message));
  const forms = makeForms((message) => model.send(message));
  const selection = new Selection();
  const inks = new Inks(store, () => {
    repaint();
    // while a theme is exchanged the page may have no layout for a moment, and no resize tells its end
    window.setTimeout(repaint, SETTLED);
  });
  const detail = makeDetail(store, commands, (message) => model.send(message), () => repaint(),
    () => tabs.visible()[0]?.focus(selection.group));
  const card = makeCard(store, commands, detail);
  const header = makeHeader(store, commands, card, () => fold(root.hasAttribute("data-open")), (look) => {
    setAttr(root, "data-open", "");
    tabs.choose("List");
    list.only(look);
  });
  const list = makeList(store, commands, detail, selection, inks, (message) => model.send(message));
  /** Where Escape leads back to. */
  let cameFrom = "";
  /** @type {(group: number, run?: string) => void} */
  const open = (group, run) => {
    const only = run ?? store.groups.get(group)?.run;
    selection.open(group, run);
    if (only) {
      detail.open(only);
      return;
    }
    cameFrom = tabs.current;
    tabs.choose("List");
    list.open(group, run);
  };
  const graph = makeGraph(store, selection, open);
  const timeline = makeTimeline(store, selection, inks, open);
  const tabs = makeTabs({ Graph: graph, Timeline: timeline, List: list }, () => paint());
  const readout = makeReadout(store, selection);
  const table = makeTable(store);
  const root = h("section", { class: "cellist", "aria-label": "cellist board" },
    header.el, forms.el, tabs.bar, tabs.views, readout.el, detail.el, table.el, inks.el);
  /** A lone run is told in the header; the rest of its board is shown when it is asked for.
   * @param {boolean} shut */
  function fold(shut) {
    setAttr(root, "data-open", shut ? null : "");
    setAttr(header.fold, "aria-expanded", String(!shut));
    const lone = store.header?.lone && store.rows.get(store.header.lone);
    if (lone && !shut) open(lone.g, lone.id);
    if (shut) detail.close();
  }
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let frame = 0;
  let timer = 0;

  function paint() {
    frame = 0;
    // A notebook takes cells out of the page that are scrolled away; coming back changes the size.
    if (store.seq < 0 || !el.isConnected) return;
    setAttr(root, "data-lone", store.header?.lone ? "" : null);
    tabs.fit();
    for (const painter of tabs.visible()) painter.measure?.();
    header.paint();
    for (const painter of tabs.visible()) painter.paint();
    mark();
    detail.paint();
    table.paint();
    tick();
    if (!store.goesOn) catchUp();
  }

  /** Paint what was left for a later frame. */
  function catchUp() {
    if (table.isBehind || tabs.visible().some((painter) => painter.isBehind)) repaint();
  }

  function mark() {
    for (const painter of tabs.visible()) painter.mark();
    readout.mark();
  }

  function tick() {
    window.clearTimeout(timer);
    const now = store.now();
    header.tick(now);
    forms.tick(now);
    for (const painter of tabs.visible()) painter.tick(now);
    detail.tick(now);
    if (store.closed || store.header?.end || !el.isConnected) return;
    timer = window.setTimeout(() => window.requestAnimationFrame(() => {
      tick();
      catchUp();
    }), calm.matches ? CALM_TICK : TICK);
  }

  function repaint() {
    if (!frame) frame = window.requestAnimationFrame(paint);
  }

  /** @param {import("./types.js").Message} message */
  function receive(message) {
    if (message.kind === "reply") commands.reply(message);
    forms.receive(message);
    list.receive(message);
    if (message.kind === "detail") {
      detail.receive(message);
      detail.tick(store.now());
    }
    if (!store.receive(message)) return;
    if (!root.isConnected) el.append(hideRecord(ident), root);
    repaint();
  }

  /** A kernel that was restarted or has ended tells no more: keep what was known, and say so. */
  function lose() {
    if (!store.header || !store.goesOn) return;
    store.closed = true;
    store.header = { ...store.header, look: "crashed", word: "kernel gone", note: null };
    commands.say("The kernel was restarted or has ended. This is what was known last; `%cellist resume` goes on.");
    repaint();
  }

  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const group = selection.opened?.[0] ?? selection.group;
    selection.close();
    if (tabs.current !== "List" || !cameFrom) return;
    tabs.choose(cameFrom);
    cameFrom = "";
    for (const painter of tabs.visible().slice(0, 1)) painter.focus(group);
  });
  keepKeys(root);
  selection.listeners.add(mark);
  model.on("comm_live_update", lose);
  const ident = model.get("ident") ?? "";
  let asleep = true;
  const view = {
    el,
    sleep() {
      asleep = true;
      model.off("msg:custom", receive);
    },
  };
  function wake() {
    asleep = false;
    enter(ident, view);
    model.on("msg:custom", receive);
    model.send({ kind: "hello" });
  }
  const resized = new ResizeObserver(() => {
    if (asleep && el.isConnected) wake();
    repaint();
  });
  resized.observe(el);
  wake();
  const again = window.setTimeout(() => {
    if (store.seq < 0) model.send({ kind: "hello" });
  }, ASK_AGAIN);

  return () => {
    model.off("msg:custom", receive);
    model.off("comm_live_update", lose);
    leave(ident, view);
    resized.disconnect();
    for (const painter of [graph, timeline, list]) painter.stop?.();
    commands.stop();
    detail.stop();
    forms.stop();
    window.clearTimeout(timer);
    window.clearTimeout(again);
    window.cancelAnimationFrame(frame);
    el.replaceChildren();
  };
}

export default () => ({
  /** @param {{model: import("./types.js").Model, el: HTMLElement}} view */
  render({ model, el }) {
    return start(model, el);
  },
});

// @ts-check
// The board: takes messages, holds one store, and lets the visible part paint once per frame.

import { Commands } from "./commands.js";
import { h, setAttr } from "./dom.js";
import { makeGraph } from "./graph.js";
import { makeHeader } from "./header.js";
import { makeList } from "./list.js";
import { Store } from "./store.js";
import { makeTimeline } from "./timeline.js";

const TICK = 100;
const CALM_TICK = 1000;
const ASK_AGAIN = 2500;
const TABS = ["Graph", "Timeline", "List"];
let made = 0;

/**
 * Hide the record while the board lives: wherever on the page it is, also after it was rewritten.
 * @param {string} ident
 */
function hideRecord(ident) {
  const id = CSS.escape(ident);
  return h("style", {}, `[data-cellist-static="${id}"],.jp-OutputArea-child:has([data-cellist-static="${id}"]){display:none!important}`);
}

/**
 * Tabs with their keys: arrows, Home and End move, as the pattern for tabs asks.
 * @param {import("./types.js").Painter[]} painters
 * @param {(index: number) => void} changed
 */
function makeTabs(painters, changed) {
  const prefix = `cellist-${(made += 1)}`;
  const tabs = TABS.map((name, i) => h("button", { type: "button", role: "tab", class: "cellist-tab",
    id: `${prefix}-tab-${i}`, "aria-controls": `${prefix}-panel-${i}` }, name));
  const panels = painters.map((painter, i) => h("div", { role: "tabpanel", class: "cellist-panel",
    id: `${prefix}-panel-${i}`, "aria-labelledby": `${prefix}-tab-${i}`, tabindex: "0" }, painter.el));
  /** @param {number} index */
  const choose = (index) => {
    tabs.forEach((tab, i) => {
      setAttr(tab, "aria-selected", String(i === index));
      setAttr(tab, "tabindex", i === index ? "0" : "-1");
      panels[i].hidden = i !== index;
    });
    changed(index);
  };
  const bar = h("div", { role: "tablist", class: "cellist-tabs", "aria-label": "Views" }, ...tabs);
  tabs.forEach((tab, i) => tab.addEventListener("click", () => choose(i)));
  bar.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = { ArrowRight: (at + 1) % 3, ArrowLeft: (at + 2) % 3, Home: 0, End: 2 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    choose(to);
    tabs[to].focus();
  });
  return { bar, panels, choose };
}

/**
 * @param {import("./types.js").Model} model
 * @param {HTMLElement} el
 */
function start(model, el) {
  const store = new Store(() => model.send({ kind: "resync" }));
  const commands = new Commands((message) => model.send(message));
  const header = makeHeader(store, commands, () => fold(root.hasAttribute("data-open")));
  const list = makeList(store, commands);
  let visible = 0;
  /** @type {(group: number, run?: string) => void} */
  const open = (group, run) => {
    tabs.choose(2);
    list.open(group, run);
  };
  const painters = [makeGraph(store, open), makeTimeline(store, open), list];
  const tabs = makeTabs(painters, (index) => {
    visible = index;
    paint();
  });
  const root = h("section", { class: "cellist", "aria-label": "cellist board" }, header.el, tabs.bar, ...tabs.panels);
  /** A lone run is told in the header; the rest of its board is shown when it is asked for.
   * @param {boolean} shut */
  function fold(shut) {
    setAttr(root, "data-open", shut ? null : "");
    setAttr(header.fold, "aria-expanded", String(!shut));
    const lone = store.header?.lone && store.rows.get(store.header.lone);
    if (lone && !shut) open(lone.g, lone.id);
  }
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let frame = 0;
  let timer = 0;

  function paint() {
    frame = 0;
    // A notebook takes cells out of the page that are scrolled away; coming back changes the size.
    if (store.seq < 0 || !el.isConnected) return;
    setAttr(root, "data-lone", store.header?.lone ? "" : null);
    header.paint();
    painters[visible].paint();
    tick();
  }

  function tick() {
    window.clearTimeout(timer);
    const now = store.now();
    header.tick(now);
    painters[visible].tick(now);
    if (store.closed || store.header?.end || !el.isConnected) return;
    timer = window.setTimeout(() => window.requestAnimationFrame(tick), calm.matches ? CALM_TICK : TICK);
  }

  function repaint() {
    if (!frame) frame = window.requestAnimationFrame(paint);
  }

  /** @param {import("./types.js").Message} message */
  function receive(message) {
    if (message.kind === "reply") commands.reply(message);
    if (!store.receive(message)) return;
    if (!root.isConnected) el.append(hideRecord(model.get("ident") ?? ""), root);
    repaint();
  }

  const resized = new ResizeObserver(repaint);
  resized.observe(el);
  model.on("msg:custom", receive);
  tabs.choose(0);
  model.send({ kind: "hello" });
  const again = window.setTimeout(() => {
    if (store.seq < 0) model.send({ kind: "hello" });
  }, ASK_AGAIN);

  return () => {
    model.off("msg:custom", receive);
    resized.disconnect();
    commands.stop();
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

// @ts-check
// The views and their tabs. A wide board shows graph and timeline side by side under one tab.
// Arrows, Home and End move, as the pattern for tabs asks.

import { h, setAttr } from "./dom.js";

const WIDE = 1040;
/** Which views each tab shows. */
const TABS = { Overview: ["Graph", "Timeline"], Graph: ["Graph"], Timeline: ["Timeline"], List: ["List"] };
/** Which tab stands for one that a width does not have. */
const INSTEAD = { Graph: "Overview", Timeline: "Overview", Overview: "Graph" };
let made = 0;

/**
 * @param {Record<string, import("./types.js").Painter>} painters  By the name of their view.
 * @param {() => void} changed
 */
export function makeTabs(painters, changed) {
  const prefix = `cellist-${(made += 1)}`;
  const panelId = (/** @type {string} */ view) => `${prefix}-${view}`;
  const tabs = Object.entries(TABS).map(([name, views]) => h("button", { type: "button", role: "tab", class: "cellist-tab",
    id: `${prefix}-tab-${name}`, "aria-controls": views.map(panelId).join(" ") }, name));
  const panels = Object.entries(painters).map(([view, painter]) => h("div", { role: "tabpanel", class: "cellist-panel",
    id: panelId(view), "aria-label": view, tabindex: "0", "data-view": view }, painter.el));
  const bar = h("div", { role: "tablist", class: "cellist-tabs", "aria-label": "Views" }, ...tabs);
  const views = h("div", { class: "cellist-views" }, ...panels);
  let wide = false;
  let current = "Graph";

  const offered = () => tabs.filter((tab) => !tab.hidden);

  function show() {
    const shown = /** @type {Record<string, string[]>} */ (TABS)[current];
    for (const tab of tabs) {
      const chosen = tab.textContent === current;
      tab.hidden = tab.textContent === "Overview" ? !wide : wide && tab.textContent !== "List";
      setAttr(tab, "aria-selected", String(chosen));
      setAttr(tab, "tabindex", chosen ? "0" : "-1");
    }
    for (const panel of panels) panel.hidden = !shown.includes(panel.dataset.view ?? "");
    setAttr(views, "data-views", String(shown.length));
  }

  /** @param {string} name */
  function choose(name) {
    const hidden = name === "Overview" ? !wide : wide && name !== "List";
    current = hidden ? /** @type {Record<string, string>} */ (INSTEAD)[name] : name;
    show();
    changed();
  }

  for (const tab of tabs) tab.addEventListener("click", () => choose(tab.textContent ?? ""));
  bar.addEventListener("keydown", (event) => {
    const all = offered();
    const at = all.indexOf(/** @type {HTMLElement} */ (event.target));
    const last = all.length - 1;
    const to = { ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    choose(all[to].textContent ?? "");
    all[to].focus();
  });
  show();

  return {
    bar,
    views,
    choose,
    get current() {
      return current;
    },
    /** Fit the tabs to the width of the board. */
    fit() {
      const now = bar.clientWidth >= WIDE;
      if (now === wide || !bar.clientWidth) return; // no width: hidden for a moment
      wide = now;
      const hidden = current === "Overview" ? !wide : wide && current !== "List";
      if (hidden) current = /** @type {Record<string, string>} */ (INSTEAD)[current];
      show();
    },
    /** The painters whose views can be seen. */
    visible() {
      return /** @type {Record<string, string[]>} */ (TABS)[current].map((view) => painters[view]);
    },
  };
}

// @ts-check
// The graph: nodes are buttons, edges are one SVG below them. Python laid it out in both
// directions; the page takes the one that fits its width.

import { h, keyed, s, setAttr, setText } from "./dom.js";
import { showDone } from "./progress.js";

const LEAST_SCALE = 0.8;

/**
 * @param {import("./store.js").Store} store
 * @param {(group: number) => void} open  Shows a group in the list.
 * @returns {import("./types.js").Painter}
 */
export function makeGraph(store, open) {
  const edges = s("svg", { class: "cellist-edges", "aria-hidden": "true" });
  const nodes = h("div", { class: "cellist-nodes", role: "list", "aria-label": "Tasks" });
  const canvas = h("div", { class: "cellist-canvas" }, nodes);
  canvas.prepend(edges);
  const more = h("p", { class: "cellist-more" });
  const el = h("div", { class: "cellist-graph" }, canvas, more);
  /** @type {Map<number, Element>} */
  const made = new Map();
  /** @type {Map<string, Element>} */
  const lines = new Map();
  let drawn = "";

  /** @param {[number, number, number]} place */
  function makeNode([id]) {
    const button = h("button", { class: "cellist-node", type: "button" },
      h("span", { class: "cellist-node-name" }),
      h("span", { class: "cellist-node-state" }),
      h("span", { class: "cellist-shares", "aria-hidden": "true" }));
    button.addEventListener("click", () => open(id));
    return h("div", { role: "listitem", class: "cellist-place" }, button);
  }

  /**
   * @param {HTMLElement} place
   * @param {[number, number, number]} at
   */
  function updateNode(place, [id, x, y]) {
    const group = store.groups.get(id);
    const transform = `translate(${x}px, ${y}px)`;
    if (place.style.transform !== transform) place.style.transform = transform;
    if (!group) return;
    const button = /** @type {HTMLElement} */ (place.firstElementChild);
    setAttr(button, "class", `cellist-node is-${group.look}${group.total > 1 ? " is-many" : ""}`);
    setAttr(button, "aria-label", group.label);
    setAttr(button, "title", group.why ? `${group.label}\n${group.why}` : group.label);
    showDone(button, group.doing);
    const [name, state, shares] = button.children;
    setText(name, group.name);
    setText(state, `${store.icon(group.look)} ${group.detail}`);
    const wanted = group.total > 1 ? group.counts : [];
    while (shares.children.length > wanted.length) shares.lastElementChild?.remove();
    wanted.forEach(([look, n], i) => {
      const part = /** @type {HTMLElement} */ (shares.children[i] ?? shares.appendChild(h("i")));
      setAttr(part, "class", `is-${look}`);
      if (part.style.flexGrow !== String(n)) part.style.flexGrow = String(n);
    });
  }

  /** @param {import("./types.js").Graph} graph */
  function pick(graph) {
    const width = el.clientWidth || 600;
    const wide = graph.wide.w * LEAST_SCALE <= width || graph.wide.w <= graph.tall.w;
    const drawing = wide ? graph.wide : graph.tall;
    const scale = Math.max(LEAST_SCALE, Math.min(1, (width - 4) / drawing.w));
    return { drawing, scale, name: `${wide}-${scale.toFixed(3)}-${store.graphVersion}` };
  }

  return {
    el,
    paint() {
      const graph = store.graph;
      if (!graph) return;
      const { drawing, scale, name } = pick(graph);
      if (name !== drawn) {
        drawn = name;
        setAttr(edges, "viewBox", `0 0 ${drawing.w} ${drawing.h}`);
        setAttr(edges, "width", String(drawing.w));
        setAttr(edges, "height", String(drawing.h));
        canvas.style.width = `${drawing.w * scale}px`;
        canvas.style.height = `${drawing.h * scale}px`;
        edges.style.transform = nodes.style.transform = `scale(${scale})`;
        nodes.style.setProperty("--node-w", `${graph.node[0]}px`);
        nodes.style.setProperty("--node-h", `${graph.node[1]}px`);
        setText(more, graph.more ?? "");
        keyed(edges, lines, drawing.edges, ([a, b]) => `${a}-${b}`, () => s("path"),
          (line, [, , kind, path]) => {
            setAttr(line, "class", `cellist-edge is-${kind}`);
            setAttr(line, "d", path);
          });
      }
      keyed(nodes, made, drawing.nodes, ([id]) => id, makeNode, updateNode);
    },
    tick() {},
  };
}

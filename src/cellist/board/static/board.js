// Made from static/src by `python -m cellist.board.assets`; edit there.
function h(tag, props = {}, ...children) {
const el = document.createElement(tag);
for (const [name, value] of Object.entries(props)) {
if (typeof value === "function") el.addEventListener(name, value);
else if (value !== null && value !== undefined) el.setAttribute(name, String(value));
}
el.append(...children);
return el;
}
function s(tag, attributes = {}) {
const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, String(value));
return el;
}
function setText(el, text) {
if (el.textContent !== text) el.textContent = text;
}
function setAttr(el, name, value) {
if (el.getAttribute(name) === value) return;
if (value === null) el.removeAttribute(name);
else el.setAttribute(name, value);
}
function keyed(parent, known, items, key, make, update) {
const seen = new Set();
let previous = null;
for (const item of items) {
const name = key(item);
seen.add(name);
let el = known.get(name);
if (!el) {
el = make(item);
known.set(name, el);
}
const place = previous ? previous.nextSibling : parent.firstChild;
if (place !== el) parent.insertBefore(el, place);
update(el, item);
previous = el;
}
for (const [name, el] of known) {
if (seen.has(name)) continue;
el.remove();
known.delete(name);
}
}
const PATIENCE = 400;
const WORDS = { cancel: "Cancel", retry_now: "Retry now", give_up: "Give up" };
class Commands {
constructor(send) {
this.send = send;
this.last = 0;
this.waiting = new Map();
this.el = h("span", { class: "cellist-notice", role: "status" });
}
issue(action, run, button) {
const token = `${action}-${(this.last += 1)}`;
const text = /** @type {Record<string, string>} */ (WORDS)[action] ?? action;
const timer = window.setTimeout(
() => setText(this.el, `“${text}” is waiting for the kernel: it is busy with the cell.`),
PATIENCE,
);
this.waiting.set(token, { text, timer, button });
button?.setAttribute("aria-disabled", "true");
this.send({ kind: "command", action, run, token });
}
reply(message) {
const click = this.waiting.get(message.token ?? "");
if (!click) return;
window.clearTimeout(click.timer);
this.waiting.delete(message.token ?? "");
click.button?.removeAttribute("aria-disabled");
setText(this.el, message.text || `“${click.text}” reached the kernel.`);
}
button(action, run, about) {
const text = /** @type {Record<string, string>} */ (WORDS)[action] ?? action;
const el = h("button", { class: "cellist-button", type: "button", "aria-label": `${text}: ${about}` }, text);
el.addEventListener("click", (event) => {
event.stopPropagation();
if (el.getAttribute("aria-disabled") !== "true") this.issue(action, run, el);
});
return el;
}
stop() {
for (const click of this.waiting.values()) window.clearTimeout(click.timer);
}
}
const LEAST_SCALE = 0.8;
function makeGraph(store, open) {
const edges = s("svg", { class: "cellist-edges", "aria-hidden": "true" });
const nodes = h("div", { class: "cellist-nodes", role: "list", "aria-label": "Tasks" });
const canvas = h("div", { class: "cellist-canvas" }, nodes);
canvas.prepend(edges);
const more = h("p", { class: "cellist-more" });
const el = h("div", { class: "cellist-graph" }, canvas, more);
const made = new Map();
const lines = new Map();
let drawn = "";
function makeNode([id]) {
const button = h("button", { class: "cellist-node", type: "button" },
h("span", { class: "cellist-node-name" }),
h("span", { class: "cellist-node-state" }),
h("span", { class: "cellist-shares", "aria-hidden": "true" }));
button.addEventListener("click", () => open(id));
return h("div", { role: "listitem", class: "cellist-place" }, button);
}
function updateNode(place, [id, x, y]) {
const group = store.groups.get(id);
const transform = `translate(${x}px, ${y}px)`;
if (place.style.transform !== transform) place.style.transform = transform;
if (!group) return;
const button = /** @type {HTMLElement} */ (place.firstElementChild);
setAttr(button, "class", `cellist-node is-${group.look}${group.total > 1 ? " is-many" : ""}`);
setAttr(button, "aria-label", group.label);
setAttr(button, "title", group.why ? `${group.label}\n${group.why}` : group.label);
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
function duration(ms) {
const seconds = Math.max(0, ms) / 1000;
if (seconds < 0.0005) return "0 ms";
if (seconds < 0.9995) return `${Math.round(ms)} ms`;
if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
const whole = Math.round(seconds);
if (whole < 60) return `${whole} s`;
const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
const minutes = Math.round(seconds / 60);
return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}
function growing(ms) {
return ms < 9950 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : duration(ms);
}
function countdown(ms) {
return ms <= 0 ? "now" : `in ${duration(Math.ceil(ms / 1000) * 1000).replace(".0 s", " s")}`;
}
function niceSpan(ms) {
let step = 500;
while (step < ms) step *= step.toString().startsWith("2") ? 2 : 1.6;
return step;
}
const SPEAK_EVERY = 5000;
function makeHeader(store, commands) {
const icon = h("span", { class: "cellist-icon", "aria-hidden": "true" });
const word = h("span", { class: "cellist-word" });
const state = h("span", { class: "cellist-state" }, icon, word);
const title = h("span", { class: "cellist-title" });
const clock = h("span", { class: "cellist-clock" });
const buttons = h("span", { class: "cellist-buttons" });
const bar = h("div", { class: "cellist-bar", "aria-hidden": "true" });
const counts = h("span", { class: "cellist-counts" });
const saved = h("span", { class: "cellist-saved" });
const next = h("span", { class: "cellist-next" });
const nextButtons = h("span", { class: "cellist-buttons" });
const spoken = h("div", { class: "cellist-spoken", role: "status", "aria-live": "polite" });
const el = h("div", { class: "cellist-header" },
h("div", { class: "cellist-line" }, state, title, clock, buttons), bar,
h("div", { class: "cellist-line cellist-second" }, counts, saved),
h("div", { class: "cellist-line cellist-third" }, next, nextButtons, commands.el), spoken);
const segments = new Map();
const chips = new Map();
let cancelling = "";
let retrying = "";
let lastSpoken = 0;
function paintButtons() {
const header = store.header;
if (!header) return;
const runs = store.closed ? [] : header.cancel;
if (runs.join() !== cancelling) {
cancelling = runs.join();
buttons.replaceChildren();
if (runs.length) {
const button = h("button", { class: "cellist-button", type: "button" },
runs.length > 1 ? "Cancel all" : "Cancel");
button.addEventListener("click", () => {
if (button.getAttribute("aria-disabled") === "true") return;
for (const run of runs) commands.issue("cancel", run, button);
});
buttons.append(button);
}
}
const waits = (!store.closed && header.next?.run) || "";
if (waits !== retrying) {
retrying = waits;
nextButtons.replaceChildren();
if (waits && header.next) {
nextButtons.append(commands.button("retry_now", waits, header.next.name),
commands.button("give_up", waits, header.next.name));
}
}
}
return {
el,
paint() {
const header = store.header;
if (!header) return;
setText(icon, store.icon(header.look));
setText(word, header.word);
setAttr(state, "class", `cellist-state is-${header.look}`);
setText(title, header.title);
setText(saved, header.saved ?? "");
const total = header.counts.reduce((sum, [, n]) => sum + n, 0);
keyed(bar, segments, header.counts, ([look]) => look,
([look]) => h("i", { class: `is-${look}` }),
(part, [, n]) => { part.style.flexGrow = String(n); });
keyed(counts, chips, header.counts, ([look]) => look,
([look]) => h("span", { class: `cellist-chip is-${look}` }),
(chip, [look, n]) => setText(chip, `${store.icon(look)} ${n.toLocaleString("en")} ${store.word(look)}`));
setAttr(bar, "data-empty", total ? null : "");
paintButtons();
const now = Date.now();
if (now - lastSpoken > SPEAK_EVERY || header.end) {
lastSpoken = now;
setText(spoken, header.sentence);
}
},
tick(now) {
const header = store.header;
if (!header) return;
const elapsed = header.start && !store.closed ? growing(now - header.start) : "";
setText(clock, header.took ?? elapsed);
const wait = header.next;
setText(next, wait
? `${store.icon("waiting")} ${wait.name} failed; ${wait.attempt} ${countdown(wait.due - now)}`
: "");
},
};
}
function makeDetail(store, row) {
const list = h("dl", { class: "cellist-detail" });
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
const MARKED = new Set(["failed", "crashed"]);
const INDENT = 20;
const HOLLOW = new Set(["pending", "scheduled", "waiting"]);
function makeGrid(store, id, open) {
const canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "cellist-grid", role: "img" }));
let pitch = 13;
let columns = 1;
function rowAt(event) {
const box = canvas.getBoundingClientRect();
const column = Math.floor((event.clientX - box.left) / pitch);
const index = Math.floor((event.clientY - box.top) / pitch) * columns + column;
return column < columns ? { index, row: store.byGroup.get(id)?.get(index) } : { index: -1, row: undefined };
}
canvas.addEventListener("click", (event) => {
const { row } = rowAt(event);
if (row) open(row.id);
});
canvas.addEventListener("mousemove", (event) => {
const { index, row } = rowAt(event);
const code = store.groups.get(id)?.cells?.[index];
const look = Object.entries(store.looks).find(([, known]) => known[2] === code);
canvas.title = row ? `${row.name}: ${row.word}` : look ? `run ${index + 1}: ${look[1][1]}` : "";
});
function paint() {
const group = store.groups.get(id);
const cells = group?.cells;
if (!group || !cells) return;
setAttr(canvas, "aria-label", group.label);
pitch = cells.length > 2000 ? 8 : 13;
const width = (canvas.parentElement?.clientWidth || 600) - INDENT;
columns = Math.max(1, Math.floor(width / pitch));
const height = Math.ceil(cells.length / columns) * pitch;
const ratio = window.devicePixelRatio || 1;
canvas.width = columns * pitch * ratio;
canvas.height = height * ratio;
canvas.style.width = `${columns * pitch}px`;
canvas.style.height = `${height}px`;
const pen = canvas.getContext("2d");
if (!pen) return;
pen.scale(ratio, ratio);
const style = getComputedStyle(canvas);
const inks = {};
for (const [look, known] of Object.entries(store.looks)) {
inks[known[2]] = [look, style.getPropertyValue(`--is-${look}`).trim() || "gray"];
}
const size = pitch - (pitch > 10 ? 3 : 2);
for (let i = 0; i < cells.length; i += 1) {
const [look, ink] = inks[cells[i]] ?? ["", "gray"];
paintCell(pen, look, ink, (i % columns) * pitch, Math.floor(i / columns) * pitch, size);
}
}
return { el: canvas, paint };
}
function paintCell(pen, look, ink, x, y, size) {
pen.fillStyle = pen.strokeStyle = ink;
if (HOLLOW.has(look)) {
pen.setLineDash(look === "waiting" ? [2, 2] : []);
pen.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
} else if (look === "cached") {
pen.beginPath();
pen.moveTo(x + size / 2, y);
pen.lineTo(x + size, y + size / 2);
pen.lineTo(x + size / 2, y + size);
pen.lineTo(x, y + size / 2);
pen.fill();
} else {
pen.fillRect(x, y, size, size);
if (look === "running") pen.clearRect(x + size * 0.3, y + size * 0.3, size * 0.4, size * 0.4);
if (MARKED.has(look)) {
pen.strokeStyle = "#fff";
pen.beginPath();
pen.moveTo(x + 2, y + 2);
pen.lineTo(x + size - 2, y + size - 2);
pen.moveTo(x + size - 2, y + 2);
pen.lineTo(x + 2, y + size - 2);
pen.stroke();
}
}
}
const FIRST_ROWS = 50;
const GRID_FROM = 13;
const URGENT = new Set(["failed", "crashed", "waiting", "paused"]);
function makeList(store, commands) {
const el = h("div", { class: "cellist-list", role: "list", "aria-label": "Runs" });
const made = new Map();
const parts = new Map();
const opened = new Map();
const openRuns = new Set();
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
const known = new Map();
return { el, line, body, grid, rows, more, note, known };
}
function toggle(id) {
const group = store.groups.get(id);
if (opened.has(id)) opened.delete(id);
else opened.set(id, FIRST_ROWS);
if (group?.run && opened.has(id)) openRuns.add(group.run);
paint();
}
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
setText(why, error ?? group.why);
setAttr(why, "class", `cellist-cell-why${error ? " is-error" : ""}`);
setAttr(why, "title", error ?? group.why);
part.body.hidden = !isOpen;
if (isOpen) paintBody(part, group);
}
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
const painted = new WeakMap();
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
setText(why, row.error ?? row.why ?? "");
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
const RESYNC_PAUSE = 1000;
class Store {
constructor(resync) {
this.resync = resync;
this.seq = -1;
this.skew = 0;
this.closed = false;
this.lastAsked = 0;
this.looks = {};
this.header = null;
this.graph = null;
this.graphVersion = 0;
this.groups = new Map();
this.rows = new Map();
this.byGroup = new Map();
}
now() {
return Date.now() + this.skew;
}
receive(message) {
if (message.kind === "snapshot") {
this.groups.clear();
this.rows.clear();
this.byGroup.clear();
this.looks = message.looks ?? this.looks;
this.closed = message.closed === true;
} else if (message.kind === "patch") {
if (message.seq !== this.seq + 1) {
if (this.seq < 0 || (message.seq ?? 0) > this.seq) this.askAnew();
return false;
}
} else {
return false;
}
this.seq = message.seq ?? 0;
this.skew = (message.now ?? Date.now()) - Date.now();
this.merge(message);
return true;
}
askAnew() {
if (Date.now() - this.lastAsked < RESYNC_PAUSE) return;
this.lastAsked = Date.now();
this.resync();
}
merge(message) {
if (message.header) this.header = message.header;
if (message.graph) {
this.graph = message.graph;
this.graphVersion += 1;
}
for (const group of message.groups ?? []) {
const cells = group.cells ? [...group.cells] : (this.groups.get(group.id)?.cells ?? []);
for (const [index, code] of group.changed ?? []) /** @type {string[]} */ (cells)[index] = code;
group.cells = /** @type {string[]} */ (cells);
this.groups.set(group.id, group);
}
for (const row of message.rows ?? []) {
this.rows.set(row.id, row);
let rows = this.byGroup.get(row.g);
if (!rows) this.byGroup.set(row.g, (rows = new Map()));
rows.set(row.i, row);
}
}
rowsOf(group) {
return [...(this.byGroup.get(group)?.values() ?? [])].sort((a, b) => a.i - b.i);
}
icon(look) {
return this.looks[look]?.[0] ?? "?";
}
word(look) {
return this.looks[look]?.[1] ?? look;
}
}
const TICKS = 5;
const TALL = 12;
const LANE = 7;
function makeTimeline(store, open) {
const axis = h("div", { class: "cellist-axis", "aria-hidden": "true" });
for (let i = 0; i <= TICKS; i += 1) axis.append(h("span", { style: `left:${(i * 100) / TICKS}%` }));
const bands = h("div", { class: "cellist-bands", role: "list", "aria-label": "Tasks over time" });
const el = h("div", { class: "cellist-timeline" },
h("div", { class: "cellist-axis-row" }, h("span", {}), axis), bands);
const made = new Map();
const bars = new WeakMap();
const painted = new WeakSet();
const growingBars = new Map();
let shownSpan = 0;
const origin = () => store.header?.start ?? 0;
function span(now) {
const header = store.header;
if (!header?.start) return 1000;
return header.end ? Math.max(1, header.end - header.start) : niceSpan(now - header.start);
}
function makeBand(group) {
const label = h("button", { class: "cellist-band-name", type: "button" });
label.addEventListener("click", () => open(group.id));
const drawing = s("svg", { class: "cellist-lanes", preserveAspectRatio: "none", "aria-hidden": "true" });
drawing.addEventListener("click", (event) => {
const run = /** @type {Element} */ (event.target).getAttribute("data-run");
open(group.id, run ?? undefined);
});
const band = h("div", { class: "cellist-band", role: "listitem" }, label);
band.append(drawing);
bars.set(band, new Map());
return band;
}
function paintBar(drawing, known, row, index, height) {
const [look, start, end] = /** @type {import("./types.js").Bar[]} */ (row.bars)[index];
const key = `${row.id}-${index}`;
let bar = /** @type {SVGElement | undefined} */ (known.get(key));
const tag = look === "waiting" ? "line" : "rect";
if (!bar || bar.tagName !== tag) {
bar?.remove();
bar = s(tag, { "data-run": row.id, "vector-effect": "non-scaling-stroke" });
bar.append(s("title"));
known.set(key, bar);
drawing.append(bar);
}
const y = (row.lane ?? 0) * (height === TALL ? 0 : LANE) + 1;
const x = start - origin();
setAttr(bar, "class", `cellist-stretch is-${look}${row.shade ? " is-shaded" : ""}`);
if (tag === "rect") {
setAttr(bar, "x", String(x));
setAttr(bar, "y", String(y));
setAttr(bar, "height", String(height - 1));
} else {
const middle = String(y + height / 2 - 0.5);
setAttr(bar, "x1", String(x));
setAttr(bar, "y1", middle);
setAttr(bar, "y2", middle);
}
if (bar.firstChild) setText(/** @type {Element} */ (bar.firstChild), `${row.name}: ${store.word(look)}`);
if (end === null && !store.closed) growingBars.set(bar, [x, row.id]);
else growingBars.delete(bar);
setEnd(bar, x, (end ?? store.now()) - origin());
}
function setEnd(bar, start, end) {
if (bar.tagName === "line") setAttr(bar, "x2", String(Math.max(start, end)));
else setAttr(bar, "width", String(Math.max(0, end - start)));
}
function updateBand(band, group) {
const [label, drawing] = band.children;
setText(label, `${store.icon(group.look)} ${group.name}${group.total > 1 ? ` ×${group.total.toLocaleString("en")}` : ""}`);
setAttr(label, "class", `cellist-band-name is-${group.look}`);
setAttr(label, "title", group.label);
setAttr(label, "aria-label", `${group.label}${group.took ? `, took ${group.took}` : ""}`);
const height = group.lanes > 1 ? LANE - 1 : TALL;
const total = group.lanes > 1 ? group.lanes * LANE + 2 : TALL + 2;
setAttr(drawing, "data-height", String(total));
const style = /** @type {HTMLElement} */ (drawing).style;
if (style.height !== `${total}px`) style.height = `${total}px`;
setAttr(drawing, "viewBox", `0 0 ${shownSpan} ${total}`);
const known = /** @type {Map<string, Element>} */ (bars.get(band));
const tall = band.getAttribute("data-height") !== String(height);
setAttr(band, "data-height", String(height));
for (const row of store.byGroup.get(group.id)?.values() ?? []) {
if (painted.has(row) && !tall) continue;
painted.add(row);
(row.bars ?? []).forEach((_, index) => paintBar(drawing, known, row, index, height));
}
}
function rescale(now) {
const wanted = span(now);
if (wanted === shownSpan) return;
shownSpan = wanted;
[...axis.children].forEach((tick, i) => setText(tick, i ? duration((wanted * i) / TICKS) : "0"));
for (const band of made.values()) {
const drawing = band.children[1];
setAttr(drawing, "viewBox", `0 0 ${wanted} ${drawing.getAttribute("data-height")}`);
}
}
return {
el,
paint() {
rescale(store.now());
const groups = [...store.groups.values()].filter((group) => group.lanes > 0);
keyed(bands, made, groups, (group) => group.id, makeBand, updateBand);
},
tick(now) {
rescale(now);
for (const [bar, [start, id]] of growingBars) {
if (!bar.isConnected) growingBars.delete(bar);
const due = store.rows.get(id)?.due;
setEnd(bar, start, (bar.tagName === "line" && due ? Math.max(due, now) : now) - origin());
}
},
};
}
const TICK = 100;
const CALM_TICK = 1000;
const ASK_AGAIN = 2500;
const TABS = ["Graph", "Timeline", "List"];
let made = 0;
function hideRecord(ident) {
const id = CSS.escape(ident);
return h("style", {}, `[data-cellist-static="${id}"],.jp-OutputArea-child:has([data-cellist-static="${id}"]){display:none!important}`);
}
function makeTabs(painters, changed) {
const prefix = `cellist-${(made += 1)}`;
const tabs = TABS.map((name, i) => h("button", { type: "button", role: "tab", class: "cellist-tab",
id: `${prefix}-tab-${i}`, "aria-controls": `${prefix}-panel-${i}` }, name));
const panels = painters.map((painter, i) => h("div", { role: "tabpanel", class: "cellist-panel",
id: `${prefix}-panel-${i}`, "aria-labelledby": `${prefix}-tab-${i}`, tabindex: "0" }, painter.el));
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
function start(model, el) {
const store = new Store(() => model.send({ kind: "resync" }));
const commands = new Commands((message) => model.send(message));
const header = makeHeader(store, commands);
const list = makeList(store, commands);
let visible = 0;
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
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
let frame = 0;
let timer = 0;
function paint() {
frame = 0;
if (store.seq < 0) return;
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
render({ model, el }) {
return start(model, el);
},
});

// @ts-check
// Forms of pauses: a paused flow asks, a person fills in, Python says whether it fits.

import { h, setAttr, setText } from "./dom.js";
import { countdown } from "./time.js";

const PATIENCE = 400;
const TYPES = { integer: "number", number: "number", bool: "checkbox", date: "date", datetime: "datetime-local", time: "time", secret: "password" };
let named = 0;

/**
 * Make the control of a field.
 * @param {import("./types.js").FormField} field
 * @param {string} id
 * @returns {HTMLElement & {value: string, checked?: boolean}}
 */
function makeControl(field, id) {
  const about = { id, name: field.name, "aria-describedby": `${id}-help ${id}-error`,
    "aria-required": field.required ? "true" : null, class: "cellist-control" };
  const filled = typeof field.default === "string" ? field.default : "";
  let control;
  if (field.kind === "select") {
    const none = field.required || field.nullable || !filled ? [h("option", { value: "" }, field.nullable ? "(none)" : "choose…")] : [];
    control = h("select", about, ...none, ...(field.options ?? []).map((option) => h("option", { value: option }, option)));
  } else if (field.kind === "json" || field.long) {
    const rows = Math.min(8, Math.max(2, filled.split("\n").length));
    control = h("textarea", { ...about, rows, spellcheck: field.kind === "json" ? "false" : null,
      class: `cellist-control${field.kind === "json" ? " is-code" : ""}` });
  } else {
    const type = /** @type {Record<string, string>} */ (TYPES)[field.kind] ?? "text";
    const step = { integer: "1", number: "any", datetime: "1", time: "1" }[field.kind];
    control = h("input", { ...about, type, step, min: field.min, max: field.max, maxlength: field.longest, autocomplete: "off" });
  }
  const made = /** @type {HTMLInputElement} */ (control);
  if (field.kind === "bool") made.checked = field.default === true;
  else made.value = filled;
  return made;
}

/**
 * One field: its label, its control, what it means, and what is wrong with it.
 * @param {import("./types.js").FormField} field
 */
function makeField(field) {
  const id = `cellist-field-${(named += 1)}`;
  const control = makeControl(field, id);
  const error = h("span", { class: "cellist-field-error is-error", id: `${id}-error` });
  const mark = field.required && field.kind !== "bool" ? h("span", { class: "cellist-required" }, "required") : "";
  const label = h("label", { for: id }, field.label, " ", mark);
  const hint = field.kind === "json" ? "JSON" : "";
  const help = h("span", { class: "cellist-field-help", id: `${id}-help` }, [field.help, hint].filter(Boolean).join(" · "));
  const el = h("div", { class: `cellist-field is-${field.kind}-field` }, label, control, help, error);
  return {
    el,
    name: field.name,
    focus: () => control.focus(),
    value: () => (field.kind === "bool" ? control.checked === true : control.value),
    /** @param {string | undefined} text */
    complain(text) {
      setText(error, text ?? "");
      setAttr(control, "aria-invalid", text ? "true" : null);
    },
  };
}

/**
 * @param {import("./types.js").Form} form
 * @param {(message: object) => void} send
 */
function makeForm(form, send) {
  const fields = form.fields.map(makeField);
  const titled = `cellist-form-${(named += 1)}`;
  const status = h("span", { class: "cellist-form-status", role: "status" });
  const wrong = h("p", { class: "cellist-form-wrong is-error", role: "alert" });
  const button = h("button", { class: "cellist-button is-main", type: "submit" }, "Resume");
  const left = h("span", { class: "cellist-form-due" });
  const el = h("form", { class: "cellist-form", novalidate: "", "aria-labelledby": titled, "data-lm-suppress-shortcuts": "true" },
    h("p", { class: "cellist-form-title is-paused", id: titled }, h("span", { "aria-hidden": "true" }, "‖ "), form.title,
      form.asks ? h("span", { class: "cellist-form-asks" }, ` · ${form.asks}`) : ""),
    ...(form.help ? [h("p", { class: "cellist-form-help" }, form.help)] : []),
    ...fields.map((field) => field.el), wrong,
    h("p", { class: "cellist-form-end" }, button, status, left),
    ...form.notes.map((note) => h("p", { class: "cellist-form-note" }, note)));
  let token = "";
  let timer = 0;

  el.addEventListener("submit", (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    token = `answer-${(named += 1)}`;
    setAttr(button, "aria-disabled", "true");
    setText(wrong, "");
    timer = window.setTimeout(() => setText(status, "The answer is waiting for the kernel: it is busy with the cell."), PATIENCE);
    send({ kind: "answer", run: form.run, token, values: Object.fromEntries(fields.map((field) => [field.name, field.value()])) });
  });
  el.addEventListener("keydown", (event) => event.stopPropagation());

  return {
    el,
    focus() {
      (fields[0] ?? { focus: () => button.focus() }).focus();
    },
    /** @param {import("./types.js").Message} message */
    reply(message) {
      if (!token || message.token !== token) return;
      window.clearTimeout(timer);
      const errors = message.errors ?? {};
      setAttr(button, "aria-disabled", null);
      setText(status, message.text ?? "");
      for (const field of fields) field.complain(errors[field.name]);
      const known = new Set(fields.map((field) => field.name));
      const others = Object.entries(errors).filter(([name]) => !known.has(name));
      setText(wrong, others.map(([name, text]) => (name ? `${name}: ${text}` : text)).join(" "));
      fields.find((field) => errors[field.name])?.focus();
    },
    /** @param {number} now */
    tick(now) {
      setText(left, form.due ? `Times out ${countdown(form.due - now)}` : "");
    },
    stop: () => window.clearTimeout(timer),
  };
}

/**
 * All forms of a board, between its header and its tabs.
 * @param {(message: object) => void} send
 */
export function makeForms(send) {
  const el = h("div", { class: "cellist-forms" });
  /** @type {Map<string, ReturnType<typeof makeForm>>} */
  const open = new Map();
  return {
    el,
    /** @param {import("./types.js").Message} message */
    receive(message) {
      if (message.kind === "reply") for (const form of open.values()) form.reply(message);
      if (message.kind !== "forms") return;
      const wanted = new Map((message.forms ?? []).map((form) => [`${form.run}/${form.key}`, form]));
      for (const [name, form] of open) {
        if (wanted.has(name)) continue;
        form.stop();
        form.el.remove();
        open.delete(name);
      }
      for (const [name, form] of wanted) {
        if (open.has(name)) continue;
        const made = makeForm(form, send);
        open.set(name, made);
        el.append(made.el);
      }
    },
    /** @param {number} now */
    tick(now) {
      for (const form of open.values()) form.tick(now);
    },
    stop() {
      for (const form of open.values()) form.stop();
    },
  };
}

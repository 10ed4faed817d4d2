// @ts-check
// Clicks on their way to the kernel. A click may have to wait until the kernel is free; then the
// board says so instead of looking dead, and it says when no answer comes at all.

import { h, prose } from "./dom.js";

const PATIENCE = 400;
const LOST = 60000;
/** How long an answer is shown: what is said of a retry is not true for ever. */
const LASTS = 12000;
/** @type {Record<string, string>} */
const WORDS = { cancel: "Cancel", retry_now: "Retry now", give_up: "Give up", retry_failed: "Retry failed" };

/** @typedef {{run: string} | {group: number}} Target */

export class Commands {
  /** @param {(message: object) => void} send */
  constructor(send) {
    this.send = send;
    this.last = 0;
    /** @type {Map<string, {text: string, timers: number[], button: HTMLElement | null}>} */
    this.waiting = new Map();
    this.fading = 0;
    this.el = h("div", { class: "cellist-notice", role: "status" });
  }

  /**
   * @param {string} action
   * @param {Target} target
   * @param {HTMLElement | null} button
   */
  issue(action, target, button) {
    const token = `${action}-${(this.last += 1)}`;
    const text = WORDS[action] ?? action;
    this.say("");
    const timers = [
      window.setTimeout(() => this.say(`“${text}”: the kernel is busy in a cell; this happens when it is free.`), PATIENCE),
      window.setTimeout(() => this.lose(token), LOST),
    ];
    this.waiting.set(token, { text, timers, button });
    button?.setAttribute("aria-disabled", "true");
    this.send({ kind: "command", action, ...target, token });
  }

  /** @param {import("./types.js").Message} message */
  reply(message) {
    const click = this.take(message.token ?? "");
    if (!click) return;
    this.say(message.text || `“${click.text}” reached the kernel.`);
    this.fading = window.setTimeout(() => this.say(""), LASTS);
  }

  /** @param {string} token */
  lose(token) {
    const click = this.take(token);
    if (click) this.say(`“${click.text}” got no answer for a minute: the kernel is still busy, or it has ended.`);
  }

  /**
   * No longer wait for the answer to a click.
   * @param {string} token
   */
  take(token) {
    const click = this.waiting.get(token);
    this.waiting.delete(token);
    for (const timer of click?.timers ?? []) window.clearTimeout(timer);
    click?.button?.removeAttribute("aria-disabled");
    return click;
  }

  /** @param {string} text */
  say(text) {
    window.clearTimeout(this.fading);
    this.el.replaceChildren(...prose(text));
  }

  /**
   * A button for a command.
   * @param {string} action
   * @param {Target} target
   * @param {string} about  What it acts on, for screen readers.
   */
  button(action, target, about) {
    const text = WORDS[action] ?? action;
    const el = h("button", { class: "cellist-button", type: "button", "aria-label": `${text}: ${about}` }, text);
    el.addEventListener("click", (event) => {
      event.stopPropagation();
      if (el.getAttribute("aria-disabled") !== "true") this.issue(action, target, el);
    });
    return el;
  }

  stop() {
    for (const token of [...this.waiting.keys()]) this.take(token);
  }
}

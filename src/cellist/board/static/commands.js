// @ts-check
// Clicks on their way to the kernel. A click may have to wait until the kernel is free; then the
// board says so instead of looking dead.

import { h, setText } from "./dom.js";

const PATIENCE = 400;
const WORDS = { cancel: "Cancel", retry_now: "Retry now", give_up: "Give up" };

export class Commands {
  /** @param {(message: object) => void} send */
  constructor(send) {
    this.send = send;
    this.last = 0;
    /** @type {Map<string, {text: string, timer: number, button: HTMLElement | null}>} */
    this.waiting = new Map();
    this.el = h("span", { class: "cellist-notice", role: "status" });
  }

  /**
   * @param {string} action
   * @param {string} run
   * @param {HTMLElement | null} button
   */
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

  /** @param {import("./types.js").Message} message */
  reply(message) {
    const click = this.waiting.get(message.token ?? "");
    if (!click) return;
    window.clearTimeout(click.timer);
    this.waiting.delete(message.token ?? "");
    click.button?.removeAttribute("aria-disabled");
    setText(this.el, message.text || `“${click.text}” reached the kernel.`);
  }

  /**
   * A button for a command.
   * @param {string} action
   * @param {string} run
   * @param {string} about  What it acts on, for screen readers.
   */
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

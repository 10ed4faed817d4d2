// @ts-check
// What is marked: the group and run under the pointer or the keyboard's focus, else the one that
// was opened last. All views mark the same.

export class Selection {
  constructor() {
    /** @type {[group: number, run: string] | null} */
    this.pointed = null;
    /** @type {[group: number, run: string] | null} */
    this.opened = null;
    this.byKeyboard = false;
    /** Whether what is marked says all of itself where it stands. */
    this.isTold = false;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** The marked group; -1 if there is none. */
  get group() {
    return (this.pointed ?? this.opened)?.[0] ?? -1;
  }

  /** The marked run; empty if the whole group is. */
  get run() {
    return (this.pointed ?? this.opened)?.[1] ?? "";
  }

  /**
   * Mark what is under the pointer or has the focus.
   * @param {number} group
   * @param {string} [run]
   * @param {boolean} [byKeyboard]
   * @param {boolean} [isTold]
   */
  point(group, run = "", byKeyboard = false, isTold = false) {
    if (this.pointed?.[0] === group && this.pointed[1] === run) return;
    this.pointed = [group, run];
    this.byKeyboard = byKeyboard;
    this.isTold = isTold;
    this.tell();
  }

  /** The pointer or the focus left. */
  leave() {
    if (!this.pointed) return;
    this.pointed = null;
    this.tell();
  }

  /**
   * Keep something marked until something else is opened.
   * @param {number} group
   * @param {string} [run]
   */
  open(group, run = "") {
    this.opened = [group, run];
    this.pointed = null;
    this.tell();
  }

  close() {
    this.opened = this.pointed = null;
    this.tell();
  }

  tell() {
    for (const listener of this.listeners) listener();
  }

  /**
   * Have an element mark what it stands for, whether it is pointed at or focused.
   * @param {HTMLElement} el
   * @param {number} group
   * @param {string} [run]
   * @param {boolean} [isTold]
   */
  attach(el, group, run = "", isTold = false) {
    el.addEventListener("pointerenter", () => this.point(group, run, false, isTold));
    el.addEventListener("pointerleave", () => this.leave());
    el.addEventListener("focus", () => this.point(group, run, el.matches(":focus-visible"), isTold));
    el.addEventListener("blur", () => this.leave());
  }
}

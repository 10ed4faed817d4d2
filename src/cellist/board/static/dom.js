// @ts-check
// Elements without a framework. Text only ever becomes text: nothing here parses HTML.

/**
 * Make an element. Functions among the properties become listeners, `class` and `aria-*` attributes.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") el.addEventListener(name, value);
    else if (value !== null && value !== undefined) el.setAttribute(name, String(value));
  }
  el.append(...children);
  return el;
}

/**
 * Make an SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @returns {SVGElement}
 */
export function s(tag, attributes = {}) {
  const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, String(value));
  return el;
}

/**
 * A sentence as nodes: what it has between backticks is code.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function prose(text) {
  return text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

/**
 * Set text if it differs: an unchanged write would still cost a layout.
 * @param {Element} el
 * @param {string} text
 */
export function setText(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/**
 * Set an attribute if it differs; `null` removes it.
 * @param {Element} el
 * @param {string} name
 * @param {string | null} value
 */
export function setAttr(el, name, value) {
  if (el.getAttribute(name) === value) return;
  if (value === null) el.removeAttribute(name);
  else el.setAttribute(name, value);
}

/**
 * Mark what is pointed at or open, or take the mark away.
 * @param {Element | undefined} el  Nothing, where it is not on the page.
 * @param {boolean} is
 */
export function setMarked(el, is) {
  el?.toggleAttribute("data-marked", is);
}

/**
 * Keep one child per item, in the order of the items, making and removing as needed.
 * @template T
 * @param {Element} parent
 * @param {Map<any, Element>} known  The children made so far, by key.
 * @param {Iterable<T>} items
 * @param {(item: T) => any} key
 * @param {(item: T) => Element} make
 * @param {(el: any, item: T) => void} update
 */
export function keyed(parent, known, items, key, make, update) {
  const seen = new Set();
  /** @type {Element | null} */
  let previous = null;
  for (const item of items) {
    const name = key(item);
    seen.add(name);
    let el = known.get(name);
    if (!el) {
      el = make(item);
      known.set(name, el);
    }
    /** @type {ChildNode | null} */
    const place = previous ? previous.nextSibling : parent.firstChild;
    if (place !== el) parent.insertBefore(el, place);
    update(el, item);
    previous = el;
  }
  for (const [name, el] of known) {
    if (seen.has(name)) continue;
    if (el.parentNode === parent) el.remove(); // else it has moved on to another parent
    known.delete(name);
  }
}

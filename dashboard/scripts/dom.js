// Elements without innerHTML: text from the network stays text.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element. `props` are properties (className, onclick, ...) or, with a dash or where there is no such
 * property, attributes.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name in element && !name.includes("-")) Object.assign(element, { [name]: value });
    else element.setAttribute(name, String(value));
  }
  element.append(...children.filter(isShown).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...Node} children
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * The element with that id; the page always has it.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}

/**
 * Set text only where it changed, so that a screen reader and a selection are left in peace.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Make these the children of `box`, unless what is there says the same: a selection in it stays, and a poll that falls
 * into a press on one of its buttons does not swallow it.
 * @param {Element} box
 * @param {...Child} children
 */
export function fill(box, ...children) {
  const wanted = h("div", {}, ...children);
  const same = wanted.childNodes.length === box.childNodes.length && [...wanted.childNodes].every((node, index) => node.isEqualNode(box.childNodes[index]));
  if (!same) box.replaceChildren(...wanted.childNodes);
}

/**
 * Make `wanted` the children of `list`, moving only what is out of place. What had the keyboard's focus has it
 * afterwards: the same element where it was moved, or the new one with the same data attribute `key`.
 * @param {Element} list
 * @param {Element[]} wanted
 * @param {string} [key]
 */
export function arrange(list, wanted, key = "id") {
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const keep = new Set(wanted);
  for (const child of [...list.children]) if (!keep.has(child)) child.remove();
  let place = list.firstElementChild;
  for (const item of wanted) {
    if (item === place) place = place.nextElementSibling;
    else list.insertBefore(item, place);
  }
  if (!(focused instanceof HTMLElement) || document.activeElement === focused) return;
  const name = focused.dataset[key];
  const again = list.contains(focused) || name === undefined ? focused : list.querySelector(`[data-${key}="${CSS.escape(name)}"]`);
  if (again instanceof HTMLElement) again.focus({ preventScroll: true });
}

/**
 * A list is one stop of the Tab key: arrows move within it.
 * @param {Element} list
 * @param {string} selector of its rows' links
 */
export function keepTabStop(list, selector) {
  const links = /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll(selector));
  const stop = list.querySelector(`${selector}[tabindex="0"]`);
  if (!stop && links.length) (list.querySelector(`${selector}[aria-current="true"]`) ?? links[0]).setAttribute("tabindex", "0");
}

/**
 * @param {Child} child
 * @returns {child is Node | string | number}
 */
function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}

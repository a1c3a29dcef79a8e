// Everything by a key or two: through lists by arrows, and the shortcuts that the help lists.

import { byId } from "./dom.js";

const LISTS = { "#events, #incidents, .own-events": "li:not([hidden]) > .event", "#watch": "tbody :is(a, .group)" };

/** @type {Record<string, () => void>} */
const SHORTCUTS = {
  j: () => step(1),
  k: () => step(-1),
  a: () => press(".action-acknowledge"),
  s: () => press(".action-silence"),
  w: () => focusOn("#watch tbody [tabindex='0']"),
  e: () => focusOn(".events-scroll:not([hidden]) .event[tabindex='0']"),
  "/": () => focusOn("#find-ticker"),
  ",": () => byId("open-settings").click(),
  "?": () => help().showModal(),
};

/** Listen to the keyboard. */
export function listenToKeys() {
  byId("help").addEventListener("click", () => help().showModal());
  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest("input, select, textarea")) {
      if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
      return;
    }
    const moved = moveIn(target, event.key);
    if (!moved && !Object.hasOwn(SHORTCUTS, event.key)) return;
    event.preventDefault();
    if (!moved) SHORTCUTS[event.key]();
  });
  document.addEventListener("focusin", ({ target }) => {
    if (target instanceof HTMLElement) becomeTabStop(target);
  });
}

/** @returns {HTMLDialogElement} */
const help = () => /** @type {HTMLDialogElement} */ (byId("shortcuts"));

/** @param {Element} target @param {string} key */
function moveIn(target, key) {
  const by = { ArrowDown: 1, ArrowUp: -1, ArrowRight: 1, ArrowLeft: -1 }[key];
  if (!by) return false;
  const links = rowsAround(target);
  const at = links.indexOf(/** @type {HTMLElement} */ (target));
  if (at < 0) return false;
  links[at + by]?.focus();
  return true;
}

/** @param {HTMLElement} target */
function becomeTabStop(target) {
  const links = rowsAround(target);
  if (!links.includes(target)) return;
  for (const link of links) if (link !== target && link.tabIndex === 0) link.tabIndex = -1;
  target.tabIndex = 0;
}

/** The links of the list that an element is in. @param {Element} target @returns {HTMLElement[]} */
function rowsAround(target) {
  for (const [list, row] of Object.entries(LISTS)) {
    const box = target.closest(list);
    if (box) return [...box.querySelectorAll(row)].filter((each) => each instanceof HTMLElement);
  }
  return [];
}

/** Open the next anomaly of the list, or the one before. @param {number} by */
function step(by) {
  const links = [...document.querySelectorAll(".events-scroll:not([hidden]) li:not([hidden]) > .event")];
  const at = links.findIndex((link) => link.getAttribute("aria-current") === "true");
  const next = links[at < 0 ? 0 : at + by];
  if (next instanceof HTMLElement) next.click();
}

/** @param {string} selector */
function press(selector) {
  const button = document.querySelector(selector);
  if (button instanceof HTMLElement && button.checkVisibility()) button.click();
}

/** @param {string} selector */
function focusOn(selector) {
  const element = document.querySelector(selector);
  if (element instanceof HTMLElement) element.focus();
}

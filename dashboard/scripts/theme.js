// Light or dark: the system's choice until the viewer makes one.

import { svg } from "./dom.js";

const KEY = "theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"light" | "dark"} */
export function theme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return dark.matches ? "dark" : "light";
}

/**
 * Wire the button, and tell `onChange` whenever colours change.
 * @param {HTMLElement} button
 * @param {() => void} onChange
 */
export function initTheme(button, onChange) {
  const stored = localStorage.getItem(KEY);
  if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
  const show = () => {
    const other = theme() === "dark" ? "light" : "dark";
    colours.clear();
    button.setAttribute("aria-label", `Switch to ${other} theme`);
    button.title = `Switch to ${other} theme`;
    button.replaceChildren(icon(other));
    onChange();
  };
  button.addEventListener("click", () => {
    const next = theme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem(KEY, next);
    show();
  });
  dark.addEventListener("change", show);
  show();
}

/** @type {Map<string, string>} of the present theme */
const colours = new Map();

/** The resolved value of a colour token, for canvases. @param {string} token */
export function colour(token) {
  const known = colours.get(token);
  if (known) return known;
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  colours.set(token, value);
  return value;
}

/** @param {"light" | "dark"} which */
function icon(which) {
  const sun = "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10ZM12 1v3M12 20v3M1 12h3M20 12h3M4.2 4.2l2.1 2.1M17.7 17.7l2.1 2.1M4.2 19.8l2.1-2.1M17.7 6.3l2.1-2.1";
  const moon = "M20.5 14.5A8.5 8.5 0 0 1 9.5 3.5a8.5 8.5 0 1 0 11 11Z";
  const path = svg("path", { d: which === "light" ? sun : moon, fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round" });
  return svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, path);
}

// What a viewer chose on this device; settings of the monitor are the API's.

import { SEVERITIES } from "./kinds.js";

/** @typedef {import("./kinds.js").Severity} Severity */

/** Names and the values that they may have; the first is the usual one. */
const CHOICES = {
  density: ["compact", "comfortable"],
  sound: ["off", ...SEVERITIES],
  desktop: ["off", ...SEVERITIES],
  sort: ["list", "ticker", "change", "anomaly"],
  groups: ["none", "market", "own"],
  tour: ["new", "done"],
};

/** @typedef {keyof typeof CHOICES} Choice */

/** @type {Partial<Record<Choice, () => void>>} */
const listeners = {};

/** Call `listener` when this is chosen. @param {Choice} name @param {() => void} listener */
export function onPreference(name, listener) {
  listeners[name] = listener;
}

/** @param {Choice} name */
export function preference(name) {
  const stored = localStorage.getItem(name) ?? "";
  return CHOICES[name].includes(stored) ? stored : CHOICES[name][0];
}

/** @param {Choice} name @param {string} value */
export function prefer(name, value) {
  localStorage.setItem(name, value);
  if (name === "density") applyDensity();
  listeners[name]?.();
}

export function applyDensity() {
  document.documentElement.dataset.density = preference("density");
}

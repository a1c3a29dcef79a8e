// The fields of the settings: each with its label, and the choices that several have.

import { h } from "./dom.js";
import { kinds, kindsKnown } from "./kinds.js";

/** @param {string} label @param {HTMLElement} input */
export const labelled = (label, input) => h("label", {}, h("span", {}, label), input);

/** @param {Record<string, string>} options words by value */
export const choice = (options) => h("select", {}, ...Object.entries(options).map(([value, words]) => h("option", { value }, words)));

/** @param {() => string[]} tickers */
export const tickerChoice = (tickers) => h("select", {}, h("option", { value: "" }, "All tickers"), ...tickers().map((value) => h("option", { value }, value)));

/** The kinds come from the API, perhaps after the dialog was opened. @param {(kind: string) => boolean} isOffered */
export function kindChoice(isOffered = () => true) {
  const select = choice({ "": "All kinds" });
  void kindsKnown.then(() => select.append(...kinds().filter(([kind]) => isOffered(kind)).map(([value, words]) => h("option", { value }, words))));
  return select;
}

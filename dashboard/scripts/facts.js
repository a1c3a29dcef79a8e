// What was measured of an anomaly, in its unit, and what it was compared with.

import { serverNow } from "./clock.js";
import { h } from "./dom.js";
import { momentForViewer, momentInMarket, number, price, short } from "./format.js";
import { capitalized, kindName, momentOf, sentenceOf, severityMark } from "./kinds.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */

/** @type {Record<string, (value: number) => string>} by the unit that the window names */
const UNITS = {
  return: (value) => `${short(100 * value)}%`,
  spread: (value) => `${short(100 * value)}% of the price`,
  price,
  shares: (value) => `${short(value)} shares`,
  seconds: (value) => `${short(value)} s`,
  ticks: (value) => `${short(value)} ticks`,
};

/** @type {Record<string, [string, string]>} label, and what follows the number */
const WINDOW = {
  ticks: ["Compared with", "ticks"],
  moves: ["Compared with", "moves"],
  over_ticks: ["Over", "ticks"],
  over_moves: ["Over", "moves"],
  seconds: ["For", "s"],
};

/** The anomaly in full. @param {Anomaly} anomaly */
export function details(anomaly) {
  const late = anomaly.late && h("span", { className: "badge badge-quiet" }, "Found late");
  return [
    h("h3", {}, severityMark(anomaly.severity), kindName(anomaly.kind), late),
    h("p", {}, sentenceOf(anomaly)),
    h("dl", { className: "facts" }, ...facts(anomaly).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  ];
}

/** @param {Anomaly} anomaly @returns {[string, string][]} */
function facts(anomaly) {
  const ms = momentOf(anomaly);
  const { unit, ...window } = anomaly.window;
  const words = UNITS[unit] ?? number;
  const measured = (/** @type {number | null} */ value) => (value === null ? "–" : words(value));
  return [
    ["When", momentInMarket(ms, serverNow())],
    ["Your time", momentForViewer(ms)],
    ["Value", measured(anomaly.value)],
    // Of a pause there is no usual length, only one that is rare.
    .../** @type {[string, string][]} */ (["ticks", "seconds"].includes(unit) ? [] : [["Expected", measured(anomaly.expected)], ["Give or take", measured(anomaly.tolerance)]]),
    ["Score", `${short(anomaly.score)} (anomaly from ${anomaly.threshold})`],
    ...Object.entries(window).map(([name, value]) => windowFact(name, value)),
    ["Source", anomaly.source],
  ];
}

/** @param {string} name @param {unknown} value @returns {[string, string]} */
function windowFact(name, value) {
  const [label, follows] = WINDOW[name] ?? [capitalized(name.replaceAll("_", " ")), ""];
  if (typeof value === "number") return [label, `${short(value)} ${follows}`.trim()];
  if (typeof value === "boolean") return [label, value ? "yes" : "no"];
  return [label, typeof value === "string" ? value : JSON.stringify(value)];
}

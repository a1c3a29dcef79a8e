// What was measured of an anomaly, in its unit, and what it was compared with.

import { serverNow } from "./clock.js";
import { h } from "./dom.js";
import { age, duration, moment, momentForViewer, number, price, short, viewerIsElsewhere } from "./format.js";
import { capitalized, kindName, momentOf, sentenceOf, severityMark } from "./kinds.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */

/** @type {Record<string, (value: number) => string>} by the unit that the window names */
const UNITS = {
  return: (value) => `${short(100 * value)}%`,
  spread: (value) => `${short(100 * value)}% of the price`,
  price,
  shares: short,
  seconds: duration,
  ticks: (value) => `${short(value)} ${value === 1 ? "tick" : "ticks"}`,
};

/** @type {Record<string, [string, string]>} label, and what follows the number */
const WINDOW = {
  ticks: ["Compared with", "ticks"],
  moves: ["Compared with", "moves"],
  over_ticks: ["Over", "ticks"],
  over_moves: ["Over", "moves"],
};

/** The anomaly in full, and what became of it. @param {Anomaly} anomaly @param {import("../api-types.d.ts").IncidentAnomaly} [life] */
export function details(anomaly, life) {
  const late = anomaly.late && h("span", { className: "badge badge-quiet" }, "Found late");
  return [
    h("h3", {}, severityMark(anomaly.severity), kindName(anomaly.kind), late),
    h("p", {}, sentenceOf(anomaly)),
    h("dl", { className: "facts" }, ...[...facts(anomaly), ...became(anomaly, life)].flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  ];
}

/** @param {Anomaly} anomaly @returns {[string, string][]} */
function facts(anomaly) {
  const ms = momentOf(anomaly);
  const { unit, ...window } = anomaly.window;
  const words = UNITS[unit] ?? number;
  const measured = (/** @type {number | null} */ value) => (value === null ? "–" : words(value));
  return [
    ["When", moment(ms, serverNow())],
    .../** @type {[string, string][]} */ (viewerIsElsewhere(ms) ? [["Your time", momentForViewer(ms)]] : []),
    ["Value", measured(anomaly.value)],
    // Of a pause there is no usual length, only one that is rare.
    .../** @type {[string, string][]} */ (["ticks", "seconds"].includes(unit) ? [] : [["Expected", measured(unit === "price" && anomaly.expected === 0 ? null : anomaly.expected)], ["Give or take", unit === "price" && anomaly.tolerance !== null ? short(anomaly.tolerance) : measured(anomaly.tolerance)]]),
    ["Score", `${short(anomaly.score)} (anomaly from ${anomaly.threshold})`],
    ...Object.entries(window).map(([name, value]) => windowFact(name, value, unit === "price" ? price : short)),
    ["Source", anomaly.source],
  ];
}

/** Whether it goes on, and how bad it got. @param {Anomaly} anomaly @param {import("../api-types.d.ts").IncidentAnomaly} [life] @returns {[string, string][]} */
function became(anomaly, life) {
  if (!life) return [];
  const lasted = (/** @type {number} */ untilMs) => age((untilMs - momentOf(anomaly)) / 1000);
  const state = life.ended_at === null ? `goes on, for ${lasted(serverNow())}` : `over after ${lasted(Date.parse(life.ended_at))}`;
  return [["State", life.severity === anomaly.severity ? state : `${state}; escalated to ${life.severity}`]];
}

/** @param {string} name @param {unknown} value @param {(value: number) => string} inUnit of what is no number of ticks @returns {[string, string]} */
function windowFact(name, value, inUnit) {
  const [label, follows] = WINDOW[name] ?? [capitalized(name.replaceAll("_", " ")), ""];
  if (name === "seconds" && typeof value === "number") return ["For", duration(value)];
  if (typeof value === "number" && !follows) return [label, inUnit(value)];
  if (typeof value === "number") return [label, `${short(value)} ${value === 1 ? follows.replace(/s$/, "") : follows}`.trim()];
  if (typeof value === "boolean") return [label, value ? "yes" : "no"];
  return [label, typeof value === "string" ? value : JSON.stringify(value)];
}

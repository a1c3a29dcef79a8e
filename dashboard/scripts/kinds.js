// What anomalies are called, and how severities look: a shape and a word, not a colour alone.

import { Poll, resource } from "./api.js";
import { h, svg } from "./dom.js";

/** @typedef {import("../api-types.d.ts").AnomalyModel} Anomaly */
/** @typedef {Anomaly["severity"]} Severity */

/** From the worst down. @type {Severity[]} */
export const SEVERITIES = ["critical", "high", "medium", "low"];

/** @type {Map<string, string>} the words for each kind, from the API */
const labels = new Map();

/** @type {() => void} */
let tellKinds = () => {};
/** Kept once the kinds are known. @type {Promise<void>} */
export const kindsKnown = new Promise((resolve) => (tellKinds = resolve));

/** Fill in what the detectors of this monitor find; `onKinds` is called with the kinds and their labels. @param {(kinds: [string, string][]) => void} onKinds */
export function loadKinds(onKinds) {
  const poll = new Poll(() => resource(["kinds"]), (/** @type {import("../api-types.d.ts").KindList} */ { kinds }) => {
    for (const { kind, label } of kinds) labels.set(kind, label);
    onKinds([...labels]);
    tellKinds();
    poll.stop();
  }, { everyMs: 5000, quiet: true });
}

/** All kinds with the words for them. */
export const kinds = () => [...labels];

/** @type {Record<Severity, string>} */
export const SHAPES = {
  critical: "M8 1 15 8 8 15 1 8Z",
  high: "M8 1.5 15 14H1Z",
  medium: "M2.5 2.5h11v11h-11Z",
  low: "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3Z",
};

/** The words for a kind. @param {string} kind */
export const kindName = (kind) => labels.get(kind) ?? capitalized(kind.replaceAll("_", " "));

/** @param {string} text */
export const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Whether its shape is filled: low and medium are quiet. @param {Severity} severity */
export const isFilled = (severity) => severity === "critical" || severity === "high";

/**
 * The mark of a severity: shape, colour and word; filled for critical and high, open for medium and low.
 * @param {Severity} severity
 * @param {boolean} [wordless] the word is left to screen readers
 */
export function severityMark(severity, wordless = false) {
  const shape = svg("path", {
    d: SHAPES[severity],
    fill: isFilled(severity) ? "currentColor" : "none",
    stroke: "currentColor",
    "stroke-width": 2,
    "stroke-linejoin": "round",
  });
  const word = h("span", { className: wordless ? "visually-hidden" : "" }, capitalized(severity));
  return h(
    "span",
    { className: `severity severity-${severity}` },
    svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, shape),
    word,
  );
}

/** When the anomaly happened, epoch ms. @param {Anomaly} anomaly */
export const momentOf = (anomaly) => Date.parse(anomaly.timestamp.split("#")[0]);

/**
 * The address of an anomaly's moment.
 * @param {Anomaly} anomaly
 */
export function linkTo(anomaly) {
  const at = anomaly.timestamp.split("#")[0];
  return `?${new URLSearchParams({ ticker: anomaly.ticker, at, source: anomaly.source, anomaly: anomaly.id })}`;
}

/** An arrow only where a price moved: a spread or a pause has no up and down. @param {Anomaly} anomaly */
export function arrowOf({ direction, window }) {
  if (!["return", "price"].includes(window.unit)) return "";
  return direction === "up" ? "▲" : direction === "down" ? "▼" : "";
}

/** The sentence without what the mark and the score beside it say already. @param {Anomaly} anomaly */
export const sentenceOf = ({ explanation }) => withoutAside(explanation);

/** @param {string} explanation */
export const withoutAside = (explanation) => explanation.replace(/; severity \w+, score [\d.,e+-]+ where alerts begin at [\d.e+-]+\.$/, ".");

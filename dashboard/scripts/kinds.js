// What anomalies are called, and how severities look: a shape and a word, not a colour alone.

import { h, svg } from "./dom.js";

/** @typedef {import("../api-types.d.ts").AnomalyModel} Anomaly */
/** @typedef {Anomaly["severity"]} Severity */

/** From the worst down. @type {Severity[]} */
export const SEVERITIES = ["critical", "high", "medium", "low"];

/** @type {Record<string, string>} */
export const KINDS = {
  price_spike: "Price spike",
  level_shift: "Level shift",
  bad_tick: "Bad tick",
  volume_burst: "Volume burst",
  spread_blowout: "Spread blowout",
  frozen_feed: "Frozen feed",
  gap: "Gap",
  vol_shift: "Volatility shift",
  slow_drift: "Slow drift",
};

/** @type {Record<Severity, string>} */
const SHAPES = {
  critical: "M8 1 15 8 8 15 1 8Z",
  high: "M8 1.5 15 14H1Z",
  medium: "M2.5 2.5h11v11h-11Z",
  low: "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3Z",
};

/** The words for a kind. @param {string} kind */
export const kindName = (kind) => KINDS[kind] ?? kind.replaceAll("_", " ");

/** @param {string} text */
export const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/**
 * The mark of a severity: shape, colour and word; filled for critical and high, open for medium and low.
 * @param {Severity} severity
 * @param {boolean} [wordless] the word is left to screen readers
 */
export function severityMark(severity, wordless = false) {
  const filled = severity === "critical" || severity === "high";
  const shape = svg("path", {
    d: SHAPES[severity],
    fill: filled ? "currentColor" : "none",
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

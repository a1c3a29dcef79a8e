// One anomaly in a list: a link to its moment.

import { h } from "./dom.js";
import { inViewer, momentForViewer, momentInMarket, viewerIsElsewhere } from "./format.js";
import { kindName, linkTo, momentOf, severityMark } from "./kinds.js";
import { orders } from "./orders.js";
import { sparkline } from "./sparkline.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */

const ARROWS = { up: "▲ up", down: "▼ down", none: "" };

/**
 * The list item of an anomaly.
 * @param {Anomaly} anomaly
 * @param {{nowMs: number, usualSource: string, isNew?: boolean, chosen?: boolean, sparks?: boolean}} context
 */
export function eventItem(anomaly, { nowMs, usualSource, isNew = false, chosen = false, sparks = false }) {
  const ms = momentOf(anomaly);
  const spark = sparks && h("span", { className: "event-spark" });
  const time = h(
    "time",
    { className: "event-time", dateTime: new Date(ms).toISOString(), title: momentForViewer(ms) },
    momentInMarket(ms, nowMs),
  );
  const link = h(
    "a",
    {
      className: isNew ? "event is-new" : "event",
      href: linkTo(anomaly),
      "data-nav": "",
      "aria-current": chosen ? "true" : undefined,
      dataset: { id: anomaly.id, severity: anomaly.severity, kind: anomaly.kind, source: anomaly.source },
    },
    severityMark(anomaly.severity),
    h(
      "span",
      { className: "event-title" },
      h("span", { className: "event-ticker" }, anomaly.ticker),
      h("span", { className: "event-kind" }, kindName(anomaly.kind)),
      anomaly.direction !== "none" && h("span", { className: "event-kind" }, ARROWS[anomaly.direction]),
    ),
    time,
    h("span", { className: "event-sentence" }, anomaly.explanation),
    spark,
    meta(anomaly, ms, usualSource),
  );
  if (spark) sparkline(spark, { ticker: anomaly.ticker, source: anomaly.source, at: ms });
  return h("li", {}, link);
}

/**
 * Show what may change about an anomaly after its item was made.
 * @param {Element} item
 * @param {Anomaly} anomaly
 * @param {string} usualSource
 */
export function redrawMeta(item, anomaly, usualSource) {
  item.querySelector(".event-meta")?.replaceWith(meta(anomaly, momentOf(anomaly), usualSource));
}

/** @param {Anomaly} anomaly @param {number} ms @param {string} usualSource */
function meta(anomaly, ms, usualSource) {
  return h(
    "span",
    { className: "event-meta" },
    anomaly.source !== usualSource && h("span", { className: "badge badge-replay" }, anomaly.source),
    orders.acknowledgement(anomaly) && h("span", { className: "badge badge-quiet" }, "Acknowledged"),
    anomaly.late && h("span", { className: "badge badge-quiet" }, "Found late"),
    viewerIsElsewhere(ms) && h("span", {}, `${inViewer(ms)} your time`),
  );
}

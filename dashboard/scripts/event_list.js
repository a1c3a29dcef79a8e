// Anomalies in a list, each a link to its moment.

import { serverNow } from "./clock.js";
import { arrange, fill, h, setText } from "./dom.js";
import { dayInMarket, inViewer, momentForViewer, momentInMarket, viewerIsElsewhere } from "./format.js";
import { kindName, linkTo, momentOf, severityMark } from "./kinds.js";
import { silences } from "./silences.js";
import { sparkline } from "./sparkline.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {{item: HTMLLIElement, look: string}} Line `look` is what it shows besides its anomaly */

const ARROWS = { up: "▲ up", down: "▼ down", none: "" };

/** Fills a list; an item is changed in place, for a new one under a pressed pointer would swallow the click. */
export class EventList {
  #list;
  #sparks;
  /** @type {Map<string, Line>} by id */
  #lines = new Map();

  /** @param {HTMLElement} list @param {{sparks: boolean}} options */
  constructor(list, { sparks }) {
    this.#list = list;
    this.#sparks = sparks;
  }

  /**
   * Show these anomalies, or the message where there are none.
   * @param {Anomaly[]} anomalies
   * @param {{usualSource: string, message: Node, chosen?: string, fresh?: Set<string>}} context ids of the chosen and of the new ones
   */
  show(anomalies, { usualSource, message, chosen = "", fresh = new Set() }) {
    const before = this.#lines;
    this.#lines = new Map();
    const now = serverNow();
    const today = dayInMarket(now);
    const acknowledgements = new Set(silences.inForce.map((silence) => silence.acknowledged));
    for (const anomaly of anomalies) {
      const line = before.get(anomaly.id) ?? { item: eventItem(anomaly, { isNew: fresh.has(anomaly.id), sparks: this.#sparks }), look: "" };
      this.#lines.set(anomaly.id, line);
      const isChosen = anomaly.id === chosen;
      const acknowledged = acknowledgements.has(anomaly.id);
      const look = `${today}|${usualSource}|${isChosen}|${acknowledged}`;
      if (look === line.look) continue;
      line.look = look;
      redraw(line.item, anomaly, { now, usualSource, isChosen, acknowledged });
    }
    if (anomalies.length) arrange(this.#list, [...this.#lines.values()].map(({ item }) => item));
    else this.tell(message);
  }

  /** A message instead of anomalies. @param {Node} message */
  tell(message) {
    this.#lines.clear();
    fill(this.#list, h("li", {}, message));
  }
}

/** The list item of an anomaly, without what `redraw` adds. @param {Anomaly} anomaly @param {{isNew: boolean, sparks: boolean}} options */
function eventItem(anomaly, { isNew, sparks }) {
  const ms = momentOf(anomaly);
  const spark = sparks && h("span", { className: "event-spark" });
  const link = h(
    "a",
    {
      className: isNew ? "event is-new" : "event",
      href: linkTo(anomaly),
      "data-nav": "",
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
    h("time", { className: "event-time", dateTime: new Date(ms).toISOString(), title: momentForViewer(ms) }),
    h("span", { className: "event-sentence" }, anomaly.explanation),
    spark,
    h("span", { className: "event-meta" }),
  );
  if (spark) sparkline(spark, { ticker: anomaly.ticker, source: anomaly.source, at: ms });
  return h("li", {}, link);
}

/**
 * Show what may change about an anomaly after its item was made.
 * @param {HTMLLIElement} item
 * @param {Anomaly} anomaly
 * @param {{now: number, usualSource: string, isChosen: boolean, acknowledged: boolean}} context
 */
function redraw(item, anomaly, { now, usualSource, isChosen, acknowledged }) {
  const ms = momentOf(anomaly);
  const link = item.firstElementChild;
  const time = link?.querySelector(".event-time");
  const meta = link?.querySelector(".event-meta");
  if (!link || !time || !meta) throw new Error(`the item of ${anomaly.id} has no link, time or notes`);
  if (isChosen) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
  setText(time, momentInMarket(ms, now));
  fill(
    meta,
    anomaly.source !== usualSource && h("span", { className: "badge badge-replay" }, anomaly.source),
    acknowledged && h("span", { className: "badge badge-quiet" }, "Acknowledged"),
    anomaly.late && h("span", { className: "badge badge-quiet" }, "Found late"),
    viewerIsElsewhere(ms) && h("span", {}, `${inViewer(ms)} your time`),
  );
}

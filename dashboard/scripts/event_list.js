// Anomalies in a list, each a link to its moment.

import { serverNow } from "./clock.js";
import { arrange, fill, h, keepTabStop, setText } from "./dom.js";
import { bareMoment, dayOf, inViewer, momentForViewer, viewerIsElsewhere } from "./format.js";
import { reached } from "./incidents.js";
import { arrowOf, kindName, linkTo, momentOf, sentenceOf, severityMark } from "./kinds.js";
import { silences } from "./silences.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {{item: HTMLLIElement, look: string}} Line `look` is what it shows besides its anomaly */

/** How close to each other, and in how many tickers, anomalies of a kind are one stall of the feed or one move of the market. */
const AT_ONCE_MS = 5000;
const AT_ONCE_TICKERS = 4;

/** Fills a list; an item is changed in place, for a new one under a pressed pointer would swallow the click. */
export class EventList {
  #list;
  /** @type {Map<string, Line>} by id */
  #lines = new Map();
  /** @type {Set<string>} ids of the oldest of each run that was unfolded */
  #unfolded = new Set();

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
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
    const today = dayOf(now);
    const acknowledgements = new Set(silences.inForce.map((silence) => silence.acknowledged));
    for (const anomaly of anomalies) {
      const line = before.get(anomaly.id) ?? { item: eventItem(anomaly, fresh.has(anomaly.id)), look: "" };
      this.#lines.set(anomaly.id, line);
      const isChosen = anomaly.id === chosen;
      const acknowledged = acknowledgements.has(anomaly.id);
      const look = `${today}|${usualSource}|${isChosen}|${acknowledged}|${kindName(anomaly.kind)}|${reached(anomaly).severity}`;
      if (look === line.look) continue;
      line.look = look;
      redraw(line.item, anomaly, { now, usualSource, isChosen, acknowledged });
    }
    if (anomalies.length) arrange(this.#list, [...this.#lines.values()].map(({ item }) => item));
    else this.tell(message);
    this.#fold(anomalies, chosen);
    keepTabStop(this.#list, "li:not([hidden]) > .event");
  }

  /** Show one line of what happened to many tickers at once, and how to see the rest. @param {Anomaly[]} anomalies @param {string} chosen */
  #fold(anomalies, chosen) {
    for (const run of runsOf(anomalies)) {
      const [first, ...others] = run.toReversed();
      const isOpen = this.#unfolded.has(first.id) || others.some(({ id }) => id === chosen);
      const tickers = new Set(run.map(({ ticker }) => ticker)).size;
      const isFolded = tickers >= AT_ONCE_TICKERS && !isOpen;
      for (const { id } of others) this.#lines.get(id)?.item.toggleAttribute("hidden", isFolded);
      const item = this.#lines.get(first.id)?.item;
      item?.toggleAttribute("hidden", false);
      const button = item?.querySelector(".unfold");
      if (!isFolded) button?.remove();
      else if (button) setText(button, `and ${tickers - 1} more tickers at once`);
      else item?.append(h("button", { className: "link-button unfold", type: "button", onclick: () => this.#unfold(first.id, anomalies, chosen) }, `and ${tickers - 1} more tickers at once`));
    }
  }

  /** @param {string} id @param {Anomaly[]} anomalies @param {string} chosen */
  #unfold(id, anomalies, chosen) {
    this.#unfolded.add(id);
    this.#fold(anomalies, chosen);
  }

  /** Scroll an anomaly into view. @param {string} id */
  reveal(id) {
    this.#lines.get(id)?.item.scrollIntoView({ block: "nearest" });
  }

  /** A message instead of anomalies. @param {Node} message */
  tell(message) {
    this.#lines.clear();
    fill(this.#list, h("li", {}, message));
  }
}

/** Anomalies of one kind that follow closely on each other. @param {Anomaly[]} anomalies newest first */
function runsOf(anomalies) {
  /** @type {Anomaly[][]} */
  const runs = [];
  for (const anomaly of anomalies) {
    const run = runs.at(-1);
    if (run && run[0].kind === anomaly.kind && momentOf(run[0]) - momentOf(anomaly) <= AT_ONCE_MS) run.push(anomaly);
    else runs.push([anomaly]);
  }
  return runs;
}

/** The list item of an anomaly, without what `redraw` adds. @param {Anomaly} anomaly @param {boolean} isNew */
function eventItem(anomaly, isNew) {
  const ms = momentOf(anomaly);
  const link = h(
    "a",
    {
      className: isNew ? "event is-new" : "event",
      href: linkTo(anomaly),
      tabIndex: -1,
      "data-nav": "",
      dataset: { id: anomaly.id, severity: anomaly.severity, kind: anomaly.kind, source: anomaly.source },
    },
    severityMark(anomaly.severity, true),
    h("span", { className: "event-ticker", title: anomaly.ticker }, anomaly.ticker),
    h("span", { className: "event-kind" }),
    h("span", { className: "event-sentence", title: sentenceOf(anomaly) }, sentenceOf(anomaly)),
    h("span", { className: "event-meta" }),
    h("time", { className: "event-time", dateTime: new Date(ms).toISOString(), title: momentForViewer(ms) }),
  );
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
  const { severity } = reached(anomaly);
  const link = item.firstElementChild;
  const time = link?.querySelector(".event-time");
  const meta = link?.querySelector(".event-meta");
  const kind = link?.querySelector(".event-kind");
  if (!link || !time || !meta || !kind) throw new Error(`the item of ${anomaly.id} has no link, time, notes or kind`);
  fill(
    kind, // its words may come after it
    [kindName(anomaly.kind), arrowOf(anomaly)].filter(Boolean).join(" "),
    severity !== anomaly.severity && h("span", { className: "event-reached", title: `Reached ${severity}` }, h("span", { className: "visually-hidden" }, "Reached "), h("span", { "aria-hidden": "true" }, "→"), severityMark(severity, true)),
  );
  if (isChosen) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
  setText(time, bareMoment(ms, now));
  fill(
    meta,
    usualSource !== "" && anomaly.source !== usualSource && h("span", { className: "badge badge-replay" }, anomaly.source),
    acknowledged && h("span", { className: "badge badge-quiet" }, "Acknowledged"),
    anomaly.late && h("span", { className: "badge badge-quiet" }, "Found late"),
    isChosen && viewerIsElsewhere(ms) && h("span", {}, `${inViewer(ms)} your time`),
  );
}

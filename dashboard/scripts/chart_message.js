// What stands in the place of a chart that has no bars: an outage, a rejection, or nothing in this range.

import { href } from "./address.js";
import { connection } from "./api.js";
import { fill, h } from "./dom.js";

/** @typedef {import("../api-types.d.ts").BarList} BarList */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */

export class ChartMessage {
  element = h("div", { className: "chart-empty empty", hidden: true });

  /** An outage before the first bars. */
  showOutage() {
    this.element.hidden = !connection.state.lost;
    if (connection.state.lost) this.#say("No connection", h("p", {}, "The chart appears as soon as the monitor can be reached."));
  }

  /** @param {string} detail */
  showRejection(detail) {
    this.element.hidden = false;
    this.#say("This cannot be shown", h("p", {}, detail));
  }

  /**
   * @param {BarList} list without bars
   * @param {Anomaly[]} anomalies of the range
   * @param {{listed: string[], isShort: boolean}} context the tickers of the watch list, and whether bars below a minute were asked for
   */
  showNothing({ ticker, origin }, anomalies, { listed, isShort }) {
    this.element.hidden = false;
    const elsewhere = anomalies.find((anomaly) => anomaly.origin !== origin);
    const meant = listed.includes(ticker) ? [] : nearest(ticker, listed);
    const links = meant.flatMap((name) => [" ", h("a", { href: href({ ticker: name }), "data-nav": "" }, name)]);
    const usual = isShort ? "Bars below a minute come when the scan of their minute has ended, and are of the configured source only." : origin === "replay" ? "Try a longer range: a recording has the time of its quotes." : "Try a longer range, or wait for the first quote.";
    const isKnown = listed.includes(ticker) || elsewhere || origin === "replay";
    const advice = elsewhere ? `Its anomalies come from ${elsewhere.source}: choose one to see its moment.` : usual;
    this.#say(
      `No ${origin} quotes of ${ticker} in this range`,
      meant.length ? h("p", {}, "Did you mean", ...links, "?") : h("p", {}, isKnown ? advice : `${ticker} is not on the watch list.`),
    );
  }

  hide() {
    this.element.hidden = true;
  }

  /** @param {string} title @param {HTMLElement} text */
  #say(title, text) {
    fill(this.element, h("strong", {}, title), text);
  }
}

/**
 * @param {string} text
 * @param {string[]} known
 * @returns {string[]} what was probably meant
 */
function nearest(text, known) {
  return known.filter((name) => name !== text && distance(text, name) <= (text.length > 3 ? 2 : 1)).sort((a, b) => distance(text, a) - distance(text, b)).slice(0, 3);
}

/** Letters to change, add, drop or swap (Damerau and Levenshtein). @param {string} a @param {string} b */
function distance(a, b) {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => Array.from({ length: b.length + 1 }, (_, j) => (i ? (j ? 0 : i) : j)));
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + Number(a[i - 1] !== b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.length][b.length];
}

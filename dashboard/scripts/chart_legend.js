// The chart in words: the bar under the pointer, the anomalies on it, what the whole of it spans.

import { MINUTE_MS, spreadOf } from "./chart_bars.js";
import { serverNow } from "./clock.js";
import { fill, h, setText } from "./dom.js";
import { dayOf, minuteOf, moment, momentToMinute, percent, price, volume, zoneName } from "./format.js";
import { kindName, momentOf, severityMark } from "./kinds.js";

/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {{name: string, further: number | null}} Versus a second ticker, and how much further the first went, as a part of its price */

/** Prices of more characters take two lines, as a second ticker does. */
const LONG = 9;

export class ChartLegend {
  element = h("p", { className: "chart-legend" });
  tip = h("ul", { className: "chart-tip", hidden: true, "aria-hidden": "true" });
  range = h("span");
  /** @type {Bar[]} */
  #bars = [];
  #digits = 2;
  #lengthMs = MINUTE_MS;
  /** @type {Versus | null} */
  #versus = null;

  /** @param {Bar[]} bars @param {{digits: number, lengthMs: number, versus: Versus | null}} options */
  show(bars, { digits, lengthMs, versus }) {
    [this.#bars, this.#digits, this.#lengthMs, this.#versus] = [bars, digits, lengthMs, versus];
    setText(this.range, bars.length ? span(bars) : "");
    this.element.classList.toggle("is-long", versus !== null || price(bars.at(-1)?.close, digits).length > LONG);
    this.showBar(null, []);
  }

  /** Say what a bar is, or the newest one, and which anomalies are on it. @param {Bar | null} bar @param {Anomaly[]} anomalies */
  showBar(bar, anomalies) {
    this.tip.hidden = !anomalies.length;
    fill(this.tip, ...anomalies.map((anomaly) => h("li", {}, severityMark(anomaly.severity), ` ${kindName(anomaly.kind)}, ${moment(momentOf(anomaly), serverNow())}`)));
    const shown = bar ?? this.#bars.at(-1);
    if (!shown) return fill(this.element);
    const ms = Date.parse(shown.minute);
    const words = (/** @type {number} */ value) => price(value, this.#digits);
    const range = spreadOf(shown);
    const spread = range ? [...new Set(range.map(words))].join("–") : "–";
    const values = { O: words(shown.open), H: words(shown.high), L: words(shown.low), C: words(shown.close), V: volume(shown.volume), Spread: spread, ...this.#against() };
    fill(
      this.element,
      h("span", { className: "legend-time" }, (this.#lengthMs < MINUTE_MS ? moment : momentToMinute)(ms, serverNow())),
      ...Object.entries(values).map(([name, value]) => h("span", { className: "legend-value" }, h("span", {}, `${name} `), value)),
    );
  }

  /** @returns {Record<string, string>} */
  #against() {
    if (!this.#versus) return {};
    const { name, further } = this.#versus;
    return { [`vs ${name}`]: further === null ? "no quotes" : percent(100 * further) };
  }
}

/** The whole chart, for those who do not see it. @param {string} ticker @param {Bar[]} bars @param {Anomaly[]} anomalies */
export function described(ticker, bars, anomalies) {
  const last = bars.at(-1);
  if (!last) return `Chart of ${ticker}: no quotes in this range`;
  const low = Math.min(...bars.map((bar) => bar.low));
  const high = Math.max(...bars.map((bar) => bar.high));
  return `Chart of ${ticker}, ${span(bars)}: ${bars.length} bars, from ${price(low)} to ${price(high)}, last ${price(last.close)}, ${anomalies.length} anomalies marked; they are listed next to it`;
}

/** @param {Bar[]} bars */
function span(bars) {
  const [first, last] = [Date.parse(bars[0].minute), Date.parse(bars[bars.length - 1].minute)];
  const now = serverNow();
  return `${momentToMinute(first, now).replace(` ${zoneName(first)}`, "")} to ${dayOf(first) === dayOf(last) ? minuteOf(last) : momentToMinute(last, now)}`;
}

// One ticker: its chart, its anomalies, and the chosen one in full.

import { Actions } from "./actions.js";
import { Poll, resource } from "./api.js";
import { current, go, href, onAddress } from "./address.js";
import { PriceChart } from "./chart.js";
import { serverNow } from "./clock.js";
import { byId, fill, h, setText } from "./dom.js";
import { EventList } from "./event_list.js";
import { skeleton } from "./feed.js";
import { details } from "./facts.js";
import { change, dayInMarket, momentInMarket, number, percent, price, volume } from "./format.js";
import { silences } from "./silences.js";

/** @typedef {import("../api-types.d.ts").AnomalyPage} AnomalyPage */
/** @typedef {import("../api-types.d.ts").BarList} BarList */
/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {import("../api-types.d.ts").TickerList} TickerList */
/** @typedef {import("./address.js").Address} Address */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */

const MINUTE_MS = 60_000;
const LIVE_MS = 2000;
const PAST_MS = 20_000;
/** @type {Record<string, [string, number]>} label and minutes */
const RANGES = { "1h": ["1 hour", 60], "4h": ["4 hours", 240], "1d": ["1 day", 1440], "2d": ["2 days", 2880] };
const USUAL_RANGE = "4h";

/** The view of the ticker in the address; hidden when there is none. */
export class TickerView {
  #section = byId("ticker-view");
  /** @type {OpenTicker | null} */
  #open = null;
  #key = "";
  #overview = "?";
  /** Where on it the viewer was. */
  #overviewY = 0;
  /** @type {TickerList | null} */
  #list = null;

  constructor() {
    onAddress((address) => this.#show(address));
    this.#show(current());
  }

  /** @param {TickerList} list */
  set list(list) {
    this.#list = list;
    this.#open?.showQuote(list);
  }

  recolour() {
    this.#open?.recolour();
  }

  /** @param {Address} address */
  #show(address) {
    const key = JSON.stringify([address.ticker, address.source, address.at, address.range]);
    if (key === this.#key) {
      this.#open?.choose(address.anomaly);
      return;
    }
    if (address.ticker && !byId("overview").hidden) this.#overviewY = scrollY;
    if (!address.ticker) this.#overview = location.search || "?";
    const moved = this.#key !== "" || address.ticker !== "";
    this.#key = key;
    this.#open?.close();
    this.#open = address.ticker ? new OpenTicker(this.#section, address, this.#list, this.#overview) : null;
    this.#section.hidden = !address.ticker;
    byId("overview").hidden = Boolean(address.ticker);
    document.title = address.ticker ? `${address.ticker} · Anomaly Monitor` : "Anomaly Monitor";
    if (moved) scrollTo(0, address.ticker ? 0 : this.#overviewY);
    if (address.ticker) byId("ticker-title").focus({ preventScroll: true });
  }
}

class OpenTicker {
  #address;
  #overview;
  /** @type {Poll[]} */
  #polls;
  /** @type {PriceChart | null} */
  #chart = null;
  #closed = false;
  #list = h("ol", { className: "feed", "aria-label": "Anomalies of this ticker, newest first" });
  #events = new EventList(this.#list, { sparks: false });
  #facts = h("div");
  #actions = new Actions();
  #detail = h("div", { className: "detail", hidden: true }, this.#facts, this.#actions.element);
  #onSilences = () => this.#draw();
  #legend = h("p", { className: "chart-legend" });
  #empty = h("div", { className: "chart-empty empty", hidden: true });
  #canvas = h("div", { className: "chart", role: "img", id: "chart" });
  #range = h("span");
  /** @type {BarList | null} */
  #bars = null;
  /** @type {AnomalyPage | null} */
  #page = null;
  #fitted = false;
  #chosen;

  /**
   * @param {HTMLElement} section
   * @param {Address} address
   * @param {TickerList | null} list
   * @param {string} overview the link back, with its filters
   */
  constructor(section, address, list, overview) {
    this.#address = address;
    this.#overview = overview;
    this.#chosen = address.anomaly;
    section.replaceChildren(this.#head(), this.#body());
    // It takes longer to make than all else: the page answers the click first.
    requestAnimationFrame(() => setTimeout(() => this.#makeChart()));
    const options = { everyMs: address.at ? PAST_MS : LIVE_MS, onProblem: (/** @type {Error} */ problem) => this.#refused(problem.message) };
    this.#polls = [
      new Poll(() => resource(["quotes", address.ticker], { ...this.#span(), source: address.source }), (bars) => this.#takeBars(bars), options),
      new Poll(() => resource(["anomalies", address.ticker], { ...this.#span(), source: address.source, limit: 200 }), (page) => this.#takeAnomalies(page), options),
    ];
    if (list) this.showQuote(list);
    silences.addEventListener("change", this.#onSilences);
  }

  #makeChart() {
    if (this.#closed) return;
    this.#chart = new PriceChart(this.#canvas, {
      onBar: (bar) => this.#showLegend(bar),
      onChoose: (anomaly) => go({ anomaly: anomaly.id }, { replace: true }),
    });
    this.#draw();
  }

  close() {
    this.#closed = true;
    silences.removeEventListener("change", this.#onSilences);
    for (const poll of this.#polls) poll.stop();
    this.#chart?.remove();
  }

  recolour() {
    this.#chart?.recolour();
  }

  /** @param {string} id */
  choose(id) {
    this.#chosen = id;
    this.#draw();
  }

  /** @param {TickerList} list */
  showQuote(list) {
    byId("ticker-source").hidden = [list.source, list.origin, ""].includes(this.#address.source);
    const ticker = list.tickers.find((row) => row.ticker === this.#address.ticker);
    setText(byId("ticker-price"), ticker ? price(ticker.price) : "");
    const element = byId("ticker-change");
    const known = ticker && ticker.change_percent !== null;
    setText(element, known ? `${change(ticker.change)} (${percent(ticker.change_percent)})` : "");
    element.className = `ticker-change ${known && (ticker.change ?? 0) < 0 ? "down" : "up"}`;
    const against = { previous_close: "since the previous close", open: "since the day's first price" };
    setText(byId("ticker-note"), known && ticker.reference_kind ? against[ticker.reference_kind] : "");
  }

  /** What the chart spans: around the moment in question, or up to now. */
  #span() {
    const minutes = (RANGES[this.#address.range] ?? RANGES[USUAL_RANGE])[1];
    const at = Date.parse(this.#address.at);
    const nowMinute = Math.floor(serverNow() / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
    const until = Number.isNaN(at) ? nowMinute : Math.min(nowMinute, Math.ceil(at / MINUTE_MS + 0.4 * minutes) * MINUTE_MS);
    return { since: new Date(until - minutes * MINUTE_MS).toISOString(), until: new Date(until).toISOString() };
  }

  #head() {
    const { ticker, source, at } = this.#address;
    return h(
      "div",
      {},
      h("a", { className: "back", href: this.#overview, "data-nav": "" }, "← Overview"),
      h(
        "div",
        { className: "ticker-head" },
        h("h1", { id: "ticker-title", tabIndex: -1 }, ticker),
        h("span", { id: "ticker-price", className: "ticker-price" }),
        h("span", { id: "ticker-change", className: "ticker-change" }),
        h("span", { id: "ticker-note", className: "panel-note" }),
        h("span", { id: "ticker-source", className: "badge badge-replay", hidden: true }, source),
        at && h("a", { className: "back", href: href({ ...current(), at: "", anomaly: "", source: "" }), "data-nav": "" }, "Jump to now"),
      ),
    );
  }

  #body() {
    const range = this.#address.range in RANGES ? this.#address.range : USUAL_RANGE;
    const buttons = Object.entries(RANGES).map(([value, [label]]) =>
      h("button", { type: "button", "aria-pressed": String(value === range), onclick: () => go({ range: value }, { replace: true }) }, label),
    );
    this.#events.tell(skeleton());
    return h(
      "div",
      { className: "ticker-grid" },
      h(
        "div",
        { className: "panel" },
        h("div", { className: "chart-head" }, h("div", { className: "segmented", role: "group", "aria-label": "Time range" }, ...buttons), this.#legend),
        h("div", { className: "chart-box" }, this.#canvas, this.#empty),
        h("div", { className: "chart-foot" }, this.#range, h("span", {}, "Price · volume · spread, one bar a minute")),
      ),
      h(
        "section",
        { className: "panel ticker-side", "aria-labelledby": "ticker-anomalies" },
        this.#detail,
        h("div", { className: "panel-head" }, h("h2", { id: "ticker-anomalies" }, "Anomalies in this range"), h("p", { className: "panel-note", id: "ticker-count" })),
        this.#list,
      ),
    );
  }

  /** @param {BarList} bars */
  #takeBars(bars) {
    if (bars === this.#bars) return;
    this.#bars = bars;
    this.#draw();
  }

  /** @param {AnomalyPage} page */
  #takeAnomalies(page) {
    if (page === this.#page) return;
    this.#page = page;
    this.#draw();
  }

  #draw() {
    const anomalies = this.#page?.anomalies ?? [];
    if (this.#bars && this.#chart) this.#drawChart(this.#chart, this.#bars, anomalies);
    if (this.#page) this.#drawList(anomalies, this.#bars?.origin ?? "");
  }

  /** @param {PriceChart} chart @param {BarList} list @param {Anomaly[]} anomalies */
  #drawChart(chart, list, anomalies) {
    const { bars } = list;
    const own = anomalies.filter((anomaly) => anomaly.origin === list.origin);
    chart.draw(bars, own, { fit: !this.#fitted && bars.length > 0, chosen: this.#chosen });
    this.#fitted ||= bars.length > 0;
    this.#empty.hidden = bars.length > 0;
    if (!bars.length) this.#showEmpty(list, anomalies);
    this.#canvas.setAttribute("aria-label", described(this.#address.ticker, bars, own));
    setText(this.#range, bars.length ? `${span(bars)}, New York time` : "");
    this.#showLegend(null);
  }

  /** @param {BarList} list @param {Anomaly[]} anomalies */
  #showEmpty({ ticker, origin }, anomalies) {
    const elsewhere = anomalies.find((anomaly) => anomaly.origin !== origin);
    fill(
      this.#empty,
      h("strong", {}, `No ${origin} quotes of ${ticker} in this range`),
      h("p", {}, elsewhere ? `Its anomalies come from ${elsewhere.source}: choose one to see its moment.` : "Try a longer range, or wait for the first quote."),
    );
  }

  /** @param {Anomaly[]} anomalies @param {string} usual */
  #drawList(anomalies, usual) {
    const message = h("div", { className: "empty" }, "None in this range.");
    this.#events.show(anomalies, { usualSource: this.#address.source || usual, chosen: this.#chosen, message });
    setText(byId("ticker-count"), anomalies.length ? String(anomalies.length) : "");
    const chosen = anomalies.find((anomaly) => anomaly.id === this.#chosen);
    this.#detail.hidden = !chosen;
    if (!chosen) return;
    fill(this.#facts, ...details(chosen));
    this.#actions.show(chosen);
  }

  /** @param {Bar | null} bar */
  #showLegend(bar) {
    const shown = bar ?? this.#bars?.bars.at(-1);
    if (!shown) return setText(this.#legend, "");
    const ms = Date.parse(shown.minute);
    const spread = shown.bid !== null && shown.ask !== null ? `, spread ${number(shown.ask - shown.bid)}` : "";
    setText(
      this.#legend,
      `${momentInMarket(ms, serverNow()).replace(/:00 ET$/, " ET")}: open ${price(shown.open)}, high ${price(shown.high)}, low ${price(shown.low)}, close ${price(shown.close)}, volume ${volume(shown.volume)}${spread}`,
    );
  }

  /** @param {string} detail */
  #refused(detail) {
    this.#empty.hidden = false;
    fill(this.#empty, h("strong", {}, "This cannot be shown"), h("p", {}, detail));
    this.#events.tell(h("div", { className: "empty" }, "None."));
  }
}

/** The chart in words. @param {string} ticker @param {Bar[]} bars @param {Anomaly[]} anomalies */
function described(ticker, bars, anomalies) {
  const last = bars.at(-1);
  if (!last) return `Chart of ${ticker}: no quotes in this range`;
  const low = Math.min(...bars.map((bar) => bar.low));
  const high = Math.max(...bars.map((bar) => bar.high));
  return `Chart of ${ticker}, ${span(bars)}: ${bars.length} minutes, from ${price(low)} to ${price(high)}, last ${price(last.close)}, ${anomalies.length} anomalies marked; they are listed next to it`;
}

/** @param {Bar[]} bars */
function span(bars) {
  const [first, last] = [Date.parse(bars[0].minute), Date.parse(bars[bars.length - 1].minute)];
  const now = serverNow();
  return `${momentInMarket(first, now)} to ${dayInMarket(first) === dayInMarket(last) ? momentInMarket(last, last) : momentInMarket(last, now)}`.replaceAll(":00 ET", "");
}

// A ticker that is open: its bars and anomalies as they come, its chart, its list, and the chosen anomaly in full.

import { Actions } from "./actions.js";
import { href, go } from "./address.js";
import { Poll, connection, resource } from "./api.js";
import { MINUTE_MS, barsOf, lengthName, lengthOf, withQuotes } from "./chart_bars.js";
import { chartControls, minutesOf } from "./chart_controls.js";
import { ChartLegend, described } from "./chart_legend.js";
import { ChartMessage } from "./chart_message.js";
import { serverNow } from "./clock.js";
import { byId, fill, h, setText } from "./dom.js";
import { EventList } from "./event_list.js";
import { eventStream } from "./event_stream.js";
import { skeleton } from "./events_panel.js";
import { details } from "./facts.js";
import { change, digitsOf, digitsOfQuote, momentToMinute, percent, price } from "./format.js";
import { incidents } from "./incidents.js";
import { momentOf } from "./kinds.js";
import { silences } from "./silences.js";

/** @typedef {import("../api-types.d.ts").AnomalyPage} AnomalyPage */
/** @typedef {import("./chart.js").PriceChart} PriceChart */
/** @typedef {import("../api-types.d.ts").BarList} BarList */
/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {import("../api-types.d.ts").TickerList} TickerList */
/** @typedef {import("./address.js").Address} Address */
/** @typedef {import("./chart_bars.js").Quote} Quote */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */

const LIVE_MS = 2000;
/** Of what changes once a minute, or not any more. */
const SLOW_MS = 10_000;
const PAST_MS = 20_000;
/** Quotes that this page has seen are in the archived bars after a scan, which lasts a minute. */
const SEEN_MS = 150_000;
/** Ticks of a new ticker before detectors judge it (docs/detection.md). */
const WARM_UP_TICKS = 60;

export class OpenTicker {
  #address;
  #length;
  /** @type {Poll[]} */
  #polls;
  /** @type {PriceChart | null} */
  #chart = null;
  #closed = false;
  #own = h("ol", { className: "events own-events", "aria-label": "Anomalies of this ticker, newest first" });
  #events = new EventList(this.#own);
  /** @type {TickerList | null} */
  #list;
  #facts = h("div");
  #actions = new Actions();
  #detail = h("div", { className: "detail", hidden: true }, this.#facts, this.#actions.element);
  #legend = new ChartLegend();
  #message = new ChartMessage();
  #canvas = h("div", { className: "chart", role: "img", id: "chart", "aria-label": "Chart" });
  /** Over the chart: in the head it would move it. */
  #closedNote = h("p", { id: "market-closed", className: "chart-closed", hidden: true });
  #toNewest = h("button", { className: "button to-newest", type: "button", hidden: true, onclick: () => this.#chart?.showNewest() }, "Back to live");
  /** @type {BarList | null} */
  #bars = null;
  /** @type {BarList | null} of the ticker that it is compared with */
  #other = null;
  /** Where the bars end (epoch ms) if that is not now: with the last quote before the market closed, or before a long silence. */
  #endMs = 0;
  /** @type {AnomalyPage | null} */
  #page = null;
  /** @type {Quote[]} what the page saw lately, oldest first: kept for bars below a minute */
  #seen = [];
  #fitted = false;
  /** On a phone a chart may be filled while another view is shown: it has no width to fit its bars in until it is shown. */
  #size = new ResizeObserver(() => !this.#fitted && this.#draw());
  #zoomed = false;
  #chosen;
  #ended = new AbortController();

  /**
   * @param {HTMLElement} section
   * @param {Address} address
   * @param {TickerList | null} list
   */
  constructor(section, address, list) {
    this.#address = address;
    this.#length = lengthOf(address.bars);
    this.#list = list;
    this.#chosen = address.anomaly;
    section.replaceChildren(this.#head(), this.#body());
    // It takes longer to make than all else: the page answers the click first.
    requestAnimationFrame(() => setTimeout(() => void this.#makeChart()));
    this.#polls = this.#asked();
    if (list) this.showQuote(list);
    const { signal } = this.#ended;
    silences.addEventListener("change", () => this.#draw(), { signal });
    incidents.addEventListener("change", () => this.#page && this.#drawList(this.#page.anomalies), { signal });
    connection.addEventListener("change", () => this.#showOutage(), { signal });
    this.#showOutage();
  }

  #asked() {
    const { ticker, at, source, compare } = this.#address;
    const everyMs = at ? PAST_MS : LIVE_MS;
    const barsMs = at ? PAST_MS : this.#isShort ? SLOW_MS : LIVE_MS;
    const onProblem = (/** @type {Error} */ problem) => this.#reject(problem.message);
    const length = this.#isShort ? lengthName(this.#address.bars) : "";
    // The API knows where the last minutes end; what stands beside the bars is asked for as they are.
    const bars = () => resource(["quotes", ticker], { ...(at ? this.#span() : { minutes: this.#minutes }), source, length });
    const others = () => resource(["quotes", compare], { ...this.#span(), source, length });
    const anomalies = new Poll(() => resource(["anomalies", ticker], { ...this.#span(), source, limit: 200 }), (page) => this.#takeAnomalies(page), { everyMs, onProblem });
    if (!at) eventStream.follow(anomalies, { ticker, signal: this.#ended.signal });
    const polls = [new Poll(bars, (found) => this.#takeBars(found), { everyMs: barsMs, onProblem }), anomalies];
    if (compare && compare !== ticker) polls.push(new Poll(others, (found) => this.#takeOther(found), { everyMs: barsMs, quiet: true }));
    return polls;
  }

  #showOutage() {
    if (!this.#bars) this.#message.showOutage();
  }

  /** The chart library is most of the page's bytes: what is asked of the API does not wait for it. */
  async #makeChart() {
    const { PriceChart } = await import("./chart.js");
    if (this.#closed) return;
    this.#chart = new PriceChart(this.#canvas, {
      isLine: this.#address.style === "line",
      onBar: (bar, anomalies) => this.#legend.showBar(bar, anomalies),
      onChoose: (anomaly) => go({ anomaly: anomaly.id }, { replace: true }),
      onView: (newest) => (this.#toNewest.hidden = newest || this.#address.at !== ""),
    });
    this.#size.observe(this.#canvas);
    this.#draw();
  }

  close() {
    this.#closed = true;
    this.#ended.abort();
    for (const poll of this.#polls) poll.stop();
    this.#size.disconnect();
    this.#chart?.remove();
  }

  recolour() {
    this.#chart?.recolour();
  }

  /** Whether what an address asks for is on this chart: it then stays as it is. @param {Address} address */
  covers({ ticker, source, range, bars, style, compare, at, anomaly }) {
    const own = this.#address;
    const usual = this.#list?.source ?? "";
    const sameSource = (source || usual) === (own.source || usual) || source === this.#bars?.origin;
    if (ticker !== own.ticker || range !== own.range || bars !== own.bars || style !== own.style || compare !== own.compare || !sameSource) return false;
    if (at === own.at) return true;
    const [first, last] = [this.#bars?.bars.at(0), this.#bars?.bars.at(-1)];
    const ms = Date.parse(at);
    return anomaly !== "" && Boolean(first && last && ms >= Date.parse(first.minute) && ms <= Date.parse(last.minute) + MINUTE_MS);
  }

  /** @param {string} id */
  choose(id) {
    if (id === this.#chosen) return;
    this.#chosen = id;
    this.#draw();
    this.#showMoment();
  }

  /** Zoom to the bars around the chosen anomaly. */
  #showMoment() {
    const chosen = this.#page?.anomalies.find((anomaly) => anomaly.id === this.#chosen);
    if (chosen && this.#fitted) requestAnimationFrame(() => !this.#closed && this.#chart?.show(momentOf(chosen)));
  }

  /** @param {TickerList} list */
  showQuote(list) {
    this.#list = list;
    byId("ticker-source").hidden = [list.source, list.origin, ""].includes(this.#address.source);
    const ticker = list.tickers.find((row) => row.ticker === this.#address.ticker);
    if (ticker && this.#isShort) this.#see(ticker);
    // Of a long list the page knows a part: what it does not list has the price of its newest bar.
    const elsewhere = list.tickers.length < list.feed.total ? (this.#bars?.bars.at(-1)?.close ?? null) : null;
    const last = ticker ? ticker.price : elsewhere;
    setText(byId("ticker-price"), ticker || last !== null ? price(last, this.#digits) : "");
    const element = byId("ticker-change");
    const known = ticker && ticker.change_percent !== null;
    setText(element, known ? `${change(ticker.change, this.#digits)} (${percent(ticker.change_percent)})` : "");
    element.className = `ticker-change ${known && (ticker.change ?? 0) < 0 ? "down" : "up"}`;
    const against = { previous_close: "since the previous close", open: "since the day's first price" };
    setText(byId("ticker-note"), known && ticker.reference_kind ? against[ticker.reference_kind] : "");
    this.#showWarmUp();
    this.#findEnd(); // by the server's clock, which came with the list
  }

  /** Of a ticker that had no quote before today: how many of the first ticks came. */
  #showWarmUp() {
    const row = this.#list?.tickers.find(({ ticker }) => ticker === this.#address.ticker);
    const ticks = this.#bars?.bars.reduce((sum, bar) => sum + bar.ticks, 0) ?? 0;
    const isNew = row?.reference_kind === "open" && this.#address.at === "" && !this.#isShort;
    byId("warm-up").hidden = !(isNew && ticks > 0 && ticks < WARM_UP_TICKS);
    setText(byId("warm-up"), `Warming up, ${ticks} of ${WARM_UP_TICKS} ticks`);
  }

  /** Keep a quote for the bars of the minute that is not archived yet. @param {import("../api-types.d.ts").Ticker} quote */
  #see({ ts, price, bid, ask }) {
    if (ts === null || price === null || this.#address.at || Date.parse(ts) <= (this.#seen.at(-1)?.ms ?? 0)) return;
    const ms = Date.parse(ts);
    this.#seen = [...this.#seen.filter((one) => one.ms > ms - SEEN_MS), { ms, price, bid, ask }];
    this.#draw();
  }

  get #isShort() {
    return this.#length.ms < MINUTE_MS;
  }

  /** The decimals of this instrument's prices. */
  get #digits() {
    const row = this.#list?.tickers.find(({ ticker }) => ticker === this.#address.ticker);
    const bars = this.#bars?.bars.slice(-60) ?? [];
    return Math.max(row ? digitsOfQuote(row) : 0, digitsOf(...bars.flatMap(({ open, close }) => [open, close])));
  }

  get #minutes() {
    return Math.min(minutesOf(this.#address.range), this.#length.mostMinutes);
  }

  /** What the chart spans: around the moment in question, or up to where the bars end. */
  #span() {
    const minutes = this.#minutes;
    const at = Date.parse(this.#address.at);
    const nowMinute = Math.floor(serverNow() / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
    const until = Number.isNaN(at) ? this.#endMs || nowMinute : Math.min(nowMinute, Math.ceil(at / MINUTE_MS + 0.4 * minutes) * MINUTE_MS);
    return { since: new Date(until - minutes * MINUTE_MS).toISOString(), until: new Date(until).toISOString() };
  }

  #head() {
    const { ticker, source, at, range, bars, style, compare } = this.#address;
    return h(
      "div",
      { className: "ticker-head" },
      h("h2", { id: "ticker-title", tabIndex: -1, title: ticker }, ticker),
      h("span", { id: "ticker-price", className: "ticker-price" }),
      h("span", { id: "ticker-change", className: "ticker-change" }),
      h("span", { id: "ticker-note", className: "panel-note" }),
      h("span", { id: "warm-up", className: "badge badge-quiet", hidden: true, title: `Anomalies are found from ${WARM_UP_TICKS} ticks on` }),
      h("span", { id: "ticker-source", className: "badge badge-replay", hidden: true }, source),
      at && h("a", { className: "back", href: href({ ticker, range, bars, style, compare }), "data-nav": "" }, "Back to live"),
    );
  }

  #body() {
    this.#events.tell(skeleton());
    return h(
      "div",
      { className: "ticker-grid" },
      h(
        "div",
        { className: "chart-panel" },
        h("div", { className: "chart-head" }, ...chartControls(this.#address), this.#legend.element),
        h("div", { className: "chart-box" }, this.#canvas, this.#closedNote, this.#legend.tip, this.#toNewest, this.#message.element),
        h("div", { className: "chart-foot" }, this.#legend.range, h("span", {}, "Price · volume · spread, least to greatest; shaded: nothing came")),
      ),
      h(
        "section",
        { className: "ticker-side", "aria-labelledby": "ticker-anomalies" },
        this.#detail,
        h("div", { className: "panel-head" }, h("h3", { id: "ticker-anomalies" }, "Anomalies in this range"), h("p", { className: "panel-note", id: "ticker-count" })),
        this.#own,
      ),
    );
  }

  /** @param {BarList} bars */
  #takeBars(bars) {
    if (bars === this.#bars) return;
    this.#bars = bars;
    this.#findEnd();
    this.#draw();
  }

  /** Where the bars end, which all beside them follows, and whether that is because the market is closed. */
  #findEnd() {
    if (!this.#bars || this.#address.at) return;
    const { until, closed_since: since, opens_at: opens } = this.#bars;
    this.#closedNote.hidden = since === null;
    const words = (/** @type {string} */ instant) => momentToMinute(Date.parse(instant), serverNow());
    if (since && opens) setText(this.#closedNote, `Market closed since ${words(since)}, opens ${words(opens)}`);
    const untilMs = Date.parse(until);
    const endMs = untilMs > serverNow() - MINUTE_MS ? 0 : untilMs;
    if (endMs === this.#endMs) return;
    this.#endMs = endMs;
    this.#fitted = false;
    for (const poll of this.#polls.slice(1)) void poll.now();
  }

  /** @param {BarList} bars */
  #takeOther(bars) {
    if (bars === this.#other) return;
    this.#other = bars;
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
    if (this.#page) this.#drawList(anomalies);
  }

  /** @param {PriceChart} chart @param {BarList} list @param {Anomaly[]} anomalies */
  #drawChart(chart, list, anomalies) {
    const bars = this.#isShort ? withQuotes(list.bars, this.#seen, this.#length.ms) : barsOf(list.bars, this.#length.ms);
    const origins = list.origin === "live" ? ["live", "backfill"] : [list.origin];
    const own = anomalies.filter((anomaly) => origins.includes(anomaly.origin));
    // A replay's time is not now, and of short bars the newest are not archived yet: nothing is missing after the last one.
    const untilMs = list.origin === "replay" || this.#isShort ? 0 : Math.min(serverNow(), Date.parse(list.until));
    const fit = !this.#fitted && bars.length > 0 && this.#canvas.clientWidth > 0;
    const further = chart.draw(bars, own, { fit, chosen: this.#chosen, digits: this.#digits, untilMs, stepMs: this.#length.ms, compared: this.#other && { name: this.#other.ticker, bars: barsOf(this.#other.bars, this.#length.ms) } });
    this.#fitted ||= fit;
    if (this.#fitted && this.#page && !this.#zoomed) {
      this.#zoomed = true;
      this.#showMoment();
    }
    if (bars.length) this.#message.hide();
    else this.#message.showNothing(list, anomalies, { listed: this.#list?.tickers.map((row) => row.ticker) ?? [], isShort: this.#isShort });
    this.#canvas.setAttribute("aria-label", described(this.#address.ticker, bars, own));
    this.#legend.show(bars, { digits: this.#digits, lengthMs: this.#length.ms, versus: this.#other && { name: this.#other.ticker, further } });
    if (this.#list) this.showQuote(this.#list);
  }

  /** @param {Anomaly[]} anomalies */
  #drawList(anomalies) {
    const message = h("div", { className: "empty" }, "None in this range.");
    this.#events.show(anomalies, { usualSource: this.#address.source || (this.#bars?.origin ?? ""), chosen: this.#chosen, message });
    setText(byId("ticker-count"), anomalies.length ? String(anomalies.length) : "");
    const chosen = anomalies.find((anomaly) => anomaly.id === this.#chosen);
    this.#detail.hidden = !chosen;
    if (!chosen) return;
    fill(this.#facts, ...details(chosen, incidents.lifeOf(chosen.id)));
    this.#actions.show(chosen);
  }

  /** @param {string} detail */
  #reject(detail) {
    this.#message.showRejection(detail);
    this.#events.tell(h("div", { className: "empty" }, "None."));
  }
}

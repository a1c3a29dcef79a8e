// One ticker: its chart, its anomalies, and the chosen one in full.

import { Actions } from "./actions.js";
import { Poll, connection, resource } from "./api.js";
import { current, go, href, onAddress } from "./address.js";
import { PriceChart } from "./chart.js";
import { LENGTHS, MINUTE_MS, longer, spreadOf } from "./chart_bars.js";
import { serverNow } from "./clock.js";
import { byId, fill, h, setText } from "./dom.js";
import { EventList } from "./event_list.js";
import { skeleton } from "./events_panel.js";
import { incidents } from "./incidents.js";
import { details } from "./facts.js";
import { change, dayOf, digitsOf, digitsOfQuote, minuteOf, moment, momentToMinute, percent, price, volume, zoneName } from "./format.js";
import { kindName, momentOf, severityMark } from "./kinds.js";
import { silences } from "./silences.js";

/** @typedef {import("../api-types.d.ts").AnomalyPage} AnomalyPage */
/** @typedef {import("../api-types.d.ts").BarList} BarList */
/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {import("../api-types.d.ts").TickerList} TickerList */
/** @typedef {import("./address.js").Address} Address */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */

const LIVE_MS = 2000;
const PAST_MS = 20_000;
/** @type {Record<string, [string, number]>} label and minutes */
const RANGES = { "1h": ["1 hour", 60], "4h": ["4 hours", 240], "1d": ["1 day", 1440], "2d": ["2 days", 2880] };
const USUAL_RANGE = "4h";

/** The chart in the middle: of the ticker in the address, else of the first one of the watch list. */
export class TickerView {
  #section = byId("ticker-view");
  /** @type {OpenTicker | null} */
  #open = null;
  /** @type {TickerList | null} */
  #list = null;

  constructor() {
    onAddress(() => this.#show());
    this.#show();
  }

  /** @param {TickerList} list */
  set list(list) {
    this.#list = list;
    if (!this.#open) this.#show();
    this.#open?.showQuote(list);
  }

  recolour() {
    this.#open?.recolour();
  }

  #show() {
    const address = current();
    byId("main").dataset.view = address.view;
    for (const tab of document.querySelectorAll(".tabs button")) if (tab instanceof HTMLElement) tab.setAttribute("aria-pressed", String(tab.dataset.view === address.view));
    document.title = address.ticker ? `${address.ticker} · Anomaly Monitor` : "Anomaly Monitor";
    const ticker = address.ticker || this.#list?.tickers[0]?.ticker || "";
    if (!ticker) return this.#showNothing();
    const shown = { ...address, ticker };
    if (this.#open?.covers(shown)) return this.#open.choose(address.anomaly);
    this.#open?.close();
    this.#open = new OpenTicker(this.#section, shown, this.#list);
  }

  #showNothing() {
    const text = this.#list ? "Put tickers on the watch list to see their charts." : "Loading";
    fill(this.#section, h("h2", { id: "ticker-title", className: "visually-hidden" }, "Chart"), h("div", { className: "empty" }, text));
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

class OpenTicker {
  #address;
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
  #onSilences = () => this.#draw();
  #onIncidents = () => this.#page && this.#drawList(this.#page.anomalies, this.#bars?.origin ?? "");
  #onConnection = () => this.#showOutage();
  #legend = h("p", { className: "chart-legend" });
  #tip = h("ul", { className: "chart-tip", hidden: true, "aria-hidden": "true" });
  #empty = h("div", { className: "chart-empty empty", hidden: true });
  #canvas = h("div", { className: "chart", role: "img", id: "chart", "aria-label": "Chart" });
  #range = h("span");
  #toNewest = h("button", { className: "button to-newest", type: "button", hidden: true, onclick: () => this.#chart?.showNewest() }, "Back to live");
  /** @type {BarList | null} */
  #bars = null;
  /** @type {AnomalyPage | null} */
  #page = null;
  #fitted = false;
  /** On a phone a chart may be filled while another view is shown: it has no width to fit its bars in until it is shown. */
  #size = new ResizeObserver(() => !this.#fitted && this.#draw());
  #zoomed = false;
  #chosen;

  /**
   * @param {HTMLElement} section
   * @param {Address} address
   * @param {TickerList | null} list
   */
  constructor(section, address, list) {
    this.#address = address;
    this.#list = list;
    this.#chosen = address.anomaly;
    section.replaceChildren(this.#head(), this.#body());
    // It takes longer to make than all else: the page answers the click first.
    requestAnimationFrame(() => setTimeout(() => this.#makeChart()));
    const options = { everyMs: address.at ? PAST_MS : LIVE_MS, onProblem: (/** @type {Error} */ problem) => this.#rejected(problem.message) };
    this.#polls = [
      new Poll(() => resource(["quotes", address.ticker], { ...this.#span(), source: address.source }), (bars) => this.#takeBars(bars), options),
      new Poll(() => resource(["anomalies", address.ticker], { ...this.#span(), source: address.source, limit: 200 }), (page) => this.#takeAnomalies(page), options),
    ];
    if (list) this.showQuote(list);
    silences.addEventListener("change", this.#onSilences);
    incidents.addEventListener("change", this.#onIncidents);
    connection.addEventListener("change", this.#onConnection);
    this.#showOutage();
  }

  /** An outage before the first bars. */
  #showOutage() {
    if (this.#bars) return;
    this.#empty.hidden = !connection.state.lost;
    if (connection.state.lost) fill(this.#empty, h("strong", {}, "No connection"), h("p", {}, "The chart appears as soon as the monitor can be reached."));
  }

  #makeChart() {
    if (this.#closed) return;
    this.#chart = new PriceChart(this.#canvas, {
      onBar: (bar, anomalies) => this.#showBar(bar, anomalies),
      onChoose: (anomaly) => go({ anomaly: anomaly.id }, { replace: true }),
      onView: (newest) => (this.#toNewest.hidden = newest || this.#address.at !== ""),
    });
    this.#size.observe(this.#canvas);
    this.#draw();
  }

  close() {
    this.#closed = true;
    silences.removeEventListener("change", this.#onSilences);
    incidents.removeEventListener("change", this.#onIncidents);
    connection.removeEventListener("change", this.#onConnection);
    for (const poll of this.#polls) poll.stop();
    this.#size.disconnect();
    this.#chart?.remove();
  }

  recolour() {
    this.#chart?.recolour();
  }

  /** Whether what an address asks for is on this chart: it then stays as it is. @param {Address} address */
  covers({ ticker, source, range, bars, at, anomaly }) {
    const own = this.#address;
    const usual = this.#list?.source ?? "";
    const sameSource = (source || usual) === (own.source || usual) || source === this.#bars?.origin;
    if (ticker !== own.ticker || range !== own.range || bars !== own.bars || !sameSource) return false;
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

  /** Zoom to the minutes around the chosen anomaly. */
  #showMoment() {
    const chosen = this.#page?.anomalies.find((anomaly) => anomaly.id === this.#chosen);
    if (chosen && this.#fitted) requestAnimationFrame(() => !this.#closed && this.#chart?.show(momentOf(chosen)));
  }

  /** @param {TickerList} list */
  showQuote(list) {
    this.#list = list;
    byId("ticker-source").hidden = [list.source, list.origin, ""].includes(this.#address.source);
    const ticker = list.tickers.find((row) => row.ticker === this.#address.ticker);
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
  }

  /** How many a bar lasts. */
  get #minutes() {
    return Object.hasOwn(LENGTHS, this.#address.bars) ? Number(this.#address.bars) : 1;
  }

  /** The decimals of this instrument's prices. */
  get #digits() {
    const row = this.#list?.tickers.find(({ ticker }) => ticker === this.#address.ticker);
    const bars = this.#bars?.bars.slice(-60) ?? [];
    return Math.max(row ? digitsOfQuote(row) : 0, digitsOf(...bars.flatMap(({ open, close }) => [open, close])));
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
    const { ticker, source, at, range, bars } = this.#address;
    return h(
      "div",
      {},
      h(
        "div",
        { className: "ticker-head" },
        h("h2", { id: "ticker-title", tabIndex: -1, title: ticker }, ticker),
        h("span", { id: "ticker-price", className: "ticker-price" }),
        h("span", { id: "ticker-change", className: "ticker-change" }),
        h("span", { id: "ticker-note", className: "panel-note" }),
        h("span", { id: "ticker-source", className: "badge badge-replay", hidden: true }, source),
        at && h("a", { className: "back", href: href({ ticker, range, bars }), "data-nav": "" }, "Back to live"),
      ),
    );
  }

  #body() {
    const range = this.#address.range in RANGES ? this.#address.range : USUAL_RANGE;
    const buttons = Object.entries(RANGES).map(([value, [label]]) =>
      h("button", { type: "button", "aria-pressed": String(value === range), onclick: () => go({ range: value }, { replace: true }) }, label),
    );
    const lengths = h(
      "select",
      { id: "bar-length", "aria-label": "Length of a bar", onchange: () => go({ bars: lengths.value === "1" ? "" : lengths.value }, { replace: true }) },
      ...Object.entries(LENGTHS).map(([value, words]) => h("option", { value }, words)),
    );
    lengths.value = String(this.#minutes);
    this.#events.tell(skeleton());
    return h(
      "div",
      { className: "ticker-grid" },
      h(
        "div",
        { className: "chart-panel" },
        h("div", { className: "chart-head" }, h("div", { className: "segmented", role: "group", "aria-label": "Time range" }, ...buttons), lengths, this.#legend),
        h("div", { className: "chart-box" }, this.#canvas, this.#tip, this.#toNewest, this.#empty),
        h("div", { className: "chart-foot" }, this.#range, h("span", {}, "Price · volume · spread, least to greatest; shaded: nothing came")),
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
    const bars = longer(list.bars, this.#minutes);
    const origins = list.origin === "live" ? ["live", "backfill"] : [list.origin];
    const own = anomalies.filter((anomaly) => origins.includes(anomaly.origin));
    const untilMs = Math.min(serverNow(), Date.parse(list.until));
    const fit = !this.#fitted && bars.length > 0 && this.#canvas.clientWidth > 0;
    chart.draw(bars, own, { fit, chosen: this.#chosen, digits: this.#digits, untilMs: list.origin === "replay" ? 0 : untilMs, stepMs: this.#minutes * MINUTE_MS });
    this.#fitted ||= fit;
    if (this.#fitted && this.#page && !this.#zoomed) {
      this.#zoomed = true;
      this.#showMoment();
    }
    this.#empty.hidden = bars.length > 0;
    if (!bars.length) this.#showEmpty(list, anomalies);
    this.#canvas.setAttribute("aria-label", described(this.#address.ticker, bars, own));
    setText(this.#range, bars.length ? span(bars) : "");
    this.#showLegend(null);
    if (this.#list) this.showQuote(this.#list);
  }

  /** @param {BarList} list @param {Anomaly[]} anomalies */
  #showEmpty({ ticker, origin }, anomalies) {
    const elsewhere = anomalies.find((anomaly) => anomaly.origin !== origin);
    const names = this.#list?.tickers.map((row) => row.ticker) ?? [];
    const meant = names.includes(ticker) ? [] : nearest(ticker, names);
    const links = meant.flatMap((name) => [" ", h("a", { href: href({ ticker: name }), "data-nav": "" }, name)]);
    const advice = elsewhere ? `Its anomalies come from ${elsewhere.source}: choose one to see its moment.` : "Try a longer range, or wait for the first quote.";
    fill(
      this.#empty,
      h("strong", {}, `No ${origin} quotes of ${ticker} in this range`),
      meant.length ? h("p", {}, "Did you mean", ...links, "?") : h("p", {}, names.includes(ticker) || elsewhere ? advice : `${ticker} is not on the watch list.`),
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
    fill(this.#facts, ...details(chosen, incidents.lifeOf(chosen.id)));
    this.#actions.show(chosen);
  }

  /** @param {Bar | null} bar @param {Anomaly[]} anomalies */
  #showBar(bar, anomalies) {
    this.#showLegend(bar);
    this.#tip.hidden = !anomalies.length;
    fill(this.#tip, ...anomalies.map((anomaly) => h("li", {}, severityMark(anomaly.severity), ` ${kindName(anomaly.kind)}, ${moment(momentOf(anomaly), serverNow())}`)));
  }

  /** @param {Bar | null} bar */
  #showLegend(bar) {
    const shown = bar ?? longer(this.#bars?.bars ?? [], this.#minutes).at(-1);
    if (!shown) return fill(this.#legend);
    const ms = Date.parse(shown.minute);
    const digits = this.#digits;
    const range = spreadOf(shown);
    const spread = range ? [...new Set(range.map((value) => price(value, digits)))].join("–") : "–";
    const values = { O: price(shown.open, digits), H: price(shown.high, digits), L: price(shown.low, digits), C: price(shown.close, digits), V: volume(shown.volume), Spread: spread };
    fill(
      this.#legend,
      h("span", { className: "legend-time" }, momentToMinute(ms, serverNow())),
      ...Object.entries(values).map(([name, value]) => h("span", { className: "legend-value" }, h("span", {}, `${name} `), value)),
    );
  }

  /** @param {string} detail */
  #rejected(detail) {
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
  return `Chart of ${ticker}, ${span(bars)}: ${bars.length} bars, from ${price(low)} to ${price(high)}, last ${price(last.close)}, ${anomalies.length} anomalies marked; they are listed next to it`;
}

/** @param {Bar[]} bars */
function span(bars) {
  const [first, last] = [Date.parse(bars[0].minute), Date.parse(bars[bars.length - 1].minute)];
  const now = serverNow();
  return `${momentToMinute(first, now).replace(` ${zoneName(first)}`, "")} to ${dayOf(first) === dayOf(last) ? minuteOf(last) : momentToMinute(last, now)}`;
}

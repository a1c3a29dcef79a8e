// How each ticker is: one row, updated in place.

import { FORBIDDEN, Poll, connection, resource } from "./api.js";
import { current, onAddress } from "./address.js";
import { serverNow, setServerTime } from "./clock.js";
import { arrange, byId, fill, h, keepTabStop, setText } from "./dom.js";
import { skeleton } from "./events_panel.js";
import { foldGroup, grouped, isFolded } from "./groups.js";
import { Turn, isPointedAt } from "./pointing.js";
import { onPreference, prefer, preference } from "./preferences.js";
import { age, change, digitsOfQuote, percent, price, volume } from "./format.js";
import { SEVERITIES, kindName, momentOf, severityMark } from "./kinds.js";
import { sparkline } from "./sparkline.js";

/** @typedef {import("../api-types.d.ts").TickerList} TickerList */
/** @typedef {import("../api-types.d.ts").Ticker} Ticker */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {{row: HTMLTableRowElement, cells: Record<string, HTMLElement>, state: HTMLElement, mark: HTMLElement | null, marked: string, shown: Ticker | null}} Line `marked`: id and severity of the anomaly; `shown`: whose numbers are in it */
/** @typedef {{row: HTMLTableRowElement, button: HTMLButtonElement, count: HTMLElement, mark: HTMLElement, marked: string}} Head of a group; `marked`: the severity beside it */

const EVERY_MS = 2000;
const RECENT_MS = 15 * 60_000;
/** Rows that are laid out together or, out of sight, not at all, and are brought up to date in one go. */
const GROUP = 25;
/** Rows of a list that just came, and how long its others wait at most: the chart is made first. */
const AT_FIRST = 2 * GROUP;
const REST_MS = 1000;
/** Tickers that are listed at once; a longer list is turned over by pages, in an order that the API gives it. */
const PAGE = 500;
/** Tickers with a recent anomaly that come first on the first page of a longer list. */
const MOST_FIRST = 100;
/** From so many percent on a change is tinted, and tinted more. */
const HEAT = [0.5, 1.5, 3];
/** @type {[string, string][]} class, whose last word is the column's name, and heading */
const COLUMNS = [
  ["price", "Last"],
  ["change", "Change"],
  ["col-quote bid-ask", "Bid / ask"],
  ["col-quote volume", "Vol."],
  ["col-spark spark", "1 h"],
  ["state-cell", "Age"],
];

/** Characters of the headings: a column is never narrower. @type {Map<string, number>} */
const HEADINGS = new Map(COLUMNS.map(([name, heading]) => [name.split(" ").at(-1) ?? name, heading.length]));

/** The watch list panel; `onList` is called with every new list. */
export class WatchList {
  #box = byId("watch");
  /** @type {Map<string, Line>} */
  #lines = new Map();
  /** @type {Map<string, Head>} by group */
  #heads = new Map();
  /** @type {HTMLTableElement | null} */
  #table = null;
  /** @type {Map<string, number>} by column, the characters of its longest text so far */
  #longest = new Map();
  /** The row of the ticker that is open. @type {HTMLTableRowElement | undefined} */
  #open;
  /** @type {TickerList | null} what the API responded */
  #answer = null;
  /** @type {TickerList | null} the same in the order that is shown */
  #last = null;
  /** How many rows are not up to date, and from which on. */
  #due = 0;
  #from = 0;
  #updating = false;
  /** @type {Map<string, Anomaly>} the worst recent anomaly of each ticker */
  #recent = new Map();
  #source = listSource();
  /** Whether another order or page was asked for, and did not come yet. */
  #hasAsked = false;
  #turn = new Turn(this.#box, () => this.#showSorted());
  /** @type {(list: TickerList) => void} */
  #onList;

  #offset = 0;
  /** Whether the list is longer than a page. */
  #paged = false;
  #pages = h("span", { role: "status" });
  #before = h("button", { className: "button", type: "button", onclick: () => this.#turnPage(-PAGE) }, "Previous");
  #after = h("button", { className: "button", type: "button", onclick: () => this.#turnPage(PAGE) }, "Next");
  #poll;

  /** @param {(list: TickerList) => void} onList */
  constructor(onList) {
    this.#onList = onList;
    this.#box.replaceChildren(skeleton());
    fill(byId("watch-pages"), this.#before, this.#pages, this.#after);
    this.#poll = new Poll(() => this.#question(), (list) => this.#take(list), {
      everyMs: EVERY_MS,
      onProblem: (problem) => this.#showProblem(problem.message),
    });
    onAddress(() => {
      this.#markOpen();
      if (listSource() === this.#source) return;
      this.#source = listSource();
      this.#offset = 0;
      this.#forget();
      void this.#poll.now();
    });
    onPreference("groups", () => this.#showSorted());
    setInterval(() => void this.#update(), 1000);
  }

  /** @param {Anomaly[]} anomalies newest first */
  set anomalies(anomalies) {
    this.#recent.clear();
    const since = serverNow() - RECENT_MS;
    for (const anomaly of anomalies) {
      if (momentOf(anomaly) < since) break;
      const known = this.#recent.get(anomaly.ticker);
      if (!known || rank(anomaly) < rank(known)) this.#recent.set(anomaly.ticker, anomaly);
    }
    void this.#update();
  }

  #markOpen() {
    const row = this.#lines.get(current().ticker)?.row;
    if (row === this.#open) return;
    this.#open?.removeAttribute("data-open");
    row?.setAttribute("data-open", "");
    this.#open = row;
  }

  #forget() {
    this.#lines.clear();
    this.#table = null;
    this.#last = this.#answer = null;
    this.#box.replaceChildren(skeleton());
    this.#box.setAttribute("aria-busy", "true");
  }

  /** What is asked of the API: the page of a list that has several, in the order that is wanted of all of them. */
  #question() {
    const by = this.#paged ? preference("sort") : "list";
    const first = by === "anomaly" ? [...this.#recent.values()].toSorted((a, b) => rank(a) - rank(b)).slice(0, MOST_FIRST) : [];
    return resource(["tickers"], {
      source: this.#source,
      limit: PAGE,
      offset: this.#offset || undefined,
      order: by === "ticker" || by === "change" ? by : undefined,
      first: first.map(({ ticker }) => ticker).join(),
    });
  }

  /** Turn the pages. @param {number} by */
  #turnPage(by) {
    this.#hasAsked = true;
    this.#offset = Math.max(0, this.#offset + by);
    this.#box.scrollTo(0, 0);
    void this.#poll.now();
  }

  /** @param {TickerList} list */
  #take(list) {
    if (list === this.#answer) return;
    if (!list.tickers.length && this.#offset) return this.#turnPage(-this.#offset); // the list has become shorter
    this.#answer = list;
    const { total } = list.feed;
    byId("watch-pages").hidden = total <= PAGE;
    setText(this.#pages, `${(list.offset + 1).toLocaleString("en-US")}–${(list.offset + list.tickers.length).toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`);
    [this.#before.disabled, this.#after.disabled] = [!list.offset, list.next === null];
    const paged = total > PAGE;
    if (paged !== this.#paged) {
      this.#paged = paged;
      if (preference("sort") !== "list") void this.#poll.now();
    }
    const isHeld = this.#last && !this.#hasAsked && isPointedAt(this.#box);
    this.#hasAsked = false;
    if (!isHeld) return this.#showSorted();
    this.#show({ ...list, tickers: this.#asBefore(list.tickers) });
    this.#turn.want();
  }

  #showSorted() {
    if (this.#answer) this.#show({ ...this.#answer, tickers: this.#sorted(this.#answer.tickers) });
  }

  /** In the order that is shown, so that no row moves; those that are not shown yet at the end. @param {Ticker[]} tickers */
  #asBefore(tickers) {
    const places = new Map(this.#last?.tickers.map(({ ticker }, place) => [ticker, place]));
    const place = (/** @type {Ticker} */ { ticker }) => places.get(ticker) ?? places.size;
    return tickers.toSorted((a, b) => place(a) - place(b));
  }

  /** @param {Ticker[]} tickers in the order of the watch list */
  #sorted(tickers) {
    if (this.#paged) return tickers;
    const by = preference("sort");
    if (by === "ticker") return tickers.toSorted((a, b) => a.ticker.localeCompare(b.ticker));
    if (by === "change") return tickers.toSorted((a, b) => Math.abs(b.change_percent ?? 0) - Math.abs(a.change_percent ?? 0));
    const worst = (/** @type {Ticker} */ { ticker }) => (this.#recent.has(ticker) ? rank(/** @type {Anomaly} */ (this.#recent.get(ticker))) : SEVERITIES.length);
    return by === "anomaly" ? tickers.toSorted((a, b) => worst(a) - worst(b)) : tickers;
  }

  /** @param {string} by */
  #sortBy(by) {
    prefer("sort", preference("sort") === by ? "list" : by);
    if (this.#paged) this.#turnPage(-this.#offset);
    else this.#showSorted();
  }

  /** @param {TickerList} list */
  #show(list) {
    this.#last = list;
    setServerTime(list.as_of);
    this.#box.setAttribute("aria-busy", "false");
    if (list.tickers.length) this.#render(list);
    else this.#showEmpty(list);
    void this.#update();
    const { state, live, total } = list.feed;
    const [fresh, all] = [live, total].map((count) => count.toLocaleString("en-US"));
    const quotes = list.origin === "replay" ? `${all} replayed` : state === "closed" ? "The market is closed" : `${fresh} of ${all} with fresh quotes`;
    setText(byId("watch-summary"), total ? quotes : "");
    this.#onList(list);
  }

  /** @param {string} detail */
  #showProblem(detail) {
    if (this.#last) return;
    this.#box.setAttribute("aria-busy", "false");
    fill(this.#box, h("div", { className: "empty" }, h("strong", {}, "The watch list cannot be shown"), h("p", {}, connection.state.forbidden ? FORBIDDEN : detail)));
  }

  /** @param {TickerList} list */
  #showEmpty(list) {
    this.#table = null;
    this.#lines.clear();
    const text = list.origin === "replay" ? "Nothing was replayed yet: stock-monitor replay FILE" : "Add some in the settings, or with stock-monitor watch add AAPL.";
    fill(this.#box, h("div", { className: "empty" }, h("strong", {}, "No tickers"), h("p", {}, text)));
  }

  /** @param {TickerList} list */
  #render(list) {
    const isFirst = !this.#table;
    const table = (this.#table ??= this.#newTable());
    const focused = document.activeElement;
    // A screen of rows is there at once; the others are made once it is painted, with the chart.
    const rows = this.#rows(isFirst ? list.tickers.slice(0, AT_FIRST) : list.tickers);
    if (isFirst && list.tickers.length > AT_FIRST) whenIdle(() => this.#last && this.#table && this.#render(this.#last));
    if (this.#lines.size > 2 * PAGE) this.#drop(new Set(list.tickers.map(({ ticker }) => ticker)));
    const groups = Math.ceil(rows.length / GROUP);
    for (let n = 0; n < groups; n++) {
      const group = rows.slice(n * GROUP, (n + 1) * GROUP);
      const body = table.tBodies[n] ?? table.createTBody();
      body.role = "rowgroup";
      body.style.setProperty("--rows", String(group.length));
      arrange(body, group);
    }
    while (table.tBodies.length > groups) table.tBodies[groups].remove();
    keepTabStop(table, "tbody :is(a, .group)");
    this.#markOpen();
    const moved = document.activeElement !== focused; // into another group
    if (moved && focused instanceof HTMLElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  /** Of tickers and, where they are grouped, of groups; those of a folded one are left out. @param {Ticker[]} tickers */
  #rows(tickers) {
    const rowOf = (/** @type {Ticker} */ { ticker }) => (this.#lines.get(ticker) ?? this.#line(ticker)).row;
    const groups = grouped(tickers);
    if (!groups) return tickers.map(rowOf);
    return groups.flatMap((group) => {
      const isShut = isFolded(group.name);
      const head = this.#heads.get(group.name) ?? this.#head(group.name);
      head.button.ariaExpanded = String(!isShut);
      setText(head.count, String(group.tickers.length));
      showWorst(head, isShut ? group.tickers.flatMap(({ ticker }) => this.#recent.get(ticker) ?? []) : []);
      return [head.row, ...(isShut ? [] : group.tickers.map(rowOf))];
    });
  }

  /** @param {string} name @returns {Head} */
  #head(name) {
    const [count, mark] = [h("span", { className: "soft" }), h("span")];
    const fold = () => {
      foldGroup(name);
      this.#showSorted();
    };
    const button = h("button", { className: "group", type: "button", tabIndex: -1, onclick: fold }, h("span", { className: "group-name", title: name }, name), count, mark);
    const row = h("tr", { role: "row", dataset: { group: name } }, h("th", { role: "rowheader", colSpan: COLUMNS.length + 1 }, button));
    const head = { row, button, count, mark, marked: "" };
    this.#heads.set(name, head);
    return head;
  }

  /** Forget the rows of pages that were turned over. @param {Set<string>} kept */
  #drop(kept) {
    for (const ticker of [...this.#lines.keys()]) if (!kept.has(ticker)) this.#lines.delete(ticker);
  }

  /** Bring all rows up to date, a group at a time: a press is answered before the next one. */
  async #update() {
    this.#due = this.#last?.tickers.length ?? 0;
    if (this.#updating) return;
    this.#updating = true;
    try {
      while (this.#due > 0 && this.#last) {
        this.#updateGroup(this.#last);
        await soon();
      }
    } finally {
      this.#updating = false;
    }
  }

  /** @param {TickerList} list */
  #updateGroup({ tickers, origin, feed }) {
    const rest = origin === "replay" ? "replayed" : feed.state === "closed" ? "closed" : "";
    const end = this.#from + Math.min(GROUP, this.#due);
    this.#due -= GROUP;
    for (; this.#from < end; this.#from++) {
      const ticker = tickers[this.#from % tickers.length];
      const line = this.#lines.get(ticker.ticker);
      if (!line) continue;
      if (line.shown !== ticker) showNumbers(line, ticker);
      line.shown = ticker;
      showState(line, ticker, this.#recent.get(ticker.ticker), rest);
      this.#widen(line);
    }
    this.#from %= tickers.length;
  }

  /** Rows are laid out one by one, and only those on screen: what they have in common is set on their box. @param {Line} line */
  #widen({ row, cells, state }) {
    for (const [name, cell] of Object.entries({ ticker: row.cells[0], ...cells, "state-cell": state })) {
      const { length } = cell.textContent;
      if (length <= (this.#longest.get(name) ?? HEADINGS.get(name) ?? 0)) continue;
      this.#longest.set(name, length);
      this.#box.style.setProperty(`--${name}`, String(length));
    }
  }

  #newTable() {
    const head = COLUMNS.map(([className, text]) => h("th", { className, scope: "col", role: "columnheader" }, this.#heading(className, text)));
    const table = h(
      "table",
      { className: "watch", role: "table", "aria-labelledby": "watch-title" }, // laid out otherwise, a table is none to some readers
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("th", { scope: "col", role: "columnheader" }, this.#heading("ticker", "Ticker")), ...head)),
    );
    this.#box.replaceChildren(table);
    return table;
  }

  /** A column's title; that of a column to sort by is a button. @param {string} column @param {string} text */
  #heading(column, text) {
    const by = { ticker: "ticker", change: "change", "state-cell": "anomaly" }[column];
    if (!by) return text;
    const words = by === "anomaly" ? "the worst anomaly of the last 15 minutes" : by;
    return h("button", { className: "sort", type: "button", title: `Sort by ${words}; again: as listed`, onclick: () => this.#sortBy(by) }, text);
  }

  /** @param {string} ticker @returns {Line} */
  #line(ticker) {
    const href = `?${new URLSearchParams({ ticker, ...(this.#source ? { source: this.#source } : {}) })}`;
    const link = h("a", { href, "data-nav": "", tabIndex: -1, title: ticker }, ticker);
    const cells = Object.fromEntries(COLUMNS.map(([className]) => [className.split(" ").at(-1), h("td", { className, role: "cell" })]));
    const state = h("span");
    cells["state-cell"].append(h("span", { className: "state" }, h("span", { className: "visually-hidden" }), state));
    const row = h("tr", { role: "row", dataset: { ticker } }, h("th", { scope: "row", role: "rowheader" }, link), ...Object.values(cells));
    sparkline(cells.spark, { ticker, source: this.#source });
    /** @type {Line} */
    const line = { row, cells, state, mark: null, marked: "", shown: null };
    this.#lines.set(ticker, line);
    return line;
  }
}

/** After what the browser has to do before, such as answering a press. @returns {Promise<void>} */
function soon() {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Once nothing else is to be done; some browsers do not say when. @param {() => void} act */
function whenIdle(act) {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(act, { timeout: REST_MS });
  else setTimeout(act, REST_MS / 2);
}

/** Which tickers are listed: a replay's own, else those of the configured source; which events are shown is another question. */
function listSource() {
  const { source, origin } = current();
  return source.startsWith("replay") || origin.startsWith("replay") ? "replay" : "";
}

/** @param {Line} line @param {Ticker} ticker */
function showNumbers({ cells, row }, ticker) {
  const digits = digitsOfQuote(ticker);
  setText(cells.price, price(ticker.price, digits));
  if (!cells.change.firstChild) cells.change.append(h("span", { className: "change-amount" }), h("span"));
  const [amount, relative] = /** @type {Iterable<HTMLElement>} */ (cells.change.children);
  setText(amount, ticker.change_percent === null ? "" : `${change(ticker.change, digits)}  `);
  setText(relative, percent(ticker.change_percent));
  cells.change.className = `change ${direction(ticker.change)}`;
  cells.change.dataset.heat = String(HEAT.filter((percents) => Math.abs(ticker.change_percent ?? 0) >= percents).length);
  cells.change.title = ticker.reference_kind === "open" ? "against the day's first price" : "against the previous close";
  setText(cells["bid-ask"], ticker.bid === null ? "–" : `${price(ticker.bid, digits)} / ${price(ticker.ask, digits)}`);
  setText(cells.volume, volume(ticker.day_volume));
  row.dataset.state = ticker.state;
}

/**
 * @param {Line} line
 * @param {Ticker} ticker
 * @param {Anomaly | undefined} anomaly
 * @param {string} rest why quotes are old by nature: replayed, closed, or "" where they are not
 */
function showState(line, ticker, anomaly, rest) {
  const seconds = ticker.ts === null ? null : Math.max(0, (serverNow() - Date.parse(ticker.ts)) / 1000);
  const isStale = seconds !== null && ticker.state === "stale" && !rest;
  const isQuiet = ticker.state === "live" || ticker.state === "closed" || rest !== "";
  setText(line.state, stateText(seconds, rest));
  if (line.state.previousSibling) setText(line.state.previousSibling, isStale ? "stale, " : ticker.state === "closed" ? "closed, " : "");
  line.state.className = isQuiet ? "soft" : isStale ? "down is-old" : "down";
  line.state.title = isStale ? `no new quote for ${age(seconds)}` : ticker.state === "closed" ? `${ticker.market}: closed` : "";
  const marked = anomaly ? `${anomaly.id} ${anomaly.severity}` : "";
  if (line.marked === marked) return;
  line.marked = marked;
  line.mark?.remove();
  line.mark = null;
  if (!anomaly) return;
  const mark = severityMark(anomaly.severity, true);
  mark.title = `${kindName(anomaly.kind)}, ${anomaly.severity}, in the last 15 minutes`;
  line.mark = mark;
  line.state.parentElement?.prepend(mark);
}

/** @param {number | null} seconds @param {string} rest */
function stateText(seconds, rest) {
  if (seconds === null) return "no quote";
  if (rest) return rest === "closed" ? age(seconds) : rest;
  return age(seconds);
}

/** What is worst in a folded group stands beside its name. @param {Head} head @param {Anomaly[]} anomalies */
function showWorst(head, anomalies) {
  const worst = anomalies.toSorted((a, b) => rank(a) - rank(b))[0]?.severity;
  if (head.marked === (worst ?? "")) return;
  head.marked = worst ?? "";
  head.mark.replaceChildren(...(worst ? [severityMark(worst, true)] : []));
}

/** @param {number | null} value */
const direction = (value) => (value === null || value === 0 ? "soft" : value > 0 ? "up" : "down");

/** @param {Anomaly} anomaly */
const rank = (anomaly) => SEVERITIES.indexOf(anomaly.severity);

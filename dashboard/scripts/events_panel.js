// The live list of what is unusual, newest first, with its filters.

import { FORBIDDEN, get, Poll, resource } from "./api.js";
import { serverNow } from "./clock.js";
import { marketMidnight } from "./format.js";
import { current, go, onAddress } from "./address.js";
import { showSilences } from "./actions.js";
import { arrange, byId, h, setText } from "./dom.js";
import { EventList } from "./event_list.js";
import { eventStream } from "./event_stream.js";
import { incidents, reached } from "./incidents.js";
import { notify } from "./notify.js";
import { Turn, isPointedAt } from "./pointing.js";
import { SEVERITIES, capitalized, kindName, loadKinds, momentOf, severityMark } from "./kinds.js";
import { silences } from "./silences.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {import("../api-types.d.ts").AnomalyPage} AnomalyPage */
/** @typedef {import("../api-types.d.ts").Stats} Stats */
/** @typedef {import("../api-types.d.ts").TickerList} TickerList */

const EVERY_MS = 2000;
const STATS_EVERY_MS = 15_000;
const STATS_AFTER_MS = 300;
const PAGE = 50;
const OLDER = 200;
/** Most items on the page: what goes beyond is let go at the other end, so that the page stays quick. */
const MOST = 500;

/** @typedef {{cursor: string} | {until: string}} Older */

let filters = readFilters();

/** The panel of events; `list` names the configured source, `onAnomalies` is called with what is shown. */
export class EventsPanel {
  #list = byId("events");
  #events = new EventList(this.#list);
  #foot = byId("events-foot");
  /** One for good: in the place of a new one, a press that a poll falls into would be lost, and the keyboard's focus. */
  #older = h("button", { className: "button", type: "button", onclick: () => void this.#more() }, "Show older");
  /** @type {Anomaly[]} what is shown, newest first */
  #shown = [];
  /** @type {Set<string>} ids of those that came while somebody points at the list: they are put in afterwards */
  #waiting = new Set();
  #turn = new Turn(this.#list, () => this.#putIn());
  /** What viewers were notified of, or need not be. @type {Map<string, import("./kinds.js").Severity>} by id */
  #severities = new Map();
  /** @type {Older | null} where what follows is */
  #next = null;
  /** The newest were let go for older ones: what is new waits. */
  #browsing = false;
  /** @type {AnomalyPage | null} */
  #lastPage = null;
  #filters = "";
  #loaded = false;
  /** @type {Pick<TickerList, "source" | "origin">} of the watch list */
  #usual = { source: "", origin: "live" };
  /** What an empty list says where nothing is left out of it. */
  #nothing = NOTHING.unread;
  /** @type {(anomalies: Anomaly[]) => void} */
  #onAnomalies;
  /** @type {Poll} */
  #poll;
  #counts;
  #chosen = current().anomaly;

  /** @param {(anomalies: Anomaly[]) => void} onAnomalies */
  constructor(onAnomalies) {
    this.#onAnomalies = onAnomalies;
    this.#filters = filterKey();
    buildFilters();
    byId("events-newer").append(h("button", { className: "button", type: "button", onclick: () => this.#toNewest() }, "Back to the newest"));
    this.#events.tell(skeleton());
    this.#poll = new Poll(() => resource(["anomalies"], question()), (page) => this.#take(page), {
      everyMs: EVERY_MS,
      onProblem: (problem) => this.#reject(problem),
    });
    eventStream.follow(this.#poll);
    eventStream.addEventListener("event", (event) => this.#arrive(/** @type {CustomEvent<import("./event_stream.js").Change>} */ (event).detail.began));
    loadKinds((kinds) => {
      offerKinds(kinds);
      if (this.#loaded) this.#render();
    });
    this.#counts = new Poll(() => resource(["stats"], statsQuery()), showCounts, { everyMs: STATS_EVERY_MS, afterMs: STATS_AFTER_MS });
    silences.addEventListener("change", () => {
      showSilences(byId("silences"));
      if (this.#loaded) this.#render();
    });
    incidents.addEventListener("change", () => this.#loaded && this.#worsen());
    onAddress(() => this.#onAddress());
  }

  /** @param {TickerList} list */
  set list({ source, origin, feed }) {
    const nothing = NOTHING[feed.total ? feed.state : "unwatched"];
    if (source === this.#usual.source && nothing === this.#nothing) return;
    this.#usual = { source, origin };
    this.#nothing = nothing;
    if (this.#loaded) this.#render();
  }

  #onAddress() {
    this.#choose(current().anomaly);
    filters = readFilters();
    syncFilters();
    if (filterKey() === this.#filters) return;
    void this.#counts.now();
    this.#filters = filterKey();
    this.#loaded = false;
    this.#restart();
    this.#list.setAttribute("aria-busy", "true");
    void this.#poll.now();
  }

  /** @param {string} id */
  #choose(id) {
    if (id === this.#chosen) return;
    this.#chosen = id;
    if (this.#loaded) this.#render();
    this.#events.reveal(id);
  }

  #restart() {
    this.#lastPage = null;
    this.#shown = [];
    this.#waiting.clear();
    this.#browsing = false;
  }

  #toNewest() {
    this.#restart();
    this.#loaded = false;
    void this.#poll.now();
    this.#list.firstElementChild?.scrollIntoView({ block: "nearest" });
  }

  /** @param {AnomalyPage} page */
  #take(page) {
    if (page === this.#lastPage || this.#browsing) return;
    this.#lastPage = page;
    const known = new Set(this.#shown.map((anomaly) => anomaly.id));
    const fresh = page.anomalies.filter((anomaly) => !known.has(anomaly.id));
    const first = !this.#loaded;
    if (first) this.#next = following(page);
    const overlaps = first || fresh.length < page.anomalies.length || page.anomalies.length === 0;
    if (overlaps) this.#add(fresh);
    else [this.#shown, this.#next] = [page.anomalies, following(page)]; // a gap: more came than one page holds
    this.#loaded = true;
    this.#list.setAttribute("aria-busy", "false");
    if (!first && fresh.length) this.#notify(fresh);
    if (first || !overlaps || !fresh.length) return this.#render();
    this.#letWait(fresh);
  }

  /** An event holds its anomaly: it is shown before the API is asked, where its origin is known and no filter is to be judged. @param {Omit<Anomaly, "origin"> | null} began */
  #arrive(began) {
    const { source, origin } = this.#usual;
    const isShown = began && began.source === source && this.#loaded && !this.#browsing && !filters.severity && !filters.kind && !filters.source;
    if (!isShown || this.#shown.some(({ id }) => id === began.id)) return;
    const fresh = [{ ...began, origin }];
    this.#add(fresh);
    this.#notify(fresh);
    this.#letWait(fresh);
  }

  /** @param {Anomaly[]} fresh */
  #notify(fresh) {
    const now = fresh.map(reached);
    for (const { id, severity } of now) this.#severities.set(id, severity);
    tell(now, "New");
  }

  /** An anomaly that got worse is notified of again; what is met for the first time is not known to have. */
  #worsen() {
    const worse = this.#shown.map(reached).filter(({ id, severity }) => {
      const before = this.#severities.get(id);
      this.#severities.set(id, severity);
      return before && SEVERITIES.indexOf(severity) < SEVERITIES.indexOf(before);
    });
    if (worse.length) tell(worse, "Worse");
    this.#render();
  }

  /** @param {Anomaly[]} fresh */
  #add(fresh) {
    this.#shown = [...fresh, ...this.#shown].sort(newestFirst);
    if (this.#shown.length <= MOST) return;
    this.#shown.length = MOST;
    this.#next = { until: instantAfter(this.#shown[MOST - 1]) };
  }

  /** Show what came, once nobody points at the list. @param {Anomaly[]} fresh */
  #letWait(fresh) {
    this.#waiting = new Set([...this.#waiting, ...fresh.map(({ id }) => id)]);
    if (isPointedAt(this.#list)) this.#render(); // without them: it says how many wait
    this.#turn.want();
  }

  #putIn() {
    const fresh = this.#waiting;
    this.#waiting = new Set();
    this.#render(fresh);
  }

  /** @param {Set<string>} [fresh] */
  #render(fresh = new Set()) {
    const shown = this.#shown.filter(({ id }) => !this.#waiting.has(id));
    this.#events.show(shown, { usualSource: this.#usual.source, message: emptyState(this.#nothing), chosen: this.#chosen, fresh });
    byId("events-newer").hidden = !this.#browsing;
    setText(byId("events-summary"), summary(shown.length, this.#waiting.size, this.#next !== null));
    arrange(this.#foot, this.#next ? [this.#older] : []);
    this.#onAnomalies(this.#shown.map(reached));
  }

  async #more() {
    if (!this.#next || this.#older.ariaDisabled) return;
    this.#older.ariaDisabled = "true"; // not `disabled`, which drops the focus
    const asked = this.#filters;
    try {
      /** @type {AnomalyPage} */
      const page = await get(resource(["anomalies"], { ...question(), limit: OLDER, ...this.#next }));
      if (asked !== this.#filters) return;
      const known = new Set(this.#shown.map((anomaly) => anomaly.id));
      this.#shown = [...this.#shown, ...page.anomalies.filter((anomaly) => !known.has(anomaly.id))];
      this.#next = following(page);
      if (this.#shown.length > MOST) {
        this.#shown.splice(0, this.#shown.length - MOST);
        this.#browsing = true;
      }
      setText(this.#older, "Show older");
      this.#render();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(this.#older, "Could not load older ones. Try again");
    } finally {
      this.#older.ariaDisabled = null;
    }
  }

  /** @param {import("./api.js").ApiError} problem */
  #reject({ status, message }) {
    this.#list.setAttribute("aria-busy", "false");
    const signedOut = status === 401 || status === 403;
    const title = signedOut ? "This monitor is not open to you" : "These filters cannot be used";
    const reset = h("button", { className: "button", type: "button", onclick: clearFilters }, "Show all");
    const text = h("div", { className: "empty" }, h("strong", {}, title), h("p", {}, signedOut ? FORBIDDEN : message), signedOut ? null : reset);
    this.#events.tell(text);
    this.#foot.replaceChildren();
  }
}

/** Loading, drawn as the shape of what comes. */
export function skeleton() {
  return h("div", { className: "skeleton" }, h("b", { className: "visually-hidden" }, "Loading"), ...Array.from({ length: 6 }, () => h("span")));
}

function readFilters() {
  const { ticker, severity, kind, origin, source } = current();
  // A link to the anomalies of a replay names it as the source, and no ticker.
  return { severity, kind, source: origin || (ticker ? "" : source) };
}

function question() {
  return { limit: PAGE, ...filters };
}

/** The numbers beside the severities: of the market's day, by the other filters. */
function statsQuery() {
  const { kind, source } = filters;
  return { since: new Date(marketMidnight(serverNow())).toISOString(), kind, source };
}

function filterKey() {
  return JSON.stringify(question());
}

/** @param {Anomaly} a @param {Anomaly} b */
function newestFirst(a, b) {
  return a.timestamp < b.timestamp ? 1 : a.timestamp > b.timestamp ? -1 : a.ticker.localeCompare(b.ticker);
}

/** @param {Anomaly[]} fresh @param {string} word */
function tell(fresh, word) {
  announce(fresh, word);
  notify(fresh);
}

/** @param {Anomaly[]} fresh @param {string} word */
function announce(fresh, word) {
  const [newest] = fresh;
  const more = fresh.length > 1 ? ` and ${fresh.length - 1} more` : "";
  setText(byId("announcer"), `${word}: ${newest.ticker}, ${kindName(newest.kind)}, ${newest.severity}${more}.`);
}

/** @param {AnomalyPage} page @returns {Older | null} */
const following = ({ next }) => (next === null ? null : { cursor: next });

/** The instant after an anomaly's: the first that need not be asked for again. @param {Anomaly} anomaly */
const instantAfter = (anomaly) => new Date(momentOf(anomaly) + 1).toISOString();

/** @param {number} shown @param {number} waiting @param {boolean} more */
function summary(shown, waiting, more) {
  if (!shown) return "";
  return `${shown}${more ? "+" : ""} shown, ${waiting ? `${waiting} new` : "newest first"}`;
}

/** What is said where there is no anomaly, by the state of the feed: what was not scored is not "nothing unusual". */
const NOTHING = {
  unread: ["Nothing so far", "What is not normal appears here within seconds."],
  live: ["Nothing unusual so far", "Every tick is being scored. What is not normal appears here within seconds."],
  stale: ["No quotes arrive", "Nothing is scored until they do. There was nothing unusual before."],
  missing: ["No quotes yet", "Nothing was scored so far: what is not normal appears here once quotes arrive."],
  closed: ["Nothing unusual so far", "The market is closed: nothing is scored until it opens."],
  unwatched: ["Nothing is watched", "Put tickers on the watch list: what is not normal about them appears here."],
};

/** @param {string[]} nothing */
function emptyState([title, text]) {
  const { severity, kind, source } = filters;
  if (!severity && !kind && !source) return h("div", { className: "empty" }, h("strong", {}, title), h("p", {}, text));
  const reset = h("button", { className: "button", type: "button", onclick: clearFilters }, "Show all");
  return h("div", { className: "empty" }, h("strong", {}, "Nothing matches these filters"), reset);
}

function clearFilters() {
  go({ severity: "", kind: "", origin: "", ...(current().ticker ? {} : { source: "" }) });
}

function buildFilters() {
  const chips = SEVERITIES.map((severity) => {
    const toggle = () => toggleSeverity(severity);
    return h(
      "button",
      { className: "chip", type: "button", onclick: toggle, dataset: { severity } },
      severityMark(severity),
      h("span", { className: "count", title: "today, New York time" }),
    );
  });
  const kinds = h(
    "select",
    { id: "filter-kind", "aria-label": "Kind", onchange: () => go({ kind: kinds.value }) },
    h("option", { value: "" }, "All kinds"),
  );
  const sources = h(
    "select",
    { id: "filter-source", "aria-label": "Source", onchange: () => go({ origin: sources.value, ...(current().ticker ? {} : { source: "" }) }) },
    h("option", { value: "" }, "All sources"),
    ...["live", "backfill", "simulated", "replay"].map((value) => h("option", { value }, capitalized(value))),
  );
  byId("filters").replaceChildren(...chips, kinds, sources);
  syncFilters();
}

/** @param {[string, string][]} kinds */
function offerKinds(kinds) {
  const select = byId("filter-kind");
  const [all] = select.children;
  select.replaceChildren(all, ...kinds.map(([value, label]) => h("option", { value }, label)));
  choose("filter-kind", filters.kind);
}

function syncFilters() {
  const { severity, kind, source } = filters;
  const pressed = severity.split(",");
  for (const chip of byId("filters").querySelectorAll("button")) {
    chip.setAttribute("aria-pressed", String(pressed.includes(chip.dataset.severity ?? "")));
  }
  choose("filter-kind", kind);
  choose("filter-source", source);
}

/**
 * Show a value in a select; one that it does not offer (from a link) is added.
 * @param {string} id
 * @param {string} value
 */
function choose(id, value) {
  const select = /** @type {HTMLSelectElement} */ (byId(id));
  if (![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, value));
  select.value = value;
}

/** @param {string} severity */
function toggleSeverity(severity) {
  const pressed = new Set(filters.severity.split(",").filter(Boolean));
  if (!pressed.delete(severity)) pressed.add(severity);
  go({ severity: SEVERITIES.filter((name) => pressed.has(name)).join(",") });
}

/** @param {Stats} stats */
function showCounts(stats) {
  for (const chip of byId("filters").querySelectorAll("button")) {
    const severity = /** @type {import("./kinds.js").Severity} */ (chip.dataset.severity);
    const count = chip.querySelector(".count");
    if (count) setText(count, `${stats.by_severity[severity]}${stats.complete ? "" : "+"}`);
  }
}

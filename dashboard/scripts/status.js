// Is it alive: the feed's age, what kind of quotes these are, whether the API answers, and the clocks.

import { connection, Poll, resource } from "./api.js";
import { serverNow } from "./clock.js";
import { byId, setText } from "./dom.js";
import { age, inMarket, inViewer, minuteOf, viewerIsAbroad, zoneName } from "./format.js";

/** @typedef {import("../api-types.d.ts").Health} Health */
/** @typedef {import("../api-types.d.ts").TickerList} TickerList */

const DEPTH_EVERY_MS = 60_000;
const DEPTH_AFTER_MS = 900;
const LATE_SECONDS = 60;

const LABELS = { live: "Live", simulated: "Simulated", replay: "Replay", backfill: "Backfill", verify: "Verify" };
const TITLES = {
  live: "Live quotes",
  simulated: "A simulated market: nothing here is a real price",
  replay: "Recorded quotes, played again",
  backfill: "A vendor's minute bars of the past",
  verify: "Sent by stock-monitor verify",
};

/** The status in the top bar. */
export class Status {
  /** @type {TickerList | null} */
  #list = null;
  #state = "";

  constructor() {
    setInterval(() => this.#show(), 1000);
    connection.addEventListener("change", () => this.#show());
    new Poll(() => resource(["health"], { depth: "full" }), showDepth, { everyMs: DEPTH_EVERY_MS, afterMs: DEPTH_AFTER_MS, quiet: true });
    this.#show();
  }

  /** @returns {TickerList | null} */
  get list() {
    return this.#list;
  }

  /** @param {TickerList | null} list */
  set list(list) {
    if (!list) return;
    this.#list = list;
    const badge = byId("source-badge");
    badge.className = `badge badge-${list.origin}`;
    badge.title = `${TITLES[list.origin]} (source: ${list.source})`;
    setText(badge, LABELS[list.origin]);
    this.#show();
  }

  #show() {
    this.#showClocks();
    byId("source-badge").hidden = !this.#list && connection.state.forbidden;
    const [state, text] = this.#feed();
    const element = byId("feed-status");
    element.dataset.state = state;
    setText(byId("feed-text"), text);
    this.#showBanner();
    if (this.#state && state !== this.#state) setText(byId("announcer"), text);
    this.#state = state;
  }

  /** @returns {[string, string]} */
  #feed() {
    if (connection.state.lost) return ["lost", "Disconnected"];
    if (connection.state.forbidden) return ["lost", "Not open to you"];
    if (!this.#list) return ["loading", "Connecting"];
    const { feed, origin } = this.#list;
    if (feed.state === "closed") return ["closed", feed.last_quote_at === null ? "Market closed" : `Market closed, last quote ${age(ageOf(feed.last_quote_at))} ago`];
    if (!feed.total) return ["loading", "No tickers"];
    if (feed.last_quote_at === null) return ["missing", "No quotes yet"];
    if (origin === "replay") return ["live", "Recorded quotes"];
    const seconds = ageOf(feed.last_quote_at);
    return feed.state === "live" ? ["live", `Live, last quote ${age(seconds)} ago`] : ["stale", `No new quotes for ${age(seconds)}`];
  }

  #showClocks() {
    const now = serverNow();
    setText(byId("clock-market"), inMarket(now));
    setText(byId("clock-local"), inViewer(now));
    setText(byId("zone"), zoneName(now));
    byId("clock-local-item").hidden = !viewerIsAbroad(now);
  }

  #showBanner() {
    const banner = byId("banner");
    const { lost, lostAt, reason } = connection.state;
    const problem = this.#list?.feed.problem;
    banner.hidden = !lost && !problem;
    document.body.classList.toggle("is-disconnected", lost);
    document.body.classList.toggle("is-stale", !lost && byId("feed-status").dataset.state === "stale");
    if (!lost) return setText(banner, problem ? `No quotes from ${this.#list?.source}: ${problem}` : "");
    const known = this.#list ? ` What you see is from ${minuteOf(lostAt)}.` : "";
    setText(banner, `No connection: ${reason}.${known} Trying again until it is back.`);
  }
}

/** @param {string} instant */
const ageOf = (instant) => Math.max(0, (serverNow() - Date.parse(instant)) / 1000);

/** How far the detector is behind, and what was discarded. @param {Health} health */
function showDepth({ stream_lag_seconds: lag, failed_batches: failed }) {
  const behind = typeof lag === "number" ? `${lag < 10 ? lag.toFixed(1) : Math.round(lag)} s behind` : "";
  setText(byId("lag"), behind);
  byId("lag").classList.toggle("is-late", typeof lag === "number" && lag > LATE_SECONDS);
  byId("failed").hidden = !failed;
  setText(byId("failed"), failed ? `${failed} failed ${failed === 1 ? "batch" : "batches"}` : "");
}

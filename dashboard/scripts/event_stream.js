// Events as they are sent, where this monitor serves them: a poll that follows asks when one comes, not every few seconds.

import { pageConfig } from "./session.js";

/** @typedef {import("./api.js").Poll} Poll */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {{ticker: string, began: Omit<Anomaly, "origin"> | null}} Change what an event is about: "" where that is not one ticker, or not known; the anomaly where one began */

/** What is asked all the same while events come: the API decides what is so. */
const NET_MS = 30_000;
/** A monitor that gives no stream now (it restarts, too many follow, or an older one) is tried again after so long, and after twice as long each time. */
const AGAIN_MS = 2000;
const LONGEST_AGAIN_MS = 60_000;
const TYPES = ["AnomalyDetected", "AnomalyEscalated", "AnomalyEnded", "Gap"];

class EventStream extends EventTarget {
  #url = "";
  /** @type {EventSource | null} */
  #source = null;
  #lastId = "";
  #again = 0;
  #againMs = AGAIN_MS;

  /** Follow the events if the monitor has them; only what is seen follows, as a browser opens few connections to one host. */
  async start() {
    const { events } = await pageConfig();
    if (!events) return;
    this.#url = events;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#close() : this.#open()));
    if (!document.hidden) this.#open();
  }

  get isOpen() {
    return this.#source?.readyState === EventSource.OPEN;
  }

  /**
   * Let a poll ask when an event comes, and seldom besides.
   * @param {Poll} poll
   * @param {{ticker?: string, signal?: AbortSignal}} [options] events of that ticker only; until the signal
   */
  follow(poll, { ticker = "", signal } = {}) {
    const usualMs = poll.everyMs;
    const pace = () => {
      poll.everyMs = this.isOpen ? Math.max(NET_MS, usualMs) : usualMs;
    };
    pace();
    this.addEventListener("state", () => (pace(), poll.soon()), { signal });
    this.addEventListener("event", (event) => {
      const about = /** @type {CustomEvent<Change>} */ (event).detail.ticker;
      if (!ticker || !about || about === ticker) poll.soon();
    }, { signal });
  }

  #open() {
    clearTimeout(this.#again);
    if (this.#source && this.#source.readyState !== EventSource.CLOSED) return;
    // A connection that is cut sends the last id by itself; a new one says it in its address.
    const url = new URL(this.#url, document.baseURI);
    if (this.#lastId) url.searchParams.set("after", this.#lastId);
    this.#source = new EventSource(url);
    this.#source.addEventListener("open", () => {
      this.#againMs = AGAIN_MS;
      this.dispatchEvent(new Event("state"));
    });
    this.#source.addEventListener("error", () => this.#fail());
    for (const type of TYPES) this.#source.addEventListener(type, (event) => this.#take(event));
  }

  #close() {
    clearTimeout(this.#again);
    this.#source?.close();
    this.dispatchEvent(new Event("state"));
  }

  /** Cut off, which the browser mends by itself, or rejected, which it does not. */
  #fail() {
    this.dispatchEvent(new Event("state"));
    if (this.#source?.readyState !== EventSource.CLOSED) return;
    this.#again = setTimeout(() => this.#open(), this.#againMs);
    this.#againMs = Math.min(2 * this.#againMs, LONGEST_AGAIN_MS);
  }

  /** @param {MessageEvent<string>} event */
  #take({ type, lastEventId, data }) {
    if (lastEventId) this.#lastId = lastEventId;
    const detail = JSON.parse(data).data;
    /** @type {Change} */
    const change = { ticker: detail?.ticker ?? "", began: type === "AnomalyDetected" ? detail : null };
    this.dispatchEvent(new CustomEvent("event", { detail: change }));
  }
}

export const eventStream = new EventStream();

// Silences and acknowledgements in force, and which messages were sent.

import { Poll, resource, send } from "./api.js";
import { serverNow } from "./clock.js";

/** @typedef {import("../api-types.d.ts").AlertList} AlertList */
/** @typedef {import("../api-types.d.ts").SilenceModel} Silence */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */

const EVERY_MS = 15_000;
const AFTER_MS = 600;
const HOUR_MS = 3_600_000;

/** What is in force; a "change" event announces a new list. */
class Silences extends EventTarget {
  /** @type {AlertList | null} */
  #list = null;
  /** @type {Poll | null} */
  #poll = null;

  start() {
    this.#poll = new Poll(() => resource(["alerts"]), (list) => this.#take(list), { everyMs: EVERY_MS, afterMs: AFTER_MS });
  }

  /** @returns {Silence[]} in force, those that end first first */
  get inForce() {
    const now = serverNow();
    const found = (this.#list?.silences ?? []).filter((silence) => Date.parse(silence.until) > now);
    return found.sort((a, b) => a.until.localeCompare(b.until));
  }

  /** @param {Anomaly} anomaly */
  acknowledgement(anomaly) {
    return this.inForce.find((silence) => silence.acknowledged === anomaly.id);
  }

  /** The silence that covers an anomaly and lasts longest. @param {Anomaly} anomaly */
  silenceOf(anomaly) {
    const covers = (/** @type {Silence} */ silence) => [null, anomaly.ticker].includes(silence.ticker) && [null, anomaly.kind].includes(silence.kind);
    return this.inForce.findLast((silence) => silence.acknowledged === null && covers(silence));
  }

  /** The messages about an anomaly, the newest first. @param {Anomaly} anomaly */
  messagesOf(anomaly) {
    return (this.#list?.alerts ?? []).filter((alert) => alert.anomaly_id === anomaly.id);
  }

  /** @param {Anomaly} anomaly @param {number} hours @param {string} reason */
  async acknowledge({ ticker, id }, hours, reason) {
    await this.#send("PUT", resource(["anomalies", ticker, id, "acknowledgement"]), { until: after(hours), reason });
  }

  /** @param {Pick<Anomaly, "ticker" | "kind">} what @param {number} hours @param {string} reason */
  async silence({ ticker, kind }, hours, reason) {
    await this.#send("PUT", resource(["alerts", "silences"], { ticker, kind, all: ticker || kind ? "" : "true" }), { until: after(hours), reason });
  }

  /** @param {Silence} silence */
  async expire({ ticker, kind, acknowledged }) {
    if (acknowledged) await this.#send("DELETE", resource(["anomalies", ticker ?? "", acknowledged, "acknowledgement"]));
    else await this.#send("DELETE", resource(["alerts", "silences"], { ticker: ticker ?? "", kind: kind ?? "", all: ticker || kind ? "" : "true" }));
  }

  /** @param {"PUT" | "DELETE"} method @param {string} url @param {object} [body] */
  async #send(method, url, body) {
    await send(method, url, body);
    await this.#poll?.now();
  }

  /** @param {AlertList} list */
  #take(list) {
    if (list === this.#list) return;
    this.#list = list;
    this.dispatchEvent(new Event("change"));
  }
}

export const silences = new Silences();

/** @param {number} hours */
const after = (hours) => new Date(serverNow() + hours * HOUR_MS).toISOString();

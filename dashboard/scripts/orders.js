// What people order about alerts: mutes and acknowledgements, and which messages were made.

import { Poll, resource, send } from "./api.js";
import { serverNow } from "./clock.js";

/** @typedef {import("../api-types.d.ts").AlertList} AlertList */
/** @typedef {import("../api-types.d.ts").MuteModel} Mute */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */

const EVERY_MS = 15_000;
const AFTER_MS = 600;
const HOUR_MS = 3_600_000;

/** The orders in force; a "change" event tells of new ones. */
class Orders extends EventTarget {
  /** @type {AlertList | null} */
  #list = null;
  /** @type {Poll | null} */
  #poll = null;

  start() {
    this.#poll = new Poll(() => resource(["alerts"]), (list) => this.#take(list), { everyMs: EVERY_MS, afterMs: AFTER_MS });
  }

  /** @returns {Mute[]} in force, those that end first first */
  get mutes() {
    const now = serverNow();
    const inForce = (this.#list?.mutes ?? []).filter((mute) => Date.parse(mute.until) > now);
    return inForce.sort((a, b) => a.until.localeCompare(b.until));
  }

  /** @param {Anomaly} anomaly */
  acknowledgement(anomaly) {
    return this.mutes.find((mute) => mute.acknowledged === anomaly.id);
  }

  /** The mute that covers an anomaly and lasts longest. @param {Anomaly} anomaly */
  muteOf(anomaly) {
    const covers = (/** @type {Mute} */ mute) => [null, anomaly.ticker].includes(mute.ticker) && [null, anomaly.kind].includes(mute.kind);
    return this.mutes.findLast((mute) => mute.acknowledged === null && covers(mute));
  }

  /** The messages about an anomaly, the newest first. @param {Anomaly} anomaly */
  messagesOf(anomaly) {
    return (this.#list?.alerts ?? []).filter((alert) => alert.anomaly_id === anomaly.id);
  }

  /** @param {Anomaly} anomaly @param {number} hours */
  async acknowledge({ ticker, id }, hours) {
    await this.#order("PUT", resource(["anomalies", ticker, id, "acknowledgement"]), { until: after(hours) });
  }

  /** @param {Pick<Anomaly, "ticker" | "kind">} what @param {number} hours */
  async mute({ ticker, kind }, hours) {
    await this.#order("PUT", resource(["alerts", "mutes"], { ticker, kind }), { until: after(hours) });
  }

  /** @param {Mute} mute */
  async end({ ticker, kind, acknowledged }) {
    if (acknowledged) await this.#order("DELETE", resource(["anomalies", ticker ?? "", acknowledged, "acknowledgement"]));
    else await this.#order("DELETE", resource(["alerts", "mutes"], { ticker: ticker ?? "", kind: kind ?? "", all: ticker || kind ? "" : "true" }));
  }

  /** @param {"PUT" | "DELETE"} method @param {string} url @param {object} [body] */
  async #order(method, url, body) {
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

export const orders = new Orders();

/** @param {number} hours */
const after = (hours) => new Date(serverNow() + hours * HOUR_MS).toISOString();

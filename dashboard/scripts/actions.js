// What a person can do about an anomaly: acknowledge it, or mute more of its kind.

import { arrange, h, setText } from "./dom.js";
import { inMarket, momentInMarket } from "./format.js";
import { serverNow } from "./clock.js";
import { kindName } from "./kinds.js";
import { orders } from "./orders.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {import("../api-types.d.ts").MuteModel} Mute */

/** @type {Record<string, string>} hours and words */
const SPANS = { 1: "1 hour", 4: "4 hours", 24: "1 day", 168: "7 days" };
const USUAL_SPAN = "4";

/** The buttons beside the facts of the chosen anomaly; `element` keeps its place and the focus. */
export class Actions {
  /** @type {Anomaly | null} */
  #anomaly = null;
  #span = h("select", { id: "order-span" }, ...Object.entries(SPANS).map(([value, words]) => h("option", { value }, words)));
  #acknowledge = h("button", { className: "button", type: "button", onclick: () => void this.#toggle("acknowledgement") });
  #mute = h("button", { className: "button", type: "button", onclick: () => void this.#toggle("mute") });
  #told = h("p", { className: "panel-note", id: "order-told" });
  #note = h("p", { className: "panel-note", role: "status", id: "order-note" });
  element = h(
    "div",
    { className: "actions" },
    h("div", { className: "action-row" }, this.#acknowledge, this.#mute, h("label", {}, "for ", this.#span)),
    this.#note,
    this.#told,
  );

  constructor() {
    this.#span.value = USUAL_SPAN;
  }

  /** @param {Anomaly} anomaly */
  show(anomaly) {
    if (anomaly.id !== this.#anomaly?.id) setText(this.#note, "");
    this.#anomaly = anomaly;
    const { acknowledgement, mute } = inForce(anomaly);
    setText(this.#acknowledge, acknowledgement ? "Undo acknowledgement" : "Acknowledge");
    setText(this.#mute, mute ? `End mute of ${words(mute)}` : `Mute ${anomaly.ticker} ${kindName(anomaly.kind).toLowerCase()}`);
    const states = [
      acknowledgement && `Acknowledged: its ticker and kind are held until it is over, at the latest ${untilWords(acknowledgement)}.`,
      mute && `Muted until ${untilWords(mute)}${mute.reason ? ` (${mute.reason})` : ""}.`,
      ...orders.messagesOf(anomaly).map((message) => (message.sent_at ? `${MESSAGES[message.message_kind]} sent at ${inMarket(Date.parse(message.sent_at))} ET.` : `${MESSAGES[message.message_kind]} is being sent.`)),
    ];
    setText(this.#told, states.filter(Boolean).join(" "));
  }

  /** @param {"acknowledgement" | "mute"} which */
  async #toggle(which) {
    const anomaly = this.#anomaly;
    if (!anomaly) return;
    const existing = inForce(anomaly)[which];
    const hours = Number(this.#span.value);
    this.#busy(true);
    try {
      if (existing) await orders.end(existing);
      else if (which === "mute") await orders.mute(anomaly, hours);
      else await orders.acknowledge(anomaly, hours);
      setText(this.#note, existing ? "Alerts of this are sent again." : "Alerts of this are held; a digest tells of them afterwards.");
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(this.#note, `That was not done: ${error.message}`);
    }
    this.#busy(false);
    if (this.#anomaly === anomaly) this.show(anomaly);
  }

  /** @param {boolean} busy */
  #busy(busy) {
    // Not `disabled`: the focus would be lost.
    for (const button of [this.#acknowledge, this.#mute]) button.setAttribute("aria-busy", String(busy));
  }
}

const MESSAGES = { alert: "Alert", escalation: "Escalation", back_to_normal: "Back to normal", market_wide: "Market-wide alert", digest: "Digest" };

/** The strip of everything that is held, each with its end. @param {HTMLElement} box */
export function showHeld(box) {
  const { mutes } = orders;
  box.hidden = !mutes.length;
  arrange(box, [h("span", {}, "Alerts held:"), ...mutes.map(heldItem)], "scope");
}

/** @param {Mute} mute */
function heldItem(mute) {
  const scope = `${mute.acknowledged}|${mute.ticker}|${mute.kind}`;
  const end = async () => {
    try {
      await orders.end(mute);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      button.title = `That was not done: ${error.message}`;
      setText(button, "Failed: try again");
    }
  };
  const button = h("button", { className: "link-button", type: "button", onclick: () => void end(), dataset: { scope }, "aria-label": `End ${words(mute)}` }, "End");
  const why = mute.acknowledged ? "acknowledged, " : "";
  return h("span", { className: "held-item", title: mute.reason }, `${words(mute)} (${why}until ${untilWords(mute)}) `, button);
}

/** @param {Anomaly} anomaly */
function inForce(anomaly) {
  return { acknowledgement: orders.acknowledgement(anomaly), mute: orders.muteOf(anomaly) };
}

/** @param {Mute} mute */
function words({ ticker, kind }) {
  return [ticker, kind && kindName(kind).toLowerCase()].filter(Boolean).join(" ") || "everything";
}

/** @param {Mute} mute */
const untilWords = (mute) => momentInMarket(Date.parse(mute.until), serverNow()).replace(/:\d\d ET$/, " ET");

// What a person can do about an anomaly: acknowledge it, or silence more of its kind.

import { arrange, h, setText } from "./dom.js";
import { moment, momentToMinute } from "./format.js";
import { serverNow } from "./clock.js";
import { incidents } from "./incidents.js";
import { kindName } from "./kinds.js";
import { silences } from "./silences.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {import("../api-types.d.ts").SilenceModel} Silence */

/** @type {Record<string, string>} hours and words */
const SPANS = { 1: "1 hour", 4: "4 hours", 24: "1 day", 168: "7 days" };
const USUAL_SPAN = "4";

/** The buttons beside the facts of the chosen anomaly; `element` keeps its place and the focus. */
export class Actions {
  /** @type {Anomaly | null} */
  #anomaly = null;
  #span = h("select", { id: "silence-span" }, ...Object.entries(SPANS).map(([value, words]) => h("option", { value }, words)));
  #acknowledge = h("button", { className: "button action-acknowledge", type: "button", onclick: () => void this.#toggle("acknowledgement") });
  #silence = h("button", { className: "button action-silence", type: "button", onclick: () => void this.#toggle("silence") });
  #reason = h("input", { id: "silence-reason", type: "text", maxLength: 200, placeholder: "Reason (optional)", "aria-label": "Reason", autocomplete: "off" });
  #status = h("p", { className: "panel-note", id: "silence-status" });
  #note = h("p", { className: "panel-note", role: "status", id: "silence-note" });
  element = h(
    "div",
    { className: "actions" },
    h("div", { className: "action-row" }, this.#acknowledge, this.#silence),
    h("div", { className: "action-row" }, h("label", {}, "Ends after ", this.#span), this.#reason),
    this.#note,
    this.#status,
  );

  constructor() {
    this.#span.value = USUAL_SPAN;
  }

  /** @param {Anomaly} anomaly */
  show(anomaly) {
    if (anomaly.id !== this.#anomaly?.id) {
      setText(this.#note, "");
      this.#reason.value = "";
    }
    this.#anomaly = anomaly;
    const { acknowledgement, silence } = ofAnomaly(anomaly);
    this.#acknowledge.hidden = incidents.of(anomaly.id)?.state === "resolved";
    setText(this.#acknowledge, acknowledgement ? "Undo acknowledgement" : "Acknowledge");
    setText(this.#silence, silence ? `Expire silence of ${words(silence)}` : `Silence ${anomaly.ticker} ${kindName(anomaly.kind).toLowerCase()}`);
    const states = [
      acknowledgement && `Acknowledged: no more of its incident is sent until ${untilWords(acknowledgement)} unless it gets worse${acknowledgement.by && `, by ${acknowledgement.by}`}${acknowledgement.reason && ` (${acknowledgement.reason})`}.`,
      silence && `Silenced until ${untilWords(silence)}${silence.by && `, by ${silence.by}`}${silence.reason && ` (${silence.reason})`}.`,
      ...silences.messagesOf(anomaly).map((message) => (message.sent_at ? `${MESSAGES[message.message_kind]} sent at ${moment(Date.parse(message.sent_at), serverNow())}.` : `${MESSAGES[message.message_kind]} is being sent.`)),
    ];
    setText(this.#status, states.filter(Boolean).join(" "));
  }

  /** @param {"acknowledgement" | "silence"} which */
  async #toggle(which) {
    const anomaly = this.#anomaly;
    if (!anomaly) return;
    const existing = ofAnomaly(anomaly)[which];
    const hours = Number(this.#span.value);
    this.#busy(true);
    try {
      if (existing) await silences.expire(existing);
      else if (which === "silence") await silences.silence(anomaly, hours, this.#reason.value);
      else await silences.acknowledge(anomaly, hours, this.#reason.value);
      setText(this.#note, existing ? "Alerts of this are sent again." : which === "silence" ? "Silenced: no alert of this is sent; a digest lists them afterwards." : "Acknowledged.");
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
    for (const button of [this.#acknowledge, this.#silence]) button.setAttribute("aria-busy", String(busy));
  }
}

const MESSAGES = { opened: "Alert", escalated: "Escalation", repeated: "Reminder", acknowledged: "Acknowledgement", resolved: "Resolved", digest: "Digest", test: "Test" };

/** The strip of all silences, each with its end. @param {HTMLElement} box */
export function showSilences(box) {
  const { inForce } = silences;
  box.hidden = !inForce.length;
  arrange(box, [h("span", {}, "Silenced:"), ...inForce.map(silenceItem)], "scope");
}

/** @param {Silence} silence */
function silenceItem(silence) {
  const scope = `${silence.acknowledged}|${silence.ticker}|${silence.kind}`;
  const end = async () => {
    try {
      await silences.expire(silence);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      button.title = `That was not done: ${error.message}`;
      setText(button, "Failed: try again");
    }
  };
  const button = h("button", { className: "link-button", type: "button", onclick: () => void end(), dataset: { scope }, "aria-label": `Expire ${words(silence)}` }, "Expire");
  const why = silence.acknowledged ? "acknowledged, " : "";
  return h("span", { className: "silence-item", title: [silence.by && `by ${silence.by}`, silence.reason].filter(Boolean).join(": ") }, `${words(silence)} (${why}until ${untilWords(silence)}) `, button);
}

/** @param {Anomaly} anomaly */
function ofAnomaly(anomaly) {
  return { acknowledgement: silences.acknowledgement(anomaly), silence: silences.silenceOf(anomaly) };
}

/** @param {Silence} silence */
function words({ ticker, kind }) {
  return [ticker, kind && kindName(kind).toLowerCase()].filter(Boolean).join(" ") || "everything";
}

/** @param {Silence} silence */
const untilWords = (silence) => momentToMinute(Date.parse(silence.until), serverNow());

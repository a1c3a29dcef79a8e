// Incidents by state: what belongs together is one line, which opens in place.

import { Poll, get, resource, send } from "./api.js";
import { current, go, onAddress } from "./address.js";
import { serverNow } from "./clock.js";
import { arrange, byId, fill, h, keepTabStop, setText } from "./dom.js";
import { age, bareMoment, change, moment } from "./format.js";
import { kindName, severityMark, withoutAside } from "./kinds.js";
import { Turn } from "./pointing.js";

/** @typedef {import("../api-types.d.ts").IncidentModel} Incident */
/** @typedef {import("../api-types.d.ts").IncidentList} IncidentList */
/** @typedef {import("../api-types.d.ts").IncidentAnomaly} Life */
/** @typedef {import("../api-types.d.ts").IncidentDetail} Detail */

const EVERY_MS = 3000;
const AFTER_MS = 500;
const DETAIL_AGE_MS = 30_000;
const ACKNOWLEDGED_MS = 4 * 3_600_000;
/** Of the tabs: a state of incidents, or all anomalies. */
const LABELS = { "": "Anomalies", open: "Open", acknowledged: "Acknowledged", resolved: "Resolved" };
const MESSAGES = { opened: "Notified", escalated: "Escalation sent", repeated: "Repeated", acknowledged: "Acknowledgement sent", resolved: "Resolution sent", digest: "In a digest", test: "Test sent" };
const UNSENT = { for_digest: "News of it waits for the next digest.", kept_back: "A silence or a mute timing keeps news of it back." };

/** The incidents of the last day; a "change" event announces new ones. */
class Incidents extends EventTarget {
  /** @type {IncidentList | null} */
  found = null;
  /** @type {Map<string, Life>} by id of the anomaly */
  #lives = new Map();
  /** @type {Poll | null} */
  #poll = null;

  start() {
    this.#poll = new Poll(() => resource(["incidents"]), (found) => this.#take(found), { everyMs: EVERY_MS, afterMs: AFTER_MS, quiet: true });
  }

  async refresh() {
    await this.#poll?.now();
  }

  /** The incident that lists an anomaly, if one of the last day does. @param {string} id */
  of(id) {
    return this.found?.incidents.find(({ anomalies }) => anomalies.some((one) => one.id === id));
  }

  /** What became of an anomaly, where its incident still lists it. @param {string} id */
  lifeOf(id) {
    return this.#lives.get(id);
  }

  /** @param {IncidentList} found */
  #take(found) {
    if (found === this.found) return;
    this.found = found;
    this.#lives = new Map(found.incidents.flatMap(({ anomalies }) => anomalies.map((one) => [one.id, one])));
    this.dispatchEvent(new Event("change"));
  }
}

export const incidents = new Incidents();

/** An anomaly with the severity that it has reached. @param {import("./kinds.js").Anomaly} anomaly */
export function reached(anomaly) {
  const severity = incidents.lifeOf(anomaly.id)?.severity ?? anomaly.severity;
  return severity === anomaly.severity ? anomaly : { ...anomaly, severity };
}

/** The tabs over the list of events, and the list of the incidents in the chosen state. */
export class IncidentsPanel {
  #list = byId("incidents");
  /** @type {Map<string, HTMLLIElement>} by id */
  #items = new Map();
  /** What is open, as it was last read. @type {{id: string, readMs: number, found: Detail | null}} */
  #opened = { id: "", readMs: 0, found: null };

  constructor() {
    const tabs = Object.entries(LABELS).map(([state, label]) =>
      h("button", { type: "button", dataset: { state }, onclick: () => go({ incidents: state }) }, h("span", {}, label), h("span", { className: "count" })),
    );
    byId("states").replaceChildren(...tabs);
    const turn = new Turn(this.#list, () => this.#show());
    incidents.addEventListener("change", () => turn.want());
    incidents.start();
    onAddress(() => this.#show());
    this.#show();
  }

  #show() {
    const { incidents: wanted, anomaly } = current();
    const asked = wanted === "its" ? incidents.of(anomaly)?.state ?? "" : wanted;
    const state = Object.hasOwn(LABELS, asked) ? asked : "";
    byId("events-anomalies").hidden = state !== "";
    byId("events-incidents").hidden = state === "";
    for (const ofAnomalies of ["filters", "events-summary"]) byId(ofAnomalies).hidden = state !== "";
    const all = incidents.found?.incidents ?? [];
    for (const tab of byId("states").querySelectorAll("button")) {
      tab.setAttribute("aria-pressed", String(tab.dataset.state === state));
      const [, count] = tab.children;
      if (tab.dataset.state) setText(count, incidents.found ? String(all.filter((each) => each.state === tab.dataset.state).length) : "");
    }
    if (state !== "") this.#render(all.filter((each) => each.state === state), state, anomaly);
  }

  /** @param {Incident} incident */
  async #toggle({ id, state }) {
    const path = resource(["incidents", id, "acknowledge"]);
    try {
      if (state === "acknowledged") await send("DELETE", path);
      else await send("POST", path, { until: new Date(serverNow() + ACKNOWLEDGED_MS).toISOString() });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      byId("announcer").textContent = `That was not done: ${error.message}`;
    }
    await incidents.refresh();
    this.#show();
  }

  /** What people said of an incident and what the price did since: read when it opens, and now and then. @param {string} id */
  async #read(id) {
    if (this.#opened.id === id && Date.now() < this.#opened.readMs + DETAIL_AGE_MS) return;
    this.#opened = { id, readMs: Date.now(), found: this.#opened.id === id ? this.#opened.found : null };
    try {
      this.#know(await get(resource(["incidents", id])));
    } catch (error) {
      if (!(error instanceof Error)) throw error; // the incident shows without it, and it is read again
    }
  }

  /** @param {Detail} found */
  #know(found) {
    if (this.#opened.id !== found.id) return;
    this.#opened.found = found;
    this.#show();
  }

  /** @param {Incident} incident @param {boolean} useful */
  async #rate({ id }, useful) {
    try {
      this.#know(await send("POST", resource(["incidents", id, "feedback"]), { useful }));
      byId("announcer").textContent = useful ? "Noted as useful." : "Noted as noise.";
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      byId("announcer").textContent = `That was not done: ${error.message}`;
    }
  }

  /** @param {Incident[]} shown @param {string} state @param {string} chosen */
  #render(shown, state, chosen) {
    const before = this.#items;
    this.#items = new Map();
    for (const incident of shown) {
      const item = before.get(incident.id) ?? h("li", {}, h("a", { className: "event", "data-nav": "", tabIndex: -1 }), h("div", { className: "incident-detail" }));
      this.#items.set(incident.id, item);
      const isOpen = incident.anomalies.some(({ id }) => id === chosen);
      if (isOpen) void this.#read(incident.id);
      const found = this.#opened.id === incident.id ? this.#opened.found : null;
      redraw(item, incident, isOpen, [toggleButton(incident, () => void this.#toggle(incident)), judgement(found, (useful) => void this.#rate(incident, useful)), ...details(incident, found)]);
    }
    if (shown.length) arrange(this.#list, [...this.#items.values()]);
    else fill(this.#list, h("li", {}, h("div", { className: "empty" }, h("strong", {}, incidents.found ? `No ${state} incident` : "Loading"), incidents.found && h("p", {}, "of the last 24 hours"))));
    keepTabStop(this.#list, ".event");
  }
}

/** @param {Incident} incident @param {() => void} toggle */
function toggleButton(incident, toggle) {
  return incident.state !== "resolved" && h("button", { className: "button incident-acknowledge", type: "button", onclick: toggle }, incident.state === "acknowledged" ? "Undo acknowledgement" : "Acknowledge for 4 h");
}

/** Buttons to say whether it was useful, and what was said. @param {Detail | null} found @param {(useful: boolean) => void} rate */
function judgement(found, rate) {
  const last = found?.feedback.at(-1);
  const button = (/** @type {boolean} */ useful, /** @type {string} */ label) => h("button", { className: "button", type: "button", ariaPressed: String(last?.useful === useful), onclick: () => rate(useful) }, label);
  return h("div", { className: "incident-feedback", role: "group", ariaLabel: "Was it useful?" }, button(true, "Useful"), button(false, "Noise"), last && h("span", {}, `${last.useful ? "useful" : "noise"}, says ${last.by}`));
}

/** @param {HTMLLIElement} item @param {Incident} incident @param {boolean} isOpen @param {import("./dom.js").Child[]} shown where it is open */
function redraw(item, incident, isOpen, shown) {
  const [link, detail] = /** @type {Iterable<HTMLElement>} */ (item.children);
  const [first] = incident.anomalies;
  const openedMs = Date.parse(incident.opened_at);
  const endMs = incident.resolved_at ? Date.parse(incident.resolved_at) : serverNow();
  const many = incident.tickers.length > 1;
  if (first) link.setAttribute("href", `?${new URLSearchParams({ ticker: first.ticker, at: first.began_at, source: incident.origin, anomaly: first.id })}`);
  link.dataset.severity = incident.severity;
  link.dataset.id = incident.id;
  if (isOpen) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
  fill(
    link,
    severityMark(incident.severity, true),
    h("span", { className: "event-ticker", title: incident.subject }, many ? `${incident.tickers.length} tickers` : incident.subject),
    h("span", { className: "event-kind" }, first ? kindName(first.kind) : ""),
    h("span", { className: "event-sentence" }, first ? withoutAside(first.explanation) : ""),
    h("span", { className: "event-meta" }, incident.anomaly_count > 1 && h("span", {}, `${incident.anomaly_count}×`), incident.late && h("span", {}, "late")),
    h("time", { className: "event-time", dateTime: incident.opened_at, title: `for ${age((endMs - openedMs) / 1000)}` }, bareMoment(openedMs, serverNow())),
  );
  detail.hidden = !isOpen;
  if (isOpen) fill(detail, ...shown);
}

/** @param {Incident} incident @param {Detail | null} found */
function details(incident, found) {
  const endMs = incident.resolved_at ? Date.parse(incident.resolved_at) : serverNow();
  const lasted = age((endMs - Date.parse(incident.opened_at)) / 1000);
  const moves = incident.tickers.filter(({ move }) => move !== 0).slice(0, 8);
  const since = { open: `Open for ${lasted}`, acknowledged: `Began ${lasted} ago`, resolved: `Resolved after ${lasted}` }[incident.state];
  const after = found?.after.filter(({ move }) => move !== null) ?? [];
  const acknowledged = incident.acknowledged_by && `, acknowledged by ${incident.acknowledged_by}`;
  return [
    h("p", {}, `${since}${acknowledged ?? ""}; ${incident.anomaly_count} ${incident.anomaly_count === 1 ? "anomaly" : "anomalies"}${incident.open_count ? `, ${incident.open_count} going on` : ""}.`),
    incident.context && h("p", { className: "incident-context" }, incident.context.sentence),
    after.length > 0 && h("p", {}, `The price since: ${after.map(({ minutes, move }) => `${change(100 * (move ?? 0))}% after ${minutes} min`).join(", ")}.`),
    h("ul", {}, ...incident.anomalies.map((one) => h("li", {}, h("a", { href: `?${new URLSearchParams({ ticker: one.ticker, at: one.began_at, source: incident.origin, anomaly: one.id })}`, "data-nav": "" }, `${moment(Date.parse(one.began_at), serverNow())} ${one.ticker} ${kindName(one.kind).toLowerCase()}`), one.ended_at ? " (over)" : ""))),
    moves.length > 1 && h("p", {}, moves.map(({ ticker, move }) => `${ticker} ${change(100 * move)}%`).join(", ")),
    ...incident.messages.map(({ kind, made_at: madeAt, channels }) => h("p", {}, `${MESSAGES[kind]} ${moment(Date.parse(madeAt), serverNow())}: ${channels.join(", ") || "no channel"}.`)),
    incident.unsent && h("p", {}, UNSENT[incident.unsent]),
  ];
}

// What can be set from the page: on this device, and of the monitor by the API's write routes.

import { get, resource, send } from "./api.js";
import { showSilences } from "./actions.js";
import { inCapitals } from "./address.js";
import { serverNow } from "./clock.js";
import { byId, h, setText } from "./dom.js";
import { ZONE_KEY } from "./format.js";
import { keepOwnGroups, ownGroups } from "./groups.js";
import { SEVERITIES, capitalized } from "./kinds.js";
import { sound } from "./notify.js";
import { prefer, preference } from "./preferences.js";
import { choice, kindChoice, labelled, tickerChoice } from "./settings_fields.js";
import { routesForm } from "./settings_routes.js";
import { ruleForm } from "./settings_rules.js";
import { silences } from "./silences.js";
import { tour } from "./tour.js";

/** @typedef {import("../api-types.d.ts").AnomalyPage} AnomalyPage */
/** @typedef {import("../api-types.d.ts").Thresholds} Thresholds */

const DAY_MS = 86_400_000;
const PREVIEW_DAYS = 3;
const PAGE = 200;
/** What a preview reads at most; it says so where there are more. */
const MOST_PAGES = 10;
const THRESHOLDS = [2.5, 3, 4, 5, 6, 8, 10];

/** The dialog; `tickers` returns the watch list as far as the page shows it. @param {() => string[]} tickers */
export function initSettings(tickers) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("settings"));
  const show = () => {
    const open = new AbortController();
    dialog.replaceChildren();
    build(dialog, tickers, open.signal); // anew: the watch list and what is silenced may have changed
    dialog.addEventListener("close", () => open.abort(), { once: true });
    dialog.showModal();
  };
  byId("open-settings").addEventListener("click", show);
}

/** @param {HTMLDialogElement} dialog @param {() => string[]} tickers @param {AbortSignal} closed */
function build(dialog, tickers, closed) {
  const severities = { off: "Off", ...Object.fromEntries(SEVERITIES.map((name) => [name, name === "critical" ? "Critical" : `${capitalized(name)} and worse`])) };
  const zone = field("Times in", { market: "New York (ET)", viewer: "My time zone", utc: "UTC" }, localStorage.getItem(ZONE_KEY) ?? "market", (value) => {
    localStorage.setItem(ZONE_KEY, value);
    location.reload();
  });
  const density = field("Rows", { compact: "Compact", comfortable: "Comfortable" }, preference("density"), (value) => prefer("density", value));
  const loud = field("Sound", severities, preference("sound"), (value) => {
    prefer("sound", value);
    if (value !== "off") sound();
  });
  const desktop = field("Desktop notification", severities, preference("desktop"), (value) => void wantDesktop(value));
  const note = h("p", { className: "panel-note", id: "desktop-note", role: "status" });
  dialog.append(
    h("h2", { id: "settings-title" }, "Settings"),
    h("section", {}, h("h3", {}, "On this device"), h("div", { className: "fields" }, zone, density, loud, desktop, ...groupFields()), note),
    watchListForm(),
    ruleForm(tickers),
    routesForm(tickers),
    silenceForm(tickers, closed),
    thresholdForm(tickers),
    h(
      "form",
      { method: "dialog", className: "dialog-foot" },
      h("button", { className: "link-button", type: "button", onclick: () => (dialog.close(), tour(true)) }, "Show the tour"),
      h("button", { className: "button" }, "Close"),
    ),
  );
}

/** Whether the watch list is grouped, and the viewer's own groups. */
function groupFields() {
  const own = h("textarea", { rows: 3, spellcheck: false, placeholder: "Banks: JPM BAC GS\nEnergy: XOM CVX" });
  own.value = ownGroups();
  const lines = labelled("Groups, a line each", own);
  const by = field("Group tickers", { none: "No", market: "By market", own: "My own groups" }, preference("groups"), (value) => {
    lines.hidden = value !== "own";
    prefer("groups", value);
  });
  lines.hidden = preference("groups") !== "own";
  own.addEventListener("change", () => {
    own.setCustomValidity(keepOwnGroups(own.value));
    if (own.reportValidity()) prefer("groups", "own");
  });
  return [by, lines];
}

/** Notifications need the browser's consent. @param {string} value */
async function wantDesktop(value) {
  prefer("desktop", value);
  if (value === "off") return setText(byId("desktop-note"), "");
  const allowed = "Notification" in window ? await Notification.requestPermission() : "denied";
  setText(byId("desktop-note"), allowed === "granted" ? "Shown while this page is open." : "The browser does not allow notifications of this page.");
}

/**
 * @param {string} label
 * @param {Record<string, string>} options
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
function field(label, options, value, onChange) {
  const select = choice(options);
  select.value = value;
  select.addEventListener("change", () => onChange(select.value));
  return labelled(label, select);
}

/** The watch list of everybody: all tickers, in their order, whatever the page shows. */
function watchListForm() {
  const input = h("textarea", { rows: 2, spellcheck: false, autocapitalize: "characters" });
  const note = h("p", { className: "panel-note", role: "status" });
  /** @type {string[]} */
  let before = [];
  const read = async () => {
    /** @type {import("../api-types.d.ts").TickerList} */
    const { tickers, feed } = await get(resource(["tickers"]));
    if (tickers.length < feed.total) throw new Error(`it has ${feed.total.toLocaleString("en-US")} tickers: stock-monitor watch add and remove change it, or whoever keeps the list that /stock-tracker/ticker names`);
    return tickers.map(({ ticker }) => ticker);
  };
  /** @param {string[]} list */
  const show = (list) => {
    before = list;
    input.value = list.join(" ");
  };
  const save = async () => {
    setText(note, "Asking the source for what is new …");
    try {
      const wanted = input.value.split(/[\s,]+/).filter(Boolean);
      const now = await read();
      // What others added or removed since the form was opened stays so.
      const kept = wanted.filter((ticker) => now.includes(inCapitals(ticker)) || !before.includes(inCapitals(ticker)));
      const others = now.filter((ticker) => !before.includes(ticker));
      /** @type {import("../api-types.d.ts").WatchListChange} */
      const { tickers: saved, added, removed, by } = await send("PUT", resource(["tickers"]), { tickers: [...kept, ...others] });
      show(saved);
      const changes = [added.length && `added ${added.join(", ")}`, removed.length && `removed ${removed.join(", ")}`].filter(Boolean).join("; ");
      setText(note, changes ? `Saved by ${by}: ${changes}. In force within a minute.` : "Nothing changed.");
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(note, `That was not done: ${error.message}`);
    }
  };
  const button = h("button", { className: "button", type: "button", disabled: true, onclick: () => void save() }, "Save");
  read().then(
    (list) => (show(list), (button.disabled = false)),
    (error) => (button.remove(), setText(note, `The watch list cannot be changed here: ${error.message}.`)),
  );
  return h("section", {}, h("h3", {}, "Watch list"), h("div", { className: "fields" }, labelled("Tickers", input), button), note);
}

/** Silences: of a ticker, a kind, both, or everything. @param {() => string[]} tickers @param {AbortSignal} closed */
function silenceForm(tickers, closed) {
  const [ticker, kind] = [tickerChoice(tickers), kindChoice()];
  const hours = choice({ 1: "1 hour", 4: "4 hours", 24: "1 day", 168: "7 days" });
  const reason = h("input", { type: "text", maxLength: 200, autocomplete: "off" });
  const note = h("p", { className: "panel-note", role: "status" });
  const list = h("div", { className: "silences" });
  const put = async () => {
    try {
      await silences.silence({ ticker: ticker.value, kind: kind.value }, Number(hours.value), reason.value);
      setText(note, "Silenced: no alert of this is sent; a digest lists them afterwards.");
      reason.value = "";
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(note, `That was not done: ${error.message}`);
    }
  };
  silences.addEventListener("change", () => showSilences(list), { signal: closed });
  showSilences(list);
  const button = h("button", { className: "button", type: "button", onclick: () => void put() }, "Silence");
  return h(
    "section",
    {},
    h("h3", {}, "Silences"),
    h("div", { className: "fields" }, labelled("Ticker", ticker), labelled("Kind", kind), labelled("For", hours), labelled("Reason", reason), button),
    note,
    list,
  );
}

/** From which score on a tick is an anomaly, and what another one would have found. @param {() => string[]} tickers */
function thresholdForm(tickers) {
  const [ticker, kind] = [tickerChoice(tickers), kindChoice((kind) => kind !== "rule")]; // a rule has its own limit
  const score = h("input", { type: "number", min: "0.1", max: "1000", step: "any", required: true });
  const table = h("dl", { className: "preview" });
  const note = h("p", { className: "panel-note", role: "status" });
  /** @type {{scores: number[], days: number} | null} what a preview read */
  let last = null;
  const draw = () => {
    if (!last) return;
    const { scores, days } = last;
    const aDay = (/** @type {number} */ from) => Math.round(scores.filter((one) => one >= from).length / days);
    const own = score.valueAsNumber;
    const shown = [...new Set([...THRESHOLDS, ...(own >= THRESHOLDS[0] ? [own] : [])])].sort((a, b) => a - b);
    table.replaceChildren(...shown.map((from) => h("div", { className: from === own ? "is-own" : "" }, h("dt", {}, Number.isInteger(10 * from) ? from.toFixed(1) : String(from)), h("dd", {}, `${aDay(from)} a day`))));
  };
  const read = async () => {
    setText(note, "Reading the last days …");
    try {
      const { scores, complete, days } = await lastScores(ticker.value, kind.value);
      last = { scores, days };
      draw();
      const span = days < PREVIEW_DAYS ? `${Math.round(days * 24)} hours` : `${PREVIEW_DAYS} days`;
      const many = `${scores.length}${complete ? "" : " or more"} ${scores.length === 1 && complete ? "anomaly" : "anomalies"}`;
      setText(note, `Of ${many} in the last ${span}; what a lower one would have found is not known.`);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(note, `The last days could not be read: ${error.message}`);
    }
  };
  /** @type {Thresholds | null} */
  let inForce = null;
  const show = () => {
    const own = inForce && inForceFor(inForce, ticker.value, kind.value);
    if (own) score.value = String(own);
    draw();
  };
  /** @param {number | null} value */
  const set = async (value) => {
    if (value !== null && !score.reportValidity()) return;
    try {
      /** @type {import("../api-types.d.ts").ThresholdChange} */
      const change = await send("PUT", resource(["thresholds"]), { value, ticker: ticker.value, kind: kind.value });
      inForce = change;
      show();
      setText(note, `Set by ${change.by} to ${score.value}. In force within a minute.`);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(note, `That was not done: ${error.message}`);
    }
  };
  for (const choice of [ticker, kind]) choice.addEventListener("change", () => (show(), last && void read()));
  score.addEventListener("input", draw);
  get(resource(["thresholds"])).then(
    (found) => ((inForce = found), show()),
    (error) => setText(note, `What is in force could not be read: ${error.message}`),
  );
  const preview = h("button", { className: "button", type: "button", onclick: () => void read() }, "Preview");
  const save = h("button", { className: "button", type: "button", onclick: () => void set(score.valueAsNumber) }, "Set");
  const unset = h("button", { className: "link-button", type: "button", onclick: () => void set(null) }, "Back to the usual");
  const fields = h("div", { className: "fields" }, labelled("Ticker", ticker), labelled("Kind", kind), labelled("Score", score), save, unset, preview);
  return h("section", {}, h("h3", {}, "Threshold"), fields, table, note);
}

/** Per ticker before per kind before the default. @param {Thresholds} thresholds @param {string} ticker @param {string} kind */
function inForceFor(thresholds, ticker, kind) {
  const own = thresholds.tickers[ticker];
  if (typeof own === "number") return own;
  return own?.[kind] ?? thresholds.kinds[kind] ?? thresholds.default;
}

/** The scores of the last days, and how many days they cover. @param {string} ticker @param {string} kind */
async function lastScores(ticker, kind) {
  const now = serverNow();
  const since = new Date(now - PREVIEW_DAYS * DAY_MS).toISOString();
  /** @type {number[]} */
  const scores = [];
  let [cursor, oldest] = ["", now];
  for (let n = 0; n < MOST_PAGES; n++) {
    /** @type {AnomalyPage} */
    const page = await get(resource(["anomalies"], { since, ticker, kind, limit: PAGE, cursor }));
    scores.push(...page.anomalies.map(({ score }) => score));
    const last = page.anomalies.at(-1);
    if (last) oldest = Date.parse(last.timestamp.split("#")[0]);
    cursor = page.next ?? "";
    if (!cursor) break;
  }
  return { scores, complete: !cursor, days: Math.max(1 / 24, (now - oldest) / DAY_MS) };
}

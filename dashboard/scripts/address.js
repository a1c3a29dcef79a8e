// The state of the page is its address: it can be shared, kept, and walked back.

/**
 * @typedef {object} Address
 * @property {string} ticker the ticker that is open, or ""
 * @property {string} at ISO instant that the chart is about, or "" for now
 * @property {string} source a source or an origin, or "" for the configured one
 * @property {string} anomaly id of the chosen anomaly, or ""
 * @property {string} range span of the chart
 * @property {string} bars how long a bar of the chart lasts: minutes, or seconds with an s; "" for a minute
 * @property {string} style line, or "" for candles
 * @property {string} compare a second ticker in the chart, or ""
 * @property {string} severity severities shown, comma-separated, or "" for all
 * @property {string} kind kinds shown, or "" for all
 * @property {string} origin origins or the source shown, or "" for all
 * @property {string} incidents which incidents are listed: open, acknowledged or resolved, or those in the state that "its" incident is in; "" lists anomalies
 * @property {string} view what a phone shows: events, watch or chart
 */

const NAMES = /** @type {const} */ (["ticker", "at", "source", "anomaly", "range", "bars", "style", "compare", "severity", "kind", "origin", "view", "incidents"]);

/** The id of an anomaly, as messages link to it: ticker, epoch ms, kind, and the source unless it is live. */
const ID = /^(?<ticker>.+)-(?<ms>\d{1,15})-[a-z][a-z0-9_]{1,31}(?:@(?<source>[\w.-]{1,64}))?$/;

/** @type {Set<(address: Address) => void>} */
const listeners = new Set();

/**
 * A ticker as the API writes it: what is not ASCII stays, and is none, for the capital of "ı" is "I".
 * @param {string} text
 */
export function inCapitals(text) {
  const ticker = text.trim();
  return /^[\x20-\x7e]*$/.test(ticker) ? ticker.toUpperCase() : ticker;
}

/** What the address says now. @returns {Address} */
export function current() {
  const params = new URLSearchParams(location.search);
  const implied = params.has("ticker") ? {} : ofAnomaly(params.get("anomaly") ?? "");
  const found = Object.fromEntries(NAMES.map((name) => [name, params.get(name) ?? implied[name] ?? ""]));
  const ticker = inCapitals(found.ticker);
  const view = found.view || (ticker ? "chart" : "events");
  return /** @type {Address} */ ({ ...found, ticker, view });
}

/** What an id says by itself. @param {string} id @returns {Partial<Address>} */
function ofAnomaly(id) {
  const found = ID.exec(id)?.groups;
  const at = new Date(Number(found?.ms));
  if (!found || Number.isNaN(at.getTime())) return {};
  return { ticker: found.ticker, at: at.toISOString(), source: found.source ?? "live", incidents: "its" };
}

/**
 * The query string of an address.
 * @param {Partial<Address>} address
 */
export function href(address) {
  const params = new URLSearchParams();
  for (const name of NAMES) {
    const value = address[name];
    if (value && !(name === "view" && value === (address.ticker ? "chart" : "events"))) params.set(name, value);
  }
  return `?${params}`;
}

/**
 * Go to the address with some parts changed.
 * @param {Partial<Address>} changes
 * @param {{replace?: boolean}} [options]
 */
export function go(changes, { replace = false } = {}) {
  visit(href({ ...current(), ...changes }), replace);
}

/**
 * Go to a link of this page.
 * @param {string} url
 * @param {boolean} [replace]
 */
export function visit(url, replace = false) {
  const target = url === "?" ? location.pathname : url;
  if (replace) history.replaceState(null, "", target);
  else history.pushState(null, "", target);
  notify();
}

/** Call `listener` after every change. @param {(address: Address) => void} listener */
export function onAddress(listener) {
  listeners.add(listener);
}

/** Follow links marked data-nav without loading the page again; what they leave open stays as it is. */
export function followLinks() {
  addEventListener("popstate", notify);
  document.addEventListener("click", (event) => {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    const link = event.target instanceof Element ? event.target.closest("a[data-nav]") : null;
    if (!plain || !link) return;
    event.preventDefault();
    const params = new URLSearchParams(link.getAttribute("href") ?? "?");
    go({ at: "", source: "", anomaly: "", incidents: current().incidents === "its" ? "" : current().incidents, view: "", ...Object.fromEntries(params) });
  });
}

function notify() {
  const address = current();
  for (const listener of listeners) listener(address);
}

// Groups of the watch list: by market, or the viewer's own; a view, kept in this browser.

import { inCapitals } from "./address.js";
import { preference } from "./preferences.js";

/** @typedef {import("../api-types.d.ts").Ticker} Ticker */
/** @typedef {{name: string, tickers: Ticker[]}} Group */

const OWN = "groupsOwn";
const FOLDED = "groupsFolded";
const REST = "Others";
/** Markets whose code says little to a person; any other is called by its code. @type {Record<string, string>} */
const MARKETS = {
  "24/7": "Around the clock", fx: "Currencies", XNYS: "New York", XNAS: "Nasdaq", CMES: "CME", XTSE: "Toronto", XLON: "London", XPAR: "Paris",
  XAMS: "Amsterdam", XETR: "Xetra", XFRA: "Frankfurt", XMIL: "Milan", XMAD: "Madrid", XSWX: "Zurich", XTKS: "Tokyo", XHKG: "Hong Kong",
  XSHG: "Shanghai", XKRX: "Seoul", XTAI: "Taipei", XSES: "Singapore", XASX: "Sydney", XBOM: "Mumbai", BVMF: "São Paulo", XJSE: "Johannesburg",
};

/** The viewer's groups as they wrote them: a line each, `Name: TICKER TICKER`. */
export const ownGroups = () => localStorage.getItem(OWN) ?? "";

/** @param {string} text @returns {string} what is wrong with it, or "" once it is kept */
export function keepOwnGroups(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const wrong = lines.find((line) => !/^[^:]+:/.test(line));
  if (wrong) return `“${wrong}” must be a name, a colon and tickers.`;
  localStorage.setItem(OWN, lines.join("\n"));
  return "";
}

/** Tickers in their groups, each in the first that names it; null where the viewer wants none. @param {Ticker[]} tickers @returns {Group[] | null} */
export function grouped(tickers) {
  const by = preference("groups");
  if (by === "none") return null;
  const own = new Map(by === "own" ? membersOf(ownGroups()) : []);
  const nameOf = (/** @type {Ticker} */ { ticker, market }) => (by === "own" ? own.get(ticker) ?? REST : MARKETS[market] ?? market);
  /** @type {Map<string, Ticker[]>} */
  const groups = new Map();
  for (const ticker of tickers) {
    const name = nameOf(ticker);
    const group = groups.get(name);
    if (group) group.push(ticker);
    else groups.set(name, [ticker]);
  }
  const order = by === "own" ? [...new Set(own.values()), REST] : [...groups.keys()].sort();
  return order.filter((name) => groups.has(name)).map((name) => ({ name, tickers: groups.get(name) ?? [] }));
}

/** @param {string} text @returns {[string, string][]} ticker and group; the first line that names a ticker comes last and so stands */
function membersOf(text) {
  return text.split("\n").filter(Boolean).toReversed().flatMap((line) => {
    const [name, ...rest] = line.split(":");
    return rest.join(":").split(/[\s,]+/).filter(Boolean).map((/** @returns {[string, string]} */ (ticker) => [inCapitals(ticker), name.trim()]));
  });
}

/** @returns {Set<string>} the names of folded groups */
const folded = () => new Set(JSON.parse(localStorage.getItem(FOLDED) ?? "[]"));

/** @param {string} name */
export const isFolded = (name) => folded().has(name);

/** Fold a group, or unfold it. @param {string} name */
export function foldGroup(name) {
  const names = folded();
  if (!names.delete(name)) names.add(name);
  localStorage.setItem(FOLDED, JSON.stringify([...names]));
}

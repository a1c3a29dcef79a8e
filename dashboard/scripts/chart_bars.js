// The bars of a chart, by how long they last: those of a minute joined to longer ones, shorter ones with what came since.

/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {{words: string, ms: number, mostMinutes: number}} Length `mostMinutes` is what a chart of such bars spans at most */
/** @typedef {{ms: number, price: number, bid: number | null, ask: number | null}} Quote */

export const MINUTE_MS = 60_000;
const USUAL = "1";
/** How long a bar lasts, by what the address calls it. @type {Map<string, Length>} */
export const LENGTHS = new Map([
  ["1s", { words: "1 s", ms: 1000, mostMinutes: 15 }],
  ["5s", { words: "5 s", ms: 5000, mostMinutes: 60 }],
  ["15s", { words: "15 s", ms: 15_000, mostMinutes: 60 }],
  [USUAL, { words: "1 min", ms: MINUTE_MS, mostMinutes: Infinity }],
  ["5", { words: "5 min", ms: 5 * MINUTE_MS, mostMinutes: Infinity }],
  ["15", { words: "15 min", ms: 15 * MINUTE_MS, mostMinutes: Infinity }],
  ["60", { words: "1 h", ms: 60 * MINUTE_MS, mostMinutes: Infinity }],
]);

/** What the address calls the length that it asks for. @param {string} asked */
export const lengthName = (asked) => (LENGTHS.has(asked) ? asked : USUAL);

/** @param {string} asked @returns {Length} */
export const lengthOf = (asked) => /** @type {Length} */ (LENGTHS.get(lengthName(asked)));

/**
 * Bars of a length, which start where the day divides by it.
 * @param {Bar[]} bars of a minute each or shorter, oldest first
 * @param {number} lengthMs
 * @returns {Bar[]}
 */
export function barsOf(bars, lengthMs) {
  if (lengthMs === MINUTE_MS) return bars;
  /** @type {Map<number, Bar>} */
  const found = new Map();
  for (const bar of bars) {
    const start = Math.floor(Date.parse(bar.minute) / lengthMs) * lengthMs;
    const before = found.get(start);
    found.set(start, before ? joined(before, bar) : { ...bar, minute: new Date(start).toISOString() });
  }
  return [...found.values()];
}

/**
 * Short bars and the quotes that this page has seen since: what a scan sends is archived, and in its bars, once it ends.
 * @param {Bar[]} bars oldest first
 * @param {Quote[]} quotes oldest first
 * @param {number} lengthMs
 * @returns {Bar[]}
 */
export function withQuotes(bars, quotes, lengthMs) {
  const last = bars.at(-1);
  const sinceMs = last ? Date.parse(last.minute) + lengthMs : -Infinity;
  return [...bars, ...barsOf(quotes.filter(({ ms, price }) => ms >= sinceMs && price > 0).map(barOfQuote), lengthMs)];
}

/** @param {Quote} quote @returns {Bar} */
function barOfQuote({ ms, price, bid, ask }) {
  const spread = bid !== null && ask !== null && bid > 0 && ask >= bid ? ask - bid : null;
  return { minute: new Date(ms).toISOString(), open: price, high: price, low: price, close: price, volume: null, ticks: 1, bid, ask, spread_low: spread, spread_high: spread };
}

/** @param {Bar} first @param {Bar} then @returns {Bar} */
function joined(first, then) {
  return {
    ...first,
    high: Math.max(first.high, then.high),
    low: Math.min(first.low, then.low),
    close: then.close,
    volume: first.volume === null ? then.volume : first.volume + (then.volume ?? 0),
    ticks: first.ticks + then.ticks,
    bid: then.bid ?? first.bid,
    ask: then.ask ?? first.ask,
    spread_low: first.spread_low === null ? then.spread_low : Math.min(first.spread_low, then.spread_low ?? first.spread_low),
    spread_high: first.spread_high === null ? then.spread_high : Math.max(first.spread_high, then.spread_high ?? first.spread_high),
  };
}

/** The least and the greatest spread of a bar; of older ones only the last one is known. @param {Bar} bar @returns {[number, number] | null} */
export function spreadOf({ spread_low: low, spread_high: high, bid, ask }) {
  if (low !== null && high !== null) return [low, high];
  return bid !== null && ask !== null ? [ask - bid, ask - bid] : null;
}

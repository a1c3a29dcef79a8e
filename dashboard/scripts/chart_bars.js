// Longer bars out of those of a minute.

/** @typedef {import("../api-types.d.ts").BarModel} Bar */

export const MINUTE_MS = 60_000;
/** Of a bar, by the minutes that it lasts. @type {Record<string, string>} */
export const LENGTHS = { 1: "1 min", 5: "5 min", 15: "15 min", 60: "1 h" };

/**
 * Bars of so many minutes, which start where the hour divides by them.
 * @param {Bar[]} bars of a minute each, oldest first
 * @param {number} minutes
 * @returns {Bar[]}
 */
export function longer(bars, minutes) {
  if (minutes === 1) return bars;
  /** @type {Map<number, Bar>} */
  const found = new Map();
  for (const bar of bars) {
    const start = Math.floor(Date.parse(bar.minute) / (minutes * MINUTE_MS)) * minutes * MINUTE_MS;
    const before = found.get(start);
    found.set(start, before ? joined(before, bar) : { ...bar, minute: new Date(start).toISOString() });
  }
  return [...found.values()];
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

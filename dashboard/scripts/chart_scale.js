// Which prices a chart is scaled by, and where nothing came.

import { MINUTE_MS } from "./chart_bars.js";

/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {{minuteMs: number, bar: Bar | null}} Slot a bar's room on the axis, from `minuteMs` on; without a bar nothing came in it */

/** A pause longer than this is a closed market: the axis leaves it out. */
const LONGEST_PAUSE_MS = 180 * 60_000;
/** How many times the range of the bulk a price may lie outside of it. */
const REACH = 4;
/** The least range of the bulk, as a part of the price: a quiet minute is no scale. */
const LEAST_RANGE = 0.003;

/**
 * The rooms of the axis: those with bars, those between them, and those since the last one.
 * @param {Bar[]} bars oldest first
 * @param {number} untilMs
 * @param {number} stepMs how long a bar lasts
 * @returns {Slot[]}
 */
export function slotsOf(bars, untilMs, stepMs) {
  const everyMs = Math.max(stepMs, usualDistance(bars, stepMs));
  /** @type {Slot[]} */
  const slots = [];
  for (const bar of bars) {
    const minuteMs = Date.parse(bar.minute);
    pause(slots, minuteMs, everyMs);
    slots.push({ minuteMs, bar });
  }
  pause(slots, Math.floor(untilMs / everyMs) * everyMs - everyMs, everyMs); // the open one may have no tick yet
  return slots;
}

/** From one bar to the next: a source that is polled every few seconds leaves seconds out, which is no gap. @param {Bar[]} bars @param {number} stepMs */
function usualDistance(bars, stepMs) {
  if (stepMs >= MINUTE_MS || bars.length < 2) return stepMs;
  const distances = bars.slice(1).map(({ minute }, n) => Date.parse(minute) - Date.parse(bars[n].minute));
  return distances.toSorted((a, b) => a - b)[distances.length >> 1];
}

/** @param {Slot[]} slots @param {number} untilMs @param {number} stepMs */
function pause(slots, untilMs, stepMs) {
  const last = slots.at(-1);
  if (!last) return;
  const missing = Math.round((untilMs - last.minuteMs) / stepMs) - 1;
  if (missing * stepMs > LONGEST_PAUSE_MS) return;
  for (let n = 1; n <= missing; n++) slots.push({ minuteMs: last.minuteMs + n * stepMs, bar: null });
}

/**
 * Runs of minutes in which nothing came.
 * @param {Slot[]} slots
 * @returns {{from: number, to: number}[]} epoch ms of the first and the last such minute
 */
export function emptySpans(slots) {
  /** @type {{from: number, to: number}[]} */
  const spans = [];
  for (const [n, { minuteMs, bar }] of slots.entries()) {
    if (bar) continue;
    const last = spans.at(-1);
    if (last && n > 0 && !slots[n - 1].bar) last.to = minuteMs;
    else spans.push({ from: minuteMs, to: minuteMs });
  }
  return spans;
}

/**
 * Prices far outside of the bulk from which the next price was back: misprints.
 * @param {Slot[]} slots
 * @returns {{minuteMs: number, price: number}[]}
 */
export function misprintsOf(slots) {
  const bars = slots.flatMap(({ minuteMs, bar }) => (bar ? [{ ...bar, minuteMs }] : []));
  const range = bulkOf(bars);
  if (!range) return [];
  const isUsual = (/** @type {number | undefined} */ price) => price !== undefined && price >= range.low && price <= range.high;
  return bars.flatMap((bar, n) => {
    const isBack = isUsual(bar.close) || isUsual(bars[n + 1]?.close) || isUsual(bars[n + 2]?.close);
    if (!isBack) return [];
    return [bar.high, bar.low].filter((price) => !isUsual(price)).map((price) => ({ minuteMs: bar.minuteMs, price }));
  });
}

/**
 * What the scale has to show of these slots: all prices but misprints.
 * @param {Slot[]} slots in view
 * @param {{minuteMs: number, price: number}[]} misprints
 * @returns {{low: number, high: number} | null}
 */
export function scaleOf(slots, misprints) {
  const odd = new Set(misprints.map(({ minuteMs, price }) => `${minuteMs} ${price}`));
  const prices = slots.flatMap(({ minuteMs, bar }) => (bar ? [bar.high, bar.low, bar.open, bar.close].filter((price) => !odd.has(`${minuteMs} ${price}`)) : []));
  if (!prices.length) return null;
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const pad = low === high ? Math.abs(low) * LEAST_RANGE || 1 : 0;
  return { low: low - pad, high: high + pad };
}

/** @param {Bar[]} bars @returns {{low: number, high: number} | null} */
function bulkOf(bars) {
  if (bars.length < 5) return null;
  const closes = bars.map(({ close }) => close).toSorted((a, b) => a - b);
  const at = (/** @type {number} */ part) => closes[Math.round(part * (closes.length - 1))];
  const [low, high] = [at(0.1), at(0.9)];
  const reach = REACH * Math.max(high - low, LEAST_RANGE * Math.abs(at(0.5)));
  return reach > 0 ? { low: low - reach, high: high + reach } : null;
}

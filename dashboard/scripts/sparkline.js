// A ticker's last hour of quotes as a line: drawn only where it is on screen.

import { get, resource } from "./api.js";
import { svg } from "./dom.js";

/** @typedef {import("../api-types.d.ts").BarList} BarList */
/** @typedef {{ticker: string, source: string}} Subject */
/** @typedef {Subject & {drawnAt: number}} Line */

/** An hour, and the minute that is open. */
const MINUTES = 61;
const REFRESH_MS = 60_000;
const WIDTH = 84;
const HEIGHT = 26;
/** How far outside of nine tenths of the closes one is still drawn to scale, in their range. */
const REACH = 2;

/** @type {Map<Element, Line>} */
const lines = new Map();

/**
 * Keep a box filled with the line of a subject, as long as it is on the page.
 * @param {Element} box
 * @param {Subject} subject
 */
export function sparkline(box, subject) {
  lines.set(box, { ...subject, drawnAt: -Infinity });
}

/** Draw, one request after the other, what is on screen and old; an outage leaves the old lines. */
async function refresh() {
  for (const box of lines.keys()) if (!box.isConnected) lines.delete(box);
  const due = document.hidden ? [] : [...lines].filter(([box, line]) => isDue(line) && isOnScreen(box));
  for (const [box, line] of due) {
    if (!isOnScreen(box)) continue;
    try {
      draw(box, await get(resource(["quotes", line.ticker], { minutes: MINUTES, source: line.source })));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
    line.drawnAt = performance.now();
  }
  setTimeout(() => void refresh(), 1000);
}

/** Asked once a second: an IntersectionObserver of a thousand boxes would work in every frame. @param {Element} box */
function isOnScreen(box) {
  if (!box.checkVisibility({ contentVisibilityAuto: true })) return false;
  const { top, bottom } = box.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

/** @param {Line} line */
const isDue = ({ drawnAt }) => performance.now() - drawnAt > REFRESH_MS;

/** A misprinted price drawn to scale would flatten all others: what is far outside is drawn nearby. @param {number[]} closes */
function usual(closes) {
  const sorted = closes.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor(sorted.length * 0.05)], sorted[Math.ceil(sorted.length * 0.95) - 1]];
  const reach = (high - low) * REACH;
  return reach ? closes.map((close) => Math.min(Math.max(close, low - reach), high + reach)) : closes;
}

/** @param {Element} box @param {BarList} answer */
function draw(box, { bars }) {
  if (bars.length < 2) {
    box.replaceChildren();
    return;
  }
  const closes = usual(bars.map((bar) => bar.close));
  const low = Math.min(...closes);
  const range = Math.max(...closes) - low || 1;
  const first = Date.parse(bars[0].minute);
  const length = Date.parse(bars[bars.length - 1].minute) - first || 1;
  const points = bars.map((bar, index) => {
    const x = 1 + ((WIDTH - 2) * (Date.parse(bar.minute) - first)) / length;
    const y = HEIGHT - 2 - ((HEIGHT - 4) * (closes[index] - low)) / range;
    return [x.toFixed(1), y.toFixed(1)];
  });
  const direction = closes[closes.length - 1] >= closes[0] ? "up" : "down";
  const line = svg("polyline", { points: points.join(" ") });
  box.replaceChildren(svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: `sparkline ${direction}`, "aria-hidden": "true" }, line));
}

void refresh();

// The last hour of a ticker as a line, drawn only for rows that are on screen.

import { get, resource } from "./api.js";
import { serverNow } from "./clock.js";
import { svg } from "./dom.js";

/** @typedef {import("../api-types.d.ts").BarList} BarList */

const SPAN_MS = 3_600_000;
const REFRESH_MS = 60_000;
const WIDTH = 84;
const HEIGHT = 26;

/** @type {Map<Element, {ticker: string, source: string, drawnAt: number}>} */
const visible = new Map();
/** @type {WeakMap<Element, {ticker: string, source: string}>} */
const subjects = new WeakMap();

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const subject = subjects.get(entry.target);
    if (entry.isIntersecting && subject) visible.set(entry.target, { ...subject, drawnAt: 0 });
    else visible.delete(entry.target);
  }
});

/**
 * Keep a cell filled with the line of a ticker.
 * @param {Element} cell
 * @param {string} ticker
 * @param {string} source
 */
export function sparkline(cell, ticker, source) {
  subjects.set(cell, { ticker, source });
  observer.observe(cell);
}

/** Draw, one request after the other, what is visible and old; an outage leaves the old lines. */
async function refresh() {
  const now = performance.now();
  const due = document.hidden ? [] : [...visible].filter(([, line]) => !line.drawnAt || now - line.drawnAt > REFRESH_MS);
  for (const [cell, line] of due) {
    const since = new Date(Math.floor((serverNow() - SPAN_MS) / 60_000) * 60_000).toISOString();
    try {
      draw(cell, await get(resource(["quotes", line.ticker], { since, source: line.source })));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
    line.drawnAt = performance.now();
  }
  setTimeout(() => void refresh(), 1000);
}

/** @param {Element} cell @param {BarList} answer */
function draw(cell, { bars }) {
  if (bars.length < 2) {
    cell.replaceChildren();
    return;
  }
  const closes = bars.map((bar) => bar.close);
  const low = Math.min(...closes);
  const span = Math.max(...closes) - low || 1;
  const first = Date.parse(bars[0].minute);
  const length = Date.parse(bars[bars.length - 1].minute) - first || 1;
  const points = bars.map((bar) => {
    const x = 1 + ((WIDTH - 2) * (Date.parse(bar.minute) - first)) / length;
    const y = HEIGHT - 2 - ((HEIGHT - 4) * (bar.close - low)) / span;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  const direction = closes[closes.length - 1] >= closes[0] ? "up" : "down";
  cell.replaceChildren(
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: `sparkline ${direction}`, "aria-hidden": "true" },
      svg("polyline", { points: points.join(" ") }),
    ),
  );
}

void refresh();

// What is chosen above the chart: its span, how long a bar lasts, candles or a line, a second ticker to compare with.

import { go, inCapitals } from "./address.js";
import { LENGTHS, lengthName } from "./chart_bars.js";
import { h } from "./dom.js";

/** @typedef {import("./address.js").Address} Address */

/** @type {Record<string, [string, number]>} label and minutes */
const RANGES = { "1h": ["1 hour", 60], "4h": ["4 hours", 240], "1d": ["1 day", 1440], "2d": ["2 days", 2880] };
const USUAL_RANGE = "4h";

/** How many minutes a chart spans. @param {string} range as the address names it */
export const minutesOf = (range) => (RANGES[range] ?? RANGES[USUAL_RANGE])[1];

/** @param {Address} address */
export function chartControls({ range, bars, style, compare }) {
  const shown = range in RANGES ? range : USUAL_RANGE;
  const ranges = Object.entries(RANGES).map(([value, [label]]) =>
    h("button", { type: "button", "aria-pressed": String(value === shown), onclick: () => go({ range: value }, { replace: true }) }, label),
  );
  const length = choice("bar-length", "Length of a bar", [...LENGTHS].map(([value, { words }]) => [value, words]), lengthName(bars), (value) => go({ bars: value === lengthName("") ? "" : value }, { replace: true }));
  const look = choice("chart-style", "Candles or a line", [["", "Candles"], ["line", "Line"]], style === "line" ? style : "", (value) => go({ style: value }, { replace: true }));
  const other = h("input", {
    id: "chart-compare", type: "search", placeholder: "Compare", "aria-label": "Compare with a second ticker", value: compare, maxLength: 32, size: 8, autocomplete: "off", autocapitalize: "characters", spellcheck: false,
    onchange: () => go({ compare: inCapitals(other.value) }, { replace: true }),
  });
  other.setAttribute("list", "known-tickers");
  return [h("div", { className: "segmented", role: "group", "aria-label": "Time range" }, ...ranges), length, look, other];
}

/**
 * @param {string} id
 * @param {string} label
 * @param {string[][]} options value and words
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
function choice(id, label, options, value, onChange) {
  const select = h("select", { id, "aria-label": label, onchange: () => onChange(select.value) }, ...options.map(([name, words]) => h("option", { value: name }, words)));
  select.value = value;
  return select;
}

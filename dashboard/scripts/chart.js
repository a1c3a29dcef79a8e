// Price, volume and spread of one ticker, with anomalies marked on the bars that they belong to.

import {
  BaselineSeries,
  CandlestickSeries,
  CrosshairMode,
  HistogramSeries,
  LineSeries,
  createChart,
  createSeriesMarkers,
} from "../vendor/lightweight-charts.js";
import { marketClockSeconds } from "./format.js";
import { kindName, momentOf } from "./kinds.js";
import { colour } from "./theme.js";

/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {import("../vendor/lightweight-charts.js").Time} Time */
/** @typedef {import("../vendor/lightweight-charts.js").SeriesMarker<Time>} Marker */
/** @typedef {{anomaly: Anomaly, minute: string}} Mark */

const MINUTE_MS = 60_000;
const BAND_BARS = 6;
/** Room beside the newest bar for half of the name over its mark. */
const NEWEST_PIXELS = 48;
/** @type {Record<Anomaly["severity"], "circle" | "square" | "arrowUp" | "arrowDown">} */
const SHAPES = { low: "circle", medium: "square", high: "arrowUp", critical: "arrowUp" };

/** A chart in `box`; `onBar` hears the bar under the pointer (or null), `onChoose` the anomaly clicked on. */
export class PriceChart {
  #box;
  #chart;
  #price;
  #volume;
  #spread;
  #markers;
  /** @type {Bar[]} */
  #bars = [];
  /** @type {Mark[]} */
  #marks = [];
  /** @type {Map<number, Bar>} */
  #byTime = new Map();
  #offsetSeconds = 0;
  /** @type {import("../vendor/lightweight-charts.js").IPriceLine[]} of the spread pane */
  #lines = [];
  #band;
  #chosen = "";

  /**
   * @param {HTMLElement} box
   * @param {{onBar: (bar: Bar | null) => void, onChoose: (anomaly: Anomaly) => void}} listeners
   */
  constructor(box, { onBar, onChoose }) {
    this.#box = box;
    this.#chart = createChart(box, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12 },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffsetPixels: NEWEST_PIXELS, minBarSpacing: 0.2 },
      localization: { locale: "en-GB" },
    });
    this.#price = this.#chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false }, 1);
    this.#spread = this.#chart.addSeries(LineSeries, { lineWidth: 1, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false }, 2);
    const unlabelled = { priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false };
    this.#band = this.#chart.addSeries(BaselineSeries, { ...unlabelled, lineWidth: 1, lineStyle: 2, autoscaleInfoProvider: () => null });
    this.#markers = createSeriesMarkers(this.#price, []);
    const [prices, volumes, spreads] = this.#chart.panes();
    prices.setStretchFactor(6);
    volumes.setStretchFactor(1.5);
    spreads.setStretchFactor(1.1);
    this.#chart.subscribeCrosshairMove(({ time }) => onBar(this.#byTime.get(Number(time)) ?? null));
    this.#chart.subscribeClick(({ time }) => {
      const bar = this.#byTime.get(Number(time));
      const mark = bar && this.#marks.find(({ minute }) => minute === bar.minute);
      if (mark) onChoose(mark.anomaly);
    });
    this.recolour();
  }

  /** Draw the bars and the marks; `fit` shows all of them. @param {Bar[]} bars @param {Anomaly[]} anomalies @param {{fit: boolean, chosen: string}} options */
  draw(bars, anomalies, { fit, chosen }) {
    this.#bars = bars;
    this.#chosen = chosen;
    const first = bars.length ? Date.parse(bars[0].minute) : 0;
    // One offset for the whole chart keeps times growing where a clock is put back.
    this.#offsetSeconds = first ? marketClockSeconds(first) - first / 1000 : 0;
    this.#byTime = new Map(bars.map((bar) => [this.#time(bar), bar]));
    this.#price.setData(bars.map((bar) => ({ time: /** @type {Time} */ (this.#time(bar)), open: bar.open, high: bar.high, low: bar.low, close: bar.close })));
    this.#drawVolume();
    this.#spread.setData(bars.map((bar) => ({ time: /** @type {Time} */ (this.#time(bar)), ...(bar.bid === null || bar.ask === null ? {} : { value: bar.ask - bar.bid }) })));
    this.#marks = anomalies.flatMap((anomaly) => {
      const bar = barOf(bars, anomaly);
      return bar ? [{ anomaly, minute: bar.minute }] : [];
    });
    this.#drawMarks();
    this.#drawExpected(anomalies.find((anomaly) => anomaly.id === chosen));
    this.#box.dataset.bars = String(bars.length);
    this.#box.dataset.marks = JSON.stringify(this.#marks.map(({ anomaly, minute }) => ({ id: anomaly.id, minute })));
    if (fit) this.#chart.timeScale().fitContent();
  }

  /** Take the colours of the theme. */
  recolour() {
    const [up, down, grid, text] = ["--up", "--down", "--grid", "--text-soft"].map(colour);
    this.#chart.applyOptions({
      layout: { background: { color: colour("--surface") }, textColor: text, panes: { separatorColor: grid, separatorHoverColor: grid } },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
    });
    this.#price.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    this.#spread.applyOptions({ color: colour("--accent") });
    const [accent, wash] = [colour("--accent"), colour("--accent-band")];
    this.#band.applyOptions({ topLineColor: accent, bottomLineColor: accent, topFillColor1: wash, topFillColor2: wash, bottomFillColor1: wash, bottomFillColor2: wash });
    this.#drawVolume();
    this.#drawMarks();
  }

  remove() {
    this.#chart.remove();
  }

  /** @param {Bar} bar */
  #time(bar) {
    return Date.parse(bar.minute) / 1000 + this.#offsetSeconds;
  }

  #drawVolume() {
    const color = colour("--border-strong");
    this.#volume.setData(this.#bars.map((bar) => ({ time: /** @type {Time} */ (this.#time(bar)), value: bar.volume ?? 0, color })));
  }

  #drawMarks() {
    /** @type {Marker[]} */
    const markers = this.#marks.map(({ anomaly, minute }) => {
      const down = anomaly.direction === "down";
      const shape = SHAPES[anomaly.severity];
      const chosen = anomaly.id === this.#chosen;
      return {
        id: anomaly.id,
        time: /** @type {Time} */ (Date.parse(minute) / 1000 + this.#offsetSeconds),
        // An arrow points at the bar that it belongs to.
        position: down ? "aboveBar" : "belowBar",
        shape: shape === "arrowUp" && down ? "arrowDown" : shape,
        color: colour(chosen ? "--accent" : `--${anomaly.severity}`),
        size: chosen ? 2 : 1,
        text: chosen ? kindName(anomaly.kind) : undefined,
      };
    });
    this.#markers.setMarkers(markers.sort((a, b) => Number(a.time) - Number(b.time)));
  }

  /** The band of what would have been normal around the chosen anomaly. @param {Anomaly | undefined} anomaly */
  #drawExpected(anomaly) {
    for (const line of this.#lines) this.#spread.removePriceLine(line);
    this.#lines = [];
    const at = anomaly ? this.#bars.findIndex((bar) => bar === barOf(this.#bars, anomaly)) : -1;
    const band = anomaly && at >= 0 ? normalPrices(anomaly, this.#bars[at - 1]) : null;
    const around = band ? this.#bars.slice(Math.max(0, at - BAND_BARS), at + BAND_BARS + 1) : [];
    if (band) this.#band.applyOptions({ baseValue: { type: "price", price: band.low } });
    this.#band.setData(around.map((bar) => ({ time: /** @type {Time} */ (this.#time(bar)), value: band?.high ?? 0 })));
    this.#box.dataset.band = JSON.stringify(band);
    if (anomaly && at >= 0 && anomaly.window.unit === "spread") {
      const price = limitOf(anomaly) * this.#bars[at].close;
      this.#lines.push(this.#spread.createPriceLine({ price, color: colour("--accent"), lineWidth: 1, lineStyle: 2, title: "normal up to" }));
    }
  }
}

/** The value at which the score would have been the threshold: scores grow in proportion. @param {Anomaly} anomaly */
function limitOf({ value, score, threshold }) {
  return score > 0 ? ((value ?? 0) * threshold) / score : 0;
}

/**
 * The prices that would have been normal, or null where what was judged is no price.
 * @param {Anomaly} anomaly
 * @param {Bar | undefined} before the bar before its own
 * @returns {{low: number, high: number} | null}
 */
function normalPrices(anomaly, before) {
  const { window, value, expected, score, threshold } = anomaly;
  if (value === null || expected === null || !(score > 0)) return null;
  const reach = (Math.abs(value - expected) * threshold) / score;
  if (window.unit === "price") return { low: expected - reach, high: expected + reach };
  const isJump = window.unit === "return" && (window.over_ticks ?? 1) <= 3 && !("over_moves" in window); // no drift
  if (!before || !isJump) return null;
  return { low: before.close * (1 + expected - reach), high: before.close * (1 + expected + reach) };
}

/** The bar that an anomaly belongs to: its minute's, or the last one before it. @param {Bar[]} bars @param {Anomaly} anomaly */
function barOf(bars, anomaly) {
  const minuteMs = Math.floor(momentOf(anomaly) / MINUTE_MS) * MINUTE_MS;
  return bars.findLast((bar) => Date.parse(bar.minute) <= minuteMs);
}

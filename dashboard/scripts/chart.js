// Price, volume and spread of one ticker, with anomalies marked on the bars that they belong to.

import {
  BaselineSeries,
  CandlestickSeries,
  CrosshairMode,
  HistogramSeries,
  TrackingModeExitMode,
  createChart,
} from "../vendor/lightweight-charts.js";
import { price as priceText, wallSeconds } from "./format.js";
import { MINUTE_MS, spreadOf } from "./chart_bars.js";
import { Overlay } from "./chart_overlay.js";
import { ComparedLine, priceSeries } from "./chart_price.js";
import { emptySpans, misprintsOf, scaleOf, slotsOf } from "./chart_scale.js";
import { SEVERITIES, momentOf } from "./kinds.js";
import { colour } from "./theme.js";

/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {import("../vendor/lightweight-charts.js").Time} Time */
/** @typedef {import("./chart_scale.js").Slot} Slot */
/** @typedef {{anomaly: Anomaly, minute: string}} Mark */
/** @typedef {import("./chart_price.js").Compared} Compared */

/** Room beside the newest bar for the number of marks beside it. */
const NEWEST_PIXELS = 24;
/** Before the oldest: half a time of day. */
const OLDEST_PIXELS = 20;
/** The size of its text, of the page's: it grows with what a reader has set. */
const TEXT_REM = 0.75;
/** Bars on either side of an anomaly that is opened. */
const AROUND = 30;

/** A chart in `box`; `onBar` is called with the bar under the pointer (or null) and its anomalies, `onChoose` with the anomaly clicked on, `onView` with whether the newest bar is in view. */
export class PriceChart {
  #box;
  #chart;
  #prices;
  #price;
  #compared;
  #volume;
  #spread;
  #overlay = new Overlay();
  /** @type {Bar[]} */
  #bars = [];
  /** @type {Mark[]} */
  #marks = [];
  /** @type {Map<number, Bar>} */
  #byTime = new Map();
  /** @type {Slot[]} */
  #slots = [];
  /** @type {{minuteMs: number, price: number}[]} */
  #misprints = [];
  #digits = 2;
  #offsetSeconds = 0;
  /** @type {import("../vendor/lightweight-charts.js").IPriceLine[]} of the spread pane */
  #lines = [];
  #band;
  #chosen = "";
  /** The greatest spread that would have been normal at the chosen anomaly, or 0: it is in view. */
  #spreadLimit = 0;

  /**
   * @param {HTMLElement} box
   * @param {{isLine: boolean, onBar: (bar: Bar | null, anomalies: Anomaly[]) => void, onChoose: (anomaly: Anomaly) => void, onView: (newest: boolean) => void}} listeners
   */
  constructor(box, { isLine, onBar, onChoose, onView }) {
    this.#box = box;
    this.#chart = createChart(box, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: TEXT_REM * parseFloat(getComputedStyle(document.documentElement).fontSize) },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, entireTextOnly: true },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffsetPixels: NEWEST_PIXELS, minBarSpacing: 0.2, lockVisibleTimeRangeOnResize: true },
      localization: { locale: "en-GB" },
      // A thumb that moves up or down on it moves the page.
      handleScroll: { vertTouchDrag: false },
      // A long press follows the thumb until it is lifted, not until the next tap: the page could not be moved until then.
      trackingMode: { exitMode: TrackingModeExitMode.OnTouchEnd },
    });
    this.#prices = priceSeries(this.#chart, isLine, () => this.#scale());
    this.#price = this.#prices.series;
    this.#compared = new ComparedLine(this.#chart);
    this.#price.attachPrimitive(this.#overlay);
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false }, 1);
    const unlabelled = { priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false };
    // From the least to the greatest spread of each bar.
    this.#spread = this.#chart.addSeries(CandlestickSeries, { priceLineVisible: false, lastValueVisible: false, borderVisible: true, wickVisible: false, autoscaleInfoProvider: (/** @type {() => import("../vendor/lightweight-charts.js").AutoscaleInfo | null} */ usual) => this.#spreadScale(usual()) }, 2);
    this.#band = this.#chart.addSeries(BaselineSeries, { ...unlabelled, lineWidth: 1, lineStyle: 2, autoscaleInfoProvider: () => null });
    const [prices, volumes, spreads] = this.#chart.panes();
    prices.setStretchFactor(6);
    volumes.setStretchFactor(1.5);
    spreads.setStretchFactor(1.1);
    this.#spread.priceScale().applyOptions({ ensureEdgeTickMarksVisible: true, scaleMargins: { top: 0.15, bottom: 0 } }); // the pane is low: its greatest would have no label
    this.#chart.subscribeCrosshairMove(({ time }) => onBar(this.#byTime.get(Number(time)) ?? null, this.#anomaliesAt(Number(time))));
    /** @param {import("../vendor/lightweight-charts.js").MouseEventParams} event */
    const chooseNext = ({ time, hoveredObjectId }) => {
      const found = this.#anomaliesAt(Number(hoveredObjectId ?? time));
      // Where several are stacked on a bar, each click goes on to the next one.
      const next = found[(found.findIndex(({ id }) => id === this.#chosen) + 1) % found.length];
      if (next) onChoose(next);
    };
    this.#chart.subscribeClick(chooseNext);
    this.#chart.subscribeDblClick(chooseNext); // in the place of a second click that follows soon
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((view) => onView(!view || view.to >= this.#slots.length - 1));
    this.recolour();
  }

  /**
   * Draw the bars and the marks; `fit` shows all of them. `untilMs` is the end of the axis, a bar lasts `stepMs`, `digits` are the instrument's,
   * `compared` is a second ticker; returned is how much further the first went, as a part of its price, or null.
   * @param {Bar[]} bars
   * @param {Anomaly[]} anomalies
   * @param {{fit: boolean, chosen: string, digits: number, untilMs: number, stepMs: number, compared: Compared | null}} options
   */
  draw(bars, anomalies, { fit, chosen, digits, untilMs, stepMs, compared }) {
    const chosenAnomaly = anomalies.find((anomaly) => anomaly.id === chosen);
    this.#bars = bars;
    this.#chosen = chosen;
    this.#chart.timeScale().applyOptions({ secondsVisible: stepMs < MINUTE_MS });
    const first = bars.length ? Date.parse(bars[0].minute) : 0;
    // One offset for the whole chart keeps times growing where a clock is put back.
    this.#offsetSeconds = first ? wallSeconds(first) - first / 1000 : 0;
    this.#slots = slotsOf(bars, untilMs, stepMs);
    this.#misprints = misprintsOf(this.#slots);
    this.#byTime = new Map(bars.map((bar) => [this.#time(bar), bar]));
    if (digits !== this.#digits) this.#useDigits(digits);
    const places = this.#slots.map(({ minuteMs, bar }) => ({ time: this.#at(minuteMs), bar }));
    this.#prices.show(places);
    const before = chosenAnomaly && bars.findLast((bar) => Date.parse(bar.minute) + stepMs <= momentOf(chosenAnomaly));
    const further = this.#compared.show(places, compared, before ? /** @type {Time} */ (this.#time(before)) : null);
    this.#box.dataset.compared = JSON.stringify(further);
    this.#drawVolume();
    this.#drawSpread();
    this.#marks = anomalies.flatMap((anomaly) => {
      const bar = barOf(bars, anomaly);
      return bar ? [{ anomaly, minute: bar.minute }] : [];
    });
    this.#drawMarks();
    this.#drawExpected(chosenAnomaly);
    this.#box.dataset.bars = String(bars.length);
    this.#box.dataset.marks = JSON.stringify(this.#marks.map(({ anomaly, minute }) => ({ id: anomaly.id, minute })));
    if (fit) this.#fit();
    return further;
  }

  /** Show all bars, and the time below the first whole: half of "08:25" would be another time. */
  #fit() {
    const [scale, bars] = [this.#chart.timeScale(), this.#slots.length];
    const pixels = (scale.width() - OLDEST_PIXELS - NEWEST_PIXELS) / bars; // of a bar
    if (bars && pixels > 0) scale.setVisibleLogicalRange({ from: -Math.max(0.5, OLDEST_PIXELS / pixels), to: bars - 0.5 + NEWEST_PIXELS / pixels });
    else scale.fitContent();
  }

  /** Show the minutes around a moment, unless it is in view. @param {number} ms */
  show(ms) {
    const index = this.#slots.findLastIndex(({ minuteMs }) => minuteMs <= ms);
    const view = this.#chart.timeScale().getVisibleLogicalRange();
    if (index < 0 || (view && view.to - view.from <= 4 * AROUND && index >= view.from && index <= view.to)) return;
    const to = Math.min(index + AROUND, this.#slots.length + 1);
    this.#chart.timeScale().setVisibleLogicalRange({ from: to - 2 * AROUND, to });
  }

  /** Show the newest bars again. */
  showNewest() {
    const scale = this.#chart.timeScale();
    const view = scale.getVisibleLogicalRange();
    const width = view ? view.to - view.from : 2 * AROUND;
    const to = this.#slots.length + 0.03 * width;
    scale.setVisibleLogicalRange({ from: to - width, to });
  }

  /** @param {number} digits */
  #useDigits(digits) {
    this.#digits = digits;
    const priceFormat = /** @type {const} */ ({ type: "custom", formatter: (/** @type {number} */ value) => priceText(value, digits), minMove: 10 ** -digits });
    for (const series of [this.#price, this.#compared.series, this.#spread, this.#band]) series.applyOptions({ priceFormat });
  }

  /** By the bulk of the prices in view. @returns {import("../vendor/lightweight-charts.js").AutoscaleInfo | null} */
  #scale() {
    const view = this.#chart.timeScale().getVisibleLogicalRange();
    const slots = view ? this.#slots.slice(Math.max(0, Math.floor(view.from)), Math.ceil(view.to) + 1) : this.#slots;
    const scale = scaleOf(slots, this.#misprints);
    return scale && { priceRange: { minValue: scale.low, maxValue: scale.high }, margins: { above: 22, below: 22 } };
  }

  /** @param {import("../vendor/lightweight-charts.js").AutoscaleInfo | null} usual */
  #spreadScale(usual) {
    if (!usual?.priceRange) return usual;
    const { minValue, maxValue } = usual.priceRange;
    return { ...usual, priceRange: { minValue: Math.min(0, minValue), maxValue: Math.max(maxValue, this.#spreadLimit * 1.05) } };
  }

  /** The anomalies of the bar at a time of the axis, the worst first. @param {number} time */
  #anomaliesAt(time) {
    const minute = this.#byTime.get(time)?.minute;
    const found = this.#marks.filter((mark) => mark.minute === minute).map(({ anomaly }) => anomaly);
    return found.sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  }

  /** Take the colours of the theme. */
  recolour() {
    const [grid, text] = ["--grid", "--text-soft"].map(colour);
    this.#chart.applyOptions({
      layout: { background: { color: colour("--surface") }, textColor: text, panes: { separatorColor: grid, separatorHoverColor: grid } },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
    });
    this.#prices.recolour();
    this.#compared.recolour();
    const spread = colour("--accent");
    this.#spread.applyOptions({ upColor: spread, downColor: spread, borderUpColor: spread, borderDownColor: spread });
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

  /** @param {number} ms */
  #at(ms) {
    return /** @type {Time} */ (ms / 1000 + this.#offsetSeconds);
  }

  #drawVolume() {
    const color = colour("--border-strong");
    this.#volume.setData(this.#slots.map(({ minuteMs, bar }) => ({ time: this.#at(minuteMs), ...(bar && { value: bar.volume ?? 0, color }) })));
  }

  #drawSpread() {
    const ranges = this.#slots.map(({ bar }) => bar && spreadOf(bar));
    this.#spread.setData(this.#slots.map(({ minuteMs }, n) => {
      const [low, high] = ranges[n] ?? [];
      return { time: this.#at(minuteMs), ...(low !== undefined && high !== undefined && { open: low, low, high, close: high }) };
    }));
    this.#box.dataset.spread = JSON.stringify(ranges.reduce((widest, range) => (range && range[1] > (widest?.[1] ?? -1) ? range : widest), null));
  }

  #drawMarks() {
    const marked = [...new Set(this.#marks.map(({ minute }) => minute))];
    const marks = marked.flatMap((minute) => {
      const bar = this.#bars.find((each) => each.minute === minute);
      return bar ? [{ time: this.#at(Date.parse(minute)), high: bar.high, low: bar.low, anomalies: this.#anomaliesAt(this.#time(bar)) }] : [];
    });
    const empty = emptySpans(this.#slots);
    this.#overlay.show({
      marks,
      empty: empty.map(({ from, to }) => ({ from: this.#at(from), to: this.#at(to) })),
      misprints: this.#misprints.map(({ minuteMs, price }) => ({ time: this.#at(minuteMs), price })),
      chosen: this.#chosen,
      words: (price) => priceText(price, this.#digits),
    });
    this.#box.dataset.empty = JSON.stringify(empty.map(({ from, to }) => [new Date(from).toISOString(), new Date(to).toISOString()]));
    this.#box.dataset.misprints = JSON.stringify(this.#misprints.map(({ price }) => price));
    this.#box.dataset.scale = JSON.stringify(scaleOf(this.#slots, this.#misprints));
  }

  /** The band of what would have been normal at the chosen anomaly. @param {Anomaly | undefined} anomaly */
  #drawExpected(anomaly) {
    for (const line of this.#lines) this.#spread.removePriceLine(line);
    this.#lines = [];
    this.#spreadLimit = 0;
    const at = anomaly ? this.#bars.findIndex((bar) => bar === barOf(this.#bars, anomaly)) : -1;
    const band = anomaly && at >= 0 ? normalPrices(anomaly, this.#bars[at - 1]) : null;
    if (band) this.#band.applyOptions({ baseValue: { type: "price", price: band.low } });
    this.#band.setData((band ? this.#bars : []).map((bar) => ({ time: /** @type {Time} */ (this.#time(bar)), value: band?.high ?? 0 })));
    this.#box.dataset.band = JSON.stringify(band);
    if (anomaly && at >= 0 && anomaly.window.unit === "spread") {
      const price = (this.#spreadLimit = limitOf(anomaly) * this.#bars[at].close);
      this.#lines.push(this.#spread.createPriceLine({ price, color: colour("--accent"), lineWidth: 1, lineStyle: 2, title: "normal up to" }));
    }
    this.#box.dataset.spreadLimit = String(this.#spreadLimit);
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

/** The bar that an anomaly belongs to: the one of its moment, or the last one before it. @param {Bar[]} bars @param {Anomaly} anomaly */
function barOf(bars, anomaly) {
  const ms = momentOf(anomaly);
  return bars.findLast((bar) => Date.parse(bar.minute) <= ms);
}

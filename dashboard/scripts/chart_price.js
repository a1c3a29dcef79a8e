// Prices as candles or as a line, and a second ticker as a line beside them.

import { CandlestickSeries, LineSeries, PriceLineSource } from "../vendor/lightweight-charts.js";
import { colour } from "./theme.js";

/** @typedef {import("../api-types.d.ts").BarModel} Bar */
/** @typedef {import("../vendor/lightweight-charts.js").IChartApi} Chart */
/** @typedef {import("../vendor/lightweight-charts.js").Time} Time */
/** @typedef {import("../vendor/lightweight-charts.js").AutoscaleInfo} Autoscale */
/** @typedef {{time: Time, bar: Bar | null}} Place a room on the axis, and what is in it */
/** @typedef {{name: string, bars: Bar[]}} Compared */

/**
 * @param {Chart} chart
 * @param {boolean} isLine
 * @param {() => Autoscale | null} scale
 */
export function priceSeries(chart, isLine, scale) {
  return isLine ? line(chart, scale) : candles(chart, scale);
}

/** @param {Chart} chart @param {() => Autoscale | null} scale */
function candles(chart, scale) {
  const series = chart.addSeries(CandlestickSeries, { priceLineSource: PriceLineSource.LastVisible, borderVisible: false, autoscaleInfoProvider: scale });
  return {
    series,
    /** @param {Place[]} places */
    show: (places) => series.setData(places.map(({ time, bar }) => ({ time, ...(bar && { open: bar.open, high: bar.high, low: bar.low, close: bar.close }) }))),
    recolour: () => {
      const [up, down] = ["--up", "--down"].map(colour);
      series.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    },
  };
}

/** @param {Chart} chart @param {() => Autoscale | null} scale */
function line(chart, scale) {
  const series = chart.addSeries(LineSeries, { priceLineSource: PriceLineSource.LastVisible, lineWidth: 2, autoscaleInfoProvider: scale });
  return {
    series,
    /** @param {Place[]} places */
    show: (places) => series.setData(places.map(({ time, bar }) => ({ time, ...(bar && { value: bar.close }) }))),
    recolour: () => series.applyOptions({ color: colour("--text") }),
  };
}

/** A second ticker, drawn as if it had had the price of the first at one moment: where they part, one of them moved alone. */
export class ComparedLine {
  #series;

  /** @param {Chart} chart */
  constructor(chart) {
    this.#series = chart.addSeries(LineSeries, { lineWidth: 1, priceLineVisible: false, lastValueVisible: true, crosshairMarkerVisible: false });
  }

  get series() {
    return this.#series;
  }

  /**
   * @param {Place[]} places of the first ticker
   * @param {Compared | null} compared
   * @param {Time | null} from the moment at which they have one price; null is the first of both
   * @returns {number | null} how much further the first went than the second, as a part of its price; null without both
   */
  show(places, compared, from) {
    const closes = new Map(compared?.bars.map(({ minute, close }) => [minute, close]));
    const both = places.flatMap(({ time, bar }) => {
      const close = bar && closes.get(bar.minute);
      return bar && close ? [{ time, own: bar.close, close }] : [];
    });
    const [first, last] = [both.find(({ time }) => from === null || time >= from) ?? both.at(0), both.at(-1)];
    this.#series.setData(first ? both.map(({ time, close }) => ({ time, value: (close * first.own) / first.close })) : []);
    this.#series.applyOptions({ title: first ? (compared?.name ?? "") : "" });
    return first && last ? last.own / first.own - last.close / first.close : null;
  }

  recolour() {
    this.#series.applyOptions({ color: colour("--medium") });
  }
}

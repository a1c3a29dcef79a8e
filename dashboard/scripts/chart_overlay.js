// What is drawn over and under the candles: empty minutes, marks of anomalies, prices beyond the scale.

import { SHAPES, isFilled } from "./kinds.js";
import { colour } from "./theme.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */
/** @typedef {import("../vendor/lightweight-charts.js").Time} Time */
/** @typedef {{from: Time, to: Time}} Span */
/** @typedef {{time: Time, high: number, low: number, anomalies: Anomaly[]}} Mark all anomalies of a bar, the worst first */
/** @typedef {{time: Time, price: number}} Misprint */
/** @typedef {import("../vendor/lightweight-charts.js").SeriesAttachedParameter<Time>} Attached */

const SIZE = 13;
const REACH = 11;
const EDGE = 10;
const LABEL_WIDTH = 64;

/** A primitive of the price series. */
export class Overlay {
  /** @type {Attached | null} */
  #attached = null;
  /** @type {Span[]} */
  #empty = [];
  /** @type {Mark[]} */
  #marks = [];
  /** @type {Misprint[]} */
  #misprints = [];
  #chosen = "";
  /** @type {(price: number) => string} */
  #words = String;
  /** @type {{x: number, y: number, mark: Mark}[]} where marks were drawn */
  #places = [];

  /** @param {Attached} attached */
  attached(attached) {
    this.#attached = attached;
  }

  detached() {
    this.#attached = null;
  }

  /** @param {{empty: Span[], marks: Mark[], misprints: Misprint[], chosen: string, words: (price: number) => string}} found */
  show({ empty, marks, misprints, chosen, words }) {
    [this.#empty, this.#marks, this.#misprints, this.#chosen, this.#words] = [empty, marks, misprints, chosen, words];
    this.redraw();
  }

  redraw() {
    this.#attached?.requestUpdate();
  }

  /** @returns {import("../vendor/lightweight-charts.js").IPrimitivePaneView[]} */
  paneViews() {
    return [
      { zOrder: () => "bottom", renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace(({ context, mediaSize }) => this.#shade(context, mediaSize.height)) }) },
      { zOrder: () => "top", renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace(({ context, mediaSize }) => this.#draw(context, mediaSize.height)) }) },
    ];
  }

  /** @param {number} x @param {number} y @returns {import("../vendor/lightweight-charts.js").PrimitiveHoveredItem | null} */
  hitTest(x, y) {
    const hit = this.#places.find((place) => Math.hypot(place.x - x, place.y - y) <= REACH);
    return hit ? { externalId: String(hit.mark.time), zOrder: "top", cursorStyle: "pointer" } : null;
  }

  /** @param {CanvasRenderingContext2D} context @param {number} height */
  #shade(context, height) {
    if (!this.#attached) return;
    const scale = this.#attached.chart.timeScale();
    const half = scale.options().barSpacing / 2;
    context.fillStyle = colour("--gap");
    for (const { from, to } of this.#empty) {
      const [left, right] = [scale.timeToCoordinate(from), scale.timeToCoordinate(to)];
      if (left !== null && right !== null) context.fillRect(left - half, 0, right - left + 2 * half, height);
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {number} height */
  #draw(context, height) {
    this.#places = [];
    if (!this.#attached) return;
    const { series, chart } = this.#attached;
    const scale = chart.timeScale();
    context.font = `600 11px ${chart.options().layout.fontFamily}`;
    context.textBaseline = "middle";
    this.#drawMisprints(context, height);
    for (const mark of this.#marks) {
      const [worst] = mark.anomalies;
      const down = worst.direction === "down";
      const x = scale.timeToCoordinate(mark.time);
      const edge = series.priceToCoordinate(down ? mark.high : mark.low);
      if (x === null || edge === null) continue;
      const y = Math.min(height - EDGE, Math.max(EDGE, edge + (down ? -EDGE : EDGE)));
      this.#places.push({ x, y, mark });
      this.#drawMark(context, x, y, mark);
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {Mark} mark */
  #drawMark(context, x, y, { anomalies }) {
    const chosen = anomalies.find(({ id }) => id === this.#chosen);
    const { severity } = chosen ?? anomalies[0];
    const size = chosen ? SIZE + 4 : SIZE;
    context.save();
    context.translate(x - size / 2, y - size / 2);
    context.scale(size / 16, size / 16);
    const path = new Path2D(SHAPES[severity]);
    context.lineWidth = 2;
    context.strokeStyle = colour(chosen ? "--accent" : `--${severity}`);
    context.fillStyle = isFilled(severity) ? context.strokeStyle : colour("--surface");
    context.fill(path);
    context.stroke(path);
    context.restore();
    if (anomalies.length < 2) return;
    context.fillStyle = colour("--text");
    context.textAlign = "left";
    context.fillText(String(anomalies.length), x + size / 2 + 2, y);
  }

  /** A price far from all others is a hollow mark at the edge, with its value. @param {CanvasRenderingContext2D} context @param {number} height */
  #drawMisprints(context, height) {
    if (!this.#attached) return;
    const { series, chart } = this.#attached;
    const lastX = { top: -Infinity, bottom: -Infinity };
    context.strokeStyle = context.fillStyle = colour("--text-soft");
    context.lineWidth = 1.5;
    context.textAlign = "center";
    for (const { time, price } of this.#misprints) {
      const x = chart.timeScale().timeToCoordinate(time);
      const at = series.priceToCoordinate(price);
      if (x === null || at === null || (at >= 0 && at <= height)) continue;
      const edge = at < 0 ? "top" : "bottom";
      const y = edge === "top" ? EDGE : height - EDGE;
      context.beginPath();
      context.arc(x, y, 4, 0, 2 * Math.PI);
      context.stroke();
      if (x - lastX[edge] < LABEL_WIDTH) continue;
      lastX[edge] = x;
      context.fillText(this.#words(price), x, edge === "top" ? y + 13 : y - 13);
    }
  }
}

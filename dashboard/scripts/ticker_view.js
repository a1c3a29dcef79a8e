// The chart in the middle: which ticker is open, by the address.

import { current, onAddress } from "./address.js";
import { connection } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { OpenTicker } from "./open_ticker.js";

/** @typedef {import("../api-types.d.ts").TickerList} TickerList */

/** Shows the ticker in the address, else the first one of the watch list. */
export class TickerView {
  #section = byId("ticker-view");
  /** @type {OpenTicker | null} */
  #open = null;
  /** @type {TickerList | null} */
  #list = null;

  constructor() {
    onAddress(() => this.#show());
    connection.addEventListener("change", () => this.#open || this.#showNothing());
    this.#show();
  }

  /** @param {TickerList} list */
  set list(list) {
    this.#list = list;
    if (!this.#open) this.#show();
    this.#open?.showQuote(list);
  }

  recolour() {
    this.#open?.recolour();
  }

  #show() {
    const address = current();
    byId("main").dataset.view = address.view;
    for (const tab of document.querySelectorAll(".tabs button")) if (tab instanceof HTMLElement) tab.setAttribute("aria-pressed", String(tab.dataset.view === address.view));
    document.title = address.ticker ? `${address.ticker} · Anomaly Monitor` : "Anomaly Monitor";
    const ticker = address.ticker || this.#list?.tickers[0]?.ticker || "";
    if (!ticker) return this.#showNothing();
    const shown = { ...address, ticker };
    if (this.#open?.covers(shown)) return this.#open.choose(address.anomaly);
    this.#open?.close();
    this.#open = new OpenTicker(this.#section, shown, this.#list);
  }

  #showNothing() {
    const { forbidden, lost } = connection.state;
    const missing = forbidden ? "No chart without the right to read." : lost ? "The chart appears as soon as the monitor can be reached." : "Loading";
    const text = this.#list ? "Put tickers on the watch list to see their charts." : missing;
    fill(this.#section, h("h2", { id: "ticker-title", className: "visually-hidden" }, "Chart"), h("div", { className: "empty" }, text));
  }
}

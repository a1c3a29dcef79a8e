// Three cards for whoever is here for the first time; what they cover can be scrolled clear, and they end for good.

import { h } from "./dom.js";
import { prefer, preference } from "./preferences.js";

const CARDS = [
  ["What is unusual, as it happens", "Each line below “Unusual now” is an anomaly; the mark says how bad. Open one: the chart shows the minutes around it, with what was normal as a band."],
  ["Deal with it in place", "Acknowledge what you look into (a), silence what is only noise (s), with a reason and an end. Everybody sees who did. Open, Acknowledged and Resolved list incidents."],
  ["Make it yours", "Settings (,) has sound and desktop notifications by severity, time zone, density, silences, and what another threshold would have found. ? lists the keys."],
];

/** Show the cards, once. @param {boolean} [again] */
export function tour(again = false) {
  if (!again && preference("tour") === "done") return;
  document.querySelector(".tour")?.remove();
  let at = 0;
  const [title, text, place] = [h("h2", { id: "tour-title" }), h("p"), h("span", { className: "panel-note" })];
  const next = h("button", { className: "button", type: "button", onclick: () => (at + 1 < CARDS.length ? show(at + 1) : end()) });
  const skip = h("button", { className: "link-button", type: "button", onclick: () => end() }, "Skip");
  const box = h("aside", { className: "tour", "aria-labelledby": "tour-title" }, title, text, h("div", { className: "tour-foot" }, place, skip, next));
  const show = (/** @type {number} */ n) => {
    at = n;
    [title.textContent, text.textContent] = CARDS[n];
    place.textContent = `${n + 1} of ${CARDS.length}`;
    next.textContent = n + 1 < CARDS.length ? "Next" : "Done";
    skip.hidden = n + 1 === CARDS.length;
  };
  const end = () => {
    prefer("tour", "done");
    box.remove();
  };
  show(0);
  document.body.append(box);
}

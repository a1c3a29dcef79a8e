// A person's own rules: what is in force, one more, one less.

import { get, resource, send } from "./api.js";
import { fill, h, setText } from "./dom.js";
import { digitsOf, price } from "./format.js";
import { SEVERITIES, capitalized } from "./kinds.js";
import { choice, labelled, tickerChoice } from "./settings_fields.js";

/** @typedef {import("../api-types.d.ts").RuleModel} Rule */
/** @typedef {import("../api-types.d.ts").RuleList} RuleList */
/** @typedef {import("../api-types.d.ts").Safety} Safety */

const WHEN = { above: "Price rises above", below: "Price falls below", moves: "Price moves by, in %", spread: "Spread is at least, in bp", volume: "A tick trades, times its usual" };
const REPEAT = { always: "Every time", daily: "Once a day", once: "Once" };
const MOST_CHARACTERS = 32;

/** @param {() => string[]} tickers */
export function ruleForm(tickers) {
  const [ticker, when, repeat] = [tickerChoice(tickers), choice(WHEN), choice(REPEAT)];
  const severity = choice(Object.fromEntries(SEVERITIES.map((name) => [name, capitalized(name)])));
  severity.value = "high";
  const value = h("input", { type: "number", step: "any", required: true });
  const minutes = h("input", { type: "number", min: "1", max: "240", step: "any", value: "5", required: true });
  const [within, list] = [labelled("Within minutes", minutes), h("ul", { className: "rules" })];
  const note = h("p", { className: "panel-note", role: "status" });

  /** @param {Rule[]} rules */
  const show = (rules) => fill(list, ...rules.map((rule) => h("li", {}, `${rule.id}: ${words(rule)} `, h("button", { className: "link-button", type: "button", "aria-label": `Remove ${words(rule)}`, dataset: { rule: rule.id } }, "Remove"))));
  list.addEventListener("click", ({ target }) => {
    const id = target instanceof HTMLElement ? target.dataset.rule : undefined;
    if (id) void change(() => send("DELETE", resource(["rules", id])), () => "Removed. In force within a minute.");
  });
  const read = async () => show(/** @type {RuleList} */ (await get(resource(["rules"]))).rules);
  /** @param {() => Promise<unknown>} act @param {() => string} done */
  const change = async (act, done) => {
    try {
      await act();
      await read();
      setText(note, done());
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(note, `That was not done: ${error.message}`);
    }
  };
  const add = () => {
    const isPrice = when.value === "above" || when.value === "below";
    ticker.setCustomValidity(isPrice && !ticker.value ? "Choose a ticker: the limit is a price" : "");
    if (![ticker, value, ...(when.value === "moves" ? [minutes] : [])].every((input) => input.reportValidity())) return;
    const own = { when: when.value, value: value.valueAsNumber, ticker: ticker.value, repeat: repeat.value, severity: severity.value, minutes: when.value === "moves" ? minutes.valueAsNumber : 0 };
    const id = [own.ticker || "any", own.when, value.value, ...(own.minutes ? [own.minutes] : [])].join("-").replaceAll(/[^\w-]|_/g, "-").slice(0, MOST_CHARACTERS);
    let already = "";
    const act = async () => {
      await send("POST", resource(["rules"]), { id, ...own });
      if (isPrice) already = await get(resource(["safety", own.ticker])).then((/** @type {Safety} */ { quote }) => beyond(own, quote.price), unknown);
    };
    void change(act, () => `Added. In force within a minute.${already}`);
  };
  const onlyOfMoves = () => (within.hidden = when.value !== "moves");
  when.addEventListener("change", onlyOfMoves);
  onlyOfMoves();
  read().catch((error) => setText(note, `The rules could not be read: ${error.message}`));
  const button = h("button", { className: "button", type: "button", onclick: add }, "Add");
  const fields = h("div", { className: "fields" }, labelled("Ticker", ticker), labelled("When", when), labelled("Value", value), within, labelled("How often", repeat), labelled("Severity", severity), button);
  return h("section", {}, h("h3", {}, "Your own rules"), fields, note, list);
}

/** What to know of a level that the price is beyond already. @param {{ticker: string, when: string, value: number}} rule @param {number | null} now */
function beyond({ ticker, when, value }, now) {
  const isAbove = when === "above";
  if (now === null || (isAbove ? now < value : now > value)) return "";
  return ` ${ticker} is at ${price(now)} already: the rule is met once it was ${isAbove ? "below" : "above"} the level and comes back.`;
}

/** The rule is in force without it. @param {Error} error */
const unknown = (error) => ` Where the price is now is not known: ${error.message}`;

/** @param {Rule} rule */
function words({ ticker, when, value, minutes, repeat = "always", severity }) {
  const limit = {
    above: `price above ${price(value, digitsOf(value))}`,
    below: `price below ${price(value, digitsOf(value))}`,
    moves: `price moves ${value}% within ${minutes} min`,
    spread: `spread of ${value} bp`,
    volume: `${value} times the usual volume`,
  }[when];
  return `${ticker || "any ticker"}: ${limit}, ${REPEAT[repeat].toLowerCase()}, ${severity}`;
}

// Who is notified of what: channels, the routes that lead to them, and a message to try them.

import { get, resource, send } from "./api.js";
import { fill, h, setText } from "./dom.js";
import { SEVERITIES, capitalized, kindName } from "./kinds.js";
import { pageConfig } from "./session.js";
import { choice, kindChoice, labelled, tickerChoice } from "./settings_fields.js";

/** @typedef {import("../api-types.d.ts").AlertRoutes} AlertRoutes */
/** @typedef {import("../api-types.d.ts").RouteModel} Route */
/** @typedef {import("../api-types.d.ts").ChannelModel} Channel */
/** @typedef {import("../api-types.d.ts").RoutingChange} RoutingChange */
/** @typedef {() => Partial<{routes: Route[], channels: Record<string, Channel>}>} Wanted */

const NOTIFY = { "": "By severity", at_once: "At once", digest: "In digests", never: "Never" };
const ALL = "";

/** @param {() => string[]} tickers */
export function routesForm(tickers) {
  /** @type {AlertRoutes} */
  let inForce = { routes: [], channels: {}, types: {} };
  let aws = "";
  void pageConfig().then(({ outbox }) => {
    aws = outbox ? "" : " --aws";
    show();
  });
  const note = h("p", { className: "panel-note", role: "status" });
  const [routes, channels] = [h("ol", { className: "rules" }), h("ul", { className: "rules" })];
  const severity = choice(Object.fromEntries(SEVERITIES.toReversed().map((name) => [name, name === "critical" ? "Critical" : `${capitalized(name)} and worse`])));
  const [ticker, kind, notify] = [tickerChoice(tickers), kindChoice(), choice(NOTIFY)];
  const channel = choice({ [ALL]: "All channels" });
  const type = choice({});
  const name = h("input", { type: "text", pattern: "[a-z0-9\\-]{1,32}", maxLength: 32, autocomplete: "off", required: true });
  const own = h("div", { className: "fields" });

  /** Which command sets what a channel keeps secret: no page takes it. @param {string} id @param {string} type */
  const secretsOf = (id, type) => {
    const { secrets = {}, optional = [] } = inForce.types[type] ?? {};
    const needed = Object.keys(secrets).filter((secret) => !optional.includes(secret));
    return needed.length > 0 && h("span", { className: "soft" }, `(sends once its ${needed.join(" and ")} is set: `, h("code", {}, `stock-monitor alerts secret ${id}${aws}`), ") ");
  };
  const show = () => {
    fill(routes, ...inForce.routes.map((route, n) => h("li", {}, `${wordsOf(route)} `, button("Remove", `Remove route ${n + 1}`, () => ({ routes: without(inForce.routes, route) }), "Route removed"))));
    fill(channels, h("li", {}, "sns: email and SMS, always there"), ...Object.entries(inForce.channels).map(([id, { type }]) => h("li", {}, `${id}: ${type} `, secretsOf(id, type), button("Remove", `Remove channel ${id}`, () => ({ channels: Object.fromEntries(Object.entries(inForce.channels).filter(([known]) => known !== id)) }), "Channel removed"))));
    fill(channel, ...[[ALL, "All channels"], ["sns", "sns"], ...Object.keys(inForce.channels).map((id) => [id, id])].map(([value, text]) => h("option", { value }, text)));
    fill(type, ...Object.keys(inForce.types).map((value) => h("option", { value }, value)));
    showFields();
  };
  const showFields = () => {
    const declared = inForce.types[type.value];
    fill(own, ...Object.entries(declared?.settings ?? {}).map(([key, what]) => labelled(key, h("input", { type: "text", name: key, title: what, autocomplete: "off", required: !declared.optional.includes(key) }))));
  };
  /** Change what is in force now: another page may have changed it since. @param {Wanted} wanted @param {string} done */
  const put = async (wanted, done) => {
    try {
      inForce = await get(resource(["alerts", "routes"]));
      /** @type {RoutingChange} */
      const change = await send("PUT", resource(["alerts", "routes"]), wanted());
      inForce = { ...inForce, routes: change.routes, channels: change.channels };
      show();
      setText(note, `${done} by ${change.by}. In force within a minute.`);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(note, `That was not done: ${error.message}`);
    }
  };
  /** @param {string} text @param {string} label @param {Wanted} wanted @param {string} done */
  const button = (text, label, wanted, done) => h("button", { className: "link-button", type: "button", "aria-label": label, onclick: () => void put(wanted, done) }, text);
  const addRoute = () => {
    const least = SEVERITIES.indexOf(/** @type {import("./kinds.js").Severity} */ (severity.value));
    /** @type {Route} */
    const route = {
      severity: SEVERITIES.slice(0, least + 1),
      ticker: ticker.value ? [ticker.value] : [],
      kind: /** @type {Route["kind"]} */ (kind.value ? [kind.value] : []),
      channels: channel.value === ALL ? null : [channel.value],
      notify: /** @type {Route["notify"]} */ (notify.value || null),
    };
    void put(() => ({ routes: [...inForce.routes, route] }), "Route added");
  };
  const addChannel = () => {
    const inputs = [name, ...own.querySelectorAll("input")];
    if (!inputs.every((input) => input.reportValidity())) return;
    const settings = Object.fromEntries(inputs.slice(1).filter((input) => input.value).map((input) => [input.name, input.value]));
    const [id, chosen] = [name.value, type.value];
    void put(() => ({ channels: { ...inForce.channels, [id]: { type: chosen, settings } } }), "Channel added");
  };
  const test = async () => {
    try {
      await send("POST", resource(["alerts", "test"]));
      setText(note, "A test message is on its way to every channel.");
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(note, `That was not done: ${error.message}`);
    }
  };
  type.addEventListener("change", showFields);
  get(resource(["alerts", "routes"])).then(
    (found) => ((inForce = found), show()),
    (error) => setText(note, `Routes could not be read: ${error.message}`),
  );
  return h(
    "section",
    {},
    h("h3", {}, "Routes and channels"),
    h("p", { className: "panel-note" }, "The first route that matches decides; what none matches goes to all channels."),
    routes,
    h("div", { className: "fields" }, labelled("Severity", severity), labelled("Ticker", ticker), labelled("Kind", kind), labelled("Channel", channel), labelled("Notify", notify), h("button", { className: "button", type: "button", onclick: addRoute }, "Add route")),
    channels,
    h("div", { className: "fields" }, labelled("Name", name), labelled("Type", type), own, h("button", { className: "button", type: "button", onclick: addChannel }, "Add channel"), h("button", { className: "button", type: "button", onclick: () => void test() }, "Send a test")),
    note,
  );
}

/** The routes but one, the first that is like it. @param {Route[]} routes @param {Route} gone */
function without(routes, gone) {
  const at = routes.findIndex((route) => JSON.stringify(route) === JSON.stringify(gone));
  return routes.filter((_, n) => n !== at);
}

/** @param {NonNullable<Route["hours"]>} hours */
function hoursOf({ from, until, weekday = [], time_zone: zone }) {
  const days = weekday.length % 7 ? ` on ${weekday.map(capitalized).join(", ")}` : "";
  return `${from} to ${until}${days}${zone ? ` (${zone})` : ""}`;
}

/** @param {Route} route */
function wordsOf({ severity = [], ticker = [], kind = [], origin = [], hours, channels, notify }) {
  const severities = severity.length === SEVERITIES.length || !severity.length ? "All" : severity.map(capitalized).join(", ");
  const what = [severities, ticker.join(", "), kind.map(kindName).join(", "), origin.join(", "), hours && hoursOf(hours)].filter(Boolean).join("; ");
  const where = channels ? channels.join(", ") || "no channel" : "all channels";
  return `${what}: ${where}, ${NOTIFY[notify ?? ""].toLowerCase()}`;
}

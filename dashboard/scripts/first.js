// What every page asks first is asked before its modules are loaded.

import { askAhead, resource } from "./api.js";

/** Tickers and events of a first page, as watch_list.js and events_panel.js ask for them. */
const FIRST = { tickers: 500, anomalies: 50 };
/** Another list or other events are asked for where the address names them; and a code of a sign-in is to be exchanged before. */
const OTHERS = ["source", "origin", "severity", "kind", "code"];

const asked = new URLSearchParams(location.search);
if (!OTHERS.some((name) => asked.has(name))) for (const [name, limit] of Object.entries(FIRST)) askAhead(resource([name], { limit }));

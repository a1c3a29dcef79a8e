// Puts the page together: who is called with what.

import { followLinks, go, inCapitals } from "./address.js";
import { byId, h } from "./dom.js";
import { eventStream } from "./event_stream.js";
import { EventsPanel } from "./events_panel.js";
import { IncidentsPanel } from "./incidents.js";
import { listenToKeys } from "./keyboard.js";
import { offerLink } from "./links.js";
import { silences } from "./silences.js";
import { finishSignIn, isSignedIn, signOut } from "./session.js";
import { Status } from "./status.js";
import { initTheme } from "./theme.js";
import { applyDensity } from "./preferences.js";
import { initSettings } from "./settings.js";
import { showOutbox } from "./outbox.js";
import { tour } from "./tour.js";
import { TickerView } from "./ticker_view.js";
import { WatchList } from "./watch_list.js";

applyDensity();
await offerLink();
await finishSignIn();
const status = new Status();
const tickerView = new TickerView();
const events = new EventsPanel((anomalies) => (watchList.anomalies = anomalies));
let offered = "";
const watchList = new WatchList((list) => {
  status.list = list;
  tickerView.list = list;
  events.list = list;
  const names = list.tickers.map(({ ticker }) => ticker);
  if (names.join() === offered) return;
  offered = names.join();
  byId("known-tickers").replaceChildren(...names.map((value) => h("option", { value })));
});

new IncidentsPanel();
silences.start();
byId("sign-out").hidden = !isSignedIn();
byId("sign-out").addEventListener("click", () => void signOut());

listenToKeys();
initSettings(() => status.list?.tickers.map(({ ticker }) => ticker) ?? []);
tour();
void showOutbox();
void eventStream.start();
initTheme(byId("theme"), () => tickerView.recolour());
followLinks();
void import("./chart.js"); // while the API is asked: it takes longer than all else to be ready

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (byId("find-ticker"));
  const ticker = inCapitals(input.value);
  if (!ticker) return;
  input.value = "";
  input.blur();
  go({ ticker, at: "", anomaly: "", range: "", source: "", view: "chart" });
});

for (const tab of document.querySelectorAll(".tabs button")) {
  tab.addEventListener("click", () => go({ view: tab instanceof HTMLElement ? tab.dataset.view : "" }));
}

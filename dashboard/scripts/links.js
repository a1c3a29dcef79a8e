// What a link of a message allows: the page says what it would do, and does it once a person agrees.

import { resource, send } from "./api.js";
import { h, setText } from "./dom.js";

/** @type {Record<string, {title: string, what: string, done: string}>} by action, as `consumers/alerts/links.py` names it */
const OFFERS = {
  acknowledge: { title: "Acknowledge this incident?", what: "No more of it is sent for 4 hours, unless it gets worse.", done: "Acknowledged for 4 hours." },
  silence: { title: "Silence this ticker?", what: "No alert of it is sent for an hour; a digest lists them afterwards.", done: "Silenced for an hour." },
  useful: { title: "Call this alert useful?", what: "It counts for how well this kind of alert does; nothing else changes.", done: "Noted as useful." },
  noise: { title: "Call this alert noise?", what: "It counts for how well this kind of alert does; nothing else changes.", done: "Noted as noise." },
};

/** Offer what the link allows that led here, if one did; resolves once a person agreed or declined. */
export async function offerLink() {
  const token = /^#do=([\w.-]+)$/.exec(location.hash)?.[1];
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search); // not to be shared, nor done again by a reload
  const offer = OFFERS[actionOf(token)];
  if (!offer) return;
  const note = h("p", { role: "status" });
  const agree = h("button", { className: "button", type: "button", onclick: () => void act() }, offer.title.replace("?", ""));
  const close = h("button", { className: "button", type: "button", onclick: () => dialog.close() }, "Not now");
  const dialog = h("dialog", { id: "link-offer" }, h("h2", {}, offer.title), h("p", {}, offer.what), note, agree, close);
  const act = async () => {
    agree.hidden = true;
    setText(close, "Close");
    try {
      await send("POST", resource(["links"]), { token });
      setText(note, offer.done);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setText(note, `That was not done: ${error.message}`);
    }
  };
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve));
  dialog.remove();
}

/** @param {string} token */
function actionOf(token) {
  try {
    return String(JSON.parse(atob(token.split(".")[0].replaceAll("-", "+").replaceAll("_", "/")))[0]);
  } catch {
    return "";
  }
}

// The link to the outbox, where this monitor has one: on a laptop, messages are kept there instead of being sent.

import { byId } from "./dom.js";
import { pageConfig } from "./session.js";

/** Show the link once the page is there; without an answer there is none. */
export async function showOutbox() {
  const config = await pageConfig();
  const link = /** @type {HTMLAnchorElement} */ (byId("outbox"));
  link.hidden = !config.outbox;
  if (config.outbox) link.href = config.outbox;
}

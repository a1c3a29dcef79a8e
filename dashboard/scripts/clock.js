// The server's clock, so that ages are right on a machine whose own clock is not.

let offsetMs = 0;

/** Take the server's time from an answer. @param {string} asOf ISO instant */
export function setServerTime(asOf) {
  const measured = Date.parse(asOf) - Date.now();
  // Small differences are the network's; following them would make ages jump.
  if (Math.abs(measured - offsetMs) > 1500) offsetMs = measured;
}

/** Epoch ms by the server's clock. */
export const serverNow = () => Date.now() + offsetMs;

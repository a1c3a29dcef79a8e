// Sound and desktop notifications of new anomalies, from the severity on that the viewer chose.

import { SEVERITIES, kindName, linkTo, sentenceOf } from "./kinds.js";
import { preference } from "./preferences.js";

/** @typedef {import("./kinds.js").Anomaly} Anomaly */

/** Notes of the two tones, Hz; a critical one rises. */
const TONES = { critical: [660, 990], other: [520, 520] };
const TONE_SECONDS = 0.12;

/** @type {AudioContext | null} */
let audio = null;

/** @param {Anomaly[]} fresh the newest first */
export function notify(fresh) {
  const [worst] = fresh.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
  if (!worst) return;
  if (isWanted(worst, preference("sound"))) sound(worst.severity === "critical" ? TONES.critical : TONES.other);
  if (isWanted(worst, preference("desktop")) && "Notification" in window && Notification.permission === "granted") show(worst, fresh.length - 1);
}

/** Play what a new anomaly sounds like. @param {number[]} [tones] */
export function sound(tones = TONES.other) {
  audio ??= new AudioContext();
  for (const [n, hertz] of tones.entries()) {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    tone.frequency.value = hertz;
    volume.gain.value = 0.08;
    tone.connect(volume).connect(audio.destination);
    tone.start(audio.currentTime + n * TONE_SECONDS);
    tone.stop(audio.currentTime + (n + 0.9) * TONE_SECONDS);
  }
}

/** @param {Anomaly} anomaly @param {string} least */
const isWanted = ({ severity }, least) => least !== "off" && SEVERITIES.indexOf(severity) <= SEVERITIES.findIndex((each) => each === least);

/** @param {Anomaly} anomaly @param {number} more */
function show(anomaly, more) {
  const others = more ? ` (and ${more} more)` : "";
  const shown = new Notification(`${anomaly.ticker}: ${kindName(anomaly.kind)}, ${anomaly.severity}${others}`, { body: sentenceOf(anomaly), tag: anomaly.id, icon: "icon-192.png" });
  shown.onclick = () => {
    focus();
    location.assign(linkTo(anomaly));
  };
}

// Numbers, ages and instants as people read them.

const MARKET_ZONE = "America/New_York";
const viewerZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
/** Whose time the page tells. @type {Record<string, string>} */
const ZONES = { market: MARKET_ZONE, viewer: viewerZone, utc: "UTC" };
export const ZONE_KEY = "zone";
const zone = ZONES[localStorage.getItem(ZONE_KEY) ?? "market"] ?? MARKET_ZONE;

/** @param {string} timeZone @param {Intl.DateTimeFormatOptions} options */
const formatter = (timeZone, options) => new Intl.DateTimeFormat("en-GB", { timeZone, hourCycle: "h23", ...options });
/** @type {Intl.DateTimeFormatOptions} */
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
/** @type {Intl.DateTimeFormatOptions} */
const DAY = { day: "numeric", month: "short" };
const marketTime = formatter(MARKET_ZONE, TIME);
const marketParts = formatter(MARKET_ZONE, { year: "numeric", month: "numeric", day: "numeric", ...TIME });
const viewerTime = formatter(viewerZone, TIME);
const viewerDay = formatter(viewerZone, DAY);
const time = formatter(zone, TIME);
const minute = formatter(zone, { hour: "2-digit", minute: "2-digit" });
const day = formatter(zone, DAY);
const date = formatter(zone, { ...DAY, year: "numeric" });
const parts = formatter(zone, { year: "numeric", month: "numeric", day: "numeric", ...TIME });
const names = formatter(zone, { timeZoneName: "short" });
// Made once: toLocaleString makes one for every number, which takes as long as drawing a row.
/** @param {Intl.NumberFormatOptions} options */
const numbers = (options) => new Intl.NumberFormat("en-US", options);
/** @type {Map<number, Intl.NumberFormat>} by decimals */
const decimals = new Map();
const volumes = numbers({ notation: "compact", maximumFractionDigits: 1 });
const fiveDigits = numbers({ maximumSignificantDigits: 5 });
const threeDigits = numbers({ maximumSignificantDigits: 3 });
const whole = numbers({ maximumSignificantDigits: 21 });

/** The name of the page's time zone at an instant: ET, UTC, GMT+9. @param {number} ms */
export function zoneName(ms) {
  if (zone === MARKET_ZONE) return "ET";
  return names.formatToParts(ms).find(({ type }) => type === "timeZoneName")?.value ?? zone;
}

/** Whether the viewer's clock shows another time than the page. @param {number} ms */
export const viewerIsElsewhere = (ms) => viewerTime.format(ms) !== time.format(ms);
/** Whether the viewer's clock shows another time than New York's. @param {number} ms */
export const viewerIsAbroad = (ms) => viewerTime.format(ms) !== marketTime.format(ms);

/** Time of day in New York. @param {number} ms */
export const inMarket = (ms) => marketTime.format(ms);
/** Time of day for the viewer. @param {number} ms */
export const inViewer = (ms) => viewerTime.format(ms);
/** Hour and minute, with the zone. @param {number} ms */
export const minuteOf = (ms) => `${minute.format(ms)} ${zoneName(ms)}`;
/** Day and month. @param {number} ms */
export const dayOf = (ms) => day.format(ms);

/**
 * A moment without its zone, for lists whose zone is said once; with its day where that is not today, with the year
 * where it is not this one.
 * @param {number} ms
 * @param {number} nowMs
 */
export const bareMoment = (ms, nowMs) => `${dayBefore(ms, nowMs)}${time.format(ms)}`;

/** The same with its zone. @param {number} ms @param {number} nowMs */
export const moment = (ms, nowMs) => `${bareMoment(ms, nowMs)} ${zoneName(ms)}`;

/** The same to the minute. @param {number} ms @param {number} nowMs */
export const momentToMinute = (ms, nowMs) => `${dayBefore(ms, nowMs)}${minuteOf(ms)}`;

/** @param {number} ms @param {number} nowMs */
function dayBefore(ms, nowMs) {
  if (date.format(ms) === date.format(nowMs)) return "";
  const near = Math.abs(nowMs - ms) < 300 * 86_400_000;
  return `${(near ? day : date).format(ms)}, `;
}

/** The same instant on the viewer's clock. @param {number} ms */
export const momentForViewer = (ms) => `${viewerDay.format(ms)}, ${inViewer(ms)} (${viewerZone.replaceAll("_", " ")})`;

/**
 * How long something lasted or lies back: 4 s, 12 min, 3 h, 5 d.
 * @param {number} seconds
 */
export function age(seconds) {
  if (seconds < 1) return "0 s";
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

const MOST_DECIMALS = 12;
const LEAST_DECIMALS = 2;

/**
 * The decimals of an instrument: enough for each of its prices, at least cents.
 * @param {...(number | null | undefined)} prices
 */
export function digitsOf(...prices) {
  return Math.max(LEAST_DECIMALS, ...prices.map((value) => (typeof value === "number" && Number.isFinite(value) ? decimalsOf(value) : 0)));
}

/**
 * The decimals of a ticker: its quotes count where cents are much of its price.
 * @param {{price: number | null, bid: number | null, ask: number | null}} quote
 */
export const digitsOfQuote = ({ price, bid, ask }) => (price !== null && Math.abs(price) < 10 ? digitsOf(price, bid, ask) : digitsOf(price));

/** Of the shortest text that means the value, but for what floating point adds. @param {number} value */
function decimalsOf(value) {
  const [mantissa, exponent = "0"] = Number(value.toPrecision(10)).toExponential().split("e");
  const places = (mantissa.split(".")[1] ?? "").length - Number(exponent);
  return Math.min(MOST_DECIMALS, Math.max(0, places));
}

/** @param {number} digits */
function withDecimals(digits) {
  let found = decimals.get(digits);
  if (!found) decimals.set(digits, (found = numbers({ minimumFractionDigits: digits, maximumFractionDigits: digits })));
  return found;
}

/** A price with the decimals of its instrument. @param {number | null | undefined} value @param {number} [digits] */
export function price(value, digits = digitsOf(value)) {
  if (value === null || value === undefined) return "–";
  return withDecimals(digits).format(value).replace(/^-/, "−");
}

/** +1.23. @param {number | null | undefined} value @param {number} [digits] */
export function change(value, digits = LEAST_DECIMALS) {
  if (value === null || value === undefined) return "–";
  const text = withDecimals(digits).format(Math.abs(value));
  return `${Number(text.replaceAll(",", "")) === 0 ? "" : value > 0 ? "+" : "−"}${text}`;
}
/** +1.23 %. @param {number | null | undefined} value */
export const percent = (value) => (value === null || value === undefined ? "–" : `${change(value)}%`);
/** 1.2M. @param {number | null | undefined} value */
export const volume = (value) => (value === null || value === undefined ? "–" : volumes.format(value));

/** Any number, short. @param {number | null | undefined} value */
export function number(value) {
  if (value === null || value === undefined) return "–";
  return fiveDigits.format(value);
}

/** Three significant digits, as sentences have them, and all of those before the point. @param {number} value */
export function short(value) {
  const shown = Math.abs(value) >= 100 ? Math.round(value) : value;
  return (Number.isInteger(shown) ? whole : threeDigits).format(shown).replace(/^-/, "−");
}

/** How long something lasted, as sentences say it: 4.64 s, 2 min 32 s, 2 h 5 min. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 90) return `${short(seconds)} s`;
  const [minutes, rest] = [Math.round(seconds / 60), Math.round(seconds)];
  if (seconds < 600) return `${Math.floor(rest / 60)} min${rest % 60 ? ` ${rest % 60} s` : ""}`;
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

/**
 * Epoch seconds whose UTC reading is the wall clock of the page's zone at `ms`: chart libraries draw days in UTC.
 * @param {number} ms
 */
export const wallSeconds = (ms) => secondsOf(parts, ms);

/** When the day began in New York, epoch ms. @param {number} ms */
export const marketMidnight = (ms) => Math.floor(ms / 1000) * 1000 - (secondsOf(marketParts, ms) % 86_400) * 1000;

/** @param {Intl.DateTimeFormat} clock @param {number} ms */
function secondsOf(clock, ms) {
  const fields = Object.fromEntries(clock.formatToParts(ms).map((part) => [part.type, Number(part.value)]));
  return Date.UTC(fields.year, fields.month - 1, fields.day, fields.hour, fields.minute, fields.second) / 1000;
}

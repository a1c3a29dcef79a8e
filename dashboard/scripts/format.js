// Numbers, ages and instants as people read them.

export const MARKET_ZONE = "America/New_York";
const viewerZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** @param {string} timeZone @param {Intl.DateTimeFormatOptions} options */
const formatter = (timeZone, options) => new Intl.DateTimeFormat("en-GB", { timeZone, hourCycle: "h23", ...options });
/** @type {Intl.DateTimeFormatOptions} */
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
/** @type {Intl.DateTimeFormatOptions} */
const DAY = { day: "numeric", month: "short" };
const marketTime = formatter(MARKET_ZONE, TIME);
const marketMinute = formatter(MARKET_ZONE, { hour: "2-digit", minute: "2-digit" });
const viewerTime = formatter(viewerZone, TIME);
const marketDay = formatter(MARKET_ZONE, DAY);
const marketDate = formatter(MARKET_ZONE, { ...DAY, year: "numeric" });
const viewerDay = formatter(viewerZone, DAY);
const marketParts = formatter(MARKET_ZONE, { year: "numeric", month: "numeric", day: "numeric", ...TIME });
// Made once: toLocaleString makes one for every number, which takes as long as drawing a row.
/** @param {Intl.NumberFormatOptions} options */
const numbers = (options) => new Intl.NumberFormat("en-US", options);
/** @type {Map<number, Intl.NumberFormat>} by decimals */
const decimals = new Map();
const volumes = numbers({ notation: "compact", maximumFractionDigits: 1 });
const fiveDigits = numbers({ maximumSignificantDigits: 5 });
const fourDigits = numbers({ maximumSignificantDigits: 4 });
const whole = numbers({ maximumSignificantDigits: 21 });

/** Whether the viewer's clock shows another time than New York's. */
export const viewerIsElsewhere = (/** @type {number} */ ms) => viewerTime.format(ms) !== marketTime.format(ms);

/** Time of day in New York. @param {number} ms */
export const inMarket = (ms) => marketTime.format(ms);
/** Hour and minute in New York. @param {number} ms */
export const minuteInMarket = (ms) => marketMinute.format(ms);
/** Time of day for the viewer. @param {number} ms */
export const inViewer = (ms) => viewerTime.format(ms);
/** Day and month in New York. @param {number} ms */
export const dayInMarket = (ms) => marketDay.format(ms);

/**
 * New York time; with its day where that is not today, with the year where it is not this one.
 * @param {number} ms
 * @param {number} nowMs
 */
export function momentInMarket(ms, nowMs) {
  if (marketDate.format(ms) === marketDate.format(nowMs)) return `${inMarket(ms)} ET`;
  const near = Math.abs(nowMs - ms) < 300 * 86_400_000;
  return `${(near ? marketDay : marketDate).format(ms)}, ${inMarket(ms)} ET`;
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

/** Four significant digits; whole numbers whole. @param {number} value */
export function short(value) {
  return (Number.isInteger(value) ? whole : fourDigits).format(value).replace(/^-/, "−");
}

/**
 * Epoch seconds whose UTC reading is the wall clock in New York at `ms`: chart libraries draw days in UTC.
 * @param {number} ms
 */
export function marketClockSeconds(ms) {
  const fields = Object.fromEntries(marketParts.formatToParts(ms).map((part) => [part.type, Number(part.value)]));
  return Date.UTC(fields.year, fields.month - 1, fields.day, fields.hour, fields.minute, fields.second) / 1000;
}

/** When the day began in New York, epoch ms. @param {number} ms */
export function marketMidnight(ms) {
  const sinceMidnight = marketClockSeconds(ms) % 86_400;
  return Math.floor(ms / 1000) * 1000 - sinceMidnight * 1000;
}

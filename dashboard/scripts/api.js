// The API: responses with their tags, problems as errors, and polling that survives outages.

import { authorization, signIn } from "./session.js";

const BASE = new URL("api/", document.baseURI);
const TIMEOUT_MS = 10_000;
const HIDDEN_MS = 30_000;
const LONGEST_WAIT_MS = 15_000;
const SHORTEST_WAIT_MS = 500;

/** The status of an error where nothing was answered. */
const UNREACHED = 0;

/** What the API answered instead of what was asked, or that it did not. */
export class ApiError extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** @typedef {{tag: string, data: any}} Kept */

/** @type {Map<string, Kept>} */
const kept = new Map();
const KEPT_ANSWERS = 60;

/**
 * The address of a resource. A slash inside a segment is encoded twice: gateways undo one layer.
 * @param {string[]} path
 * @param {Record<string, string | number | undefined>} [params]
 */
export function resource(path, params = {}) {
  const segments = path.map((segment) => encodeURIComponent(segment.replaceAll("/", "%2F")));
  const url = new URL(segments.join("/"), BASE);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url.href;
}

/** Asked for before anybody wanted it. @type {Map<string, Promise<any>>} */
const ahead = new Map();

/** Ask while the rest of the page is loading; whoever gets it first gets this answer. @param {string} url */
export function askAhead(url) {
  const answer = get(url);
  answer.catch(() => {}); // whoever gets it hears of it
  ahead.set(url, answer);
}

/**
 * Ask; an unchanged answer (304) costs no body and is the very object of before.
 * @param {string} url
 * @returns {Promise<any>}
 */
export async function get(url) {
  const asked = ahead.get(url);
  if (asked) {
    ahead.delete(url);
    return asked;
  }
  const before = kept.get(url);
  const response = await reach(url, { cache: "no-store", headers: { ...(await authorization()), ...(before ? { "If-None-Match": before.tag } : {}) } });
  if (response.status === 304 && before) {
    keep(url, before);
    return before.data;
  }
  const data = await answered(response);
  const tag = response.headers.get("ETag");
  if (tag) keep(url, { tag, data });
  return data;
}

/**
 * Change something.
 * @param {"POST" | "PUT" | "DELETE"} method
 * @param {string} url
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export async function send(method, url, body) {
  return answered(
    await reach(url, {
      method,
      headers: { ...(await authorization()), ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    }),
  );
}

/** Fetch; that nothing is answered is said in words, not in the browser's. @param {string} url @param {RequestInit} options */
async function reach(url, options) {
  try {
    return await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError") throw new ApiError(UNREACHED, `the monitor did not answer within ${TIMEOUT_MS / 1000} s`);
    if (error instanceof TypeError) throw new ApiError(UNREACHED, "the monitor cannot be reached");
    throw error;
  }
}

/** What was answered; whoever is not signed in leaves the page to do so. @param {Response} response */
async function answered(response) {
  const data = await response.json();
  if (response.status === 401) await signIn();
  if (!response.ok) throw new ApiError(response.status, data.detail ?? data.message ?? response.statusText);
  return data;
}

/** @param {string} url @param {Kept} answer */
function keep(url, answer) {
  kept.delete(url);
  kept.set(url, answer);
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT_ANSWERS && oldest !== undefined) kept.delete(oldest);
}

/**
 * @typedef {object} Connection
 * @property {boolean} lost
 * @property {number} lostAt epoch ms of the first failure
 * @property {string} reason
 * @property {boolean} forbidden the API responds, but not to this person
 */

/** Whether the API answers at all. */
class ConnectionState extends EventTarget {
  /** @type {Connection} */
  state = { lost: false, lostAt: 0, reason: "", forbidden: false };

  answered() {
    if (this.state.lost || this.state.forbidden) this.#become({ lost: false, lostAt: 0, reason: "", forbidden: false });
  }

  /** @param {string} reason */
  failed(reason) {
    if (!this.state.lost) this.#become({ lost: true, lostAt: Date.now(), reason, forbidden: false });
  }

  forbid() {
    if (!this.state.forbidden) this.#become({ lost: false, lostAt: 0, reason: "", forbidden: true });
  }

  /** @param {Connection} state */
  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}

export const connection = new ConnectionState();

/** What to do where the API does not answer this person. */
export const FORBIDDEN = "Sign in with another account, or ask whoever runs it to let yours in.";

/** @type {Set<Poll>} */
const polls = new Set();
/** What nothing else may hold up, until it is answered: an API that just started would start once more for each request beside it. @type {Set<Poll>} */
const urgent = new Set();
const URGENT_LOOK_MS = 50;

/** Ask for one thing again and again: every few seconds while visible, rarely while hidden, slower after failures. */
export class Poll {
  #timer = 0;
  #failures = 0;
  #running = false;
  #stopped = false;
  #generation = 0;
  /** When the last question was asked, and whether another waits for its answer. */
  #askedMs = -Infinity;
  #again = false;

  /**
   * @param {() => string} url asked anew each time
   * @param {(data: any) => void} onAnswer also called for an unchanged answer
   * @param {{everyMs: number, onProblem?: (problem: ApiError) => void, quiet?: boolean, afterMs?: number}} options a quiet
   *   poll says nothing about the connection; `afterMs` lets those without it go first, until they are answered
   */
  constructor(url, onAnswer, { everyMs, onProblem, quiet = false, afterMs = 0 }) {
    this.url = url;
    this.onAnswer = onAnswer;
    this.onProblem = onProblem;
    this.everyMs = everyMs;
    this.quiet = quiet;
    polls.add(this);
    if (afterMs) this.#afterUrgent(afterMs);
    else {
      urgent.add(this);
      void this.now();
    }
  }

  /** @param {number} ms */
  #afterUrgent(ms) {
    this.#timer = setTimeout(() => (urgent.size ? this.#afterUrgent(URGENT_LOOK_MS) : void this.now()), ms);
  }

  /** Ask at once; an answer still under way for an older question is dropped. */
  async now() {
    clearTimeout(this.#timer);
    const generation = ++this.#generation;
    this.#askedMs = performance.now();
    this.#again = false;
    this.#running = true;
    try {
      const data = await get(this.url());
      this.#failures = 0;
      connection.answered();
      if (generation === this.#generation && !this.#stopped) this.onAnswer(data);
    } catch (error) {
      if (generation === this.#generation) this.#fail(error);
    }
    if (generation !== this.#generation) return;
    urgent.delete(this);
    this.#running = false;
    this.#schedule();
  }

  /** Ask as soon as what is under way is answered; of many calls in a short time, once. */
  soon() {
    if (this.#stopped) return;
    this.#again = true;
    if (!this.#running && !this.#failures) this.#schedule();
  }

  stop() {
    this.#stopped = true;
    this.#generation++;
    clearTimeout(this.#timer);
    polls.delete(this);
    urgent.delete(this);
  }

  wake() {
    if (!this.#running) void this.now();
  }

  /** @param {unknown} error */
  #fail(error) {
    if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
      if (error.status === 401 || error.status === 403) connection.forbid();
      else connection.answered();
      this.onProblem?.(error);
      return;
    }
    if (!(error instanceof ApiError || error instanceof TypeError || error instanceof SyntaxError || error instanceof DOMException)) throw error;
    this.#failures++;
    if (!this.quiet) connection.failed(error instanceof ApiError ? error.message : "the monitor cannot be reached");
  }

  /** From one question to the next: an answer that took long does not put the next one off. */
  #schedule() {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    const sinceMs = performance.now() - this.#askedMs;
    const usual = this.#again ? SHORTEST_WAIT_MS - sinceMs : Math.max(SHORTEST_WAIT_MS, (document.hidden ? HIDDEN_MS : this.everyMs) - sinceMs);
    const wait = Math.max(usual, Math.min(LONGEST_WAIT_MS, 1000 * 2 ** this.#failures * (this.#failures ? 1 : 0)));
    this.#timer = setTimeout(() => void this.now(), wait);
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const poll of polls) poll.wake();
});
addEventListener("online", () => {
  for (const poll of polls) poll.wake();
});

// Signing in where the API asks for it: authorisation code with PKCE (RFC 7636), tokens for this tab only.

const CONFIG = new URL("config.json", document.baseURI);
const TOKEN = new URL("oauth2/token", document.baseURI);
const KEY = "session";
const PENDING = "sign-in";
/** A token this near its end is renewed first. */
const MARGIN_MS = 60_000;
/** An API that rejects a token this new would reject the next one too. */
const NEW_MS = 30_000;

/** @typedef {{domain: string, client_id: string}} SignIn where people sign in, and as which client */
/** @typedef {{sign_in: SignIn | null, outbox?: string, events?: string}} PageConfig `outbox`: where messages are kept that are not sent; `events`: where events are followed */
/** @typedef {{token: string, refresh: string, endsAt: number, since: number}} Tokens epoch ms */
/** @typedef {{state: string, verifier: string, search: string}} Pending */

/** @type {Tokens | null} */
let tokens = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
/** @type {Promise<void> | null} */
let busy = null;
/** @type {Promise<PageConfig> | null} asked for at most once */
let config = null;
let leaving = false;

/** The Authorization header, or none without a session; waits for a token that is on its way. @returns {Promise<Record<string, string>>} */
export async function authorization() {
  if (busy || (tokens && tokens.endsAt - MARGIN_MS < Date.now())) await once(renew);
  return tokens ? { Authorization: tokens.token } : {};
}

export const isSignedIn = () => tokens !== null;

/** The API rejected the token: sign in and come back to this very address, where this monitor has a sign-in. */
export async function signIn() {
  if (leaving || (tokens && Date.now() - tokens.since < NEW_MS)) return;
  const where = await signInConfig();
  if (!where || leaving) return;
  leaving = true;
  keep(null);
  const [state, verifier] = [random(), random()];
  sessionStorage.setItem(PENDING, JSON.stringify({ state, verifier, search: location.search }));
  const query = new URLSearchParams({
    response_type: "code",
    client_id: where.client_id,
    redirect_uri: redirectUri(),
    scope: "openid email",
    state,
    code_challenge: base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))),
    code_challenge_method: "S256",
  });
  location.assign(`${where.domain}/oauth2/authorize?${query}`);
}

/** Forget the session, here and where people sign in. */
export async function signOut() {
  leaving = true; // or a poll that is rejected meanwhile would sign in again
  keep(null);
  const where = await signInConfig();
  if (where) location.assign(`${where.domain}/logout?${new URLSearchParams({ client_id: where.client_id, logout_uri: redirectUri() })}`);
}

/** Back from signing in: take the code, and put the address back as it was. Does nothing otherwise. */
export async function finishSignIn() {
  const params = new URLSearchParams(location.search);
  const [code, state] = [params.get("code"), params.get("state")];
  /** @type {Pending | null} */
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
  if (!code || !state || !pending) return;
  sessionStorage.removeItem(PENDING);
  history.replaceState(null, "", `${location.pathname}${pending.search}`);
  if (state !== pending.state) return; // an answer to a question that this tab did not ask
  await once(() => exchange({ grant_type: "authorization_code", code, redirect_uri: redirectUri(), code_verifier: pending.verifier }));
}

async function renew() {
  if (tokens) await exchange({ grant_type: "refresh_token", refresh_token: tokens.refresh });
}

/** @param {Record<string, string>} grant */
async function exchange(grant) {
  const where = await signInConfig();
  if (!where) return;
  const response = await fetch(TOKEN, { method: "POST", body: new URLSearchParams({ ...grant, client_id: where.client_id }) });
  if (!response.ok) return keep(null); // rejected: the next request to the API begins anew
  const answer = await response.json();
  const refresh = answer.refresh_token ?? tokens?.refresh ?? "";
  keep({ token: answer.id_token, refresh, endsAt: Date.now() + 1000 * answer.expires_in, since: Date.now() });
}

/** @param {Tokens | null} found */
function keep(found) {
  tokens = found;
  if (found) sessionStorage.setItem(KEY, JSON.stringify(found));
  else sessionStorage.removeItem(KEY);
}

/** Requests that find no token, or an old one, at the same time wait for one exchange. @param {() => Promise<void>} work */
function once(work) {
  busy ??= work().finally(() => (busy = null));
  return busy;
}

function signInConfig() {
  return pageConfig().then((found) => found.sign_in);
}

/** What config.json says of this monitor, asked for once; without an answer, nothing. @returns {Promise<PageConfig>} */
export function pageConfig() {
  config ??= fetch(CONFIG).then((response) => (response.ok ? response.json() : { sign_in: null }), () => ({ sign_in: null }));
  return config;
}

const redirectUri = () => `${location.origin}${location.pathname}`;
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)).buffer);

/** @param {ArrayBuffer} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

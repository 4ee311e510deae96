// Requests to the server this page came from, and to no other.

const KEY = "seehear.token";

/** The server answered, but not with what was asked for. status 0: it did not answer. */
export class ApiError extends Error {
  /** @param {number} status @param {string} why */
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

/**
 * Takes #token=… out of the address, so that it is in no history and no
 * screenshot, and keeps it for this tab alone.
 */
export function adoptToken() {
  const hash = new URLSearchParams(location.hash.slice(1)), token = hash.get("token");
  if (token === null) return;
  hash.delete("token");
  setToken(token);
  history.replaceState(null, "", location.pathname + location.search + (hash.size ? "#" + hash : ""));
}

/** @param {string} token */
export function setToken(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // No storage: the token lives as long as the page.
  }
  held = token;
  asked = null;
}

/** @type {string | null} */
let held = null;

/** The list asked for last. @type {{at: number, list: Promise<Source[]>} | null} */
let asked = null;

function token() {
  if (held === null) {
    try {
      held = sessionStorage.getItem(KEY) ?? "";
    } catch {
      held = "";
    }
  }
  return held;
}

/**
 * An address of this server: what leads elsewhere is refused, since the token
 * goes along.
 * @param {string} path
 * @param {string} [base]
 */
export function address(path, base = document.baseURI) {
  const u = new URL(path, base);
  if (u.origin !== location.origin) throw new ApiError(0, "the server named an address that is not its own");
  return u.href;
}

/**
 * @param {string} path relative to the page
 * @param {RequestInit & {timeout?: number}} [init] timeout in milliseconds until the head of the answer
 * @returns {Promise<Response>} with a status of success
 */
export async function request(path, { timeout = 8000, ...init } = {}) {
  const headers = new Headers(init.headers);
  if (token()) headers.set("Authorization", "Bearer " + token());
  const stop = new AbortController();
  const outer = init.signal;
  const abort = () => stop.abort(outer?.reason);
  if (outer?.aborted) abort();
  outer?.addEventListener("abort", abort, { once: true });
  const timer = setTimeout(() => stop.abort(new ApiError(0, `no answer from the server in ${timeout / 1000} s`)), timeout);
  let response;
  try {
    response = await fetch(address(path), { cache: "no-store", redirect: "error", ...init, headers, signal: stop.signal });
  } catch (e) {
    if (outer?.aborted) throw e;
    if (e instanceof ApiError) throw e;
    throw new ApiError(0, "the server does not answer");
  } finally {
    clearTimeout(timer);
    // The body of a stream goes on under the caller's signal.
    if (response === undefined) outer?.removeEventListener("abort", abort);
  }
  if (response.ok) return response;
  throw new ApiError(response.status, await reason(response));
}

/** @param {Response} response */
async function reason(response) {
  let said = "";
  try {
    said = (await response.text()).trim();
    const parsed = said.startsWith("{") ? JSON.parse(said) : null;
    if (typeof parsed?.error === "string") said = parsed.error;
  } catch {
    // The status says enough.
  }
  const line = said.split("\n", 1)[0];
  return line && line.length < 300 && !line.startsWith("<") ? line : response.statusText || `status ${response.status}`;
}

/**
 * @typedef {{
 *   name: string, title: string, state: string, cause: string, since: number,
 *   video: string, audio: string, aspect: number, viewers: number,
 *   whep: string, ring: {from: number, to: number} | null }} Source
 */

/** @param {unknown} v */
const text = (v) => (typeof v === "string" ? v.slice(0, 300) : "");
/** @param {unknown} v */
const num = (v) => (typeof v === "number" && Number.isFinite(v) ? v : 0);

/** @param {any} s @returns {Source} */
function source(s) {
  const v = s.video ?? {}, a = s.audio ?? {}, name = text(s.name);
  const w = num(v.width), h = num(v.height);
  return {
    name, title: text(s.title) || name, state: text(s.state), cause: text(s.cause), since: Date.parse(text(s.since)),
    video: v.codec ? `${text(v.codec)} ${w}×${h}` : "", aspect: w > 0 && h > 0 ? w / h : 0,
    audio: a.codec ? `${text(a.codec)} ${num(a.sample_rate) / 1000} kHz` : "", viewers: num(s.viewers),
    whep: text(s.whep),
    ring: s.ring && typeof s.ring === "object" ? { from: num(s.ring.from), to: num(s.ring.to) } : null,
  };
}

/**
 * The sources there are. Everybody who asks within half a second gets the same
 * answer: a wall of viewers is one client.
 * @returns {Promise<Source[]>}
 */
export function sources() {
  const now = performance.now();
  if (!asked || now - asked.at > 500) asked = { at: now, list: askSources() };
  return asked.list;
}

async function askSources() {
  const body = await (await request("api/sources", { timeout: 4000 })).json();
  if (!Array.isArray(body?.sources)) throw new ApiError(0, "the list of sources cannot be read");
  return body.sources.filter((/** @type {any} */ s) => s && typeof s.name === "string" && s.name).map(source);
}

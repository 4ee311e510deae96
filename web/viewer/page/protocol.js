// Messages of seehear.v1: chunks of a data channel put together, and every
// message checked before anything else sees it. Pure; no byte from outside goes
// further than this file unchecked.

import { diff, isRTP } from "./clock.js";

export const LABEL = "seehear.v1";
export const HEADER = 12;
export const MAX_CHUNK = 15 * 1024;
/** No message of ours comes near it; what would is refused before it is kept. */
export const MAX_MESSAGE = 4 << 20;
const MAX_CHUNKS = Math.ceil(MAX_MESSAGE / (MAX_CHUNK - HEADER));

/**
 * @typedef {{label: string, p: number}} Score
 * @typedef {{events: Score[], objects: Score[], scenes: Score[], silent: boolean, rms: number}} Sound
 * @typedef {{p: number, voice: number}} Speech
 * @typedef {{w: number, h: number, grid: Uint8Array, peak: number, x: number, y: number, gated: string, method: string}} Heat
 * @typedef {{text: string, p: number, attention: Uint8Array | null}} Word
 * @typedef {{text: string, words: Word[], w: number, h: number}} Caption
 * @typedef {{w: number, h: number, voice: number, used: number, notice: string, jpeg: Uint8Array | null}} Face
 * @typedef {{strength: number}} Cut
 * @typedef {{stream: string, reason: string}} Gap
 * @typedef {{
 *   type: "result", kind: string, t: number, dur: number, seg: number, rtp: number | null, lag: number, wall: number,
 *   model: string, fixture: boolean, short: boolean,
 *   sound?: Sound, speech?: Speech, heatmap?: Heat, caption?: Caption, face?: Face, cut?: Cut, gap?: Gap }} Result
 * @typedef {{family: string, name: string, version: string, sha256: string, fixture: boolean}} Model
 * @typedef {{type: "hello", source: string, title: string, streams: string[], models: Model[], base: number, delay: number, t: number}} Hello
 * @typedef {{
 *   type: "status", state: string, cause: string, since: number, reconnects: number, missing: string[], fps: number, t: number, lag: number, p95: number,
 *   drops: [string, number][],
 *   sync: {offset: number, drift: number, error: number},
 *   speed: [string, number][] }} Status
 * @typedef {{type: "media", video: string, audio: string, transcoded: boolean, note: string}} Media
 * @typedef {{type: "dropped", count: number}} Dropped
 * @typedef {{type: "bye", reason: string}} Bye
 * @typedef {Hello | Result | Status | Media | Dropped | Bye} Message
 */

/** What the peer sent is not seehear.v1. */
export class ProtocolError extends Error {}

/**
 * Puts chunks together. At most one message is held, of at most MAX_MESSAGE
 * bytes. The first fault ends it: a channel that is ordered and reliable has no
 * honest faults.
 */
export class Reassembler {
  /** @type {Uint8Array[]} */
  #parts = [];
  #bytes = 0;
  #count = 0;
  /** @type {number | null} */
  #number = null;
  #broken = false;
  #text = new TextDecoder("utf-8", { fatal: true });

  /**
   * Takes a chunk; gives the JSON object it completes, null while there is more
   * to come.
   * @param {ArrayBuffer} chunk
   * @returns {Record<string, unknown> | null}
   */
  push(chunk) {
    if (this.#broken) throw new ProtocolError("after a fault nothing more is read");
    try {
      return this.#push(chunk);
    } catch (e) {
      this.#broken = true;
      this.#clear();
      throw e;
    }
  }

  #clear() {
    this.#parts = [];
    this.#bytes = 0;
    this.#count = 0;
  }

  /** @param {ArrayBuffer} chunk */
  #push(chunk) {
    if (chunk.byteLength <= HEADER || chunk.byteLength > MAX_CHUNK) throw new ProtocolError(`a chunk of ${chunk.byteLength} bytes`);
    const v = new DataView(chunk);
    if (v.getUint16(0) !== 0x5348) throw new ProtocolError("not a chunk of seehear");
    if (v.getUint8(2) !== 1) throw new ProtocolError(`version ${v.getUint8(2)} of the protocol, this page speaks 1`);
    if (v.getUint8(3) !== 0) throw new ProtocolError(`unknown flags ${v.getUint8(3)}`);
    const number = v.getUint32(4), index = v.getUint16(8), count = v.getUint16(10);
    if (count === 0 || count > MAX_CHUNKS) throw new ProtocolError(`a message of ${count} chunks`);
    if (index >= count) throw new ProtocolError(`chunk ${index} of ${count}`);

    if (index === 0) {
      if (this.#parts.length) throw new ProtocolError(`message ${number} inside another`);
      if (this.#number !== null && diff(number, this.#number) <= 0) throw new ProtocolError(`message ${number} after ${this.#number}`);
      this.#number = number;
      this.#count = count;
    } else if (!this.#parts.length || number !== this.#number || count !== this.#count || index !== this.#parts.length) {
      throw new ProtocolError(`chunk ${index} of ${count} of message ${number} out of order`);
    }
    this.#bytes += chunk.byteLength - HEADER;
    if (this.#bytes > MAX_MESSAGE) throw new ProtocolError(`a message over ${MAX_MESSAGE} bytes`);
    this.#parts.push(new Uint8Array(chunk, HEADER));
    if (index + 1 < count) return null;

    const whole = new Uint8Array(this.#bytes);
    let at = 0;
    for (const p of this.#parts) {
      whole.set(p, at);
      at += p.length;
    }
    this.#clear();
    return object(this.#decode(whole));
  }

  /** @param {Uint8Array} bytes */
  #decode(bytes) {
    try {
      return JSON.parse(this.#text.decode(bytes));
    } catch {
      throw new ProtocolError("a message that is not JSON");
    }
  }
}

/** @param {unknown} v @returns {Record<string, unknown>} */
function object(v) {
  if (typeof v !== "object" || v === null || Array.isArray(v)) throw new ProtocolError("a message that is no object");
  return /** @type {Record<string, unknown>} */ (v);
}

/** @param {unknown} v @param {number} [or] */
const num = (v, or = NaN) => (typeof v === "number" && Number.isFinite(v) ? v : or);
/** @param {unknown} v */
const count = (v) => Math.max(0, Math.trunc(num(v, 0)));
/** @param {unknown} v @param {number} [max] */
const text = (v, max = 400) => (typeof v === "string" ? (v.length > max ? v.slice(0, max - 1) + "…" : v) : "");
/** @param {unknown} v @param {number} max @returns {unknown[]} */
const list = (v, max) => (Array.isArray(v) ? v.slice(0, max) : []);
/** @param {unknown} v @returns {Record<string, unknown>} */
const record = (v) => (typeof v === "object" && v !== null && !Array.isArray(v) ? /** @type {Record<string, unknown>} */ (v) : {});
/** @param {unknown} v */
const unit = (v) => Math.min(1, Math.max(0, num(v, 0)));

/**
 * Bytes from base64; null if it is anything else, or more than max.
 * @param {unknown} v @param {number} max
 */
function bytes(v, max) {
  if (typeof v !== "string" || v === "" || v.length > 4 * Math.ceil(max / 3)) return null;
  let raw;
  try {
    raw = atob(v);
  } catch {
    return null;
  }
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

/**
 * A grid of w*h bytes in base64; null if it is anything else.
 * @param {unknown} v @param {number} w @param {number} h
 */
export function grid(v, w, h) {
  if (!(w > 0 && h > 0 && w <= 256 && h <= 256)) return null;
  const g = bytes(v, w * h);
  return g && g.length === w * h ? g : null;
}

/** @param {unknown} v @returns {Score[]} */
const scores = (v) => list(v, 32).map((x) => ({ label: text(record(x).label, 120), p: unit(record(x).p) })).filter((x) => x.label);

/** Payloads of a result by kind; null for one that cannot be used. */
const payloads = {
  /** @param {Record<string, unknown>} v @returns {Sound} */
  sound: (v) => ({ events: scores(v.events), objects: scores(v.objects), scenes: scores(v.scenes), silent: v.silent === true, rms: num(v.rms, 0) }),
  /** @param {Record<string, unknown>} v @returns {Speech} */
  speech: (v) => ({ p: unit(v.p), voice: count(v.voice) }),
  /** @param {Record<string, unknown>} v @returns {Heat | null} */
  heatmap: (v) => {
    const w = count(v.w), h = count(v.h), g = grid(v.grid, w, h);
    return g && { w, h, grid: g, peak: num(v.peak, 0), x: unit(v.x), y: unit(v.y), gated: text(v.gated, 40), method: text(v.method, 40) };
  },
  /** @param {Record<string, unknown>} v @returns {Caption} */
  caption: (v) => {
    const w = count(v.attention_w), h = count(v.attention_h);
    const words = list(v.words, 64).map(record).map((x) => ({ text: text(x.text, 60), p: num(x.p), attention: grid(x.attention, w, h) }));
    return { text: text(v.text, 600), words, w, h };
  },
  /** @param {Record<string, unknown>} v @returns {Face} */
  face: (v) => ({ w: count(v.w), h: count(v.h), voice: count(v.voice), used: num(v.used, 0), notice: text(v.notice), jpeg: null }),
  /** @param {Record<string, unknown>} v @returns {Cut} */
  cut: (v) => ({ strength: unit(v.strength) }),
  /** @param {Record<string, unknown>} v @returns {Gap} */
  gap: (v) => ({ stream: text(v.stream, 40), reason: text(v.reason) }),
};

/**
 * A result as the viewer uses it; null if it has no place in time or a payload
 * that is not what its kind says.
 * @param {Record<string, unknown>} o
 * @returns {Result | null}
 */
export function result(o) {
  const t = num(o.t), kind = text(o.kind, 40);
  if (Number.isNaN(t) || !Object.hasOwn(payloads, kind)) return null;
  const raw = o[kind];
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return null;
  const payload = payloads[/** @type {keyof payloads} */ (kind)](/** @type {Record<string, unknown>} */ (raw));
  if (!payload) return null;
  if ("jpeg" in payload) payload.jpeg = bytes(o.jpeg, 256 << 10);
  const wall = typeof o.wall === "string" ? Date.parse(o.wall) : NaN;
  return /** @type {Result} */ ({
    type: "result", kind, t, dur: Math.max(0, num(o.dur, 0)), seg: count(o.seg), rtp: isRTP(o.rtp) ? o.rtp : null, lag: num(o.lag), wall,
    model: text(o.model, 120), fixture: o.fixture === true, short: o.short === true, [kind]: payload,
  });
}

/** @param {unknown} v */
function streamText(v) {
  const s = record(v);
  const codec = text(s.codec, 40);
  if (s.kind === "video") return `${codec} ${count(s.width)}×${count(s.height)}`;
  if (s.kind === "audio") return `${codec} ${(count(s.sample_rate) / 1000).toLocaleString("en")} kHz, ${count(s.channels)} ch`;
  return codec;
}

/**
 * A message as the viewer uses it. Types it does not know give null: a newer
 * server may say more.
 * @param {unknown} v
 * @returns {Message | null}
 */
export function message(v) {
  const o = object(v);
  switch (o.type) {
    case "hello": {
      if (o.seehear !== 1) throw new ProtocolError(`format ${text(String(o.seehear), 20)}, this page reads 1`);
      if (!isRTP(o.rtp_base)) throw new ProtocolError("a hello without an RTP time to start from");
      const models = list(o.models, 32).map(record).map((m) => ({
        family: text(m.family, 60), name: text(m.name, 120), version: text(m.version, 60), sha256: text(m.sha256, 64), fixture: m.fixture === true,
      }));
      return {
        type: "hello", source: text(o.source), title: text(o.title), streams: list(o.streams, 8).map(streamText), models,
        base: o.rtp_base, delay: num(o.sync_delay, 0), t: num(o.t, 0),
      };
    }
    case "result": return result(o);
    case "status": {
      const s = record(o.sync);
      return {
        type: "status", state: text(o.state, 40), cause: text(o.cause), since: typeof o.since === "string" ? Date.parse(o.since) : NaN,
        reconnects: count(o.reconnects), missing: list(o.missing, 4).map((k) => text(k, 20)), fps: num(o.fps), t: num(o.t), lag: num(o.lag), p95: num(o.lag_p95),
        drops: Object.entries(record(o.drops)).slice(0, 16).map(([k, n]) => [text(k, 60), count(n)]),
        sync: { offset: num(s.offset_ms), drift: num(s.drift_ppm), error: num(s.error_ms) },
        speed: Object.entries(record(o.speed)).slice(0, 16).map(([k, ms]) => [text(k, 60), num(ms)]),
      };
    }
    case "media": return { type: "media", video: text(o.video, 40), audio: text(o.audio, 40), transcoded: o.transcoded === true, note: text(o.note) };
    case "dropped": return { type: "dropped", count: count(o.count) };
    case "bye": return { type: "bye", reason: text(o.reason) };
  }
  return null;
}

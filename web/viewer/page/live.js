// One source, live: the connection with its picture and sound, and the results
// by data channel, or by Server-Sent Events where there is no channel. Comes
// back by itself after every failure, and says what is wrong meanwhile.

import { ApiError, request, sources } from "./api.js";
import { Backoff } from "./backoff.js";
import { ProtocolError, Reassembler, message } from "./protocol.js";
import { readEvents } from "./sse.js";
import { IceError, MediaError, Whep } from "./whep.js";

/** No answer from ICE in this time is a failure, milliseconds. */
const ICE = 8000;
/** Without a data channel this long after connecting, results come by SSE. */
const CHANNEL = 3000;
/**
 * Silence after which the server is asked whether it is there, and after which a
 * connection to a source that runs is given up: a status comes each second.
 */
const SILENCE = 1000, DEAD = 2000;

/**
 * @typedef {"connecting" | "playing" | "waiting" | "failed" | "denied"} Phase
 * @typedef {{phase: Phase, title: string, cause: string}} Condition
 * @typedef {{
 *   onOpen: () => void,
 *   onCondition: (c: Condition) => void,
 *   onMessage: (m: import("./protocol.js").Message) => void,
 *   onStream: (s: MediaStream, receivers: RTCRtpReceiver[]) => void }} Hooks
 */

/** The server said that it ends this. */
class ByeError extends Error {}

export class Live {
  #name;
  #path;
  #hooks;
  #stop = new AbortController();
  #backoff = new Backoff();
  /** @type {Whep | null} */
  #whep = null;
  #heard = 0;
  #packets = -1;
  #video = 0;
  /** Start of the source's state when last heard of: another one in silence is that of a server that began anew. */
  #since = NaN;
  /** Packets of the picture come in. */
  receives = false;
  /** How results come: "" while they do not. */
  transport = "";
  /** Results that were left out since this viewer did not keep up. */
  lost = 0;
  reconnects = -1;
  /** @type {Condition} */
  condition = { phase: "connecting", title: "Connecting", cause: "" };

  /** @param {import("./api.js").Source} source @param {Hooks} hooks */
  constructor(source, hooks) {
    this.#name = source.name;
    this.#path = source.whep;
    this.#hooks = hooks;
  }

  /** Runs until close. */
  async run() {
    const signal = this.#stop.signal;
    while (!signal.aborted) {
      let refused = false;
      try {
        await this.#once(signal);
      } catch (e) {
        if (signal.aborted) return;
        this.#say(explain(e));
        if (e instanceof ApiError && (e.status === 401 || e.status === 403)) return;
        refused = e instanceof ApiError && e.status === 429;
      }
      // Who is refused for asking too much asks less.
      await sleep(refused ? 5000 : this.#backoff.next(), signal);
    }
  }

  close() {
    this.#stop.abort();
    this.#whep?.close();
    this.#whep = null;
  }

  get pc() {
    return this.#whep?.pc ?? null;
  }

  /** To be told of each frame shown: a sign of life. */
  frameShown() {
    this.#heard = performance.now();
  }

  /** @param {Condition} c */
  #say(c) {
    const was = this.condition;
    if (was.phase === c.phase && was.title === c.title && was.cause === c.cause) return;
    this.condition = c;
    this.#hooks.onCondition(c);
  }

  /** @param {import("./protocol.js").Message | null} m */
  #take(m) {
    this.#heard = performance.now();
    if (!m) return;
    if (m.type === "bye") throw new ByeError(m.reason);
    // A server that takes a viewer and ends it at once is not come back to at once.
    if (m.type === "hello") this.#backoff.reset();
    if (m.type === "dropped") this.lost += m.count;
    if (m.type === "status") this.#since = m.since;
    if (m.type === "status" && this.#path) this.#standing(m.state, m.cause);
    this.#hooks.onMessage(m);
  }

  /**
   * What the server says of the source is what the page says.
   * @param {string} state @param {string} cause
   */
  #standing(state, cause) {
    if (state === "running") this.#say({ phase: "playing", title: "", cause: "" });
    else if (state === "failed") this.#say({ phase: "failed", title: "The source failed", cause });
    else if (state) this.#say({ phase: "waiting", title: state === "waiting" ? "Waiting for the source" : "The source is connecting", cause });
  }

  /**
   * One connection, from offer to failure.
   * @param {AbortSignal} outer
   */
  async #once(outer) {
    if (!this.#path) return this.#withoutPicture(outer);
    const stop = new AbortController();
    const stopWith = () => stop.abort(outer.reason);
    outer.addEventListener("abort", stopWith, { once: true });
    const signal = stop.signal;
    const whep = (this.#whep = new Whep());
    const stream = new MediaStream();
    /** @type {RTCRtpReceiver[]} */
    const receivers = [];
    /** @type {(e: unknown) => void} */
    let fail = () => {};
    const failed = new Promise((_, reject) => { fail = reject; });
    // Who listens comes after the first await: without this a fault before it is an unhandled one.
    failed.catch(() => {});
    /** @type {ReturnType<typeof setTimeout>[]} */
    const timers = [];
    let channel = false;
    const events = () => {
      if (!channel && this.transport !== "events" && !signal.aborted) this.#events(signal).catch(fail);
    };
    try {
      this.#hooks.onOpen();
      this.#packets = -1;
      this.#video = 0;
      this.receives = false;
      if (this.reconnects < 0) this.#say({ phase: "connecting", title: "Connecting", cause: "" });
      this.#heard = performance.now();
      timers.push(setTimeout(() => fail(new IceError("no way to the server was found in time")), ICE));
      await Promise.race([failed, whep.open(this.#path, {
        onTrack: (track, receiver) => {
          stream.addTrack(track);
          receivers.push(receiver);
          this.#hooks.onStream(stream, receivers);
        },
        onChannel: (c) => {
          channel = true;
          this.#channel(c, fail, signal);
        },
        onIce: (state) => {
          if (state === "connected") {
            clearTimeout(timers[0]);
            this.reconnects++;
            this.#heard = performance.now();
            this.#standing("running", "");
            timers.push(setTimeout(events, CHANNEL));
          } else if (state === "failed") fail(new IceError("every way to the server failed"));
          else if (state === "disconnected") this.#heard = Math.min(this.#heard, performance.now() - SILENCE);
        },
      }, signal)]);
      await Promise.race([failed, this.#watch(signal)]);
    } finally {
      for (const t of timers) clearTimeout(t);
      outer.removeEventListener("abort", stopWith);
      stop.abort();
      whep.close();
      if (this.#whep === whep) this.#whep = null;
      this.transport = "";
    }
  }

  /** A server that sends no pictures still tells what it hears. @param {AbortSignal} signal */
  async #withoutPicture(signal) {
    this.#hooks.onOpen();
    this.#say({ phase: "failed", title: "This server sends no pictures", cause: "what is found is told all the same" });
    try {
      await this.#events(signal);
    } finally {
      this.transport = "";
    }
  }

  /**
   * @param {RTCDataChannel} c
   * @param {(e: unknown) => void} fail
   * @param {AbortSignal} signal
   */
  #channel(c, fail, signal) {
    const chunks = new Reassembler();
    c.binaryType = "arraybuffer";
    this.transport = "channel";
    c.onmessage = (e) => {
      if (signal.aborted) return;
      try {
        if (!(e.data instanceof ArrayBuffer)) throw new Error("a message that is text");
        const raw = chunks.push(e.data);
        if (raw) this.#take(message(raw));
      } catch (err) {
        fail(err);
      }
    };
    c.onclose = () => {
      if (!signal.aborted) fail(new ApiError(0, "the server closed the channel of results"));
    };
  }

  /** @param {AbortSignal} signal */
  async #events(signal) {
    this.transport = "events";
    const response = await request(`api/sources/${encodeURIComponent(this.#name)}/events`, { signal, headers: { Accept: "text/event-stream" } });
    await readEvents(response, (e) => this.#take(message(JSON.parse(e.data))));
    throw new ApiError(0, "the stream of results ended");
  }

  /**
   * Asks after the server when nothing comes any more: ICE takes five seconds
   * and more to see that a peer is dead, a request to it an instant.
   * @param {AbortSignal} signal
   */
  async #watch(signal) {
    while (!signal.aborted) {
      await sleep(300, signal);
      if (signal.aborted) return;
      await this.#countPackets();
      const silent = performance.now() - this.#heard;
      if (silent < SILENCE) continue;
      const mine = (await sources()).find((s) => s.name === this.#name);
      if (signal.aborted) return;
      if (!mine) throw new ApiError(404, "the source is gone");
      if (mine.state !== "running") this.#standing(mine.state, mine.cause);
      else if (Math.abs(mine.since - this.#since) > 1000 || performance.now() - this.#heard > DEAD) throw new IceError("nothing comes any more though the source runs");
    }
  }

  /** Packets are a sign of life, frames shown or not. */
  async #countPackets() {
    const pc = this.pc;
    if (!pc) return;
    let n = 0, video = 0;
    for (const s of (await pc.getStats()).values()) {
      if (s.type !== "inbound-rtp") continue;
      n += s.packetsReceived ?? 0;
      if (s.kind === "video") video += s.packetsReceived ?? 0;
    }
    this.receives = video > this.#video;
    this.#video = video;
    if (n > this.#packets) this.#heard = performance.now();
    this.#packets = n;
  }
}

/** @param {unknown} e @returns {Condition} */
export function explain(e) {
  const cause = e instanceof Error ? e.message : String(e);
  if (e instanceof IceError) return { phase: "failed", title: "The connection for picture and sound failed (ICE)", cause: cause + "; a firewall may hold back UDP" };
  if (e instanceof MediaError) return { phase: "failed", title: "This browser cannot use what the server offers", cause };
  if (e instanceof ByeError) return { phase: "waiting", title: "The server ended the stream", cause };
  if (e instanceof ProtocolError) return { phase: "failed", title: "The server speaks another protocol", cause };
  if (e instanceof ApiError) {
    switch (e.status) {
      case 0: return { phase: "failed", title: "The server cannot be reached", cause };
      case 401: return { phase: "denied", title: "This server asks for a token", cause };
      case 403: return { phase: "denied", title: "This token may not view", cause };
      case 404: return { phase: "failed", title: "No such source", cause };
      case 429: return { phase: "failed", title: "Too many viewers from here", cause };
      case 406: return { phase: "failed", title: "This browser cannot play what the server offers", cause };
      case 503: return { phase: "waiting", title: "The server takes no more viewers for now", cause };
    }
    return { phase: "failed", title: `The server refused (${e.status})`, cause };
  }
  return { phase: "failed", title: "The connection failed", cause };
}

/** @param {number} ms @param {AbortSignal} signal */
export function sleep(ms, signal) {
  return new Promise((/** @type {(v?: unknown) => void} */ done) => {
    if (signal.aborted) return done();
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    }
    signal.addEventListener("abort", end);
  });
}

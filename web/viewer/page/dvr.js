// Playing the last ten minutes again: fragmented MP4 from the server's ring,
// through Media Source Extensions, on the source's own clock.

import { ApiError, request } from "./api.js";
import { sleep } from "./live.js";
import { result } from "./protocol.js";

/**
 * @typedef {{name: string, codecs: string, rotation: number}} Init
 * @typedef {{name: string, init: string, t: number, dur: number, start: number}} Segment
 * @typedef {{inits: Init[], segments: Segment[]}} Index
 */

/** Seconds that are loaded ahead of what is shown, and kept behind it. */
const AHEAD = 12, BEHIND = 30;

/** Checks an index; what cannot be used is left out. @param {any} o @returns {Index} */
export function index(o) {
  const name = (/** @type {unknown} */ v) => typeof v === "string" && /^[A-Za-z0-9_-]+\.(mp4|m4s)$/.test(v);
  const inits = (Array.isArray(o?.inits) ? o.inits : []).filter((/** @type {any} */ i) => name(i?.name) && typeof i.codecs === "string")
    .map((/** @type {any} */ i) => ({ name: i.name, codecs: i.codecs, rotation: [90, 180, 270].includes(i.rotation) ? i.rotation : 0 }));
  const known = new Set(inits.map((/** @type {Init} */ i) => i.name));
  const segments = (Array.isArray(o?.segments) ? o.segments : [])
    .filter((/** @type {any} */ s) => name(s?.name) && known.has(s.init) && Number.isFinite(s.t) && s.dur > 0 && Number.isFinite(s.start))
    .sort((/** @type {Segment} */ a, /** @type {Segment} */ b) => a.t - b.t);
  return { inits, segments };
}

/**
 * The segment that holds t, or the next one after it; -1 past the end. Before
 * the beginning it is the first.
 * @param {Segment[]} segments sorted by t
 * @param {number} t
 */
export function pick(segments, t) {
  return segments.findIndex((s) => t < s.t + s.dur);
}

/**
 * Where the playhead has to jump to when it stands before a gap: the start of
 * the next range, null when it stands in one or there is none.
 * @param {[number, number][]} ranges @param {number} t
 */
export function jump(ranges, t) {
  for (const [from, to] of ranges) {
    if (t >= from - 0.02 && t < to - 0.05) return null;
    if (from > t) return from;
  }
  return null;
}

export class Replay {
  #video;
  #name;
  #stop = new AbortController();
  /** @type {Index} */
  #index = { inits: [], segments: [] };
  #from;
  #url = "";

  /**
   * @param {HTMLVideoElement} video @param {string} name of the source
   * @param {number} from time to begin at
   */
  constructor(video, name, from) {
    this.#video = video;
    this.#name = name;
    this.#from = from;
  }

  /** How many degrees clockwise the picture of t must be turned. @param {number} t */
  rotation(t) {
    const s = this.#index.segments[pick(this.#index.segments, t)];
    return this.#index.inits.find((i) => i.name === s?.init)?.rotation ?? 0;
  }

  close() {
    this.#stop.abort();
    this.#video.pause();
    if (this.#url) URL.revokeObjectURL(this.#url);
  }

  /**
   * Plays until close. Fails when nothing can be played.
   * @param {() => void} onEdge called when the recording is played to its end
   */
  async run(onEdge) {
    const signal = this.#stop.signal, v = this.#video;
    await this.#refresh(signal);
    if (!this.#index.segments.length) throw new Error("nothing is kept yet");
    const at = pick(this.#index.segments, this.#from);
    if (at < 0) return onEdge();
    const Source = window.MediaSource ?? /** @type {any} */ (window).ManagedMediaSource;
    if (!Source) throw new Error("this browser cannot play recordings (no Media Source Extensions)");
    const media = new Source();
    v.disableRemotePlayback = true;
    this.#url = URL.createObjectURL(media);
    v.src = this.#url;
    await once(media, "sourceopen", signal);
    if (signal.aborted) return;
    const first = this.#index.segments[at], type = this.#type(first.init);
    if (!Source.isTypeSupported(type)) throw new Error(`this browser cannot play ${type}`);
    const buffer = media.addSourceBuffer(type);
    v.currentTime = Math.max(this.#from, first.t);
    v.play().catch(() => {});
    await this.#feed(media, buffer, first, onEdge, signal);
  }

  /**
   * @param {MediaSource} media @param {SourceBuffer} buffer @param {Segment} next
   * @param {() => void} onEdge @param {AbortSignal} signal
   */
  async #feed(media, buffer, next, onEdge, signal) {
    const v = this.#video;
    let init = "", behind = -Infinity, end = next.t;
    while (!signal.aborted) {
      if (v.error) throw new Error(`the recording cannot be played: ${v.error.message}`);
      const stuck = jump(ranges(buffer), v.currentTime);
      if (stuck !== null && !v.seeking) v.currentTime = stuck + 0.01;
      if (end > v.currentTime + AHEAD) {
        await sleep(300, signal);
        continue;
      }
      let i = this.#index.segments.findIndex((s) => s.t > behind);
      if (behind === -Infinity) i = this.#index.segments.indexOf(next);
      if (i < 0) {
        if (v.currentTime > end - 0.3) return onEdge();
        await sleep(1000, signal);
        await this.#refresh(signal);
        continue;
      }
      const s = this.#index.segments[i];
      try {
        if (s.init !== init) {
          const head = await this.#bytes(s.init, signal);
          if (init) buffer.changeType(this.#type(s.init));
          await append(buffer, head, signal);
          init = s.init;
        }
        const body = await this.#bytes(s.name, signal);
        if (signal.aborted || media.readyState !== "open") return;
        buffer.timestampOffset = s.t - s.start;
        await append(buffer, body, signal);
        end = s.t + s.dur;
      } catch (e) {
        // The ring is round: what was asked for may just have gone.
        if (!(e instanceof ApiError && e.status === 404)) throw e;
        await this.#refresh(signal);
      }
      behind = s.t;
      if (v.currentTime > BEHIND + this.#index.segments[0].t && !buffer.updating && buffer.buffered.length && buffer.buffered.start(0) < v.currentTime - 2 * BEHIND) {
        buffer.remove(0, v.currentTime - BEHIND);
        await once(buffer, "updateend", signal);
      }
    }
  }

  /** @param {string} init */
  #type(init) {
    return `video/mp4; codecs="${this.#index.inits.find((i) => i.name === init)?.codecs}"`;
  }

  /** @param {AbortSignal} signal */
  async #refresh(signal) {
    this.#index = index(await (await request(this.#path("index.json"), { signal })).json());
  }

  /** @param {string} file @param {AbortSignal} signal */
  async #bytes(file, signal) {
    return (await request(this.#path(file), { signal, cache: "default" })).arrayBuffer();
  }

  /** @param {string} file */
  #path(file) {
    return `ring/${encodeURIComponent(this.#name)}/${file}`;
  }
}

/** @param {SourceBuffer} b @returns {[number, number][]} */
const ranges = (b) => Array.from({ length: b.buffered.length }, (_, i) => [b.buffered.start(i), b.buffered.end(i)]);

/** @param {SourceBuffer} buffer @param {ArrayBuffer} data @param {AbortSignal} signal */
async function append(buffer, data, signal) {
  if (signal.aborted) return;
  buffer.appendBuffer(data);
  await once(buffer, "updateend", signal);
}

/** @param {EventTarget} target @param {string} event @param {AbortSignal} signal */
function once(target, event, signal) {
  return new Promise((/** @type {(v?: unknown) => void} */ done) => {
    target.addEventListener(event, done, { once: true });
    signal.addEventListener("abort", done, { once: true });
  });
}

/**
 * Results between two times, as the server keeps them, given one by one.
 * @param {string} name of the source
 * @param {number} from @param {number} to
 * @param {AbortSignal} signal
 * @param {(r: import("./protocol.js").Result) => void} each
 */
export async function history(name, from, to, signal, each) {
  const q = `from=${Math.max(0, from).toFixed(3)}&to=${to.toFixed(3)}`;
  const body = await (await request(`api/sources/${encodeURIComponent(name)}/results?${q}`, { signal })).text();
  for (const line of body.split("\n")) {
    if (!line) continue;
    let parsed;
    try {
      parsed = JSON.parse(line);
    } catch {
      continue; // A line cut short by the end of the answer.
    }
    const r = typeof parsed === "object" && parsed !== null ? result(parsed) : null;
    if (r) each(r);
  }
}

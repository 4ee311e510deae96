// What is known of one source: its last ten minutes of results, in the order of
// its time, and what the server says of itself. Pure but for listeners.

/**
 * @typedef {import("./protocol.js").Result} Result
 * @typedef {import("./protocol.js").Message} Message
 */

/** Seconds of results that are kept. */
export const SPAN = 600;
/** Results of a kind that are kept, however dense they come. */
const MOST = 20000;

/**
 * Place of the first entry after t in a list sorted by t.
 * @param {{t: number}[]} list @param {number} t
 */
export function after(list, t) {
  let lo = 0, hi = list.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (list[mid].t <= t) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

/**
 * The last entry that is not after t.
 * @template {{t: number}} T
 * @param {T[]} list @param {number} t
 * @returns {T | null}
 */
export function latest(list, t) {
  const i = after(list, t + 1e-4);
  return i ? list[i - 1] : null;
}

/**
 * The entries of a list between two times.
 * @template {{t: number}} T
 * @param {T[]} list @param {number} from @param {number} to
 */
export const between = (list, from, to) => list.slice(after(list, from - 1e-9), after(list, to));

/** Kinds that are kept, and under which name. */
const KINDS = /** @type {const} */ (["sound", "speech", "heatmap", "caption", "face", "cut", "gap"]);

export class Store {
  /** @type {Record<typeof KINDS[number], Result[]>} */
  lists = { sound: [], speech: [], heatmap: [], caption: [], face: [], cut: [], gap: [] };
  /** @type {import("./protocol.js").Hello | null} */
  hello = null;
  /** @type {import("./protocol.js").Status | null} */
  status = null;
  /** @type {import("./protocol.js").Media | null} */
  media = null;
  /** Time of the newest result, and of the newest moment the server spoke of. */
  newest = -Infinity;
  /** Lag of the newest result, seconds. */
  lag = NaN;
  /** Wall clock less source time, milliseconds; NaN while unknown. */
  wall = NaN;

  /** @param {Message} m */
  take(m) {
    switch (m.type) {
      case "hello":
        // A source whose time starts over is another run: what was known of the old one has no place in it.
        if (this.hello && m.t < this.newest - 2) this.#clear();
        this.hello = m;
        this.newest = Math.max(this.newest, m.t);
        break;
      case "status":
        this.status = m;
        if (m.t > this.newest) this.newest = m.t;
        break;
      case "media": this.media = m; break;
      case "result": this.add(m); break;
    }
  }

  /**
   * Takes a result in its place; one that is there already is not taken twice.
   * @param {Result} r
   */
  add(r) {
    const list = this.lists[/** @type {typeof KINDS[number]} */ (r.kind)];
    if (!list) return;
    if (r.t > this.newest) {
      this.newest = r.t;
      if (!Number.isNaN(r.lag)) this.lag = r.lag;
    }
    if (!Number.isNaN(r.wall)) this.wall = r.wall - 1000 * r.t;
    const kept = r.kind === "heatmap" && r.heatmap ? light(r) : r;
    const i = after(list, r.t);
    for (let k = i - 1; k >= 0 && list[k].t === r.t; k--) if (same(list[k], r)) return;
    list.splice(i, 0, kept);
    if (list.length > MOST || list[0].t < this.newest - SPAN - 30) {
      const old = Math.max(after(list, this.newest - SPAN), list.length - MOST);
      if (old > 0) list.splice(0, old);
    }
  }

  #clear() {
    for (const k of KINDS) this.lists[k] = [];
    this.newest = -Infinity;
    this.wall = this.lag = NaN;
  }
}

/** @param {Result} a @param {Result} b */
const same = (a, b) => a.model === b.model && a.heatmap?.method === b.heatmap?.method && a.gap?.stream === b.gap?.stream;

/**
 * A heat map without its grid: the timeline needs its height alone, and ten
 * minutes of grids are megabytes.
 * @param {Result} r @returns {Result}
 */
function light(r) {
  const h = /** @type {import("./protocol.js").Heat} */ (r.heatmap);
  let top = 0;
  for (const v of h.grid) if (v > top) top = v;
  return { ...r, heatmap: { ...h, grid: Uint8Array.of(top) } };
}

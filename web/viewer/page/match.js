// Which result belongs to which frame, by RTP time. Pure.
//
// Note [Frames and results]: a result carries the RTP time of its frame, and a
// browser says the RTP time of the frame it shows. A result is drawn on that
// frame, and held on the frames after it until the next result's frame comes,
// for at most hold. A result whose frame has gone by when it comes is late: it
// is counted and drawn nowhere, since every frame it could be drawn on now is
// the wrong one.

import { RATE, diff } from "./clock.js";

/**
 * @template T
 * @typedef {{value: T, exact: boolean, age: number}} Match age in ticks since its own frame
 */

/** @template T */
export class Matcher {
  /** @type {{rtp: number, value: T, seen: boolean}[]} sorted; the first may be the one held, the others are to come */
  #queue = [];
  /** @type {number | null} */
  #shown = null;
  /** @type {number | null} */
  #last = null;
  #spacing = 0;
  #tolerance;
  #limit;

  /** Frames that had a result of their own in time. */
  exact = 0;
  /** Results that came after their frame. */
  late = 0;
  /** Results in time whose own frame was never shown: a browser may skip frames. */
  skipped = 0;

  /**
   * @param {{tolerance?: number, limit?: number}} [opt] tolerance: ticks by which
   *   the same frame may differ; limit: results kept that are still to come
   */
  constructor({ tolerance = 2, limit = 256 } = {}) {
    this.#tolerance = tolerance;
    this.#limit = limit;
  }

  /**
   * How long a result may stand: one and a half times their usual distance, so
   * that one that is missing shows; between 0.12 and 1 second.
   */
  get hold() {
    return Math.min(RATE, Math.max(0.12 * RATE, 1.5 * this.#spacing));
  }

  /** Forgets results and frames, not the counts: after a jump or a reconnect. */
  reset() {
    this.#queue = [];
    this.#shown = this.#last = null;
    this.#spacing = 0;
  }

  /**
   * Takes a result. Gives "ahead" when its frame is to come, "now" when its
   * frame is the one shown (draw it again), "late" when it went by.
   * @param {number} rtp
   * @param {T} value
   * @returns {"ahead" | "now" | "late"}
   */
  add(rtp, value) {
    if (this.#last !== null) {
      const d = diff(rtp, this.#last);
      // What is near in time tells the spacing; a jump does not.
      if (d > this.#tolerance && d < 2 * RATE) this.#spacing = this.#spacing ? 0.8 * this.#spacing + 0.2 * d : d;
      if (d > 0) this.#last = rtp;
    } else this.#last = rtp;

    const ahead = this.#shown === null ? 1 : diff(rtp, this.#shown);
    if (ahead < -this.#tolerance) {
      this.late++;
      return "late";
    }
    let i = this.#queue.length;
    while (i > 0 && diff(this.#queue[i - 1].rtp, rtp) > 0) i--;
    if (i > 0 && this.#queue[i - 1].rtp === rtp) this.#queue[i - 1].value = value;
    else this.#queue.splice(i, 0, { rtp, value, seen: false });
    if (this.#queue.length > this.#limit) {
      const old = this.#queue.shift();
      if (old && !old.seen) this.skipped++;
    }
    if (this.#shown === null || ahead > this.#tolerance) return "ahead";
    return "now";
  }

  /**
   * The result to draw on the frame of this RTP time. Asked again with the same
   * frame it answers alike, but counts it once.
   * @param {number} rtp
   * @returns {Match<T> | null}
   */
  frame(rtp) {
    if (this.#shown !== null && diff(rtp, this.#shown) < -2 * RATE) this.reset();
    this.#shown = rtp;
    let at = -1;
    while (at + 1 < this.#queue.length && diff(this.#queue[at + 1].rtp, rtp) <= this.#tolerance) at++;
    if (at < 0) return null;
    // Those before it had their frames between the last one shown and this one.
    for (const old of this.#queue.splice(0, at)) if (!old.seen) this.skipped++;
    const found = this.#queue[0], age = diff(rtp, found.rtp), exact = Math.abs(age) <= this.#tolerance;
    if (!found.seen) {
      found.seen = true;
      if (exact) this.exact++;
      else this.skipped++;
    }
    if (age > this.hold) {
      this.#queue.shift();
      return null;
    }
    return { value: found.value, exact, age: Math.max(0, age) };
  }
}

/**
 * Which of some frames is the one wanted, or else the first after it: one before it
 * may be of another scene, since captions come where that changes. -1 if none is
 * within so many ticks.
 * @param {number[]} rtps
 * @param {number} want
 * @param {number} most
 * @param {number} [tolerance] ticks by which the same frame may differ
 */
export function following(rtps, want, most, tolerance = 2) {
  let best = -1;
  rtps.forEach((rtp, i) => {
    const d = diff(rtp, want);
    if (d >= -tolerance && d < most && (best < 0 || diff(rtp, rtps[best]) < 0)) best = i;
  });
  return best;
}

// Arithmetic of the timeline of the last ten minutes. Pure.

import { spans } from "./sounds.js";

/** Spans that can be chosen, seconds. */
export const ZOOMS = [60, 120, 300, 600];

/**
 * The narrowest span that shows what there is.
 * @param {number} length seconds known
 */
export const fitting = (length) => ZOOMS.find((z) => length <= z) ?? ZOOMS[ZOOMS.length - 1];

/** A stretch of time on a line of width pixels. */
export class Scale {
  /** @param {number} from @param {number} to @param {number} width */
  constructor(from, to, width) {
    this.from = from;
    this.to = Math.max(to, from + 1e-3);
    this.width = width;
  }

  /** @param {number} t */
  x(t) {
    return ((t - this.from) / (this.to - this.from)) * this.width;
  }

  /** The time under a pixel, inside the line. @param {number} x */
  t(x) {
    const share = this.width > 0 ? Math.min(1, Math.max(0, x / this.width)) : 1;
    return this.from + share * (this.to - this.from);
  }

  /**
   * Times that stand on even steps back from edge, as many as have room.
   * @param {number} edge @param {number} [room] pixels for one
   * @returns {{t: number, back: number}[]}
   */
  ticks(edge, room = 76) {
    const step = [5, 10, 15, 30, 60, 120, 300].find((s) => (s / (this.to - this.from)) * this.width >= room) ?? 600;
    const out = [];
    for (let back = 0; edge - back >= this.from; back += step) if (edge - back <= this.to) out.push({ t: edge - back, back });
    return out;
  }
}

/**
 * @typedef {{from: number, to: number, label: string, p: number}} Segment
 */

/**
 * Results in a row that say the same are one segment.
 * @template {{t: number}} T
 * @param {T[]} list in order
 * @param {(r: T) => {label: string, p: number} | null} say null for nothing
 * @param {number} [reach] seconds that one speaks for at most, each way
 * @returns {Segment[]}
 */
export function segments(list, say, reach = 1) {
  /** @type {Segment[]} */
  const out = [];
  const span = spans(list, reach);
  list.forEach((r, i) => {
    const said = say(r);
    if (!said) return;
    const last = out.at(-1), [from, to] = span[i];
    if (last && last.label === said.label && from - last.to < 0.05) {
      last.to = to;
      last.p = Math.max(last.p, said.p);
    } else out.push({ from, to, ...said });
  });
  return out;
}

/**
 * What lasts as long as it says: those that touch and are alike are one.
 * @template {{t: number, dur: number}} T
 * @param {T[]} list in order
 * @param {(r: T) => string} say
 * @param {(r: T) => number} sure
 * @returns {Segment[]}
 */
export function stretches(list, say, sure) {
  /** @type {Segment[]} */
  const out = [];
  for (const r of list) {
    const label = say(r), last = out.at(-1), to = r.t + Math.max(r.dur, 0.1);
    if (last && last.label === label && r.t - last.to < 0.25) {
      last.to = Math.max(last.to, to);
      last.p = Math.max(last.p, sure(r));
    } else out.push({ from: r.t, to, label, p: sure(r) });
  }
  return out;
}

/**
 * What lasts until the next of its kind: captions.
 * @template {{t: number, dur: number}} T
 * @param {T[]} list in order
 * @param {(r: T) => string} say
 * @param {number} now
 * @returns {Segment[]}
 */
export function lasting(list, say, now) {
  return list.map((r, i) => ({ from: r.t, to: Math.min(list[i + 1]?.t ?? Math.max(now, r.t + r.dur), r.t + Math.max(r.dur, 15)), label: say(r), p: 1 }));
}

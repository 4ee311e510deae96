// What it hears, as rows of probabilities over time. Pure.

/**
 * @typedef {import("./protocol.js").Result} Result
 * @typedef {import("./protocol.js").Score} Score
 */

/** The classes a result speaks of: sound events, or without such a head the objects heard. @param {Result} r @returns {Score[]} */
export const heard = (r) => (!r.sound || r.sound.silent ? [] : r.sound.events.length ? r.sound.events : r.sound.objects);

/**
 * Which classes have a row: those heard most over the time given, newer sound
 * weighing more. A class keeps its row as long as it is among them, so that
 * rows do not dance.
 */
export class Rows {
  /** @type {(string | null)[]} */
  #rows;

  /** @param {number} count */
  constructor(count) {
    this.#rows = new Array(count).fill(null);
  }

  /**
   * @param {Result[]} results of sound, in order
   * @param {number} now
   * @returns {(string | null)[]} a label for each row, null for a free one
   */
  update(results, now) {
    /** @type {Map<string, number>} */
    const weight = new Map();
    for (const r of results) {
      const fresh = Math.exp(-Math.max(0, now - r.t) / 25);
      for (const s of heard(r)) if (s.p >= 0.03) weight.set(s.label, (weight.get(s.label) ?? 0) + s.p * fresh);
    }
    const n = this.#rows.length;
    // Who has a row is given the edge of a quarter.
    const rank = [...weight].map(([label, w]) => /** @type {const} */ ([label, this.#rows.includes(label) ? 1.25 * w : w]))
      .sort((a, b) => b[1] - a[1]).slice(0, n).map(([label]) => label);
    this.#rows = this.#rows.map((label) => (label !== null && rank.includes(label) ? label : null));
    for (const label of rank) {
      if (this.#rows.includes(label)) continue;
      const free = this.#rows.indexOf(null);
      if (free >= 0) this.#rows[free] = label;
    }
    return this.#rows.slice();
  }
}

/**
 * From when to when each result speaks: half way to its neighbours, but no
 * further than reach, so that a gap is seen as a gap.
 * @param {{t: number}[]} results in order
 * @param {number} reach
 * @returns {[number, number][]}
 */
export function spans(results, reach) {
  return results.map((r, i) => {
    const before = i ? (r.t - results[i - 1].t) / 2 : reach, behind = i + 1 < results.length ? (results[i + 1].t - r.t) / 2 : reach;
    return [r.t - Math.min(reach, before), r.t + Math.min(reach, behind)];
  });
}

/** Loudness of an RMS as a share of 60 dB below full scale. @param {number} rms */
export const loudness = (rms) => (rms > 0 ? Math.min(1, Math.max(0, 1 + (20 * Math.log10(rms)) / 60)) : 0);

// How long to wait before the next attempt: doubling from 0.25 s to 2 s, with
// jitter, so that many viewers of a server that restarts do not come at once.
// Two seconds at most, since a page that somebody looks at must come back soon.
// Pure.

export class Backoff {
  #tries = 0;
  #random;

  /** @param {() => number} [random] in [0, 1) */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** Milliseconds to wait. */
  next() {
    const most = Math.min(2000, 250 * 2 ** Math.min(this.#tries++, 8));
    return most * (0.5 + 0.5 * this.#random());
  }

  /** After a success. */
  reset() {
    this.#tries = 0;
  }
}

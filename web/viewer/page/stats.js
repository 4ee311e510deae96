// What the browser measures of a connection.

/**
 * @typedef {{
 *   skew: number, delay: number, dropped: number, lost: number, packets: number, bytes: number }} Stats
 *   skew: sound after picture as played here, ms; delay: picture held back in this browser, ms
 */

/** Measures a peer connection once a second. */
export class Meter {
  #delay = 0;
  #emitted = 0;
  #skew = NaN;
  /** @type {Stats} */
  last = none();

  /** @param {RTCPeerConnection | null} pc */
  async measure(pc) {
    if (!pc) {
      this.last = none();
      this.#delay = this.#emitted = 0;
      this.#skew = NaN;
      return;
    }
    const s = none();
    /** @type {Record<string, number>} */
    const playout = {};
    for (const r of (await pc.getStats()).values()) {
      if (r.type !== "inbound-rtp") continue;
      s.lost += r.packetsLost ?? 0;
      s.packets += r.packetsReceived ?? 0;
      s.bytes += r.bytesReceived ?? 0;
      if (r.estimatedPlayoutTimestamp) playout[r.kind] = r.estimatedPlayoutTimestamp;
      if (r.kind !== "video") continue;
      s.dropped = r.framesDropped ?? 0;
      const delay = r.jitterBufferDelay ?? 0, emitted = r.jitterBufferEmittedCount ?? 0;
      if (emitted > this.#emitted) s.delay = (1000 * (delay - this.#delay)) / (emitted - this.#emitted);
      this.#delay = delay;
      this.#emitted = emitted;
    }
    // What is played of a later time is early: sound that is early is before its picture.
    if (playout.audio && playout.video && Math.abs(playout.audio - playout.video) < 10000) {
      // Each reading stands for one frame alone: their mean over some seconds is what lips show.
      const d = playout.video - playout.audio;
      this.#skew = Number.isNaN(this.#skew) ? d : 0.8 * this.#skew + 0.2 * d;
    }
    s.skew = this.#skew;
    this.last = s;
  }
}

/** @returns {Stats} */
const none = () => ({ skew: NaN, delay: NaN, dropped: 0, lost: 0, packets: 0, bytes: 0 });

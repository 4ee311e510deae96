// Arithmetic of RTP time: 32 bits that wrap every 13 hours at 90 kHz. Pure.

/** Ticks of RTP time in a second of video. */
export const RATE = 90000;

const WRAP = 2 ** 32;

/**
 * How many ticks a lies after b, the short way round the circle: negative when
 * a comes first. Right as long as the two are less than 6.6 hours apart.
 * @param {number} a
 * @param {number} b
 */
export const diff = (a, b) => (a - b) | 0;

/**
 * RTP time of t seconds for a source whose zero has RTP time base.
 * @param {number} base
 * @param {number} t
 */
export function rtpOf(base, t) {
  // t is rounded to a microsecond, a tenth of a tick: the nudge keeps a stamp
  // that stands on a tick from falling into the one before.
  const ticks = Math.floor(t * RATE + 0.05);
  return (((base + ticks) % WRAP) + WRAP) % WRAP;
}

/**
 * Seconds of an RTP time: of all times with it, the one nearest to near.
 * @param {number} rtp
 * @param {number} base
 * @param {number} near seconds
 */
export function timeOf(rtp, base, near) {
  return near + diff(rtp, rtpOf(base, near)) / RATE;
}

/** @param {unknown} v @returns {v is number} */
export const isRTP = (v) => typeof v === "number" && Number.isInteger(v) && v >= 0 && v < WRAP;

/**
 * Minutes and seconds: 3:07, or 1:02:03 from an hour on.
 * @param {number} t
 * @param {number} [digits] of the fraction
 */
export function clockText(t, digits = 0) {
  const unit = 10 ** digits;
  const all = Math.round(Math.max(0, t) * unit);
  const s = all % (60 * unit), m = Math.floor(all / (60 * unit)) % 60, h = Math.floor(all / (3600 * unit));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const sec = (s / unit).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return h ? `${h}:${two(m)}:${sec}` : `${m}:${sec}`;
}

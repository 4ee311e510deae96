// The picture: a video that is never seen, and a canvas on which each of its
// frames is drawn together with what belongs to it.

import { RATE, diff, rtpOf, timeOf } from "./clock.js";
import { drawHeat } from "./heat.js";
import { Matcher, following } from "./match.js";
import { el } from "./ui.js";

/** @typedef {import("./protocol.js").Result} Result */

/** Small pictures of the last seconds, for captions that come after their frame. */
const STILL = { every: 0.25 * RATE, keep: 24, width: 320 };

/**
 * What a frame on the canvas was drawn with. Sent as the event "seehear:frame"
 * from the canvas, for who measures.
 * @typedef {{rtp: number, exact: boolean, t: number, heat: {method: string, rtp: number, own: boolean}[]}} Drawn
 */

export class Stage {
  el = el("div", "stage");
  video = el("video");
  canvas = el("canvas");
  /** Heat maps by method, each with its own frames. @type {Map<string, Matcher<Result>>} */
  #matchers = new Map();
  /** @type {{rtp: number, picture: HTMLCanvasElement}[]} */
  #stills = [];
  /** @type {RTCRtpReceiver | null} */
  #receiver = null;
  #handle = 0;
  #closed = false;
  #base = 0;
  /** RTP time and source time of the frame shown. @type {number | null} */
  rtp = null;
  t = NaN;
  /** Time near which RTP times are to be understood. */
  near = 0;
  /** Source time is the video's own: a recording is played. */
  replay = false;
  /** Degrees by which a recording's picture of a time must be turned clockwise. @type {(t: number) => number} */
  turn = () => 0;
  #turned = 0;
  /** The browser does not say which frame it shows. */
  approximate = false;
  showHeat = true;
  /** Frames drawn, and heat maps drawn in the last frame. */
  frames = 0;
  fps = NaN;
  #fpsFrom = 0;
  #fpsFrames = 0;
  /** @type {(() => void) | null} */
  onFrame = null;

  constructor() {
    const v = this.video;
    v.muted = true;
    v.playsInline = true;
    v.autoplay = true;
    v.tabIndex = -1;
    v.setAttribute("aria-hidden", "true");
    v.disablePictureInPicture = true;
    this.canvas.setAttribute("role", "img");
    this.el.append(v, this.canvas);
    this.#ask();
  }

  close() {
    this.#closed = true;
    if (this.#handle) this.video.cancelVideoFrameCallback?.(this.#handle);
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    this.video.load();
  }

  /** Shows another stage's last picture until there is one of its own. @param {Stage} other */
  poster(other) {
    const from = other.canvas;
    if (!from.width || !other.frames) return;
    this.canvas.width = from.width;
    this.canvas.height = from.height;
    this.canvas.getContext("2d")?.drawImage(from, 0, 0);
    this.el.style.setProperty("--aspect", String(from.width / from.height));
  }

  /** The clock of the source: after each hello. @param {number} base @param {number} near */
  clock(base, near) {
    if (base !== this.#base) this.reset();
    this.#base = base;
    this.near = near;
  }

  /** Forgets frames and results: the next frame is from elsewhere. */
  reset() {
    for (const m of this.#matchers.values()) m.reset();
    this.#stills = [];
    this.rtp = null;
    this.t = NaN;
  }

  /** @param {RTCRtpReceiver | null} r */
  receiver(r) {
    this.#receiver = r;
  }

  /** Takes a heat map. @param {Result} r */
  heat(r) {
    if (!r.heatmap) return;
    const rtp = this.replay ? rtpOf(this.#base, r.t) : r.rtp;
    if (rtp === null) return;
    let m = this.#matchers.get(r.heatmap.method);
    if (!m) {
      // A recording's time goes through the container's: half a millisecond of rounding.
      m = new Matcher(this.replay ? { tolerance: 90, limit: 4096 } : {});
      this.#matchers.set(r.heatmap.method, m);
    }
    // Its frame is on the canvas: it goes there too, if nothing else stands there.
    if (m.add(rtp, r) === "now" && !this.#held.has(r.heatmap.method) && this.showHeat && !this.video.paused) {
      const g = this.canvas.getContext("2d");
      const match = this.rtp === null ? null : m.frame(this.rtp);
      if (g && match) {
        drawHeat(g, r.heatmap, this.canvas.width, this.canvas.height);
        this.#tell([{ method: r.heatmap.method, rtp, own: match.exact }]);
      }
    }
  }

  /** Methods that stand on the canvas. @type {Set<string>} */
  #held = new Set();

  get counts() {
    let exact = 0, late = 0, skipped = 0;
    for (const m of this.#matchers.values()) {
      exact += m.exact;
      late += m.late;
      skipped += m.skipped;
    }
    return { exact, late, skipped };
  }

  #ask() {
    if (this.#closed) return;
    const v = this.video;
    if (v.requestVideoFrameCallback) {
      this.#handle = v.requestVideoFrameCallback((_, meta) => {
        this.#ask();
        this.#frame(meta.mediaTime, /** @type {{rtpTimestamp?: number}} */ (meta).rtpTimestamp);
      });
      return;
    }
    let last = -1;
    const look = () => {
      if (this.#closed) return;
      requestAnimationFrame(look);
      if (v.readyState < 2 || v.currentTime === last) return;
      last = v.currentTime;
      this.#frame(v.currentTime, undefined);
    };
    requestAnimationFrame(look);
  }

  /** @param {number} mediaTime @param {number | undefined} rtpTimestamp */
  #frame(mediaTime, rtpTimestamp) {
    if (this.#closed || !this.video.videoWidth) return;
    if (this.el.hidden) {
      // Another stage is seen; that this one goes on is what matters.
      this.onFrame?.();
      return;
    }
    const picture = this.#current(mediaTime);
    if (!picture) return;
    let rtp = rtpTimestamp;
    if (this.replay) rtp = rtpOf(this.#base, mediaTime);
    else if (rtp === undefined) {
      // The frame delivered last, which is about the one shown.
      rtp = this.#receiver?.getSynchronizationSources?.()[0]?.rtpTimestamp;
    }
    this.approximate = !this.replay && rtpTimestamp === undefined;
    this.rtp = rtp ?? null;
    if (this.replay) {
      this.t = this.near = mediaTime;
      this.#turned = this.turn(mediaTime);
    } else if (rtp !== undefined) this.t = this.near = timeOf(rtp, this.#base, this.near);
    this.frames++;
    this.#countRate();
    this.#draw(picture);
    if ("close" in picture) picture.close();
    if (this.rtp !== null) this.#keepStill(this.rtp);
    this.onFrame?.();
  }

  /**
   * The picture the browser spoke of. By the time it is drawn the video may be
   * one further, about once in a hundred frames: then nothing is drawn, and the
   * next call is for that one. Outside a secure context this cannot be known.
   * @param {number} mediaTime
   * @returns {VideoFrame | HTMLVideoElement | null}
   */
  #current(mediaTime) {
    if (!window.VideoFrame || this.#strangers > 20) return this.video;
    let f;
    try {
      f = new VideoFrame(this.video);
    } catch {
      return this.video;
    }
    if (Math.abs(f.timestamp - 1e6 * mediaTime) < 1000) {
      this.#strangers = 0;
      return f;
    }
    f.close();
    this.#strangers++;
    return null;
  }

  /** Frames in a row that were not the one spoken of: a browser with another clock for them. */
  #strangers = 0;

  #countRate() {
    const now = performance.now();
    this.#fpsFrames++;
    if (now - this.#fpsFrom < 2000) return;
    if (this.#fpsFrom) this.fps = (1000 * this.#fpsFrames) / (now - this.#fpsFrom);
    this.#fpsFrom = now;
    this.#fpsFrames = 0;
  }

  /** The frame, and what belongs to it. @param {CanvasImageSource} picture */
  #draw(picture) {
    const c = this.canvas, g = this.size() && c.getContext("2d");
    if (!g) return;
    upright(g, picture, c.width, c.height, this.#turned);
    /** @type {Drawn["heat"]} */
    const heat = [];
    this.#held.clear();
    for (const [method, m] of this.#matchers) {
      const match = this.rtp === null ? null : m.frame(this.rtp);
      if (!match?.value.heatmap) continue;
      if (this.showHeat) drawHeat(g, match.value.heatmap, c.width, c.height);
      this.#held.add(method);
      heat.push({ method, rtp: match.value.rtp ?? 0, own: match.exact });
    }
    this.#tell(heat);
  }

  /** @param {Drawn["heat"]} heat */
  #tell(heat) {
    if (this.rtp === null) return;
    /** @type {Drawn} */
    const detail = { rtp: this.rtp, exact: !this.approximate, t: this.t, heat };
    this.canvas.dispatchEvent(new CustomEvent("seehear:frame", { detail, bubbles: true }));
  }

  /** As many pixels as are seen, and no more than a screen has; false without a picture. */
  size() {
    const v = this.video, c = this.canvas;
    if (!v.videoWidth) return false;
    const seen = Math.max(c.clientWidth, 160) * Math.min(2, devicePixelRatio || 1);
    const w = Math.round(Math.min(1920, Math.max(seen, Math.min(v.videoWidth, 640))) / 2) * 2;
    const h = Math.round(w / this.#aspect);
    if (c.width !== w || c.height !== h) {
      c.width = w;
      c.height = h;
      this.el.style.setProperty("--aspect", String(this.#aspect));
    }
    return true;
  }

  /** Of the picture as it is shown. */
  get #aspect() {
    const a = this.video.videoWidth / this.video.videoHeight;
    return this.#turned % 180 ? 1 / a : a;
  }

  /** The picture now, small. @param {HTMLCanvasElement} [on] */
  #small(on) {
    return small((g, w, h) => upright(g, this.video, w, h, this.#turned), this.#aspect, on);
  }

  /** @param {number} rtp */
  #keepStill(rtp) {
    const last = this.#stills.at(-1);
    if (last && diff(rtp, last.rtp) >= 0 && diff(rtp, last.rtp) < STILL.every) return;
    if (last && diff(rtp, last.rtp) < 0) this.#stills = [];
    // The oldest is drawn over: canvases are not left to the collector four times a second.
    const old = this.#stills.length >= STILL.keep ? this.#stills.shift() : null;
    this.#stills.push({ rtp, picture: this.#small(old?.picture) });
  }

  /**
   * A small picture of the frame of t, or of the first one that is there within a
   * third of a second after it; null if there is none.
   * @param {number} t
   */
  still(t) {
    if (this.rtp === null || !this.video.videoWidth) return null;
    const i = following([...this.#stills.map((s) => s.rtp), this.rtp], rtpOf(this.#base, t), 0.34 * RATE);
    if (i < 0) return null;
    if (i === this.#stills.length) return this.#small();
    const p = this.#stills[i].picture;
    return small((g, w, h) => g.drawImage(p, 0, 0, w, h), p.width / p.height);
  }
}

/**
 * A small picture.
 * @param {(g: CanvasRenderingContext2D, w: number, h: number) => void} draw
 * @param {number} aspect
 * @param {HTMLCanvasElement} [on] a canvas that is free
 */
function small(draw, aspect, on = el("canvas")) {
  const tall = Math.max(1, Math.round(STILL.width / aspect));
  if (on.width !== STILL.width || on.height !== tall) {
    on.width = STILL.width;
    on.height = tall;
  }
  const g = on.getContext("2d");
  if (g) draw(g, on.width, on.height);
  return on;
}

/**
 * Draws a picture that must be turned so that it fills w by h.
 * @param {CanvasRenderingContext2D} g @param {CanvasImageSource} picture
 * @param {number} w @param {number} h @param {number} degrees clockwise
 */
function upright(g, picture, w, h, degrees) {
  if (!degrees) return g.drawImage(picture, 0, 0, w, h);
  const [across, down] = degrees % 180 ? [h, w] : [w, h];
  g.save();
  g.translate(w / 2, h / 2);
  g.rotate((degrees * Math.PI) / 180);
  g.drawImage(picture, -across / 2, -down / 2, across, down);
  g.restore();
}

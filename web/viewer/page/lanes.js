// The timeline as seen: lanes of what was found, the place that is shown, and a
// click that goes there.

import { clockText } from "./clock.js";
import { ink, solid, tone } from "./palette.js";
import { heard } from "./sounds.js";
import { between } from "./state.js";
import { Scale, ZOOMS, fitting, lasting, segments, stretches } from "./timeline.js";
import { button, el, fit, share, surface } from "./ui.js";

/**
 * @typedef {import("./state.js").Store} Store
 * @typedef {{edge: number, at: number, live: boolean, ring: {from: number, to: number} | null}} Where
 */

const LANE = 40, LABEL = 18, RULER = 24;

export class Lanes {
  el = el("section", "card timeline");
  #canvas = el("canvas");
  #hint = el("p", "hint");
  #back = button("● Live", "Back to live (L)", () => this.#onLive(), "live-button");
  #zoom = 0;
  /** To be drawn again at once. */
  stale = true;
  #level = el("output");
  #tip = el("div", "tip");
  #scale = new Scale(0, 1, 1);
  /** @type {Where} */
  #where = { edge: 0, at: 0, live: true, ring: null };
  #onSeek;
  #onLive;
  /** @type {{lane: number, from: number, to: number, text: string}[]} */
  #spots = [];

  /** @param {(t: number) => void} onSeek @param {() => void} onLive */
  constructor(onSeek, onLive) {
    this.#onSeek = onSeek;
    this.#onLive = onLive;
    const bar = el("div", "bar"), tools = el("div", "zoom");
    tools.append(button("−", "Show more time (−)", () => this.zoom(1)), this.#level, button("+", "Show less time (+)", () => this.zoom(-1)), this.#back);
    bar.append(el("h2", "", "Last ten minutes"), this.#hint, tools);
    this.#tip.hidden = true;
    const c = this.#canvas;
    c.tabIndex = 0;
    c.setAttribute("role", "slider");
    c.setAttribute("aria-label", "Time shown");
    c.setAttribute("aria-valuemin", "-600");
    c.setAttribute("aria-valuemax", "0");
    this.el.append(bar, c, this.#tip);
    c.addEventListener("click", (e) => {
      const t = this.#scale.t(e.offsetX);
      if (this.#where.edge - t < 1) this.#onLive();
      else this.#onSeek(t);
    });
    c.addEventListener("pointermove", (e) => this.#point(e));
    c.addEventListener("pointerleave", () => { this.#tip.hidden = true; });
  }

  /** How long a drawing lasts, milliseconds: until all has moved by half a pixel. */
  get lasts() {
    const s = this.#scale;
    return Math.min(1000, Math.max(150, (500 * (s.to - s.from)) / s.width));
  }

  /** @param {number} by steps to more time, or less */
  zoom(by) {
    this.stale = true;
    const now = this.#zoom || fitting(this.#scale.to - this.#scale.from);
    this.#zoom = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, ZOOMS.indexOf(now) + by))];
  }

  /** @param {PointerEvent} e */
  #point(e) {
    const t = this.#scale.t(e.offsetX), lane = Math.floor(e.offsetY / LANE);
    const spot = this.#spots.find((s) => s.lane === lane && s.from <= t && t < s.to);
    const back = this.#where.edge - t;
    this.#tip.hidden = false;
    this.#tip.textContent = (back < 1 ? "now" : `−${clockText(back)}`) + (spot ? ` · ${spot.text}` : "");
    const room = this.el.clientWidth - this.#tip.offsetWidth - 8;
    this.#tip.style.left = Math.max(8, Math.min(room, this.#canvas.offsetLeft + e.offsetX + 12)) + "px";
    this.#tip.style.top = this.#canvas.offsetTop + e.offsetY + 16 + "px";
  }

  /** @param {Store} store @param {Where} where */
  draw(store, where) {
    this.stale = false;
    this.#where = where;
    const first = Math.min(...Object.values(store.lists).map((l) => l[0]?.t ?? Infinity), where.ring?.from ?? Infinity, where.edge);
    const span = this.#zoom || fitting(where.edge - first);
    // A place that is shown stays in sight.
    const to = !where.live && where.at < where.edge - span ? where.at + span / 2 : where.edge;
    this.#level.textContent = `${span / 60} min`;
    this.#back.disabled = where.live;
    this.#back.classList.toggle("on", where.live);
    this.#hint.textContent = where.ring ? "Click to go back" : "No recording is kept: what was found is shown, pictures are live alone";
    this.#canvas.setAttribute("aria-valuenow", String(Math.round(where.at - where.edge)));
    this.#canvas.setAttribute("aria-valuetext", where.live ? "live" : `${clockText(where.edge - where.at)} ago`);

    const lists = store.lists;
    const cut = (/** @type {import("./protocol.js").Result[]} */ l) => between(l, to - span - 20, to + 1);
    /** @type {[string, (g: CanvasRenderingContext2D, y: number, h: number, lane: number) => void][]} */
    const lanes = [];
    this.#spots = [];
    const s = (this.#scale = new Scale(to - span, to, this.#canvas.clientWidth));
    const blocks = (/** @type {import("./timeline.js").Segment[]} */ list, /** @type {(label: string) => string} */ colour, percent = true) =>
      (/** @type {CanvasRenderingContext2D} */ g, /** @type {number} */ y, /** @type {number} */ h, /** @type {number} */ lane) => {
        for (const b of list) {
          const x = s.x(b.from), w = Math.max(1.5, s.x(b.to) - x - 1);
          if (x + w < 0 || x > s.width) continue;
          g.globalAlpha = b.p < 0.3 ? 0.5 : 1;
          g.fillStyle = colour(b.label);
          g.beginPath();
          g.roundRect(x, y, w, h, Math.min(4, w / 2));
          g.fill();
          g.globalAlpha = 1;
          const from = Math.max(x, 0);
          if (x + w - from > 34) {
            g.fillStyle = "#fff";
            g.fillText(fit(g, b.label, x + w - from - 10), from + 6, y + h / 2 + 0.5);
          }
          this.#spots.push({ lane, from: b.from, to: b.to, text: percent ? `${b.label} ${share(b.p)}` : b.label });
        }
      };
    const classes = (/** @type {import("./protocol.js").Score[]} */ c) => (c.length ? c[0] : null);
    lanes.push(["Sounds", blocks(segments(cut(lists.sound), (r) => classes(heard(r))), solid)]);
    const scenes = segments(cut(lists.sound), (r) => classes(r.sound?.silent ? [] : r.sound?.scenes ?? []));
    if (scenes.length) lanes.push(["Scene by ear", blocks(scenes, solid)]);
    if (lists.speech.length) {
      const voice = (/** @type {import("./protocol.js").Result} */ r) => (r.speech?.voice ? `voice ${r.speech.voice}` : "speech");
      lanes.push(["Speech", blocks(stretches(cut(lists.speech), voice, (r) => r.speech?.p ?? 0), solid)]);
    }
    if (lists.caption.length) lanes.push(["Captions", blocks(lasting(cut(lists.caption), (r) => r.caption?.text ?? "", where.edge), () => ink("caption"), false)]);
    const methods = new Set(lists.heatmap.map((r) => r.heatmap?.method ?? ""));
    for (const method of methods) {
      const maps = cut(lists.heatmap).filter((r) => r.heatmap?.method === method);
      lanes.push([method === "sync" ? "Where it sounds, by motion" : "Where it sounds, by looks", (g, y, h) => {
        g.fillStyle = `rgb(${tone(method).join(" ")} / .85)`;
        maps.forEach((r, i) => {
          const up = h * ((r.heatmap?.grid[0] ?? 0) / 255), x = s.x(r.t), next = maps[i + 1] ? s.x(Math.min(maps[i + 1].t, r.t + 1)) : x + 2;
          if (up > 0.5) g.fillRect(x, y + h - up, Math.max(1, next - x + 0.3), up);
        });
      }]);
    }
    if (lists.cut.length || lists.gap.length) {
      lanes.push(["Cuts and gaps", (g, y, h, lane) => {
        g.fillStyle = ink("dim");
        for (const r of cut(lists.cut)) g.fillRect(s.x(r.t), y, 1, h);
        for (const r of cut(lists.gap)) {
          g.fillStyle = ink("bad");
          g.beginPath();
          g.roundRect(s.x(r.t), y, Math.max(2, s.x(r.t + r.dur) - s.x(r.t)), h, 2);
          g.fill();
          this.#spots.push({ lane, from: r.t, to: r.t + Math.max(r.dur, 0.3), text: `${r.gap?.stream}: ${r.gap?.reason}, ${r.dur.toFixed(2)} s` });
        }
      }]);
    }
    const tall = lanes.length * LANE + RULER + "px";
    if (this.#canvas.style.height !== tall) this.#canvas.style.height = tall;
    this.#paint(lanes, where);
  }

  /**
   * @param {[string, (g: CanvasRenderingContext2D, y: number, h: number, lane: number) => void][]} lanes
   * @param {Where} where
   */
  #paint(lanes, where) {
    const surf = surface(this.#canvas);
    if (!surf) return;
    const { g, w } = surf, s = this.#scale;
    g.textBaseline = "middle";
    lanes.forEach(([name, draw], i) => {
      const y = i * LANE + LABEL, tall = LANE - LABEL - 3;
      g.fillStyle = ink("track");
      g.beginPath();
      g.roundRect(0, y, w, tall, 5);
      g.fill();
      g.save();
      g.beginPath();
      g.roundRect(0, y, w, tall, 5);
      g.clip();
      g.font = "11.5px system-ui, sans-serif";
      draw(g, y, tall, i);
      g.restore();
      g.fillStyle = ink("dim");
      g.font = "600 10px system-ui, sans-serif";
      g.letterSpacing = "0.5px";
      g.fillText(name.toUpperCase(), 0, y - 8);
      g.letterSpacing = "0px";
    });
    const foot = lanes.length * LANE;
    // What can be seen again.
    if (where.ring) {
      const x0 = Math.max(0, s.x(where.ring.from)), x1 = Math.min(w, s.x(where.ring.to));
      g.fillStyle = ink("line");
      g.fillRect(0, foot + 1, w, 2);
      g.fillStyle = ink("accent");
      if (x1 > x0) g.fillRect(x0, foot + 1, x1 - x0, 2);
    }
    g.font = "11px system-ui, sans-serif";
    g.fillStyle = ink("dim");
    for (const { t, back } of s.ticks(where.edge, w < 520 ? 60 : 84)) {
      const x = s.x(t);
      g.textAlign = x > w - 18 ? "right" : x < 18 ? "left" : "center";
      g.fillText(back ? `−${clockText(back)}` : "now", x, foot + 14);
    }
    g.textAlign = "left";
    const x = Math.min(w - 4, Math.max(4, s.x(where.at)));
    g.fillStyle = where.live ? ink("bad") : ink("accent");
    g.fillRect(x - 1, 0, 2, foot);
    g.beginPath();
    g.arc(x, 3, 4, 0, 2 * Math.PI);
    g.fill();
  }
}

// What is seen and heard at the moment that is shown.

import { picture } from "./heat.js";
import { hue } from "./palette.js";
import { heard, loudness } from "./sounds.js";
import { latest } from "./state.js";
import { el, setText, share, signed } from "./ui.js";

/**
 * @typedef {import("./protocol.js").Result} Result
 * @typedef {import("./state.js").Store} Store
 */

/** Attention is yellow, as in the report. @type {[number, number, number]} */
const ATTENTION = [255, 176, 40];

/** Seconds after which a result says nothing of the moment any more. */
const STALE = 3;

/** Bars for the first few of some classes, moved rather than made anew. */
class Bars {
  el = el("div", "bars");
  #none = el("p", "none");
  /** @type {{row: HTMLElement, label: HTMLElement, p: HTMLElement}[]} */
  #rows = [];

  /** @param {number} count */
  constructor(count) {
    for (let i = 0; i < count; i++) {
      const row = el("div", "meter"), label = el("span"), p = el("span");
      row.append(label, p, el("i"));
      row.hidden = true;
      this.#rows.push({ row, label, p });
    }
    this.el.append(...this.#rows.map((r) => r.row), this.#none);
  }

  /** @param {import("./protocol.js").Score[]} scores @param {string} none said where there is none */
  show(scores, none) {
    this.#rows.forEach(({ row, label, p }, i) => {
      const s = scores[i];
      row.hidden = !s || (i > 0 && s.p < 0.005);
      if (!s) return;
      setText(label, s.label);
      setText(p, share(s.p));
      row.style.setProperty("--p", s.p.toFixed(3));
      row.style.setProperty("--h", String(hue(s.label)));
    });
    this.#none.hidden = scores.length > 0;
    setText(this.#none, none);
  }
}

/** A needle between too early and too late. */
class Needle {
  el = el("div", "needle");
  #bar = el("i");
  #text = el("b");

  /** @param {string} name */
  constructor(name) {
    const scale = el("div", "scale");
    scale.append(this.#bar);
    this.el.append(el("span", "", name), this.#text, scale);
  }

  /** @param {number} ms sound after picture is positive; NaN for unknown @param {string} [more] */
  show(ms, more = "") {
    const known = !Number.isNaN(ms);
    setText(this.#text, known ? `${signed(ms)} ms${more}` : "–");
    this.el.classList.toggle("unknown", !known);
    this.el.classList.toggle("off", known && Math.abs(ms) > 40);
    this.#bar.style.setProperty("--x", String(known ? Math.max(-1, Math.min(1, ms / 120)) : 0));
  }
}

/** @param {string} title @param {...HTMLElement} inside */
function part(title, ...inside) {
  const s = el("section", "part");
  s.append(el("h3", "", title), ...inside);
  return s;
}

export class Panel {
  el = el("aside", "card now");
  #time = el("time");
  #loud = el("i", "loud");
  #sounds = new Bars(5);
  #scenes = new Bars(2);
  #scenePart = part("Scene by ear", this.#scenes.el);
  #words = el("p", "words");
  #shot = el("div", "shot");
  #captionPart = part("Caption", this.#shot, this.#words);
  /** @type {Result | null} */
  #caption = null;
  #heat = el("canvas");
  #speech = el("span", "lamp");
  #voice = el("span");
  #speechPart = part("Speech");
  #faceBox = el("figure", "face");
  #facePart = part("Face from the voice", this.#faceBox);
  /** @type {Result | null} */
  #face = null;
  #source = new Needle("at the source");
  #here = new Needle("in this browser");
  #drift = el("p", "none");

  constructor() {
    this.el.setAttribute("aria-label", "At this moment");
    const head = el("div", "head");
    head.append(this.#time, this.#loud);
    const line = el("p", "speech");
    line.append(this.#speech, this.#voice);
    this.#speechPart.append(line);
    this.#facePart.hidden = this.#captionPart.hidden = this.#scenePart.hidden = this.#speechPart.hidden = true;
    this.el.append(head, part("Sounds like", this.#sounds.el), this.#scenePart, this.#speechPart, this.#captionPart, this.#facePart,
      part("Sound against picture", this.#source.el, this.#here.el, this.#drift));
  }

  /**
   * @param {Store} store
   * @param {number} t the moment shown
   * @param {string} when as people read it
   * @param {(t: number) => HTMLCanvasElement | null} still
   */
  show(store, t, when, still) {
    setText(this.#time, when);
    const l = store.lists, sound = fresh(latest(l.sound, t + 0.25), t, STALE);
    const models = store.hello?.models ?? [];
    const hears = models.some((m) => /sound/.test(m.family)) || l.sound.length > 0;
    this.#loud.style.setProperty("--p", loudness(sound?.sound?.rms ?? 0).toFixed(3));
    // Before a source runs, nobody knows what will look at it.
    this.#sounds.show(sound ? heard(sound) : [], store.status?.state !== "running" ? "–" : !hears ? "No model that hears is loaded." : sound?.sound?.silent ? "silence" : "listening…");
    this.#scenePart.hidden = !l.sound.some((r) => r.sound?.scenes.length);
    this.#scenes.show(sound?.sound?.scenes ?? [], sound?.sound?.silent ? "silence" : "–");
    this.#showSpeech(l.speech, t);
    const caption = latest(l.caption, t);
    if (caption !== this.#caption) this.#showCaption(caption, still);
    const face = latest(l.face, t);
    if (face !== this.#face) this.#showFace(face);
  }

  /** @param {Result[]} list @param {number} t */
  #showSpeech(list, t) {
    this.#speechPart.hidden = list.length === 0;
    const r = latest(list, t), on = r?.speech && t < r.t + Math.max(r.dur, 0.5) ? r.speech : null;
    this.#speech.classList.toggle("on", on !== null);
    setText(this.#voice, on ? `${on.voice ? "voice " + on.voice : "somebody speaks"} · ${share(on.p)}` : "nobody speaks");
  }

  /** @param {Result | null} r @param {(t: number) => HTMLCanvasElement | null} still */
  #showCaption(r, still) {
    this.#caption = r;
    this.#captionPart.hidden = !r;
    this.#words.textContent = "";
    this.#shot.textContent = "";
    this.#shot.classList.remove("on");
    if (!r?.caption) return;
    const c = r.caption, pic = still(r.t);
    if (pic) {
      pic.setAttribute("role", "img");
      pic.setAttribute("aria-label", "The frame that this caption is of");
      this.#shot.append(pic, this.#heat);
    }
    const words = c.words.length ? c.words : [{ text: c.text, p: NaN, attention: null }];
    words.forEach((w, i) => {
      const s = el("span", "", w.text);
      if (!Number.isNaN(w.p)) s.title = share(w.p);
      const grid = w.attention;
      if (grid && pic) {
        s.tabIndex = 0;
        s.classList.add("looks");
        const on = () => {
          this.#heat.width = pic.width;
          this.#heat.height = pic.height;
          const g = this.#heat.getContext("2d");
          if (g) {
            g.imageSmoothingQuality = "high";
            g.drawImage(picture(grid, c.w, c.h, ATTENTION, 0.9), 0, 0, pic.width, pic.height);
          }
          this.#shot.classList.add("on");
        };
        const off = () => this.#shot.classList.remove("on");
        s.addEventListener("mouseenter", on);
        s.addEventListener("focus", on);
        s.addEventListener("click", on);
        s.addEventListener("mouseleave", off);
        s.addEventListener("blur", off);
      }
      if (i) this.#words.append(" ");
      this.#words.append(s);
    });
  }

  /** @param {Result | null} r */
  async #showFace(r) {
    this.#face = r;
    this.#facePart.hidden = !r;
    this.#faceBox.textContent = "";
    const f = r?.face;
    if (!f) return;
    const c = el("canvas");
    c.setAttribute("role", "img");
    c.setAttribute("aria-label", f.notice);
    this.#faceBox.append(c, el("figcaption", "", `${f.voice ? `Voice ${f.voice}: ` : ""}${f.notice}, from ${f.used.toFixed(1)} s of speech`));
    c.hidden = true;
    if (!f.jpeg) return;
    try {
      const image = await createImageBitmap(new Blob([/** @type {BlobPart} */ (f.jpeg)], { type: "image/jpeg" }));
      c.width = image.width;
      c.height = image.height;
      c.getContext("2d")?.drawImage(image, 0, 0);
      c.hidden = false;
    } catch {
      // What cannot be read as a picture is not shown; its notice is.
    }
  }

  /** @param {import("./protocol.js").Status | null} status @param {number} here milliseconds of sound after picture in this browser */
  sync(status, here) {
    const s = status?.sync;
    this.#source.show(s ? s.offset : NaN);
    this.#here.show(here);
    const said = [];
    if (s && !Number.isNaN(s.drift)) said.push(`clocks drift by ${signed(s.drift)} ppm`);
    if (s && !Number.isNaN(s.error)) said.push(`results aligned within ${s.error.toFixed(1)} ms`);
    setText(this.#drift, said.join(" · "));
  }
}

/** @param {Result | null} r @param {number} t @param {number} most */
const fresh = (r, t, most) => (r && t - r.t <= most + r.dur ? r : null);

// All sources side by side. A tile that is not seen is not connected.

import { heard } from "./sounds.js";
import { el, setText, share } from "./ui.js";
import { View } from "./view.js";

class Tile {
  el = el("a", "tile");
  source;
  #dot = el("i", "dot");
  #title = el("b");
  #hears = el("span", "hears");
  #bar = el("i", "level");
  /** @type {View | null} */
  #view = null;
  #blank = el("div", "view");
  /** @type {import("./protocol.js").Model[]} */
  models = [];
  #onModels;

  /** @param {import("./api.js").Source} source @param {() => void} onModels */
  constructor(source, onModels) {
    this.source = source;
    this.#onModels = onModels;
    this.el.href = "#" + new URLSearchParams({ source: source.name });
    const foot = el("div", "foot");
    foot.append(this.#dot, this.#title, this.#hears, this.#bar);
    const blank = el("div", "stage");
    this.#blank.append(blank);
    this.el.append(this.#blank, foot);
    this.update(source);
  }

  /** @param {import("./api.js").Source} s */
  update(s) {
    this.source = s;
    setText(this.#title, s.title);
    this.#dot.dataset.state = s.state;
    this.#dot.title = s.cause ? `${s.state}: ${s.cause}` : s.state;
    if (!this.#view && s.state !== "running") setText(this.#hears, s.cause || s.state);
  }

  /** @param {boolean} seen */
  see(seen) {
    if (seen === (this.#view !== null)) return;
    if (!seen) return this.close();
    const v = (this.#view = new View(this.source, { sound: false }));
    this.#blank.replaceWith(v.el);
    v.onMessage = (m) => {
      if (m.type === "hello") {
        this.models = m.models;
        this.#onModels();
      }
      if (m.type !== "result" || !m.sound) return;
      const top = heard(m)[0];
      setText(this.#hears, m.sound.silent || !top ? "silence" : `${top.label} ${share(top.p)}`);
      this.#bar.style.setProperty("--p", String(top ? top.p : 0));
    };
  }

  close() {
    const v = this.#view;
    if (!v) return;
    this.#view = null;
    v.el.replaceWith(this.#blank);
    v.close();
  }
}

export class Wall {
  el = el("div", "wall");
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  #seen;
  #onModels;

  /** @param {(models: import("./protocol.js").Model[]) => void} onModels told of all models at work */
  constructor(onModels) {
    this.#onModels = () => onModels([...this.#tiles.values()].flatMap((t) => t.models));
    this.#seen = new IntersectionObserver((entries) => {
      for (const e of entries) for (const t of this.#tiles.values()) if (t.el === e.target) t.see(e.isIntersecting);
    }, { rootMargin: "120px" });
  }

  /** @param {import("./api.js").Source[]} sources */
  update(sources) {
    const names = new Set(sources.map((s) => s.name));
    for (const [name, t] of this.#tiles) {
      if (names.has(name)) continue;
      this.#seen.unobserve(t.el);
      t.close();
      t.el.remove();
      this.#tiles.delete(name);
    }
    for (const s of sources) {
      const t = this.#tiles.get(s.name);
      if (t) {
        t.update(s);
        continue;
      }
      const tile = new Tile(s, this.#onModels);
      this.#tiles.set(s.name, tile);
      this.el.append(tile.el);
      this.#seen.observe(tile.el);
    }
    this.el.dataset.count = String(this.#tiles.size);
  }

  close() {
    this.#seen.disconnect();
    for (const t of this.#tiles.values()) t.close();
    this.el.remove();
  }
}

// The page of one source: its picture large, what is seen and heard, the last
// minute, the last ten, and the numbers.

import { clockText } from "./clock.js";
import { Replay, history } from "./dvr.js";
import { Facts } from "./facts.js";
import { setIcon } from "./icons.js";
import { Lanes } from "./lanes.js";
import { Panel } from "./panel.js";
import { Stage } from "./stage.js";
import { SPAN } from "./state.js";
import { Meter } from "./stats.js";
import { Strip } from "./strip.js";
import { button, el, setText } from "./ui.js";
import { View } from "./view.js";

/** @typedef {{stage: Stage, player: Replay, from: number, results: number, stop: AbortController}} Replaying */

/** Sound was asked for once: the next source has it too. */
let loud = false;

export class SourcePage {
  el = el("div", "source");
  #view;
  #source;
  #panel = new Panel();
  #facts = new Facts();
  #lanes = new Lanes((t) => this.seek(t), () => this.live());
  #strip;
  #meter = new Meter();
  #stop = new AbortController();
  #frame = 0;
  #drawn = { panel: 0, lanes: 0, facts: 0 };
  #filled = false;
  /** Results after it were not heard. */
  #lost = Infinity;
  /** Where the live picture was stopped. */
  #stopped = NaN;
  /** @type {Replaying | null} */
  #replay = null;
  #picture = el("section", "picture");
  #pill = button("", "Back to live (L)", () => this.live(), "pill");
  #pillText = el("span");
  #pillLag = el("span", "lag");
  #note = el("p", "toast");
  #noteTimer = 0;
  #tools = {
    pause: button("", "Stop and go on (space)", () => this.pause()),
    heat: button("", "Heat maps on and off (O)", () => this.toggleHeat()),
    mute: button("", "Sound on and off (M)", () => this.toggleSound()),
    full: button("", "Full screen (F)", () => this.fullScreen()),
  };
  /** @type {((store: import("./state.js").Store) => void) | null} */
  onHello = null;
  /** @type {((c: import("./live.js").Condition) => void) | null} */
  onCondition = null;

  /** @param {import("./api.js").Source} source */
  constructor(source) {
    this.#source = source;
    const view = (this.#view = new View(source, { sound: true, loud }));
    view.onMessage = (m) => {
      if (m.type !== "hello") return;
      this.onHello?.(view.store);
      if (!this.#filled) this.#fill(m.t, m.t - SPAN);
      else if (this.#lost < m.t) this.#fill(m.t, this.#lost);
      this.#lost = Infinity;
    };
    view.onCondition = (c) => {
      // What is found while nothing comes is asked for afterwards.
      if (c.phase !== "playing") this.#lost = Math.min(this.#lost, view.store.newest);
      this.onCondition?.(c);
    };
    const bar = el("div", "tools");
    setIcon(this.#tools.heat, "heat");
    setIcon(this.#tools.full, "full");
    bar.append(this.#tools.pause, this.#tools.heat, this.#tools.mute, this.#tools.full);
    this.#pill.append(this.#pillText, this.#pillLag);
    this.#note.setAttribute("role", "status");
    this.#note.hidden = true;
    this.#picture.append(view.el, this.#pill, bar, this.#note);
    const strip = el("section", "card strip"), canvas = el("canvas"), head = el("div", "bar");
    head.append(el("h2", "", "What it hears"), el("p", "hint", "the last minute"));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "Classes heard over the last minute; the list under Sounds like says the same of this moment");
    strip.append(head, canvas);
    this.#strip = new Strip(canvas);
    const side = el("div", "side");
    side.append(this.#panel.el);
    this.el.append(this.#picture, side, strip, this.#lanes.el, this.#facts.el);
    this.#tick();
  }

  close() {
    this.#stop.abort();
    cancelAnimationFrame(this.#frame);
    this.#endReplay();
    this.#view.close();
    this.el.remove();
  }

  /** What the list of sources says of it now. @param {import("./api.js").Source} s */
  update(s) {
    this.#source = s;
  }

  get stage() {
    return this.#replay?.stage ?? this.#view.stage;
  }

  /** The live edge of what is known. */
  get edge() {
    const t = this.#view.stage.t, newest = this.#view.store.newest;
    return Math.max(Number.isNaN(t) ? 0 : t, Number.isFinite(newest) ? newest : 0);
  }

  /** The moment that is shown. */
  get now() {
    if (this.#replay) return Number.isNaN(this.#replay.stage.t) ? this.#replay.from : this.#replay.stage.t;
    const t = this.#view.stage.t;
    if (this.#view.stage.video.paused && !Number.isNaN(this.#stopped)) return this.#stopped;
    // Without a picture that moves the newest result is now.
    return Number.isNaN(t) || this.edge - t > 10 ? this.edge : t;
  }

  /**
   * What was found before, newest first, in pieces: what is near is there at once.
   * @param {number} edge @param {number} since
   */
  async #fill(edge, since) {
    this.#filled = true;
    const store = this.#view.store, signal = this.#stop.signal, from = Math.max(0, since, edge - SPAN);
    try {
      for (let to = edge + 1; to > from && !signal.aborted; to -= 60) {
        await history(this.#source.name, Math.max(from, to - 60), to, signal, (r) => store.add(r));
      }
    } catch {
      // The timeline begins now, then.
    }
  }

  #tick() {
    this.#frame = requestAnimationFrame(() => this.#tick());
    const now = performance.now(), d = this.#drawn, store = this.#view.store;
    if (now - d.panel >= 95) {
      d.panel = now;
      const t = this.now;
      this.#panel.show(store, t, this.#when(t), (at) => this.stage.still(at));
      this.#strip.draw(store.lists.sound, t);
      this.#showPlace(t);
    }
    if (this.#lanes.stale || now - d.lanes >= this.#lanes.lasts) {
      d.lanes = now;
      this.#lanes.draw(store, { edge: this.edge, at: this.now, live: !this.#replay, ring: this.#source.ring });
    }
    if (now - d.facts >= 1000) {
      d.facts = now;
      this.#meter.measure(this.#view.live.pc).catch(() => {});
      this.#facts.show(store, this.#view.stage, this.#view.live, this.#meter.last);
      // Sound that is not played is not kept in step by the browser.
      this.#panel.sync(store.status, this.#view.stage.video.muted ? NaN : this.#meter.last.skew);
    }
    const r = this.#replay;
    if (r && r.stage.t > r.results - 10) this.#results(r);
  }

  /** @param {number} t */
  #when(t) {
    const wall = this.#view.store.wall;
    return Number.isNaN(wall) ? clockText(t, 1) : new Date(wall + 1000 * t).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  }

  /** @param {number} t */
  #showPlace(t) {
    const v = this.stage.video, playing = this.#view.live.condition.phase === "playing";
    this.#pill.classList.toggle("back", this.#replay !== null);
    this.#pill.hidden = !this.#replay && !playing;
    const lag = this.#view.store.status?.lag ?? NaN;
    setText(this.#pillText, this.#replay ? `−${clockText(Math.max(0, this.edge - t))} · back to live` : v.paused ? "stopped" : "live");
    setText(this.#pillLag, this.#replay || Number.isNaN(lag) ? "" : `results ${lag.toFixed(2)} s behind`);
    setIcon(this.#tools.pause, v.paused ? "play" : "pause");
    setIcon(this.#tools.mute, v.muted ? "muted" : "sound");
    this.#tools.mute.setAttribute("aria-pressed", String(!v.muted));
    this.#tools.heat.setAttribute("aria-pressed", String(this.stage.showHeat));
  }

  /** @param {string} text */
  #say(text) {
    setText(this.#note, text);
    this.#note.hidden = false;
    clearTimeout(this.#noteTimer);
    this.#noteTimer = window.setTimeout(() => { this.#note.hidden = true; }, 4000);
  }

  /** Goes to a moment of the last ten minutes. @param {number} t */
  seek(t) {
    const ring = this.#source.ring, hello = this.#view.store.hello;
    if (!ring || !hello) return this.#say("No recording of this source is kept.");
    const to = Math.min(Math.max(t, ring.from), ring.to);
    const old = this.stage, stage = new Stage();
    stage.replay = true;
    stage.showHeat = old.showHeat;
    stage.clock(hello.base, to);
    stage.poster(old);
    stage.video.muted = this.#replay ? this.#replay.stage.video.muted : this.#view.muted;
    stage.canvas.setAttribute("aria-label", `Recorded picture of ${this.#source.title}`);
    this.#endReplay();
    this.#view.stage.video.muted = true;
    this.#view.hide(true);
    this.#view.el.append(stage.el);
    this.#lanes.stale = true;
    const player = new Replay(stage.video, this.#source.name, to);
    stage.turn = (at) => player.rotation(at);
    const r = (this.#replay = { stage, player, from: to, results: to - 3, stop: new AbortController() });
    this.#results(r);
    player.run(() => { if (this.#replay === r) this.live(); }).catch((e) => {
      if (this.#replay !== r) return;
      this.live();
      this.#say(`The recording cannot be shown: ${e instanceof Error ? e.message : e}`);
    });
  }

  /** The results of the next while, before their frames. @param {Replaying} r */
  async #results(r) {
    const from = r.results;
    r.results = from + 30;
    try {
      await history(this.#source.name, from, from + 30, r.stop.signal, (result) => {
        r.stage.heat(result);
        this.#view.store.add(result);
      });
    } catch {
      // Pictures without what was found are better than none.
    }
  }

  #endReplay() {
    const r = this.#replay;
    if (!r) return;
    this.#replay = null;
    this.#lanes.stale = true;
    r.stop.abort();
    r.player.close();
    r.stage.close();
    r.stage.el.remove();
  }

  live() {
    const r = this.#replay, v = this.#view.stage.video;
    if (r) {
      const muted = r.stage.video.muted;
      this.#endReplay();
      this.#view.hide(false);
      if (!muted) this.#view.unmute();
    }
    if (v.paused) this.#resume();
  }

  pause() {
    const v = this.stage.video;
    if (!v.paused) {
      if (!this.#replay) this.#stopped = this.now;
      return v.pause();
    }
    // It goes on where it stood, if that is kept by now, else live.
    const ring = this.#source.ring, at = this.#stopped;
    if (!this.#replay && ring && ring.from <= at && at < ring.to) this.seek(at);
    else this.#resume();
  }

  #resume() {
    this.#stopped = NaN;
    this.stage.video.play().catch(() => {});
  }

  /** @param {number} by seconds */
  step(by) {
    const to = this.now + by;
    if (!this.#replay && by > 0) return;
    if (to >= this.edge - 1.5) this.live();
    else this.seek(to);
  }

  toggleSound() {
    if (this.#replay) {
      const v = this.#replay.stage.video;
      v.muted = !v.muted;
      loud = !v.muted;
      return;
    }
    loud = this.#view.muted;
    if (loud) this.#view.unmute();
    else this.#view.mute();
  }

  toggleHeat() {
    const on = !this.stage.showHeat;
    this.#view.stage.showHeat = on;
    if (this.#replay) this.#replay.stage.showHeat = on;
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.#picture.requestFullscreen?.().catch(() => this.#say("This browser has no full screen."));
  }

  /** @param {number} by */
  zoom(by) {
    this.#lanes.zoom(by);
  }
}

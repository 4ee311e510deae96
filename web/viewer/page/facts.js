// Numbers for those who want to know how well it goes: lag, losses, models.

import { el, seconds, setText, share } from "./ui.js";

/** @param {string} title */
function list(title) {
  const section = el("section"), dl = el("dl");
  section.append(el("h3", "", title), dl);
  return { section, dl };
}

export class Facts {
  el = el("section", "card facts");
  #time = list("How far behind");
  #loss = list("What was lost");
  #what = list("What is at work");
  /** @type {Map<string, HTMLElement>} */
  #values = new Map();

  constructor() {
    this.el.setAttribute("aria-label", "Numbers");
    this.el.append(this.#time.section, this.#loss.section, this.#what.section);
  }

  /**
   * @param {HTMLElement} dl @param {string} name @param {string} text
   * @param {boolean} [bad]
   */
  #set(dl, name, text, bad = false) {
    const key = (dl === this.#time.dl ? "t" : dl === this.#loss.dl ? "l" : "w") + name;
    let dd = this.#values.get(key);
    if (!dd) {
      dd = el("dd");
      const row = el("div");
      row.append(el("dt", "", name), dd);
      dl.append(row);
      this.#values.set(key, dd);
    }
    setText(dd, text);
    dd.classList.toggle("bad", bad);
  }

  /**
   * @param {import("./state.js").Store} store
   * @param {import("./stage.js").Stage} stage
   * @param {import("./live.js").Live} live
   * @param {import("./stats.js").Stats} stats
   */
  show(store, stage, live, stats) {
    const s = store.status, { exact, late, skipped } = stage.counts, t = this.#time.dl, l = this.#loss.dl, w = this.#what.dl;
    this.#set(t, "result after its moment", seconds(s && !Number.isNaN(s.lag) ? s.lag : store.lag));
    this.#set(t, "95 of 100 within", seconds(s ? s.p95 : NaN));
    this.#set(t, "picture held for results", seconds(store.hello ? store.hello.delay : NaN));
    this.#set(t, "picture buffered here", Number.isNaN(stats.delay) ? "–" : `${stats.delay.toFixed(0)} ms`);
    this.#set(t, "frames a second", `${Number.isNaN(stage.fps) ? "–" : stage.fps.toFixed(1)} shown${s && !Number.isNaN(s.fps) ? ` of ${s.fps.toFixed(1)}` : ""}`);

    const all = exact + late + skipped;
    this.#set(l, "heat maps on their own frame", all ? `${exact} of ${all} (${share(exact / all)})` : "–", all > 20 && exact / all < 0.5);
    this.#set(l, "too late for their frame", String(late), late > 0 && late > exact);
    this.#set(l, "whose frame was not shown", String(skipped));
    this.#set(l, "results this page missed", String(live.lost), live.lost > 0);
    for (const [stage_, n] of s?.drops ?? []) this.#set(l, `dropped: ${stage_}`, String(n), n > 0);
    this.#set(l, "packets lost on the way", stats.packets ? `${stats.lost} of ${stats.packets}` : "–", stats.lost > 0);
    this.#set(l, "source lost and found", s ? `${s.reconnects} times` : "–");

    for (const m of store.hello?.models ?? []) {
      const ms = s?.speed.find(([k]) => k === m.name || k === m.family)?.[1];
      this.#set(w, m.family, `${m.name} ${m.version}${ms !== undefined && !Number.isNaN(ms) ? ` · ${ms.toFixed(0)} ms` : ""}${m.fixture ? " · fixture" : ""}`, m.fixture);
    }
    if (store.hello && !store.hello.models.length) this.#set(w, "models", "none is loaded");
    if (store.hello) this.#set(w, "source", store.hello.streams.join(" · ") || "not reached yet");
    if (store.media) this.#set(w, "sent as", [store.media.video || "no picture", store.media.audio || "no sound"].join(" · ") + (store.media.transcoded ? ", transcoded" : ", untouched"));
    if (store.media?.note) this.#set(w, "note", store.media.note);
    this.#set(w, "results come by", live.transport === "channel" ? "data channel" : live.transport === "events" ? "server-sent events" : "–");
  }
}

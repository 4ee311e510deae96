// The strip of the last minute: a row for each class heard, bright where it is
// likely, and how loud it was below.

import { glow, ink } from "./palette.js";
import { Rows, heard, loudness, spans } from "./sounds.js";
import { between } from "./state.js";
import { fit, surface } from "./ui.js";

const SECONDS = 60;
const ROWS = 8;

export class Strip {
  #canvas;
  #rows = new Rows(ROWS);

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
  }

  /**
   * @param {import("./protocol.js").Result[]} sounds of the source
   * @param {number} now time at the right edge
   */
  draw(sounds, now) {
    const s = surface(this.#canvas);
    if (!s) return;
    const { g, w, h } = s;
    const gutter = Math.min(168, Math.max(96, w * 0.24)), foot = 20, base = 26;
    const rowH = (h - foot - base) / ROWS, right = w - 1;
    const x = (/** @type {number} */ t) => right - ((now - t) / SECONDS) * (right - gutter);
    const list = between(sounds, now - SECONDS - 2, now + 0.5), span = spans(list, 1);
    const rows = this.#rows.update(list, now);

    g.font = "12px system-ui, sans-serif";
    g.textBaseline = "middle";
    g.fillStyle = ink("track");
    for (let r = 0; r < ROWS; r++) g.fillRect(gutter, r * rowH + 1, right - gutter, rowH - 2);

    g.save();
    g.beginPath();
    g.rect(gutter, 0, right - gutter, h);
    g.clip();
    list.forEach((result, i) => {
      // On whole pixels: no seams between neighbours.
      const from = Math.round(x(span[i][0])), wide = Math.max(1, Math.round(x(span[i][1])) - from);
      for (const { label, p } of heard(result)) {
        const r = rows.indexOf(label);
        if (r < 0 || p < 0.02) continue;
        g.fillStyle = glow(label, Math.min(1, 0.06 + 0.94 * p ** 0.75));
        g.fillRect(from, r * rowH + 1, wide, rowH - 2);
      }
    });
    // Loudness.
    const floor = h - foot;
    g.beginPath();
    g.moveTo(x(span[0]?.[0] ?? now), floor);
    list.forEach((result, i) => {
      const up = (base - 5) * loudness(result.sound?.rms ?? 0);
      g.lineTo(x(span[i][0]), floor - up);
      g.lineTo(x(span[i][1]), floor - up);
    });
    g.lineTo(x(span.at(-1)?.[1] ?? now), floor);
    g.fillStyle = ink("wave");
    g.fill();
    g.restore();

    // Labels, and seconds.
    const last = list.at(-1), current = new Map(last && now - last.t < 2 ? heard(last).map((c) => [c.label, c.p]) : []);
    rows.forEach((label, r) => {
      if (!label) return;
      const y = (r + 0.5) * rowH;
      g.fillStyle = glow(label);
      g.beginPath();
      g.roundRect(0, y - 4, 8, 8, 2.5);
      g.fill();
      g.fillStyle = (current.get(label) ?? 0) >= 0.1 ? ink("ink") : ink("dim");
      g.fillText(fit(g, label, gutter - 24), 15, y);
    });
    g.fillStyle = ink("dim");
    g.fillText("loudness", 15, floor - base / 2 + 2);
    g.font = "11px system-ui, sans-serif";
    for (let back = SECONDS; back >= 0; back -= w < 520 ? 20 : 10) {
      const at = x(now - back);
      g.textAlign = back === SECONDS ? "left" : back === 0 ? "right" : "center";
      g.fillText(back ? `−${back} s` : "now", at, h - foot / 2 + 2);
    }
    g.textAlign = "left";
  }
}

// Heat maps as pictures, and the place they point at.

import { tone } from "./palette.js";

/** @typedef {import("./protocol.js").Heat} Heat */

/** Below this nothing is drawn: the grid is never stretched, so this is near nothing. */
const FLOOR = 24;

/**
 * The box round what lies about the peak: cells connected to it that reach half
 * of it, as fractions of the frame. null where the map points nowhere. Pure.
 * @param {Heat} heat
 * @returns {{x: number, y: number, w: number, h: number, top: number} | null}
 */
export function region({ w, h, grid }) {
  let peak = 0;
  for (let i = 1; i < grid.length; i++) if (grid[i] > grid[peak]) peak = i;
  const top = grid[peak];
  if (!(top >= 2 * FLOOR) || grid.length !== w * h) return null;
  const half = top / 2, seen = new Uint8Array(grid.length), stack = [peak];
  seen[peak] = 1;
  let x0 = w, y0 = h, x1 = 0, y1 = 0;
  for (let i = stack.pop(); i !== undefined; i = stack.pop()) {
    const x = i % w, y = (i - x) / w;
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
    for (const [nx, ny] of [[x - 1, y], [x + 1, y], [x, y - 1], [x, y + 1]]) {
      const k = ny * w + nx;
      if (nx < 0 || ny < 0 || nx >= w || ny >= h || seen[k] || grid[k] < half) continue;
      seen[k] = 1;
      stack.push(k);
    }
  }
  return { x: x0 / w, y: y0 / h, w: (x1 - x0 + 1) / w, h: (y1 - y0 + 1) / h, top: top / 255 };
}

/** @type {WeakMap<Uint8Array, HTMLCanvasElement>} */
const pictures = new WeakMap();

/**
 * A grid as a small picture of one colour whose opacity is the value, to be
 * drawn large with smoothing. Made once for each grid.
 * @param {Uint8Array} grid @param {number} w @param {number} h @param {[number, number, number]} rgb @param {number} [most] opacity of 255
 */
export function picture(grid, w, h, rgb, most = 0.72) {
  let c = pictures.get(grid);
  if (c) return c;
  c = document.createElement("canvas");
  c.width = w;
  c.height = h;
  const g = c.getContext("2d");
  if (g) {
    const px = g.createImageData(w, h);
    for (let i = 0; i < grid.length; i++) {
      const v = Math.max(0, grid[i] - FLOOR) / (255 - FLOOR);
      // Towards white where it is hottest, so that a peak stands out on any ground.
      const hot = v * v * 90;
      px.data.set([Math.min(255, rgb[0] + hot), Math.min(255, rgb[1] + hot), Math.min(255, rgb[2] + hot), 255 * most * Math.sqrt(v) * Math.min(1, 2 * v)], 4 * i);
    }
    g.putImageData(px, 0, 0);
  }
  pictures.set(grid, c);
  return c;
}

/**
 * Draws one heat map over a picture of width by height that is on g already.
 * @param {CanvasRenderingContext2D} g @param {Heat} heat @param {number} width @param {number} height
 */
export function drawHeat(g, heat, width, height) {
  if (heat.gated) return;
  const rgb = tone(heat.method);
  g.imageSmoothingEnabled = true;
  g.imageSmoothingQuality = "high";
  g.drawImage(picture(heat.grid, heat.w, heat.h, rgb), 0, 0, width, height);
  const box = region(heat);
  if (!box) return;
  const unit = Math.max(1, height / 360), colour = `rgb(${rgb.join(" ")})`;
  corners(g, box.x * width, box.y * height, box.w * width, box.h * height, 12 * unit, [["rgb(0 0 0 / .45)", 3.5 * unit], [colour, 2 * unit]]);
  ring(g, heat.x * width, heat.y * height, 9 * unit, unit);
}

/**
 * The corners of a box: what is inside stays to be seen.
 * @param {CanvasRenderingContext2D} g @param {number} x @param {number} y @param {number} w @param {number} h
 * @param {number} arm @param {[string, number][]} strokes
 */
function corners(g, x, y, w, h, arm, strokes) {
  const a = Math.min(arm, w / 3, h / 3);
  g.beginPath();
  for (const [cx, cy, sx, sy] of [[x, y, 1, 1], [x + w, y, -1, 1], [x + w, y + h, -1, -1], [x, y + h, 1, -1]]) {
    g.moveTo(cx + sx * a, cy);
    g.lineTo(cx, cy);
    g.lineTo(cx, cy + sy * a);
  }
  g.lineCap = g.lineJoin = "round";
  for (const [style, width] of strokes) {
    g.strokeStyle = style;
    g.lineWidth = width;
    g.stroke();
  }
}

/** @param {CanvasRenderingContext2D} g @param {number} x @param {number} y @param {number} r @param {number} unit */
function ring(g, x, y, r, unit) {
  g.beginPath();
  g.arc(x, y, r, 0, 2 * Math.PI);
  g.strokeStyle = "rgb(0 0 0 / .5)";
  g.lineWidth = 3.5 * unit;
  g.stroke();
  g.strokeStyle = "#fff";
  g.lineWidth = 1.75 * unit;
  g.stroke();
}

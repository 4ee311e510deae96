// Elements. Text goes in as text: no name or label is ever read as markup.

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {string} [cls] @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, cls, text) {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  if (text !== undefined) e.textContent = text;
  return e;
}

/**
 * A button with a name for those who do not see it.
 * @param {string} text @param {string} label @param {() => void} click @param {string} [cls]
 */
export function button(text, label, click, cls) {
  const b = el("button", cls, text);
  b.type = "button";
  b.title = label;
  b.setAttribute("aria-label", label);
  b.addEventListener("click", click);
  return b;
}

/** @template {HTMLElement} E @param {string} id @param {{new (): E}} kind @returns {E} */
export function byId(id, kind) {
  const e = document.getElementById(id);
  if (!(e instanceof kind)) throw new Error(`the page has no ${id}`);
  return e;
}

/** Sets text where it is another: a live region speaks only when something changed. @param {HTMLElement} e @param {string} text */
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

/** @param {number} p */
export const share = (p) => `${Math.round(100 * p)} %`;

/** @param {number} s seconds */
export const seconds = (s) => (Number.isNaN(s) ? "–" : s < 9.95 ? `${s.toFixed(2)} s` : `${s.toFixed(0)} s`);

/** A whole number with its sign, and the minus that is as wide as the plus. @param {number} n */
export const signed = (n) => (n > 0 ? "+" : n < 0 ? "−" : "") + Math.abs(Math.round(n));

/**
 * A canvas as sharp as the screen, its drawing in CSS pixels; null while it has
 * no size.
 * @param {HTMLCanvasElement} c
 */
export function surface(c) {
  const w = c.clientWidth, h = c.clientHeight, scale = Math.min(3, devicePixelRatio || 1);
  if (!w || !h) return null;
  const pw = Math.round(w * scale), ph = Math.round(h * scale);
  if (c.width !== pw || c.height !== ph) {
    c.width = pw;
    c.height = ph;
  }
  const g = c.getContext("2d");
  if (!g) return null;
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, w, h);
  return { g, w, h };
}

/** Text cut to fit a width. @param {CanvasRenderingContext2D} g @param {string} text @param {number} room */
export function fit(g, text, room) {
  if (g.measureText(text).width <= room) return text;
  let lo = 0, hi = text.length;
  while (lo < hi) {
    const mid = (lo + hi + 1) >> 1;
    if (g.measureText(text.slice(0, mid) + "…").width <= room) lo = mid;
    else hi = mid - 1;
  }
  return lo ? text.slice(0, lo).trimEnd() + "…" : "";
}

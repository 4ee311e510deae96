// Colours: those of the theme, for canvases, and one for each label, the same
// wherever it is shown.

/** @type {Map<string, number>} */
const hues = new Map();

/** Hues are spread by the golden angle in the order in which labels first appear. @param {string} label */
export function hue(label) {
  let h = hues.get(label);
  if (h === undefined) {
    h = (hues.size * 137.508 + 18) % 360;
    hues.set(label, h);
  }
  return Math.round(h);
}

/** Fill on which white text can be read. @param {string} label @param {number} [alpha] */
export const solid = (label, alpha = 1) => `hsl(${hue(label)} 52% 42% / ${alpha})`;

/** Colour that glows on the theme's ground. @param {string} label @param {number} [alpha] */
export const glow = (label, alpha = 1) => (dark() ? `hsl(${hue(label)} 78% 64% / ${alpha})` : `hsl(${hue(label)} 62% 42% / ${alpha})`);

/** Which colours stand for which localization. @type {Record<string, [number, number, number]>} */
const METHODS = { semantic: [255, 122, 48], sync: [24, 190, 184] };
/** @param {string} method @returns {[number, number, number]} */
export const tone = (method) => METHODS[method] ?? METHODS.semantic;

const system = matchMedia("(prefers-color-scheme: dark)");
/** @type {Map<string, string>} */
const resolved = new Map();
/** @type {Set<() => void>} */
const listeners = new Set();

/** Calls f whenever colours have changed. @param {() => void} f */
export function onTheme(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

export const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
};

function changed() {
  resolved.clear();
  for (const f of listeners) f();
}
system.addEventListener("change", changed);

/** The other of light and dark, kept for the next visit. */
export function toggleTheme() {
  const next = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("seehear.theme", next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  changed();
}

export function adoptTheme() {
  try {
    const kept = localStorage.getItem("seehear.theme");
    if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  } catch {
    // The system's choice, then.
  }
}

/** A colour of the stylesheet as a canvas needs it. @param {string} name without the dashes */
export function ink(name) {
  let c = resolved.get(name);
  if (!c) {
    const probe = document.createElement("i");
    probe.hidden = true;
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    c = getComputedStyle(probe).color;
    probe.remove();
    resolved.set(name, c);
  }
  return c;
}

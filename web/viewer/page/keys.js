// The keyboard. A key does what its button does, and nothing while one types.

/** @type {[string, string][]} */
export const KEYS = [
  ["space", "stop and go on"],
  ["← →", "back and forth by 5 seconds"],
  ["L", "back to live"],
  ["M", "sound on and off"],
  ["O", "heat maps on and off"],
  ["F", "full screen"],
  ["+ −", "more or less of the timeline"],
  ["1 … 9", "a source"],
  ["W or Esc", "all sources"],
  ["T", "light or dark"],
  ["?", "these keys"],
];

/** @typedef {"pause" | "back" | "forth" | "live" | "mute" | "heat" | "full" | "wider" | "narrower" | "wall" | "theme" | "help" | number} Action */

/** What a key means; null for none of ours. Pure. @param {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean}} e @returns {Action | null} */
export function action(e) {
  if (e.ctrlKey || e.metaKey || e.altKey) return null;
  if (/^[1-9]$/.test(e.key)) return Number(e.key);
  switch (e.key.length === 1 ? e.key.toLowerCase() : e.key) {
    case " ": case "k": return "pause";
    case "ArrowLeft": return "back";
    case "ArrowRight": return "forth";
    case "l": return "live";
    case "m": return "mute";
    case "o": return "heat";
    case "f": return "full";
    case "-": return "wider";
    case "+": case "=": return "narrower";
    case "w": case "Escape": return "wall";
    case "t": return "theme";
    case "?": return "help";
  }
  return null;
}

/** @param {(a: Action) => void} act */
export function listen(act) {
  addEventListener("keydown", (e) => {
    const on = e.target;
    if (on instanceof HTMLInputElement || (on instanceof Element && on.closest("dialog"))) return;
    const a = action(e);
    if (a === null) return;
    // A button that has the focus is pressed by the space bar.
    if (a === "pause" && e.key === " " && (on instanceof HTMLButtonElement || on instanceof HTMLAnchorElement)) return;
    if (a === "wall" && document.fullscreenElement) return;
    e.preventDefault();
    act(a);
  });
}

// The few pictures on buttons, as lines in the colour of the text.

const PATHS = {
  pause: "M8.500 5v14M15.500 5v14",
  play: "M7.500 4.500l11.500 7.500-11.500 7.500z",
  heat: "M12 3v4M12 17v4M3 12h4M17 12h4M12 8.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 1 0 0-7z",
  sound: "M4 9.500v5h3.500l4.500 4v-13l-4.500 4zM15.500 9a4.200 4.200 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11",
  muted: "M4 9.500v5h3.500l4.500 4v-13l-4.500 4zM15.500 9.500l5 5M20.500 9.500l-5 5",
  full: "M4.500 9.500v-5h5M19.500 9.500v-5h-5M4.500 14.500v5h5M19.500 14.500v5h-5",
};

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {keyof typeof PATHS} Icon */

/**
 * Puts a picture before the text of a button, in the place of the one it has.
 * @param {HTMLElement} e @param {Icon} name
 */
export function setIcon(e, name) {
  if (e.dataset.icon === name) return;
  e.dataset.icon = name;
  const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  e.querySelector("svg")?.remove();
  e.prepend(svg);
}

// The page: which source is shown, what the server has, and what must be said
// on top of everything.

import { ApiError, adoptToken, setToken, sources } from "./api.js";
import { KEYS, listen } from "./keys.js";
import { explain } from "./live.js";
import { adoptTheme, toggleTheme } from "./palette.js";
import { SourcePage } from "./source.js";
import { byId, el, setText } from "./ui.js";
import { Wall } from "./wall.js";

/** How often the list of sources is asked for, milliseconds. */
const POLL = 3000;

const main = byId("main", HTMLElement), nav = byId("sources", HTMLElement), notice = byId("notice", HTMLElement);
const plain = byId("plain", HTMLElement), help = byId("help", HTMLDialogElement), ask = byId("ask", HTMLFormElement);

/** @type {import("./api.js").Source[]} */
let known = [];
/** @type {{name: string, page: SourcePage} | null} */
let open = null;
/** @type {Wall | null} */
let wall = null;
let denied = false;
let timer = 0;

/** The source the address asks for; "" for all. */
const asked = () => new URLSearchParams(location.hash.slice(1)).get("source") ?? "";

function route() {
  let name = asked();
  if (!name && known.length === 1) name = known[0].name;
  const source = known.find((s) => s.name === name);
  document.title = source ? `${source.title} · seehear` : "seehear";
  if (open && open.name !== source?.name) {
    open.page.close();
    open = null;
    sayNotice("");
  }
  if (source) {
    if (wall) sayNotice("");
    wall?.close();
    wall = null;
    if (!open) {
      const page = new SourcePage(source);
      open = { name: source.name, page };
      page.onHello = (store) => sayNotice(fixtures(store.hello?.models ?? []));
      page.onCondition = (c) => { if (c.phase === "denied") deny(c.title, c.cause); };
      main.append(page.el);
    }
    open.page.update(source);
  } else {
    if (!wall) {
      wall = new Wall((models) => sayNotice(fixtures(models)));
      main.append(wall.el);
    }
    wall.update(known);
  }
  drawNav();
  if (name && !source && known.length) sayPlain(`There is no source named ${name}.`, "These are the sources there are.");
  else if (!known.length) sayPlain("There is no source.", "The server runs, but nothing was given to it to watch.");
  else plain.hidden = true;
}

/** @param {{family: string, fixture: boolean}[]} models */
function fixtures(models) {
  const test = new Set(models.filter((m) => m.fixture).map((m) => m.family));
  return test.size ? `Test fixtures, not models: what they say means nothing (${[...test].join(", ")}).` : "";
}

/** @param {string} text */
function sayNotice(text) {
  notice.hidden = !text;
  setText(notice, text);
}

/** @param {string} title @param {string} text */
function sayPlain(title, text) {
  plain.hidden = false;
  plain.replaceChildren(el("h2", "", title), el("p", "", text));
}

function drawNav() {
  nav.hidden = known.length < 2;
  const want = known.length < 2 ? [] : [{ name: "", title: "All", state: "" }, ...known];
  while (nav.children.length > want.length) nav.lastChild?.remove();
  want.forEach((s, i) => {
    let a = nav.children[i];
    if (!(a instanceof HTMLAnchorElement)) {
      a = el("a");
      a.append(el("i", "dot"), el("span"));
      nav.append(a);
    }
    const link = /** @type {HTMLAnchorElement} */ (a), [dot, text] = /** @type {HTMLElement[]} */ ([...link.children]);
    link.href = s.name ? "#" + new URLSearchParams({ source: s.name }) : "#";
    const current = (open?.name ?? "") === s.name;
    if (current && !link.hasAttribute("aria-current")) link.scrollIntoView({ block: "nearest", inline: "center" });
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    dot.dataset.state = s.state;
    dot.hidden = !s.name;
    setText(text, s.title);
  });
}

/** @param {string} title @param {string} cause */
function deny(title, cause) {
  denied = true;
  open?.page.close();
  open = null;
  wall?.close();
  wall = null;
  plain.hidden = true;
  setText(byId("ask-title", HTMLElement), title);
  setText(byId("ask-cause", HTMLElement), cause);
  ask.hidden = false;
  byId("token", HTMLInputElement).focus();
}

async function poll() {
  clearTimeout(timer);
  if (denied) return;
  try {
    known = await sources();
    document.body.classList.remove("cut-off");
    route();
  } catch (e) {
    if (e instanceof ApiError && (e.status === 401 || e.status === 403)) {
      const { title, cause } = explain(e);
      return deny(title, cause);
    }
    // What is open says for itself that it lost the server.
    document.body.classList.add("cut-off");
    if (!open && !wall) {
      const { title, cause } = explain(e);
      sayPlain(title, `${cause}. Trying again.`);
    }
  }
  clearTimeout(timer);
  timer = window.setTimeout(poll, document.hidden ? 5 * POLL : open || wall ? POLL : 1000);
}

/** @param {import("./keys.js").Action} a */
function act(a) {
  const page = open?.page;
  if (typeof a === "number") {
    const s = known[a - 1];
    if (s && known.length > 1) location.hash = "#" + new URLSearchParams({ source: s.name });
    return;
  }
  switch (a) {
    case "wall": if (asked()) location.hash = "#"; break;
    case "theme": toggleTheme(); break;
    case "help": help.open ? help.close() : help.showModal(); break;
    case "pause": page?.pause(); break;
    case "back": page?.step(-5); break;
    case "forth": page?.step(5); break;
    case "live": page?.live(); break;
    case "mute": page?.toggleSound(); break;
    case "heat": page?.toggleHeat(); break;
    case "full": page?.fullScreen(); break;
    case "wider": page?.zoom(1); break;
    case "narrower": page?.zoom(-1); break;
  }
}

adoptTheme();
adoptToken();
for (const [key, does] of KEYS) {
  const row = el("div");
  row.append(el("dt", "", key), el("dd", "", does));
  byId("keys", HTMLElement).append(row);
}
byId("theme", HTMLButtonElement).addEventListener("click", toggleTheme);
byId("keys-button", HTMLButtonElement).addEventListener("click", () => act("help"));
byId("help-close", HTMLButtonElement).addEventListener("click", () => help.close());
help.addEventListener("click", (e) => { if (e.target === help) help.close(); });
ask.addEventListener("submit", (e) => {
  e.preventDefault();
  const field = byId("token", HTMLInputElement);
  setToken(field.value.trim());
  field.value = "";
  ask.hidden = true;
  denied = false;
  poll();
});
addEventListener("hashchange", () => {
  // A token pasted into the address of an open page.
  const before = location.hash;
  adoptToken();
  if (before !== location.hash && denied) {
    ask.hidden = true;
    denied = false;
    poll();
  }
  scrollTo({ top: 0 });
  if (!denied) route();
});
// The server is told that this viewer leaves; a page that comes back out of the
// browser's cache begins anew.
addEventListener("pagehide", () => {
  open?.page.close();
  wall?.close();
  open = wall = null;
});
addEventListener("pageshow", (e) => { if (e.persisted) route(); });
listen(act);
poll();

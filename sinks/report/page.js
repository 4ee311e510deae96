// The page of one run. Everything shown comes from the JSON in #data through
// textContent, so no name or label is ever read as markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const el = (tag, cls, text) => {
    const e = document.createElement(tag);
    if (cls) e.className = cls;
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const length = Math.max(data.duration, 0.001);
  const pct = (t) => (100 * Math.min(Math.max(t, 0), length)) / length + "%";
  const clock = (t) => {
    const m = Math.floor(t / 60), s = t - 60 * m;
    return `${m}:${s < 9.995 ? "0" : ""}${s.toFixed(2)}`;
  };
  const share = (p) => `${Math.round(100 * p)} %`;

  // A label keeps its colour over the whole page. Hues are spread by the golden
  // angle in the order in which labels first appear.
  const hues = new Map();
  const colour = (label) => {
    if (!hues.has(label)) hues.set(label, (hues.size * 137.508 + 18) % 360);
    return `hsl(${hues.get(label).toFixed(0)} 52% 42%)`;
  };

  // The head of the page.
  document.querySelector("h1").textContent = data.source;
  $("meta").textContent = [clock(data.duration), ...(data.streams || [])].join(" · ");
  const notes = [];
  const stubs = (data.models || []).filter((m) => m.fixture).map((m) => m.family);
  if (data.fixture) notes.push(`Test fixtures, not models: what they say means nothing${stubs.length ? " (" + stubs.join(", ") + ")" : ""}.`);
  if (!data.complete) notes.push("Incomplete: " + (data.error || "the run was interrupted."));
  if (notes.length) { $("notice").hidden = false; $("notice").textContent = notes.join(" "); }

  // The picture, or, without one, a clock of our own that clicks move.
  const video = $("video");
  let at = 0;
  const hasVideo = data.video !== "";
  if (data.video === "embedded") {
    const raw = atob($("video-data").textContent.trim());
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    $("video-data").remove();
    video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  } else if (hasVideo) {
    video.src = data.video.split("/").map(encodeURIComponent).join("/");
  } else {
    video.hidden = true;
    $("novideo").hidden = false;
  }
  const seek = (t) => {
    at = Math.min(Math.max(t, 0), length);
    if (hasVideo) video.currentTime = at;
    show();
  };

  // The lanes.
  const lanes = $("lanes");
  const head = el("div");
  head.id = "head";
  const lane = (name) => {
    const l = el("div", "lane"), track = el("div");
    l.append(track, el("b", "", name));
    lanes.append(l);
    return track;
  };
  const segment = (track, t, d, text, hint, c, cls) => {
    const s = el("div", "seg" + (cls ? " " + cls : ""), text);
    s.style.left = pct(t);
    s.style.width = `calc(${pct(t + d)} - ${pct(t)})`;
    if (c) s.style.setProperty("--c", c);
    s.dataset.tip = hint;
    track.append(s);
  };
  // Windows in a row that agree on their first class are one segment.
  const merged = (list) => {
    const out = [];
    for (const s of list) {
      const label = s.silent ? "silence" : s.top.length ? s.top[0][0] : "";
      if (!label) continue;
      const p = s.silent ? 1 : s.top[0][1];
      const last = out[out.length - 1];
      if (last && last.label === label && s.t - last.end < Math.max(0.05, 0.6 * s.d)) {
        last.end = s.t + s.d / 2; last.p = Math.max(last.p, p);
      } else {
        out.push({ label, p, t: s.t - s.d / 2, end: s.t + s.d / 2, silent: s.silent });
      }
    }
    // A frame speaks for the time round its centre; the first for all before it.
    out.forEach((s, i) => { if (i) s.t = Math.max(s.t, out[i - 1].end - 1e-9); });
    return out;
  };
  const classes = (name, list) => {
    if (!list || !list.length) return;
    const track = lane(name);
    for (const s of merged(list)) {
      const t = Math.max(0, s.t);
      segment(track, t, s.end - t, s.label, `${s.label} · ${share(s.p)} · ${clock(t)}–${clock(s.end)}`, colour(s.label), s.silent ? "quiet" : s.p < 0.3 ? "weak" : "");
    }
  };
  classes("Sounds", data.sounds);
  classes("Objects heard", data.objects);
  classes("Scenes heard", data.scenes);
  if ((data.speech || []).length) {
    const track = lane("Speech");
    for (const s of data.speech) {
      const name = s.voice ? `voice ${s.voice}` : "speech";
      segment(track, s.t, s.d, name, `${name} · ${share(s.p)} · ${clock(s.t)}–${clock(s.t + s.d)}`, colour(name));
    }
  }
  if ((data.captions || []).length) {
    const track = lane("Captions");
    for (const c of data.captions) segment(track, c.t, c.d, c.text, `${clock(c.t)} · ${c.text}`, "#3f6212");
  }
  // One lane per method, in the colours of the video.
  const ways = { semantic: ["Where it sounds, by looks", "var(--accent)"], sync: ["Where it sounds, by motion", "#10908e"] };
  (data.heat || []).forEach((method, n) => {
    const [name, fill] = ways[method.method] || ["", "var(--accent)"];
    const track = lane(name || "Where it sounds");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${length} 1`);
    svg.setAttribute("preserveAspectRatio", "none");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    let d = "";
    for (const [t, dur, v] of method.maps) if (v > 0) d += `M${t} 1V${1 - v}H${t + dur}V1Z`;
    path.setAttribute("d", d);
    path.setAttribute("fill", fill);
    svg.append(path);
    track.append(svg);
    track.dataset.heat = n;
  });
  if ((data.faces || []).length) {
    const track = lane("Faces (illustrations)");
    for (const f of data.faces) segment(track, f.t, f.d, f.voice ? `voice ${f.voice}` : "voice", f.notice, "#6d28d9");
  }
  if ((data.cuts || []).length || (data.gaps || []).length) {
    const track = lane("Cuts and gaps");
    for (const t of data.cuts || []) {
      const k = el("div", "tick");
      k.style.left = pct(t);
      track.append(k);
    }
    for (const g of data.gaps || []) segment(track, g.t, g.d, g.reason, `${g.stream}: ${g.reason}, ${g.d.toFixed(3)} s`, "#b91c1c");
  }
  const ruler = el("div", "lane ruler");
  lanes.append(ruler, head);
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
  const rule = (zoom) => {
    ruler.textContent = "";
    const step = steps.find((s) => length / s <= 12 * zoom) || 7200;
    for (let i = 0; i * step <= length + 1e-9 && i < 5000; i++) {
      const s = el("span", "", step < 1 ? (i * step).toFixed(1) : clock(i * step).replace(/\.00$/, ""));
      s.style.left = pct(i * step);
      ruler.append(s);
    }
  };

  // Zoom keeps the place of the head.
  let zoom = 1;
  const setZoom = (z) => {
    zoom = Math.min(64, Math.max(1, z));
    lanes.style.width = 100 * zoom + "%";
    $("level").textContent = zoom + "×";
    rule(zoom);
    const box = $("scroll");
    box.scrollLeft = (at / length) * lanes.offsetWidth - box.clientWidth / 2;
  };
  $("in").onclick = () => setZoom(zoom * 2);
  $("out").onclick = () => setZoom(zoom / 2);

  const timeAt = (e) => {
    const r = lanes.getBoundingClientRect();
    return ((e.clientX - r.left) / r.width) * length;
  };
  let dragging = false;
  lanes.addEventListener("pointerdown", (e) => { dragging = true; lanes.setPointerCapture(e.pointerId); seek(timeAt(e)); });
  lanes.addEventListener("pointerup", () => { dragging = false; });
  const tip = el("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  lanes.addEventListener("pointermove", (e) => {
    const t = timeAt(e);
    if (dragging) seek(t);
    const under = document.elementsFromPoint(e.clientX, e.clientY).find((n) => n.dataset && (n.dataset.tip || n.dataset.heat));
    tip.hidden = false;
    let text = clock(Math.max(0, t));
    if (under && under.dataset.tip) text = under.dataset.tip;
    else if (under) {
      const h = latest(data.heat[under.dataset.heat].maps.map((x) => ({ t: x[0], h: x })), t);
      if (h) text = h.h[2] > 0 ? `${clock(h.t)} · strongest ${share(h.h[3])} from the left, ${share(h.h[4])} from the top` : `${clock(h.t)} · nothing above the floor`;
    }
    tip.textContent = text;
    tip.style.left = Math.min(e.clientX + 12, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = e.clientY + 14 + "px";
  });
  lanes.addEventListener("pointerleave", () => { tip.hidden = true; });

  // What is true at this moment.
  function latest(list, t) {
    let lo = 0, hi = list.length;
    while (lo < hi) { const m = (lo + hi) >> 1; if (list[m].t <= t + 1e-6) lo = m + 1; else hi = m; }
    return lo ? list[lo - 1] : null;
  }
  const sorted = (list) => (list || []).slice().sort((a, b) => a.t - b.t);
  const nearest = (list, t) => {
    // Scores stand at the centre of what they were made from, and speak for the time
    // nearest to it, at most a hop away, as in the video.
    const a = latest(list, t);
    const b = list[a ? list.indexOf(a) + 1 : 0];
    const s = !a ? b : !b || t - a.t < b.t - t ? a : b;
    return s && Math.abs(t - s.t) <= list.hop ? s : null;
  };
  const withHop = (list) => Object.assign(list, { hop: list.reduce((hop, s) => Math.max(hop, s.d || 1), 0) });
  const sounds = withHop(sorted((data.sounds || []).length ? data.sounds : data.objects)), scenes = withHop(sorted(data.scenes));
  const captions = sorted(data.captions), faces = sorted(data.faces);
  const meters = (box, title, s) => {
    box.textContent = "";
    if (!s) return;
    box.append(el("h3", "", title));
    if (s.silent) { box.append(el("div", "none", "silence")); return; }
    for (const [label, p] of s.top.slice(0, 5).filter(([, p], i) => !i || p >= 0.005)) {
      const m = el("div", "meter"), i = el("i");
      m.style.setProperty("--p", p);
      m.style.setProperty("--c", colour(label));
      m.append(el("span", "", label), el("span", "", share(p)), i);
      box.append(m);
    }
    if (s.short) box.append(el("div", "none", "window padded: less sound than the network is made for"));
  };
  const was = {};
  function show() {
    if (hasVideo && !video.seeking) at = Math.min(video.currentTime, length);
    head.style.left = pct(at);
    $("clock").textContent = clock(at);
    const cap = latest(captions, at), snd = nearest(sounds, at), scn = nearest(scenes, at);
    const fce = faces.find((f) => f.t <= at && at < f.t + f.d);
    if (was.cap !== cap) {
      $("now-caption").textContent = "";
      if (cap) $("now-caption").append(el("h3", "", "Caption"), el("p", "", cap.text));
    }
    if (was.snd !== snd) meters($("now-sounds"), "Sounds like", snd);
    if (was.scn !== scn) meters($("now-scene"), "Scene by ear", scn);
    if (was.fce !== fce) { $("now-face").textContent = ""; if (fce) $("now-face").append(portrait(fce)); }
    Object.assign(was, { cap, snd, scn, fce });
  }
  function portrait(f) {
    const fig = el("figure"), img = el("img");
    img.src = f.image;
    img.alt = f.notice;
    fig.append(img, el("figcaption", "", `${f.voice ? "Voice " + f.voice + ": " : ""}${f.notice}, from ${f.used.toFixed(1)} s of speech`));
    return fig;
  }

  // The captions with their attention.
  if (captions.length) {
    $("captions").hidden = false;
    const list = document.querySelector("#captions ol");
    for (const c of captions) {
      const li = el("li"), shot = el("button", "shot"), canvas = el("canvas");
      shot.onclick = () => { seek(c.t); scrollTo({ top: 0, behavior: "smooth" }); };
      shot.setAttribute("aria-label", "Go to " + clock(c.t));
      if (c.thumb) {
        const img = el("img");
        img.src = c.thumb;
        img.alt = "";
        img.loading = "lazy";
        shot.append(img, canvas);
        li.append(shot);
      }
      const words = el("div", "words");
      const list2 = c.words && c.words.length ? c.words : [[c.text, null, ""]];
      list2.forEach(([text, p, attention], i) => {
        const w = el("span", "", text);
        if (p !== null) w.title = share(p);
        if (attention && c.thumb && c.w > 0 && c.h > 0) {
          w.tabIndex = 0;
          const on = () => { paint(canvas, attention, c.w, c.h); shot.classList.add("on"); };
          const off = () => shot.classList.remove("on");
          w.onmouseenter = w.onfocus = on;
          w.onmouseleave = w.onblur = off;
        }
        if (i) words.append(" ");
        words.append(w);
      });
      const when = el("time", "", clock(c.t));
      li.append(words, when);
      list.append(li);
    }
  }
  function paint(canvas, grid, w, h) {
    canvas.width = w;
    canvas.height = h;
    const raw = atob(grid), g = canvas.getContext("2d"), px = g.createImageData(w, h);
    for (let i = 0; i < w * h; i++) {
      const v = raw.charCodeAt(i) || 0;
      px.data.set([255, Math.round(v * 0.72), 40, v], 4 * i);
    }
    g.putImageData(px, 0, 0);
  }
  if (faces.length) {
    $("faces").hidden = false;
    for (const f of faces) document.querySelector("#faces > div").append(portrait(f));
  }

  // About the run.
  const table = (rows) => {
    const t = el("table");
    for (const [k, v] of rows) { const r = el("tr"); r.append(el("th", "", k), el("td", "", v)); t.append(r); }
    return t;
  };
  $("about").append(table([...(data.streams || []).map((s, i) => [i ? "" : "Streams", s]), ...(data.facts || [])]));
  if ((data.models || []).length) $("about").append(table(data.models.map((m) => [`${m.family}: ${m.name} ${m.version}`, `${m.license ? m.license + " · " : ""}sha256 ${m.sha256}`])));

  addEventListener("keydown", (e) => {
    if (e.target instanceof HTMLButtonElement || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === " " && hasVideo && e.target !== video) { video.paused ? video.play() : video.pause(); e.preventDefault(); }
    else if (e.key === "ArrowLeft" && e.target !== video) seek(at - 1);
    else if (e.key === "ArrowRight" && e.target !== video) seek(at + 1);
    else if (e.key === "+") setZoom(zoom * 2);
    else if (e.key === "-") setZoom(zoom / 2);
  });
  for (const ev of ["timeupdate", "seeked", "loadedmetadata"]) video.addEventListener(ev, show);
  const tick = () => { if (!video.paused) show(); requestAnimationFrame(tick); };
  if (hasVideo) tick();
  // report.html#t=12.5 opens at that second.
  const asked = /^#t=(\d+(\.\d+)?)$/.exec(location.hash);
  setZoom(1);
  if (asked) seek(Number(asked[1]));
  show();
})();

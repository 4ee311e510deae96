import assert from "node:assert/strict";
import test from "node:test";

import { index, jump, pick } from "../page/dvr.js";
import { Rows, loudness, spans } from "../page/sounds.js";
import { Store, after, between, latest } from "../page/state.js";
import { Scale, fitting, lasting, segments, stretches } from "../page/timeline.js";

test("a place on the line is a time, and back", () => {
  const s = new Scale(100, 700, 1200);
  for (const x of [0, 1, 600, 1199, 1200]) assert.ok(Math.abs(s.x(s.t(x)) - x) < 1e-9);
  assert.equal(s.t(-50), 100);
  assert.equal(s.t(5000), 700);
  assert.equal(new Scale(5, 5, 0).t(10), new Scale(5, 5, 0).to);
});

test("ticks stand on even steps back from now, with room", () => {
  for (const [span, width] of [[60, 320], [600, 320], [600, 1600], [120, 700]]) {
    const s = new Scale(1000 - span, 1000, width), ticks = s.ticks(1000);
    assert.equal(ticks[0].back, 0);
    for (let i = 1; i < ticks.length; i++) assert.ok(s.x(ticks[i - 1].t) - s.x(ticks[i].t) >= 60);
    assert.ok(ticks.every((k) => k.t >= s.from && k.t <= s.to));
  }
});

test("the span grows with what is known", () => {
  assert.deepEqual([0, 59, 61, 250, 599, 9000].map(fitting), [60, 60, 120, 300, 600, 600]);
});

test("results in a row that agree are one segment, a gap parts them", () => {
  const at = (/** @type {number} */ t, /** @type {string} */ label, p = 0.5) => ({ t, label, p });
  const got = segments([at(0, "dog"), at(0.5, "dog", 0.9), at(1, "cat"), at(1.5, ""), at(2, "dog"), at(9, "dog")], (r) => (r.label ? r : null));
  assert.deepEqual(got.map((s) => [s.label, s.from, s.to]), [["dog", -1, 0.75], ["cat", 0.75, 1.25], ["dog", 1.75, 3], ["dog", 8, 10]]);
  assert.equal(got[0].p, 0.9);
});

test("a caption lasts until the next", () => {
  const got = lasting([{ t: 0, dur: 0.04 }, { t: 4, dur: 0.04 }, { t: 90, dur: 0.04 }], () => "x", 100);
  assert.deepEqual(got.map((s) => [s.from, s.to]), [[0, 4], [4, 19], [90, 100]]);
});

test("speech that touches is one stretch, another voice is another", () => {
  const at = (/** @type {number} */ t, /** @type {string} */ label) => ({ t, dur: 0.4, label, p: t });
  const got = stretches([at(0, "a"), at(0.4, "a"), at(0.8, "b"), at(1.2, "b"), at(5, "b")], (r) => r.label, (r) => r.p);
  assert.deepEqual(got.map((s) => [s.label, s.from, +s.to.toFixed(3), s.p]), [["a", 0, 0.8, 0.4], ["b", 0.8, 1.6, 1.2], ["b", 5, 5.4, 5]]);
});

test("each result speaks until half way to the next", () => {
  assert.deepEqual(spans([{ t: 0 }, { t: 1 }, { t: 5 }], 1), [[-1, 0.5], [0.5, 2], [4, 6]]);
  assert.deepEqual(spans([], 1), []);
});

test("rows do not dance: a class keeps its row while it is among the loudest", () => {
  const rows = new Rows(2), r = (/** @type {number} */ t, /** @type {Record<string, number>} */ c) =>
    ({ t, sound: { silent: false, rms: 0, objects: [], scenes: [], events: Object.entries(c).map(([label, p]) => ({ label, p })) } });
  const list = [r(0, { a: 0.9, b: 0.5 })];
  assert.deepEqual(rows.update(list, 0), ["a", "b"]);
  list.push(r(1, { b: 0.9, a: 0.2 }));
  assert.deepEqual(rows.update(list, 1), ["a", "b"]);
  list.push(r(2, { c: 1 }), r(3, { c: 1 }), r(4, { c: 1 }));
  const after3 = rows.update(list, 4);
  assert.ok(after3.includes("c") && after3.indexOf("b") === 1);
  assert.deepEqual(rows.update([], 100), [null, null]);
});

test("loudness of full scale is all, of silence nothing", () => {
  assert.equal(loudness(1), 1);
  assert.equal(loudness(0), 0);
  assert.equal(loudness(1e-9), 0);
  assert.ok(Math.abs(loudness(0.0316228) - 0.5) < 1e-4);
});

const cut = (/** @type {number} */ t) => ({
  type: "result", kind: "cut", t, dur: 0, seg: 0, rtp: 0, lag: 0.1, wall: NaN, model: "", fixture: false, short: false, cut: { strength: 1 },
});

test("results stand in order whatever order they come in, once each, ten minutes of them", () => {
  const s = new Store(), times = [...Array(2000).keys()].map((i) => (i * 7919) % 2000);
  for (const t of times) s.add(cut(t));
  for (const t of times.slice(0, 50)) s.add(cut(1999 - (t % 100)));
  const got = s.lists.cut.map((r) => r.t);
  assert.deepEqual(got, got.slice().sort((a, b) => a - b));
  assert.equal(new Set(got).size, got.length);
  assert.ok(got[0] >= 1999 - 631 && got.at(-1) === 1999);
  assert.equal(latest(s.lists.cut, 1800.5)?.t, 1800);
  assert.deepEqual(between(s.lists.cut, 1800, 1802).map((r) => r.t), [1800, 1801, 1802]);
  assert.equal(latest(s.lists.cut, 3), null);
});

test("a source whose time starts over is another run", () => {
  const s = new Store(), hello = (/** @type {number} */ t) => ({ type: "hello", source: "", title: "", streams: [], models: [], base: 1, delay: 0, t });
  s.take(hello(0));
  s.add(cut(500));
  s.take(hello(501));
  assert.equal(s.lists.cut.length, 1);
  s.take(hello(1));
  assert.equal(s.lists.cut.length, 0);
  assert.equal(after([], 1), 0);
});

test("an index of recordings: what cannot be used is left out", () => {
  const inits = [{ name: "init-0.mp4", codecs: "avc1.42c01f", rotation: 90 }, { name: "../x.mp4", codecs: "a" }];
  const seg = { name: "1.m4s", init: "init-0.mp4", t: 10, dur: 2, start: 4 };
  const got = index({ inits, segments: [{ ...seg, name: "2.m4s", t: 12 }, seg, { ...seg, name: "a/b.m4s" }, { ...seg, init: "other.mp4" }, { ...seg, t: "1" }, { ...seg, dur: 0 }, null] });
  assert.deepEqual(got.segments.map((s) => s.name), ["1.m4s", "2.m4s"]);
  assert.deepEqual(got.inits, [{ name: "init-0.mp4", codecs: "avc1.42c01f", rotation: 90 }]);
  assert.deepEqual(index(null), { inits: [], segments: [] });
  assert.deepEqual([0, 10, 11.9, 12, 13.9, 14].map((t) => pick(got.segments, t)), [0, 0, 0, 1, 1, -1]);
});

test("a playhead before a gap jumps over it", () => {
  const ranges = /** @type {[number, number][]} */ ([[10, 12], [15, 20]]);
  assert.equal(jump(ranges, 11), null);
  assert.equal(jump(ranges, 9), 10);
  assert.equal(jump(ranges, 11.97), 15);
  assert.equal(jump(ranges, 13), 15);
  assert.equal(jump(ranges, 19.99), null);
  assert.equal(jump([], 3), null);
});

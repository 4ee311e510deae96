import assert from "node:assert/strict";
import test from "node:test";

import { diff } from "../page/clock.js";
import { Matcher, following } from "../page/match.js";

const FRAME = 3600; // of 25 frames a second

test("a result is drawn on its own frame and held until the next one's", () => {
  for (const start of [0, 1000, 0xffffffff - 4 * FRAME]) {
    const m = new Matcher(), at = (/** @type {number} */ n) => (start + n * FRAME) >>> 0;
    for (const n of [0, 5, 10]) assert.equal(m.add(at(n), n), "ahead");
    for (let n = 0; n < 13; n++) {
      const got = m.frame(at(n));
      assert.equal(got?.value, n - (n % 5), `frame ${n} from ${start}`);
      assert.equal(got?.exact, n % 5 === 0);
      assert.equal(got?.age, (n % 5) * FRAME);
    }
    assert.deepEqual([m.exact, m.late, m.skipped], [3, 0, 0]);
  }
});

test("a result after its frame is late and drawn nowhere", () => {
  const m = new Matcher();
  m.frame(10 * FRAME);
  assert.equal(m.add(9 * FRAME, "old"), "late");
  assert.equal(m.frame(11 * FRAME), null);
  assert.deepEqual([m.exact, m.late, m.skipped], [0, 1, 0]);
});

test("over the wrap late is late, ahead is ahead", () => {
  const m = new Matcher();
  m.frame(10);
  assert.equal(m.add(0xfffffff0, "before"), "late");
  assert.equal(m.add(20, "after"), "ahead");
});

test("a result for the frame shown is on time", () => {
  const m = new Matcher();
  m.frame(5 * FRAME);
  assert.equal(m.add(5 * FRAME, "it"), "now");
  assert.deepEqual(m.frame(5 * FRAME), { value: "it", exact: true, age: 0 });
  m.frame(5 * FRAME);
  assert.equal(m.exact, 1);
});

test("a result before its frame is never drawn early", () => {
  const m = new Matcher();
  m.add(5 * FRAME, "it");
  for (let n = 0; n < 5; n++) assert.equal(m.frame(n * FRAME), null);
  assert.equal(m.frame(5 * FRAME)?.value, "it");
});

test("what is held goes when the next one should have come", () => {
  const m = new Matcher();
  for (let n = 0; n <= 50; n += 5) m.add(n * FRAME, n);
  for (let n = 0; n <= 50; n++) m.frame(n * FRAME);
  let last = 50;
  for (let n = 51; n < 100; n++) if (m.frame(n * FRAME)) last = n;
  assert.ok(last >= 55 && last <= 58, `held until frame ${last}`);
});

test("the same within a tick or two, as two roundings of one time may differ", () => {
  const m = new Matcher();
  m.add(1000, "a");
  assert.deepEqual(m.frame(999), { value: "a", exact: true, age: 0 });
});

test("a frame that is skipped leaves its result to the next, not as its own", () => {
  const m = new Matcher();
  m.add(FRAME, 1);
  m.add(2 * FRAME, 2);
  m.frame(0);
  const got = m.frame(3 * FRAME);
  assert.equal(got?.value, 2);
  assert.equal(got?.exact, false);
  assert.deepEqual([m.exact, m.late, m.skipped], [0, 0, 2]);
});

test("results in any order, frames with jitter: never on a frame before its own, never counted twice", () => {
  let seed = 7;
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let round = 0; round < 60; round++) {
    const m = new Matcher(), start = Math.floor(random() * 2 ** 32), lag = Math.floor(random() * 12);
    const arrivals = [];
    let made = 0;
    for (let n = 0; n < 200; n += 3) arrivals.push({ n, when: n + lag + random() * 6 - 8 }), made++;
    arrivals.sort((a, b) => a.when - b.when);
    let answered = 0;
    for (let n = 0; n < 240; n++) {
      while (arrivals.length && arrivals[0].when <= n) {
        const a = arrivals.shift();
        if (m.add((start + a.n * FRAME) >>> 0, a.n) === "late") answered++;
      }
      if (random() < 0.1) continue; // a browser skips frames
      const rtp = (start + n * FRAME) >>> 0, got = m.frame(rtp);
      if (!got) continue;
      assert.ok(got.value <= n);
      assert.equal(got.exact, got.value === n);
      assert.equal(diff(rtp, (start + got.value * FRAME) >>> 0), got.age);
    }
    assert.equal(m.late, answered);
    assert.equal(m.exact + m.late + m.skipped, made);
  }
});

test("what is to come is bounded", () => {
  const m = new Matcher({ limit: 10 });
  for (let n = 0; n < 1000; n++) m.add(n * FRAME, n);
  assert.equal(m.skipped, 990);
  assert.equal(m.frame(995 * FRAME)?.value, 995);
});

test("the still of a caption is of its own frame or of one after it, never before", () => {
  for (const start of [0, 0xffffffff - 4 * FRAME]) {
    const at = (/** @type {number} */ n) => (start + n * FRAME) >>> 0;
    assert.equal(following([at(0), at(6), at(12)], at(6), 9 * FRAME), 1, "its own");
    assert.equal(following([at(0), at(6) - 1, at(12)], at(6), 9 * FRAME), 1, "its own, rounded");
    assert.equal(following([at(5), at(12), at(8)], at(6), 9 * FRAME), 2, "the first after a cut");
    assert.equal(following([at(0), at(5)], at(6), 9 * FRAME), -1, "only frames before it");
    assert.equal(following([at(15)], at(6), 9 * FRAME), -1, "too long after it");
    assert.equal(following([], at(6), 9 * FRAME), -1, "none");
  }
});

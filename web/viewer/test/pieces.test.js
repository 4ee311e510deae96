import assert from "node:assert/strict";
import test from "node:test";

import { Backoff } from "../page/backoff.js";
import { action } from "../page/keys.js";
import { EventParser } from "../page/sse.js";

test("events come out whole, however the stream is cut", () => {
  const stream = "\ufeff: hello\r\n\r\nevent: result\nid: 7\ndata: {\"a\":1}\n\ndata:x\rdata: y\r\revent\ndata\n\nevent: none\n\n";
  const want = [{ event: "result", id: "7", data: '{"a":1}' }, { event: "message", id: "7", data: "x\ny" }, { event: "message", id: "7", data: "" }];
  for (let size = 1; size < stream.length + 1; size++) {
    const p = new EventParser(), got = [];
    for (let i = 0; i < stream.length; i += size) got.push(...p.push(stream.slice(i, i + size)));
    assert.deepEqual(got, want, `pieces of ${size}`);
  }
});

test("an event without an end does not fill memory", () => {
  const p = new EventParser(), piece = "data: " + "x".repeat(1 << 20) + "\n";
  assert.throws(() => { for (let i = 0; i < 8; i++) p.push(piece); });
  const q = new EventParser();
  assert.throws(() => { for (let i = 0; i < 8; i++) q.push("x".repeat(1 << 20)); });
});

test("waits double to two seconds, with jitter, and start over", () => {
  for (const random of [() => 0, () => 0.999]) {
    const b = new Backoff(random), waits = Array.from({ length: 12 }, () => b.next());
    assert.ok(waits[0] >= 125 && waits[0] <= 250);
    for (let i = 1; i < waits.length; i++) assert.ok(waits[i] >= waits[i - 1]);
    assert.ok(waits.at(-1) >= 1000 && waits.at(-1) <= 2000);
    b.reset();
    assert.equal(b.next(), waits[0]);
  }
});

test("keys of ours, and those of the browser", () => {
  const key = (/** @type {string} */ k, more = {}) => action({ key: k, ctrlKey: false, metaKey: false, altKey: false, ...more });
  assert.equal(key("L"), "live");
  assert.equal(key("3"), 3);
  assert.equal(key("Escape"), "wall");
  assert.equal(key("="), "narrower");
  assert.equal(key("q"), null);
  assert.equal(key("l", { ctrlKey: true }), null);
  assert.equal(key("Tab"), null);
});

import assert from "node:assert/strict";
import test from "node:test";

import { HEADER, MAX_CHUNK, MAX_MESSAGE, ProtocolError, Reassembler, grid, message, result } from "../page/protocol.js";

const utf8 = new TextEncoder();

/** Chunks of a message as the server makes them. */
function chunks(number, body, size = MAX_CHUNK - HEADER) {
  const bytes = typeof body === "string" ? utf8.encode(body) : body;
  const count = Math.max(1, Math.ceil(bytes.length / size)), out = [];
  for (let i = 0; i < count; i++) out.push(chunk({ number, index: i, count, body: bytes.slice(i * size, (i + 1) * size) }));
  return out;
}

function chunk({ magic = 0x5348, version = 1, flags = 0, number = 1, index = 0, count = 1, body = utf8.encode("{}") }) {
  const b = new ArrayBuffer(HEADER + body.length), v = new DataView(b);
  v.setUint16(0, magic);
  v.setUint8(2, version);
  v.setUint8(3, flags);
  v.setUint32(4, number);
  v.setUint16(8, index);
  v.setUint16(10, count);
  new Uint8Array(b, HEADER).set(body);
  return b;
}

test("a message of one chunk", () => {
  assert.deepEqual(new Reassembler().push(chunks(1, '{"type":"bye","reason":"ä"}')[0]), { type: "bye", reason: "ä" });
});

test("the example of docs/protocol.md", () => {
  const json = '{"type":"result","rtp":136000,"t":1.500000,"dur":0.040000,"seg":0,"kind":"cut","lag":0.120000,"cut":{"strength":1.0000}}';
  const [c] = chunks(5, json);
  assert.deepEqual([...new Uint8Array(c, 0, HEADER)], [0x53, 0x48, 1, 0, 0, 0, 0, 5, 0, 0, 0, 1]);
  const m = message(new Reassembler().push(c));
  assert.equal(m.kind, "cut");
  assert.equal(m.rtp, 136000);
  assert.equal(m.t, 1.5);
  assert.equal(m.lag, 0.12);
  assert.deepEqual(m.cut, { strength: 1 });
});

test("a message cut anywhere, within a character too, comes out whole", () => {
  const o = { text: "Möwe 🐦 ".repeat(6) };
  for (let size = 1; size < 40; size++) {
    const r = new Reassembler(), parts = chunks(7, JSON.stringify(o), size);
    parts.slice(0, -1).forEach((c) => assert.equal(r.push(c), null));
    assert.deepEqual(r.push(parts.at(-1)), o);
  }
});

test("numbers may jump ahead and wrap, never stand or go back", () => {
  const r = new Reassembler();
  for (const n of [0xfffffffe, 0xffffffff, 0, 1, 900]) assert.deepEqual(r.push(chunk({ number: n })), {});
  assert.throws(() => new Reassembler().push(chunk({ index: 1, count: 2 })), ProtocolError);
  for (const n of [900, 899, 1]) {
    const again = new Reassembler();
    again.push(chunk({ number: 900 }));
    assert.throws(() => again.push(chunk({ number: n })), ProtocolError);
  }
});

const hostile = {
  "nothing": new ArrayBuffer(0),
  "half a header": new ArrayBuffer(7),
  "a header alone": chunk({ body: new Uint8Array(0) }),
  "too long": chunk({ body: new Uint8Array(MAX_CHUNK - HEADER + 1) }),
  "other magic": chunk({ magic: 0x4853 }),
  "another version": chunk({ version: 2 }),
  "flags": chunk({ flags: 1 }),
  "no chunks": chunk({ count: 0 }),
  "past its count": chunk({ index: 3, count: 3 }),
  "a count that would fill memory": chunk({ count: 65535 }),
  "starting in the middle": chunk({ index: 1, count: 3 }),
  "no JSON": chunk({ body: utf8.encode("{") }),
  "an array": chunk({ body: utf8.encode("[1]") }),
  "null": chunk({ body: utf8.encode("null") }),
  "no UTF-8": chunk({ body: Uint8Array.of(0x7b, 0xff, 0x7d) }),
};
for (const [name, bytes] of Object.entries(hostile)) {
  test(`hostile: ${name} is refused, and so is all after it`, () => {
    const r = new Reassembler();
    assert.throws(() => r.push(bytes), ProtocolError);
    assert.throws(() => r.push(chunk({ number: 2 })), ProtocolError);
  });
}

test("hostile: chunks out of order, twice, of another message between", () => {
  const [a, b, c] = chunks(1, "x".repeat(30), 10);
  for (const order of [[a, c], [a, a], [a, b, b], [a, chunk({ number: 2 })], [a, chunk({ number: 1, index: 1, count: 9 })]]) {
    const r = new Reassembler();
    assert.throws(() => order.forEach((x) => r.push(x)), ProtocolError);
  }
});

test("hostile: a message never holds more than its limit", () => {
  const r = new Reassembler(), most = Math.ceil(MAX_MESSAGE / (MAX_CHUNK - HEADER)), body = new Uint8Array(MAX_CHUNK - HEADER).fill(32);
  assert.throws(() => {
    for (let i = 0; i < most; i++) r.push(chunk({ index: i, count: most, body }));
  }, ProtocolError);
});

test("random bytes end in an error of ours or in an object, never otherwise", () => {
  let seed = 12345;
  const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32;
  for (let i = 0; i < 3000; i++) {
    const b = new Uint8Array(Math.floor(random() * 64)).map(() => random() * 256);
    if (b.length > HEADER && random() < 0.7) new DataView(b.buffer).setUint32(0, 0x53480100);
    try {
      const o = new Reassembler().push(b.buffer);
      assert.ok(o === null || (typeof o === "object" && !Array.isArray(o)));
    } catch (e) {
      assert.ok(e instanceof ProtocolError, String(e));
    }
  }
});

test("a grid is exactly its cells, or nothing", () => {
  const b64 = Buffer.from([0, 1, 2, 255, 4, 5]).toString("base64");
  assert.deepEqual([...grid(b64, 3, 2)], [0, 1, 2, 255, 4, 5]);
  for (const [v, w, h] of [[b64, 2, 2], [b64, 4, 2], ["%%%%", 1, 1], [7, 3, 2], [b64, 0, 6], [b64, NaN, 2], [b64, 1e9, 1e9], ["A".repeat(1e6), 3, 2]]) assert.equal(grid(v, w, h), null);
});

test("a result that is not what it says is no result", () => {
  const base = { t: 1, dur: 0.5, seg: 0, kind: "sound", sound: { rms: 0.1 } };
  assert.ok(result(base));
  for (const bad of [{ t: "1" }, { t: NaN }, { kind: "smell" }, { kind: "constructor" }, { kind: "__proto__" }, { kind: 3 }, { sound: null }, { sound: [1] }, { kind: "heatmap", heatmap: { w: 2, h: 2, grid: "AA==" } }]) {
    assert.equal(result({ ...base, ...bad }), null, JSON.stringify(bad));
  }
});

test("what stands in a result is bounded", () => {
  const r = result({
    t: 1, dur: -4, kind: "sound", rtp: 2 ** 32, lag: "soon", wall: "yesterday",
    sound: { rms: null, events: [{ label: "<img src=x>", p: 7 }, { label: "b".repeat(1000), p: null }, { p: 1 }, null, ...new Array(500).fill({ label: "c", p: 0.1 })] },
  });
  assert.equal(r.dur, 0);
  assert.equal(r.rtp, null);
  assert.ok(Number.isNaN(r.lag) && Number.isNaN(r.wall));
  assert.deepEqual(r.sound.events[0], { label: "<img src=x>", p: 1 });
  assert.equal(r.sound.events[1].label.length, 120);
  assert.equal(r.sound.events[1].p, 0);
  assert.ok(r.sound.events.length <= 32);
});

test("hello, status, and what is new", () => {
  assert.throws(() => message({ type: "hello", seehear: 2, rtp_base: 0 }), ProtocolError);
  assert.throws(() => message({ type: "hello", seehear: 1, rtp_base: -1 }), ProtocolError);
  const h = message({
    type: "hello", seehear: 1, source: "door", title: "Door", rtp_base: 4294967295, clock: 90000, sync_delay: 0.4, t: 12,
    streams: [{ kind: "video", codec: "h264", width: 640, height: 360 }, { kind: "audio", codec: "aac", sample_rate: 44100, channels: 2 }],
    models: [{ family: "sound", name: "s", version: "1", sha256: "00", fixture: true }],
  });
  assert.deepEqual(h.streams, ["h264 640×360", "aac 44.1 kHz, 2 ch"]);
  assert.equal(h.models[0].fixture, true);
  const s = message({ type: "status", state: "running", drops: { moments: 3, events: -1 }, sync: { offset_ms: -12.5 }, speed: { a: 20 } });
  assert.deepEqual(s.drops, [["moments", 3], ["events", 0]]);
  assert.equal(s.sync.offset, -12.5);
  assert.ok(Number.isNaN(s.sync.drift));
  assert.deepEqual(s.missing, []);
  assert.deepEqual(message({ type: "status", state: "running", missing: ["audio", 7] }).missing, ["audio", ""]);
  assert.equal(message({ type: "tomorrow" }), null);
  assert.deepEqual(message({ type: "dropped", count: 3, total: 9 }), { type: "dropped", count: 3 });
});

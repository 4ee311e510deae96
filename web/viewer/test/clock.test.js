import assert from "node:assert/strict";
import test from "node:test";

import { clockText, diff, isRTP, rtpOf, timeOf } from "../page/clock.js";

test("the difference goes the short way round", () => {
  assert.equal(diff(5, 3), 2);
  assert.equal(diff(3, 5), -2);
  assert.equal(diff(1, 0xffffffff), 2);
  assert.equal(diff(0xffffffff, 1), -2);
  assert.equal(diff(0x7fffffff, 0), 0x7fffffff);
});

test("RTP time of a stamp, as the server makes it", () => {
  // (base + floor(ns * 90000 / 1e9)) mod 2^32 from nanoseconds, against seconds with six decimals.
  for (const base of [0, 1000, 0xfffffff0, 0x80000000]) {
    for (let i = 0; i < 5000; i++) {
      const ns = BigInt(i) * 1001000000n / 30n + BigInt(i % 7) * 3600_000_000_000n;
      const want = Number((BigInt(base) + (ns * 90000n) / 1000000000n) % (1n << 32n));
      const t = Math.round(Number(ns) / 1000) / 1e6;
      const off = diff(rtpOf(base, t), want);
      assert.ok(Math.abs(off) <= 1, `base ${base}, ${t} s: ${off} ticks`);
    }
  }
});

test("time of an RTP time, over the wrap and after a day", () => {
  const base = 0xffff0000;
  for (const t of [0, 0.04, 1.5, 47721.8, 47722.9, 86400.25, 400000]) {
    for (const ahead of [-2, -0.04, 0, 0.033, 20]) {
      assert.ok(Math.abs(timeOf(rtpOf(base, t + ahead), base, t) - (t + ahead)) < 2 / 90000);
    }
  }
});

test("what is an RTP time", () => {
  for (const v of [0, 1, 0xffffffff]) assert.ok(isRTP(v));
  for (const v of [-1, 2 ** 32, 1.5, NaN, "1", null, undefined]) assert.ok(!isRTP(v));
});

test("minutes and seconds", () => {
  assert.equal(clockText(0), "0:00");
  assert.equal(clockText(59.96, 1), "1:00.0");
  assert.equal(clockText(187.04, 1), "3:07.0");
  assert.equal(clockText(9.94, 1), "0:09.9");
  assert.equal(clockText(3723), "1:02:03");
  assert.equal(clockText(-3), "0:00");
});

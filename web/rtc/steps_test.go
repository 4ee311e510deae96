package rtc

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However stamps are rounded and whatever the sender's clock does, a packet begins
// where the one before ended, unless it is 10 ms off by its stamp.
func TestSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s steps
		base := rapid.Uint32().Draw(t, "base")
		drift := rapid.Float64Range(-200, 200).Draw(t, "ppm")
		noise := rapid.SliceOfN(rapid.Int64Range(-2, 2), 1, 50).Draw(t, "noise in ns")
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int64{120, 240, 480, 960, 1920, 2880}), 1, 10).Draw(t, "lengths")
		var total, jumps int64
		var last, expected uint32
		for i := range 3000 {
			at := time.Duration(float64(total)/AudioRate*1e9*(1+drift/1e6)) + time.Duration(noise[i%len(noise)])
			ts := RTPTime(base, AudioRate, at)
			out := s.next(ts)
			if i > 0 && out != expected {
				jumps++
				if off := int32(ts - expected); off <= stepSlack && off >= -stepSlack {
					t.Fatalf("packet %d is at %d, not at %d, although its stamp is only %d ticks off", i, out-base, expected-base, off)
				}
			}
			if off := int32(ts - out); off > stepSlack || off < -stepSlack {
				t.Fatalf("packet %d is %d ticks off its stamp", i, off)
			}
			if i > 0 && int32(out-last) <= 0 {
				t.Fatalf("packet %d does not come after the one before", i)
			}
			size := sizes[i%len(sizes)]
			last, expected, total = out, out+uint32(size), total+size
		}
		if most := int64(float64(total)*max(drift, -drift)/1e6)/stepSlack + 1; jumps > most {
			t.Fatalf("%d jumps, drift asks for %d", jumps, most)
		}
	})
}

// Holes and stamps that go back are kept.
func TestStepsJump(t *testing.T) {
	var s steps
	for _, c := range [][2]uint32{{1000, 1000}, {1961, 1960}, {2919, 2920}, {102_999, 103_000}, {4119, 4120}, {5080, 5080}, {6050, 6040}, {7300, 7240}, {8400, 8320}, {8800, 8680}} {
		if got := s.next(c[0]); got != c[1] {
			t.Errorf("%d becomes %d, not %d", c[0], got, c[1])
		}
	}
}

package sync

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seehear/seehear/infer"
)

// duel is a trial of the benchmark: two things alike in what they do, one with
// the clicks, the other at other times.
type duel struct {
	clip
	right, wrong *thing
	fps          float64
	contrast     float64 // of the right thing with what is behind it, mean levels
	noise        float64
}

func newDuel(seed uint64, apart time.Duration) *duel {
	rng := rand.New(rand.NewPCG(seed, 77))
	dur := 4 * time.Second
	on := beats(rng, dur)
	off := beats(rng, dur)
	if apart > 0 {
		off = between(rng, on, apart)
	}
	jitter := make([]time.Duration, len(on))
	for i, t := range on {
		jitter[i] = max(0, t+time.Duration((2*rng.Float64()-1)*float64(20*time.Millisecond)))
	}
	d := &duel{fps: []float64{10, 12, 15, 20, 24, 25, 29.97, 30}[rng.IntN(8)]}
	d.right = newThing(rng, jitter)
	for {
		d.wrong = newThing(rng, off)
		dx, dy := d.wrong.x-d.right.x, d.wrong.y-d.right.y
		if gap := 3.0 * side; dx*dx > sq(d.wrong.rx+d.right.rx+gap) || dy*dy > sq(d.wrong.ry+d.right.ry+gap) {
			break
		}
	}
	d.wrong.kind, d.wrong.hold = d.right.kind, d.right.hold
	back := newTexture(rng, 10+30*rng.Float64())
	noise := 4 * rng.Float64()
	d.dur = dur
	d.contrast, d.noise = math.Abs(d.right.skin.base-back.base), noise
	d.times = steady(dur, d.fps)
	d.sound = clicks(rng, dur, on, 0.0003*float64(1+rng.IntN(10)))
	base := make([]float64, imageW*imageH)
	back.paint(base, 0, 0)
	img := make([]float64, len(base))
	d.draw = func(pix []byte, at time.Duration) {
		copy(img, base)
		d.right.paint(img, at)
		d.wrong.paint(img, at)
		film(rng, pix, img, noise)
	}
	return d
}

func sq(v float64) float64 { return v * v }

// verdict returns the place of the strongest heat over a whole clip, and how
// many maps' own peaks lie on the right thing, on the wrong one, and elsewhere.
func verdict(d *duel, evs []infer.Event) (right bool, on, off, other, dark int) {
	var sum [cells]int
	for _, ev := range evs {
		h := ev.Payload.(*infer.Heatmap)
		if h.Gated != "" {
			dark++
			continue
		}
		for i, v := range h.Grid {
			sum[i] += int(v)
		}
		switch {
		case d.right.holds(h.X, h.Y):
			on++
		case d.wrong.holds(h.X, h.Y):
			off++
		default:
			other++
		}
	}
	best := 0
	for i, v := range sum {
		if v > sum[best] {
			best = i
		}
	}
	x, y := (float64(best%gridW)+0.5)/gridW, (float64(best/gridW)+0.5)/gridH
	return sum[best] > 0 && d.right.holds(x, y), on, off, other, dark
}

// Of two moving things, the one that moves with the clicks.
func TestTheOneThatMovesWithTheClicks(t *testing.T) {
	f := family(t, Config{})
	for _, c := range []struct {
		name  string
		apart time.Duration
	}{{"at other times", 150 * time.Millisecond}, {"at independent times", 0}} {
		right, on, off, other, dark := 0, 0, 0, 0, 0
		for seed := range uint64(trials) {
			d := newDuel(seed, c.apart)
			ok, a, b, e, g := verdict(d, run(t, f, &d.clip))
			if ok {
				right++
			} else {
				t.Logf("seed %d: wrong: %.4g fps, contrast %.0f noise %.1f, kind %d, right %.0fx%.0f d %.1f,%.1f, %d clicks, hold %v, maps %d %d %d, dark %d",
					seed, d.fps, d.contrast, d.noise, d.right.kind, d.right.rx, d.right.ry, d.right.dx, d.right.dy, len(d.right.moves), d.right.hold, a, b, e, g)
			}
			on, off, other, dark = on+a, off+b, other+e, dark+g
		}
		t.Logf("%s: %d of %d clips; of single maps %d on it, %d on the other, %d elsewhere (%.1f %%), %d dark",
			c.name, right, trials, on, off, other, 100*float64(on)/float64(on+off+other), dark)
		if 100*right < 95*trials {
			t.Errorf("%s: %d of %d", c.name, right, trials)
		}
	}
}

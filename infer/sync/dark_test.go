package sync

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seehear/seehear/infer"
)

// What has nothing to do with the sound stays dark: none of these may show more
// than a trace, in more than the given share of the maps.
func TestWhatMustStayDark(t *testing.T) {
	const dur = 4 * time.Second
	// Each makes the picture at a time, on a textured background, with clicks.
	type draw func(img []float64, at time.Duration)
	for _, c := range []struct {
		name  string
		noise float64
		quiet bool // no sound
		hiss  bool // steady noise for sound
		lit   float64
		most  byte
		make  func(rng *rand.Rand, back *texture, on []time.Duration) draw
	}{
		{name: "noise", noise: 12, make: func(_ *rand.Rand, back *texture, _ []time.Duration) draw {
			return still(back)
		}},
		{name: "a static picture", make: func(_ *rand.Rand, back *texture, _ []time.Duration) draw {
			return still(back)
		}},
		{name: "silence with the right movement", noise: 1, quiet: true, make: func(rng *rand.Rand, back *texture, on []time.Duration) draw {
			o, bg := newThing(rng, on), still(back)
			return func(img []float64, at time.Duration) { bg(img, at); o.paint(img, at) }
		}},
		{name: "steady noise with movement", noise: 1, hiss: true, lit: 0.01, most: 60, make: func(rng *rand.Rand, back *texture, on []time.Duration) draw {
			o, bg := newThing(rng, on), still(back)
			return func(img []float64, at time.Duration) { bg(img, at); o.paint(img, at) }
		}},
		{name: "things at constant speed", noise: 1, lit: 0.05, most: 80, make: func(rng *rand.Rand, back *texture, _ []time.Duration) draw {
			bg := still(back)
			var os []*thing
			var v [3][2]float64
			for i := range v {
				o := newThing(rng, nil)
				a, s := rng.Float64()*2*math.Pi, 10+90*rng.Float64() // pixels per second
				v[i] = [2]float64{s * math.Cos(a), s * math.Sin(a)}
				os = append(os, o)
			}
			return func(img []float64, at time.Duration) {
				bg(img, at)
				for i, o := range os {
					o.paintAt(img, o.x+v[i][0]*(at.Seconds()-2), o.y+v[i][1]*(at.Seconds()-2), 1)
				}
			}
		}},
		{name: "a pan", noise: 1, lit: 0.02, most: 80, make: func(rng *rand.Rand, back *texture, _ []time.Duration) draw {
			vx, vy := 60*(rng.Float64()-0.5), 30*(rng.Float64()-0.5)
			return func(img []float64, at time.Duration) { back.paint(img, vx*at.Seconds(), vy*at.Seconds()) }
		}},
		{name: "a jolting camera", noise: 1, lit: 0.05, most: 80, make: func(_ *rand.Rand, back *texture, on []time.Duration) draw {
			return func(img []float64, at time.Duration) {
				d := 0.0
				for _, t := range on {
					if at >= t && at < t+100*time.Millisecond {
						d = 3
					}
				}
				back.paint(img, d, d/2)
			}
		}},
		{name: "fades at the clicks", noise: 1, make: func(rng *rand.Rand, back *texture, on []time.Duration) draw {
			bg, o := still(back), newThing(rng, nil)
			return func(img []float64, at time.Duration) {
				bg(img, at)
				o.paint(img, at)
				g := 1.0
				for n, t := range on { // out and in, over 300 ms each
					x := min(max((at-t).Seconds()/0.3, 0), 1)
					if at >= t {
						g = float64(n%2)*x + float64(1-n%2)*(1-0.7*x)
						g = max(g, 0.3)
					}
				}
				for i := range img {
					img[i] *= g
				}
			}
		}},
		{name: "flashes at the clicks", noise: 1, make: func(_ *rand.Rand, back *texture, on []time.Duration) draw {
			bg := still(back)
			return func(img []float64, at time.Duration) {
				bg(img, at)
				for _, t := range on {
					if at >= t && at < t+80*time.Millisecond {
						for i := range img {
							img[i] += 30
						}
					}
				}
			}
		}},
		{name: "leaves", noise: 1, lit: 0.06, most: 80, make: func(rng *rand.Rand, back *texture, _ []time.Duration) draw {
			bg := still(back)
			var os []*thing
			for range 12 {
				o := newThing(rng, nil)
				o.rx, o.ry = 4, 4
				os = append(os, o)
			}
			return func(img []float64, at time.Duration) {
				bg(img, at)
				for _, o := range os {
					o.paintAt(img, o.x+1.5*rng.NormFloat64(), o.y+1.5*rng.NormFloat64(), 1)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := family(t, Config{})
			maps, lit, most := 0, 0, byte(0)
			for seed := range uint64(max(4, trials/16)) {
				rng := rand.New(rand.NewPCG(seed, 5))
				on := beats(rng, dur)
				sounds := on
				if c.hiss {
					sounds = nil
				}
				k := &clip{dur: dur, times: steady(dur, []float64{10, 15, 25, 30}[seed%4]), sound: clicks(rng, dur, sounds, 0.001)}
				switch {
				case c.quiet:
					clear(k.sound)
				case c.hiss:
					k.sound = clicks(rng, dur, nil, 0.1)
				}
				back := newTexture(rng, 30)
				paint := c.make(rng, back, on)
				img := make([]float64, imageW*imageH)
				k.draw = func(pix []byte, at time.Duration) {
					paint(img, at)
					film(rng, pix, img, c.noise)
				}
				for _, ev := range run(t, f, k) {
					h := ev.Payload.(*infer.Heatmap)
					maps++
					if h.Gated == "" {
						lit++
					}
					if c.quiet && h.Gated != "silence" {
						t.Errorf("seed %d at %v: %q for silence", seed, ev.At, h.Gated)
					}
					for _, v := range h.Grid {
						most = max(most, v)
					}
				}
			}
			t.Logf("%d of %d maps are lit (%.1f %%), at most %d", lit, maps, 100*float64(lit)/float64(maps), most)
			if float64(lit) > c.lit*float64(maps) || most > c.most {
				t.Errorf("%d of %d maps are lit, at most %d", lit, maps, most)
			}
		})
	}
}

// still paints a background once and copies it.
func still(back *texture) func([]float64, time.Duration) {
	base := make([]float64, imageW*imageH)
	back.paint(base, 0, 0)
	return func(img []float64, _ time.Duration) { copy(img, base) }
}

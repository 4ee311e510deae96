package sync

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
)

func TestRefusesRates(t *testing.T) {
	for _, fps := range []float64{-1, math.NaN(), math.Inf(1), 1e6} {
		if _, err := New(Config{FPS: fps}); err == nil {
			t.Errorf("%v maps per second are accepted", fps)
		}
	}
}

func TestRefusesOtherPicturesAndSounds(t *testing.T) {
	f := family(t, Config{})
	d := newDuel(1, 0)
	for name, spoil := range map[string]func(*align.Moment){
		"picture": func(m *align.Moment) { m.Image.Pix = m.Image.Pix[3:] },
		"sound":   func(m *align.Moment) { m.Wave.PCM.Format.SampleRate = 8000 },
	} {
		m := d.moment(3, align.Centre)
		spoil(m)
		if _, err := f.Infer(context.Background(), m); err == nil || !strings.HasPrefix(err.Error(), "sync: "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What lacks either gives nothing.
	for _, spoil := range []func(*align.Moment){func(m *align.Moment) { m.Frame = nil }, func(m *align.Moment) { m.Wave.PCM = nil }} {
		m := d.moment(3, align.Centre)
		spoil(m)
		out, err := f.Infer(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		if evs, err := f.Resolve(context.Background(), f.Open(), m, out); len(evs) > 0 || err != nil {
			t.Errorf("%d events, %v", len(evs), err)
		}
	}
}

// There is one map for each fifth of a second, on the frame seen then, in order,
// whatever the frames do.
func TestMapsLieOnTheGrid(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, live := range []bool{false, true} {
		for range 4 {
			d := newDuel(rng.Uint64N(100), 0)
			// Frames of variable length, some very short, some long, and cuts.
			d.times, d.cuts = nil, map[int]bool{}
			for at := time.Duration(rng.IntN(1e8)); at < d.dur; {
				d.times = append(d.times, at)
				d.cuts[len(d.times)-1] = rng.IntN(40) == 0
				at += []time.Duration{time.Millisecond, 10 * time.Millisecond, 33366667, 100 * time.Millisecond, 450 * time.Millisecond}[rng.IntN(5)]
			}
			want := map[time.Duration]bool{}
			for i, at := range d.times {
				until := d.dur
				if i+1 < len(d.times) {
					until = d.times[i+1]
				}
				if k := (at + 199999999) / 2e8 * 2e8; k < until {
					want[at] = true
				}
			}
			last := time.Duration(-1)
			for _, ev := range run(t, family(t, Config{Live: live}), &d.clip) {
				h := ev.Payload.(*infer.Heatmap)
				if !want[ev.At] || ev.At <= last || ev.Dur <= 0 || ev.Model != "" || h.Method != Method || len(h.Grid) != h.W*h.H || !(h.Peak >= 0 && h.Peak <= 1) {
					t.Fatalf("live %v: map at %v after %v: %+v", live, ev.At, last, ev)
				}
				hot := false
				for _, v := range h.Grid {
					hot = hot || v > 0
				}
				if hot != (h.Gated == "") || hot && !(h.X > 0 && h.X < 1 && h.Y > 0 && h.Y < 1) {
					t.Fatalf("at %v: gated %q, lit %v, peak at %v,%v", ev.At, h.Gated, hot, h.X, h.Y)
				}
				delete(want, ev.At)
				last = ev.At
			}
			if len(want) > 0 {
				t.Errorf("live %v: %d maps are missing: %v", live, len(want), want)
			}
		}
	}
}

// Sources live: the second ends at the frame, and the map comes with it.
func TestLive(t *testing.T) {
	f := family(t, Config{Live: true})
	right, wrong := 0, 0
	for seed := range uint64(max(3, trials/8)) {
		d := newDuel(seed, 150*time.Millisecond)
		st := f.Open()
		for i := range d.times {
			m := d.moment(i, align.End)
			out, err := f.Infer(context.Background(), m)
			if err != nil {
				t.Fatal(err)
			}
			m.Frame, m.Image.Pix = nil, nil // given back by the pipeline
			evs, err := f.Resolve(context.Background(), st, m, out)
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range evs {
				if ev.At != m.At {
					t.Fatalf("map of %v at %v", ev.At, m.At)
				}
				switch h := ev.Payload.(*infer.Heatmap); {
				case h.Gated != "":
				case d.right.holds(h.X, h.Y):
					right++
				default:
					wrong++
				}
			}
		}
	}
	t.Logf("%d maps on the right thing, %d elsewhere", right, wrong)
	if right < 2*trials/8 || wrong*10 > right {
		t.Errorf("%d maps on the right thing, %d elsewhere", right, wrong)
	}
}

// A cut forgets: what moved and sounded before it says nothing of the places
// behind it.
func TestCutForgets(t *testing.T) {
	f := family(t, Config{})
	for seed := range uint64(5) {
		d := newDuel(seed, 0)
		half := len(d.times) / 2
		at := d.times[half]
		show := d.draw
		d.cuts = map[int]bool{half: true}
		d.draw = func(pix []byte, t time.Duration) {
			if t < at {
				show(pix, t)
				return
			}
			for i := range pix {
				pix[i] = byte(i / 480)
			}
		}
		for _, ev := range run(t, f, &d.clip) {
			if h := ev.Payload.(*infer.Heatmap); ev.At >= at && h.Gated == "" {
				t.Errorf("seed %d: at %v, behind the cut at %v: %v, %v", seed, ev.At, at, h.X, h.Y)
			}
		}
	}
}

// The envelope does not depend on the windows that it is pieced together from.
func TestEnvelopeIsOneForAllWindows(t *testing.T) {
	f := family(t, Config{})
	d := newDuel(2, 0)
	d.times = steady(d.dur, 25)
	know := map[int64]float32{}
	for _, place := range []align.Place{align.Centre, align.End} {
		f.live = place == align.End
		for i := range d.times {
			o, err := f.Infer(context.Background(), d.moment(i, place))
			if err != nil {
				t.Fatal(err)
			}
			out := o.(*output)
			for j, v := range out.onset[:out.hops] {
				k := out.hop + int64(j)
				if w, ok := know[k]; ok && math.Abs(float64(v-w)) > 1e-3 && k > 10 {
					t.Fatalf("hop %d is %v and %v", k, w, v)
				}
				know[k] = v
			}
			f.outputs.Give(out)
		}
	}
	for k := int64(4); k < 380; k++ {
		if _, ok := know[k]; !ok {
			t.Errorf("hop %d is not known", k)
		}
	}
	// Clicks stand out, and by ten times what is usual.
	for _, at := range d.right.moves {
		high := float32(0)
		for k := int64(at/hop) - 4; k < int64(at/hop)+6; k++ {
			high = max(high, know[k])
		}
		if high < 1 {
			t.Errorf("the click at %v rises by %v", at, high)
		}
	}
}

func TestNothingIsAllocatedPerFrame(t *testing.T) {
	f := family(t, Config{})
	d := newDuel(5, 0)
	d.times = steady(d.dur, 25)
	ms := make([]*align.Moment, len(d.times))
	for i := range ms {
		ms[i] = d.moment(i, align.Centre)
	}
	st := f.Open()
	step := func(m *align.Moment) int {
		out, _ := f.Infer(context.Background(), m)
		evs, _ := f.Resolve(context.Background(), st, m, out)
		return len(evs)
	}
	for _, m := range ms[:90] {
		step(m)
	}
	i := 90
	maps := 0
	n := testing.AllocsPerRun(8, func() { maps += step(ms[i]); i++ })
	if n > 3*float64(maps)/8+0.5 { // a map, its grid, its slice
		t.Errorf("%v allocations per frame with %d maps", n, maps)
	}
}

func BenchmarkFrame(b *testing.B) {
	f := family(b, Config{})
	d := newDuel(5, 0)
	d.times = steady(d.dur, 25)
	ms := make([]*align.Moment, len(d.times))
	for i := range ms {
		ms[i] = d.moment(i, align.Centre)
	}
	st := f.Open()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n == len(ms) {
			n, st = 0, f.Open()
		}
		out, _ := f.Infer(context.Background(), ms[n])
		_, _ = f.Resolve(context.Background(), st, ms[n], out)
	}
}

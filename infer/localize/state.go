package localize

import (
	"context"
	"math"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
)

// state is what one source's heat maps remember: the map before, smoothed, and
// the mean embedding of its picture.
type state struct {
	canvas
	known  bool // the rest is set
	at     time.Duration
	dims   dims
	cosine []float32
	object []float32
	mean   []float32
}

// Open makes an empty State.
func (f *Family) Open() infer.State { return new(state) }

// Resolve smooths the map in time, closes the gates, and draws.
func (f *Family) Resolve(_ context.Context, st infer.State, m *align.Moment, o infer.Output) ([]infer.Event, error) {
	out, ok := o.(*output)
	if !ok || out == nil {
		return nil, nil
	}
	defer f.outputs.Give(out)
	s := st.(*state)
	hm := &infer.Heatmap{W: f.heat.gridW, H: f.heat.gridH, Method: f.method}
	if out.silent {
		// What is heard after a silence has nothing to do with what was heard
		// before it.
		s.known = false
		hm.Gated, hm.Grid = "silence", make([]byte, hm.W*hm.H)
	} else {
		f.smooth(s, m, out)
		f.draw(s, out.view, hm)
	}
	return []infer.Event{{
		Stamp:   m.Stamp,
		Dur:     max(m.Dur, f.need.Period),
		Model:   f.info.Name,
		Fixture: f.info.Fixture,
		Short:   m.Wave.Missing > 0,
		Payload: hm,
	}}, nil
}

// Finish owes nothing.
func (f *Family) Finish(context.Context, infer.State) ([]infer.Event, error) { return nil, nil }

// smooth moves the state towards out by as much as the time since demands, or
// all the way where the scene is new.
func (f *Family) smooth(s *state, m *align.Moment, out *output) {
	keep := 0.0 // weight of the map before
	if s.known && s.dims == out.dims && m.At >= s.at && m.Cut == 0 && f.halfLife > 0 && !f.cut(s.mean, out.mean) {
		keep = math.Exp2(-float64(m.At-s.at) / float64(f.halfLife))
	}
	s.cosine = blend(s.cosine, out.cosine, keep)
	s.object = blend(s.object, out.object, keep)
	s.mean = append(s.mean[:0], out.mean...)
	s.dims, s.at, s.known = out.dims, m.At, true
}

func blend(dst, src []float32, keep float64) []float32 {
	if keep == 0 {
		return append(dst[:0], src...)
	}
	for i, v := range src {
		dst[i] = float32(float64(dst[i])*keep + float64(v)*(1-keep))
	}
	return dst
}

// cut reports whether two successive pictures are of different scenes.
func (f *Family) cut(a, b []float32) bool {
	dot, aa, bb := 0.0, 0.0, 0.0
	for i, v := range a {
		x, y := float64(v), float64(b[i])
		dot += x * y
		aa += x * x
		bb += y * y
	}
	return f.cutBelow > 0 && aa > 0 && bb > 0 && dot < f.cutBelow*math.Sqrt(aa*bb)
}

// draw fills the heat map from the state, as far as view shows it, or leaves it empty if no place
// resembles the sound enough.
func (f *Family) draw(s *state, view infer.View, hm *infer.Heatmap) {
	most := s.cosine[0]
	for _, c := range s.cosine {
		most = max(most, c)
	}
	hm.Peak = float64(most)
	if hm.Peak < f.heat.floor {
		hm.Gated, hm.Grid = "confidence", make([]byte, hm.W*hm.H)
		return
	}
	hm.Grid = f.heat.grid(&s.canvas, s.dims, s.cosine, s.object, view)
	hm.X, hm.Y = f.heat.peak(s.dims, s.cosine, s.object, view)
}

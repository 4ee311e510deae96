package soundnet

import (
	"context"
	"math"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
)

// state is what is remembered of one source within one Seg.
type state struct {
	begun  bool
	seg    uint32
	origin time.Duration // of the Seg's first sample
	extent int64         // samples of the Seg that are known to exist
	next   int64         // the first place that is not reported
	open   []candidate   // the best answers so far for next, next+1, …
	mean   average
}

// candidate is the best answer so far for a place.
type candidate struct {
	frame
	known bool
	whole bool // the place stands for the middle of a source that ends before it
	mid   int64
}

// average is an exponential mean of posteriors.
type average struct {
	at time.Duration
	p  [len(heads)][]float64
}

// Open makes the memory for one source and Seg.
func (f *Family) Open() infer.State { return &state{} }

// Resolve chooses between the answers of overlapping windows and returns the
// places that are final.
func (f *Family) Resolve(_ context.Context, st infer.State, m *align.Moment, out infer.Output) ([]infer.Event, error) {
	a, ok := out.(*answer)
	if !ok || a == nil {
		return nil, nil
	}
	s := st.(*state)
	if !s.begun {
		s.begun, s.seg, s.origin = true, m.Wave.Seg, m.Wave.At
	}
	start := ingest.Samples(m.Wave.At-s.origin, f.geo.rate)
	first := start / int64(f.geo.stride)
	s.extent = max(s.extent, start+int64(a.hi))
	var evs []infer.Event
	if first > s.next+int64(len(s.open)) {
		// A hole, of years in a damaged file: nothing answers for its places.
		evs = f.settle(evs, s, first, true)
		s.next = first
	}
	for i, fr := range a.frames {
		c := candidate{frame: fr, known: true}
		if f.geo.middle(i) >= float64(a.hi) {
			// The source ends before the centre: nothing to report, unless
			// there is nothing else.
			if start != 0 || i != 0 {
				break
			}
			c.whole, c.mid = true, int64(a.lo+a.hi)/2
		}
		s.offer(first+int64(i), c)
	}
	return f.settle(evs, s, first+int64(f.geo.hop/f.geo.stride), false), nil
}

// offer keeps c for place j if it is better than what is there.
func (s *state) offer(j int64, c candidate) {
	k := j - s.next
	if k < 0 {
		return
	}
	for int64(len(s.open)) <= k {
		s.open = append(s.open, candidate{})
	}
	if o := &s.open[k]; !o.known || c.outside < o.outside {
		*o = c
	}
}

// settle appends the events of the places that can change no more: windows to
// come answer only for places from coming on.
func (f *Family) settle(dst []infer.Event, s *state, coming int64, last bool) []infer.Event {
	n := 0
	for ; n < len(s.open); n++ {
		c := &s.open[n]
		j := s.next
		if c.known {
			end := int64(f.geo.centre) + (j+1)*int64(f.geo.stride)
			final := last || j < coming || c.outside == 0
			if !final || (!last && end > s.extent) {
				break
			}
			dst = append(dst, f.event(s, j, c))
		} else if !last && j >= coming {
			break
		}
		s.next++
	}
	s.open = append(s.open[:0], s.open[n:]...)
	return dst
}

func (f *Family) event(s *state, j int64, c *candidate) infer.Event {
	offset := f.geo.at(j)
	if c.whole {
		offset = ingest.SampleTime(c.mid, f.geo.rate)
	}
	at, end := s.origin+offset, s.origin+ingest.SampleTime(s.extent, f.geo.rate)
	e := infer.Event{
		Stamp:   ingest.Stamp{At: at, Seg: s.seg},
		Dur:     max(0, min(f.geo.at(j+1)-f.geo.at(j), end-at)),
		Model:   f.info.Name,
		Fixture: f.info.Fixture,
		Short:   c.short,
	}
	sound := &infer.Sound{RMS: c.rms}
	e.Payload = sound
	if c.rms < f.silence {
		sound.Silent = true
		s.mean = average{}
		return e
	}
	p := s.mean.add(at, f.halfLife, c.p)
	for _, h := range f.heads {
		best := top(p[h.kind], f.top, h.show, h.labels)
		switch heads[h.kind] {
		case "events":
			sound.Events = best
		case "objects":
			sound.Objects = best
		case "scenes":
			sound.Scenes = best
		}
	}
	return e
}

// add takes the posteriors at a time into the mean and returns it; with no
// half-life they are returned as they are.
func (a *average) add(at, halfLife time.Duration, p [len(heads)][]float64) [len(heads)][]float64 {
	if halfLife <= 0 {
		return p
	}
	keep := math.Exp2(-float64(at-a.at) / float64(halfLife))
	for k := range p {
		if a.p[k] == nil {
			a.p[k] = append([]float64(nil), p[k]...)
			continue
		}
		for i, v := range p[k] {
			a.p[k][i] += (1 - keep) * (v - a.p[k][i])
		}
	}
	a.at = at
	return a.p
}

// top returns the k most probable classes of those that are at least as likely as
// least, highest first; of equal ones the first.
func top(p []float64, k int, least float64, labels []string) []infer.Score {
	best := make([]infer.Score, 0, min(k, len(p)))
	for i, v := range p {
		if v < least {
			continue
		}
		n := len(best)
		if n == cap(best) {
			if v <= best[n-1].P {
				continue
			}
			n--
		} else {
			best = best[:n+1]
		}
		for ; n > 0 && best[n-1].P < v; n-- {
			best[n] = best[n-1]
		}
		best[n] = infer.Score{Index: i, Label: labels[i], P: v}
	}
	return best
}

// Finish returns the places for which no better answer can come.
func (f *Family) Finish(_ context.Context, st infer.State) ([]infer.Event, error) {
	return f.settle(nil, st.(*state), 0, true), nil
}

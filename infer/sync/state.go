package sync

import (
	"context"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
)

// How much is remembered: more than the second, the lags on both sides, and the
// frames by which the pipeline is ahead.
const (
	frames   = 200
	envelope = 512 // hops
	keener   = 2.5 // times what moved before is what counts as rising
	recall   = 180 * time.Millisecond
)

// look is what is remembered of a frame.
type look struct {
	at     time.Duration
	since  time.Duration // at of the frame before; at itself where there is none to compare
	motion [cells]float32
	onset  [cells]float32
}

// due is a place at which a map is owed.
type due struct {
	stamp ingest.Stamp
	dur   time.Duration
	short bool
}

// state is what one source remembers within a Seg: the frames and the sound
// since the last cut, for a good second.
type state struct {
	ring   [frames]look
	begin  int // number of the first frame held
	end    int
	scene  time.Duration // when it began
	last   [imageW * imageH]uint8
	sound  [envelope]float32
	hops   [envelope]int64 // which hop stands there, plus one
	loud   [envelope]bool
	heard  time.Duration // end of the sound that is known
	owed   []due
	grid   int64 // the next multiple of the period
	gridOK bool

	motion motion
	score  score
}

// Open makes an empty State.
func (f *Family) Open() infer.State { return new(state) }

// Resolve adds a frame and returns the maps for which now enough is known.
func (f *Family) Resolve(_ context.Context, st infer.State, m *align.Moment, o infer.Output) ([]infer.Event, error) {
	out, ok := o.(*output)
	if !ok || out == nil {
		return nil, nil
	}
	defer f.outputs.Give(out)
	s := st.(*state)
	var evs []infer.Event
	if m.Cut > 0 || s.end == s.begin {
		// Another scene: nothing is compared across.
		evs = f.settle(s, evs, true)
		s.begin, s.scene = s.end, m.At
	}
	s.hear(out)
	s.see(m.At, out.luma[:])
	if f.onGrid(s, m) {
		s.owed = append(s.owed, due{m.Stamp, max(m.Dur, f.period), m.Wave.Missing > 0})
	}
	return f.settle(s, evs, false), nil
}

// Finish returns the maps that are still owed.
func (f *Family) Finish(_ context.Context, st infer.State) ([]infer.Event, error) {
	return f.settle(st.(*state), nil, true), nil
}

// onGrid reports whether a multiple of the period falls to the frame of m, as for
// align.EveryPeriod.
func (f *Family) onGrid(s *state, m *align.Moment) bool {
	first := int64((m.At + f.period - 1) / f.period)
	if !s.gridOK || first > s.grid {
		s.grid, s.gridOK = first, true
	}
	if time.Duration(s.grid)*f.period >= m.At+max(m.Dur, 1) {
		return false
	}
	s.grid = int64((m.At+max(m.Dur, 1)-1)/f.period) + 1
	return true
}

// hear keeps the onset strengths.
func (s *state) hear(out *output) {
	for i, v := range out.onset[:out.hops] {
		k := out.hop + int64(i)
		j := slot(k)
		s.sound[j], s.hops[j], s.loud[j] = v, k+1, out.loud
	}
}

func slot(k int64) int { return int(uint64(k) % envelope) }

// onsetAt is the onset strength of hop k, 0 where it is not known.
func (s *state) onsetAt(k int64) (strength float64, loud bool) {
	if j := slot(k); s.hops[j] == k+1 {
		return float64(s.sound[j]), s.loud[j]
	}
	return 0, false
}

// see compares a frame with the last one.
func (s *state) see(at time.Duration, luma []uint8) {
	l := &s.ring[s.end%frames]
	fresh := s.end == s.begin
	var prev *look
	if !fresh {
		prev = &s.ring[(s.end-1)%frames]
		if at < prev.at+spacing {
			return
		}
		fresh = at-prev.at > hole
	}
	l.at, l.since = at, at
	if fresh {
		clear(l.motion[:])
		clear(l.onset[:])
	} else {
		l.since = prev.at
		s.motion.between(&l.motion, s.last[:], luma)
		s.rise(l)
	}
	copy(s.last[:], luma)
	s.end++
	s.begin = max(s.begin, s.end-frames+1)
}

// rise fills in the onsets of motion of l, the newest frame: the rise against
// what the cell and its neighbours did shortly before.
func (s *state) rise(l *look) {
	var was [cells]float32
	known := false
	for n := s.end - 1; n >= s.begin; n-- {
		p := &s.ring[n%frames]
		if n < s.end-1 && p.at < l.at-recall {
			break
		}
		if p.since == p.at {
			break // not compared with anything: what it did is not known
		}
		known = true
		for i, v := range p.motion {
			was[i] = max(was[i], v)
		}
	}
	if !known {
		clear(l.onset[:])
		return
	}
	var wide [cells]float32
	for y := range gridH {
		r := was[y*gridW:][:gridW]
		for x := range gridW {
			wide[y*gridW+x] = max(r[max(x-1, 0)], r[x], r[min(x+1, gridW-1)])
		}
	}
	for y := range gridH {
		up, down := max(y-1, 0)*gridW, min(y+1, gridH-1)*gridW
		for x := range gridW {
			i := y*gridW + x
			l.onset[i] = root(l.motion[i] - keener*max(wide[up+x], wide[i], wide[down+x]))
		}
	}
}

// settle draws the maps that are owed and known, or all of them at the end of
// a scene.
func (f *Family) settle(s *state, evs []infer.Event, all bool) []infer.Event {
	if s.end == s.begin {
		return evs
	}
	newest := s.ring[(s.end-1)%frames].at
	n := 0
	for ; n < len(s.owed); n++ {
		d := s.owed[n]
		now, past := f.around(s, d.stamp.At, second), f.around(s, d.stamp.At, memory)
		if !all && !f.live && newest < past.hi+reach {
			break
		}
		evs = append(evs, infer.Event{
			Stamp: d.stamp, Dur: d.dur, Short: d.short,
			Payload: s.score.heatmap(s, now.until(newest, s.scene), past.until(newest, s.scene)),
		})
	}
	s.owed = append(s.owed[:0], s.owed[n:]...)
	return evs
}

// span is a stretch of time, ends included.
type span struct{ lo, hi time.Duration }

// around returns the stretch of a length round t, or live, up to t, moved so that
// it begins within the scene.
func (f *Family) around(s *state, t, length time.Duration) span {
	if f.live {
		return span{max(t-length, s.scene), t}
	}
	lo := max(t-length/2, s.scene)
	return span{lo, lo + length}
}

// until returns p moved so that it ends within the scene.
func (p span) until(newest, scene time.Duration) span {
	if p.hi > newest {
		p.lo, p.hi = max(p.lo-(p.hi-newest), scene), newest
	}
	return p
}

package align

import (
	"time"

	"github.com/seehear/seehear/ingest"
)

// want is a need and how far it has come in this Seg.
type want struct {
	Need
	index int

	frame int           // number of the next frame to look at
	grid  int64         // EveryPeriod: the next multiple of the period
	begun bool          // grid is set, or last is
	last  time.Duration // EveryCut: At of the last moment
	hop   int64         // EveryHop: the next window
	gap   int           // EveryGap: number of the next gap
}

func (w *want) reset() { *w = want{Need: w.Need, index: w.index} }

// onFrames reports whether w looks at frames one after the other.
func (w *want) onFrames() bool {
	return w.Cadence == EveryFrame || w.Cadence == EveryCut || w.Cadence == EveryPeriod
}

// sound returns which form of the sound w looks at, if only to tell whether
// there is any.
func (w *want) sound() int { return max(w.Sound, 0) }

// state of a candidate.
type state uint8

const (
	none  state = iota // w has nothing more in this Seg
	wait               // it may have something at key or later
	ready              // it has something at key
)

// next looks for the next moment of w. It moves on past frames, grid points and
// windows that give none, and changes nothing else.
func (a *Aligner) next(w *want) (time.Duration, state) {
	switch w.Cadence {
	case EveryFrame, EveryCut:
		return a.nextFrame(w)
	case EveryPeriod:
		return a.nextPeriod(w)
	case EveryHop:
		return a.nextHop(w)
	}
	return a.nextGap(w)
}

// nextKey returns a lower bound of the At of the moments that w still gives:
// never if there are none.
func (a *Aligner) nextKey(w *want) time.Duration {
	key, st := a.next(w)
	if st == none {
		return never
	}
	return key
}

// onSound turns ready into wait while the window at key is uncertain.
func (a *Aligner) onSound(w *want, key time.Duration) (time.Duration, state) {
	if w.Window > 0 && a.audio.present {
		s := &a.sounds[w.Sound]
		if !a.ready(s, w.windowEnd(key, s.rate)) {
			return key, wait
		}
	}
	return key, ready
}

func (a *Aligner) nextFrame(w *want) (time.Duration, state) {
	v := &a.show
	for ; w.frame < v.settled; w.frame++ {
		e := v.get(w.frame)
		at := e.frame.At
		if w.Cadence == EveryFrame || e.cut > 0 || w.Period > 0 && w.begun && at-w.last >= w.Period {
			return a.onSound(w, at)
		}
	}
	if w.frame < v.end() {
		return v.get(w.frame).frame.At, wait
	}
	if a.video.ended {
		return never, none
	}
	return a.videoLow(), wait
}

// ceil returns the first multiple of period at or after t, as a number of
// periods.
func ceil(t, period time.Duration) int64 {
	n := t / period
	if t > 0 && t%period != 0 {
		n++
	}
	return int64(n)
}

func (w *want) gridTime() time.Duration { return time.Duration(w.grid) * w.Period }

// onGrid raises w.grid to the first multiple at or after t.
func (w *want) onGrid(t time.Duration) {
	n := ceil(t, w.Period)
	if !w.begun || n > w.grid {
		w.grid, w.begun = n, true
	}
}

// skipTo makes the step that follows lead to the first multiple at or after t: a
// damaged file may claim a hole of years, which must not be walked through.
func (w *want) skipTo(t time.Duration) { w.grid = max(w.grid, ceil(t, w.Period)-1) }

func (a *Aligner) nextPeriod(w *want) (time.Duration, state) {
	v := &a.show
	for {
		// Up to horizon, no frame is seen that w has not looked at.
		horizon := a.videoLow()
		if w.frame < v.end() {
			horizon = v.get(w.frame).frame.At
		}
		if key, st := a.unseen(w, horizon); st != none {
			return key, st
		}
		if w.frame == v.end() {
			if a.video.ended {
				return never, none
			}
			return horizon, wait
		}
		if w.frame >= v.settled {
			return horizon, wait
		}
		e := v.get(w.frame)
		w.onGrid(e.frame.At)
		if w.gridTime() < e.until {
			return a.onSound(w, e.frame.At)
		}
		w.frame++
	}
}

// unseen looks for a multiple of the period before horizon at which there is
// sound.
func (a *Aligner) unseen(w *want, horizon time.Duration) (time.Duration, state) {
	if !a.audio.present {
		return never, none
	}
	s := &a.sounds[w.sound()]
	low := a.audioLow(s)
	if !s.started {
		if low < horizon {
			return low, wait
		}
		return never, none
	}
	// Before the first sample, points are left for frames to come.
	first := ceil(s.origin, w.Period)
	if w.begun {
		first = max(first, w.grid)
	}
	if time.Duration(first)*w.Period >= horizon {
		return never, none
	}
	for w.grid, w.begun = first, true; w.gridTime() < horizon; w.grid++ {
		t := w.gridTime()
		n := int64((t - s.origin).Seconds() * float64(s.rate))
		for n > 0 && s.timeOf(n) > t {
			n--
		}
		for s.timeOf(n+1) <= t {
			n++
		}
		switch {
		case n >= s.end && t >= low:
			if a.audio.ended {
				return never, none
			}
			return t, wait
		case n >= s.end && a.audio.ended:
			return never, none
		case n >= s.end: // nothing more is to come before low
			w.skipTo(min(low, horizon))
		case s.count(n, n+1) == 1:
			return a.onSound(w, t)
		default:
			w.skipTo(min(s.timeOf(s.nextFrom(n)), horizon))
		}
	}
	return never, none
}

func (a *Aligner) nextHop(w *want) (time.Duration, state) {
	if !a.audio.present {
		return never, none
	}
	s := &a.sounds[w.Sound]
	if !s.started {
		if a.audio.ended {
			return never, none
		}
		return a.audioLow(s), wait
	}
	for {
		from := w.hop * int64(w.Hop)
		to := from + int64(w.Window)
		key := s.timeOf(from + int64(w.Window/2))
		if from >= s.end {
			// A window behind the sound so far: the next sample tells which.
			if a.audio.ended {
				return never, none
			}
			low := a.audioLow(s)
			if low < s.timeOf(to) {
				return key, wait
			}
			w.skipHop(ingest.Samples(low-s.origin, s.rate) - 1)
			continue
		}
		if s.end < to && a.audioLow(s) < s.timeOf(to) {
			return key, wait
		}
		n := s.count(from, to)
		if n >= max(1, int64(w.MinWindow)) {
			return key, ready
		}
		if w.hop == 0 { // holds sample 0, so n > 0
			// Short, but worth a moment if the sound ends here, which shows
			// once there is none for MaxLag.
			later := s.timeOf(to) + a.opt.MaxLag
			if s.end <= to && a.audioLow(s) < later {
				return key, wait
			}
			if s.end <= to || s.timeOf(s.nextFrom(to)) >= later {
				return key, ready
			}
		}
		if n > 0 {
			w.hop++
		} else {
			w.skipHop(s.nextFrom(to))
		}
	}
}

// skipHop moves on to the first window that reaches past sample n, by one window
// at least.
func (w *want) skipHop(n int64) {
	w.hop = max(w.hop+1, (n-int64(w.Window))/int64(w.Hop)+1)
}

func (a *Aligner) nextGap(w *want) (time.Duration, state) {
	low := min(a.videoLow(), a.gapSoundLow())
	if n := w.gap - a.gaps.base; n < a.gaps.list.len() {
		// A gap that ends at the same time may still be found.
		key := a.gaps.list.at(n).to
		if key < low || a.closed {
			return key, ready
		}
		return min(key, low), wait
	}
	if a.closed {
		return never, none
	}
	return low, wait
}

func (a *Aligner) gapSoundLow() time.Duration {
	if !a.audio.present {
		return never
	}
	return a.audioLow(&a.sounds[0])
}

// emit appends the moments that are certain, in the order of key and need, or
// those of each need alone with Options.Apart.
func (a *Aligner) emit(dst []*Moment) []*Moment {
	a.findStarts()
	a.findLate()
	for {
		best, bestKey, bestState := -1, never, none
		for i := range a.wants {
			key, st := a.next(&a.wants[i])
			if a.opt.Apart && st != ready {
				continue
			}
			if st != none && (best < 0 || key < bestKey) {
				best, bestKey, bestState = i, key, st
			}
		}
		if bestState != ready {
			return dst
		}
		dst = append(dst, a.moment(&a.wants[best], bestKey))
	}
}

// moment makes the moment of w at key and moves w on.
func (a *Aligner) moment(w *want, key time.Duration) *Moment {
	m, _ := a.pool[w.index].Get().(*Moment)
	if m == nil {
		m = new(Moment)
	}
	m.pool, m.held = &a.pool[w.index], &a.held
	a.held.Add(1)
	a.stats.Moments++
	m.Stamp, m.Need = ingest.Stamp{At: key, Seg: a.seg}, w.index
	switch w.Cadence {
	case EveryHop:
		s := &a.sounds[w.Sound]
		m.Dur = ingest.SampleTime(int64(w.Hop), s.rate)
		a.wave(m, w, s, w.hop*int64(w.Hop), s.origin)
		w.hop++
		return m
	case EveryGap:
		x := a.gaps.list.at(w.gap - a.gaps.base)
		m.At, m.Dur, m.Gap = x.from, x.to-x.from, x.gap
		w.gap++
		return m
	}
	if w.frame < a.show.settled && a.show.get(w.frame).frame.At == key {
		e := a.show.get(w.frame)
		e.frame.Retain()
		m.Frame, m.Dur, m.Cut = e.frame, e.until-key, e.cut
		if w.Image >= 0 && w.Image < len(e.frame.Images) {
			m.Image = e.frame.Images[w.Image]
		}
		if w.Cadence == EveryPeriod {
			w.onGrid(e.until)
		} else {
			w.last, w.begun = key, true
		}
		w.frame++
	} else {
		m.Dur = w.Period
		w.grid++
	}
	if w.Window > 0 && a.audio.present {
		a.around(m, w, key)
	}
	return m
}

// around fills the window of m at the place that the frame at key asks for.
func (a *Aligner) around(m *Moment, w *want, key time.Duration) {
	s := &a.sounds[w.Sound]
	origin := a.grid(s, w.windowEnd(key, s.rate))
	start := w.windowStart(key, origin, s.rate)
	a.wave(m, w, s, start, origin)
	place := int64(w.Window)
	if w.Place == Centre {
		place = int64(w.Window / 2)
	}
	m.Skew = key - (origin + ingest.SampleTime(start+place, s.rate))
}

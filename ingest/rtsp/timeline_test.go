package rtsp

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/ingest"
)

const ms = time.Millisecond

// sender is a camera: two streams on one clock, ticks that begin anywhere, and a
// network that takes its time.
type sender struct {
	t     *timeline
	begun time.Time
	wall  time.Time
	base  [2]uint32
	rate  [2]int64
	step  time.Duration // of all ticks and the wall clock
	alone [2]time.Duration
	skew  float64 // how much faster the sound's ticks run
}

const (
	pictures = 0
	sound    = 1
)

func newSender() *sender {
	s := &sender{
		t: newTimeline([]rtpLine{
			{timebase: ingest.Timebase{Num: 1, Den: 90000}},
			{timebase: ingest.Timebase{Num: 1, Den: 48000}},
		}, sound),
		begun: time.Now(), wall: time.Unix(1_700_000_000, 0), base: [2]uint32{0xffff_0000, 77}, rate: [2]int64{90000, 48000},
	}
	return s
}

func (s *sender) tick(i int, at time.Duration) uint32 {
	at += s.step + s.alone[i]
	if i == sound {
		at += time.Duration(float64(at) * s.skew)
	}
	return s.base[i] + uint32(ingest.Timebase{Num: 1, Den: int32(s.rate[i])}.Ticks(at))
}

// send sends what happened at at, which arrives late.
func (s *sender) send(i int, at, late time.Duration) ingest.Stamp {
	p, _ := s.t.place(i, s.tick(i, at), s.begun.Add(at+late))
	return p
}

func (s *sender) report(i int, at, late time.Duration) {
	s.t.report(i, s.wall.Add(at+s.step).UnixNano(), s.tick(i, at), s.begun.Add(at+late))
}

// run sends pictures and sound from from to to, and returns by how much the last
// ones are apart, sound less picture, as presented.
func (s *sender) run(t *testing.T, from, to, late time.Duration, reports time.Duration) (apart time.Duration, seg uint32) {
	t.Helper()
	var last ingest.Stamp
	var v, a ingest.Stamp
	check := func(p ingest.Stamp) {
		if p.Seg < last.Seg || p.Seg == last.Seg+1 && p.At < last.At-40*ms {
			t.Fatalf("%v after %v", p, last)
		}
		last = p
	}
	for at := from; at < to; at += 20 * ms {
		if reports > 0 && at%reports == 0 {
			s.report(pictures, at, 0)
			s.report(sound, at+10*ms, late)
		}
		if at%(40*ms) == 0 {
			v = s.send(pictures, at, 0)
			check(v)
		}
		a = s.send(sound, at, late)
		check(a)
		if at%(40*ms) == 0 && a.Seg == v.Seg {
			apart, seg = a.At-v.At, a.Seg
		}
	}
	return apart, seg
}

func within(t *testing.T, what string, got, want, tolerance time.Duration) {
	t.Helper()
	if (got - want).Abs() > tolerance {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestTimelineByArrival(t *testing.T) {
	s := newSender()
	apart, seg := s.run(t, 0, time.Second, 150*ms, 0)
	within(t, "apart", apart, 150*ms, ms)
	if seg != 0 || s.t.sync().Reports != 0 {
		t.Errorf("seg %d, %+v", seg, s.t.sync())
	}
	w, exact := s.t.wall(ingest.Stamp{At: time.Second})
	if exact || w.Sub(s.begun.Add(time.Second)).Abs() > ms {
		t.Errorf("%v, %v", w, exact)
	}
}

func TestTimelineByHints(t *testing.T) {
	s := newSender()
	for i := range s.t.lines {
		hint := s.tick(i, 5*time.Second)
		s.t.lines[i].hint = &hint
	}
	apart, seg := s.run(t, 0, time.Second, 150*ms, 0)
	within(t, "apart", apart, 0, ms)
	if seg != 0 {
		t.Errorf("seg %d", seg)
	}
	// Hints that can't be true are not taken.
	s = newSender()
	for i := range s.t.lines {
		hint := s.tick(i, time.Duration(i)*time.Second)
		s.t.lines[i].hint = &hint
	}
	apart, _ = s.run(t, 0, time.Second, 150*ms, 0)
	within(t, "apart", apart, 150*ms, ms)
}

func TestTimelineByReports(t *testing.T) {
	s := newSender()
	s.run(t, 0, time.Second, 150*ms, 0)
	apart, seg := s.run(t, time.Second, 5*time.Second, 150*ms, time.Second)
	within(t, "apart", apart, 0, ms)
	if seg != 1 {
		t.Errorf("seg %d", seg)
	}
	within(t, "offset", s.t.sync().Offset, -150*ms, ms)
	v := s.send(pictures, 5*time.Second, 0)
	w, exact := s.t.wall(v)
	if !exact || w.Sub(s.wall.Add(5*time.Second)).Abs() > ms {
		t.Errorf("%v, %v", w, exact)
	}
}

// Steps of the ticks, by all streams alike or one alone, and of the wall clock.
func TestTimelineSteps(t *testing.T) {
	for name, c := range map[string]struct {
		step  func(*sender)
		segs  uint32 // that it may cost
		wrong time.Duration
	}{
		"ahead":             {func(s *sender) { s.step += time.Hour }, 2, 0},
		"a little ahead":    {func(s *sender) { s.step += 2500 * ms }, 2, 0},
		"back":              {func(s *sender) { s.step -= 20 * time.Minute }, 2, 0},
		"a little back":     {func(s *sender) { s.step -= 400 * ms }, 2, 0},
		"ahead, unseen":     {func(s *sender) { s.step += time.Second }, 0, 0},
		"the wall alone":    {func(s *sender) { s.wall = s.wall.Add(time.Hour) }, 0, 0},
		"the wall a little": {func(s *sender) { s.wall = s.wall.Add(-70 * ms) }, 0, 0},
		"the picture alone": {func(s *sender) { s.alone[pictures] += time.Minute; s.base[pictures] -= 77 }, 2, 0},
		"the sound alone":   {func(s *sender) { s.alone[sound] -= time.Minute }, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender()
			_, before := s.run(t, 0, 5*time.Second, 150*ms, time.Second)
			c.step(s)
			// Picture or sound alone: its reports go with it.
			tick := s.alone
			apart, _ := s.run(t, 5*time.Second, 6*time.Second-20*ms, 150*ms, 0)
			if tick == ([2]time.Duration{}) {
				within(t, "apart before any report", apart, 0, 2*ms)
			}
			apart, seg := s.run(t, 6*time.Second, 15*time.Second, 150*ms, time.Second)
			within(t, "apart", apart, 0, 2*ms)
			if seg-before > c.segs {
				t.Errorf("%d segs", seg-before)
			}
			v := s.send(pictures, 15*time.Second, 0)
			w, exact := s.t.wall(v)
			if !exact || w.Sub(s.wall.Add(15*time.Second+s.step)).Abs() > 2*ms {
				t.Errorf("wall %v, %v", w, exact)
			}
		})
	}
}

// Clocks that run apart are followed without a new Seg, and the drift is measured.
func TestTimelineDrift(t *testing.T) {
	s := newSender()
	s.skew = 100e-6
	apart, seg := s.run(t, 0, 10*time.Minute, 50*ms, 5*time.Second)
	within(t, "apart", apart, 0, 3*ms)
	if seg != 1 {
		t.Errorf("seg %d", seg)
	}
	if ppm := s.t.sync().DriftPPM; math.Abs(ppm-100) > 5 {
		t.Errorf("%v ppm", ppm)
	}
}

// Reports that can't be true move nothing.
func TestTimelineDistrusts(t *testing.T) {
	s := newSender()
	s.run(t, 0, time.Second, 30*ms, 0)
	now := s.begun.Add(time.Second)
	// A clock of its own for each stream.
	s.t.report(pictures, s.wall.UnixNano(), s.tick(pictures, time.Second), now)
	s.t.report(sound, s.wall.Add(time.Hour).UnixNano(), s.tick(sound, time.Second), now)
	// A tick of another time.
	s.t.report(pictures, s.wall.UnixNano(), s.tick(pictures, time.Hour), now)
	apart, seg := s.run(t, time.Second, 2*time.Second, 30*ms, 0)
	within(t, "apart", apart, 30*ms, ms)
	if seg != 0 {
		t.Errorf("seg %d", seg)
	}
}

// Whatever comes, At never falls back over a Seg and nothing overflows or panics.
func TestTimelineProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSender()
		s.t.lines[pictures].reorders = rapid.Bool().Draw(t, "reorders")
		slack := 8000 * time.Second / 48000 // the longest step
		if s.t.lines[pictures].reorders {
			slack += jumpReorder
		}
		now := s.begun
		ends := map[uint32]time.Duration{}
		last := [2]ingest.Stamp{}
		ticks := [2]uint32{rapid.Uint32().Draw(t, "picture"), rapid.Uint32().Draw(t, "sound")}
		for range rapid.IntRange(1, 100).Draw(t, "n") {
			i := rapid.IntRange(0, 1).Draw(t, "line")
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(50*ms)).Draw(t, "passed")))
			switch rapid.SampledFrom([]string{"packet", "packet", "packet", "packet", "packet", "report", "jump"}).Draw(t, "what") {
			case "report":
				s.t.report(i, rapid.Int64().Draw(t, "wall"), rapid.Uint32().Draw(t, "rtp"), now)
				continue
			case "jump":
				ticks[i] = rapid.Uint32().Draw(t, "tick")
			default:
				ticks[i] += rapid.Uint32Range(0, 8000).Draw(t, "ticks")
			}
			p, _ := s.t.place(i, ticks[i], now)
			if p.Seg < last[i].Seg {
				t.Fatalf("%v after %v", p, last[i])
			}
			if e, ok := ends[p.Seg-1]; ok && p.Seg > 0 && p.At < e-slack {
				t.Fatalf("%v, but the seg before went to %v", p, e)
			}
			if p.Seg > 0 && p.At < -jumpReorder {
				t.Fatalf("%v", p)
			}
			ends[p.Seg] = max(ends[p.Seg], p.At)
			last[i] = p
			s.t.wall(p)
			s.t.sync()
		}
	})
}

package align

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// plot is the content of a source, written down all at once, from which both the
// units and what must come out of them are made.
type plot struct {
	video, audio bool
	segs         []scene
}

type scene struct {
	frames []framePlot
	blocks []blockPlot
	track  map[int][]float32 // all samples by rate, once somebody asks
}

type framePlot struct{ at, dur time.Duration }

// blockPlot is a block at a whole number of milliseconds after the first.
type blockPlot struct {
	at time.Duration
	ms int
}

// The forms of sound that plots are told in. Both have whole samples in each
// millisecond.
var plotOutputs = decode.Outputs{
	Sizes:  []decode.Size{{W: 8, H: 8}},
	Sounds: []decode.Sound{{Rate: 8000, Channels: 1}, {Rate: 16000, Channels: 1}},
}

func (p *plot) streams() []ingest.Stream {
	var s []ingest.Stream
	if p.video {
		s = append(s, ingest.Stream{Index: 0, Kind: ingest.Video})
	}
	if p.audio {
		s = append(s, ingest.Stream{Index: 1, Kind: ingest.Audio, SampleRate: 44100, Channels: 2})
	}
	return s
}

// units returns the units of both streams.
func (p *plot) units(m *media) (video, audio []decode.Unit) {
	for g, s := range p.segs {
		seg := uint32(g)
		for _, f := range s.frames {
			video = append(video, m.frame(seg, f.at, f.dur, 7))
		}
		if p.video {
			video = append(video, end(seg, ingest.Video, 0))
		}
		for _, b := range s.blocks {
			for i, o := range plotOutputs.Sounds {
				audio = append(audio, m.block(seg, i, o.Rate, b.at, b.ms*o.Rate/1000))
			}
		}
		if p.audio {
			audio = append(audio, end(seg, ingest.Audio, 0))
		}
	}
	return video, audio
}

// expected is a moment as the rules say, found by looking at everything at once.
type expected struct {
	seg   uint32
	key   time.Duration
	need  int
	order int // within the need
	text  string
}

// expect works the rules out by brute force. It shares no code with the
// aligner: grids in exact rationals, sound sample by sample.
func (p *plot) expect(needs []Need, opt Options) []string {
	var all []expected
	jumped := false
	for g := range p.segs {
		s := &p.segs[g]
		if len(s.frames) == 0 && len(s.blocks) == 0 {
			continue
		}
		for i, n := range needs {
			found := p.expectNeed(uint32(g), s, n, opt, jumped)
			for j := range found {
				found[j].seg, found[j].need, found[j].order = uint32(g), i, j
				found[j].text = fmt.Sprintf("need %d seg %d %s", i, g, found[j].text)
			}
			all = append(all, found...)
		}
		jumped = true
	}
	slices.SortStableFunc(all, func(a, b expected) int {
		return cmp.Or(cmp.Compare(a.seg, b.seg), cmp.Compare(a.key, b.key), cmp.Compare(a.need, b.need), cmp.Compare(a.order, b.order))
	})
	var out []string
	for _, e := range all {
		out = append(out, e.text)
	}
	return out
}

func (s *scene) until(i int, opt Options) time.Duration {
	f := s.frames[i]
	d := f.dur
	if i+1 < len(s.frames) && s.frames[i+1].at-f.at < opt.MaxLag {
		d = s.frames[i+1].at - f.at
	} else if d <= 0 {
		steps := s.steps(i, opt)
		d = 40 * ms
		if len(steps) > 0 {
			d = steps[len(steps)/2]
		}
	}
	return f.at + min(d, opt.MaxLag)
}

// steps returns the sorted distances of the last frames up to frame i.
func (s *scene) steps(i int, opt Options) []time.Duration {
	var steps []time.Duration
	for j := i; j > 0 && len(steps) < 31; j-- {
		if step := s.frames[j].at - s.frames[j-1].at; step < opt.MaxLag {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	return steps
}

func (s *scene) end(opt Options) (video, audio time.Duration) {
	if n := len(s.frames); n > 0 {
		video = s.until(n-1, opt)
	}
	if n := len(s.blocks); n > 0 {
		audio = s.blocks[n-1].at + time.Duration(s.blocks[n-1].ms)*ms
	}
	return video, audio
}

// heard returns the sample with index k of the grid of this scene, 0 where there
// is none.
func (s *scene) heard(k int64, rate int) float32 {
	if len(s.blocks) == 0 {
		return 0
	}
	if s.track == nil {
		s.track = make(map[int][]float32)
	}
	x := s.track[rate]
	if x == nil {
		per := int64(rate / 1000)
		for _, b := range s.blocks {
			from := int64((b.at-s.blocks[0].at)/ms) * per
			x = append(x, make([]float32, from+int64(b.ms)*per-int64(len(x)))...)
			for i := from; i < int64(len(x)); i++ {
				x[i] = float32(round(b.at, rate) + i - from + 1)
			}
		}
		s.track[rate] = x
	}
	if k < 0 || k >= int64(len(x)) {
		return 0
	}
	return x[k]
}

// round returns t*rate rounded, halves away from zero.
func round(t time.Duration, rate int) int64 {
	x := new(big.Rat).SetFrac64(int64(t)*int64(rate), int64(time.Second))
	half := big.NewRat(1, 2)
	if x.Sign() < 0 {
		half.Neg(half)
	}
	x.Add(x, half)
	return new(big.Int).Quo(x.Num(), x.Denom()).Int64()
}

func timeOf(n int64, rate int) time.Duration { // rates divide a second evenly here
	return time.Duration(n * int64(time.Second) / int64(rate))
}

// window describes the window of n around at, and its skew.
func (p *plot) window(g uint32, s *scene, n Need, at time.Duration, opt Options) string {
	if n.Window == 0 || !p.audio {
		return ""
	}
	rate := plotOutputs.Sounds[n.Sound].Rate
	left := int64(n.Window / 2)
	right := int64(n.Window) - left
	if n.Place == End {
		left, right = int64(n.Window), 0
	}
	origin := time.Duration(0)
	if len(s.blocks) > 0 && s.blocks[0].at-(at+timeOf(right+1, rate)) < opt.MaxLag {
		origin = s.blocks[0].at
	}
	start := round(at-origin, rate) - left
	skew := at - origin - timeOf(start+left, rate)
	missing := 0
	sum := 0.0
	for i := range int64(n.Window) {
		v := float32(0)
		if len(s.blocks) > 0 && origin == s.blocks[0].at {
			v = s.heard(start+i, rate)
		}
		if v == 0 {
			missing++
		}
		sum += float64(v) * float64(i%97+1)
	}
	return fmt.Sprintf(" wave %d at %d n %d sum %.0f missing %d skew %d", g, origin+timeOf(start, rate), n.Window, sum, timeOf(int64(missing), rate), skew)
}

func (p *plot) expectNeed(g uint32, s *scene, n Need, opt Options, jumped bool) []expected {
	var out []expected
	cadence := n.Cadence
	if cadence == EveryFrame && n.Period > 0 && !p.video {
		cadence = EveryPeriod
	}
	frame := func(i int) {
		f := s.frames[i]
		cut := 0
		if i == 0 {
			cut = 1
		}
		out = append(out, expected{key: f.at, text: fmt.Sprintf("at %d dur %d frame%s cut %d", f.at, s.until(i, opt)-f.at, p.window(g, s, n, f.at, opt), cut)})
	}
	switch cadence {
	case EveryFrame:
		for i := range s.frames {
			frame(i)
		}
	case EveryCut:
		last := time.Duration(0)
		for i, f := range s.frames {
			if i == 0 || n.Period > 0 && f.at-last >= n.Period {
				frame(i)
				last = f.at
			}
		}
	case EveryPeriod:
		// Each point of the grid in turn.
		from, to := never, always
		v, a := s.end(opt)
		if len(s.frames) > 0 {
			from, to = s.frames[0].at, v
		}
		if len(s.blocks) > 0 {
			from, to = min(from, s.blocks[0].at), max(to, a)
		}
		taken := -1
		for t := from / n.Period * n.Period; t < to; t += n.Period {
			seen := -1
			for i, f := range s.frames {
				if f.at <= t && t < s.until(i, opt) {
					seen = i
				}
			}
			if seen >= 0 {
				if seen != taken {
					frame(seen)
				}
				taken = seen
				continue
			}
			sounds := false
			for _, b := range s.blocks {
				sounds = sounds || b.at <= t && t < b.at+time.Duration(b.ms)*ms
			}
			if sounds {
				out = append(out, expected{key: t, text: fmt.Sprintf("at %d dur %d none%s cut 0", t, n.Period, p.window(g, s, n, t, opt))})
			}
		}
	case EveryHop:
		if len(s.blocks) == 0 {
			break
		}
		rate := plotOutputs.Sounds[n.Sound].Rate
		_, a := s.end(opt)
		total := int64((a-s.blocks[0].at)/ms) * int64(rate/1000)
		for from := int64(0); from < total; from += int64(n.Hop) {
			real := int64(0)
			sum := 0.0
			for i := range int64(n.Window) {
				v := s.heard(from+i, rate)
				if v != 0 {
					real++
				}
				sum += float64(v) * float64(i%97+1)
			}
			first := from == 0
			windowEnd := s.blocks[0].at + timeOf(int64(n.Window), rate)
			for _, b := range s.blocks {
				if b.at+time.Duration(b.ms)*ms > windowEnd && b.at < windowEnd+opt.MaxLag {
					first = false // the sound goes on
				}
			}
			if real == 0 || real < int64(n.MinWindow) && !first {
				continue
			}
			at := s.blocks[0].at + timeOf(from+int64(n.Window/2), rate)
			out = append(out, expected{key: at, text: fmt.Sprintf("at %d dur %d none wave %d at %d n %d sum %.0f missing %d skew 0 cut 0",
				at, timeOf(int64(n.Hop), rate), g, s.blocks[0].at+timeOf(from, rate), n.Window, sum, timeOf(int64(n.Window)-real, rate))})
		}
	case EveryGap:
		out = p.expectGaps(s, opt, jumped)
	}
	return out
}

func (p *plot) expectGaps(s *scene, opt Options, jumped bool) []expected {
	type gap struct {
		from, to time.Duration
		kind     ingest.Kind
		why      string
	}
	var gaps []gap
	v, a := s.end(opt)
	from, to := never, always
	tol := opt.Tolerance
	if len(s.frames) > 0 {
		from, to = s.frames[0].at, v
		d := s.frames[0].dur
		if d <= 0 {
			d = 40 * ms
		}
		tol = max(tol, min(d, opt.MaxLag))
		for i := 1; i < len(s.frames); i++ {
			d := s.frames[i-1].dur
			steps := s.steps(i-1, opt)
			if e := s.frames[i-1].at + d; d > 0 && s.frames[i].at-e > max(d/2, opt.Tolerance) &&
				len(steps) >= 3 && s.frames[i].at-s.frames[i-1].at > steps[len(steps)/2]*3/2 {
				gaps = append(gaps, gap{e, s.frames[i].at, ingest.Video, Hole})
			}
		}
	}
	if len(s.blocks) > 0 {
		from, to = min(from, s.blocks[0].at), max(to, a)
		for i := 1; i < len(s.blocks); i++ {
			e := s.blocks[i-1].at + time.Duration(s.blocks[i-1].ms)*ms
			if s.blocks[i].at-e > opt.Tolerance {
				gaps = append(gaps, gap{e, s.blocks[i].at, ingest.Audio, Hole})
			}
		}
	}
	if jumped {
		gaps = append(gaps, gap{from, from, 0, Jump})
	}
	one := func(present, any bool, kind ingest.Kind, start, stop time.Duration) {
		switch {
		case !present:
		case !any:
			gaps = append(gaps, gap{from, to, kind, Absent})
		default:
			if start-from > tol {
				gaps = append(gaps, gap{from, start, kind, LateStart})
			}
			if to-stop > tol {
				gaps = append(gaps, gap{stop, to, kind, EarlyEnd})
			}
		}
	}
	first := func() (v, a time.Duration) {
		if len(s.frames) > 0 {
			v = s.frames[0].at
		}
		if len(s.blocks) > 0 {
			a = s.blocks[0].at
		}
		return v, a
	}
	v0, a0 := first()
	one(p.video, len(s.frames) > 0, ingest.Video, v0, v)
	one(p.audio, len(s.blocks) > 0, ingest.Audio, a0, a)
	slices.SortFunc(gaps, func(x, y gap) int {
		return cmp.Or(cmp.Compare(x.to, y.to), cmp.Compare(x.from, y.from), cmp.Compare(x.kind, y.kind))
	})
	var out []expected
	for _, x := range gaps {
		out = append(out, expected{key: x.to, text: fmt.Sprintf("at %d dur %d none cut 0 gap %v %s", x.from, x.to-x.from, x.kind, x.why)})
	}
	return out
}

// tell describes a moment in the words of the oracle.
func tell(m *Moment, needs []Need) string {
	text := fmt.Sprintf("need %d seg %d at %d dur %d", m.Need, m.Seg, m.At, m.Dur)
	if m.Frame != nil {
		text += " frame"
		if m.Frame.Stamp != m.Stamp {
			text += " of another time"
		}
	} else {
		text += " none"
	}
	if m.Wave.PCM != nil {
		sum := 0.0
		for i, v := range m.Wave.PCM.Data {
			sum += float64(v) * float64(i%97+1)
		}
		text += fmt.Sprintf(" wave %d at %d n %d sum %.0f missing %d skew %d", m.Wave.Seg, m.Wave.At, len(m.Wave.PCM.Data), sum, m.Wave.Missing, m.Skew)
	}
	text += fmt.Sprintf(" cut %.0f", m.Cut)
	if needs[m.Need].Cadence == EveryGap {
		text += fmt.Sprintf(" gap %v %s", m.Gap.Kind, m.Gap.Reason)
	}
	return text
}

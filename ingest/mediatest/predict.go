package mediatest

import "math"

// predict computes what a reader must find in the clip of s, but for a cut tail.
//
// The timeline of a part is that of what is fed in: its zero is the first
// picture and the first sample of a stream without delay. An encoder's priming
// lies before its stream's zero; where the container does not signal it, sound
// starts there.
func predict(s spec) *prediction {
	tr := &prediction{Truth: truthOfPart(s, s.parts[0])}
	tr.Name, tr.File, tr.Notes = s.name, s.file, s.notes
	seg := 0
	for _, p := range s.parts[1:] {
		if p.jump {
			seg++
		}
		tr.join(truthOfPart(s, p), seg)
	}
	tr.rebase(s.tick)
	tr.placeClicks(s)
	return tr
}

// prediction is a truth in the making, with what the generator must feed in.
type prediction struct {
	Truth
	later []partAudio // the sound of the parts after the first
	feed  [][]int64   // for each part the samples, of those fed in, that click
}

// partAudio is the sound of one part; first counts the samples before it.
type partAudio struct {
	seg   int
	first int64
	audio Audio
}

// truthOfPart leaves the zero of the times where that of the container lies.
func truthOfPart(s spec, p part) Truth {
	var tr Truth
	at := func(t int64) int64 { // as the container can write it
		if s.tick == 0 {
			return t
		}
		return ratio(ratio(t, 1e9, s.tick), s.tick, 1e9)
	}
	base := p.offset * 1e6
	if v := p.video; v != nil && !v.cover {
		tr.Video = &Video{W: v.w, H: v.h, Codec: v.codec, Rotation: v.rotation, Partial: -1}
		for i := range int64(v.n) {
			t, next := nanos(i*v.num, v.den), nanos((i+1)*v.num, v.den)
			if v.vfr {
				t, next = unevenMS(i)*1e6, unevenMS(i+1)*1e6
			}
			t += base + v.delay*1e6
			next += base + v.delay*1e6
			tr.Frames = append(tr.Frames, Frame{Index: v.base + int(i), PTS: at(t), Dur: at(next) - at(t)})
		}
		if s.editCut != 0 {
			cut := 0
			for cut < len(tr.Frames) && tr.Frames[cut].PTS < base+(v.delay+s.editCut)*1e6 {
				cut++
			}
			tr.Frames = tr.Frames[cut:]
			for i := range tr.Frames {
				tr.Frames[i].PTS -= s.editCut * 1e6
			}
		}
	}
	if a := p.audio; a != nil {
		rate := int64(a.rate)
		out := &Audio{Codec: a.codec, Rate: a.rate, Channels: a.channels, Lossless: a.lossless, StartTolNS: a.startTol}
		if !a.primeTold {
			out.Delay = a.prime
		}
		out.StartNS = at(base + a.delay*1e6 - nanos(out.Delay, rate))
		out.Samples = out.Delay + a.n
		if a.frame != 0 && !a.paddingTold {
			coded := a.n
			if !a.cutsOff {
				coded += a.prime
			}
			packets := (coded + a.frame - 1) / a.frame
			out.Padding = packets*a.frame - a.prime - a.n
			out.Samples += out.Padding
		}
		out.Samples -= s.soundCut() * rate / 1000
		if n := a.drop[1] - a.drop[0] + 1; a.drop[1] > 0 {
			first := a.drop[0]*a.frame - a.prime + out.Delay // counted from the first presented
			out.Holes = []Hole{{StartNS: at(out.StartNS + nanos(first, rate)), DurNS: nanos(n*a.frame, rate), Sample: first}}
			out.Samples -= n * a.frame
		}
		tr.Audio = out
	}
	return tr
}

// soundCut is how many milliseconds of the sound the edit list leaves out.
func (s spec) soundCut() int64 {
	if s.cutVideoOnly {
		return 0
	}
	return s.editCut
}

// join appends a later part.
func (tr *prediction) join(next Truth, seg int) {
	for _, f := range next.Frames {
		f.Seg = seg
		tr.Frames = append(tr.Frames, f)
	}
	if v := next.Video; v != nil && (v.W != tr.Video.W || v.H != tr.Video.H) {
		tr.Video.Sizes = append(tr.Video.Sizes, [2]int{v.W, v.H})
	}
	if a := next.Audio; a != nil {
		was := tr.Audio
		if a.Rate != was.Rate {
			was.Rates = append(was.Rates, a.Rate)
		}
		tr.later = append(tr.later, partAudio{seg: seg, first: was.Samples, audio: *a})
		was.Samples += a.Samples
	}
}

// rebase moves the zero of every seg to its earliest picture or sample, and notes
// the hole between parts that follow each other without a jump.
func (tr *prediction) rebase(tick int64) {
	segs := 1
	for _, f := range tr.Frames {
		segs = max(segs, f.Seg+1)
	}
	zero := make([]int64, segs)
	for i := range zero {
		zero[i] = math.MaxInt64
	}
	for _, f := range tr.Frames {
		zero[f.Seg] = min(zero[f.Seg], f.PTS)
	}
	if tr.Audio != nil {
		zero[0] = min(zero[0], tr.Audio.StartNS)
	}
	for _, p := range tr.later {
		zero[p.seg] = min(zero[p.seg], p.audio.StartNS)
	}
	shift := func(t int64, seg int) int64 {
		if tick == 0 {
			return t - zero[seg]
		}
		// Whole ticks, so that no two roundings add up.
		return ratio(ratio(t, 1e9, tick)-ratio(zero[seg], 1e9, tick), tick, 1e9)
	}
	for i := range tr.Frames {
		f := &tr.Frames[i]
		f.Dur = shift(f.PTS+f.Dur, f.Seg)
		f.PTS = shift(f.PTS, f.Seg)
		f.Dur -= f.PTS
	}
	if a := tr.Audio; a != nil {
		a.StartNS = shift(a.StartNS, 0)
		for i := range a.Holes {
			a.Holes[i].StartNS = shift(a.Holes[i].StartNS, 0)
		}
		end := a.StartNS + nanos(a.Samples, int64(a.Rate))
		if len(tr.later) > 0 {
			end = a.StartNS + nanos(tr.later[0].first, int64(a.Rate))
		}
		for i := range tr.later {
			p := &tr.later[i]
			p.audio.StartNS = shift(p.audio.StartNS, p.seg)
			if p.seg == 0 {
				a.Holes = append(a.Holes, Hole{StartNS: end, DurNS: p.audio.StartNS - end, Sample: p.first})
			}
		}
	}
	if segs > 1 {
		for i := range zero {
			tr.Segs = append(tr.Segs, Seg{ZeroNS: zero[i] - zero[0]})
		}
	}
}

// placeClicks chooses irregular places for the clicks, about two a second, in the
// middle third of the picture that is then seen.
func (tr *prediction) placeClicks(s spec) {
	if tr.Audio == nil {
		return
	}
	all := append([]partAudio{{audio: *tr.Audio}}, tr.later...)
	if len(tr.later) > 0 {
		all[0].audio.Samples = tr.later[0].first
		all[0].audio.Holes = nil
	}
	for _, p := range all {
		a := p.audio
		var feed []int64
		rate := int64(a.Rate)
		// Away from the start, where lossy codecs have nothing to look back at,
		// and from the end and a hole, where they cannot look ahead.
		const margin = 90e6
		begin := a.StartNS + nanos(a.Delay, rate)
		end := a.StartNS + nanos(a.Samples-a.Padding, rate)
		for _, h := range a.Holes {
			end += h.DurNS
		}
		step := int64(0)
		for t := begin + margin; t < end-margin; t += 431e6 + step*step*67%89*1e6 {
			step++
			c := Click{Rate: a.Rate, Frame: -1, Seg: p.seg, T: t + step*7919}
			if f, ok := tr.frameNear(p.seg, t, begin+margin); ok {
				c.Frame = f.Index
				c.T = f.PTS + f.Dur*(36+step*11%29)/100
			}
			if c.T >= end-margin || nearHole(a.Holes, c.T, margin) {
				continue
			}
			c.Sample = ratio(c.T-a.StartNS, 1e9, rate)
			c.T = a.StartNS + nanos(c.Sample, rate)
			feed = append(feed, c.Sample-a.Delay+s.soundCut()*rate/1000)
			for _, h := range a.Holes {
				if c.T > h.StartNS {
					c.Sample -= ratio(h.DurNS, 1e9, rate)
				}
			}
			c.Sample += p.first
			tr.Clicks = append(tr.Clicks, c)
		}
		tr.feed = append(tr.feed, feed)
	}
}

// frameNear returns the picture seen at t, which must begin after from.
func (tr *prediction) frameNear(seg int, t, from int64) (Frame, bool) {
	for _, f := range tr.Frames {
		if f.Seg == seg && f.PTS <= t && t < f.PTS+f.Dur && f.PTS >= from-f.Dur {
			return f, true
		}
	}
	return Frame{}, false
}

func nearHole(holes []Hole, t, margin int64) bool {
	for _, h := range holes {
		if t > h.StartNS-margin && t < h.StartNS+h.DurNS+margin {
			return true
		}
	}
	return false
}

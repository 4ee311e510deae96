package align

import (
	"math"
	"sort"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// piece is a block on the grid of its sound: n samples from index at, the first
// of them sample skip of the block.
type piece struct {
	block       *decode.Block
	at, n, skip int64
}

// sound is one form of the audio of one Seg: the blocks that some need may still
// look at, on the grid whose sample 0 is the Seg's first.
type sound struct {
	rate, channels int // 0 until a block tells

	started bool
	origin  time.Duration // of sample 0
	pieces  queue[piece]
	end     int64 // one past the last sample
	real    int64 // samples so far, without the holes
}

func (s *sound) reset() {
	*s = sound{rate: s.rate, channels: s.channels, pieces: queue[piece]{items: s.pieces.items[:0]}}
}

func (s *sound) timeOf(n int64) time.Duration { return s.origin + ingest.SampleTime(n, s.rate) }

// samples returns how many samples per channel b holds.
func samples(b *decode.Block) int64 {
	if b.PCM == nil || b.PCM.Format == nil || b.PCM.Format.NumChannels <= 0 {
		return 0
	}
	return int64(len(b.PCM.Data) / b.PCM.Format.NumChannels)
}

// trim releases the blocks that end at or before sample n.
func (s *sound) trim(n int64) {
	i := 0
	for ; i < s.pieces.len(); i++ {
		p := s.pieces.at(i)
		if p.at+p.n > n {
			break
		}
		p.block.Release()
	}
	if i > 0 {
		s.pieces.drop(i)
	}
}

// find returns the index of the first piece that reaches past sample n.
func (s *sound) find(n int64) int {
	return sort.Search(s.pieces.len(), func(i int) bool {
		p := s.pieces.at(i)
		return p.at+p.n > n
	})
}

// count returns how many real samples lie in [from, to).
func (s *sound) count(from, to int64) int64 {
	var n int64
	for i := s.find(from); i < s.pieces.len(); i++ {
		p := s.pieces.at(i)
		if p.at >= to {
			break
		}
		n += min(to, p.at+p.n) - max(from, p.at)
	}
	return n
}

// nextFrom returns the index of the first real sample from n on; there must be
// one.
func (s *sound) nextFrom(n int64) int64 { return max(n, s.pieces.at(s.find(n)).at) }

// copy writes the samples from index from into dst, silence where there are
// none, and returns how many are real.
func (s *sound) copy(dst []float32, from int64) int64 {
	ch := int64(s.channels)
	to := from + int64(len(dst))/ch
	var n, done int64 // done: how much of dst is written
	for i := s.find(from); i < s.pieces.len(); i++ {
		p := s.pieces.at(i)
		if p.at >= to {
			break
		}
		x, y := max(from, p.at), min(to, p.at+p.n)
		clear(dst[done*ch : (x-from)*ch])
		skip := p.skip + x - p.at
		done = y - from
		copy(dst[(x-from)*ch:done*ch], p.block.PCM.Data[skip*ch:(skip+y-x)*ch])
		n += y - x
	}
	clear(dst[done*ch:])
	return n
}

// takeBlock adds a block of this Seg. What overlaps the sound before it, or lies
// behind the watermark, is cut off; a block of another rate or layout than the
// first of its Seg is dropped whole, because it has no place on the grid.
func (a *Aligner) takeBlock(b *decode.Block) {
	s := &a.sounds[b.Sound]
	n := samples(b)
	if n == 0 || b.PCM.Format.SampleRate <= 0 {
		b.Release()
		return
	}
	rate, channels := b.PCM.Format.SampleRate, b.PCM.Format.NumChannels
	if s.started && (rate != s.rate || channels != s.channels) {
		a.late(decode.Unit{Block: b})
		return
	}
	var skip int64
	if bound := a.audioBound(); b.At < bound {
		skip = min(n, ingest.Samples(bound-b.At, rate))
	}
	at := int64(0)
	if s.started {
		// The stamps of blocks that follow each other may be a sample off
		// behind a hole that is no whole number of samples.
		at = ingest.Samples(b.At-s.origin, rate)
		if d := at - s.end; d == 1 || d == -1 {
			at = s.end
		}
		skip = min(n, max(skip, s.end-at))
	}
	if skip > 0 && b.Sound == 0 {
		a.stats.LateSamples += skip
	}
	if skip == n {
		b.Release()
		return
	}
	at += skip
	if !s.started {
		s.started, s.rate, s.channels = true, rate, channels
		s.origin, at = b.At+ingest.SampleTime(skip, rate), 0
	}
	if b.Sound == 0 && at > s.end && s.timeOf(at)-s.timeOf(s.end) > a.opt.Tolerance {
		a.addHole(audioGap, s.timeOf(s.end), s.timeOf(at))
	}
	s.pieces.push(piece{block: b, at: at, n: n - skip, skip: skip})
	s.end, s.real = at+n-skip, s.real+n-skip
}

// grid returns the origin of the grid that a window on which a frame stands
// lies on: see [Window].
func (a *Aligner) grid(s *sound, windowEnd time.Duration) time.Duration {
	if !s.started || s.origin-windowEnd >= a.opt.MaxLag {
		return 0
	}
	return s.origin
}

// ready reports whether the sound of a window that ends at windowEnd is certain,
// the grid included.
func (a *Aligner) ready(s *sound, windowEnd time.Duration) bool {
	low := a.audioLow(s)
	if !s.started && low != never {
		return low != always && low-a.opt.MaxLag >= windowEnd
	}
	return low >= windowEnd
}

// windowStart returns the index of the first sample of the window of w around
// (or up to) at, on the grid with the given origin.
func (w *want) windowStart(at, origin time.Duration, rate int) int64 {
	n := ingest.Samples(at-origin, rate)
	if w.Place == End {
		return n - int64(w.Window)
	}
	return n - int64(w.Window/2)
}

// windowEnd returns a time at or past the end of that window on any grid.
func (w *want) windowEnd(at time.Duration, rate int) time.Duration {
	n := int64(1)
	if w.Place == Centre {
		n += int64(w.Window - w.Window/2)
	}
	return at + ingest.SampleTime(n, rate)
}

// wave fills the window of m that starts at sample start of the grid with the
// given origin.
func (a *Aligner) wave(m *Moment, w *want, s *sound, start int64, origin time.Duration) {
	n := w.Window * s.channels
	if cap(m.pcm.Data) < n {
		m.pcm.Data = make([]float32, n)
	}
	m.pcm.Data = m.pcm.Data[:n]
	m.form.SampleRate, m.form.NumChannels = s.rate, s.channels
	m.pcm.Format = &m.form
	var real int64
	if s.started && origin == s.origin {
		real = s.copy(m.pcm.Data, start)
	} else {
		clear(m.pcm.Data)
	}
	m.Wave = Window{
		Stamp:   ingest.Stamp{At: origin + ingest.SampleTime(start, s.rate), Seg: a.seg},
		PCM:     &m.pcm,
		Missing: ingest.SampleTime(int64(w.Window)-real, s.rate),
	}
}

// trim releases what no need will look at again.
func (a *Aligner) trim() {
	v := &a.show
	keep, gap := v.settled, a.gaps.base+a.gaps.list.len()
	for i := range a.wants {
		switch w := &a.wants[i]; {
		case w.onFrames():
			keep = min(keep, w.frame)
		case w.Cadence == EveryGap:
			gap = min(gap, w.gap)
		}
	}
	v.trim(keep)
	a.gaps.list.drop(gap - a.gaps.base)
	a.gaps.base = gap
	for i := range a.sounds {
		s := &a.sounds[i]
		if !s.started {
			continue
		}
		from := int64(math.MaxInt64)
		for j := range a.wants {
			w := &a.wants[j]
			if w.sound() != i {
				continue
			}
			if w.Cadence == EveryHop {
				from = min(from, w.hop*int64(w.Hop))
				continue
			}
			if !w.onFrames() {
				continue
			}
			low := a.nextKey(w)
			if low == always {
				from = math.MinInt64
				break
			}
			if low == never {
				continue
			}
			// The sample that plays at low, not the nearest, tells a grid point
			// whether there is sound.
			from = min(from, w.windowStart(low, s.origin, s.rate), ingest.Samples(low-s.origin, s.rate)-1)
		}
		s.trim(from)
	}
}

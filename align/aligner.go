package align

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// Note [Watermarks]
//
// Each stream has a watermark: all that it still delivers in this Seg lies
// behind it. For sound (per form of it) that is the end of the last sample, for
// video the last frame's pts; decode.End, or a unit of a later Seg, lifts it to
// infinity, and a stream that the source lacks is there from the start.
//
// A moment is emitted when nothing that could change it, or that would have to
// come before it, can still arrive: its frame's successor is known, and so is
// the last sample of its window. Moments come in the order of (Seg, key, index
// of the need), where the key is the moment's At, of a gap its end. Each need
// knows a lower bound of its next key, so the order is settled without waiting
// for more than it takes. With Options.Apart that order is kept within each need
// alone, and none waits for another.
//
// So only stamps decide. There is one limit: a stream whose watermark lies more
// than Options.MaxLag behind the other's newest stamp is taken to have nothing
// up to that bound, and what it delivers later below it is dropped and counted.
// That keeps memory bounded when a stream falls silent: what is held is MaxLag
// (twice, for the sound around a picture that stands still) and the largest
// window. As long as no stream lags further, the output does not depend on how
// the streams interleave. That is also why a frame with no other within MaxLag
// behind it counts like the last one.
//
// Frames are large, and damaged stamps may put any number of them into MaxLag: once
// maxFrames wait for the sound, it is taken to have nothing for the oldest of them.
//
// Across a jump the same holds: the aligner finishes a Seg before it begins the
// next. Units of later Segs wait; once they span more than MaxLag or maxSegs,
// the Seg is finished without the stream that still owes its end.

const (
	never  = time.Duration(math.MaxInt64) // a watermark that everything has passed
	always = time.Duration(math.MinInt64) // a watermark that nothing has passed

	defaultLag       = 10 * time.Second
	defaultTolerance = 50 * time.Millisecond
	maxSegs          = 16
	maxFrames        = 1024 // 10 s of the fastest films
)

// track is what is common to both streams.
type track struct {
	present bool
	ended   bool // in this Seg
	// Units of later Segs, and how much time they span.
	pending queue[decode.Unit]
	span    time.Duration
}

// Aligner makes moments of units. It is used by one goroutine; its moments may
// be released by any.
type Aligner struct {
	opt  Options
	cut  *cutter // nil if no need asks for cuts
	gap  bool    // some need asks for gaps
	fps  ingest.Timebase
	pool []sync.Pool // of moments, by need
	held atomic.Int64

	seg     uint32
	closed  bool // the Seg's last gaps are known
	video   track
	audio   track
	show    show
	sounds  []sound
	gaps    gaps
	wants   []want
	floor   time.Duration // of the sound's watermark; see maxFrames
	jumped  bool          // some Seg before this one held something
	flushed bool          // no unit follows
	spent   bool          // there is no later Seg

	stats Stats
}

// New returns an aligner for a source with the given streams, decoded to out. It
// fails if a need makes no sense.
func New(out decode.Outputs, streams []ingest.Stream, needs []Need, opt Options) (*Aligner, error) {
	if opt.MaxLag <= 0 {
		opt.MaxLag = defaultLag
	}
	if opt.Tolerance <= 0 {
		opt.Tolerance = defaultTolerance
	}
	a := &Aligner{opt: opt, pool: make([]sync.Pool, len(needs))}
	own := decode.Sound{Rate: 48000, Channels: 1} // of the source, for windows before its first sample
	for _, s := range streams {
		switch s.Kind {
		case ingest.Video:
			a.video.present, a.fps = true, s.FrameRate
		case ingest.Audio:
			a.audio.present = len(out.Sounds) > 0
			if s.SampleRate > 0 && s.Channels > 0 {
				own = decode.Sound{Rate: s.SampleRate, Channels: s.Channels}
			}
		}
	}
	for _, s := range out.Sounds {
		if s.Rate <= 0 {
			s.Rate = own.Rate
		}
		if s.Channels <= 0 {
			s.Channels = own.Channels
		}
		a.sounds = append(a.sounds, sound{rate: s.Rate, channels: s.Channels})
	}
	image := -1
	for i, n := range needs {
		if err := check(n, out); err != nil {
			return nil, fmt.Errorf("align: need %d: %w", i, err)
		}
		a.gap = a.gap || n.Cadence == EveryGap
		if n.Cadence == EveryCut && a.cut == nil {
			a.cut = new(cutter)
		}
		if n.Cadence == EveryCut && image < 0 {
			image = n.Image
		}
		if n.Cadence == EveryFrame && n.Period > 0 && !a.video.present {
			n.Cadence = EveryPeriod
		}
		a.wants = append(a.wants, want{Need: n, index: i})
	}
	if a.cut != nil {
		a.cut.image = max(image, 0)
	}
	a.begin()
	return a, nil
}

// check says why n cannot be served.
func check(n Need, out decode.Outputs) error {
	switch n.Cadence {
	case EveryGap:
	case EveryFrame, EveryCut:
		if n.Period < 0 {
			return fmt.Errorf("period %v is negative", n.Period)
		}
	case EveryPeriod:
		if n.Period <= 0 {
			return fmt.Errorf("period %v is not positive", n.Period)
		}
	case EveryHop:
		if n.Hop <= 0 || n.Window <= 0 {
			return fmt.Errorf("hop %d and window %d must be positive", n.Hop, n.Window)
		}
	default:
		return fmt.Errorf("unknown cadence %d", n.Cadence)
	}
	switch {
	case n.Image < -1 || n.Image >= len(out.Sizes):
		return fmt.Errorf("image %d of %d", n.Image, len(out.Sizes))
	case n.Sound < -1 || n.Sound >= len(out.Sounds):
		return fmt.Errorf("sound %d of %d", n.Sound, len(out.Sounds))
	case n.Window < 0 || n.MinWindow < 0 || n.MinWindow > n.Window:
		return fmt.Errorf("window %d with at least %d samples", n.Window, n.MinWindow)
	case n.Window > 0 && n.Sound < 0:
		return fmt.Errorf("a window without a sound")
	case n.Place > End:
		return fmt.Errorf("unknown place %d", n.Place)
	}
	return nil
}

// Stats returns the counts so far; those of a Seg are complete once it is over.
func (a *Aligner) Stats() Stats { return a.stats }

// Held returns how many moments are not yet released.
func (a *Aligner) Held() int64 { return a.held.Load() }

// Push takes over u and appends to dst the moments that are now certain.
func (a *Aligner) Push(dst []*Moment, u decode.Unit) []*Moment {
	a.accept(u)
	return a.run(dst)
}

// Flush says that no unit follows and appends the moments that are left. The
// aligner may only be asked for Stats and Held afterwards.
func (a *Aligner) Flush(dst []*Moment) []*Moment {
	a.flushed = true
	for {
		a.video.ended, a.audio.ended = true, true
		dst = a.run(dst)
		if a.video.pending.len() == 0 && a.audio.pending.len() == 0 && a.empty() {
			return dst
		}
	}
}

// Close releases all that the aligner still holds, for a run that is given up.
func (a *Aligner) Close() {
	a.release()
	for _, t := range []*track{&a.video, &a.audio} {
		for _, u := range t.pending.rest() {
			u.Release()
		}
		t.pending.clear()
	}
}

// accept files u under this Seg or a later one.
func (a *Aligner) accept(u decode.Unit) {
	var t *track
	var at ingest.Stamp
	switch {
	case u.Frame != nil:
		t, at = &a.video, u.Frame.Stamp
	case u.Block != nil && u.Block.Sound >= 0 && u.Block.Sound < len(a.sounds):
		t, at = &a.audio, u.Block.Stamp
	case u.End != nil && u.End.Kind == ingest.Video:
		t, at = &a.video, u.End.Stamp
	case u.End != nil && u.End.Kind == ingest.Audio:
		t, at = &a.audio, u.End.Stamp
	}
	switch {
	case t == nil || !t.present:
		if u.End == nil {
			a.stats.Foreign++
		}
		u.Release()
	case at.Seg < a.seg || at.Seg == a.seg && t.ended:
		a.late(u)
	case at.Seg == a.seg:
		a.take(u)
	default:
		t.ended = true
		if t.pending.len() > 0 {
			before := stampOf(*t.pending.last())
			if at.Seg < before.Seg {
				a.late(u)
				return
			}
			if at.Seg == before.Seg {
				t.span += max(0, at.At-before.At)
			}
		}
		t.pending.push(u)
	}
}

// ahead reports whether the units that wait lie so far ahead of this Seg that the
// other stream must not hold it open.
func (a *Aligner) ahead(t *track) bool {
	return t.pending.len() > 0 && (t.span > a.opt.MaxLag || t == &a.video && t.pending.len() > maxFrames || stampOf(*t.pending.last()).Seg-a.seg > maxSegs)
}

func stampOf(u decode.Unit) ingest.Stamp {
	switch {
	case u.Frame != nil:
		return u.Frame.Stamp
	case u.Block != nil:
		return u.Block.Stamp
	}
	return u.End.Stamp
}

// late drops u and counts it.
func (a *Aligner) late(u decode.Unit) {
	switch {
	case u.Frame != nil:
		a.stats.LateFrames++
	case u.Block != nil:
		if u.Block.Sound == 0 {
			a.stats.LateSamples += samples(u.Block)
		}
	}
	u.Release()
}

// take hands u to its stream in this Seg.
func (a *Aligner) take(u decode.Unit) {
	switch {
	case u.Frame != nil:
		a.takeFrame(u.Frame)
	case u.Block != nil:
		a.takeBlock(u.Block)
	case u.End.Kind == ingest.Video:
		a.video.ended = true
	default:
		a.audio.ended = true
	}
}

// run emits what can be emitted and goes on to later Segs.
func (a *Aligner) run(dst []*Moment) []*Moment {
	for {
		if a.ahead(&a.video) || a.ahead(&a.audio) {
			a.video.ended, a.audio.ended = true, true
		}
		a.settle()
		over := a.video.ended && a.audio.ended
		if over && !a.closed {
			a.closed = true
			a.closeGaps()
		}
		dst = a.emit(dst)
		if !over {
			a.trim()
			return dst
		}
		a.account()
		a.release()
		if a.video.pending.len() == 0 && a.audio.pending.len() == 0 {
			if a.spent = a.seg == math.MaxUint32; !a.spent {
				a.seg++
			}
			a.begin()
			return dst
		}
		a.nextSeg()
	}
}

// nextSeg goes to the next Seg that can hold something and takes the units that
// wait for it. A stream without any might still deliver the very next Seg, unless
// that lies too far behind or everything has been delivered.
func (a *Aligner) nextSeg() {
	waits, next := uint32(math.MaxUint32), uint32(math.MaxUint32)
	for _, t := range []*track{&a.video, &a.audio} {
		switch {
		case t.pending.len() > 0:
			waits = min(waits, stampOf(*t.pending.at(0)).Seg)
		case t.present && !a.flushed:
			next = a.seg + 1
		}
	}
	if waits-a.seg > maxSegs {
		next = max(next, waits-maxSegs)
	}
	a.seg = min(waits, next)
	a.begin()
	for _, t := range []*track{&a.video, &a.audio} {
		n := 0
		for n < t.pending.len() && stampOf(*t.pending.at(n)).Seg == a.seg {
			n++
		}
		units := slices.Clone(t.pending.rest()[:n])
		t.pending.drop(n)
		for _, u := range units {
			if t.ended { // after its own End
				a.late(u)
				continue
			}
			a.take(u)
		}
		t.ended = t.ended || t.pending.len() > 0
		t.span = 0
		for i := 1; i < t.pending.len(); i++ {
			x, y := stampOf(*t.pending.at(i - 1)), stampOf(*t.pending.at(i))
			if x.Seg == y.Seg {
				t.span += max(0, y.At-x.At)
			}
		}
	}
}

// begin resets what belongs to one Seg.
func (a *Aligner) begin() {
	a.closed, a.floor = false, always
	a.video.ended, a.audio.ended = !a.video.present || a.spent, !a.audio.present || a.spent
	a.show.reset()
	a.gaps.reset()
	if a.cut != nil {
		a.cut.reset()
	}
	for i := range a.sounds {
		a.sounds[i].reset()
	}
	for i := range a.wants {
		a.wants[i].reset()
	}
}

// release drops the frames and blocks of this Seg.
func (a *Aligner) release() {
	a.show.trim(a.show.end())
	for i := range a.sounds {
		a.sounds[i].trim(math.MaxInt64)
	}
}

// empty reports whether this Seg has held nothing yet.
func (a *Aligner) empty() bool { return !a.show.started && !a.heard() }

func (a *Aligner) heard() bool { return len(a.sounds) > 0 && a.sounds[0].started }

// span returns where this Seg begins and ends, as far as it is known.
func (a *Aligner) span() (from, to time.Duration) {
	from, to = never, always
	if a.show.started {
		from, to = a.show.first, a.show.until
	}
	if a.heard() {
		s := &a.sounds[0]
		from, to = min(from, s.origin), max(to, s.timeOf(s.end))
	}
	return from, to
}

// account adds the finished Seg to the counts.
func (a *Aligner) account() {
	if a.empty() {
		return
	}
	a.jumped = true
	a.stats.Segs++
	from, to := a.span()
	a.stats.End = max(a.stats.End, to)
	if a.audio.present {
		missing := to - from
		if a.heard() {
			missing -= ingest.SampleTime(a.sounds[0].real, a.sounds[0].rate)
		}
		a.stats.MissingAudio += max(0, missing)
	}
}

// videoLow is the watermark of the video: no frame before it will still come.
func (a *Aligner) videoLow() time.Duration {
	if a.video.ended {
		return never
	}
	low := always
	if a.show.started {
		low = a.show.newest + 1
	}
	return max(low, a.videoBound())
}

// videoBound is the part of the watermark that the sound sets.
func (a *Aligner) videoBound() time.Duration {
	low := always
	for i := range a.sounds {
		if s := &a.sounds[i]; s.started {
			low = max(low, s.timeOf(s.end)-a.opt.MaxLag)
		}
	}
	return low
}

// audioLow is the watermark of a form of the sound.
func (a *Aligner) audioLow(s *sound) time.Duration {
	if a.audio.ended {
		return never
	}
	low := always
	if s.started {
		low = s.timeOf(s.end)
	}
	return max(low, a.audioBound())
}

// audioBound is the part of the watermark that the video sets.
func (a *Aligner) audioBound() time.Duration {
	if !a.show.started {
		return always
	}
	return max(a.floor, a.show.newest-a.opt.MaxLag)
}

// crowd raises the sound's watermark for the sake of the oldest frame if too many
// wait for it.
func (a *Aligner) crowd() {
	v := &a.show
	if v.frames.len() <= maxFrames {
		return
	}
	at := v.frames.at(0).frame.At
	for i := range a.wants {
		w := &a.wants[i]
		if !w.onFrames() || w.Window == 0 {
			continue
		}
		end := w.windowEnd(at, a.sounds[w.Sound].rate)
		if !a.sounds[w.Sound].started {
			end += a.opt.MaxLag // see ready
		}
		a.floor = max(a.floor, end)
	}
	a.floor = max(a.floor, at+1)
}

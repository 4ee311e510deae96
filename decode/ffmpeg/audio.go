package ffmpeg

// #include "codec.h"
import "C"

import (
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

const (
	maxRate     = 768000
	maxChannels = 64
)

// form is what a resampler depends on.
type form struct {
	rate, channels, format, order int
	mask                          uint64
}

// audioStream decodes the sound, places it by counting samples and resamples it
// to every form asked for.
//
// Note [Sound is counted]
//
// Sample n since the anchor plays at anchor + n/rate. The stamps of packets are
// rounded to the container's ticks (whole milliseconds in WebM and FLV) and
// summing durations drifts, so stamps only watch over the count: as long as a
// frame's stamp agrees with it within the tolerance, the count decides. Beyond,
// the stamp does. If it is late, sound is missing: the resamplers are drained,
// the hole is counted in Stats.AudioGaps and a new anchor set, on the
// nanosecond. If it is early, what was delivered already is cut off its front.
//
// The tolerance is half a frame, at least 3 ms and at most 10 ms: more than any
// container's rounding, less than any codec's shortest usual packet (20 ms), so
// that a single lost packet shows. Sound whose clock runs off its nominal rate
// is set right by 10 ms whenever it has drifted that far.
type audioStream struct {
	stream
	sounds []decode.Sound

	form       form
	anchor     time.Duration
	count      int64 // samples since the anchor
	resamplers []*resampler

	out   []decode.Unit
	frame func() error
}

const (
	minTolerance = 3 * time.Millisecond
	maxTolerance = 10 * time.Millisecond

	// wrongDur is how far a packet's stated duration may lie from its samples:
	// further than a container of whole milliseconds rounds.
	wrongDur       = 1500 * time.Microsecond
	guessTolerance = 100 * time.Millisecond
)

func newAudio(d *Decoder, st ingest.Stream, sounds []decode.Sound) (*audioStream, error) {
	c, err := openCodec(&st, d.options)
	if err != nil {
		return nil, err
	}
	a := &audioStream{
		stream:     stream{dec: d, st: st, codec: c},
		sounds:     sounds,
		resamplers: make([]*resampler, len(sounds)),
	}
	a.frame = a.deliver
	return a, nil
}

func (a *audioStream) packet(dst []decode.Unit, p *ingest.Packet) ([]decode.Unit, error) {
	a.out = dst
	var err error
	if p.Changed != nil {
		err = a.reopen(p.Changed, a.frame)
	}
	if err == nil {
		err = a.decode(p, a.frame)
	}
	dst, a.out = a.out, nil
	return dst, err
}

func (a *audioStream) finish(dst []decode.Unit) ([]decode.Unit, error) {
	a.out = dst
	err := a.decode(nil, a.frame)
	if err == nil {
		err = a.drain()
	}
	dst, a.out = a.out, nil
	if err == nil {
		dst = a.end(dst, a.reached())
	}
	return dst, err
}

// reached is where the next sample would play.
func (a *audioStream) reached() ingest.Stamp {
	if !a.started {
		return ingest.Stamp{Seg: a.seg}
	}
	return ingest.Stamp{At: a.anchor + ingest.SampleTime(a.count, a.form.rate), Seg: a.seg}
}

// deliver resamples the codec's frame.
func (a *audioStream) deliver() error {
	info := a.codec.info
	n := int(info.samples)
	f := form{
		rate: int(info.sample_rate), channels: int(info.channels), format: int(info.format),
		order: int(info.layout_order), mask: uint64(info.layout_mask),
	}
	if n <= 0 || f.rate <= 0 || f.rate > maxRate || f.channels <= 0 || f.channels > maxChannels {
		a.dec.stats.Errors++
		return nil
	}
	if err := a.follow(f, uint32(info.seg)); err != nil {
		return err
	}
	skip, err := a.place(n)
	if err != nil || skip == n {
		return err
	}
	if info.damaged != 0 {
		a.dec.stats.Concealed++
	}
	n -= skip
	for i, r := range a.resamplers {
		b, err := r.feed(&a.dec.pool, a.codec.frame.UnsafePointer(), skip, n)
		if err != nil {
			return err
		}
		a.emit(i, b, r)
	}
	a.count += int64(n)
	a.dec.stats.Samples += int64(n)
	return nil
}

// follow makes ready for a frame of form f in seg.
func (a *audioStream) follow(f form, seg uint32) error {
	if seg != a.seg {
		if a.started {
			if err := a.drain(); err != nil {
				return err
			}
			a.out = a.end(a.out, a.reached())
		}
		a.seg = seg
	}
	if f == a.form {
		return nil
	}
	if a.form != (form{}) {
		a.dec.stats.Reconfigured++
	}
	if a.started {
		if err := a.drain(); err != nil {
			return err
		}
		a.anchor, a.count = a.reached().At, 0
	}
	for i, s := range a.sounds {
		r, err := newResampler(a.codec.frame.UnsafePointer(), s, f)
		if err != nil {
			return err
		}
		if a.resamplers[i] != nil {
			a.resamplers[i].close()
		}
		a.resamplers[i] = r
	}
	a.form = f
	return nil
}

// place holds the count against the frame's stamp and returns how many of its
// first samples were delivered already.
func (a *audioStream) place(n int) (skip int, err error) {
	at := time.Duration(a.codec.info.pts)
	if !a.started {
		if at == ingest.NoTime {
			at = max(time.Duration(a.codec.info.best), 0)
		}
		a.anchor, a.count, a.started = at, 0, true
		return 0, nil
	}
	if at == ingest.NoTime {
		return 0, nil
	}
	tolerance := min(max(ingest.SampleTime(int64(n), a.form.rate)/2, minTolerance), maxTolerance)
	if stated := time.Duration(a.codec.info.duration); a.count > 0 && stated > 0 && (stated-ingest.SampleTime(int64(n), a.form.rate)).Abs() > wrongDur {
		// Where the container's durations are wrong, its stamps were added up
		// from them (Vorbis blocks of two sizes, a new rate in MPEG-TS), and
		// the samples know better.
		tolerance = guessTolerance
	}
	switch off := at - a.reached().At; {
	case off > tolerance:
		if err := a.drain(); err != nil {
			return 0, err
		}
		a.dec.stats.AudioGaps += off
		a.anchor, a.count = at, 0
	case off < -tolerance:
		skip = int(min(ingest.Samples(-off, a.form.rate), int64(n)))
		a.dec.stats.AudioOverlap += ingest.SampleTime(int64(skip), a.form.rate)
	}
	return skip, nil
}

// drain delivers what the resamplers hold and makes them ready for a new anchor.
func (a *audioStream) drain() error {
	for i, r := range a.resamplers {
		if r == nil {
			continue
		}
		b, err := r.drain(&a.dec.pool, a.count)
		if err != nil {
			return err
		}
		a.emit(i, b, r)
		r.restart()
	}
	return nil
}

// emit appends a block of r, which has just counted it, if there is one.
func (a *audioStream) emit(sound int, b *decode.Block, r *resampler) {
	if b == nil {
		return
	}
	n := int64(len(b.PCM.Data) / b.PCM.Format.NumChannels)
	b.Stamp = ingest.Stamp{At: a.anchor + ingest.SampleTime(r.count-n, r.rate), Seg: a.seg}
	b.Sound = sound
	a.out = append(a.out, decode.Unit{Block: b})
}

func (a *audioStream) close() {
	a.codec.close()
	for _, r := range a.resamplers {
		if r != nil {
			r.close()
		}
	}
}

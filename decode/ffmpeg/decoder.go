// Package ffmpeg decodes with libavcodec, scales pictures straight to the sizes
// asked for and resamples sound with libswresample.
//
// The pipeline makes one [Decoder] per source with [New], from the streams alone
// (no demuxer context is shared), and feeds it packets from one goroutine:
//
//	dec, err := ffmpeg.New(src.Streams(), decode.Outputs{
//		Sizes:  []decode.Size{{W: 224, H: 224}},
//		Sounds: []decode.Sound{{Rate: 22050, Channels: 1}},
//	}, ffmpeg.Options{})
//	r := decode.NewReader(src, dec)
//	defer r.Close()
//
// Colour follows the frame's own matrix and range; where it names no matrix, a
// picture larger than standard definition is BT.709 and a smaller one BT.601, as
// players do (libswscale takes BT.601 for all). HDR is converted by its matrix and
// range and not tone-mapped. Pictures come upright.
//
// Each stream is decoded once, each size scaled once and each sound resampled
// once. Frames and blocks come from the decoder's own pool; the receiver owns one
// reference to each and may hold it after Close. All memory of FFmpeg stays in
// this package, and [Handles] counts it.
package ffmpeg

// #cgo CFLAGS: -O3
// #cgo LDFLAGS: -lm
// #cgo pkg-config: libavcodec libavutil libswresample libswscale
import "C"

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// Limits of Options that are not set.
const (
	DefaultMaxPixels = 8192 * 8192
	// MaxSide is the longest side of a picture that is decoded at all.
	MaxSide = 16384
)

// Options are the settings of a decoder; the zero value is right for files.
type Options struct {
	// Threads of the video decoder; 0 lets FFmpeg choose by the number of
	// processors.
	Threads int
	// MaxPixels refuses larger pictures before memory is taken for them; 0 is
	// DefaultMaxPixels.
	MaxPixels int64
	// LowDelay returns each frame as soon as the codec allows, at the price of
	// threading by slices alone. For live sources.
	LowDelay bool
}

func (o Options) checkSize(w, h int) error {
	if w > MaxSide || h > MaxSide || int64(w)*int64(h) > o.MaxPixels {
		return fmt.Errorf("%w: %dx%d", ErrTooLarge, w, h)
	}
	return nil
}

// ErrTooLarge says that a picture is beyond Options.MaxPixels or MaxSide.
var ErrTooLarge = errors.New("picture is larger than the limit")

var handles atomic.Int64

// Handles returns the number of live C objects of this package: zero once every
// decoder is closed.
func Handles() int64 { return handles.Load() }

// Decoder implements decode.Decoder for at most one video and one audio stream.
type Decoder struct {
	options Options
	pool    decode.Pool
	stats   decode.Stats
	video   *video
	audio   *audioStream
	state   error // why Decode may not be called again
}

var _ decode.Decoder = (*Decoder)(nil)

// New opens a decoder for streams: at most one of each kind. It fails if a codec
// is unknown or does not open, or a picture is larger than the limits; the error
// names the stream.
func New(streams []ingest.Stream, out decode.Outputs, o Options) (*Decoder, error) {
	if o.MaxPixels <= 0 {
		o.MaxPixels = DefaultMaxPixels
	}
	if err := check(out, o); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	d := &Decoder{options: o}
	for i := range streams {
		if err := d.open(streams[i], out); err != nil {
			return nil, errors.Join(
				fmt.Errorf("decode: %v stream %d: %w", streams[i].Kind, streams[i].Index, err), d.Close())
		}
	}
	return d, nil
}

func (d *Decoder) open(st ingest.Stream, out decode.Outputs) error {
	switch st.Kind {
	case ingest.Video:
		if d.video != nil {
			return errors.New("a second video stream")
		}
		v, err := newVideo(d, st, out.Sizes)
		if err != nil {
			return err
		}
		d.video = v
	case ingest.Audio:
		if d.audio != nil {
			return errors.New("a second audio stream")
		}
		a, err := newAudio(d, st, out.Sounds)
		if err != nil {
			return err
		}
		d.audio = a
	default:
		return errors.New("neither video nor audio")
	}
	return nil
}

func check(out decode.Outputs, o Options) error {
	for _, s := range out.Sizes {
		if s.W == 0 && s.H == 0 {
			continue
		}
		if s.W <= 0 || s.H <= 0 || s.Fit > decode.Within || s.Filter > decode.Lanczos {
			return fmt.Errorf("unusable size %+v", s)
		}
		// A bound that no picture reaches is no picture of that size.
		if s.Fit != decode.Within {
			if err := o.checkSize(s.W, s.H); err != nil {
				return err
			}
		}
	}
	for _, s := range out.Sounds {
		if s.Rate < 0 || s.Rate > maxRate || s.Channels < 0 || s.Channels > maxChannels {
			return fmt.Errorf("unusable sound %+v", s)
		}
	}
	return nil
}

// Decode appends to dst what p made ready. A nil p drains both streams; after it,
// or after an error, only Stats and Close may be called. Packets of streams that
// are not decoded are passed over.
func (d *Decoder) Decode(dst []decode.Unit, p *ingest.Packet) ([]decode.Unit, error) {
	if d.state != nil {
		return dst, d.state
	}
	var err error
	switch {
	case p == nil:
		d.state = errors.New("decode: used after the end")
		if d.video != nil {
			dst, err = d.video.finish(dst)
		}
		if d.audio != nil && err == nil {
			dst, err = d.audio.finish(dst)
		}
	case d.video != nil && p.Stream == d.video.st.Index:
		dst, err = d.video.packet(dst, p)
	case d.audio != nil && p.Stream == d.audio.st.Index:
		dst, err = d.audio.packet(dst, p)
	}
	if err != nil {
		d.state = fmt.Errorf("decode: %w", err)
		return dst, d.state
	}
	return dst, nil
}

// Stats returns the counts so far.
func (d *Decoder) Stats() decode.Stats { return d.stats }

// Held returns how many of this decoder's frames and blocks are not released.
func (d *Decoder) Held() int64 { return d.pool.Held() }

// Close frees everything but the frames and blocks that are still held, which
// are Go memory. It may be called at any time, also more than once.
func (d *Decoder) Close() error {
	d.state = errors.New("decode: used after Close")
	if d.video != nil {
		d.video.close()
	}
	if d.audio != nil {
		d.audio.close()
	}
	return nil
}

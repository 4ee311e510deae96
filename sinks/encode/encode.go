// Package encode codes pictures and sound, on FFmpeg through go-astiav: into video
// files (H.264 and AAC in MP4), and live (H.264 or VP8, and Opus).
//
// Live, [Video] and [Audio] give out each packet in the call that completes it;
// web/rtc drives them through interfaces of its own. For files, sinks/overlay calls
// with the frames it has drawn and the source's own sound. A [Writer] joins one encoder per stream to a muxer; the encoders yield
// packets and know no container, so another container, or a network, can take
// them as well. What a caller passes in is copied before the call returns. C
// memory has one owner each (encoder, resampler, muxer), counted by [Handles];
// no C pointer leaves the package.
//
// A Writer is used by one goroutine:
//
//	w, err := encode.Create("annotated.mp4", encode.Options{W: 640, H: 360, Rate: 48000, Channels: 2})
//	...
//	err = w.WriteFrame(at, dur, rgb)   // in any order with
//	err = w.WriteSamples(at, pcm)      // as they come
//	err = w.Close()                    // or w.Abandon()
package encode

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/seehear/seehear/sinks"
)

// handles counts the C objects that are alive.
var handles atomic.Int64

// Handles returns how many C objects of this package are alive: zero once every
// Writer, Video and Audio is closed.
func Handles() int64 { return handles.Load() }

// Options say what a file holds. A zero W is a file without picture, a zero Rate
// one without sound.
type Options struct {
	W, H int // of every frame; even
	// FrameRate is about how many frames a second come; it only guides the rate
	// control. 0 means 25.
	FrameRate float64
	CRF       int    // quality of libx264, 0 means 23
	Preset    string // speed of libx264, "" means veryfast
	Threads   int    // of libx264, 0 lets it choose

	Rate     int // of the samples, Hz
	Channels int
}

// Writer writes one MP4 file. Times count from zero; a frame or a sample before
// zero is dropped.
//
// The file is fragmented MP4 under its name with [sinks.PartSuffix] until Close;
// what a killed run leaves plays up to its last fragment. The encoder's priming
// is signalled by an edit list, so decoders that follow it (FFmpeg, browsers)
// give every sample and every frame its own time.
type Writer struct {
	part  *sinks.Part
	mux   *muxer
	video *h264
	sound *aac
	err   error
}

// Create begins the file.
func Create(name string, opt Options) (_ *Writer, err error) {
	w := &Writer{}
	defer func() {
		if err != nil {
			w.free()
			if w.part != nil {
				w.part.Discard()
			}
			err = w.wrap(name, err)
		}
	}()
	if opt.W <= 0 && opt.Rate <= 0 {
		return nil, errors.New("neither picture nor sound")
	}
	if w.part, err = sinks.Create(name); err != nil {
		return nil, err
	}
	if w.mux, err = newMP4(w.part); err != nil {
		return nil, err
	}
	if opt.W > 0 {
		if w.video, err = newH264(opt); err != nil {
			return nil, err
		}
		if err = w.video.join(w.mux); err != nil {
			return nil, err
		}
	}
	if opt.Rate > 0 {
		if w.sound, err = newAAC(opt.Rate, opt.Channels); err != nil {
			return nil, err
		}
		if err = w.sound.join(w.mux); err != nil {
			return nil, err
		}
	}
	if err = w.mux.begin(); err != nil {
		return nil, err
	}
	return w, nil
}

// Name returns the final name of the file.
func (w *Writer) Name() string { return w.part.Name() }

// WriteFrame appends one picture of RGB24 rows, seen from at on. Frames come in
// order; dur counts only for the last, which is seen for that long.
func (w *Writer) WriteFrame(at, dur time.Duration, rgb []byte) error {
	if w.err == nil && w.video == nil {
		w.err = errors.New("encode: the file has no picture")
	}
	if w.err == nil {
		w.err = w.wrap(w.part.Name(), w.video.write(at, dur, rgb))
	}
	return w.err
}

// WriteSamples appends interleaved samples in [-1, 1] that begin at at. Where
// they begin later than the ones before end, silence fills the gap; where they
// begin earlier, what overlaps is dropped. Steps below half a millisecond are
// rounding of stamps and no gap.
func (w *Writer) WriteSamples(at time.Duration, pcm []float32) error {
	if w.err == nil && w.sound == nil {
		w.err = errors.New("encode: the file has no sound")
	}
	if w.err == nil {
		w.err = w.wrap(w.part.Name(), w.sound.write(at, pcm))
	}
	return w.err
}

// Silence fills the sound with silence up to until, if it does not reach there
// yet: a container that is to hold both can be written no further than either.
func (w *Writer) Silence(until time.Duration) error {
	if w.err == nil && w.sound != nil {
		w.err = w.wrap(w.part.Name(), w.sound.write(until, nil))
	}
	return w.err
}

// Close drains the encoders, ends the file and gives it its final name. After a
// failed write it leaves the part and returns that error.
func (w *Writer) Close() error {
	if w.part == nil {
		return w.err
	}
	if w.err == nil {
		w.err = w.wrap(w.part.Name(), w.drain())
	}
	w.free()
	err := w.part.End(w.err)
	return err
}

// Abandon frees everything and leaves the part as it is.
func (w *Writer) Abandon() {
	w.free()
	w.part.Abandon()
}

func (w *Writer) drain() error {
	if w.video != nil {
		if err := w.video.drain(); err != nil {
			return err
		}
	}
	if w.sound != nil {
		if err := w.sound.drain(); err != nil {
			return err
		}
	}
	return w.mux.end()
}

// free releases what is there, in the reverse order of construction.
func (w *Writer) free() {
	if w.sound != nil {
		w.sound.free()
		w.sound = nil
	}
	if w.video != nil {
		w.video.free()
		w.video = nil
	}
	if w.mux != nil {
		w.mux.free()
		w.mux = nil
	}
}

// wrap names the file. The file's own error, which already does, goes before
// FFmpeg's, which knows only that writing failed.
func (w *Writer) wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	if w.part != nil && w.part.Err() != nil {
		return w.part.Err()
	}
	if errors.As(err, new(*sinks.FileError)) {
		return err
	}
	return fmt.Errorf("encode: %s: %w", name, err)
}

// emit hands a packet on; the receiver takes the reference.
type emit func(*astiav.Packet) error

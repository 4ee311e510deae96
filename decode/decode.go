// Package decode turns packets into pictures and sound on the source's clock.
//
// A [Decoder] (decode/ffmpeg) takes the packets of one source and yields a
// [Unit] at a time: a video frame, scaled once for every distinct [Size] that
// somebody needs, or a block of sound at one distinct rate. The aligner consumes
// units. Frames and blocks are reference counted and pooled: who receives a unit
// owns one reference and must Release it; the memory is read-only until then.
package decode

import (
	"errors"
	"time"

	"github.com/go-audio/audio"

	"github.com/seehear/seehear/ingest"
)

// Fit says how a picture of one shape becomes one of another.
type Fit uint8

// Crop and Within start from the picture as a screen shows it: where pixels are
// not square, the short side of the pixel is stretched, so 720x576 at 64:45
// counts as 1024x576.
const (
	Squash Fit = iota // both sides scaled, aspect ratio ignored, that of a pixel too
	Crop              // short side scaled, the centre cut out
	Within            // aspect kept, no side longer than asked for, never enlarged; even sides
)

// Filter is the interpolation of a resize. Each equals Pillow's of that name
// (antialiased: the support grows with the reduction).
type Filter uint8

// The filters, from cheap to sharp.
const (
	Bilinear Filter = iota
	Bicubic
	Lanczos
)

// Size is a picture size that somebody needs. The zero Size needs no picture.
type Size struct {
	W, H   int
	Fit    Fit
	Filter Filter
}

// Sound is a form of the audio that somebody needs. Channels 1 is the mix-down
// of libswresample; Channels 0 keeps the source's own number, and Rate 0 its own
// rate.
type Sound struct{ Rate, Channels int }

// Image is one scaled picture: RGB24, rows from the top without padding, full
// range, turned upright.
type Image struct {
	W, H int
	Pix  []byte // len 3*W*H
}

// Frame is one video frame. Images holds one image per Size of [Outputs], in
// that order. Dur is the time the source gives the frame; how long it is really
// seen is for the aligner to say, who knows the next frame.
type Frame struct {
	ingest.Stamp
	Dur    time.Duration
	Images []Image
	// SrcW and SrcH are the upright size of the source picture.
	SrcW, SrcH int
	Key        bool
	ref        ref
}

// Block is a stretch of sound in one form of [Outputs]. Sample n of the block
// plays at At + n/rate. PCM is a container only (interleaved; its converters are
// not used); full scale is [-1, 1], beyond which lossy codecs and resampling may
// shoot a little. A mix-down is normalized, so that full scale stays full scale.
//
// Within a Seg the blocks of one Sound follow each other without overlap; a
// place where At is later than the end of the block before is a gap in the
// source.
type Block struct {
	ingest.Stamp
	Sound int // index into Outputs.Sounds
	PCM   *audio.Float32Buffer
	ref   ref
}

// Unit is what a decoder yields: exactly one field is set.
type Unit struct {
	Frame *Frame
	Block *Block
	End   *End
}

// End says that a stream is over for a Seg: every frame or block of it up to At
// has been delivered, and the next unit of the stream, if there is one, has a
// later Seg. The decoder yields one per stream and Seg in which the stream showed
// anything, in front of the stream's first unit of a later Seg or at the drain;
// the drain ends each stream in any case, at 0 if it never showed anything in its
// last Seg.
type End struct {
	ingest.Stamp
	Kind ingest.Kind
}

// Release gives back what the unit holds.
func (u Unit) Release() {
	if u.Frame != nil {
		u.Frame.Release()
	}
	if u.Block != nil {
		u.Block.Release()
	}
}

// Outputs says in which forms a decoder delivers a source. Duplicates are for
// the caller to fold: every entry costs a conversion.
type Outputs struct {
	Sizes  []Size
	Sounds []Sound
}

// Stats counts what a decoder saw of one source.
type Stats struct {
	Frames       int64         // video frames delivered
	Samples      int64         // audio samples decoded, at the source's rate, per channel, priming excluded
	Errors       int64         // packets that did not decode
	Concealed    int64         // frames delivered although the decoder marked them damaged
	AudioGaps    time.Duration // sound missing between the first and the last sample, over all Segs
	AudioOverlap time.Duration // sound left out because its stamps went back over what was delivered
	Reconfigured int64         // changes of size, format, rate or layout in mid-stream
}

// Decoder decodes the streams of one source. It is used by one goroutine.
//
// Decode appends to dst what p made ready and returns it; a nil packet drains
// what is left, after which only Close may be called. An error is final; a
// packet that does not decode is no error, it is counted in Stats.
type Decoder interface {
	Decode(dst []Unit, p *ingest.Packet) ([]Unit, error)
	Stats() Stats
	Close() error
}

// ErrNothingDecoded says that packets came, yet no frame and no sample.
var ErrNothingDecoded = errors.New("nothing could be decoded")

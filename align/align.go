// Package align pairs every video frame with the sound around it.
//
// An [Aligner] takes the units of one decoder and yields a [Moment] for each
// place in the media that some network wants to look at, as its [Need] says. It
// is pure: no goroutines, no wall clock, nothing but stamps decides what comes
// out, so that the same media give the same moments in whatever order picture
// and sound arrive (see Note [Watermarks]). One aligner serves all needs of a
// source. A moment's frames and samples are pooled; who receives the moment owns
// it and must Release it.
package align

import (
	"time"

	"github.com/go-audio/audio"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// Cadence says at which places of the media a Need wants a moment.
type Cadence uint8

const (
	// EveryFrame: one moment per video frame.
	EveryFrame Cadence = iota + 1
	// EveryCut: one at the first frame of a Seg and one at the first frame
	// after each scene cut. With a Need.Period, also one on the first frame
	// that lies a Period or more after the last moment of this Need, so that
	// a picture that never cuts is still looked at.
	EveryCut
	// EveryPeriod: one per Need.Period of media time, counted from zero; with
	// video, on the frame seen at that time (a frame is taken once), without, on
	// the grid itself.
	EveryPeriod
	// EveryHop: consecutive windows of sound, Need.Hop samples apart, the first
	// starting with the first sample of the Seg; video is not looked at.
	EveryHop
	// EveryGap: one for each stretch in which a stream that exists is missing,
	// and one where the source jumps.
	EveryGap
)

// Place says where in its window a moment's frame lies.
type Place uint8

const (
	Centre Place = iota // offline: sound on both sides
	End                 // live: sound up to the frame
)

// Need is what one consumer wants of a source.
type Need struct {
	Cadence Cadence
	Period  time.Duration // EveryPeriod; EveryCut: the longest time without a moment, 0 for no limit
	Hop     int           // EveryHop, in samples at Sound.Rate
	Image   int           // index into decode.Outputs.Sizes, -1 for none
	Sound   int           // index into decode.Outputs.Sounds, -1 for none
	Window  int           // samples per channel; 0 for none
	Place   Place
	// MinWindow is the number of real samples below which an EveryHop window is
	// not worth a moment unless it is the only one of its Seg.
	MinWindow int
}

// Window is a stretch of sound of exactly Need.Window samples. Where the source
// has none (before it starts, after it ends, in a gap) there is silence, and
// Missing says how much of it.
type Window struct {
	ingest.Stamp // of the first sample
	PCM          *audio.Float32Buffer
	Missing      time.Duration
}

// Gap says what is missing at a moment of cadence EveryGap.
type Gap struct {
	Kind   ingest.Kind // of the stream that is missing; 0 for a jump of the source
	Reason string      // "late start", "early end", "hole", "jump"
}

// Moment is one place in the media with what a Need wanted of it.
type Moment struct {
	ingest.Stamp               // of the frame; without one, of the window's ideal centre or the grid
	Need         int           // index into the needs of the aligner
	Dur          time.Duration // how long the frame is seen; of a window, its hop; of a gap, its length
	Frame        *decode.Frame // nil if the source shows nothing there
	Image        decode.Image  // the frame's image that Need.Image names
	Wave         Window        // Wave.PCM is nil if the source has no sound
	// Skew is the place of the frame in the window less its ideal place: at most
	// half a sample either way.
	Skew time.Duration
	// Cut is the strength in 0..1 of the scene cut in front of the frame, 1 for
	// the first frame of a Seg, 0 without one.
	Cut float64
	Gap Gap
}

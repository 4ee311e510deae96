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
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-audio/audio"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// Cadence says at which places of the media a Need wants a moment.
type Cadence uint8

const (
	// EveryFrame asks for one moment per video frame.
	EveryFrame Cadence = iota + 1
	// EveryCut asks for one at the first frame of a Seg and one at the first frame
	// after each scene cut. With a Need.Period, also one on the first frame
	// that lies a Period or more after the last moment of this Need, so that
	// a picture that never cuts is still looked at.
	EveryCut
	// EveryPeriod asks for one per Need.Period of media time, counted from zero: on the
	// frame seen at that time (a frame is taken once), and where no frame is
	// seen, on the grid itself as long as there is sound at that time.
	EveryPeriod
	// EveryHop asks for consecutive windows of sound, Need.Hop samples apart, the first
	// starting with the first sample of the Seg; video is not looked at.
	EveryHop
	// EveryGap asks for one for each stretch in which a stream that exists is missing,
	// and one where the source jumps.
	EveryGap
)

// Place says where in its window a moment's frame lies.
type Place uint8

const (
	// Centre is for files: sound on both sides, the frame at sample Window/2.
	Centre Place = iota
	// End is for live sources: sound up to the frame, which is at sample Window.
	End
)

// Need is what one consumer wants of a source.
type Need struct {
	Cadence Cadence
	// Period of EveryPeriod. EveryCut: the longest time without a moment, 0 for
	// no limit. EveryFrame: the period to go by if the source has no video, 0 for
	// no moments then.
	Period time.Duration
	Hop    int // EveryHop, in samples at Sound.Rate
	Image  int // index into decode.Outputs.Sizes, -1 for none
	Sound  int // index into decode.Outputs.Sounds, -1 for none
	Window int // samples per channel; 0 for none
	Place  Place
	// MinWindow is the number of real samples below which an EveryHop window is
	// not worth a moment, unless it is the first of its Seg and the sound ends
	// within it (none follows for Options.MaxLag). A window without any real
	// sample is never worth one.
	MinWindow int
}

// Window is a stretch of sound of exactly Need.Window samples. Where the source
// has none (before it starts, after it ends, in a gap) there is silence, and
// Missing says how much of it.
//
// The samples lie on the grid of the Seg's own samples, which goes on before
// the first and after the last. Only where the sound begins Options.MaxLag or
// more after the window's end, or not at all, is the grid counted from zero.
type Window struct {
	ingest.Stamp // of the first sample
	PCM          *audio.Float32Buffer
	Missing      time.Duration
}

// Gap says what is missing at a moment of cadence EveryGap.
type Gap struct {
	Kind   ingest.Kind // of the stream that is missing; 0 for a jump of the source
	Reason string      // one of the reasons below
}

// The reasons of a gap.
const (
	LateStart = "late start" // the other stream begins earlier
	EarlyEnd  = "early end"  // the other stream goes on
	Hole      = "hole"       // the stream goes on later
	Absent    = "absent"     // nothing of it in the whole Seg
	Jump      = "jump"       // the source jumped in front of this Seg
)

// Moment is one place in the media with what a Need wanted of it.
type Moment struct {
	ingest.Stamp               // of the frame; without one, of the window's ideal centre, the grid, or the gap's start
	Need         int           // index into the needs of the aligner
	Dur          time.Duration // how long the frame is seen; of the grid, its period; of a window, its hop; of a gap, its length
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

	pool *sync.Pool
	held *atomic.Int64
	pcm  audio.Float32Buffer // Wave.PCM, reused with the moment
	form audio.Format
}

// ReleaseFrame gives back the picture ahead of the rest, for a moment that waits
// once it was looked at: Frame is nil afterwards, and Image empty.
func (m *Moment) ReleaseFrame() {
	if m.Frame != nil {
		m.Frame.Release()
	}
	m.Frame, m.Image = nil, decode.Image{}
}

// Release gives back the moment with its frame and samples. The moment has one
// owner; releasing twice panics.
func (m *Moment) Release() {
	pool, held := m.pool, m.held
	if pool == nil {
		panic("align: moment released twice")
	}
	m.ReleaseFrame()
	*m = Moment{pcm: m.pcm}
	held.Add(-1)
	pool.Put(m)
}

// Options bound what the aligner remembers.
type Options struct {
	// MaxLag is how far one stream may lag behind the other before the aligner
	// goes on without it; 0 means 10 s. See Note [Watermarks].
	MaxLag time.Duration
	// Apart gives out each need's moments as soon as they are certain: in order
	// among themselves, whatever other needs still wait for. For live sources: a
	// frame must not wait for the end of a window of sound that is centred on it.
	Apart bool
	// Tolerance is the longest absence that no EveryGap moment is made for; 0
	// means 50 ms, a little more than the longest frame of AAC at 44.1 kHz, by
	// which the streams of ordinary files differ at both ends. For the start and
	// the end it is at least one video frame. Windows count every missing sample
	// all the same.
	Tolerance time.Duration
}

// Stats counts what the aligner saw.
type Stats struct {
	Segs    uint32 // with at least one frame or sample
	Moments int64
	// End is the end of the last frame or sample, the latest of all Segs.
	End time.Duration
	// MissingAudio is how long, over all Segs, there was no sound while a Seg
	// lasted: before its first sample, after its last and in holes. Zero for a
	// source without an audio stream.
	MissingAudio time.Duration
	// LateFrames and LateSamples were dropped: frames whose stamp does not lie
	// after the one before, sound that overlaps what was there before, and what
	// came more than MaxLag too late.
	LateFrames, LateSamples int64
	// Foreign units belong to no stream or form that the aligner was told of.
	Foreign int64
}

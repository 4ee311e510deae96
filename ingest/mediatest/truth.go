package mediatest

import (
	"math"
	"time"
)

// Clip is one generated file and what is true of it. File is a path to the
// media, for HLS to the playlist.
type Clip struct {
	Name string
	File string
	Truth
}

// Truth is what a reader must find in a clip. All times are integer nanoseconds
// on the clock of the source, whose zero is the earliest presented picture or
// sample of all streams.
type Truth struct {
	Name   string  `json:"name"`
	File   string  `json:"file"`
	Video  *Video  `json:"video,omitempty"`
	Audio  *Audio  `json:"audio,omitempty"`
	Segs   []Seg   `json:"segs,omitempty"` // only where the source jumps: the parts between the jumps
	Clicks []Click `json:"clicks,omitempty"`
	Frames []Frame `json:"frames,omitempty"`
	Notes  string  `json:"notes,omitempty"`
}

// Video is the truth about the video stream.
type Video struct {
	W        int    `json:"w"` // upright
	H        int    `json:"h"`
	Codec    string `json:"codec"`              // FFmpeg's name
	Rotation int    `json:"rotation,omitempty"` // degrees clockwise that the stored picture must be turned
	// Partial is the index of a frame of which the file holds only the first
	// part, because its tail is cut off: a reader may show it or not. It is not
	// in Frames. Negative if there is none.
	Partial int `json:"partial"`
	// Sizes are the sizes that follow the first where it changes in mid-stream.
	Sizes [][2]int `json:"sizes,omitempty"`
}

// Audio is the truth about the audio stream. The samples of the stream are
// counted from the first that a reader presents, through changes of the rate
// and across holes.
type Audio struct {
	Codec    string `json:"codec"` // FFmpeg's name
	Rate     int    `json:"rate"`  // at the start
	Channels int    `json:"channels"`
	Lossless bool   `json:"lossless"`
	StartNS  int64  `json:"start_ns"`
	// Samples counts what a reader presents, per channel: what was encoded, the
	// delay below and the padding that the container does not tell apart.
	Samples int64 `json:"samples"`
	// Delay is how many of the first samples are the encoder's priming, which
	// this container does not signal, or not in a way that FFmpeg heeds; a reader
	// cannot tell them from sound. Their stamps are right: sample Delay is the
	// first that was encoded. The figures of the encoders (AAC 1024, MP2 481, AC-3
	// 256, MP3 1105 with the decoder's part) were found by cross-correlating a
	// decode by ffmpeg with what was encoded, which the tests of this package
	// repeat.
	Delay int64 `json:"unsignalled_delay_samples"`
	// Padding is how many of the last samples fill up the codec's last frame
	// without the container saying so. It is negative where the encoder dropped
	// the end of what it was given.
	Padding int64 `json:"unsignalled_padding_samples,omitempty"`
	// StartTolNS is how far the container's own rounding may move the start.
	StartTolNS int64  `json:"start_tol_ns,omitempty"`
	Holes      []Hole `json:"holes,omitempty"`
	// Rates are the rates that follow the first where it changes.
	Rates []int `json:"rates,omitempty"`
}

// Hole is a stretch between the first and the last sample without sound.
type Hole struct {
	StartNS int64 `json:"start_ns"`
	DurNS   int64 `json:"dur_ns"`
	Sample  int64 `json:"sample"` // the first after it
}

// Seg is a stretch without a jump. Times within it count from ZeroNS: what a
// reader makes of the jump itself is its own affair, yet picture and sound of a
// seg must keep the distance they have here.
type Seg struct {
	ZeroNS int64 `json:"zero_ns"` // earliest picture or sample of the seg
}

// Frame is one picture. It is seen from PTS to PTS+Dur.
type Frame struct {
	Index int   `json:"index"` // what its barcode says
	PTS   int64 `json:"pts_ns"`
	Dur   int64 `json:"dur_ns"`
	Seg   int   `json:"seg,omitempty"`
}

// Click is one sound that can be found again.
type Click struct {
	Sample int64 `json:"sample"` // counted as Audio.Samples is
	Rate   int   `json:"rate"`
	T      int64 `json:"t_ns"`
	Frame  int   `json:"frame"` // index of the picture seen meanwhile, -1 if none
	Seg    int   `json:"seg,omitempty"`
}

// pulseHalf is how far a click reaches to either side, at least, in seconds.
const pulseHalf = 0.0006

// Pulse returns the click of lossy clips at the given rate: a burst of about a
// millisecond, symmetric, with its largest sample in the middle. Lossless clips
// have a single sample of [Amplitude] instead, which is the same place.
func Pulse(rate int) []float64 {
	f := min(3000, float64(rate)/8)
	sigma := 0.6 / f
	half := int(math.Ceil(max(pulseHalf, 3*sigma) * float64(rate)))
	p := make([]float64, 2*half+1)
	for i := range p {
		t := float64(i-half) / float64(rate)
		p[i] = Amplitude * math.Exp(-t*t/(2*sigma*sigma)) * math.Cos(2*math.Pi*f*t)
	}
	return p
}

// Amplitude is the largest sample of a click.
const Amplitude = 0.9

// Locate returns the sample within radius of near on which p, a click, is
// centred: the greatest cross-correlation. What lies outside x is silence.
func Locate(x []float32, p []float64, near, radius int) int {
	best, at := math.Inf(-1), near
	for c := near - radius; c <= near+radius; c++ {
		sum := 0.0
		for i, v := range p {
			if n := c - len(p)/2 + i; n >= 0 && n < len(x) {
				sum += v * float64(x[n])
			}
		}
		if sum > best {
			best, at = sum, c
		}
	}
	return at
}

// FrameAt returns the picture that is seen at t of a seg.
func (tr *Truth) FrameAt(seg int, t time.Duration) (Frame, bool) {
	for _, f := range tr.Frames {
		if f.Seg == seg && int64(t) >= f.PTS && int64(t) < f.PTS+f.Dur {
			return f, true
		}
	}
	return Frame{}, false
}

// nanos returns num/den seconds in nanoseconds, rounded to the nearest, halves
// away from zero.
func nanos(num, den int64) int64 { return ratio(num, den, 1e9) }

// ratio returns num/den*unit rounded to the nearest, halves away from zero.
// Clips last seconds, so that nothing here comes near 64 bits.
func ratio(num, den, unit int64) int64 {
	whole, rest := num/den, num%den
	if rest < 0 {
		return whole*unit - (-rest*unit+den/2)/den
	}
	return whole*unit + (rest*unit+den/2)/den
}

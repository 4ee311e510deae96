// Package sync says where in the picture something moves with the sound.
//
// It needs no model and no training. What starts to move when a sound starts is
// likely to make it: for every cell of a grid over the frame, the onsets of the
// cell's motion are correlated with the onsets of the sound over a sliding
// second. The command makes a [Family] and the pipeline of package seehear calls
// it for every frame:
//
//	f, err := sync.New(sync.Config{FPS: 5})
//
// Infer makes what depends on one frame alone, a small grey picture and the onset
// strength of the sound while it is seen; Resolve takes differences, correlates
// and draws. Pictures and envelopes are pooled by the family, a State owns its
// rings, events own their grids; nothing is allocated per frame.
//
// # Note [What is an onset]
//
// Both sides are treated alike, after SuperFlux (Böck and Widmer, 2013). The
// onset strength of the sound is the rise of the logarithm of its energy in
// bands, each against the loudest of the neighbouring bands 20 ms before; what is
// usual for the second is taken off, so that a steady noise, however loud, has no
// onsets. The motion of a cell is its mean absolute difference of luma, after
// a change of the whole picture's brightness and contrast is undone, less what
// the median cell moves and the spread of the cells explains; its onset is the
// rise against the most that the cell and its neighbours have moved in the 180 ms
// before, several times over. So noise, a fade, and a pan are nobody's motion;
// a movement there and back is one onset; and a thing that goes its way at
// constant speed has none: where it arrives, the next cell has moved before.
//
// # Note [Never stretched]
//
// A grid's scale is fixed: 0 up to a correlation of [Floor], 255 from [Ceiling]
// on, and never divided by the map's own maximum. What has nothing to do with the
// sound has to stay dark:
//
//   - The correlation carries a constant in its denominator on both sides, so that
//     little motion, or a second without onsets, gives none.
//   - It has to hold, less closely, over the three seconds around as well, as far
//     as they are of the same scene, and there by 3.3 standard deviations of what
//     chance gives with so many frames: at 10 per second and in the first
//     moments of a scene more is asked for than later on.
//   - A coincidence of a single onset counts half, because single onsets of
//     different things coincide by chance every few seconds.
//
// What it cannot tell: two things that move at the same times, and a thing that
// fills more than half the picture, which is taken for the camera. A sound and
// a motion that both last without a new onset have nothing to be compared by.
package sync

import (
	"fmt"
	"math"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
)

// Method is the heat maps' method.
const Method = "sync"

// The fixed scale of the grids: correlation of motion with sound.
const (
	Floor   = 0.5
	Ceiling = 0.8
)

// The picture that is looked at, and the grid over it: cells of 10 by 10 pixels.
const (
	imageW, imageH = 160, 90
	side           = 10
	gridW, gridH   = imageW / side, imageH / side
	cells          = gridW * gridH
)

const (
	defaultFPS = 5
	maxFPS     = 1000

	rate   = 16000 // of the sound
	window = rate / 2

	// second is what is correlated, in the middle of which the map stands.
	second = time.Second
	// reach is the greatest lag between sound and picture either way, in steps
	// of lagStep: a film's sound may be off by a frame or two, and what is far
	// away is heard late.
	reach   = 120 * time.Millisecond
	lagStep = 40 * time.Millisecond
	lags    = 2*int(reach/lagStep) + 1
	// spacing is the least distance of frames that are looked at: of a source of
	// 60 frames per second every other one.
	spacing = 25 * time.Millisecond
	// hole is the distance of frames from which on they are not compared.
	hole = 300 * time.Millisecond
)

// Config is what New needs. The zero value of an option is its default.
type Config struct {
	FPS  float64 // heat maps per second of media; 5
	Live bool    // the second ends at the frame instead of being centred on it
}

// Family finds what moves with the sound. It has no model.
type Family struct {
	need    infer.Need
	period  time.Duration
	live    bool
	works   *infer.Free[spectrum]
	outputs *infer.Free[output]
}

// output is what Infer tells Resolve of one frame.
type output struct {
	luma  [imageW * imageH]uint8
	hop   int64 // number of the first
	hops  int   // how many there are
	onset [most]float32
	loud  bool // any of it is above the silence gate
}

// New makes the family.
func New(c Config) (*Family, error) {
	if c.FPS == 0 {
		c.FPS = defaultFPS
	}
	if !(c.FPS > 0 && c.FPS <= maxFPS) {
		return nil, fmt.Errorf("sync: %v heat maps per second; above 0 and up to %d are possible", c.FPS, maxFPS)
	}
	f := &Family{
		period: time.Duration(math.Round(float64(time.Second) / c.FPS)),
		live:   c.Live,
		need: infer.Need{
			Cadence: align.EveryFrame,
			Image:   decode.Size{W: imageW, H: imageH, Fit: decode.Squash, Filter: decode.Bilinear},
			Sound:   decode.Sound{Rate: rate, Channels: 1},
			Window:  window,
			Place:   align.Centre,
		},
		works:   infer.NewFree(newSpectrum),
		outputs: infer.NewFree(func() *output { return new(output) }),
	}
	if c.Live {
		f.need.Place = align.End
	}
	return f, nil
}

// Models names none.
func (f *Family) Models() []infer.Info { return nil }

// Need asks for every frame, small, and for the sound around it.
func (f *Family) Need() infer.Need { return f.need }

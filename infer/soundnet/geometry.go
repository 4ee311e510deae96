package soundnet

import (
	"fmt"
	"math"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
)

// Note [Places]
//
// A fully convolutional network answers for places Stride samples apart; output
// frame i of a window is about the sound round sample Centre + i*Stride of it,
// as far as Field/2 to either side. Windows overlap and their Hop is a multiple
// of Stride, so each place of a Seg is answered by several windows, and near a
// window's ends the answer is spoilt by the padding inside the network.
//
// Place j of a Seg is the one centred on Centre + j*Stride samples after the
// Seg's first. It is reported once, with the answer whose field has the fewest
// samples outside the window's real sound; of equal ones, the earliest. It is
// final when nothing is outside, or when the windows to come begin after it.

// geometry is where a window's output frames lie, in samples at rate.
type geometry struct {
	rate, window, hop int
	frames            int // output frames of a window
	stride, field     int
	centre            float64
}

func newGeometry(a models.Audio) (geometry, error) {
	window, err := infer.WindowSamples(a)
	if err != nil {
		return geometry{}, err
	}
	g := geometry{rate: a.Rate, window: window, hop: a.Hop, frames: 1, stride: a.Stride, field: a.Field, centre: a.Centre}
	if g.hop == 0 {
		g.hop = max(g.stride, 0)
	}
	switch {
	case a.MinSamples > window:
		return g, fmt.Errorf("min_samples %d is more than the window of %d", a.MinSamples, window)
	case g.hop < 1:
		return g, fmt.Errorf("hop of %d samples", a.Hop)
	case g.stride < 0 || g.field < 0 || math.IsNaN(g.centre) || math.Abs(g.centre) > float64(window):
		return g, fmt.Errorf("receptive field of %d samples, %d apart, first on %v of a window of %d", g.field, g.stride, g.centre, window)
	}
	if g.stride == 0 { // one answer for the whole window
		g.stride = g.hop
	} else {
		if a.MinSamples < 1 {
			return g, fmt.Errorf("stride without min_samples: the number of output frames is unknown")
		}
		g.frames = 1 + (window-a.MinSamples)/g.stride
	}
	if g.hop%g.stride != 0 {
		return g, fmt.Errorf("hop %d is no multiple of stride %d, so that windows answer for different places", g.hop, g.stride)
	}
	if g.field == 0 {
		g.field = window
	}
	if g.centre == 0 {
		g.centre = float64(g.field-1) / 2
	}
	return g, nil
}

// bounds is the receptive field of output frame i, in samples of the window; it
// may reach out of it.
func (g geometry) bounds(i int) (lo, hi int) {
	lo = int(math.Floor(g.middle(i) - float64(g.field-1)/2))
	return lo, lo + g.field
}

// middle is the centre of output frame i in the window.
func (g geometry) middle(i int) float64 { return g.centre + float64(i)*float64(g.stride) }

// at is the time from the Seg's first sample to the centre of place j.
func (g geometry) at(j int64) time.Duration {
	return ingest.SampleTime(j*int64(g.stride), g.rate) + infer.SampleTimeF(g.centre, g.rate)
}

// worth is the least real samples with which a window reaches the centre of its
// first output frame; with less it answers for nothing.
func (g geometry) worth() int {
	return max(1, min(g.window, int(math.Floor(g.centre))+1))
}

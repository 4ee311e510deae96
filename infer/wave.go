package infer

import (
	"fmt"
	"math"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
)

// Note [Short sound]
//
// A window at the start or the end of a source, or of a source that is shorter
// than the window, holds less sound than the network is made for; the aligner
// fills it with silence and says how much is Missing.
//
// Silence is also what the network sees there: that is how its convolutions pad
// the ends of a whole file, and repeating the sound would report at the end of a
// file what was heard at its start. Only where there is less real sound than
// MinSamples, the least that the contract calls an input, the sound is repeated
// up to MinSamples, as the authors' own scripts do with short clips (SoundNet:
// tiled to 10 s; LVS and EZ-VSL: tiled to the whole window, so their MinSamples
// is the window). A manifest whose pad is "silence" never repeats.
//
// Samples are clipped to [-1, 1] before scaling: all of these networks learnt
// from 16-bit files, and only a resampler overshoots that range.

// WavePacker turns windows of sound into samples as a network takes them, by the
// manifest's scale, min_samples and pad (see Note [Short sound]). It is immutable
// and safe for concurrent use.
type WavePacker struct {
	scale float64
	least int // samples up to which short sound is repeated; 0: never
}

// NewWavePacker makes the packer of a manifest's sound.
func NewWavePacker(a models.Audio) (*WavePacker, error) {
	p := &WavePacker{scale: a.Scale, least: a.MinSamples}
	if a.Scale == 0 {
		p.scale = 1
	}
	if a.Scale < 0 || math.IsNaN(a.Scale) || math.IsInf(a.Scale, 0) {
		return nil, fmt.Errorf("infer: scale of samples %v", a.Scale)
	}
	if a.MinSamples < 0 {
		return nil, fmt.Errorf("infer: min_samples of %d", a.MinSamples)
	}
	switch a.Pad {
	case "", "tile":
	case "silence":
		p.least = 0
	default:
		return nil, fmt.Errorf("infer: pad %q is neither tile nor silence", a.Pad)
	}
	return p, nil
}

// Scale is the factor on samples in [-1, 1].
func (p *WavePacker) Scale() float64 { return p.scale }

// WindowSamples is the length of a manifest's window in samples.
func WindowSamples(a models.Audio) (int, error) {
	n := a.Window * float64(a.Rate)
	if a.Rate < 1 || a.Rate > 768000 || !(n >= 1) || n > 1<<28 {
		return 0, fmt.Errorf("infer: window of %v s at %d Hz", a.Window, a.Rate)
	}
	return int(math.Round(n)), nil
}

// Pack writes the window into dst, which has its length, and returns where the
// source's own samples begin and end in it. A window of several channels is
// averaged. It allocates nothing.
func (p *WavePacker) Pack(dst []float32, w align.Window) (lo, hi int, err error) {
	if w.PCM == nil || w.PCM.Format == nil || w.PCM.Format.NumChannels < 1 {
		return 0, 0, fmt.Errorf("infer: window without sound")
	}
	channels := w.PCM.Format.NumChannels
	if len(w.PCM.Data) != len(dst)*channels {
		return 0, 0, fmt.Errorf("infer: window of %d samples where the network takes %d", len(w.PCM.Data)/channels, len(dst))
	}
	if channels == 1 {
		for i, x := range w.PCM.Data {
			dst[i] = p.sample(float64(x))
		}
	} else {
		for i := range dst {
			var sum float64
			for _, x := range w.PCM.Data[i*channels:][:channels] {
				sum += float64(x)
			}
			dst[i] = p.sample(sum / float64(channels))
		}
	}
	lo, hi = RealSamples(w)
	p.repeat(dst, lo, hi)
	return lo, hi, nil
}

// Fill writes as much of pcm as fits into dst and, where that is less than
// MinSamples, repeats it up to there; the rest is silence. It returns how many
// samples are pcm's own.
func (p *WavePacker) Fill(dst, pcm []float32) int {
	n := min(len(dst), len(pcm))
	for i, x := range pcm[:n] {
		dst[i] = p.sample(float64(x))
	}
	clear(dst[n:])
	p.repeat(dst, 0, n)
	return n
}

// repeat extends dst[lo:hi] periodically until MinSamples are filled, first to
// its right, then to its left.
func (p *WavePacker) repeat(dst []float32, lo, hi int) {
	n := hi - lo
	if n <= 0 || n >= p.least {
		return
	}
	end := min(len(dst), lo+p.least)
	for i := hi; i < end; i++ {
		dst[i] = dst[i-n]
	}
	for i := lo - 1; i >= max(0, end-p.least); i-- {
		dst[i] = dst[i+n]
	}
}

// sample clips and scales; what is no number is silence.
func (p *WavePacker) sample(x float64) float32 {
	switch {
	case x > 1:
		x = 1
	case x < -1:
		x = -1
	case x != x:
		x = 0
	}
	return float32(x * p.scale)
}

// RealSamples returns where in its window the source's sound begins and ends:
// what is Missing is taken to lie in the runs of exact zeros at the window's
// start and end, as far as they reach, and the rest of it in gaps between. Only
// where digital silence borders on an end and a gap lies inside can that mistake
// the one for the other; either is silence.
func RealSamples(w align.Window) (lo, hi int) {
	if w.PCM == nil || w.PCM.Format == nil || w.PCM.Format.NumChannels < 1 {
		return 0, 0
	}
	channels := w.PCM.Format.NumChannels
	n := len(w.PCM.Data) / channels
	missing := int(ingest.Samples(max(0, w.Missing), w.PCM.Format.SampleRate))
	if missing >= n {
		return 0, 0
	}
	if missing == 0 {
		return 0, n
	}
	lead, tail := 0, 0
	for lead < missing && silentAt(w.PCM.Data, lead, channels) {
		lead++
	}
	for tail < missing && silentAt(w.PCM.Data, n-1-tail, channels) {
		tail++
	}
	if lead+tail > missing {
		// Both ends are zeros, more than for lack of sound.
		if lead == missing && tail < missing {
			tail = 0
		} else {
			lead = missing - tail
		}
	}
	return lead, n - tail
}

func silentAt(data []float32, i, channels int) bool {
	for _, x := range data[i*channels:][:channels] {
		if x != 0 {
			return false
		}
	}
	return true
}

// RMS is the root mean square of samples.
func RMS(pcm []float32) float64 {
	if len(pcm) == 0 {
		return 0
	}
	var sum float64
	for _, x := range pcm {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum / float64(len(pcm)))
}

// Amplitude is the RMS that lies db decibels from full scale.
func Amplitude(db float64) float64 { return math.Pow(10, db/20) }

// SampleTimeF is [ingest.SampleTime] of a place between samples.
func SampleTimeF(n float64, rate int) time.Duration {
	return time.Duration(math.Round(n * float64(time.Second) / float64(rate)))
}

package infer

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/dsp/fourier"

	"github.com/seehear/seehear/models"
)

// maxFFT bounds what a manifest may ask for before memory is taken.
const maxFFT = 1 << 16

// Spectrogram turns sound into the time-frequency input of a network, by the
// manifest. There are two kinds:
//
//   - power-law (Speech2Face): frames of Length samples under a periodic Hann
//     window, zero-padded at the end to FFT points, no scaling and no padding of
//     the sound; sgn(x)|x|^Power of the real and of the imaginary part, in the
//     shape [2, frames, bins].
//   - log-psd (LVS, EZ-VSL and their kin): scipy.signal.spectrogram with its
//     defaults, that is a periodic Tukey window, the mean of each frame removed,
//     one-sided power spectral density; then ln(PSD+Floor)/Divide, in the shape
//     [1, bins, frames].
//
// Both then subtract Mean and divide by Std. frames is
// 1 + floor((samples-Length)/Hop) and bins is FFT/2 + 1. The arithmetic is in
// float64. A Spectrogram is immutable and safe for concurrent use; Pack allocates
// nothing once as many calls as run at a time have run.
type Spectrogram struct {
	psd          bool
	length, hop  int
	fft, bins    int
	window       []float64
	scale        float64 // of |X|² for log-psd
	power, floor float64
	gain, offset float64 // output = value*gain - offset
	free         *Free[spectrum]
}

// spectrum is the workspace of one call; the plan inside is not safe to share.
type spectrum struct {
	plan  *fourier.FFT
	frame []float64 // FFT points; those past Length stay zero
	coeff []complex128
}

// NewSpectrogram makes the front end that a.STFT describes for sound at a.Rate.
func NewSpectrogram(a models.Audio) (*Spectrogram, error) {
	t := a.STFT
	switch {
	case t.Length < 1 || t.FFT < t.Length || t.FFT > maxFFT || t.FFT < 2:
		return nil, fmt.Errorf("infer: spectrogram of %d samples in %d points", t.Length, t.FFT)
	case t.Hop < 1:
		return nil, fmt.Errorf("infer: spectrogram hop of %d samples", t.Hop)
	}
	for _, v := range []float64{t.Tukey, t.Power, t.Floor, t.Divide, t.Mean, t.Std} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("infer: spectrogram parameter %v", v)
		}
	}
	s := &Spectrogram{length: t.Length, hop: t.Hop, fft: t.FFT, bins: t.FFT/2 + 1, power: t.Power, floor: t.Floor}
	std, divide := t.Std, t.Divide
	if std == 0 {
		std = 1
	}
	if divide == 0 {
		divide = 1
	}
	s.gain, s.offset = 1/std, t.Mean/std

	name := t.Window
	switch t.Kind {
	case "power-law":
		if t.Power <= 0 {
			return nil, fmt.Errorf("infer: spectrogram power %v is not above 0", t.Power)
		}
		if name == "" {
			name = "hann"
		}
	case "log-psd":
		if t.Floor <= 0 {
			return nil, fmt.Errorf("infer: spectrogram floor %v is not above 0", t.Floor)
		}
		if a.Rate < 1 {
			return nil, fmt.Errorf("infer: power spectral density at %d Hz", a.Rate)
		}
		if name == "" {
			name = "tukey"
		}
		s.psd, s.gain = true, 1/(divide*std)
	default:
		return nil, fmt.Errorf("infer: spectrogram kind %q is neither power-law nor log-psd", t.Kind)
	}
	switch name {
	case "hann":
		s.window = tukeyWindow(t.Length, 1)
	case "tukey":
		shape := t.Tukey
		if shape == 0 {
			shape = 0.25
		}
		if shape < 0 || shape > 1 {
			return nil, fmt.Errorf("infer: Tukey window of shape %v", t.Tukey)
		}
		s.window = tukeyWindow(t.Length, shape)
	default:
		return nil, fmt.Errorf("infer: spectrogram window %q is neither hann nor tukey", t.Window)
	}
	if s.psd {
		var sum float64
		for _, w := range s.window {
			sum += w * w
		}
		s.scale = 1 / (float64(a.Rate) * sum)
	}
	s.free = NewFree(func() *spectrum {
		return &spectrum{
			plan:  fourier.NewFFT(s.fft),
			frame: make([]float64, s.fft),
			coeff: make([]complex128, s.bins),
		}
	})
	return s, nil
}

// tukeyWindow is the periodic Tukey window of n samples, as SciPy's get_window
// gives it: the symmetric one of n+1 without its last sample. Shape 1 is Hann.
func tukeyWindow(n int, shape float64) []float64 {
	w := make([]float64, n)
	if n == 1 {
		w[0] = 1
		return w
	}
	width := int(math.Floor(shape * float64(n) / 2)) // of the taper, less one
	for i := range w {
		switch x := float64(2*i) / (shape * float64(n)); {
		case i <= width:
			w[i] = 0.5 * (1 + math.Cos(math.Pi*(x-1)))
		case i < n-width:
			w[i] = 1
		default:
			w[i] = 0.5 * (1 + math.Cos(math.Pi*(x-2/shape+1)))
		}
	}
	return w
}

// Frames is the number of frames that so many samples give, 0 for too few.
func (s *Spectrogram) Frames(samples int) int {
	if samples < s.length {
		return 0
	}
	return 1 + (samples-s.length)/s.hop
}

// Samples is the smallest number of samples that gives so many frames.
func (s *Spectrogram) Samples(frames int) int {
	if frames < 1 {
		return 0
	}
	return s.length + (frames-1)*s.hop
}

// Bins is the number of frequencies, from 0 to half the rate.
func (s *Spectrogram) Bins() int { return s.bins }

// Shape is the shape of a batch of n spectrograms of so many samples each.
func (s *Spectrogram) Shape(n, samples int) []int64 {
	f, b := int64(s.Frames(samples)), int64(s.bins)
	if s.psd {
		return []int64{int64(n), 1, b, f}
	}
	return []int64{int64(n), 2, f, b}
}

// Len is the number of values of one spectrogram of so many samples.
func (s *Spectrogram) Len(samples int) int {
	n := s.Frames(samples) * s.bins
	if !s.psd {
		n *= 2
	}
	return n
}

// Pack writes the spectrogram of pcm into dst, which has at least
// Len(len(pcm)) values. Samples are taken as they are: see [WavePacker] for
// scale and clipping.
func (s *Spectrogram) Pack(dst, pcm []float32) error {
	frames := s.Frames(len(pcm))
	if frames == 0 {
		return fmt.Errorf("infer: %d samples give no frame of %d", len(pcm), s.length)
	}
	if len(dst) < s.Len(len(pcm)) {
		return fmt.Errorf("infer: %d values do not hold a spectrogram of %d", len(dst), s.Len(len(pcm)))
	}
	w := s.free.Take()
	defer s.free.Give(w)
	for i := range frames {
		part := pcm[i*s.hop:][:s.length]
		if s.psd {
			s.logPSD(dst, part, i, frames, w)
		} else {
			s.powerLaw(dst, part, i, frames, w)
		}
	}
	return nil
}

func (s *Spectrogram) powerLaw(dst, part []float32, i, frames int, w *spectrum) {
	frame, window := w.frame[:len(part)], s.window[:len(part)]
	for k, x := range part {
		frame[k] = float64(x) * window[k]
	}
	w.plan.Coefficients(w.coeff, w.frame)
	re := dst[i*s.bins:][:s.bins]
	im := dst[(frames+i)*s.bins:][:s.bins]
	for k, c := range w.coeff {
		re[k] = float32(s.compress(real(c))*s.gain - s.offset)
		im[k] = float32(s.compress(imag(c))*s.gain - s.offset)
	}
}

// compress is sgn(x)|x|^power. The logarithm and back are half the cost of
// math.Pow and as good as float64 allows here.
func (s *Spectrogram) compress(x float64) float64 {
	switch {
	case x > 0:
		return math.Exp(s.power * math.Log(x))
	case x < 0:
		return -math.Exp(s.power * math.Log(-x))
	}
	return 0
}

func (s *Spectrogram) logPSD(dst, part []float32, i, frames int, w *spectrum) {
	var mean float64
	for _, x := range part {
		mean += float64(x)
	}
	mean /= float64(len(part))
	frame, window := w.frame[:len(part)], s.window[:len(part)]
	for k, x := range part {
		frame[k] = (float64(x) - mean) * window[k]
	}
	w.plan.Coefficients(w.coeff, w.frame)
	for k, c := range w.coeff {
		// One-sided: each bin but 0 and, if there is one, half the rate stands
		// for two.
		scale := 2 * s.scale
		if k == 0 || 2*k == s.fft {
			scale = s.scale
		}
		p := (real(c)*real(c) + imag(c)*imag(c)) * scale
		dst[k*frames+i] = float32(math.Log(p+s.floor)*s.gain - s.offset)
	}
}

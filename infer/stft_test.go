package infer_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

var (
	powerLaw = models.Audio{Rate: 16000, STFT: models.STFT{Kind: "power-law", Window: "hann", Length: 400, Hop: 160, FFT: 512, Power: 0.3}}
	logPSD   = models.Audio{Rate: 22050, STFT: models.STFT{Kind: "log-psd", Window: "tukey", Tukey: 0.25, Length: 512, Hop: 238, FFT: 512, Floor: 1e-7, Divide: 12}}
	hannPSD  = models.Audio{Rate: 22050, STFT: models.STFT{Kind: "log-psd", Window: "hann", Length: 1024, Hop: 512, FFT: 1024, Floor: 1e-14}}
)

func newSpectrogram(t testing.TB, a models.Audio) *infer.Spectrogram {
	t.Helper()
	s, err := infer.NewSpectrogram(a)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readSamples(t *testing.T, name string) []float32 {
	t.Helper()
	b := readFile(t, name)
	pcm := make([]float32, len(b)/2)
	for i := range pcm {
		pcm[i] = float32(int16(binary.LittleEndian.Uint16(b[2*i:]))) / 32768
	}
	return pcm
}

// The golden values are SciPy's (testdata/make_spectrogram.py).
//
// Each value lies within 1e-4 of SciPy's, relative to that very value. Only where
// the transform is nothing but rounding, below 1e-12 of its largest value in the
// clip, is there no value to be relative to; there, both have to be.
func TestSpectrogramsEqualSciPy(t *testing.T) {
	for _, name := range []string{"chirp", "noise", "speech", "silence"} {
		pcm := readSamples(t, "testdata/spectrogram_"+name+".s16")
		b := readFile(t, "testdata/spectrogram_"+name+".f32")
		all := make([]float32, len(b)/4)
		if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, all); err != nil {
			t.Fatal(err)
		}
		for _, front := range []struct {
			kind  string
			audio models.Audio
			grain float64
		}{
			{"power-law", powerLaw, math.Pow(1e-12, 0.3)},
			{"log-psd", logPSD, 0},
			{"log-psd of the default pack", hannPSD, 0},
		} {
			s := newSpectrogram(t, front.audio)
			n := s.Len(len(pcm))
			if n > len(all) {
				t.Fatalf("%s: golden file has %d values, %s gives %d", name, len(all), front.kind, n)
			}
			want := all[:n]
			all = all[n:]
			got := make([]float32, n)
			if err := s.Pack(got, pcm); err != nil {
				t.Fatal(err)
			}
			var most, worst float64
			for _, w := range want {
				most = max(most, math.Abs(float64(w)))
			}
			rounding := 0
			for i, w := range want {
				g, w := float64(got[i]), float64(w)
				if front.grain > 0 && math.Abs(w) < front.grain*most {
					rounding++
					if math.Abs(g) > front.grain*most {
						t.Fatalf("%s %s: value %d is %v, SciPy has rounding only, %v", name, front.kind, i, g, w)
					}
					continue
				}
				worst = max(worst, math.Abs(g-w)/math.Abs(w))
			}
			t.Logf("%s %s: relative error at most %.1e; %d of %d values are rounding", name, front.kind, worst, rounding, n)
			if !(worst <= 1e-4) {
				t.Errorf("%s %s: relative error of %v", name, front.kind, worst)
			}
		}
		if len(all) != 0 {
			t.Errorf("%s: golden file has %d values more", name, len(all))
		}
	}
}

func TestSpectrogramShapes(t *testing.T) {
	s := newSpectrogram(t, powerLaw)
	for _, c := range []struct{ samples, frames int }{{0, 0}, {399, 0}, {400, 1}, {559, 1}, {560, 2}, {48000, 298}, {96000, 598}} {
		if got := s.Frames(c.samples); got != c.frames {
			t.Errorf("power-law: %d frames of %d samples, want %d", got, c.samples, c.frames)
		}
	}
	if got := s.Shape(1, 96000); !slices.Equal(got, []int64{1, 2, 598, 257}) {
		t.Errorf("power-law: shape %v", got)
	}
	if got := s.Samples(298); got != 47920 {
		t.Errorf("power-law: 298 frames need %d samples", got)
	}
	s = newSpectrogram(t, logPSD)
	for _, c := range []struct{ samples, frames int }{{511, 0}, {512, 1}, {48000, 200}, {66150, 276}, {132300, 554}, {220500, 925}} {
		if got := s.Frames(c.samples); got != c.frames {
			t.Errorf("log-psd: %d frames of %d samples, want %d", got, c.samples, c.frames)
		}
	}
	if got := s.Shape(2, 66150); !slices.Equal(got, []int64{2, 1, 257, 276}) {
		t.Errorf("log-psd: shape %v", got)
	}
}

// Sound that never moves has no power but for rounding, whatever its level, since
// the mean of each frame is removed; silence has none at all.
func TestLogPSDOfSilence(t *testing.T) {
	s := newSpectrogram(t, logPSD)
	for _, level := range []float32{0, 0.25, -1} {
		pcm := make([]float32, 2048)
		for i := range pcm {
			pcm[i] = level
		}
		dst := make([]float32, s.Len(len(pcm)))
		if err := s.Pack(dst, pcm); err != nil {
			t.Fatal(err)
		}
		want := float32(math.Log(1e-7) / 12)
		for i, v := range dst {
			if v != want {
				t.Fatalf("level %v: value %d is %v, want ln(1e-7)/12 = %v", level, i, v, want)
			}
		}
	}
}

func TestSpectrogramNormalizes(t *testing.T) {
	pcm := noise(2000)
	for _, plain := range []models.Audio{powerLaw, logPSD} {
		moved := plain
		moved.STFT.Mean, moved.STFT.Std = -0.5, 0.25
		a, b := newSpectrogram(t, plain), newSpectrogram(t, moved)
		x, y := make([]float32, a.Len(len(pcm))), make([]float32, a.Len(len(pcm)))
		if err := a.Pack(x, pcm); err != nil {
			t.Fatal(err)
		}
		if err := b.Pack(y, pcm); err != nil {
			t.Fatal(err)
		}
		for i := range x {
			if want := (float64(x[i]) + 0.5) / 0.25; math.Abs(float64(y[i])-want) > 1e-5*max(1, math.Abs(want)) {
				t.Fatalf("%s: value %d is %v, want %v", plain.STFT.Kind, i, y[i], want)
			}
		}
	}
}

func TestSpectrogramAllocatesNothing(t *testing.T) {
	for _, a := range []models.Audio{powerLaw, logPSD} {
		s := newSpectrogram(t, a)
		pcm := noise(4096)
		dst := make([]float32, s.Len(len(pcm)))
		if n := testing.AllocsPerRun(10, func() { _ = s.Pack(dst, pcm) }); n != 0 {
			t.Errorf("%s: Pack allocates %v times", a.STFT.Kind, n)
		}
	}
}

func TestSpectrogramRunsConcurrently(t *testing.T) {
	s := newSpectrogram(t, logPSD)
	pcm := noise(4096)
	want := make([]float32, s.Len(len(pcm)))
	if err := s.Pack(want, pcm); err != nil {
		t.Fatal(err)
	}
	results := make(chan []float32)
	for range 4 {
		go func() {
			dst := make([]float32, len(want))
			for range 8 {
				_ = s.Pack(dst, pcm)
			}
			results <- dst
		}()
	}
	for range 4 {
		if got := <-results; !slices.Equal(got, want) {
			t.Error("calls at the same time give other values")
		}
	}
}

func TestSpectrogramRefuses(t *testing.T) {
	change := func(a models.Audio, f func(*models.Audio)) models.Audio { f(&a); return a }
	for name, a := range map[string]models.Audio{
		"nothing":    {},
		"kind":       change(powerLaw, func(a *models.Audio) { a.STFT.Kind = "mel" }),
		"window":     change(powerLaw, func(a *models.Audio) { a.STFT.Window = "hamming" }),
		"hop":        change(powerLaw, func(a *models.Audio) { a.STFT.Hop = 0 }),
		"short fft":  change(powerLaw, func(a *models.Audio) { a.STFT.FFT = 256 }),
		"huge fft":   change(powerLaw, func(a *models.Audio) { a.STFT.FFT = 1 << 30 }),
		"power":      change(powerLaw, func(a *models.Audio) { a.STFT.Power = 0 }),
		"no number":  change(powerLaw, func(a *models.Audio) { a.STFT.Mean = math.NaN() }),
		"floor":      change(logPSD, func(a *models.Audio) { a.STFT.Floor = 0 }),
		"rate":       change(logPSD, func(a *models.Audio) { a.Rate = 0 }),
		"wide tukey": change(logPSD, func(a *models.Audio) { a.STFT.Tukey = 2 }),
	} {
		if _, err := infer.NewSpectrogram(a); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	s := newSpectrogram(t, powerLaw)
	if err := s.Pack(make([]float32, 10), make([]float32, 400)); err == nil {
		t.Error("a destination that is too small was accepted")
	}
	if err := s.Pack(make([]float32, 1000), make([]float32, 399)); err == nil {
		t.Error("sound without a frame was accepted")
	}
}

func noise(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	pcm := make([]float32, n)
	for i := range pcm {
		pcm[i] = float32(rng.NormFloat64() * 0.2)
	}
	return pcm
}

func BenchmarkSpectrogram(b *testing.B) {
	for _, a := range []models.Audio{powerLaw, logPSD} {
		b.Run(a.STFT.Kind, func(b *testing.B) {
			s := newSpectrogram(b, a)
			pcm := noise(6 * a.Rate)
			dst := make([]float32, s.Len(len(pcm)))
			for b.Loop() {
				if err := s.Pack(dst, pcm); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(6*float64(b.N)/b.Elapsed().Seconds(), "xrealtime")
		})
	}
}

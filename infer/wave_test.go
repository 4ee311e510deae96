package infer_test

import (
	"math"
	"slices"
	"testing"

	"github.com/go-audio/audio"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
)

// window makes a window of lead samples before the sound and tail after it.
func window(rate, lead int, pcm []float32, tail int) align.Window {
	data := make([]float32, lead, lead+len(pcm)+tail)
	data = append(append(data, pcm...), make([]float32, tail)...)
	return align.Window{
		PCM:     &audio.Float32Buffer{Format: &audio.Format{SampleRate: rate, NumChannels: 1}, Data: data},
		Missing: ingest.SampleTime(int64(lead+tail), rate),
	}
}

func newWavePacker(t *testing.T, a models.Audio) *infer.WavePacker {
	t.Helper()
	p, err := infer.NewWavePacker(a)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWavePacker(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		audio  models.Audio
		in     align.Window
		want   []float32
		lo, hi int
	}{
		"scale and clip": {
			models.Audio{Scale: 256},
			window(8000, 0, []float32{0.5, -0.25, 1.5, -2, nan}, 0),
			[]float32{128, -64, 256, -256, 0},
			0, 5,
		},
		"silence after": {models.Audio{}, window(8000, 0, []float32{1, 2, 3}, 3), []float32{1, 1, 1, 0, 0, 0}, 0, 3},
		"repeated": {
			models.Audio{MinSamples: 5},
			window(8000, 0, []float32{.1, .2}, 4),
			[]float32{.1, .2, .1, .2, .1, 0},
			0, 2,
		},
		"repeated to the left": {
			models.Audio{MinSamples: 6},
			window(8000, 4, []float32{.1, .2}, 0),
			[]float32{.1, .2, .1, .2, .1, .2},
			4, 6,
		},
		"repeated both ways": {
			models.Audio{MinSamples: 6},
			window(8000, 1, []float32{.1, .2, .3}, 2),
			[]float32{.3, .1, .2, .3, .1, .2},
			1, 4,
		},
		"long enough":  {models.Audio{MinSamples: 2}, window(8000, 0, []float32{.1, .2}, 2), []float32{.1, .2, 0, 0}, 0, 2},
		"never repeat": {models.Audio{MinSamples: 4, Pad: "silence"}, window(8000, 0, []float32{.1, .2}, 2), []float32{.1, .2, 0, 0}, 0, 2},
		"no sound":     {models.Audio{MinSamples: 4}, window(8000, 0, nil, 4), []float32{0, 0, 0, 0}, 0, 0},
	} {
		got := make([]float32, len(c.want))
		lo, hi, err := newWavePacker(t, c.audio).Pack(got, c.in)
		if err != nil || lo != c.lo || hi != c.hi || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, sound in %d…%d, %v; want %v, %d…%d", name, got, lo, hi, err, c.want, c.lo, c.hi)
		}
	}
}

func TestWavePackerMixesDown(t *testing.T) {
	w := align.Window{PCM: &audio.Float32Buffer{
		Format: &audio.Format{SampleRate: 8000, NumChannels: 2},
		Data:   []float32{.5, .25, -1, 1},
	}}
	got := make([]float32, 2)
	if _, _, err := newWavePacker(t, models.Audio{}).Pack(got, w); err != nil || !slices.Equal(got, []float32{.375, 0}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestWavePackerRefuses(t *testing.T) {
	for _, a := range []models.Audio{{Scale: -1}, {Scale: math.NaN()}, {MinSamples: -1}, {Pad: "wrap"}} {
		if _, err := infer.NewWavePacker(a); err == nil {
			t.Errorf("%+v: accepted", a)
		}
	}
	p := newWavePacker(t, models.Audio{})
	if _, _, err := p.Pack(make([]float32, 3), window(8000, 0, []float32{1}, 0)); err == nil {
		t.Error("a window of another length was accepted")
	}
	if _, _, err := p.Pack(nil, align.Window{}); err == nil {
		t.Error("a window without sound was accepted")
	}
	for _, a := range []models.Audio{{}, {Rate: 8000}, {Rate: 8000, Window: math.NaN()}, {Rate: 8000, Window: math.Inf(1)}, {Rate: -1, Window: -1}} {
		if n, err := infer.WindowSamples(a); err == nil {
			t.Errorf("%+v: window of %d", a, n)
		}
	}
}

// Whatever the sound, its place in the window is found as long as it neither
// begins nor ends with digital silence; with it, the length is right all the same.
func TestRealSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.SampledFrom([]int{8000, 16000, 22050, 44100}).Draw(t, "rate")
		pcm := rapid.SliceOfN(rapid.Float32Range(-1, 1), 1, 40).Draw(t, "pcm")
		lead, tail := rapid.IntRange(0, 20).Draw(t, "lead"), rapid.IntRange(0, 20).Draw(t, "tail")
		lo, hi := infer.RealSamples(window(rate, lead, pcm, tail))
		if hi-lo != len(pcm) {
			t.Fatalf("%d…%d of %d samples", lo, hi, len(pcm))
		}
		if pcm[0] != 0 && pcm[len(pcm)-1] != 0 && lo != lead {
			t.Fatalf("begins at %d, want %d", lo, lead)
		}
	})
	// A gap inside is neither lead nor tail.
	w := window(8000, 0, []float32{1, 0, 0, 1}, 0)
	w.Missing = ingest.SampleTime(2, 8000)
	if lo, hi := infer.RealSamples(w); lo != 0 || hi != 4 {
		t.Errorf("gap inside: %d…%d", lo, hi)
	}
}

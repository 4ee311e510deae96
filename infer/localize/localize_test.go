package localize

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

var (
	red, green = colour{255, 0, 0}, colour{0, 255, 0}
	hearRed    = [3]float32{1, 0, 0}
)

// spot is a green picture with one cell of the given colour.
func spot(gw, gh, x, y int, c colour) []colour {
	cells := make([]colour, gw*gh)
	for i := range cells {
		cells[i] = green
	}
	cells[y*gw+x] = c
	return cells
}

func TestSpotIsFound(t *testing.T) {
	for _, dynamic := range []bool{false, true} {
		c := config(5, 4)
		c.Sessions["image"] = eyes(5, 4, dynamic, false)
		f := family(t, c)
		for range 2 { // the second with the shape that the first has taught
			hm := look(t, f, f.Open(), scene(5, 4, 0, spot(5, 4, 3, 1, red), hearRed))
			want := make([]byte, 20)
			want[1*5+3] = 255
			if diff := cmp.Diff(want, hm.Grid); diff != "" {
				t.Error(diff)
			}
			if math.Abs(hm.Peak-1) > 1e-6 || math.Abs(hm.X-0.7) > 1e-9 || math.Abs(hm.Y-0.375) > 1e-9 || hm.Gated != "" || hm.Method != "semantic" {
				t.Errorf("got %+v", hm)
			}
		}
	}
}

// A cosine between floor and ceiling is drawn as its place between them:
// cos((3,4),(0,1)) = 0.8, and 0.8 lies 0.6 of the way from 0.5 to 1. Unit vectors
// are made here: halving every colour changes nothing.
func TestScaleIsFixed(t *testing.T) {
	for _, k := range []byte{1, 2} {
		f := family(t, config(3, 3))
		c := colour{30 * k, 40 * k, 0}
		cells := make([]colour, 9)
		for i := range cells {
			cells[i] = colour{200, 0, 0}
		}
		cells[4] = c
		hm := look(t, f, f.Open(), scene(3, 3, 0, cells, [3]float32{0, 0.5, 0}))
		if hm.Grid[4] != 153 || math.Abs(hm.Peak-0.8) > 1e-6 || hm.Grid[0] != 0 {
			t.Errorf("cell is %d, peak %v", hm.Grid[4], hm.Peak)
		}
	}
}

func TestGates(t *testing.T) {
	f := family(t, config(3, 3))
	m := scene(3, 3, 0, spot(3, 3, 1, 1, red), [3]float32{0.001, 0, 0}) // rms -84.8 dBFS
	if hm := look(t, f, f.Open(), m); hm.Gated != "silence" || !empty(hm.Grid) {
		t.Errorf("silence gives %+v", hm)
	}
	// Two thirds of the window are missing: what is there is 4.8 dB louder than
	// the window as a whole.
	level := float32(math.Pow(10, -58.0/20) * math.Sqrt(100))
	m = scene(3, 3, 0, spot(3, 3, 1, 1, red), [3]float32{level, 0, 0})
	if hm := look(t, f, f.Open(), m); hm.Gated != "silence" {
		t.Errorf("-62.8 dBFS gives %+v", hm)
	}
	m.Wave.Missing = 2 * time.Second
	if hm := look(t, f, f.Open(), m); hm.Gated != "" {
		t.Errorf("-58 dBFS over what is there gives %+v", hm)
	}
	m.Wave.Missing = 3 * time.Second
	if hm := look(t, f, f.Open(), m); hm.Gated != "silence" {
		t.Errorf("no sound gives %+v", hm)
	}
	m = scene(3, 3, 0, spot(3, 3, 1, 1, green), hearRed)
	if hm := look(t, f, f.Open(), m); hm.Gated != "confidence" || !empty(hm.Grid) || hm.Peak != 0 {
		t.Errorf("nothing red gives %+v", hm)
	}
	// A cell and a sound of length zero resemble nothing.
	m = scene(3, 3, 0, make([]colour, 9), hearRed)
	if hm := look(t, f, f.Open(), m); hm.Gated != "confidence" {
		t.Errorf("a black picture gives %+v", hm)
	}
}

func TestSilenceRunsNoNetwork(t *testing.T) {
	c := config(3, 3)
	f := family(t, c)
	look(t, f, f.Open(), scene(3, 3, 0, make([]colour, 9), [3]float32{}))
	if n := c.Sessions["image"].(*graph).runs.Load() + c.Sessions["audio"].(*graph).runs.Load(); n != 0 {
		t.Errorf("%d runs", n)
	}
}

func empty(grid []byte) bool {
	for _, v := range grid {
		if v != 0 {
			return false
		}
	}
	return true
}

// After half a half-life sqrt(1/2) of the map before is left.
func TestSmoothing(t *testing.T) {
	c := config(3, 1)
	c.Model.Gate.Floor, c.Model.Gate.Ceiling = 0.001, 1.001
	c.CutBelow = -1
	f := family(t, c)
	st := f.Open()
	look(t, f, st, scene(3, 1, 0, []colour{red, green, green}, hearRed))
	hm := look(t, f, st, scene(3, 1, 200*time.Millisecond, []colour{green, green, red}, hearRed))
	k := math.Sqrt(0.5)
	want := []byte{byte(math.Round(255 * (k - 0.001))), 0, byte(math.Round(255 * (1 - k - 0.001)))}
	if diff := cmp.Diff(want, hm.Grid); diff != "" {
		t.Error(diff)
	}
	if math.Abs(hm.Peak-k) > 1e-6 || math.Abs(hm.X-1.0/6) > 1e-9 {
		t.Errorf("peak %v at %v", hm.Peak, hm.X)
	}

	// A cut, known or seen, forgets; and so does a silence.
	fresh := []byte{0, 0, 255}
	fresh[2] = byte(math.Round(255 * 0.999))
	for name, next := range map[string]func(infer.State, *Family) *infer.Heatmap{
		"known cut": func(st infer.State, f *Family) *infer.Heatmap {
			m := scene(3, 1, 200*time.Millisecond, []colour{green, green, red}, hearRed)
			m.Cut = 0.7
			return look(t, f, st, m)
		},
		"silence": func(st infer.State, f *Family) *infer.Heatmap {
			look(t, f, st, scene(3, 1, 100*time.Millisecond, []colour{green, green, red}, [3]float32{}))
			return look(t, f, st, scene(3, 1, 200*time.Millisecond, []colour{green, green, red}, hearRed))
		},
	} {
		st = f.Open()
		look(t, f, st, scene(3, 1, 0, []colour{red, green, green}, hearRed))
		if diff := cmp.Diff(fresh, next(st, f).Grid); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	c.CutBelow = 0
	f = family(t, c)
	st = f.Open()
	look(t, f, st, scene(3, 1, 0, []colour{red, {0, 0, 255}, {0, 0, 255}}, hearRed))
	hm = look(t, f, st, scene(3, 1, 200*time.Millisecond, []colour{green, green, red}, hearRed))
	if diff := cmp.Diff(fresh, hm.Grid); diff != "" { // means (1,0,2) and (1,2,0): cosine 0.2
		t.Errorf("seen cut: %s", diff)
	}
}

func TestObjectness(t *testing.T) {
	c := config(3, 1)
	c.Model.Heat = models.Heat{Alpha: 0.5, ObjectFloor: 0, ObjectCeiling: 2}
	if _, err := build(c, front); err == nil {
		t.Error("weight for objectness without an output is accepted")
	}
	for _, dynamic := range []bool{false, true} {
		c.Sessions["image"] = eyes(3, 1, dynamic, true)
		f := family(t, c)
		// Objectness is the sum of the channels: 0.5, 1 and 2; cosines 1, 1/sqrt2 and 0.
		hm := look(t, f, f.Open(), scene(3, 1, 0, []colour{{128, 0, 0}, {128, 127, 0}, {0, 255, 255}}, hearRed))
		o := 128.0 / 255 / 2
		cos := 128 / math.Hypot(128, 127)
		want := []byte{byte(math.Round(255 * math.Sqrt(o))), byte(math.Round(255 * math.Sqrt((cos-0.5)/0.5*0.5))), 0}
		if diff := cmp.Diff(want, hm.Grid); diff != "" {
			t.Error(diff)
		}
	}
}

// A picture cut out of the middle is drawn in the middle.
func TestCropCoversTheWholeFrame(t *testing.T) {
	c := config(4, 4)
	c.Model.Image.Fit = "crop"
	c.GridW, c.GridH = 8, 4
	f := family(t, c)
	m := scene(4, 4, 0, spot(4, 4, 0, 0, red), hearRed)
	m.Frame.SrcW, m.Frame.SrcH = 1280, 640
	hm := look(t, f, f.Open(), m)
	want := make([]byte, 32)
	want[2] = 255 // the view is columns 2 to 5
	if diff := cmp.Diff(want, hm.Grid); diff != "" {
		t.Error(diff)
	}
	if math.Abs(hm.X-(0.25+0.5*0.125)) > 1e-9 || math.Abs(hm.Y-0.125) > 1e-9 {
		t.Errorf("peak at %v, %v", hm.X, hm.Y)
	}
}

// The peak lies between two cells that are equally hot.
func TestPeakBetweenCells(t *testing.T) {
	f := family(t, config(5, 1))
	cells := []colour{green, {200, 100, 0}, red, red, {200, 100, 0}}
	hm := look(t, f, f.Open(), scene(5, 1, 0, cells, hearRed))
	if math.Abs(hm.X-0.6) > 1e-6 {
		t.Errorf("peak at %v", hm.X)
	}
}

// Embeddings of noise are unlike any sound, and must leave the grid empty: the
// scale is never stretched to what happens to be there. In 512 dimensions the
// cosine of two random directions has a standard deviation of 0.044.
func TestNoiseIsNeverHot(t *testing.T) {
	const depth, side = 512, 7
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
		return v
	}
	c := config(side, side)
	c.GridW, c.GridH = 28, 28
	c.Model.Gate.Floor, c.Model.Gate.Ceiling = 0.3, 0.6
	c.Sessions = map[string]infer.Session{
		"image": &graph{
			in:  []infer.Value{value("image", 1, 3, side*cellPixels, side*cellPixels)},
			out: []infer.Value{value("image_embedding", 1, depth, side, side)},
			run: func(_, out []*infer.Tensor) error { return give(out[0], noise(depth*side*side), 1, depth, side, side) },
		},
		"audio": &graph{
			in:  []infer.Value{value("spectrogram", 1, 1, 3, 1)},
			out: []infer.Value{value("audio_embedding", 1, depth)},
			run: func(_, out []*infer.Tensor) error { return give(out[0], noise(depth), 1, depth) },
		},
	}
	f := family(t, c)
	st := f.Open()
	for i := range 200 {
		m := scene(side, side, time.Duration(i)*200*time.Millisecond, spot(side, side, 0, 0, colour{byte(i), 1, 2}), hearRed)
		if hm := look(t, f, st, m); hm.Gated != "confidence" || !empty(hm.Grid) {
			t.Fatalf("noise %d is drawn: peak %v at %v,%v", i, hm.Peak, hm.X, hm.Y)
		}
	}
}

// Whatever the maps are, no cell of the grid is hotter than the peak's cosine
// allows, and the heat of a grid does not depend on its other cells.
func TestHeatIsBoundedByThePeak(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(1, 9)
		d := dims{depth: 1, w: side.Draw(t, "w"), h: side.Draw(t, "h")}
		cosine := rapid.SliceOfN(rapid.Float32Range(-1, 1), d.cells(), d.cells()).Draw(t, "cosine")
		h := heat{
			gridW: rapid.IntRange(1, 40).Draw(t, "gw"), gridH: rapid.IntRange(1, 40).Draw(t, "gh"),
			imageW: 64, imageH: 48, alignCorners: rapid.Bool().Draw(t, "corners"), floor: 0.2, ceiling: 0.7,
		}
		v := infer.ViewOf(decode.Size{W: 64, H: 48, Fit: decode.Crop}, rapid.IntRange(1, 2000).Draw(t, "sw"), rapid.IntRange(1, 2000).Draw(t, "sh"))
		most := float32(-1)
		for _, c := range cosine {
			most = max(most, c)
		}
		limit := byte(math.Round(255 * min(1, h.strength(float64(most), 0))))
		for _, g := range h.grid(new(canvas), d, cosine, nil, v) {
			if g > limit {
				t.Fatalf("cell %d above %d, the peak's %v", g, limit, most)
			}
		}
		x, y := h.peak(d, cosine, nil, v)
		if !(x >= v.X && x <= v.X+v.W && y >= v.Y && y <= v.Y+v.H) {
			t.Fatalf("peak at %v,%v outside %+v", x, y, v)
		}
	})
}

func TestNoPictureOrNoSoundNoEvent(t *testing.T) {
	f := family(t, config(3, 3))
	a := scene(3, 3, 0, make([]colour, 9), hearRed)
	a.Frame = nil
	b := scene(3, 3, 0, make([]colour, 9), hearRed)
	b.Wave.PCM = nil
	for _, m := range []*align.Moment{a, b} {
		out, err := f.Infer(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := f.Resolve(t.Context(), f.Open(), m, out)
		if err != nil || len(ev) != 0 {
			t.Errorf("%d events, %v", len(ev), err)
		}
	}
}

func TestSamePictureIsEmbeddedOnce(t *testing.T) {
	c := config(3, 3)
	f := family(t, c)
	st := f.Open()
	first := look(t, f, st, scene(3, 3, 0, spot(3, 3, 1, 1, red), hearRed))
	again := look(t, f, f.Open(), scene(3, 3, time.Second, spot(3, 3, 1, 1, red), hearRed))
	if n := c.Sessions["image"].(*graph).runs.Load(); n != 1 {
		t.Errorf("%d runs for one picture", n)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
	// The same memory with another picture in it is another picture.
	m := scene(3, 3, 2*time.Second, spot(3, 3, 1, 1, red), hearRed)
	for i := range m.Image.Pix {
		m.Image.Pix[i] = 1
	}
	look(t, f, st, m)
	if n := c.Sessions["image"].(*graph).runs.Load(); n != 2 {
		t.Errorf("%d runs for two pictures", n)
	}
}

// Eviction hands embeddings round while others still read theirs.
func TestConcurrentInfer(t *testing.T) {
	f := family(t, config(6, 5))
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			st := f.Open()
			for i := range 50 {
				x := (g + i) % 6
				y := (g * i) % 5
				hm := look(t, f, st, scene(6, 5, time.Duration(i)*time.Hour, spot(6, 5, x, y, red), hearRed))
				if hm.Grid[y*6+x] != 255 {
					t.Errorf("cell %d,%d is %d", x, y, hm.Grid[y*6+x])
				}
			}
		})
	}
	wg.Wait()
}

func TestInferAllocatesNothingLarge(t *testing.T) {
	c := config(6, 5)
	// Sessions that write in place and allocate nothing themselves.
	c.Sessions["image"].(*graph).run = func(_, out []*infer.Tensor) error { clear(out[0].F32); return nil }
	c.Sessions["audio"].(*graph).run = func(_, out []*infer.Tensor) error { clear(out[0].F32); return nil }
	f := family(t, c)
	m := scene(6, 5, 0, make([]colour, 30), hearRed)
	i := 0
	n := testing.AllocsPerRun(20, func() {
		i++
		m.Image.Pix[0], m.Image.Pix[1] = byte(i), byte(i>>8)
		out, err := f.Infer(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		f.outputs.Give(out.(*output))
	})
	if n > 0 {
		t.Errorf("Infer allocates %v times", n)
	}
}

func TestErrors(t *testing.T) {
	f := family(t, config(3, 3))
	m := scene(3, 3, 0, make([]colour, 9), hearRed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Infer(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context gives %v", err)
	}
	m.Wave.PCM.Data = m.Wave.PCM.Data[:10]
	if _, err := f.Infer(t.Context(), m); err == nil {
		t.Error("a short window is accepted")
	}
	m = scene(3, 3, 0, make([]colour, 9), hearRed)
	m.Image.W = 5
	if _, err := f.Infer(t.Context(), m); err == nil {
		t.Error("a picture of the wrong size is accepted")
	}
	nan := float32(math.NaN())
	c := config(3, 3)
	c.Sessions["audio"].(*graph).run = func(_, out []*infer.Tensor) error { return give(out[0], []float32{nan, 0, 0}, 1, 3) }
	if _, err := family(t, c).Infer(t.Context(), scene(3, 3, 0, spot(3, 3, 0, 0, red), hearRed)); err == nil || !strings.Contains(err.Error(), "test") {
		t.Errorf("NaN gives %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"no image session":   func(c *Config) { c.Sessions["image"] = nil },
		"no audio session":   func(c *Config) { delete(c.Sessions, "audio") },
		"not calibrated":     func(c *Config) { c.Model.Gate = models.Gate{} },
		"no rate":            func(c *Config) { c.Model.Audio.Rate = 0 },
		"no window":          func(c *Config) { c.Model.Audio.Window = 0 },
		"window too short":   func(c *Config) { c.Model.Audio.MinSamples = window + 1 },
		"no image":           func(c *Config) { c.Model.Image.W = 0 },
		"wrong method":       func(c *Config) { c.Model.Heat.Method = "guess" },
		"wrong alpha":        func(c *Config) { c.Model.Heat.Alpha = 2 },
		"negative fps":       func(c *Config) { c.FPS = -1 },
		"NaN fps":            func(c *Config) { c.FPS = math.NaN() },
		"huge grid":          func(c *Config) { c.GridW = 1 << 20 },
		"unequal dimensions": func(c *Config) { c.Sessions["audio"].(*graph).out[0].Shape[1] = 4 },
		"wrong names": func(c *Config) {
			c.Model.Graphs = map[string]models.Graph{"image": {Outputs: map[string]string{"image_embedding": "x"}}}
		},
	} {
		c := config(3, 3)
		spoil(&c)
		if _, err := build(c, front); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestNeed(t *testing.T) {
	c := config(3, 2)
	want := infer.Need{
		Cadence: align.EveryPeriod, Period: 200 * time.Millisecond,
		Image: decode.Size{W: 12, H: 8}, Sound: decode.Sound{Rate: rate, Channels: 1}, Window: window, Place: align.Centre,
	}
	if diff := cmp.Diff(want, family(t, c).Need()); diff != "" {
		t.Error(diff)
	}
	c.Live, c.FPS = true, 3
	want.Place, want.Period = align.End, 333333333
	if diff := cmp.Diff(want, family(t, c).Need()); diff != "" {
		t.Error(diff)
	}
}

// The published front end of LVS on 3 s at 16 kHz: 257 x 200, and 224 x 224
// pixels.
func TestPublishedContract(t *testing.T) {
	c := Config{
		Model: models.Model{
			Name: "lvs",
			Audio: models.Audio{Rate: 16000, Window: 3, MinSamples: 48000, STFT: models.STFT{
				Kind: "log-psd", Window: "tukey", Tukey: 0.25, Length: 512, Hop: 238, FFT: 512, Floor: 1e-7, Divide: 12,
			}},
			Image: models.Image{W: 224, H: 224, Fit: "crop", Filter: "bicubic", Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225}},
			Gate:  models.Gate{Floor: 0.1, Ceiling: 0.8},
			Graphs: map[string]models.Graph{
				"audio": {Inputs: map[string]string{"spectrogram": "x"}},
			},
		},
		Sessions: map[string]infer.Session{
			"image": &graph{
				in:  []infer.Value{value("image", -1, 3, 224, 224)},
				out: []infer.Value{value("image_embedding", -1, 2, 14, 14)},
				run: func(in, out []*infer.Tensor) error {
					if diff := cmp.Diff([]int64{1, 3, 224, 224}, in[0].Shape); diff != "" {
						t.Error(diff)
					}
					e := make([]float32, 2*196)
					for i := range 196 {
						e[196+i] = 1
					}
					e[100], e[196+100] = 1, 0
					return give(out[0], e, 1, 2, 14, 14)
				},
			},
			"audio": &graph{
				in:  []infer.Value{value("x", -1, 1, 257, -1)},
				out: []infer.Value{value("audio_embedding", -1, 2)},
				run: func(in, out []*infer.Tensor) error {
					if diff := cmp.Diff([]int64{1, 1, 257, 200}, in[0].Shape); diff != "" {
						t.Error(diff)
					}
					// The tone of 1 kHz lies in bin 32.
					at, most := 0, float32(-10)
					for k := range 257 {
						if v := in[0].F32[k*200+100]; v > most {
							at, most = k, v
						}
					}
					if at != 32 {
						t.Errorf("the tone is in bin %d", at)
					}
					return give(out[0], []float32{1, 0}, 1, 2)
				},
			},
		},
	}
	fam, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := scene(1, 1, 0, []colour{red}, hearRed)
	m.Image = decode.Image{W: 224, H: 224, Pix: make([]byte, 3*224*224)}
	m.Wave.PCM.Format.SampleRate = 16000
	m.Wave.PCM.Data = make([]float32, 48000)
	for i := range m.Wave.PCM.Data {
		m.Wave.PCM.Data[i] = float32(0.5 * math.Sin(2*math.Pi*1000*float64(i)/16000))
	}
	m.Frame.SrcW, m.Frame.SrcH = 1920, 1080
	hm := look(t, fam.(*Family), fam.Open(), m)
	// Cell 100 is column 2 of row 7; of the width 9/16 are seen.
	if math.Abs(hm.X-(0.21875+0.5625*2.5/14)) > 1e-9 || math.Abs(hm.Y-7.5/14) > 1e-9 || hm.Peak != 1 {
		t.Errorf("got peak %v at %v,%v", hm.Peak, hm.X, hm.Y)
	}

	c.Sessions["audio"].(*graph).in[0].Shape[3] = 276
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "276") {
		t.Errorf("a graph for another window gives %v", err)
	}
	c.Sessions["audio"].(*graph).in[0].Shape[3] = -1
	c.Model.Audio.STFT.Kind = "power-law"
	if _, err := New(c); err == nil {
		t.Error("a power-law front end is accepted")
	}
}

//go:build cgo

package localize

import (
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-audio/audio"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/models"
)

// closeLater closes c at the end of the test.
func closeLater(t *testing.T, c io.Closer) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// fixture opens the localizer of the fixture pack on ONNX Runtime: cell (x, y) of
// 7 by 7 resembles the sound by sin(b*pi/2) * sin(a*pi/2), where b is its
// brightness and a how loud the sound is.
func fixture(t *testing.T, edit func(*Config)) *Family {
	t.Helper()
	pack, err := models.Load("../../models/fixture")
	if err != nil {
		t.Fatal(err)
	}
	m, ok := pack.Model("localize")
	if !ok {
		t.Fatal("the pack has no localizer")
	}
	rt, err := ort.Open(ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := ort.Handles(); n != 0 {
			t.Errorf("%d handles are open", n)
		}
	})
	closeLater(t, rt)
	c := Config{Model: *m, Info: infer.Info{Name: m.Name, Fixture: true}, Sessions: map[string]infer.Session{}}
	for role, g := range m.Graphs {
		if c.Sessions[role], err = rt.Session(pack.Path(g.File), ort.SessionOptions{}); err != nil {
			t.Fatal(err)
		}
		closeLater(t, c.Sessions[role])
	}
	if edit != nil {
		edit(&c)
	}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Family)
}

// lit shows the 7 by 7 cells in the given brightness, black otherwise, with a tone
// of the given amplitude.
func lit(cells map[[2]int]byte, amplitude float64) *align.Moment {
	m := scene(1, 1, 0, []colour{red}, hearRed)
	pix := make([]byte, 3*224*224)
	for i := range pix {
		pix[i] = cells[[2]int{i / 3 % 224 / 32, i / 3 / 224 / 32}]
	}
	m.Image = decode.Image{W: 224, H: 224, Pix: pix}
	pcm := make([]float32, 48000)
	for i := range pcm {
		pcm[i] = float32(amplitude * math.Sin(2*math.Pi*440*float64(i)/16000))
	}
	m.Wave.PCM = &audio.Float32Buffer{Format: &audio.Format{SampleRate: 16000, NumChannels: 1}, Data: pcm}
	return m
}

func TestFixtureFindsTheBrightCell(t *testing.T) {
	f := fixture(t, func(c *Config) { c.GridW, c.GridH = 7, 7 })
	for _, at := range [][2]int{{0, 0}, {3, 2}, {6, 6}, {1, 5}} {
		hm := look(t, f, f.Open(), lit(map[[2]int]byte{at: 255}, 0.5))
		if math.Abs(hm.Peak-1) > 1e-4 || math.Abs(hm.X-(float64(at[0])+0.5)/7) > 1e-6 || math.Abs(hm.Y-(float64(at[1])+0.5)/7) > 1e-6 || hm.Gated != "" {
			t.Errorf("cell %v: %+v", at, hm)
		}
		for i, v := range hm.Grid {
			if want := byte(0); i == at[1]*7+at[0] {
				if v != 255 {
					t.Errorf("cell %v is %d", at, v)
				}
			} else if v != want {
				t.Errorf("cell %d is %d where only %v is lit", i, v, at)
			}
		}
	}
	// Half as bright: sin(pi/4) = 0.707 lies 0.679 of the way from 0.3 to 0.9.
	hm := look(t, f, f.Open(), lit(map[[2]int]byte{{3, 3}: 128}, 0.5))
	c := math.Sin(128.0 / 255 * math.Pi / 2)
	if want := math.Round(255 * (c - 0.3) / 0.6); math.Abs(hm.Peak-c) > 1e-4 || math.Abs(float64(hm.Grid[3*7+3])-want) > 1 {
		t.Errorf("peak %v, cell %d; want %v, %v", hm.Peak, hm.Grid[3*7+3], c, want)
	}
}

func TestFixtureGates(t *testing.T) {
	f := fixture(t, nil)
	if hm := look(t, f, f.Open(), lit(map[[2]int]byte{{3, 3}: 255}, 0)); hm.Gated != "silence" || !empty(hm.Grid) {
		t.Errorf("silence gives %+v", hm)
	}
	if hm := look(t, f, f.Open(), lit(nil, 0.5)); hm.Gated != "confidence" || !empty(hm.Grid) {
		t.Errorf("a black picture gives %+v", hm)
	}
	// White noise of -59 dBFS is above the silence gate and below what the
	// fixture calls loud.
	m := lit(map[[2]int]byte{{3, 3}: 255}, 0)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range m.Wave.PCM.Data {
		m.Wave.PCM.Data[i] = float32(rng.NormFloat64() * math.Pow(10, -59.0/20))
	}
	if hm := look(t, f, f.Open(), m); hm.Gated != "confidence" || !empty(hm.Grid) {
		t.Errorf("faint noise gives %+v", hm)
	}
}

// The objectness of the fixture is the brightness.
func TestFixtureObjectness(t *testing.T) {
	f := fixture(t, func(c *Config) {
		c.GridW, c.GridH = 7, 7
		c.Model.Heat = models.Heat{Alpha: 0.4, ObjectCeiling: 1}
	})
	hm := look(t, f, f.Open(), lit(map[[2]int]byte{{2, 4}: 128}, 0.5))
	b := 128.0 / 255
	s := (math.Sin(b*math.Pi/2) - 0.3) / 0.6
	if want := 255 * math.Pow(s, 0.4) * math.Pow(b, 0.6); math.Abs(float64(hm.Grid[4*7+2])-want) > 1 {
		t.Errorf("cell is %d, want %v", hm.Grid[4*7+2], want)
	}
}

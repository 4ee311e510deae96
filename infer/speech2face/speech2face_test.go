package speech2face_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/infertest"
	"github.com/seehear/seehear/infer/speech2face"
	"github.com/seehear/seehear/models"
)

// The test model runs at 1 kHz, a sample a millisecond, with Speech2Face's
// proportions: pieces of 300 in a window of 600.
var small = models.Audio{
	Rate: 1000, Window: 0.6, MinSamples: 300,
	STFT: models.STFT{Kind: "power-law", Window: "hann", Length: 40, Hop: 20, FFT: 64, Power: 0.5},
}

const bins = 33

// networks is an encoder whose feature is the energy at each frequency, and a
// decoder that draws 2 x 1 pixels of the feature's strongest frequency. It keeps
// how many frames the encoder was given.
type networks struct {
	mu     sync.Mutex
	frames []int
}

func (n *networks) encoder() *infertest.Session {
	return &infertest.Session{
		In:  []infer.Value{infertest.Value("spectrogram", -1, 2, -1, bins)},
		Out: []infer.Value{infertest.Value("face_feature", -1, bins)},
		Fn: func(in, out []*infer.Tensor) error {
			n.mu.Lock()
			n.frames = append(n.frames, int(in[0].Shape[2]))
			n.mu.Unlock()
			feature := make([]float32, bins)
			for i, v := range in[0].F32 { // compressed by 0.5: |x|² is the fourth power
				feature[i%bins] += v * v * v * v / float32(in[0].Shape[2])
			}
			return infertest.Give(out[0], feature, 1, bins)
		},
	}
}

func (n *networks) decoder() *infertest.Session {
	return &infertest.Session{
		In:  []infer.Value{infertest.Value("face_feature", -1, bins)},
		Out: []infer.Value{infertest.Value("landmarks", -1, 144), infertest.Value("texture", -1, 3, -1, -1)},
		Fn: func(in, out []*infer.Tensor) error {
			if out[0] != nil {
				return fmt.Errorf("asked for landmarks")
			}
			k := 0
			for i, v := range in[0].F32 {
				if v > in[0].F32[k] {
					k = i
				}
			}
			p := float32(k) / 255
			nan := float32(math.NaN())
			return infertest.Give(out[1], []float32{p, 1, 2, -1, 0.5, nan}, 1, 3, 1, 2)
		},
	}
}

func config(n *networks) speech2face.Config {
	return speech2face.Config{
		Model:    models.Model{Name: "small", Audio: small, Gate: models.Gate{SameVoice: 0.8}},
		Info:     infer.Info{Name: "small"},
		Sessions: map[string]infer.Session{"encoder": n.encoder(), "decoder": n.decoder()},
	}
}

func build(t testing.TB, c speech2face.Config) *speech2face.Family {
	t.Helper()
	f, err := speech2face.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// voice is n milliseconds of a tone in the middle of a bin.
func voice(n, bin int) []float32 {
	pcm := make([]float32, n)
	for i := range pcm {
		pcm[i] = float32(0.5 * math.Sin(2*math.Pi*float64(bin*i)/64))
	}
	return pcm
}

type turn struct {
	samples, voice int
	bin            int // drawn; -1 without a face
	used           int // ms
	short          bool
}

// hear hands each stretch to a listener in steps of 16.
func hear(t testing.TB, l infer.Listener, stretches ...[]float32) []turn {
	t.Helper()
	var list []turn
	add := func(turns []infer.Turn, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range turns {
			y := turn{int(x.Samples), x.Voice, -1, 0, x.Short}
			if f := x.Face; f != nil {
				y.bin, y.used = int(f.Pix[0]), int(math.Round(f.Used*1000))
				if f.Voice != x.Voice || f.Notice != infer.FaceNotice || f.W != 2 || f.H != 1 || len(f.Pix) != 6 {
					t.Errorf("%+v of voice %d", f, x.Voice)
				}
			}
			list = append(list, y)
		}
	}
	for _, pcm := range stretches {
		for i := 0; i < len(pcm); i += 16 {
			add(l.Speech(context.Background(), pcm[i:min(i+16, len(pcm))], 0.9))
		}
		add(l.End(context.Background()))
	}
	return list
}

func TestTurns(t *testing.T) {
	for name, c := range map[string]struct {
		stretches [][]float32
		want      []turn
	}{
		"one voice":      {[][]float32{voice(1000, 8)}, []turn{{1000, 1, 8, 600, false}}},
		"just enough":    {[][]float32{voice(300, 8)}, []turn{{300, 1, 8, 300, false}}},
		"too short":      {[][]float32{voice(299, 8)}, []turn{{299, 0, -1, 0, false}}},
		"turning away":   {[][]float32{slices.Concat(voice(600, 8), voice(400, 20))}, []turn{{600, 1, 8, 600, false}, {400, 2, 20, 400, false}}},
		"there and back": {[][]float32{slices.Concat(voice(300, 8), voice(300, 20), voice(500, 8))}, []turn{{300, 1, 8, 300, false}, {300, 2, 20, 300, false}, {500, 1, 8, 500, false}}},
		"stretches": {
			[][]float32{voice(400, 8), voice(400, 20), voice(100, 20), voice(700, 8), voice(300, 14), voice(300, 20)},
			[]turn{{400, 1, 8, 400, false}, {400, 2, 20, 400, false}, {100, 0, -1, 0, false}, {700, 1, 8, 600, false}, {300, 3, 14, 300, false}, {300, 2, 20, 300, false}},
		},
	} {
		if got := hear(t, build(t, config(new(networks))).Open(), c.stretches...); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, c.want)
		}
	}
}

// The encoder hears pieces of 300, and the face's 600 once; what is between is
// taken as it is, what is below only if somebody asked for it.
func TestLengths(t *testing.T) {
	frames := func(n int) int { return 1 + (n-40)/20 }
	for name, c := range map[string]struct {
		samples int
		change  func(*speech2face.Config)
		heard   []int // samples
		want    turn
	}{
		"long":    {1000, nil, []int{300, 300, 300, 600}, turn{1000, 1, 8, 600, false}},
		"between": {460, nil, []int{300, 460}, turn{460, 1, 8, 460, false}},
		"least":   {300, nil, []int{300}, turn{300, 1, 8, 300, false}},
		"repeated": {
			200, func(c *speech2face.Config) { c.MinSpeech = 200 * time.Millisecond },
			[]int{300},
			turn{200, 1, 8, 200, true},
		},
		"below what was asked for": {199, func(c *speech2face.Config) { c.MinSpeech = 200 * time.Millisecond }, nil, turn{199, 0, -1, 0, false}},
		"more asked for":           {900, func(c *speech2face.Config) { c.MinSpeech = time.Second }, []int{300, 300, 300}, turn{900, 1, -1, 0, false}},
		"long enough for more":     {1000, func(c *speech2face.Config) { c.MinSpeech = time.Second }, []int{300, 300, 300, 600}, turn{1000, 1, 8, 600, false}},
		"one length only": {
			460, func(c *speech2face.Config) { session(c, "encoder").In[0].Shape[2] = 29 },
			[]int{600, 600},
			turn{460, 1, 8, 460, false},
		},
	} {
		n := new(networks)
		cfg := config(n)
		if c.change != nil {
			c.change(&cfg)
		}
		if got := hear(t, build(t, cfg).Open(), voice(c.samples, 8)); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		var want []int
		for _, s := range c.heard {
			want = append(want, frames(s))
		}
		if !slices.Equal(n.frames, want) {
			t.Errorf("%s: encoder heard frames %v, want %v", name, n.frames, want)
		}
	}
}

// However a stretch is handed over, its turns are the same.
func TestStepsDoNotMatter(t *testing.T) {
	pcm := slices.Concat(voice(600, 8), voice(530, 20))
	rapid.Check(t, func(rt *rapid.T) {
		l := build(t, config(new(networks))).Open()
		var turns []infer.Turn
		for rest := pcm; len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 700).Draw(rt, "n"))
			over, err := l.Speech(context.Background(), rest[:n], 0.5)
			if err != nil {
				rt.Fatal(err)
			}
			turns, rest = append(turns, over...), rest[n:]
		}
		over, err := l.End(context.Background())
		turns = append(turns, over...)
		if err != nil || len(turns) != 2 || turns[0].Samples != 600 || turns[1].Samples != 530 || turns[0].Voice != 1 || turns[1].Voice != 2 {
			rt.Fatalf("%+v, %v", turns, err)
		}
		for _, x := range turns {
			if math.Abs(x.P-0.5) > 1e-9 {
				rt.Fatalf("posterior %v", x.P)
			}
		}
	})
}

func TestPosteriorIsTheMean(t *testing.T) {
	l := build(t, config(new(networks))).Open()
	for _, p := range []float64{0.5, 0.9, 1} {
		if _, err := l.Speech(context.Background(), voice(100, 8), p); err != nil {
			t.Fatal(err)
		}
	}
	turns, err := l.End(context.Background())
	if err != nil || len(turns) != 1 || math.Abs(turns[0].P-0.8) > 1e-12 {
		t.Errorf("%+v, %v", turns, err)
	}
}

func TestPixels(t *testing.T) {
	turns := func() []infer.Turn {
		l := build(t, config(new(networks))).Open()
		if _, err := l.Speech(context.Background(), voice(299, 8), 1); err != nil {
			t.Fatal(err)
		}
		over, err := l.Speech(context.Background(), voice(1, 8), 1)
		if err != nil || len(over) != 0 {
			t.Fatalf("%+v, %v", over, err)
		}
		over, _ = l.End(context.Background())
		return over
	}()
	// Planes of red 8/255 and 1, green 2 and -1, blue 0.5 and no number.
	if want := []byte{8, 255, 128, 255, 0, 0}; !slices.Equal(turns[0].Face.Pix, want) {
		t.Errorf("pixels %v, want %v", turns[0].Face.Pix, want)
	}
}

// Without same_voice nothing is said about who speaks.
func TestVoicesNotToldApart(t *testing.T) {
	c := config(new(networks))
	c.Model.Gate.SameVoice = 0
	got := hear(t, build(t, c).Open(), slices.Concat(voice(300, 8), voice(300, 20)), voice(300, 14))
	if want := []turn{{600, 0, 8, 600, false}, {300, 0, 14, 300, false}}; len(got) != 2 || got[0].voice != 0 || got[0].samples != 600 || got[1] != want[1] {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The voice not heard for longest makes room, and numbers are not used again.
func TestVoicesAreBounded(t *testing.T) {
	c := config(new(networks))
	c.MaxVoices = 2
	got := hear(t, build(t, c).Open(), voice(300, 8), voice(300, 14), voice(300, 8), voice(300, 20), voice(300, 14), voice(300, 20))
	var numbers []int
	for _, x := range got {
		numbers = append(numbers, x.voice)
	}
	if want := []int{1, 2, 1, 3, 4, 3}; !slices.Equal(numbers, want) {
		t.Errorf("voices %v, want %v", numbers, want)
	}
}

func TestSourcesAtOnce(t *testing.T) {
	f := build(t, config(new(networks)))
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			got := hear(t, f.Open(), voice(700, 6+4*k), voice(300, 30))
			if len(got) != 2 || got[0] != (turn{700, 1, 6 + 4*k, 600, false}) || got[1].voice != 2 {
				t.Errorf("source %d: %+v", k, got)
			}
		})
	}
	wg.Wait()
}

func session(c *speech2face.Config, role string) *infertest.Session {
	return c.Sessions[role].(*infertest.Session)
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*speech2face.Config)
		say    string
	}{
		"no encoder":  {func(c *speech2face.Config) { delete(c.Sessions, "encoder") }, "no session for its encoder"},
		"no decoder":  {func(c *speech2face.Config) { delete(c.Sessions, "decoder") }, "no session for its decoder"},
		"inputs":      {func(c *speech2face.Config) { session(c, "encoder").In = nil }, "0 inputs"},
		"spectrogram": {func(c *speech2face.Config) { session(c, "encoder").In[0].Name = "mel" }, "no tensor spectrogram"},
		"bins":        {func(c *speech2face.Config) { session(c, "encoder").In[0].Shape[3] = 257 }, "front end gives"},
		"frames":      {func(c *speech2face.Config) { session(c, "encoder").In[0].Shape[2] = 1 << 40 }, "front end gives"},
		"feature":     {func(c *speech2face.Config) { session(c, "encoder").Out[0].Name = "embedding" }, "no tensor face_feature"},
		"features":    {func(c *speech2face.Config) { session(c, "decoder").In[0].Shape[1] = 4096 }, "33 values and decoder takes 4096"},
		"texture":     {func(c *speech2face.Config) { session(c, "decoder").Out[1].Shape = []int64{1, 3} }, "4 dimensions"},
		"channels":    {func(c *speech2face.Config) { session(c, "decoder").Out[1].Shape[1] = 1 }, "1 channels"},
		"window":      {func(c *speech2face.Config) { c.Model.Audio.Window = 0 }, "window"},
		"min_samples": {func(c *speech2face.Config) { c.Model.Audio.MinSamples = 601 }, "min_samples"},
		"tiny":        {func(c *speech2face.Config) { c.Model.Audio.MinSamples = 39 }, "no spectrogram"},
		"stft":        {func(c *speech2face.Config) { c.Model.Audio.STFT.Power = 0 }, "power"},
		"same_voice":  {func(c *speech2face.Config) { c.Model.Gate.SameVoice = 2 }, "same_voice"},
	} {
		cfg := config(new(networks))
		c.change(&cfg)
		if _, err := speech2face.New(cfg); err == nil || !strings.Contains(err.Error(), c.say) || !strings.HasPrefix(err.Error(), "speech2face: model small: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Networks that do not keep to what they declare are errors, not panics.
func TestRunsThatDoNotFit(t *testing.T) {
	nan := float32(math.NaN())
	size := 0
	for name, c := range map[string]struct {
		role string
		give func(out []*infer.Tensor) error
		say  string
	}{
		"no number": {"encoder", func(out []*infer.Tensor) error {
			return infertest.Give(out[0], slices.Repeat([]float32{nan}, bins), 1, bins)
		}, "no number"},
		"growing": {"encoder", func(out []*infer.Tensor) error {
			size++
			out[0].F32, out[0].Shape = make([]float32, size), []int64{1, int64(size)}
			return nil
		}, "values after one of"},
		"channels": {"decoder", func(out []*infer.Tensor) error { return infertest.Give(out[1], make([]float32, 4), 1, 1, 2, 2) }, "texture is [1 1 2 2]"},
	} {
		cfg := config(new(networks))
		s := session(&cfg, c.role)
		if c.role == "encoder" {
			s.Out[0].Shape[1] = -1
		} else {
			s.Out[1].Shape[1] = -1
		}
		s.Fn = func(_, out []*infer.Tensor) error { return c.give(out) }
		l := build(t, cfg).Open()
		_, err := l.Speech(context.Background(), voice(600, 8), 1)
		if err == nil {
			_, err = l.End(context.Background())
		}
		if err == nil || !strings.Contains(err.Error(), c.say) || !strings.HasPrefix(err.Error(), "speech2face: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

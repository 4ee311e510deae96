package soundnet_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/infertest"
	"github.com/seehear/seehear/infer/soundnet"
	"github.com/seehear/seehear/models"
)

// The test network has SoundNet's geometry in small, a stride of 8 samples at
// 1 kHz, and a window that gives four frames. Its field is 21, the first centre
// 6: frames 0 and 3 reach out of the window, 1 and 2 do not.
var small = models.Audio{
	Rate: 1000, Window: 0.044, Hop: 8, Scale: 256,
	MinSamples: 17, Centre: 6, Stride: 8, Field: 21,
}

// place is a network that can be checked by hand: object c is likely if the
// centre of the frame holds the sample c/100, and scene 1 if the field reaches out
// of the window.
func place(a models.Audio, classes int) *infertest.Session {
	return &infertest.Session{
		In:  []infer.Value{infertest.Value("waveform", -1, -1)},
		Out: []infer.Value{infertest.Value("objects", -1, int64(classes), -1), infertest.Value("scenes", -1, 2, -1)},
		Fn: func(in, out []*infer.Tensor) error {
			x := in[0].F32
			frames := 1 + (len(x)-a.MinSamples)/a.Stride
			objects, scenes := make([]float32, classes*frames), make([]float32, 2*frames)
			for i := range frames {
				mid := int(a.Centre) + i*a.Stride
				c := int(math.Round(float64(x[mid]) / 256 * 100))
				if c < 0 || c >= classes {
					return fmt.Errorf("sample %v at %d", x[mid], mid)
				}
				objects[c*frames+i] = 20
				if mid-a.Field/2 < 0 || mid+a.Field/2 >= len(x) {
					scenes[frames+i] = 20
				} else {
					scenes[i] = 20
				}
			}
			if err := infertest.Give(out[0], objects, 1, int64(classes), int64(frames)); err != nil {
				return err
			}
			return infertest.Give(out[1], scenes, 1, 2, int64(frames))
		},
	}
}

func labels(n int) []string {
	l := make([]string, n)
	for i := range l {
		l[i] = "class " + strconv.Itoa(i)
	}
	return l
}

const classes = 90

func config(a models.Audio) soundnet.Config {
	return soundnet.Config{
		Model:    models.Model{Name: "small", Audio: a},
		Info:     infer.Info{Name: "small", Fixture: true},
		Labels:   map[string][]string{"objects": labels(classes), "scenes": {"whole", "cut"}},
		Sessions: map[string]infer.Session{"graph": place(a, classes)},
	}
}

func build(t testing.TB, c soundnet.Config) infer.Family {
	t.Helper()
	f, err := soundnet.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// steps is sound whose sample tells its place: 8-sample steps round the centres
// 6, 14, 22, …, never silent.
func steps(n int) []float32 {
	pcm := make([]float32, n)
	for i := range pcm {
		pcm[i] = float32((i+2)/8%60+20) / 100
	}
	return pcm
}

func sound(t testing.TB, e infer.Event) *infer.Sound {
	t.Helper()
	s, ok := e.Payload.(*infer.Sound)
	if !ok {
		t.Fatalf("payload %T", e.Payload)
	}
	return s
}

// Every place within the source is reported once, in order, at the centre of its
// receptive field, and by a window whose ends are far, if there is one.
func TestPlaces(t *testing.T) {
	f := build(t, config(small))
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(7, 400).Draw(rt, "samples")
		from := rapid.IntRange(0, 50).Draw(rt, "from")
		pcm := steps(n)
		events, err := infertest.Try(f, 3, infertest.Piece{At: from, PCM: pcm})
		if err != nil {
			rt.Fatal(err)
		}
		if want := (n - 7 + 8) / 8; len(events) != want {
			rt.Fatalf("%d events of %d samples, want %d", len(events), n, want)
		}
		for j, e := range events {
			mid := 6 + 8*j
			if want := time.Duration(from+mid) * time.Millisecond; e.At != want || e.Seg != 3 {
				rt.Fatalf("place %d is at %v of Seg %d, want %v of 3", j, e.At, e.Seg, want)
			}
			if want := time.Duration(min(8, n-mid)) * time.Millisecond; e.Dur != want {
				rt.Fatalf("place %d of %d samples lasts %v, want %v", j, n, e.Dur, want)
			}
			s := e.Payload.(*infer.Sound)
			if c := int(math.Round(float64(pcm[mid]) * 100)); s.Objects[0].Index != c || s.Objects[0].Label != "class "+strconv.Itoa(c) {
				rt.Fatalf("place %d is %+v, want class %d", j, s.Objects[0], c)
			}
			if want := 1 / (1 + (classes-1)*math.Exp(-20)); math.Abs(s.Objects[0].P-want) > 1e-12 {
				rt.Fatalf("posterior %v, want %v", s.Objects[0].P, want)
			}
			// The network pads where the field begins before the Seg, and at no
			// other place: windows never begin later than they have to.
			if cut := s.Scenes[0].Label == "cut"; cut != (mid-10 < 0) {
				rt.Fatalf("place %d of %d: answer of a window that ends within its field: %v", j, n, cut)
			}
			if want := mid+10 >= n; e.Short != want {
				rt.Fatalf("place %d of %d: short is %v, want %v", j, n, e.Short, want)
			}
			lo, hi := max(0, mid-10), min(n, mid+11)
			if want := infer.RMS(pcm[lo:hi]); math.Abs(s.RMS-want) > 1e-9 {
				rt.Fatalf("place %d: RMS %v, want %v", j, s.RMS, want)
			}
			if e.Model != "small" || !e.Fixture {
				rt.Fatalf("event of model %q, fixture %v", e.Model, e.Fixture)
			}
		}
	})
}

// Windows may be longer, or further apart: the places and the answers are the
// same.
func TestWindowsDoNotMatter(t *testing.T) {
	pcm := steps(777)
	var want []infer.Event
	for _, c := range []struct {
		window float64
		hop    int
	}{{0.044, 8}, {0.044, 16}, {0.060, 8}, {0.060, 24}, {0.100, 56}} {
		a := small
		a.Window, a.Hop = c.window, c.hop
		got := infertest.Events(t, build(t, config(a)), infertest.Piece{PCM: pcm})
		if want == nil {
			want = got
			continue
		}
		if len(got) != len(want) {
			t.Fatalf("%+v: %d events, want %d", c, len(got), len(want))
		}
		for i := range got {
			if got[i].Stamp != want[i].Stamp || got[i].Dur != want[i].Dur || got[i].Short != want[i].Short ||
				sound(t, got[i]).Objects[0] != sound(t, want[i]).Objects[0] || sound(t, got[i]).RMS != sound(t, want[i]).RMS {
				t.Errorf("%+v: event %d is %+v, want %+v", c, i, got[i], want[i])
			}
		}
	}
}

// A source that ends before the first centre, even one shorter than the network
// takes, is repeated and gives one event, in its middle.
func TestShortSource(t *testing.T) {
	f := build(t, config(small))
	for n := 1; n <= 6; n++ {
		events := infertest.Events(t, f, infertest.Piece{PCM: steps(n)})
		if len(events) != 1 {
			t.Fatalf("%d samples: %d events", n, len(events))
		}
		e := events[0]
		if want := time.Duration(n/2) * time.Millisecond; !e.Short || e.At != want || e.At+e.Dur != time.Duration(n)*time.Millisecond {
			t.Errorf("%d samples: %v + %v, short %v", n, e.At, e.Dur, e.Short)
		}
		// Sample 6, the centre, is that many steps round the repeated source.
		if want, got := int(math.Round(float64(steps(n)[6%n])*100)), sound(t, e).Objects[0].Index; got != want {
			t.Errorf("%d samples: class %d, want %d", n, got, want)
		}
	}
}

// Silence has no class, and a window of nothing else is not given to the network.
func TestSilence(t *testing.T) {
	c := config(small)
	inner := place(small, classes)
	var mu sync.Mutex
	runs := 0
	c.Sessions["graph"] = &infertest.Session{In: inner.In, Out: inner.Out, Fn: func(in, out []*infer.Tensor) error {
		mu.Lock()
		runs++
		mu.Unlock()
		return inner.Fn(in, out)
	}}
	f := build(t, c)
	for name, level := range map[string]float32{"digital": 0, "-61 dBFS": 0.00089} {
		pcm := make([]float32, 200)
		for i := range pcm {
			pcm[i] = level
		}
		events := infertest.Events(t, f, infertest.Piece{PCM: pcm})
		if len(events) != 25 {
			t.Errorf("%s: %d events", name, len(events))
		}
		for _, e := range events {
			if s := sound(t, e); !s.Silent || len(s.Objects)+len(s.Scenes)+len(s.Events) != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	if runs != 0 {
		t.Errorf("the network heard silence %d times", runs)
	}
	pcm := append(steps(100), make([]float32, 100)...)
	for _, e := range infertest.Events(t, f, infertest.Piece{PCM: pcm}) {
		mid := int(e.At / time.Millisecond)
		if silent := sound(t, e).Silent; silent != (mid-10 >= 100) {
			t.Errorf("place %d: silent is %v", mid, silent)
		}
	}
	// The gate is the manifest's.
	c.Model.Gate.RMS = -20
	for _, e := range infertest.Events(t, build(t, c), infertest.Piece{PCM: []float32{.09, .09, .09, .09, .09, .09, .09, .09}}) {
		if !sound(t, e).Silent {
			t.Error("-21 dBFS is above a gate of -20")
		}
	}
}

// What is less likely than the manifest allows is left out, head by head.
func TestShow(t *testing.T) {
	p := 1 / (1 + (classes-1)*math.Exp(-20)) // of the one object that is likely
	for _, show := range []float64{0, p / 2, p - 1e-9, (1 + p) / 2, 1} {
		c := config(small)
		c.Model.Gate.Show = map[string]float64{"objects": show}
		for _, e := range infertest.Events(t, build(t, c), infertest.Piece{PCM: steps(200)}) {
			want := 5 // as many as are asked for
			if show > 0 {
				want = 1
			}
			if show > p {
				want = 0
			}
			s := sound(t, e)
			if len(s.Objects) != want || s.Silent {
				t.Fatalf("at %v of %v: %+v", show, p, s)
			}
			if len(s.Scenes) != 2 {
				t.Fatalf("a bound on objects leaves scenes %+v", s.Scenes)
			}
		}
	}
}

// Sound with holes: every event lies in the source, none twice, those near a hole
// are flagged.
func TestHoles(t *testing.T) {
	f := build(t, config(small))
	pcm := steps(600)
	events := infertest.Events(t, f, infertest.Piece{PCM: pcm[:150]}, infertest.Piece{At: 170, PCM: pcm[170:300]}, infertest.Piece{At: 500, PCM: pcm[500:]})
	last := time.Duration(-1)
	seen := map[int]bool{}
	for _, e := range events {
		if e.At <= last || e.At+e.Dur > 600*time.Millisecond {
			t.Errorf("event at %v + %v after %v", e.At, e.Dur, last)
		}
		last = e.At
		mid := int(e.At / time.Millisecond)
		seen[mid] = true
		s := sound(t, e)
		if near := mid+10 >= 150 && mid-10 < 170 || mid+10 >= 300 && mid-10 < 500; near && !e.Short {
			t.Errorf("place %d touches a hole and is not flagged", mid)
		}
		if mid-10 >= 300 && mid+10 < 500 && !s.Silent {
			t.Errorf("place %d hears %+v in a hole", mid, s)
		}
	}
	for mid := 6; mid < 600; mid += 8 {
		if (mid < 300 || mid >= 500) && !seen[mid] {
			t.Errorf("place %d is not reported", mid)
		}
	}
}

// A damaged file may claim a hole of years: no place in it takes memory.
func TestHoleOfYears(t *testing.T) {
	f := build(t, config(small))
	pcm := steps(200)
	const years = 1 << 40 // samples, 35 years
	near, far := 0, 0
	for _, e := range infertest.Events(t, f, infertest.Piece{PCM: pcm}, infertest.Piece{At: years, PCM: pcm}) {
		switch at := int64(e.At / time.Millisecond); {
		case at < 200:
			near++
		case at >= years-44 && at < years+200: // windows reach into the hole
			far++
		default:
			t.Errorf("event at %v", e.At)
		}
	}
	if near < 20 || far < 20 {
		t.Errorf("%d events in front of the hole, %d behind", near, far)
	}
}

func TestSmoothing(t *testing.T) {
	c := config(small)
	c.HalfLife = 8 * time.Millisecond // one stride
	c.Top = 2
	pcm := make([]float32, 150)
	for i := range pcm {
		pcm[i] = 0.20
		if i >= 66 { // from the place at 70 on
			pcm[i] = 0.30
		}
	}
	events := infertest.Events(t, build(t, c), infertest.Piece{PCM: pcm})
	for _, e := range events {
		s := sound(t, e)
		if len(s.Objects) != 2 || s.Objects[0].P < s.Objects[1].P {
			t.Fatalf("%+v", s.Objects)
		}
		p := map[int]float64{}
		for _, o := range s.Objects {
			p[o.Index] = o.P
		}
		want := 0.0
		if mid := float64(e.At / time.Millisecond); mid >= 70 {
			want = 1 - math.Exp2(-(mid-62)/8)
		}
		if math.Abs(p[30]-want) > 1e-6 || math.Abs(p[20]-(1-want)) > 1e-6 {
			t.Errorf("at %v: %v, want class 30 at %v", e.At, p, want)
		}
	}
}

// A State knows nothing of another.
func TestSegsAreApart(t *testing.T) {
	c := config(small)
	c.HalfLife = time.Second
	f := build(t, c)
	want := infertest.Events(t, f, infertest.Piece{PCM: steps(200)})
	infertest.Events(t, f, infertest.Piece{PCM: []float32{.5, .5, .5, .5, .5, .5, .5, .5, .5, .5}})
	got := infertest.Events(t, f, infertest.Piece{PCM: steps(200)})
	for i := range want {
		if a, b := sound(t, got[i]), sound(t, want[i]); !slices.Equal(a.Objects, b.Objects) || !slices.Equal(a.Scenes, b.Scenes) {
			t.Fatalf("event %d: %+v, then %+v", i, b, a)
		}
	}
}

func TestSourcesAtOnce(t *testing.T) {
	f := build(t, config(small))
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			events, err := infertest.Try(f, 0, infertest.Piece{PCM: steps(300 + k)})
			if err != nil {
				t.Error(err)
			}
			for j, e := range events {
				if c := (6+8*j+2)/8%60 + 20; e.Payload.(*infer.Sound).Objects[0].Index != c {
					t.Errorf("source %d, place %d: %+v", k, j, e.Payload)
				}
			}
		})
	}
	wg.Wait()
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*soundnet.Config)
		say    string
	}{
		"no session":     {func(c *soundnet.Config) { c.Sessions = nil }, "no session"},
		"labels":         {func(c *soundnet.Config) { c.Labels["objects"] = labels(classes + 1) }, "has 90 classes, and there are 91 labels"},
		"no labels":      {func(c *soundnet.Config) { delete(c.Labels, "scenes") }, "no labels"},
		"input":          {func(c *soundnet.Config) { session(c).In[0].Name = "audio" }, "no tensor waveform"},
		"inputs":         {func(c *soundnet.Config) { session(c).In = append(session(c).In, infertest.Value("more", 1)) }, "2 inputs"},
		"samples":        {func(c *soundnet.Config) { session(c).In[0].Shape[1] = 45 }, "45 samples"},
		"no outputs":     {func(c *soundnet.Config) { session(c).Out = []infer.Value{infertest.Value("pool5", 1, 2, 3)} }, "none of the outputs"},
		"dimensions":     {func(c *soundnet.Config) { session(c).Out[0].Shape = []int64{1, 90} }, "3 dimensions"},
		"frames":         {func(c *soundnet.Config) { session(c).Out[0].Shape[2] = 5 }, "5 frames"},
		"window":         {func(c *soundnet.Config) { c.Model.Audio.Window = 0 }, "window"},
		"short window":   {func(c *soundnet.Config) { c.Model.Audio.Window = 0.016 }, "min_samples"},
		"hop":            {func(c *soundnet.Config) { c.Model.Audio.Hop = 12 }, "no multiple of stride"},
		"negative hop":   {func(c *soundnet.Config) { c.Model.Audio.Hop = -8 }, "hop"},
		"centre":         {func(c *soundnet.Config) { c.Model.Audio.Centre = 1e9 }, "receptive field"},
		"no number":      {func(c *soundnet.Config) { c.Model.Audio.Centre = math.NaN() }, "receptive field"},
		"no min_samples": {func(c *soundnet.Config) { c.Model.Audio.MinSamples = 0 }, "min_samples"},
		"scale":          {func(c *soundnet.Config) { c.Model.Audio.Scale = -1 }, "scale"},
		"pad":            {func(c *soundnet.Config) { c.Model.Audio.Pad = "wrap" }, "pad"},
	} {
		cfg := config(small)
		c.change(&cfg)
		if _, err := soundnet.New(cfg); err == nil || !strings.Contains(err.Error(), c.say) || !strings.HasPrefix(err.Error(), "soundnet: model small: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func session(c *soundnet.Config) *infertest.Session {
	return c.Sessions["graph"].(*infertest.Session)
}

// A graph that does not say its sizes is found out when it runs.
func TestRunsThatDoNotFit(t *testing.T) {
	nan := float32(math.NaN())
	for name, give := range map[string]func(out []*infer.Tensor) error{
		"classes": func(out []*infer.Tensor) error { return infertest.Give(out[0], make([]float32, 3*4), 1, 3, 4) },
		"frames":  func(out []*infer.Tensor) error { return infertest.Give(out[0], make([]float32, 2*5), 1, 2, 5) },
		"no number": func(out []*infer.Tensor) error {
			return infertest.Give(out[0], []float32{0, 0, 0, 0, 0, 0, 0, nan}, 1, 2, 4)
		},
	} {
		f := build(t, soundnet.Config{
			Model:  models.Model{Name: "small", Audio: small},
			Labels: map[string][]string{"events": {"a", "b"}},
			Sessions: map[string]infer.Session{"graph": &infertest.Session{
				In:  []infer.Value{infertest.Value("waveform", -1, -1)},
				Out: []infer.Value{infertest.Value("events", -1, -1, -1)},
				Fn:  func(_, out []*infer.Tensor) error { return give(out) },
			}},
		})
		for range 2 { // the second time with the memory of the first
			if _, err := infertest.Try(f, 0, infertest.Piece{PCM: steps(50)}); err == nil || !strings.HasPrefix(err.Error(), "soundnet: output events ") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The published SoundNet, by the contract sheet: 20 s windows give four frames,
// centred at 4.75, 7.72, 10.69 and 13.66 s, and one second gives one event.
func TestPublishedGeometry(t *testing.T) {
	a := models.Audio{
		Rate: 22050, Window: 20, Hop: 65536, Scale: 256,
		MinSamples: 209374, Centre: 104686.5, Stride: 65536, Field: 320542,
	}
	c := soundnet.Config{
		Model:  models.Model{Name: "soundnet8", Audio: a},
		Labels: map[string][]string{"objects": {"a", "b"}},
		Sessions: map[string]infer.Session{"graph": &infertest.Session{
			In:  []infer.Value{infertest.Value("waveform", -1, -1)},
			Out: []infer.Value{infertest.Value("objects", -1, 2, -1)},
			Fn: func(in, out []*infer.Tensor) error {
				if len(in[0].F32) != 441000 {
					return fmt.Errorf("%d samples", len(in[0].F32))
				}
				return infertest.Give(out[0], make([]float32, 8), 1, 2, 4)
			},
		}},
	}
	f := build(t, c)
	events := infertest.Events(t, f, infertest.Piece{PCM: steps(20 * 22050)})
	var at []string
	for _, e := range events {
		at = append(at, fmt.Sprintf("%.2f", e.At.Seconds()))
	}
	if want := []string{"4.75", "7.72", "10.69", "13.66", "16.64", "19.61"}; !slices.Equal(at, want) {
		t.Errorf("places at %v, want %v", at, want)
	}
	if last := events[len(events)-1]; last.At+last.Dur != 20*time.Second || !last.Short || events[1].Short {
		t.Errorf("last event %v + %v, short %v; second short %v", last.At, last.Dur, last.Short, events[1].Short)
	}
	if events := infertest.Events(t, f, infertest.Piece{PCM: steps(22050)}); len(events) != 1 || !events[0].Short || events[0].At != 500*time.Millisecond {
		t.Errorf("one second gives %+v", events)
	}
}

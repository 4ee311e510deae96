package speech_test

import (
	"context"
	"errors"
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
	"github.com/seehear/seehear/infer/speech"
	"github.com/seehear/seehear/models"
)

// The test gate runs at 1 kHz, so that a sample is a millisecond, in steps of 16.
const (
	rate   = 1000
	step   = 16
	before = 2
)

// gate is a network whose posterior is the first new sample of each step. It
// holds the caller to the contract: the context is the end of the step before,
// and the state is what it gave out last.
func gate() *infertest.Session {
	return &infertest.Session{
		In: []infer.Value{
			infertest.Value("input", -1, -1), infertest.Value("state", 2, -1, 128),
			{Name: "sr", Type: "int64", Shape: []int64{}},
		},
		Out: []infer.Value{infertest.Value("output", -1, 1), infertest.Value("stateN", 2, -1, 128)},
		Fn: func(in, out []*infer.Tensor) error {
			x, state := in[0].F32, in[1].F32
			if len(x) != before+step || len(state) != 256 || in[2].I64[0] != rate {
				return fmt.Errorf("%d samples, state of %d, %v Hz", len(x), len(state), in[2].I64)
			}
			if !slices.Equal(x[:before], state[1:1+before]) {
				return fmt.Errorf("step %v: context %v after %v", state[0], x[:before], state[1:1+before])
			}
			next := make([]float32, 256)
			next[0] = state[0] + 1
			copy(next[1:], x[step:])
			if err := infertest.Give(out[0], x[before:][:1], 1, 1); err != nil {
				return err
			}
			return infertest.Give(out[1], next, 2, 1, 128)
		},
	}
}

func config() speech.Config {
	return speech.Config{
		Model:    models.Model{Name: "gate", Audio: models.Audio{Rate: rate, Window: 0.016}, Gate: models.Gate{Enter: 0.5, Leave: 0.35}},
		Info:     infer.Info{Name: "gate", Fixture: true},
		Sessions: map[string]infer.Session{"gate": gate()},
	}
}

func build(t testing.TB, c speech.Config) infer.Family {
	t.Helper()
	f, err := speech.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// levels is sound whose steps have the given posteriors.
func levels(p ...float32) []float32 {
	var pcm []float32
	for _, v := range p {
		for range step {
			pcm = append(pcm, v)
		}
	}
	return pcm
}

func repeat(n int, p float32) []float32 { return levels(slices.Repeat([]float32{p}, n)...) }

type stretch struct {
	from, to int // ms
	p        float64
	voice    int
}

func stretches(t testing.TB, events []infer.Event) []stretch {
	t.Helper()
	var list []stretch
	for _, e := range events {
		s, ok := e.Payload.(*infer.Speech)
		if !ok {
			continue
		}
		if e.Model != "gate" || !e.Fixture || e.At%time.Millisecond != 0 {
			t.Errorf("%+v", e)
		}
		list = append(list, stretch{int(e.At / time.Millisecond), int((e.At + e.Dur) / time.Millisecond), s.P, s.Voice})
	}
	return list
}

func TestStretches(t *testing.T) {
	f := build(t, config())
	hi, lo := float32(0.9), float32(0.1)
	for name, c := range map[string]struct {
		pcm  []float32
		want [][2]int
	}{
		"silence":                   {repeat(100, 0), nil},
		"one":                       {slices.Concat(repeat(10, lo), repeat(20, hi), repeat(60, lo)), [][2]int{{160 - 30, 480 + 30}}},
		"from start to end":         {repeat(20, hi), [][2]int{{0, 320}}},
		"cut off in a pause":        {slices.Concat(repeat(20, hi), repeat(3, lo)), [][2]int{{0, 350}}},
		"cut off in the pad":        {slices.Concat(repeat(20, hi), levels(lo), make([]float32, 5)), [][2]int{{0, 341}}},
		"last step short":           {slices.Concat(repeat(20, hi), repeat(1, hi)[:7]), [][2]int{{0, 327}}},
		"too short":                 {slices.Concat(repeat(10, lo), repeat(15, hi), repeat(60, lo)), nil},
		"just long enough":          {slices.Concat(repeat(10, lo), repeat(16, hi), repeat(60, lo)), [][2]int{{130, 160 + 256 + 30}}},
		"clicks do not add up":      {slices.Concat(repeat(5, hi), repeat(30, lo), repeat(5, hi), repeat(40, lo)), nil},
		"pause of 496 ms":           {slices.Concat(repeat(20, hi), repeat(31, lo), repeat(20, hi)), [][2]int{{0, 71 * 16}}},
		"pause of 512 ms":           {slices.Concat(repeat(20, hi), repeat(32, lo), repeat(20, hi)), [][2]int{{0, 350}, {52*16 - 30, 72 * 16}}},
		"between the thresholds":    {slices.Concat(repeat(10, 0.4), repeat(20, hi), repeat(30, 0.4), repeat(40, lo)), [][2]int{{130, 60*16 + 30}}},
		"a pause needs to be ended": {slices.Concat(repeat(20, hi), levels(lo), repeat(40, 0.4)), [][2]int{{0, 350}}},
	} {
		var got [][2]int
		for _, s := range stretches(t, infertest.Events(t, f, infertest.Piece{PCM: c.pcm})) {
			got = append(got, [2]int{s.from, s.to})
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// reference cuts a whole source at once.
func reference(pcm []float32) []stretch {
	const enter, leave, minSpeech, minPause, pad = 0.5, 0.35, 250, 500, 30
	n := len(pcm)
	p := func(i int) float64 { return float64(pcm[i*step]) }
	length := func(i int) int { return min(n, (i+1)*step) - i*step }
	steps := (n + step - 1) / step
	var list []stretch
	before := 0
	for i := 0; i < steps; i++ {
		if p(i) < enter {
			continue
		}
		voiced, pause, j := 0, -1, i
		for ; j < steps; j++ {
			switch {
			case p(j) >= enter, pause < 0 && p(j) >= leave:
				voiced += length(j)
				pause = -1
			case pause < 0:
				pause = j
			}
			if pause >= 0 && j*step+length(j)-pause*step >= minPause {
				break
			}
		}
		if voiced >= minSpeech {
			s := stretch{from: max(before, i*step-pad), to: n}
			if pause >= 0 {
				s.to = min(n, pause*step+pad)
			}
			for k := s.from; k < s.to; k++ {
				s.p += p(k/step) / float64(s.to-s.from)
			}
			list = append(list, s)
			before = s.to
		}
		i = j
	}
	return list
}

// However the source is cut into windows, the stretches are those of the whole.
func TestWindowsDoNotMatter(t *testing.T) {
	levelsOf := []float32{0.05, 0.1, 0.4, 0.6, 0.9}
	families := map[int]infer.Family{}
	for _, n := range []int{1, 2, 5, 32, 200} {
		c := config()
		c.Steps = n
		families[n] = build(t, c)
	}
	rapid.Check(t, func(rt *rapid.T) {
		var pcm []float32
		for _, k := range rapid.SliceOfN(rapid.IntRange(1, 40), 1, 20).Draw(rt, "runs") {
			pcm = append(pcm, repeat(k, rapid.SampledFrom(levelsOf).Draw(rt, "level"))...)
		}
		pcm = pcm[:len(pcm)-rapid.IntRange(0, step-1).Draw(rt, "cut")]
		for steps, f := range families {
			events, err := infertest.Try(f, 0, infertest.Piece{PCM: pcm})
			if err != nil {
				rt.Fatal(err)
			}
			got, want := stretches(t, events), reference(pcm)
			if len(got) != len(want) {
				rt.Fatalf("%d steps a window: %v, want %v", steps, got, want)
			}
			for i := range got {
				if got[i].from != want[i].from || got[i].to != want[i].to || math.Abs(got[i].p-want[i].p) > 1e-6 || got[i].voice != 0 {
					rt.Fatalf("%d steps a window: %v, want %v", steps, got, want)
				}
			}
		}
	})
}

// A hole in the source is a pause, however the windows lie over it; one of more
// than a minute makes the gate start afresh, and the times stay right.
func TestHoles(t *testing.T) {
	for _, steps := range []int{1, 4, 32} {
		c := config()
		c.Steps = steps
		f := build(t, c)
		for _, hole := range []int{10, 304, 490, 620, 5000, 70_000} {
			second := 395 + hole
			events := infertest.Events(t, f, infertest.Piece{At: 100, PCM: repeat(25, 0.9)[:395]}, infertest.Piece{At: 100 + second, PCM: repeat(25, 0.9)})
			got := stretches(t, events)
			if hole < 500 {
				if len(got) != 1 || got[0].from != 100 || got[0].to != 100+second+400 {
					t.Errorf("%d steps, hole of %d ms: %v", steps, hole, got)
				}
				continue
			}
			// Steps lie on a grid from the first sample of the Seg, and the gate
			// goes by the first sample of each.
			from := 100 + (second+step-1)/step*step - 30
			if len(got) != 2 || got[0].from != 100 || got[0].to != 400+100+30 || got[1].from != from || got[1].to != 100+second+400 {
				t.Errorf("%d steps, hole of %d ms: %v", steps, hole, got)
			}
		}
	}
}

// voices is a listener that ends a turn after every so many samples and keeps
// what it heard.
type voices struct {
	rate, every int
	mu          sync.Mutex
	heard       [][]float32 // by stretch
	fail        error
}

func (v *voices) Models() []infer.Info { return []infer.Info{{Name: "faces"}} }
func (v *voices) Rate() int            { return v.rate }
func (v *voices) Open() infer.Listener { return &ear{v: v} }

type ear struct {
	v    *voices
	pcm  []float32
	n, k int
}

func (e *ear) Speech(_ context.Context, pcm []float32, p float64) ([]infer.Turn, error) {
	if e.v.fail != nil {
		return nil, e.v.fail
	}
	e.pcm = append(e.pcm, pcm...)
	var turns []infer.Turn
	for e.n += len(pcm); e.n >= e.v.every; e.n -= e.v.every {
		e.k++
		turns = append(turns, infer.Turn{Samples: int64(e.v.every), P: p, Voice: e.k, Face: &infer.Face{Voice: e.k}, Short: e.k == 2})
	}
	return turns, nil
}

func (e *ear) End(context.Context) ([]infer.Turn, error) {
	e.v.mu.Lock()
	e.v.heard = append(e.v.heard, e.pcm)
	e.v.mu.Unlock()
	t := infer.Turn{Samples: int64(e.n), P: 0.25}
	e.pcm, e.n = nil, 0
	return []infer.Turn{t}, nil
}

// Voices get the samples of each stretch, all of them and no others, and the
// events are those of their turns, each followed by its face.
func TestVoices(t *testing.T) {
	pcm := slices.Concat(repeat(10, 0.1), repeat(40, 0.9), repeat(20, 0.1), repeat(20, 0.8), repeat(50, 0.2), repeat(5, 0.9), repeat(50, 0.1), repeat(30, 0.7))
	for i := range pcm { // the gate looks at the first sample of a step only
		if i%step != 0 {
			pcm[i] += float32(i%97) / 1e4
		}
	}
	v := &voices{rate: rate, every: 500}
	c := config()
	c.Voices = v
	f := build(t, c)
	if m := f.Models(); len(m) != 2 || m[1].Name != "faces" {
		t.Errorf("models %v", m)
	}
	events := infertest.Events(t, f, infertest.Piece{At: 7, PCM: pcm})
	type line struct {
		kind     string
		from, to int
		voice    int
		short    bool
	}
	var got []line
	for _, e := range events {
		l := line{kind: e.Payload.Kind(), from: int(e.At / time.Millisecond), to: int((e.At + e.Dur) / time.Millisecond), short: e.Short}
		switch p := e.Payload.(type) {
		case *infer.Speech:
			l.voice = p.Voice
		case *infer.Face:
			l.voice = p.Voice
			if e.Model != "faces" || e.Fixture {
				t.Errorf("face by %q, fixture %v", e.Model, e.Fixture)
			}
		}
		got = append(got, l)
	}
	// One stretch 160-30 … 1440+30, one 225*16-30 … to the end.
	from, end := 7+130, 7+len(pcm)
	late := 7 + 195*16 - 30
	want := []line{
		{"speech", from, from + 500, 1, false},
		{"face", from, from + 500, 1, false},
		{"speech", from + 500, from + 1000, 2, false},
		{"face", from + 500, from + 1000, 2, true},
		{"speech", from + 1000, 7 + 1470, 0, false},
		{"speech", late, late + 500, 3, false},
		{"face", late, late + 500, 3, false},
		{"speech", late + 500, end, 0, false},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if len(v.heard) != 2 || !slices.Equal(v.heard[0], pcm[130:1470]) || !slices.Equal(v.heard[1], pcm[late-7:]) {
		t.Errorf("the voices heard %d stretches that are not those of the source", len(v.heard))
	}
}

// The gate hears the manifest's scale, voices never do.
func TestScale(t *testing.T) {
	v := &voices{rate: rate, every: 1 << 30}
	c := config()
	c.Voices = v
	c.Model.Audio.Scale = 4
	infertest.Events(t, build(t, c), infertest.Piece{PCM: repeat(20, 0.2)})
	if len(v.heard) != 1 || v.heard[0][100] != 0.2 {
		t.Errorf("heard %v", v.heard)
	}
}

func TestSegsAreApart(t *testing.T) {
	f := build(t, config())
	pcm := repeat(20, 0.9)
	want := stretches(t, infertest.Events(t, f, infertest.Piece{PCM: pcm}))
	// Were the stretch before still open, this one would belong to it.
	got := stretches(t, infertest.Events(t, f, infertest.Piece{PCM: pcm}))
	if len(want) != 1 || !slices.Equal(got, want) {
		t.Errorf("%v, then %v", want, got)
	}
	if events, err := f.Finish(context.Background(), f.Open()); err != nil || len(events) != 0 {
		t.Errorf("a Seg without sound gives %v, %v", events, err)
	}
}

func TestSourcesAtOnce(t *testing.T) {
	f := build(t, config())
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			pcm := slices.Concat(repeat(50*k, 0.1), repeat(20+k, 0.9), repeat(60, 0.1))
			events, err := infertest.Try(f, uint32(k), infertest.Piece{PCM: pcm})
			if err != nil || len(events) != 1 || events[0].Seg != uint32(k) {
				t.Errorf("source %d: %v, %v", k, events, err)
			}
		})
	}
	wg.Wait()
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*speech.Config)
		say    string
	}{
		"no session":  {func(c *speech.Config) { c.Sessions = nil }, "no session"},
		"input":       {func(c *speech.Config) { session(c).In[0].Name = "x" }, "no tensor input"},
		"more inputs": {func(c *speech.Config) { session(c).In = append(session(c).In, infertest.Value("h", 1)) }, "4 inputs, of which 3"},
		"type":        {func(c *speech.Config) { session(c).In[2].Type = "float32" }, "sr is float32"},
		"state":       {func(c *speech.Config) { session(c).Out[1].Name = "hn" }, "no tensor stateN"},
		"huge state":  {func(c *speech.Config) { session(c).In[1].Shape = []int64{2, 1, 1 << 30} }, "state of"},
		"samples":     {func(c *speech.Config) { session(c).In[0].Shape[1] = 576 }, "576 samples"},
		"window":      {func(c *speech.Config) { c.Model.Audio.Window = -1 }, "window"},
		"rate":        {func(c *speech.Config) { c.Model.Audio.Rate = 0 }, "0 Hz"},
		"context":     {func(c *speech.Config) { c.Model.Audio.Context = 17 }, "context"},
		"gate":        {func(c *speech.Config) { c.Model.Gate.Leave = 0.6 }, "closes at 0.6"},
		"never opens": {func(c *speech.Config) { c.Model.Gate.Enter = 1.5 }, "opens at 1.5"},
		"pause":       {func(c *speech.Config) { c.MinPause = -1 }, "pauses"},
		"pad":         {func(c *speech.Config) { c.Pad = time.Second }, "added"},
		"steps":       {func(c *speech.Config) { c.Steps = -1 }, "steps"},
		"voices":      {func(c *speech.Config) { c.Voices = &voices{rate: 2000} }, "2000 Hz"},
	} {
		cfg := config()
		c.change(&cfg)
		if _, err := speech.New(cfg); err == nil || !strings.Contains(err.Error(), c.say) || !strings.HasPrefix(err.Error(), "speech: model gate: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func session(c *speech.Config) *infertest.Session { return c.Sessions["gate"].(*infertest.Session) }

// Silero's contract where the manifest says no more than the rate: 512 new
// samples after 64 at 16 kHz, 256 after 32 at 8 kHz, windows of some steps.
func TestSilero(t *testing.T) {
	for rate, samples := range map[int]int64{16000: 576, 8000: 288} {
		c := config()
		c.Model.Audio = models.Audio{Rate: rate}
		c.Model.Gate = models.Gate{}
		session(&c).In[0].Shape = []int64{1, samples}
		session(&c).In[1].Shape = []int64{2, 1, 128}
		n := build(t, c).Need()
		if n.Window != 32*int(samples)*8/9 || n.Hop != n.Window || n.Sound.Rate != rate || n.Sound.Channels != 1 {
			t.Errorf("%d Hz: need %+v", rate, n)
		}
	}
	// A gate that knows its rate has no sr.
	c := config()
	inner := session(&c)
	c.Sessions["gate"] = &infertest.Session{In: inner.In[:2], Out: inner.Out, Fn: func(in, out []*infer.Tensor) error {
		return inner.Fn(append(slices.Clone(in), &infer.Tensor{Shape: []int64{}, I64: []int64{rate}}), out)
	}}
	if got := stretches(t, infertest.Events(t, build(t, c), infertest.Piece{PCM: repeat(20, 0.9)})); len(got) != 1 {
		t.Errorf("gate without sr: %v", got)
	}
}

func TestErrors(t *testing.T) {
	c := config()
	boom := errors.New("boom")
	c.Voices = &voices{rate: rate, fail: boom}
	if _, err := infertest.Try(build(t, c), 0, infertest.Piece{PCM: repeat(40, 0.9)}); !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "speech: ") {
		t.Errorf("%v", err)
	}
	c = config()
	inner := gate()
	c.Sessions["gate"] = &infertest.Session{In: inner.In, Out: inner.Out, Fn: func(_, out []*infer.Tensor) error {
		return infertest.Give(out[0], []float32{float32(math.NaN())}, 1, 1)
	}}
	if _, err := infertest.Try(build(t, c), 0, infertest.Piece{PCM: repeat(40, 0.9)}); err == nil || !strings.Contains(err.Error(), "no number") {
		t.Errorf("%v", err)
	}
}

//go:build cgo

package infertest_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/infertest"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/infer/soundnet"
	"github.com/seehear/seehear/infer/speech"
	"github.com/seehear/seehear/infer/speech2face"
	"github.com/seehear/seehear/models"
)

// The families of sound on the graphs of the fixture pack, by ONNX Runtime. They
// stand here, and not with each family, because speech2face only works behind
// speech.

func TestMain(m *testing.M) {
	code := m.Run()
	if n := ort.Handles(); n != 0 {
		fmt.Fprintf(os.Stderr, "%d handles are open\n", n)
		code = max(code, 1)
	}
	os.Exit(code)
}

// fixture is a model of the fixture pack with its sessions.
type fixture struct {
	model    models.Model
	info     infer.Info
	labels   map[string][]string
	sessions map[string]infer.Session
}

func load(t *testing.T, family string) fixture {
	t.Helper()
	pack, err := models.Load("../../models/fixture")
	if err != nil {
		t.Fatal(err)
	}
	m, ok := pack.Model(family)
	if !ok {
		t.Fatalf("the pack has no %s", family)
	}
	rt, err := ort.Open(ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cerr := rt.Close(); cerr != nil {
			t.Error(cerr)
		}
	})
	f := fixture{*m, infer.Info{Name: m.Name, Fixture: true}, map[string][]string{}, map[string]infer.Session{}}
	for name, file := range m.Labels {
		if f.labels[name], err = models.Labels(pack.Path(file)); err != nil {
			t.Fatal(err)
		}
	}
	for role, g := range m.Graphs {
		s, err := rt.Session(pack.Path(g.File), ort.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		f.sessions[role] = s
	}
	return f
}

// The graph answers with the index of the window's loudest sample.
func TestSoundnetFindsThePeak(t *testing.T) {
	x := load(t, "soundnet")
	f, err := soundnet.New(soundnet.Config{Model: x.model, Info: x.info, Labels: x.labels, Sessions: x.sessions})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(8, 9))
	pcm := make([]float32, 72000)
	for i := range pcm {
		pcm[i] = float32(rng.Float64()*0.9 - 0.45)
	}
	const window, hop = 22050, 11025
	events := infertest.Events(t, f, infertest.Piece{PCM: pcm})
	if want := (len(pcm)-hop)/hop + 1; len(events) != want {
		t.Fatalf("%d events, want %d", len(events), want)
	}
	for j, e := range events {
		s := e.Payload.(*infer.Sound)
		part := pcm[j*hop : min(len(pcm), j*hop+window)]
		peak := 0
		for i, v := range part {
			if math.Abs(float64(v)) > math.Abs(float64(part[peak])) {
				peak = i
			}
		}
		if got := 256*s.Objects[0].Index + s.Scenes[0].Index; got != peak {
			t.Errorf("event %d: peak at %d, want %d", j, got, peak)
		}
		if s.Objects[0].Label != x.labels["objects"][s.Objects[0].Index] || !e.Fixture || e.Short != (len(part) < window) {
			t.Errorf("event %d: %+v, short %v", j, e, e.Short)
		}
		if at := time.Duration((11024.5 + float64(j*hop)) / 22050 * 1e9); (e.At - at).Abs() > time.Nanosecond {
			t.Errorf("event %d at %v, want %v", j, e.At, at)
		}
	}
}

func tone(hz float64, seconds float64) []float32 {
	pcm := make([]float32, int(16000*seconds))
	for i := range pcm {
		pcm[i] = float32(0.3 * math.Sin(2*math.Pi*hz*float64(i)/16000))
	}
	return pcm
}

// The gate opens for what is loud; the encoder tells low tones from high ones.
func TestVoicesOfTones(t *testing.T) {
	gate, face := load(t, "speech"), load(t, "speech2face")
	voices, err := speech2face.New(speech2face.Config{Model: face.model, Info: face.info, Sessions: face.sessions})
	if err != nil {
		t.Fatal(err)
	}
	f, err := speech.New(speech.Config{Model: gate.model, Info: gate.info, Sessions: gate.sessions, Voices: voices})
	if err != nil {
		t.Fatal(err)
	}
	low, high, pause := 120.0, 480.0, make([]float32, 16000)
	events := infertest.Events(t, f, infertest.Piece{PCM: slices.Concat(
		pause, tone(low, 7), pause, // one voice, from 1 s
		tone(high, 2), pause, // too short for a face, from 9 s
		tone(high, 6), tone(low, 5), // one that turns into another, from 12 s
	)})
	type line struct {
		kind     string
		from, to float64
		voice    int
		used     float64
	}
	want := []line{
		{"speech", 1, 8, 1, 0},
		{"face", 1, 8, 1, 6},
		{"speech", 9, 11, 0, 0},
		{"speech", 12, 18, 2, 0},
		{"face", 12, 18, 2, 6},
		{"speech", 18, 23, 1, 0},
		{"face", 18, 23, 1, 5},
	}
	if len(events) != len(want) {
		t.Fatalf("%d events, want %d: %+v", len(events), len(want), events)
	}
	faces := map[int][]byte{}
	for i, e := range events {
		got := line{kind: e.Payload.Kind(), from: e.At.Seconds(), to: (e.At + e.Dur).Seconds()}
		switch p := e.Payload.(type) {
		case *infer.Speech:
			got.voice = p.Voice
		case *infer.Face:
			got.voice, got.used = p.Voice, p.Used
			if p.W != 64 || p.H != 64 || p.Notice != infer.FaceNotice {
				t.Errorf("face %+v", p)
			}
			if before := faces[p.Voice]; before != nil && !near(before[:3], p.Pix[:3]) {
				t.Errorf("voice %d looks like %v, then like %v", p.Voice, before[:3], p.Pix[:3])
			}
			faces[p.Voice] = p.Pix
		}
		w := want[i]
		// A stretch begins with the step in which the tone does, less the pad. It
		// ends later than the tone: the gate forgets 6 dB a step, and it has 28
		// to go. A turn of two pieces starts 30 ms early and ends so.
		if got.kind != w.kind || got.voice != w.voice || math.Abs(got.used-w.used) > 0.1 ||
			got.from > w.from || got.from < w.from-0.032-0.03 || got.to < w.to-0.03 || got.to > w.to+6*0.032+0.03 {
			t.Errorf("event %d: %+v, want %+v", i, got, w)
		}
		if !e.Fixture {
			t.Errorf("event %d does not say that it is a fixture's", i)
		}
	}
	if bytes.Equal(faces[1], faces[2]) {
		t.Error("two voices look alike")
	}
}

func near(a, b []byte) bool {
	for i := range a {
		if d := int(a[i]) - int(b[i]); d < -8 || d > 8 {
			return false
		}
	}
	return true
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/infertest"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/infer/soundnet"
	"github.com/seehear/seehear/models"
)

const imported = "../../models/train/testdata/soundnet"

// goldenSound is sound() of models/train/golden.py, sample by sample.
func goldenSound(n int) []float32 {
	pcm := make([]float32, n)
	for i := range pcm {
		noise := float64((7*i*i+31*i)%65521-32760) / 32768
		slow := i%16384 - 8192
		if slow < 0 {
			slow = -slow
		}
		pcm[i] = float32(noise * float64(slow/128) / 64)
	}
	return pcm
}

// The pack was imported from a checkpoint in the layout of sound8.npy; the answers
// are those of a network that is written as the published one (models/train). Here
// the manifest's front end, ONNX Runtime and the family give the same.
func TestImportedSoundNetAnswersAsPublished(t *testing.T) {
	var want struct {
		Samples         int
		Objects, Scenes [][]float64 // logits by class and frame
	}
	text, err := os.ReadFile(imported + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err = json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	net := &network{}
	if net.pack, err = models.Load(imported); err != nil {
		t.Fatal(err)
	}
	if err = net.pack.Verify(); err != nil {
		t.Fatal(err)
	}
	if net.runtime, err = ort.Open(ort.Options{}); err != nil {
		t.Fatal(err)
	}
	defer net.close()
	m := net.pack.Models[0]
	l, err := net.open(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	pcm := goldenSound(want.Samples)

	packer, err := infer.NewWavePacker(m.Audio)
	if err != nil {
		t.Fatal(err)
	}
	wave := make([]float32, len(pcm))
	packer.Fill(wave, pcm)
	run := func(wave []float32) ([]*infer.Tensor, error) {
		session := l.sessions["graph"]
		out := make([]*infer.Tensor, len(session.Outputs()))
		for i := range out {
			out[i] = new(infer.Tensor)
		}
		return out, session.Run(context.Background(), []*infer.Tensor{{Shape: []int64{1, int64(len(wave))}, F32: wave}}, out)
	}
	out, err := run(wave)
	if err != nil {
		t.Fatal(err)
	}
	// far is the largest difference of logits.
	far := func(got *infer.Tensor, want [][]float64) (worst float64) {
		frames := len(want[0])
		if len(got.F32) != len(want)*frames {
			t.Fatalf("%d values where there should be %d by %d", len(got.F32), len(want), frames)
		}
		for c, row := range want {
			for i, w := range row {
				worst = max(worst, math.Abs(float64(got.F32[c*frames+i])-w))
			}
		}
		return worst
	}
	if d := max(far(out[0], want.Objects), far(out[1], want.Scenes)); d > 1e-4 {
		t.Errorf("logits differ by %g", d)
	}
	// Without the scale of 256 they are others.
	if out, err = run(pcm); err != nil {
		t.Fatal(err)
	}
	if d := far(out[0], want.Objects); d < 1e-2 {
		t.Errorf("without the scale logits differ by %g only", d)
	}
	// One sample less than min_samples has no output at all.
	if _, err = run(wave[:m.Audio.MinSamples-1]); err == nil {
		t.Error("the graph takes less than min_samples")
	}
	if out, err = run(wave[:m.Audio.MinSamples]); err != nil || out[0].Shape[2] != 1 {
		t.Error("min_samples give", out[0].Shape, err)
	}

	family, err := soundnet.New(soundnet.Config{Model: m, Info: l.info, Labels: l.labels, Sessions: l.sessions})
	if err != nil {
		t.Fatal(err)
	}
	events := infertest.Events(t, family, infertest.Piece{PCM: pcm})
	if len(events) < 4 {
		t.Fatalf("%d events", len(events))
	}
	for i, e := range events[:4] {
		at := time.Duration((m.Audio.Centre + float64(i*m.Audio.Stride)) / float64(m.Audio.Rate) * float64(time.Second))
		if d := (e.At - at).Abs(); d > time.Microsecond {
			t.Errorf("event %d is at %v, want %v", i, e.At, at)
		}
		if i == 0 || i == 3 {
			continue // their fields reach out of the sound
		}
		sound := e.Payload.(*infer.Sound)
		for _, head := range []struct {
			scores []infer.Score
			logits [][]float64
			labels []string
		}{{sound.Objects, want.Objects, l.labels["objects"]}, {sound.Scenes, want.Scenes, l.labels["scenes"]}} {
			sum := 0.0
			for _, row := range head.logits {
				sum += math.Exp(row[i])
			}
			p := map[string]float64{}
			for c, row := range head.logits {
				p[head.labels[c]] = math.Exp(row[i]) / sum
			}
			if len(head.scores) != len(p) {
				t.Errorf("event %d has %d classes, want %d", i, len(head.scores), len(p))
			}
			for _, s := range head.scores {
				if math.Abs(s.P-p[s.Label]) > 1e-4 {
					t.Errorf("event %d: %s has %v, want %v", i, s.Label, s.P, p[s.Label])
				}
			}
		}
	}
}

// Note [Samples through the spectrogram] of models/train/importer/samples.py: under
// this manifest the front end loses no sample but the first.
func TestFrontEndCarriesSamples(t *testing.T) {
	const hop, length, fft = 400, 401, 512
	audio := models.Audio{Rate: 16000, Window: 6.0250625, STFT: models.STFT{
		Kind: "power-law", Window: "tukey", Tukey: 1e-9, Length: length, Hop: hop, FFT: fft, Power: 1,
	}}
	if n, err := infer.WindowSamples(audio); err != nil || n != 96401 {
		t.Fatal(n, err)
	}
	s, err := infer.NewSpectrogram(audio)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	pcm := make([]float32, 3*hop+100)
	for i := range pcm {
		pcm[i] = float32(r.Float64()*2 - 1)
	}
	x := make([]float32, s.Len(len(pcm)))
	if err = s.Pack(x, pcm); err != nil {
		t.Fatal(err)
	}
	frames, bins := s.Frames(len(pcm)), s.Bins()
	if frames != 3 || bins != fft/2+1 {
		t.Fatal(frames, bins)
	}
	for i := range frames {
		for n := 1; n < length; n += 7 {
			sum := 0.0
			for k := range bins {
				c := complex(float64(x[i*bins+k]), float64(x[(frames+i)*bins+k])) * cmplx.Rect(1, 2*math.Pi*float64(k*n%fft)/fft)
				if k > 0 && k < fft/2 {
					c *= 2
				}
				sum += real(c) / fft
			}
			if want := float64(pcm[i*hop+n]); math.Abs(sum-want) > 1e-5 {
				t.Fatalf("sample %d of frame %d is %v, want %v", n, i, sum, want)
			}
		}
	}
}

// python is a stand-in: a shell script that gets the importer's arguments, the pack's
// folder as the fourth.
func python(t *testing.T, script string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	t.Setenv("PYTHON", path)
	t.Setenv("SEEHEAR_CACHE", t.TempDir())
}

// importFile is something to import.
func importFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sound8.npy")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportPutsThePackInItsPlace(t *testing.T) {
	golden, err := filepath.Abs(imported)
	if err != nil {
		t.Fatal(err)
	}
	python(t, `test -f "$1" && test -f "$(dirname "$1")/importer/labels/categories_places2.txt" || exit 1
[ "$2 $3 $5 $6 $7" = "soundnet -o --rate 16000 --" ] || exit 1
case "$8" in /*sound8.npy) ;; *) exit 1;; esac
mkdir "$4" && cp `+golden+`/* "$4" && echo said`)
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	file := importFile(t)
	code, stdout, stderr := seehearRun(t, nil, "models", "import", "soundnet", file)
	dir := filepath.Join(data, "seehear", "models", "fixture-soundnet8")
	if code != exitOK || stdout != fmt.Sprintf("said\n%s\nuse it with: --models %s\n", dir, dir) {
		t.Fatal(code, stdout, stderr)
	}
	if code, stdout, stderr = seehearRun(t, nil, "models", "verify", "fixture-soundnet8"); code != exitOK {
		t.Error(code, stdout, stderr)
	}
	// It is not written over, and nothing is left beside it.
	code, _, stderr = seehearRun(t, nil, "models", "import", "soundnet", file)
	if code == exitOK || !strings.Contains(stderr, "is there and not empty") {
		t.Error(code, stderr)
	}
	onlyEntry(t, filepath.Dir(dir), "fixture-soundnet8")
}

func onlyEntry(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(names) {
		t.Fatalf("%s holds %v, want %v (%v)", dir, entries, names, err)
	}
	for i, e := range entries {
		if e.Name() != names[i] {
			t.Errorf("%s holds %s, want %s", dir, e.Name(), names[i])
		}
	}
}

func TestImportRefusals(t *testing.T) {
	golden, err := filepath.Abs(imported)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, script, says string }{
		{"packages are missing", "echo missing: torch onnx >&2; exit 3", "lacks torch onnx: run `make test-models`"},
		{"the importer refuses", "echo noise >&2; echo x.npy: has no layer conv1 >&2; exit 1", "import soundnet: x.npy: has no layer conv1\n"},
		{"the importer breaks", "echo Traceback >&2; echo ValueError: boo >&2; exit 1", "ValueError: boo"},
		{"the importer is killed", "kill -9 $$", "signal: killed"},
		{"there is no pack", "exit 0", "no such file"},
		{"the pack does not verify", `mkdir "$4" && cp ` + golden + `/* "$4" && echo more >> "$4/objects.txt"`, "objects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			python(t, c.script)
			t.Setenv("PATH", "/usr/bin:/bin")
			if c.name == "packages are missing" {
				// No other Python either.
				bin := t.TempDir()
				t.Setenv("PATH", bin)
			}
			out := filepath.Join(t.TempDir(), "packs", "new")
			code, stdout, stderr := seehearRun(t, nil, "models", "import", "soundnet", importFile(t), "-o", out)
			if code != exitAll || stdout != "" || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%d %q %q", code, stdout, stderr)
			}
			onlyEntry(t, filepath.Dir(out))
		})
	}
	t.Run("there is no Python", func(t *testing.T) {
		t.Setenv("PYTHON", "")
		t.Setenv("PATH", t.TempDir())
		t.Setenv("SEEHEAR_CACHE", t.TempDir())
		code, _, stderr := seehearRun(t, nil, "models", "import", "soundnet", importFile(t), "-o", filepath.Join(t.TempDir(), "new"))
		if code != exitAll || !strings.Contains(stderr, "it needs Python 3") || strings.Count(stderr, "\n") != 1 {
			t.Error(code, stderr)
		}
	})
	t.Run("there is no such file", func(t *testing.T) {
		code, _, stderr := seehearRun(t, nil, "models", "import", "soundnet", "nowhere.npy", "-o", filepath.Join(t.TempDir(), "new"))
		if code != exitAll || !strings.Contains(stderr, "nowhere.npy: there is no such file") {
			t.Error(code, stderr)
		}
	})
}

func TestImportStops(t *testing.T) {
	python(t, "exec sleep 600")
	out := filepath.Join(t.TempDir(), "packs", "new")
	stop := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { close(stop) })
	began := time.Now()
	code, _, stderr := seehearRun(t, stop, "models", "import", "soundnet", importFile(t), "-o", out)
	if code != exitInterrupted || !strings.Contains(stderr, "stopped; nothing was written") || time.Since(began) > 8*time.Second {
		t.Error(code, stderr, time.Since(began))
	}
	onlyEntry(t, filepath.Dir(out))
}

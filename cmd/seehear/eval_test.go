//go:build eval

package main

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/seehear/seehear"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/models"
	"github.com/seehear/seehear/sinks"
)

// within is how far a figure may be from the card's: one point, 0.01 in AUC.
const within = 0.01

// judges recompute the figures of a model of the default pack on the data in a folder,
// by the names that metrics.yaml has for them.
var judges = map[string]func(e *evaluation) map[string]float64{
	"soundnet":    judgeSounds,
	"speech":      judgeGate,
	"speech2face": judgeFaces,
	"localize":    judgeSources,
	"pictures":    judgePictures,
	"caption":     judgeCaptions,
	"embedding":   judgeEmbedding,
}

// evaluation is a model of the default pack with the data to judge it on.
type evaluation struct {
	*testing.T
	data    string // DATA
	model   models.Model
	open    *loaded
	runtime *ort.Runtime
}

// TestEval recomputes with the pipeline itself what the cards of the default pack say:
// files are read, decoded and aligned, and the families run ONNX Runtime, as for
// `seehear annotate`. Each figure of models/default/metrics.yaml has to come out, and
// nothing else may.
func TestEval(t *testing.T) {
	data := os.Getenv("DATA")
	if data == "" {
		t.Fatal("DATA names no folder with the held-out data: make eval DATA=…")
	}
	const dir = "../../models/default"
	file, err := os.ReadFile(filepath.Join(dir, "metrics.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cards map[string]map[string]float64
	if err = yaml.Unmarshal(file, &cards); err != nil {
		t.Fatal(err)
	}
	pack, err := models.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err = pack.Verify(); err != nil {
		t.Fatal(err)
	}
	net := &network{pack: pack}
	if net.runtime, err = ort.Open(ort.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.close(); err != nil {
			t.Error(err)
		}
	})
	for name := range cards {
		if !slices.ContainsFunc(pack.Models, func(m models.Model) bool { return m.Name == name }) {
			t.Errorf("metrics.yaml has figures of %s, which the pack lacks", name)
		}
	}
	for _, m := range pack.Models {
		t.Run(m.Name, func(t *testing.T) {
			judge := judges[m.Family]
			if judge == nil {
				t.Fatalf("nothing recomputes the figures of family %s", m.Family)
			}
			l, err := net.open(m, 1)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, judge(&evaluation{t, data, m, l, net.runtime}), cards[m.Name])
		})
	}
}

func compare(t *testing.T, got, want map[string]float64) {
	if len(want) == 0 {
		t.Error("metrics.yaml has no figures of it")
	}
	for _, name := range slices.Sorted(keys(want)) {
		g, ok := got[name]
		switch {
		case !ok:
			t.Errorf("%s: %.4f on the card, and not recomputed", name, want[name])
		case !(math.Abs(g-want[name]) <= within):
			t.Errorf("%s: %.4f on the card, %.4f here", name, want[name], g)
		default:
			t.Logf("%s: %.4f on the card, %.4f here", name, want[name], g)
		}
	}
	for _, name := range slices.Sorted(keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %.4f here, and not on the card", name, got[name])
		}
	}
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// heard runs one family over a file and returns its events.
func (e *evaluation) heard(path string, f infer.Family) []infer.Event {
	e.Helper()
	flags := sourceFlags{VideoStream: -1, AudioStream: -1, ReadTimeout: 10 * time.Second}
	all := &events{}
	_, err := seehear.Run(context.Background(), seehear.Pipeline{
		Source: path, Open: flags.opener(path, nil), Families: []infer.Family{f}, Sinks: []sinks.Sink{all}, Workers: 1,
	})
	if err != nil {
		e.Fatalf("%s: %v", path, err)
	}
	return all.list
}

// need fails the test with what is missing of the data.
func (e *evaluation) need(path string) string {
	e.Helper()
	path = filepath.Join(e.data, path)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		e.Fatalf("the figures on the card need %s", path)
	}
	return path
}

// sheet reads the rows of a CSV file with the given header.
func (e *evaluation) sheet(path string, header ...string) [][]string {
	e.Helper()
	f, err := os.Open(path)
	if err != nil {
		e.Fatal(err)
	}
	defer f.Close()
	return e.table(f, header...)
}

// events is a sink that keeps what it is given.
type events struct{ list []infer.Event }

func (s *events) Begin(context.Context, sinks.Header) error { return nil }
func (s *events) Write(_ context.Context, e infer.Event) error {
	s.list = append(s.list, e)
	return nil
}
func (s *events) Close(context.Context, sinks.Summary) error { return nil }

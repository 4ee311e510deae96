package main

import (
	"path/filepath"
	"testing"
)

// What moves with the sound is found without a model, but with --models none only
// where it is asked for by name. In the demo, each scene shows two things of which
// one sounds, and swells while it does.
func TestLocalizeWithoutModels(t *testing.T) {
	half := func(at float64) func(x float64) bool { // where the one that sounds is
		right := at >= 4 && at < 8 || at >= 12.5 && at < 18
		return func(x float64) bool { return (x > 0.5) == right }
	}
	for _, c := range []struct {
		args []string
		maps bool
	}{{nil, false}, {[]string{"--localize", "sync"}, true}} {
		dir := t.TempDir()
		args := append([]string{"annotate", "--models", "none", "--outputs", "jsonl", "-o", dir, demo}, c.args...)
		if code, _, stderr := seehearRun(t, nil, args...); code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		all := lines(t, filepath.Join(dir, "demo", "results.jsonl"))
		maps, lit, wrong := 0, 0, 0
		for _, l := range all[1 : len(all)-1] {
			h, ok := l["heatmap"].(map[string]any)
			if !ok {
				continue
			}
			maps++
			if h["method"] != "sync" || l["model"] != nil {
				t.Fatalf("%v", l)
			}
			if h["gated"] == nil {
				lit++
				if !half(l["t"].(float64))(h["x"].(float64)) {
					wrong++
				}
			}
		}
		if (maps > 0) != c.maps || c.maps && (maps < 110 || lit < 30 || wrong > 0) {
			t.Errorf("%v: %d maps, %d lit, %d of them on the thing that is silent", c.args, maps, lit, wrong)
		}
	}
	if code, _, _ := seehearRun(t, nil, "annotate", "--models", "none", "--localize", "semantic", "-o", t.TempDir(), demo); code == exitOK {
		t.Error("--localize semantic without a model is accepted")
	}
}

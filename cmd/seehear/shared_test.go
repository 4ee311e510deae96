package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seehear/seehear/ingest/mediatest"
)

// TestRealClips runs the whole command over the real clips, where they are
// there, and holds it to the outcome that was written down beforehand.
func TestRealClips(t *testing.T) {
	dir, want := mediatest.Shared(t)
	if dir == "" {
		t.Log("the real clips are not beside this checkout")
		return
	}
	for _, w := range want {
		t.Run(w.File, func(t *testing.T) {
			file, out := filepath.Join(dir, w.File), t.TempDir()
			code, _, stderr := seehearRun(t, nil, "annotate", "--models", pack, "--outputs", "jsonl,vtt", "-o", out, file)
			if code != w.Exit {
				t.Fatalf("annotate: exit %d, want %d: %s", code, w.Exit, stderr)
			}
			code, stdout, stderr := seehearRun(t, nil, "probe", "--json", "--size", "32", file)
			if code != w.Exit {
				t.Fatalf("probe: exit %d, want %d: %s", code, w.Exit, stderr)
			}
			if w.Exit != 0 {
				if strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, w.File) {
					t.Errorf("want one line that names the file, got %q", stderr)
				}
				return
			}
			found, err := filepath.Glob(filepath.Join(out, "*", "results.jsonl"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			all := lines(t, found[0])
			annotated := all[len(all)-1]["summary"].(map[string]any)

			printed := strings.Split(strings.TrimSpace(stdout), "\n")
			var first struct {
				PTS *float64 `json:"frame_pts"`
			}
			var last struct {
				Summary map[string]any `json:"summary"`
			}
			if err := json.Unmarshal([]byte(printed[0]), &first); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(printed[len(printed)-1]), &last); err != nil {
				t.Fatal(err)
			}
			var frames, samples, gaps int64
			if w.Video != nil {
				frames = w.Video.Frames
				if first.PTS == nil || math.Abs(*first.PTS-float64(w.Video.StartNS)/1e9) > 1.5e-6 {
					t.Errorf("first frame at %v, want %d ns", first.PTS, w.Video.StartNS)
				}
			}
			if w.Audio != nil {
				samples, gaps = w.Audio.Samples, w.Audio.MissingNS
			}
			for name, sum := range map[string]map[string]any{"annotate": annotated, "probe": last.Summary} {
				if sum["frames"] != float64(frames) || math.Abs(sum["samples"].(float64)-float64(samples)) > 1 {
					t.Errorf("%s: %v frames, %v samples, want %d, %d", name, sum["frames"], sum["samples"], frames, samples)
				}
				// What is missing at the ends counts as well.
				if got := sum["missing_audio"].(float64); got < float64(gaps)/1e9-1e-3 {
					t.Errorf("%s: %v s of sound missing, at least %v are", name, got, float64(gaps)/1e9)
				}
			}
		})
	}
}

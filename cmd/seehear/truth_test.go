package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seehear/seehear/ingest/mediatest"
)

// timeTol is how far a time may be off in the results: they carry microseconds,
// and a container's ticks are rounded once more.
const timeTol = 1.5e-6

// TestTruthInResults runs every ground-truth clip through the whole command: the
// fixture captioner reads the barcode of the frame, the fixture SoundNet tells the
// loudest sample of its window, so the results must give back what the clip is
// known to hold.
func TestTruthInResults(t *testing.T) {
	dir := t.TempDir()
	for _, c := range mediatest.Clips(t) {
		t.Run(c.Name, func(t *testing.T) {
			out := filepath.Join(dir, c.Name)
			code, _, stderr := seehearRun(t, nil, "annotate", "--models", pack, "--caption-every", "frame", "--outputs", "jsonl", "-o", out, c.File)
			if code != exitOK {
				t.Fatalf("exit %d: %s", code, stderr)
			}
			found, err := filepath.Glob(filepath.Join(out, "*", "results.jsonl"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			checkResults(t, c, lines(t, found[0]))
			checkProbe(t, c)
		})
	}
}

func checkResults(t *testing.T, c mediatest.Clip, all []map[string]any) {
	t.Helper()
	type seen struct {
		t     float64
		seg   int
		index int
	}
	var pictures []seen
	var peaks []seen // t of the loudest sample
	zero := map[int]float64{}
	for _, l := range all[1 : len(all)-1] {
		at, seg := l["t"].(float64), int(l["seg"].(float64))
		switch l["kind"] {
		case "caption":
			text := l["caption"].(map[string]any)["text"].(string)
			index, err := strconv.Atoi(strings.ReplaceAll(strings.TrimPrefix(text, "frame"), " ", ""))
			if err != nil {
				t.Fatalf("at %v: caption %q is no barcode", at, text)
			}
			pictures = append(pictures, seen{at, seg, index})
		case "sound":
			s := l["sound"].(map[string]any)
			if s["silent"] == true {
				continue
			}
			hi := number(t, s["objects"], "peak hi ")
			lo := number(t, s["scenes"], "peak lo ")
			peaks = append(peaks, seen{at - 11024.5/22050 + float64(256*hi+lo)/22050, seg, 0})
		}
	}
	frames := c.Frames
	if c.Video != nil && c.Video.Partial >= 0 && len(pictures) == len(frames)+1 {
		pictures = pictures[:len(pictures)-1]
	}
	if len(pictures) != len(frames) {
		t.Fatalf("%d captions for %d frames", len(pictures), len(frames))
	}
	for i, f := range frames {
		p := pictures[i]
		if _, ok := zero[p.seg]; !ok {
			zero[p.seg] = 0
			if p.seg > 0 { // a jump's place on our clock is our own affair, distances are not
				zero[p.seg] = p.t - float64(f.PTS)/1e9
			}
		}
		if p.seg != f.Seg || p.index != f.Index || math.Abs(p.t-zero[p.seg]-float64(f.PTS)/1e9) > timeTol {
			t.Fatalf("caption %d: barcode %d at %.6f of seg %d, want %d at %.6f of seg %d", i, p.index, p.t-zero[p.seg], p.seg, f.Index, float64(f.PTS)/1e9, f.Seg)
		}
	}
	if c.Audio == nil {
		return
	}
	if len(peaks) == 0 {
		t.Fatal("no sound among the results")
	}
	// A lone sample keeps its place to half a sample of the window's rate when it
	// is resampled; a lossy codec moves the loudest sample of a click by some.
	tol := 1.0/22050 + timeTol
	if !c.Audio.Lossless {
		tol = 0.5e-3
	}
	hits := 0
	for _, p := range peaks {
		best := math.Inf(1)
		for _, k := range c.Clicks {
			if k.Seg == p.seg {
				best = math.Min(best, math.Abs(p.t-zero[p.seg]-float64(k.T)/1e9))
			}
		}
		if best <= tol+float64(c.Audio.StartTolNS)/1e9 {
			hits++
		}
	}
	if hits < len(peaks)*9/10 || hits == 0 {
		t.Errorf("only %d of %d windows have their loudest sample at a click", hits, len(peaks))
	}
	sum := all[len(all)-1]["summary"].(map[string]any)
	if d := sum["samples"].(float64) - float64(c.Audio.Samples); math.Abs(d) > 1 {
		t.Errorf("%v samples, want %d", sum["samples"], c.Audio.Samples)
	}
}

// number is the number behind the prefix in the label of the best class.
func number(t *testing.T, scores any, prefix string) int {
	t.Helper()
	label := scores.([]any)[0].(map[string]any)["label"].(string)
	n, err := strconv.Atoi(strings.TrimPrefix(label, prefix))
	if err != nil {
		t.Fatalf("label %q", label)
	}
	return n
}

// checkProbe: the frame that probe shows at each click is the right one, and the
// loudest sample of that frame's window is the click.
func checkProbe(t *testing.T, c mediatest.Clip) {
	t.Helper()
	code, stdout, stderr := seehearRun(t, nil, "probe", "--json", "--size", "16", "--window", "400ms", c.File)
	if code != exitOK {
		t.Fatalf("probe: exit %d: %s", code, stderr)
	}
	type moment struct {
		Seg    int      `json:"seg"`
		PTS    *float64 `json:"frame_pts"`
		Skew   *float64 `json:"skew"`
		Window *struct {
			Start   float64 `json:"start"`
			Samples int     `json:"samples"`
			Rate    int     `json:"rate"`
			RMS     float64 `json:"rms"`
			PeakAt  float64 `json:"peak_at"`
		} `json:"window"`
		Summary *struct {
			Frames  int64 `json:"frames"`
			Samples int64 `json:"samples"`
		} `json:"summary"`
	}
	var all []moment
	for _, line := range strings.Split(strings.TrimSpace(stdout), "\n") {
		var m moment
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, m)
	}
	sum := all[len(all)-1].Summary
	if sum == nil {
		t.Fatal("no totals in the last line")
	}
	if c.Audio != nil && math.Abs(float64(sum.Samples-c.Audio.Samples)) > 1 {
		t.Errorf("probe: %d samples, want %d", sum.Samples, c.Audio.Samples)
	}
	all = all[:len(all)-1]
	for _, m := range all {
		if (m.Window == nil) != (c.Audio == nil) || (m.PTS == nil) != (c.Video == nil) {
			t.Fatalf("probe: %+v of a clip with video %v, audio %v", m, c.Video != nil, c.Audio != nil)
		}
		if m.Skew != nil && math.Abs(*m.Skew) > 0.5/22050+1e-9 {
			t.Fatalf("probe: skew %v", *m.Skew)
		}
	}
	if c.Video == nil || c.Audio == nil {
		return
	}
	zero := map[int]float64{0: 0}
	for i, f := range c.Frames {
		if _, ok := zero[f.Seg]; !ok {
			zero[f.Seg] = *all[i].PTS - float64(f.PTS)/1e9
		}
	}
	tol := 1.0/22050 + timeTol
	if !c.Audio.Lossless {
		tol = 0.5e-3
	}
	tol += float64(c.Audio.StartTolNS) / 1e9
	for _, k := range c.Clicks {
		if k.Frame < 0 {
			continue
		}
		at := float64(k.T)/1e9 + zero[k.Seg]
		shown := -1
		for i := range c.Frames {
			if all[i].Seg == k.Seg && *all[i].PTS <= at+timeTol {
				shown = i
			}
		}
		if shown < 0 || c.Frames[shown].Index != k.Frame {
			t.Errorf("probe: the click at %.6f falls on moment %d, want frame %d", at, shown, k.Frame)
			continue
		}
		w := all[shown].Window
		if w.Samples != 8820 || w.Rate != 22050 {
			t.Fatalf("probe: window %+v", w)
		}
		// Of several clicks in the window any may be the loudest.
		best := math.Inf(1)
		for _, other := range c.Clicks {
			if other.Seg == k.Seg {
				best = math.Min(best, math.Abs(w.PeakAt-zero[k.Seg]-float64(other.T)/1e9))
			}
		}
		if best > tol {
			t.Errorf("probe: at the click at %.6f the loudest sample lies %.1f µs from any click", at, best*1e6)
		}
	}
}

//go:build proof

package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestPeakMemory: at most 350 MB without models, and no more for a file ten times
// as long.
func TestPeakMemory(t *testing.T) {
	bin, clip := binary(t), clip1080(t, 30)
	out := t.TempDir()
	peak := func(path string) int64 {
		return measure(t, bin, "annotate", "--force", "--models", "none", "--outputs", "jsonl", "-o", out, path).rss
	}
	short, long := peak(clip), peak(looped(t, clip, 10))
	t.Logf("peak memory: %.1f MB for 30 s, %.1f MB for 300 s", float64(short)/1e6, float64(long)/1e6)
	if short > 350e6 || long > 350e6 {
		t.Error("more than 350 MB")
	}
	if float64(long) > 1.1*float64(short)+5e6 {
		t.Error("a longer file takes more memory")
	}
}

// TestSixtyMinutes: resident memory is flat over an hour of media, for what the
// networks would see and for what they say.
func TestSixtyMinutes(t *testing.T) {
	bin := binary(t)
	minute := synth(t, "minute.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=60",
		"-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=44100:duration=60",
		"-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac")
	hour := looped(t, minute, 60)

	next := 60.0
	xs, rss := residentWhile(t, func(line []byte) (float64, bool) {
		var l struct {
			T *float64 `json:"t"`
		}
		if json.Unmarshal(line, &l) != nil || l.T == nil || *l.T < next {
			return 0, false
		}
		next = *l.T + 10
		return *l.T, true
	}, bin, "probe", "--json", hour)
	flat(t, "probe", xs, rss)

	xs, rss = residentEvery(t, 100*time.Millisecond, func() {}, bin, "annotate", "--force", "--outputs", "jsonl", "--models", fixturePack(t), "-o", t.TempDir(), hour)
	paced(t, "annotate", 3600, xs, rss)
}

// TestEveryOutput: with all outputs, too, memory is flat over an hour, while the input
// is analysed and while the results are drawn, each on its own. Less than an hour would
// not do: the heap of C moves in steps of 0.6 MB, and two of them look like a slope.
func TestEveryOutput(t *testing.T) {
	bin, out := binary(t), t.TempDir()
	minute := synth(t, "minute.mp4", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=60",
		"-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=44100:duration=60",
		"-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac")
	const minutes = 60
	var drawing []bool
	xs, rss := residentEvery(t, 100*time.Millisecond, func() {
		found, err := filepath.Glob(filepath.Join(out, "*", "annotated.mp4*"))
		drawing = append(drawing, err == nil && len(found) > 0)
	}, bin, "annotate", "--force", "--outputs", "jsonl,vtt,png,mp4,report", "--models", fixturePack(t), "-o", out, looped(t, minute, minutes))
	begun := slices.Index(drawing, true)
	if begun < 0 {
		t.Fatal("nothing was drawn")
	}
	paced(t, "analysis", minutes*60, xs[:begun], rss[:begun])
	paced(t, "drawing", minutes*60, xs[begun:], rss[begun:])
}

// paced asserts that memory is flat after the first minute of so many seconds of
// media. They go by at an even pace, so the time that passed tells the media's.
func paced(t *testing.T, what string, seconds float64, xs, rss []float64) {
	t.Helper()
	var at, mem []float64
	for i := range xs {
		if x := seconds * (xs[i] - xs[0]) / (xs[len(xs)-1] - xs[0]); x >= 60 {
			at, mem = append(at, x), append(mem, rss[i])
		}
	}
	flat(t, what, at, mem)
}

// flat asserts that memory grows by less than 1 MB per 10 minutes of media.
func flat(t *testing.T, what string, xs, rss []float64) {
	t.Helper()
	if len(xs) < 100 {
		t.Fatalf("%s: only %d samples of memory", what, len(xs))
	}
	per10 := slope(xs, rss) * 600 / 1e6
	t.Logf("%s: resident memory %+.3f MB per 10 minutes of media, %.1f MB at the end, over %d samples", what, per10, rss[len(rss)-1]/1e6, len(rss))
	if per10 >= 1 {
		t.Errorf("%s: memory grows by 1 MB or more per 10 minutes", what)
	}
}

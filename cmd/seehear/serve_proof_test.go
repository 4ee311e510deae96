//go:build proof

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
	"github.com/seehear/seehear/sinks/encode"
)

// TestLiveProof holds `seehear serve` to its promises, as long as that takes: an
// hour and a quarter. PROOF_KILLS, PROOF_VIEWERS and PROOF_MINUTES make it shorter.
func TestLiveProof(t *testing.T) {
	t.Run("opening", proveOpening)
	t.Run("latency", proveLatency)
	t.Run("browser latency", proveBrowserLatency)
	t.Run("overlay", proveOverlay)
	t.Run("alignment", proveAlignment)
	t.Run("faults", proveFaults)
	t.Run("kills", proveKills)
	t.Run("viewers", proveViewers)
	t.Run("eight sources", proveEight)
	t.Run("cost", proveCost)
	t.Run("soak", proveSoak)
	t.Run("memory of eight sources", proveEightMemory)
}

func proofNumber(t *testing.T, name string, n int) int {
	t.Helper()
	if s := os.Getenv("PROOF_" + name); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func percentile(list []float64, p float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	list = slices.Sorted(slices.Values(list))
	return list[min(len(list)-1, int(math.Ceil(p*float64(len(list))))-1)]
}

// camera plays a 720p film over RTSP, with a keyframe each second.
func camera720(t *testing.T) *rtsptest.Server {
	t.Helper()
	name := synth(t, "camera720.mp4", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=20",
		"-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000:duration=20",
		"-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac")
	return rtsptest.Start(t, rtsptest.Load(t, name), rtsptest.Options{})
}

// From the arrival of the last packet that a result needs to its arrival at a
// viewer: inference and 150 ms. A picture reaches the viewer 300 ms after it was
// sent, without a delay.
func proveLatency(t *testing.T) {
	s := serve(t, "--models", fixturePack(t), "--localize", "both", "--sync-delay", "0", "--source", "cam="+camera720(t).URL())
	w := s.watch(t, "cam", false)
	s.until("results for half a minute", func() bool { n, _ := w.count("heatmap"); return n > 300 })
	w.mu.Lock()
	defer w.mu.Unlock()
	var slowest float64
	speed, _ := w.status["speed"].(map[string]any)
	for _, ms := range speed {
		slowest = max(slowest, ms.(float64)/1000)
	}
	var lags, results, pictures []float64
	for _, r := range w.results {
		if r.Kind != "heatmap" {
			continue
		}
		lags = append(lags, r.Lag)
		wall := w.sent(r)
		results = append(results, r.came.Sub(wall).Seconds())
		if at, ok := w.frames[r.RTP]; ok {
			pictures = append(pictures, at.Sub(wall).Seconds())
		}
	}
	t.Logf("lag of heat maps p50 %.0f ms, p95 %.0f ms, slowest network %.1f ms; from the camera's clock to the viewer: results p95 %.0f ms, pictures p95 %.0f ms (%d)",
		1e3*percentile(lags, .5), 1e3*percentile(lags, .95), 1e3*slowest, 1e3*percentile(results, .95), 1e3*percentile(pictures, .95), len(pictures))
	if p := percentile(lags, .95); !(p <= slowest+.15) {
		t.Errorf("results are %.3f s late, inference takes %.3f s", p, slowest)
	}
	if p := percentile(pictures, .95); !(p <= .3) {
		t.Errorf("pictures are %.3f s late", p)
	}
}

// A camera that is killed a hundred times is back 3 s after it returned, each time;
// the other one does not notice.
func proveKills(t *testing.T) {
	kills := proofNumber(t, "KILLS", 100)
	media := rtsptest.Load(t, barcodes(t))
	camera, other := rtsptest.Start(t, media, rtsptest.Options{}), rtsptest.Start(t, media, rtsptest.Options{})
	s := serve(t, "--models", "none", "--localize", "sync", "--sync-delay", "0", "--source", "door="+camera.URL(), "--source", "yard="+other.URL())
	w, quiet := s.watch(t, "door", false), s.watch(t, "yard", false)
	n, _ := w.count("heatmap")
	var took, pictures []float64
	var before held
	for kill := range kills {
		s.until("results", func() bool { m, _ := w.count("heatmap"); return m > n+2 })
		if kill == min(10, kills/2) {
			before = use(t)
		}
		camera.Kill()
		s.until("the page to say so", func() bool { return s.sources()["door"].State != "running" })
		n, _ = w.count("heatmap")
		camera.Restart()
		back := time.Now()
		s.until("results to be back", func() bool { m, _ := w.count("heatmap"); return m > n })
		took = append(took, time.Since(back).Seconds())
		s.until("pictures to be back", func() bool { return w.newest().After(back) })
		pictures = append(pictures, w.newest().Sub(back).Seconds())
	}
	s.until("the page to count them", func() bool { return s.sources()["door"].Reconnects >= kills })
	x := s.sources()
	t.Logf("%d kills: results back after p50 %.2f s, p95 %.2f s, at most %.2f s, pictures after at most %.2f s",
		kills, percentile(took, .5), percentile(took, .95), percentile(took, 1), percentile(pictures, 1))
	if worst := max(percentile(took, 1), percentile(pictures, 1)); worst > 3 {
		t.Errorf("once it took %.2f s", worst)
	}
	after := use(t)
	t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > before.goroutines+5 || after.handles != before.handles || after.heap > before.heap+16 {
		t.Error("something is left of the connections")
	}
	if x["door"].Reconnects != kills || x["yard"].Reconnects != 0 {
		t.Errorf("reconnects %d and %d", x["door"].Reconnects, x["yard"].Reconnects)
	}
	s.gaps("yard", quiet.copy())
	s.gaps("door", w.copy()) // within each of its segments
	longest(t, quiet.copy(), 420*time.Millisecond)
}

// longest checks that heat maps follow each other within so long: one moment may be
// missing.
func longest(t *testing.T, list []result, most time.Duration) {
	t.Helper()
	last := -1.0
	for _, r := range list {
		if r.Kind != "heatmap" {
			continue
		}
		if d := r.T - last; last >= 0 && d > most.Seconds() {
			t.Errorf("nothing for %.3f s before %.3f s", d, r.T)
		}
		last = r.T
	}
}

// newest is when the last picture came.
func (w *peer) newest() (at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.frames {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// held is what the process holds, the test in it included.
type held struct {
	goroutines     int
	heap, resident float64 // MB
	handles        int64   // of C
}

func use(t *testing.T) held {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rss, ok := resident(os.Getpid())
	if !ok {
		t.Fatal("the resident memory cannot be read")
	}
	return held{runtime.NumGoroutine(), float64(m.HeapAlloc) / 1e6, rss / 1e6, av.Handles() + ffmpeg.Handles() + encode.Handles() + ort.Handles()}
}

// Viewers come and go in waves of 50, one never reads: what they took is given
// back, and another viewer's results are as late as without them.
func proveViewers(t *testing.T) {
	total := proofNumber(t, "VIEWERS", 200)
	s := serve(t, "--models", "none", "--localize", "sync", barcodes(t))
	steady := s.watch(t, "barcodes", false)
	s.until("results", func() bool { n, _ := steady.count("heatmap"); return n > 10 })
	// In turns, so that what else the machine does falls on both.
	lags := map[bool][]float64{}
	for turn := range 8 {
		stuck := turn%2 == 1
		var v *peer
		if stuck {
			v = s.watch(t, "barcodes", true)
		}
		time.Sleep(time.Second)
		from := len(steady.copy())
		time.Sleep(8 * time.Second)
		for _, r := range steady.copy()[from:] {
			if r.Kind == "heatmap" {
				lags[stuck] = append(lags[stuck], r.came.Sub(steady.sent(r)).Seconds())
			}
		}
		if stuck {
			v.close()
		}
	}
	alone, with := percentile(lags[false], .5), percentile(lags[true], .5)
	t.Logf("a result reaches a viewer after %.1f ms alone, %.1f ms with a stuck viewer (median), %.1f and %.1f ms (p95)",
		1e3*alone, 1e3*with, 1e3*percentile(lags[false], .95), 1e3*percentile(lags[true], .95))
	if with > 1.1*alone {
		t.Error("a stuck viewer holds up the others")
	}
	wave := func(n int) {
		var all []*peer
		for range n {
			all = append(all, s.watch(t, "barcodes", false))
		}
		for _, v := range all {
			s.until("pictures and results", func() bool { n, frames := v.count("heatmap"); return n > 0 && frames > 5 })
		}
		for _, v := range all {
			v.close()
		}
	}
	gone := func() bool {
		v, _ := s.metric(`seehear_source_viewers{source="barcodes"}`)
		return v == 1
	}
	wave(50) // fills what is kept for the next
	s.until("the first viewers to be gone", gone)
	before := use(t)
	for done := 0; done < total; done += 50 {
		wave(min(50, total-done))
	}
	s.until("the viewers to be gone", func() bool {
		return gone() && runtime.NumGoroutine() <= before.goroutines+5
	})
	after := use(t)
	t.Logf("before %+v, after %d viewers %+v", before, total, after)
	if after.heap > before.heap+16 || after.handles != before.handles {
		t.Error("something is left")
	}
	s.gaps("barcodes", steady.copy())
}

// sent is when the picture of a result was sent, by the sender's clock.
func (w *peer) sent(r result) time.Time {
	w.t.Helper()
	at, err := time.Parse(time.RFC3339Nano, r.Wall)
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

// camera360 is a 360p film with a keyframe each second.
func camera360(t *testing.T) string {
	t.Helper()
	return synth(t, "camera360.mp4", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=20",
		"-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000:duration=20",
		"-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac")
}

// Eight sources without models lose nothing; with models each has its share.
func proveEight(t *testing.T) {
	media := rtsptest.Load(t, camera360(t))
	for _, models := range []string{"none", fixturePack(t)} {
		args := []string{"--models", models, "--slots", "1"}
		for i := range 8 {
			args = append(args, "--source", fmt.Sprintf("cam%d=%s", i, rtsptest.Start(t, media, rtsptest.Options{}).URL()))
		}
		if models != "none" {
			args = append(args, "--localize", "both", "--localize-fps", "25", "--caption-every", "frame")
		}
		s := serve(t, args...)
		time.Sleep(5 * time.Second)
		first := use(t)
		time.Sleep(30 * time.Second)
		last := use(t)
		var counts []float64
		dropped, stages := 0.0, map[string]float64{}
		for i := range 8 {
			_, b := s.get(fmt.Sprintf("api/sources/cam%d/results", i))
			counts = append(counts, float64(strings.Count(string(b), "\n")))
			_, b = s.get("metrics")
			for l := range strings.Lines(string(b)) {
				if strings.HasPrefix(l, fmt.Sprintf(`seehear_source_dropped_total{source="cam%d"`, i)) {
					v, err := strconv.ParseFloat(strings.TrimSpace(l[strings.LastIndexByte(l, ' '):]), 64)
					if err != nil {
						t.Fatal(err)
					}
					dropped += v
					_, stage, _ := strings.Cut(l, "stage=")
					stage, _, _ = strings.Cut(stage, "}")
					stages[stage] += v
				}
			}
		}
		mean := 0.0
		for _, n := range counts {
			mean += n / 8
		}
		t.Logf("models %s: %v results, %v dropped, before %+v, after %+v", filepath.Base(models), counts, stages, first, last)
		if models == "none" && dropped > 0 {
			t.Errorf("%.0f dropped without models", dropped)
		}
		if models != "none" {
			for i, n := range counts {
				if math.Abs(n-mean) > .2*mean {
					t.Errorf("source %d has %.0f results, the mean is %.1f", i, n, mean)
				}
			}
		}
		s.stop()
	}
}

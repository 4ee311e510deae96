//go:build proof

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
)

// steadyFor is how long a segment must last to count: those before the first
// reports of a connection lie by arrival, and are short.
const steadyFor = 3.0

// apart holds the clicks that the network heard against the barcodes that another
// read: by how many milliseconds a click came too late, of all clicks heard in
// segments that last.
func apart(t *testing.T, clip mediatest.Clip, list []result) (errs []float64, heard, segs int) {
	t.Helper()
	pts := map[int]float64{}
	for _, f := range clip.Frames {
		pts[f.Index] = float64(f.PTS) / 1e9
	}
	type picture struct {
		t     float64
		index int
	}
	pictures := map[uint32][]picture{}
	for _, r := range list {
		if r.Kind == "caption" {
			if n, err := captionIndex(r.Caption.Text); err == nil {
				pictures[r.Seg] = append(pictures[r.Seg], picture{r.T, n})
			}
		}
	}
	for _, shown := range pictures {
		if shown[len(shown)-1].t-shown[0].t >= steadyFor {
			segs++
		}
	}
	for _, r := range list {
		shown := pictures[r.Seg]
		if r.Kind != "sound" || r.Sound.Silent || len(shown) == 0 || shown[len(shown)-1].t-shown[0].t < steadyFor {
			continue
		}
		// The fixture names the place of the loudest sample in its window of a second.
		at := r.T - 11024.5/22050 + float64(256*labelled(t, r.Sound.Objects, "peak hi ")+labelled(t, r.Sound.Scenes, "peak lo "))/22050
		best := math.Inf(1)
		for _, k := range clip.Clicks {
			for _, p := range shown {
				if p.index == k.Frame {
					if d := at - (p.t + float64(k.T)/1e9 - pts[k.Frame]); math.Abs(d) < math.Abs(best) {
						best = d
					}
				}
			}
		}
		heard++
		if math.Abs(best) < 0.15 { // else it is not a click of a picture that was seen
			errs = append(errs, 1e3*best)
		}
	}
	return errs, heard, segs
}

func labelled(t *testing.T, list []struct{ Label string }, prefix string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(list[0].Label, prefix))
	if err != nil {
		t.Fatalf("label %q", list[0].Label)
	}
	return n
}

// What the networks are given lies together within 10 ms, whatever happens to the
// connection and to the sender's clock; and what the sender reports is told.
func proveAlignment(t *testing.T) {
	clip := mediatest.ByName(t, "mp4-h264-aac")
	media := rtsptest.Load(t, clip.File)
	dir := t.TempDir()
	cameras := map[string]*rtsptest.Server{}
	var config strings.Builder
	config.WriteString("sources:\n")
	for _, name := range []string{"tcp", "udp"} {
		cameras[name] = rtsptest.Start(t, media, rtsptest.Options{UDP: name == "udp", SoundLate: 200 * time.Millisecond})
		fmt.Fprintf(&config, "  %s: {url: %q, transport: %s}\n", name, cameras[name].URL(), name)
	}
	s := serve(t, "--models", fixturePack(t), "--localize", "sync", "--caption-every", "frame", "--config", write(t, dir, config.String()))
	peers := map[string]*peer{}
	for name := range cameras {
		peers[name] = s.watch(t, name, false)
	}
	each := func(what string, done func(w *peer) bool) {
		t.Helper()
		for name, w := range peers {
			s.until(name+": "+what, func() bool { return done(w) })
		}
	}
	// Each time results of a segment that is not one of those before.
	const sounds = 40
	seen := map[*peer]uint32{}
	settle := func(what string) {
		t.Helper()
		each(what, func(w *peer) bool {
			n, seg := w.inLast("sound")
			return n >= sounds && (len(seen) < len(peers) || seg > seen[w])
		})
		for _, w := range peers {
			_, seen[w] = w.inLast("sound")
		}
	}
	settle("results")
	for name, w := range peers {
		m := s.metrics()
		offset, ok := m[`seehear_source_av_offset_seconds{source="`+name+`"}`]
		drift, also := m[`seehear_source_drift_ppm{source="`+name+`"}`]
		w.mu.Lock()
		told, _ := w.status["sync"].(map[string]any)
		w.mu.Unlock()
		t.Logf("%s: the sender reports an offset of %.1f ms and a drift of %.1f ppm; viewers are told %v", name, 1e3*offset, drift, told)
		if !ok || !also || offset > -0.1 || offset < -0.5 || math.Abs(drift) > 1000 || told["offset_ms"] == nil || told["drift_ppm"] == nil {
			t.Errorf("%s: offset %v (%t), drift %v (%t), the sound was sent 200 ms late and belongs that much earlier; viewers are told %v", name, offset, ok, drift, also, told)
		}
	}
	for range 2 {
		for _, c := range cameras {
			c.Kill()
			c.Restart()
		}
		settle("results after a reconnect")
	}
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		for _, c := range cameras {
			c.StepClock(step)
		}
		settle("results after a step of the clock")
	}
	for name, w := range peers {
		errs, heard, segs := apart(t, clip, w.copy())
		signed := percentile(errs, .5)
		for i, e := range errs {
			errs[i] = math.Abs(e)
		}
		t.Logf("%s: %d of %d clicks on their picture, in %d segments; apart by p50 %+.2f ms, |.| p99 %.2f ms, at most %.2f ms",
			name, len(errs), heard, segs, signed, percentile(errs, .99), percentile(errs, 1))
		if segs < 5 || len(errs) < 100 || len(errs)*10 < heard*9 || !(percentile(errs, .99) <= 10) {
			t.Errorf("%s: of %d clicks, %d are within %.2f ms of their picture, in %d segments", name, heard, len(errs), percentile(errs, .99), segs)
		}
		if x := s.sources()[name]; x.State != "running" || x.Reconnects != 2 {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

// Each fault ends in a state that the page and the metrics name.
func proveFaults(t *testing.T) {
	media := rtsptest.Load(t, barcodes(t))
	camera := rtsptest.Start(t, media, rtsptest.Options{})
	lossy := rtsptest.Start(t, media, rtsptest.Options{UDP: true, Loss: 0.05, Reorder: 0.05})
	config := fmt.Sprintf("sources:\n  door: {url: %q}\n  yard: {url: %q, transport: udp}\n  attic: /nowhere/at/all.mp4\n", camera.URL(), lossy.URL())
	s := serve(t, "--models", "none", "--localize", "sync", "--config", write(t, t.TempDir(), config))
	w := s.watch(t, "door", false)
	p := s.browse(t, "#source=door")
	state := func(name, want string) {
		t.Helper()
		s.until(name+" to be "+want, func() bool {
			v, ok := s.metric(`seehear_source_state{source="` + name + `",state="` + want + `"}`)
			return ok && v == 1 && s.sources()[name].State == want
		})
	}
	gone := func() { p.until("no complaint", `!document.querySelector(".state").checkVisibility()`) }
	results := func() {
		t.Helper()
		n, _ := w.count("heatmap")
		s.until("results", func() bool { m, _ := w.count("heatmap"); return m > n+3 })
	}
	results()

	// Half open: silence, and nothing else.
	camera.Freeze()
	frozen := time.Now()
	state("door", "waiting")
	found := time.Since(frozen)
	t.Logf("a peer that is half open was found after %.2f s: %s", found.Seconds(), s.sources()["door"].Cause)
	if found > 10*time.Second {
		t.Errorf("a peer that is half open was found after %v", found)
	}
	p.says(".state", "no packet")
	camera.Kill()
	s.until("the refusal to be named", func() bool { return strings.Contains(s.sources()["door"].Cause, "connection refused") })
	p.says(".state", "connection refused")
	camera.Restart()
	state("door", "running")
	gone()
	results()

	// The sound goes, and comes again.
	camera.Mute(ingest.Audio, true)
	p.says(".badge", "No sound comes from the source")
	s.until("the metrics to say so", func() bool {
		v, ok := s.metric(`seehear_source_stream_missing{kind="audio",source="door"}`)
		return ok && v == 1
	})
	if v, ok := s.metric(`seehear_source_stream_missing{kind="video",source="door"}`); !ok || v != 0 {
		t.Errorf("the picture is missing: %v, %t", v, ok)
	}
	results()
	camera.Mute(ingest.Audio, false)
	p.until("no complaint", `!document.querySelector(".badge").checkVisibility()`)

	// The clock steps: a new segment of a source that runs.
	_, seg := w.inLast("heatmap")
	camera.StepClock(time.Hour)
	s.until("a new segment", func() bool { n, now := w.inLast("heatmap"); return n > 3 && now > seg })
	state("door", "running")

	// Another codec.
	camera.Switch(rtsptest.Load(t, mediatest.ByName(t, "webm-vp8-opus").File))
	s.until("the other codec", func() bool { return w.streams() == "vp8 opus" })
	state("door", "running")
	p.says(".facts", "vp8")
	gone()
	results()

	// Loss and reordering: it runs, and what was lost is counted.
	state("yard", "running")
	s.until("losses to be counted", func() bool {
		v, _ := s.metric(`seehear_source_dropped_total{source="yard",stage="lost"}`)
		return v > 20
	})
	p.do("the other source", chromedp.Navigate(s.url+"#source=yard"))
	p.says(".facts", "dropped: lost")

	// What cannot be opened at all.
	state("attic", "failed")
	p.do("the third source", chromedp.Navigate(s.url+"#source=attic"))
	p.says(".state", "The source failed")
	p.says(".state", "no such file")
}

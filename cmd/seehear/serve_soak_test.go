//go:build proof

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
)

// serveProcess is serve in a process of its own, whose memory is nobody else's.
func serveProcess(t *testing.T, args ...string) *served {
	t.Helper()
	s := &served{t: t}
	say := make(chan string, 1)
	cmd := exec.Command(binary(t), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Stdout, cmd.Stderr = lockedWriter{s, &s.out, say}, lockedWriter{s, &s.err, nil}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.stop = func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("serve ended with %v: %s", err, s.log())
			}
		case <-time.After(patience):
			t.Errorf("serve does not end: %s", s.log())
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	t.Cleanup(s.stop)
	select {
	case s.url = <-say:
	case <-time.After(patience):
		t.Fatalf("serve does not begin: %s", s.log())
	}
	return s
}

// series are values over minutes.
type series struct{ at, values []float64 }

func (s *series) add(at, v float64) { s.at, s.values = append(s.at, at), append(s.values, v) }

// perMinute is by how much they rise each minute.
func (s *series) perMinute() float64 { return slope(s.at, s.values) }

// Half an hour with viewers, one of them a browser: nothing grows, nothing gets
// later. Memory counts from when the ten minutes of results that are kept are full;
// a run that is shorter says nothing of it.
func proveSoak(t *testing.T) {
	length := time.Duration(proofNumber(t, "MINUTES", 30)) * time.Minute
	s := serveProcess(t, "--models", fixturePack(t), "--localize", "both", "--sync-delay", "0", "--record", t.TempDir(), "--record-age", "1m",
		"--source", "cam="+camera720(t).URL())
	w := s.watch(t, "cam", false)
	s.until("results", func() bool { n, _ := w.count("heatmap"); return n > 10 })
	p := s.browse(t, "")
	time.Sleep(10 * time.Second) // all has been begun that will be
	p.take()
	sent := w.clock()
	var heap, rss, goroutines, handles, results, pictures, inBrowser, seen series
	began := time.Now()
	for tick := max(length/120, time.Second); time.Since(began) < length; {
		time.Sleep(tick)
		at := time.Since(began).Minutes()
		m := s.metrics()
		open := openHandles(m)
		goroutines.add(at, m["go_goroutines"])
		handles.add(at, open)
		if at > 11 {
			heap.add(at, m["go_memstats_heap_alloc_bytes"]/1e6)
			rss.add(at, m["process_resident_memory_bytes"]/1e6)
		}
		w.mu.Lock()
		var came, shown []float64
		for _, r := range w.results {
			if r.Kind == "heatmap" {
				came = append(came, float64(r.came.UnixNano())/1e6-sent(r.RTP))
			}
		}
		for rtp, when := range w.frames {
			shown = append(shown, float64(when.UnixNano())/1e6-sent(rtp))
		}
		w.results = w.results[:0] // the test's own memory
		clear(w.frames)
		w.mu.Unlock()
		there, drawn := p.take().after(sent)
		for _, x := range []struct {
			to   *series
			list []float64
		}{{&results, came}, {&pictures, shown}, {&inBrowser, there}, {&seen, drawn}} {
			if len(x.list) > 0 {
				x.to.add(at, percentile(x.list, .95))
			}
		}
		if n := len(goroutines.at); n%10 == 0 {
			t.Logf("%4.1f min: resident %.1f MB, heap %.1f MB, %.0f goroutines, %.0f handles; p95 from the camera: results %.0f ms, in the browser %.0f ms, pictures %.0f ms, seen %.0f ms", at,
				m["process_resident_memory_bytes"]/1e6, m["go_memstats_heap_alloc_bytes"]/1e6, m["go_goroutines"], open,
				percentile(came, .95), percentile(there, .95), percentile(shown, .95), percentile(drawn, .95))
		}
	}
	t.Logf("per minute over %v: resident %+.3f MB, heap %+.3f MB, goroutines %+.2f, handles %+.2f; p95 from the camera: results %+.1f ms, in the browser %+.1f ms, pictures %+.1f ms, seen %+.1f ms",
		length, rss.perMinute(), heap.perMinute(), goroutines.perMinute(), handles.perMinute(),
		results.perMinute(), inBrowser.perMinute(), pictures.perMinute(), seen.perMinute())
	for name, x := range map[string]struct {
		series
		most float64
	}{
		"resident memory (MB)": {rss, .1}, "heap (MB)": {heap, .1}, "goroutines": {goroutines, .1}, "C handles": {handles, .1},
		"delay of results (ms)": {results, 2}, "delay of results in the browser (ms)": {inBrowser, 2}, "delay of pictures (ms)": {pictures, 2}, "delay of pictures in the browser (ms)": {seen, 2},
	} {
		if x.perMinute() > x.most {
			t.Errorf("%s: %+.3f a minute", name, x.perMinute())
		}
	}
	if s.sources()["cam"].Reconnects != 0 {
		t.Error("the source was lost")
	}
}

// Eight sources with models, more than two processors have time for: memory is flat
// once ten minutes of results are kept.
func proveEightMemory(t *testing.T) {
	const fill, length = 11 * time.Minute, 8 * time.Minute
	media := rtsptest.Load(t, camera360(t))
	args := []string{"--models", fixturePack(t), "--slots", "1", "--localize", "both", "--localize-fps", "25", "--caption-every", "frame"}
	for i := range 8 {
		args = append(args, "--source", fmt.Sprintf("cam%d=%s", i, rtsptest.Start(t, media, rtsptest.Options{}).URL()))
	}
	s := serveProcess(t, args...)
	time.Sleep(fill)
	var heap, rss, goroutines, handles series
	for began := time.Now(); time.Since(began) < length; time.Sleep(5 * time.Second) {
		at, m := time.Since(began).Minutes(), s.metrics()
		heap.add(at, m["go_memstats_heap_alloc_bytes"]/1e6)
		rss.add(at, m["process_resident_memory_bytes"]/1e6)
		goroutines.add(at, m["go_goroutines"])
		handles.add(at, openHandles(m))
	}
	t.Logf("per minute over %v: resident %+.3f MB of %.1f, heap %+.3f MB of %.1f, goroutines %+.2f, handles %+.2f", length,
		rss.perMinute(), rss.values[0], heap.perMinute(), heap.values[0], goroutines.perMinute(), handles.perMinute())
	// Of some hundred megabytes half a percent.
	if rss.perMinute() > 1 || heap.perMinute() > 1 || goroutines.perMinute() > .1 || handles.perMinute() > .1 {
		t.Error("it grows")
	}
}

// openHandles counts what is open of C, by the metrics.
func openHandles(m map[string]float64) (n float64) {
	for name, v := range m {
		if strings.HasPrefix(name, "seehear_c_handles") {
			n += v
		}
	}
	return n
}

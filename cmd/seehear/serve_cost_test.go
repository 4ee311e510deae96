//go:build proof

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// costShare is what one live source with the default models may take of a processor.
const costShare = 0.6

// proveCost: what a live 720p source costs with the default pack and one viewer, in a
// process of its own, so that camera and viewer don't count.
func proveCost(t *testing.T) {
	const settle, length = 10 * time.Second, time.Minute
	s := serveProcess(t, "--models", "../../models/default", "--source", "cam="+camera720(t).URL())
	w := s.watch(t, "cam", false)
	s.until("pictures and results", func() bool { n, frames := w.count("heatmap"); return n > 0 && frames > 0 })
	time.Sleep(settle)
	proc, err := procfs.NewProc(s.pid)
	if err != nil {
		t.Fatal(err)
	}
	spent := func() float64 {
		stat, err := proc.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return stat.CPUTime()
	}
	before, heard, began := spent(), results(w), time.Now()
	time.Sleep(length)
	share := (spent() - before) / time.Since(began).Seconds()
	after := results(w)
	t.Logf("one 720p source with the default models and a viewer: %.1f %% of a processor; results per second:", 100*share)
	for kind, n := range after {
		t.Logf("  %s %.2f", kind, float64(n-heard[kind])/length.Seconds())
	}
	_, page := s.get("metrics")
	for l := range bytes.Lines(page) {
		if strings.HasPrefix(string(l), "seehear_source_dropped_total") && !strings.HasSuffix(strings.TrimSpace(string(l)), " 0") {
			t.Logf("  %s", strings.TrimSpace(string(l)))
		}
	}
	if share > costShare {
		t.Errorf("more than %.0f %% of a processor", 100*costShare)
	}
}

// results counts what a viewer got, by kind.
func results(w *peer) map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, r := range w.results {
		n[r.Kind]++
	}
	return n
}

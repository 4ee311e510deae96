package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
	"github.com/seehear/seehear/sinks/sinktest"
)

// write writes a configuration.
func write(t *testing.T, dir, text string) string {
	t.Helper()
	name := filepath.Join(dir, "seehear.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// inLast returns how many results of a kind came in the last segment, and which that
// is.
func (w *peer) inLast(kind string) (n int, seg uint32) {
	for _, r := range w.copy() {
		seg = max(seg, r.Seg)
	}
	for _, r := range w.copy() {
		if r.Kind == kind && r.Seg == seg {
			n++
		}
	}
	return n, seg
}

// streams are the codecs of the streams that the viewer was told of.
func (w *peer) streams() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var codecs []string
	list, _ := w.hello["streams"].([]any)
	for _, s := range list {
		codecs = append(codecs, s.(map[string]any)["codec"].(string))
	}
	return strings.Join(codecs, " ")
}

// A camera that comes back with sound is heard, one that comes back without is seen
// all the same, and one with other codecs is both.
func TestServeStreamsComeAndGo(t *testing.T) {
	whole := rtsptest.Load(t, barcodes(t))
	other := rtsptest.Load(t, mediatest.ByName(t, "webm-vp8-opus").File)
	camera := rtsptest.Start(t, whole.Only(ingest.Video), rtsptest.Options{})
	record := t.TempDir()
	s := serve(t, "--models", pack, "--localize", "sync", "--caption-every", "200ms", "--record", record, "--source", "door="+camera.URL())
	w := s.watch(t, "door", false)
	results := func(streams string, from uint32, kinds ...string) (seg uint32) {
		t.Helper()
		s.until("results of "+streams, func() bool {
			for _, k := range kinds {
				n, now := w.inLast(k)
				if seg = now; n < 3 || now < from {
					return false
				}
			}
			return w.streams() == streams
		})
		return seg
	}
	seg := results("h264", 0, "caption")
	camera.Switch(whole)
	seg = results("h264 aac", seg+1, "caption", "sound", "heatmap")
	camera.Switch(whole.Only(ingest.Video))
	seg = results("h264", seg+1, "caption")
	camera.Switch(other)
	results("vp8 opus", seg+1, "caption", "sound", "heatmap")
	if x := s.sources()["door"]; x.State != "running" || x.Video == nil || x.Video.Codec != "vp8" || x.Audio == nil || x.Audio.Codec != "opus" {
		t.Errorf("the source is %+v", x)
	}
	s.until("it to be said what viewers get", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.media["transcoded"] == true && w.sound > 0
	})
	s.stop()
	files, err := filepath.Glob(filepath.Join(record, "door", "results-*.jsonl"))
	if err != nil || len(files) < 4 {
		t.Errorf("files of results %v, %v: one for each set of streams", files, err)
	}
	for _, f := range files {
		sinktest.ValidateFile(t, f)
	}
}

package report

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

const hostile = `</script><img src=x onerror=alert(1)>"'&`

// write makes the page of a few events, with hostile text wherever text comes
// from outside.
func write(t *testing.T, media Media, complete bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	s := New(Config{Path: path, Media: func() Media { return media }})
	ctx := context.Background()
	head := sinks.Header{
		Source:  hostile,
		Streams: []ingest.Stream{{Index: 1, Kind: ingest.Video, Codec: "h264", Width: 640, Height: 360, FrameRate: ingest.Timebase{Num: 25, Den: 1}}},
		Models:  []infer.Info{{Family: "caption", Name: hostile, Version: "1", SHA256: "00", Fixture: true}},
	}
	if err := s.Begin(ctx, head); err != nil {
		t.Fatal(err)
	}
	at := func(sec float64) ingest.Stamp { return ingest.Stamp{At: time.Duration(sec * 1e9)} }
	grid := make([]byte, 49)
	grid[24] = 255
	for _, e := range []infer.Event{
		{Stamp: at(1), Dur: time.Second, Payload: &infer.Sound{Events: []infer.Score{{Label: hostile, P: 0.75}}, Scenes: []infer.Score{{Label: "abbey", P: 0.5}}}},
		{Stamp: at(0), Payload: &infer.Caption{Text: "a " + hostile, AttentionW: 7, AttentionH: 7, Words: []infer.Word{{Text: "a", P: 0.9, Attention: grid}, {Text: hostile, P: 0.5}}}},
		{Stamp: at(4), Payload: &infer.Caption{Text: "the end"}},
		{Stamp: at(2), Dur: 200 * time.Millisecond, Payload: &infer.Heatmap{W: 7, H: 7, Grid: grid, X: 0.5, Y: 0.25, Method: "semantic"}},
		{Stamp: at(2), Dur: 200 * time.Millisecond, Payload: &infer.Heatmap{W: 7, H: 7, Grid: grid, X: 0.1, Y: 0.2, Method: "sync"}},
		{Stamp: at(2.2), Dur: 200 * time.Millisecond, Payload: &infer.Heatmap{W: 7, H: 7, Grid: make([]byte, 49), Method: "semantic", Gated: "silence"}},
		{Stamp: at(3), Dur: time.Second, Payload: &infer.Face{W: 2, H: 2, Pix: make([]byte, 12), Voice: 1, Used: 3.5}},
		{Stamp: at(3), Dur: time.Second, Payload: &infer.Speech{P: 0.8, Voice: 1}},
		{Stamp: at(0), Payload: &infer.Cut{Strength: 1}},
		{Stamp: at(5), Dur: time.Second, Payload: &infer.Gap{Stream: "audio", Reason: "hole"}},
	} {
		if err := s.Write(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(ctx, sinks.Summary{Complete: complete, Duration: 6 * time.Second, Frames: 150}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPageEscapesAndFetchesNothing(t *testing.T) {
	page := write(t, Media{Beside: "annotated.mp4"}, true)
	if strings.Contains(page, "<img src=x") || strings.Contains(page, "</script><img") {
		t.Error("text from outside reaches the page as markup")
	}
	for _, fetches := range []string{"http://", "https://", "@import", "url("} {
		if s := strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""); strings.Contains(s, fetches) {
			t.Errorf("the page contains %q", fetches)
		}
	}
	_, rest, ok := strings.Cut(page, `id="data">`)
	raw, _, ok2 := strings.Cut(rest, "</script>")
	if !ok || !ok2 {
		t.Fatal("the page holds no data")
	}
	var d map[string]any
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		t.Fatalf("data: %v", err)
	}
	if d["source"] != hostile || d["fixture"] != true || d["video"] != "annotated.mp4" {
		t.Errorf("data: source %v, fixture %v, video %v", d["source"], d["fixture"], d["video"])
	}
	captions := d["captions"].([]any)
	if got := captions[0].(map[string]any)["d"].(float64); math.Abs(got-4) > 1e-9 {
		t.Errorf("the first caption lasts %v s, want 4 (until the next)", got)
	}
	if got := captions[1].(map[string]any)["d"].(float64); math.Abs(got-2) > 1e-9 {
		t.Errorf("the last caption lasts %v s, want 2 (until the end)", got)
	}
	// One lane per method.
	if got, want := fmt.Sprint(d["heat"]), "[map[maps:[[2 0.2 1 0.5 0.25] [2.2 0.2 0 0 0]] method:semantic] map[maps:[[2 0.2 1 0.1 0.2]] method:sync]]"; got != want {
		t.Errorf("heat maps %s, want %s", got, want)
	}
	face := d["faces"].([]any)[0].(map[string]any)
	if face["notice"] != infer.FaceNotice || !strings.HasPrefix(face["image"].(string), "data:image/png;base64,") {
		t.Errorf("face: %v", face)
	}
}

func TestVideoIsEmbeddedUpToTheLimit(t *testing.T) {
	small := filepath.Join(t.TempDir(), "small.mp4")
	if err := os.WriteFile(small, []byte("not really a video"), 0o600); err != nil {
		t.Fatal(err)
	}
	if page := write(t, Media{Embed: small, Beside: "annotated.mp4"}, true); !strings.Contains(page, `id="video-data">bm90IHJlYWxseSBhIHZpZGVv`) {
		t.Error("a small video is not embedded")
	}
	large := filepath.Join(t.TempDir(), "large.mp4")
	f, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(EmbedLimit + 1); err != nil {
		t.Fatal(err)
	}
	if page := write(t, Media{Embed: large, Beside: "annotated.mp4"}, true); strings.Contains(page, `id="video-data"`) || !strings.Contains(page, `"video":"annotated.mp4"`) {
		t.Error("a video over the limit is embedded or not named")
	}
}

func TestIncompleteRunSaysSo(t *testing.T) {
	if page := write(t, Media{}, false); !strings.Contains(page, `"complete":false`) {
		t.Error("the page of an interrupted run claims to be complete")
	}
}

func TestCancelledCloseLeavesNoPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	s := New(Config{Path: path})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx, sinks.Summary{}); err == nil {
		t.Error("Close under a cancelled context returned no error")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a page was written")
	}
}

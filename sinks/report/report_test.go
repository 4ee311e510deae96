package report

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/sinktest"
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
	d := dataOf(t, page)
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

func TestSink(t *testing.T) {
	sinktest.Test(t, sinktest.Suite{
		New: func(_ testing.TB, dir string) sinks.Sink {
			return New(Config{Path: filepath.Join(dir, "report.html")})
		},
		Files: []string{"report.html"},
		Check: func(t testing.TB, dir string, sum sinks.Summary) {
			b, err := os.ReadFile(filepath.Join(dir, "report.html"))
			if err != nil {
				t.Fatal(err)
			}
			if d := dataOf(t, string(b)); d["complete"] != sum.Complete || d["duration"] != sum.Duration.Seconds() {
				t.Errorf("data: complete %v, duration %v", d["complete"], d["duration"])
			}
		},
	})
}

// dataOf returns the data of a page.
func dataOf(t testing.TB, page string) map[string]any {
	t.Helper()
	_, rest, ok := strings.Cut(page, `id="data">`)
	raw, _, ok2 := strings.Cut(rest, "</script>")
	if !ok || !ok2 {
		t.Fatal("the page holds no data")
	}
	var d map[string]any
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		t.Fatalf("data: %v", err)
	}
	return d
}

// TestHours writes two hours of results: all of them reach the page, in order, and
// the sink holds next to nothing of them meanwhile.
func TestHours(t *testing.T) {
	const captions, maps, sounds = 720, 36000, 18000
	path := filepath.Join(t.TempDir(), "report.html")
	thumb := bytes.Repeat([]byte("jpeg"), 1000)
	s := New(Config{Path: path, Media: func() Media {
		return Media{Thumb: func(at ingest.Stamp) ([]byte, error) { return append(thumb, byte(at.At/time.Second)), nil }}
	}})
	ctx := t.Context()
	if err := s.Begin(ctx, sinks.Header{}); err != nil {
		t.Fatal(err)
	}
	write := func(at time.Duration, p infer.Payload) {
		if err := s.Write(ctx, infer.Event{Stamp: ingest.Stamp{At: at}, Dur: time.Millisecond, Payload: p}); err != nil {
			t.Fatal(err)
		}
	}
	before := live()
	grid := make([]byte, 196)
	heard := &infer.Sound{Events: []infer.Score{{Label: "rain", P: 0.75}, {Label: "dog", P: 0.2}, {Label: "bell", P: 0.01}}}
	for i := range maps {
		at := time.Duration(i) * 200 * time.Millisecond
		write(at, &infer.Heatmap{W: 14, H: 14, Grid: grid, X: 0.5, Y: 0.25, Method: "sync"})
		if i%(maps/sounds) == 0 {
			write(at, heard)
		}
		if i%(maps/captions) == 0 {
			words := []infer.Word{{Text: "a", P: 0.5, Attention: grid}, {Text: "dog", P: 0.5, Attention: grid}}
			write(at, &infer.Caption{Text: fmt.Sprintf("caption %d", i), AttentionW: 14, AttentionH: 14, Words: words})
		}
	}
	if grown := live() - before; grown > 1<<20 {
		t.Errorf("%d bytes are held of two hours", grown)
	}
	if err := s.Close(ctx, sinks.Summary{Complete: true, Duration: 2 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := dataOf(t, string(b))
	list := d["captions"].([]any)
	heat := d["heat"].([]any)[0].(map[string]any)["maps"].([]any)
	if len(list) != captions || len(heat) != maps || len(d["sounds"].([]any)) != sounds {
		t.Fatalf("%d captions, %d maps, %d sounds", len(list), len(heat), len(d["sounds"].([]any)))
	}
	for i, m := range heat {
		if at := m.([]any)[0].(float64); at != float64(i)/5 {
			t.Fatalf("map %d is at %v s", i, at)
		}
	}
	for i, c := range list {
		c := c.(map[string]any)
		jpeg := append(bytes.Clone(thumb), byte(10*i))
		if c["t"] != float64(10*i) || c["d"] != 10.0 || c["text"] != fmt.Sprintf("caption %d", 50*i) ||
			len(c["words"].([]any)) != 2 || c["thumb"] != "data:image/jpeg;base64,"+base64.StdEncoding.EncodeToString(jpeg) {
			t.Fatalf("caption %d: t %v, d %v, text %v", i, c["t"], c["d"], c["text"])
		}
	}
}

// live returns how many bytes of Go's memory are in use.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/seehear/seehear/docs"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
	"github.com/seehear/seehear/sinks/sinktest"
)

// A camera over RTSP comes to a viewer as it is, and each result bears the RTP
// time of a picture that the viewer gets: the one in which the network read the
// barcode.
func TestServeRTSP(t *testing.T) {
	camera := rtsptest.Start(t, rtsptest.Load(t, barcodes(t)), rtsptest.Options{})
	record := t.TempDir()
	s := serve(t, "--models", pack, "--localize", "sync", "--caption-every", "1s", "--record", record, "--source", "door="+camera.URL())
	w := s.watch(t, "door", false)
	s.until("10 heat maps and 3 captions", func() bool {
		heat, frames := w.count("heatmap")
		captions, _ := w.count("caption")
		return heat >= 10 && captions >= 3 && frames >= 50
	})
	w.mu.Lock()
	if w.media["video"] != "h264" || w.media["audio"] != "opus" {
		t.Errorf("media %v", w.media)
	}
	if w.status["state"] != "running" || w.hello["source"] != "door" {
		t.Errorf("status %v, hello %v", w.status, w.hello)
	}
	drops, _ := w.status["drops"].(map[string]any)
	for stage, n := range drops {
		if n != 0.0 {
			t.Logf("%v of %s dropped", n, stage)
		}
	}
	// The first pictures were sent before the viewer came, the last results are
	// ahead of theirs.
	first, last := uint32(0), uint32(0)
	for ts := range w.frames {
		if first == 0 || int32(ts-first) < 0 {
			first = ts
		}
		if last == 0 || int32(ts-last) > 0 {
			last = ts
		}
	}
	base := uint32(w.hello["rtp_base"].(float64))
	var pictures, matched int
	offsets := map[int]int{}
	for _, r := range w.results {
		if want := base + uint32(uint64(r.T*1e6+0.5)*9/100); r.RTP-want > 1 && want-r.RTP > 1 {
			t.Errorf("%s at %.6f has the RTP time %d, want %d", r.Kind, r.T, r.RTP, want)
		}
		wall, err := time.Parse(time.RFC3339Nano, r.Wall)
		if err != nil || r.came.Before(wall) || r.came.Sub(wall) > time.Hour {
			t.Errorf("%s at %.6f: wall clock %q", r.Kind, r.T, r.Wall)
		}
		// What a result needs was sent after its time, and the result came after it
		// was made: on however slow a machine, its lag lies in between.
		if most := r.came.Sub(wall).Seconds() + 0.05; r.Lag < 0 || r.Lag > most {
			t.Errorf("%s at %.6f: lag %v, of %.3f s from the camera to here", r.Kind, r.T, r.Lag, most)
		}
		if (r.Kind == "heatmap" || r.Kind == "caption") && int32(r.RTP-first) >= 0 && int32(last-r.RTP) >= 0 {
			pictures++
			if _, ok := w.frames[r.RTP]; ok {
				matched++
			}
		}
		if r.Kind == "caption" {
			index, err := captionIndex(r.Caption.Text)
			if err != nil {
				t.Errorf("caption %q: %v", r.Caption.Text, err)
				continue
			}
			// The camera's clip began somewhere; the difference is always the same,
			// but for the round that has begun since.
			n := int(r.T*barcodeRate+0.5) - index
			offsets[(n%barcodeCount+barcodeCount)%barcodeCount]++
		}
	}
	w.mu.Unlock()
	if pictures < 5 || matched != pictures {
		t.Errorf("%d of %d results bear the RTP time of a picture that came", matched, pictures)
	}
	if len(offsets) > 2 { // a round is a few samples longer than its pictures
		t.Errorf("captions read the barcode of another picture: offsets %v", offsets)
	}
	if v, ok := s.metric(`seehear_source_state{source="door",state="running"}`); !ok || v != 1 {
		t.Errorf("the metrics say %v, %t", v, ok)
	}
	if v, ok := s.metric(`seehear_inference_seconds_count{model="fixture-caption"}`); !ok || v < 3 {
		t.Errorf("%v captions in the metrics, %t", v, ok)
	}
	s.until("a segment in the ring", func() bool {
		code, b := s.get("ring/door/index.json")
		return code == 200 && strings.Contains(string(b), ".m4s")
	})
	s.stop()
	if w.mu.Lock(); w.bye == "" {
		t.Error("the viewer was not told of the end")
	}
	w.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(record, "door", "results-*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files of results %v, %v", files, err)
	}
	sinktest.ValidateFile(t, files[0])
}

// captionIndex is the number that the fixture of captions read.
func captionIndex(text string) (int, error) {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, text)
	return strconv.Atoi(digits)
}

// A camera that goes away and comes back, three times: results are there again
// soon, in a new segment, and the other source does not notice.
func TestServeReconnects(t *testing.T) {
	media := rtsptest.Load(t, barcodes(t))
	camera, other := rtsptest.Start(t, media, rtsptest.Options{}), rtsptest.Start(t, media, rtsptest.Options{})
	s := serve(t, "--models", "none", "--localize", "sync", "--source", "door="+camera.URL(), "--source", "yard="+other.URL())
	w, quiet := s.watch(t, "door", false), s.watch(t, "yard", false)
	var seg uint32
	for round := range 3 {
		heat, _ := w.count("heatmap")
		s.until("results", func() bool { n, _ := w.count("heatmap"); return n >= heat+5 })
		w.mu.Lock()
		if n := w.results[len(w.results)-1].Seg; round > 0 && n <= seg {
			t.Errorf("round %d is in segment %d, the one before was in %d", round, n, seg)
		} else {
			seg = n
		}
		w.mu.Unlock()
		camera.Kill()
		s.until("the page to say so", func() bool { x := s.sources()["door"]; return x.State != "running" && x.Cause != "" })
		camera.Restart()
		s.until("the source to be back", func() bool { x := s.sources()["door"]; return x.State == "running" && x.Reconnects == round+1 })
		back := time.Now()
		was, _ := w.count("heatmap")
		s.until("results to be back", func() bool { n, _ := w.count("heatmap"); return n > was })
		t.Logf("results were back %v after the connection", time.Since(back).Round(time.Millisecond))
	}
	if v, ok := s.metric(`seehear_source_reconnects_total{source="door"}`); !ok || v != 3 {
		t.Errorf("the metrics count %v reconnects, %t", v, ok)
	}
	var at float64
	for _, r := range w.copy() {
		if r.Kind == "heatmap" && r.T < at {
			t.Errorf("time went back from %v to %v", at, r.T)
		}
		if r.Kind == "heatmap" {
			at = r.T
		}
	}
	calm := quiet.copy()
	s.gaps("yard", calm)
	if n := calm[len(calm)-1].Seg; n != 0 {
		t.Errorf("the other source is in segment %d", n)
	}
	if x := s.sources()["yard"]; x.Reconnects != 0 || x.State != "running" {
		t.Errorf("the other source: %+v", x)
	}
}

func (w *peer) copy() []result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.results)
}

// gaps checks that heat maps follow each other on the source's clock, five a
// second, but for those that are counted as dropped: by the lane that had no time for
// them, or by a queue on their way. On a machine that has the time there is none.
func (s *served) gaps(source string, list []result) {
	s.t.Helper()
	var missing, n int
	var last result
	for _, r := range list {
		if r.Kind != "heatmap" {
			continue
		}
		if n++; n > 1 && r.Seg == last.Seg {
			missing += int(math.Round((r.T-last.T)*localizeRate)) - 1
		}
		last = r
	}
	m := s.metrics()
	var dropped float64
	counts := map[string]float64{}
	for _, stage := range []string{"sync", "events", "viewer"} {
		counts[stage] = m[`seehear_source_dropped_total{source="`+source+`",stage="`+stage+`"}`]
		dropped += counts[stage]
	}
	s.t.Logf("%s: of %d heat maps %d are missing, dropped are %v", source, n+missing, missing, counts)
	if n == 0 || float64(missing) > dropped {
		s.t.Errorf("%s: %d heat maps, %d are missing, %.0f dropped", source, n, missing, dropped)
	}
}

// localizeRate is how many heat maps there are a second.
const localizeRate = 5

// Edits of the configuration are taken up one by one, and what is wrong is not.
func TestServeConfig(t *testing.T) {
	clip := barcodes(t)
	name := filepath.Join(t.TempDir(), "seehear.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	write("models: none\nlocalize: sync\nsources:\n  a: " + clip + "\n")
	t.Setenv("SEEHEAR_SYNC_DELAY", "0")
	s := serve(t, "--config", name)
	w := s.watch(t, "a", false)
	s.until("results of a", func() bool { n, _ := w.count("heatmap"); return n > 0 })

	write("models: none\nlocalize: sync\nsources:\n  a: " + clip + "\n  b: {url: " + clip + ", title: The other}\n")
	s.until("b to run", func() bool { b := s.sources()["b"]; return b.State == "running" && b.Title == "The other" })
	v := s.watch(t, "b", false)
	s.until("results of b", func() bool { n, _ := v.count("heatmap"); return n > 0 })

	write("models: none\nsources:\n  a: " + clip + "\n  b: {url: " + clip + ", titel: wrong}\n")
	s.until("the mistake to be named", func() bool { return strings.Contains(s.log(), "line 4: field titel not found") })
	if n := len(s.sources()); n != 2 {
		t.Errorf("%d sources after a mistake", n)
	}
	write("models: none\nlocalize: sync\nslots: 7\nsources:\n  a: " + clip + "\n  b: {url: " + clip + ", title: Another}\n")
	s.until("the title to change", func() bool { return s.sources()["b"].Title == "Another" })
	s.until("the viewer of b to be told", func() bool { v.mu.Lock(); defer v.mu.Unlock(); return v.bye == "the source was changed" })
	s.until("the other key to be named", func() bool { return strings.Contains(s.log(), "start again to take it up") })

	write("models: none\nlocalize: sync\nslots: 7\nsync_delay: 700ms\nsources:\n  a: " + clip + "\n  c: /nowhere/at/all.mp4\n")
	s.until("b to go and c to fail", func() bool {
		all := s.sources()
		_, b := all["b"]
		return !b && all["c"].State == "failed" && strings.Contains(all["c"].Cause, "no such file")
	})
	n, _ := w.count("heatmap")
	s.until("a to go on", func() bool { m, _ := w.count("heatmap"); return m > n+3 })
	s.gaps("a", w.copy())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bye != "" {
		t.Errorf("the viewer of a was told %q", w.bye)
	}
	if d := w.hello["sync_delay"]; d != 0.0 {
		t.Errorf("delay %v: the environment says 0", d)
	}
}

// What cannot be meant is said at the start, in one line, and with the line of the
// file.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		name := filepath.Join(dir, fmt.Sprintf("c%d.yaml", time.Now().UnixNano()))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"no source", nil},
		{"takes NAME=URL", []string{"--source", "rtsp://me:secret@camera/"}},
		{"letters, digits", []string{"--source", "a b=x"}},
		{"--sync-delay", []string{"--sync-delay", "soon", "x.mp4"}},
		{"no such file", []string{"--config", filepath.Join(dir, "none.yaml")}},
		{"line 2: field surces not found", []string{"--config", file("listen: 127.0.0.1:0\nsurces: {}\n")}},
		{"line 3: field ulr not found", []string{"--config", file("sources:\n  a:\n    ulr: x\n")}},
		{"already defined", []string{"--config", file("sources:\n  a: x\n  a: y\n")}},
		{"transport", []string{"--config", file("sources:\n  a: {url: x, transport: pigeon}\n")}},
		{"neither a value nor a list", []string{"--config", file("token: {a: b}\nsources: {a: x}\n")}},
		{"can be reached from elsewhere", []string{"--listen", "0.0.0.0:0", "--models", "none", "x.mp4"}},
		{"8 are the least", []string{"--token", "short", "--models", "none", "x.mp4"}},
	} {
		code, out, errs := seehearRun(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0", "--udp-port", "0"}, c.args...)...)
		line := strings.TrimSpace(errs)
		if code == exitOK || !strings.Contains(line, c.want) || strings.Contains(out+errs, "secret") {
			t.Errorf("%v: exit %d, %q, want %q", c.args, code, errs, c.want)
		}
	}
}

// Twenty viewers come and go, one of them never reads: nobody is held up and
// nothing is left of them.
func TestServeViewers(t *testing.T) {
	s := serve(t, "--models", "none", "--localize", "sync", barcodes(t))
	steady := s.watch(t, "barcodes", false)
	s.until("results", func() bool { n, _ := steady.count("heatmap"); return n > 2 })
	var all []*peer
	for i := range 20 {
		all = append(all, s.watch(t, "barcodes", i == 0))
	}
	for _, w := range all[1:] {
		s.until("pictures and results of each viewer", func() bool {
			n, frames := w.count("heatmap")
			return n > 0 && frames > 5
		})
	}
	if v, ok := s.metric(`seehear_source_viewers{source="barcodes"}`); !ok || v < 20 {
		t.Errorf("the metrics count %v viewers, %t", v, ok)
	}
	for _, w := range all {
		w.close()
	}
	s.until("the viewers to be gone", func() bool {
		v, _ := s.metric(`seehear_source_viewers{source="barcodes"}`)
		return v == 1
	})
	n, _ := steady.count("heatmap")
	s.until("the first viewer to go on", func() bool { m, _ := steady.count("heatmap"); return m > n })
	s.gaps("barcodes", steady.copy())
	if steady.lost != 0 {
		t.Errorf("the first viewer lost %d messages", steady.lost)
	}
}

// A file goes on over its end: the clock runs on, in a new segment.
func TestServeLoops(t *testing.T) {
	s := serve(t, "--models", "none", "--localize", "sync", "--sync-delay", "auto", barcodes(t))
	w := s.watch(t, "barcodes", false)
	s.until("the second round", func() bool {
		for _, r := range w.copy() {
			if r.Kind == "heatmap" && r.Seg > 0 && r.T > barcodeCount/barcodeRate+1 {
				return true
			}
		}
		return false
	})
	s.gaps("barcodes", w.copy())
	w.mu.Lock()
	defer w.mu.Unlock()
	var stamps []uint32
	for ts := range w.frames {
		stamps = append(stamps, ts)
	}
	slices.SortFunc(stamps, func(a, b uint32) int { return int(int32(a - b)) })
	for i := 1; i < len(stamps); i++ {
		if d := stamps[i] - stamps[i-1]; d > 3*90000/barcodeRate {
			t.Errorf("%d ticks between pictures", d)
		}
	}
	b, _ := json.Marshal(w.status)
	if d, _ := w.hello["sync_delay"].(float64); d <= 0 || d > 1 {
		t.Errorf("delay %v; status %s", w.hello["sync_delay"], b)
	}
}

// What browsers cannot play is encoded anew, and its results still bear the RTP
// times of the pictures.
func TestServeTranscodes(t *testing.T) {
	s := serve(t, "--models", "none", "--localize", "sync", "--source", "film="+demo)
	w := s.watch(t, "film", false)
	s.until("pictures, sound and results", func() bool {
		n, frames := w.count("heatmap")
		w.mu.Lock()
		defer w.mu.Unlock()
		return n > 5 && frames > 40 && w.sound > 40
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.media["transcoded"] != true || !strings.Contains(fmt.Sprint(w.media["note"]), "B-frames") {
		t.Errorf("media %v", w.media)
	}
	first := w.results[len(w.results)-1].RTP
	for ts := range w.frames {
		if int32(ts-first) < 0 {
			first = ts
		}
	}
	var bears, all int
	for _, r := range w.results[:len(w.results)-5] {
		if r.Kind == "heatmap" && int32(r.RTP-first) >= 0 {
			all++
			if _, ok := w.frames[r.RTP]; ok {
				bears++
			}
		}
	}
	// An encoder that is too slow for this machine leaves pictures out.
	if all == 0 || bears*2 < all {
		t.Errorf("%d of %d heat maps bear the RTP time of a picture that came", bears, all)
	}
}

// The published configuration is one, also with the lines that it has in comments;
// the environment and the command line come before it.
func TestServeExample(t *testing.T) {
	text := regexp.MustCompile(`(?m)^# ([a-z_]+:)`).ReplaceAllString(string(docs.Config), "$1")
	name := filepath.Join(t.TempDir(), "seehear.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SEEHEAR_LOCALIZE_FPS", "7")
	t.Setenv("SEEHEAR_SYNC_DELAY", "300ms")
	t.Setenv("SEEHEAR_STUN", "a:1,b:2")
	t.Setenv("SEEHEAR_SOURCES", "attic=rtsp://x/")
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = parser.Parse([]string{"serve", "--config", name, "--sync-delay", "0", "--source", "door=rtsp://y/", "my film.mp4"}); err != nil {
		t.Fatal(err)
	}
	s := &c.Serve
	if err = s.check(); err != nil {
		t.Error(err)
	}
	if s.Listen != "127.0.0.1:8555" || s.UDPPort != 8555 || s.LocalizeFPS != 7 || s.SyncDelay != "0" || !slices.Equal(s.STUN, []string{"a:1", "b:2"}) ||
		!slices.Equal(s.Token, []string{"choose-a-long-one"}) || !s.TLSSelfSigned || s.RingLength != 10*time.Minute || s.Beam != 0 || s.SoundsTop != 5 {
		t.Errorf("settings %+v", s)
	}
	all, err := s.sources(s.file.configFile)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]sourceConfig{
		"door": {URL: "rtsp://y/"}, "attic": {URL: "rtsp://x/"}, "my-film": {URL: "my film.mp4", Title: "my film.mp4"},
		"yard": {URL: "rtsps://192.0.2.11/stream", Title: "Back yard", Transport: "tcp", Insecure: true},
		"film": {URL: "clips/party.mp4"}, "phone": {URL: "publish:"},
	}
	if !maps.Equal(all, want) {
		t.Errorf("sources %+v", all)
	}
}

// Whatever is in the file, reading it gives an error or settings, and no panic.
func FuzzConfig(f *testing.F) {
	f.Add(docs.Config)
	f.Add([]byte("sources: {a: x, b: {url: y, transport: udp}}\nsync_delay: 0\n"))
	f.Add([]byte("sources: [a]\n---\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := readConfig(name, func(string) bool { return true })
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error on several lines: %q", err)
			}
			return
		}
		for _, n := range c.Keys {
			_ = flatYAML(&n)
		}
		for n, s := range c.Sources {
			if s.URL == "" || n == "" {
				t.Errorf("source %q is %+v", n, s)
			}
		}
	})
}

// The delay of the file is taken up while it serves, unless it was set from
// elsewhere.
func TestServeDelay(t *testing.T) {
	name := filepath.Join(t.TempDir(), "seehear.yaml")
	write := func(delay string) {
		t.Helper()
		if err := os.WriteFile(name, []byte("models: none\nsync_delay: "+delay+"\nsources: {a: "+barcodes(t)+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("100ms")
	s := serve(t, "--config", name)
	w := s.watch(t, "a", false)
	for _, c := range []struct {
		text string
		want float64
	}{{"100ms", .1}, {"350ms", .35}, {"0", 0}} {
		write(c.text)
		s.until("a delay of "+c.text, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.hello["sync_delay"] == c.want
		})
	}
	s.stop()
}

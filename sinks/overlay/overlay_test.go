package overlay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/encode"
	"github.com/seehear/seehear/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ms   = time.Millisecond
	step = 40 * ms
)

// small is four seconds of grey with two clicks, in two segments.
func small() *fakeMedia {
	m := &fakeMedia{
		w: 320, h: 180, frames: every(100, step), dur: step, paint: grey,
		rate: 48000, channels: 2, samples: 192000, clicks: map[int64]bool{24000: true, 150000: true},
	}
	for i := 75; i < 100; i++ {
		m.frames[i].Seg = 1
	}
	return m
}

func tool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.Bytes())
	}
	return out
}

// framePTS returns the presentation times that ffprobe reads.
func framePTS(t testing.TB, name string) (pts []time.Duration) {
	t.Helper()
	out := tool(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0", name)
	for line := range strings.Lines(string(out)) {
		v, err := strconv.ParseFloat(strings.Trim(line, ", \n"), 64)
		if err != nil {
			t.Fatal(err)
		}
		pts = append(pts, time.Duration(math.Round(v*1e6))*time.Microsecond)
	}
	return pts
}

// pcmOf returns the first channel, sample n at n/rate.
func pcmOf(t testing.TB, name string, rate int) []float32 {
	t.Helper()
	out := tool(t, "ffmpeg", "-v", "error", "-copyts", "-i", name, "-map", "0:a", "-af", "aresample=async=1:first_pts=0,pan=mono|c0=c0",
		"-ar", strconv.Itoa(rate), "-f", "f32le", "-")
	pcm := make([]float32, len(out)/4)
	for i := range pcm {
		pcm[i] = math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:]))
	}
	return pcm
}

// shot returns the picture of a video at a time.
func shot(t testing.TB, name string, at time.Duration) image.Image {
	t.Helper()
	to := filepath.Join(t.TempDir(), "shot.png")
	tool(t, "ffmpeg", "-v", "error", "-y", "-ss", strconv.FormatFloat(at.Seconds(), 'f', 6, 64), "-i", name, "-frames:v", "1", "-c:v", "png", "-f", "image2", "-update", "1", to)
	return readPNG(t, to)
}

func readPNG(t testing.TB, name string) image.Image {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func rgbAt(img image.Image, x, y int) (r, g, b int) {
	R, G, B, _ := img.At(x, y).RGBA()
	return int(R >> 8), int(G >> 8), int(B >> 8)
}

// check asserts that everything that was taken was given back.
func check(t testing.TB, m *fakeMedia) {
	t.Helper()
	if m.pool != nil && m.pool.Held() != 0 {
		t.Errorf("%d frames and blocks are not released", m.pool.Held())
	}
	if n := encode.Handles(); n != 0 {
		t.Errorf("%d C handles are alive", n)
	}
}

func TestSink(t *testing.T) {
	m := small()
	m.w, m.h = 192, 108
	sinktest.Test(t, sinktest.Suite{
		New: func(_ testing.TB, dir string) sinks.Sink {
			return New(Config{
				Dir: dir, Open: m.open, Videos: []Video{{Name: VideoName}, {Name: SmallVideoName, MaxHeight: 90}},
				Heatmaps: AtCuts, Faces: true, ThumbWidth: 160, Threads: 1,
			})
		},
		Files:   []string{VideoName, SmallVideoName},
		Folders: []string{"heatmaps", "faces"}, // each of them whole in itself
		Check: func(t testing.TB, dir string, sum sinks.Summary) {
			check(t, m)
			if sum.Complete && sum.Frames > 0 {
				readPNG(t, filepath.Join(dir, "faces/voice-1-000001.200s.png"))
				readPNG(t, filepath.Join(dir, "heatmaps/heatmap-000000.000s.png"))
			}
			n := len(framePTS(t, filepath.Join(dir, VideoName)))
			switch {
			case !sum.Complete && n != 38: // 1.5 s
				t.Errorf("%d frames of a run that was stopped", n)
			case sum.Complete && n != 100:
				t.Errorf("%d frames", n)
			}
		},
	})
	check(t, m)
}

func write(t testing.TB, cfg Config, m *fakeMedia, head sinks.Header, sum sinks.Summary, evs ...infer.Event) Result {
	t.Helper()
	return closed(t, cfg, m, head, sum, evs...).Result()
}

// closed returns the sink after a whole run.
func closed(t testing.TB, cfg Config, m *fakeMedia, head sinks.Header, sum sinks.Summary, evs ...infer.Event) *Sink {
	t.Helper()
	cfg.Open = m.open
	head.Streams = m.streams()
	s := New(cfg)
	ctx := context.Background()
	if err := s.Begin(ctx, head); err != nil {
		t.Fatal(err)
	}
	for _, ev := range evs {
		if err := s.Write(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(ctx, sum); err != nil {
		t.Fatal(err)
	}
	check(t, m)
	t.Cleanup(s.Release)
	return s
}

func event(at, dur time.Duration, p infer.Payload) infer.Event {
	return infer.Event{Stamp: ingest.Stamp{At: at}, Dur: dur, Payload: p}
}

// Every frame and every click of the input is at its place in the video.
func TestSync(t *testing.T) {
	m := small()
	for i := range m.frames { // neither even nor from zero
		m.frames[i].At = 226*ms + time.Duration(i)*33_366_667 + time.Duration(i%3)*4*ms
	}
	m.frames = m.frames[:80]
	m.start = 100 * ms
	dir := t.TempDir()
	write(t, Config{Dir: dir, Videos: []Video{{Name: VideoName}}}, m, sinks.Header{}, sinks.Summary{Complete: true, Duration: 4100 * ms})
	name := filepath.Join(dir, VideoName)
	pts := framePTS(t, name)
	if len(pts) != len(m.frames) {
		t.Fatalf("%d frames, want %d", len(pts), len(m.frames))
	}
	for i, at := range pts {
		if d := at - m.frames[i].At; d.Abs() > 100*time.Microsecond {
			t.Errorf("frame %d is at %v, want %v", i, at, m.frames[i].At)
		}
	}
	pcm := pcmOf(t, name, m.rate)
	for click := range m.clicks {
		want := int(click) + 4800
		best := 0
		for i := want - 500; i < want+500; i++ {
			if math.Abs(float64(pcm[i])) > math.Abs(float64(pcm[best])) {
				best = i
			}
		}
		if best < want-1 || best > want+1 {
			t.Errorf("click at sample %d, want %d", best, want)
		}
	}
}

// What is heard holds round its centre: up to the middle between it and the next,
// at most a hop away.
func TestSoundsHoldRoundTheirCentres(t *testing.T) {
	s := New(Config{Dir: t.TempDir(), Open: small().open})
	t.Cleanup(s.Release)
	for _, e := range []struct {
		at    time.Duration
		seg   uint32
		dur   time.Duration
		label string
	}{
		{500 * ms, 0, 400 * ms, "dog"},
		{900 * ms, 0, 400 * ms, "dog"},
		{1300 * ms, 0, 400 * ms, "rain"},
		{1700 * ms, 0, 100 * ms, "rain"}, // cut short by the end of the sound
		{5000 * ms, 0, 400 * ms, "rain"},
		{5100 * ms, 1, 400 * ms, "bell"},
	} {
		ev := infer.Event{Stamp: ingest.Stamp{At: e.at, Seg: e.seg}, Dur: e.dur, Payload: &infer.Sound{Events: []infer.Score{{Label: e.label, P: 0.9}}}}
		if err := s.Write(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, m := range marksOf(t, s, &s.sounds) {
		got = append(got, fmt.Sprintf("%d: %v to %v %s", m.Seg, m.At, m.Until, s.names.unpack(m.Value).top[0].Label))
	}
	want := []string{"0: 100ms to 1.1s dog", "0: 1.1s to 2.1s rain", "0: 4.6s to 5.4s rain", "1: 4.7s to 5.5s bell"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// What is drawn is there when it holds, at its place, and gone afterwards.
func TestDraws(t *testing.T) {
	m := small()
	m.w, m.h = 640, 360
	m.paint = func(_ int, img decode.Image) {
		for i := range img.Pix {
			img.Pix[i] = 100
		}
	}
	grid := make([]byte, 16)
	grid[1*4+2] = 255 // centred on 5/8, 3/8
	dir := t.TempDir()
	res := write(t, Config{Dir: dir, Videos: []Video{{Name: VideoName}}, Heatmaps: AtCuts}, m, sinks.Header{}, sinks.Summary{Complete: true, Duration: 4 * time.Second},
		event(1000*ms, 1000*ms, &infer.Heatmap{W: 4, H: 4, Grid: grid, Peak: 0.8, X: 0.625, Y: 0.375}),
		event(1000*ms, 0, &infer.Cut{Strength: 0.5}),
		event(1000*ms, 1000*ms, &infer.Caption{Text: "mmmmmmmmmmmm"}),
		event(1500*ms, 500*ms, &infer.Sound{Events: []infer.Score{{Label: "dog", P: 0.5}}}),
		event(2500*ms, 500*ms, &infer.Heatmap{W: 4, H: 4, Grid: make([]byte, 16), Gated: "silence"}),
		event(2600*ms, 0, &infer.Cut{Strength: 0.5}),
	)
	name := filepath.Join(dir, VideoName)
	plain := func(img image.Image, x, y int) bool {
		r, g, b := rgbAt(img, x, y)
		return max(r, g, b)-min(r, g, b) < 12 && r > 92 && r < 108
	}
	off := shot(t, name, 500*ms)
	on := shot(t, name, 1500*ms)
	after := shot(t, name, 2600*ms)
	for _, img := range []image.Image{off, after} {
		for _, p := range [][2]int{{400, 135}, {320, 330}, {600, 40}} {
			if !plain(img, p[0], p[1]) {
				r, g, b := rgbAt(img, p[0], p[1])
				t.Errorf("at %v there is %d,%d,%d although nothing holds", p, r, g, b)
			}
		}
	}
	if r, g, b := rgbAt(on, 400, 160); r < 170 || b > g || g > r {
		t.Errorf("beside the peak of the heat map there is %d,%d,%d", r, g, b)
	}
	if !plain(on, 100, 250) {
		t.Error("the heat map colours where it is zero")
	}
	dark, light := false, false
	for x := 220; x < 420; x++ {
		r, _, _ := rgbAt(on, x, 332)
		dark, light = dark || r < 60, light || r > 200
	}
	if !dark || !light {
		t.Errorf("the caption: panel %v, letters %v", dark, light)
	}
	// The bar is half as long as its track.
	warm, row := 0, 0
	for y := 0; y < 60; y++ {
		n := 0
		for x := 400; x < 640; x++ {
			if r, _, b := rgbAt(on, x, y); r > 180 && b < 130 {
				n++
			}
		}
		if n > warm {
			warm, row = n, y
		}
	}
	lights := 0
	for x := 400; x < 640; x++ {
		if r, _, _ := rgbAt(on, x, row); r > 60 {
			lights++
		}
	}
	if warm < 40 || warm > 100 {
		t.Errorf("the bar is %d pixels long in row %d (%d)", warm, row, lights)
	}
	if len(res.Heatmaps) != 1 || res.Heatmaps[0].Name != "heatmaps/heatmap-000001.000s.png" {
		t.Fatalf("heat maps as PNG: %+v", res.Heatmaps)
	}
	img := readPNG(t, filepath.Join(dir, res.Heatmaps[0].Name))
	if b := img.Bounds(); b.Dx() != 640 || b.Dy() != 360 || plain(img, 400, 160) || !plain(img, 320, 330) {
		t.Errorf("the PNG of %v shows something else than the heat map over its frame", b)
	}
}

// Of two maps at one time, each is drawn in its own colours, also where the other
// one is gated.
func TestDrawsBothWaysOfFinding(t *testing.T) {
	m := small()
	m.w, m.h = 640, 360
	m.paint = func(_ int, img decode.Image) {
		for i := range img.Pix {
			img.Pix[i] = 100
		}
	}
	left, right := make([]byte, 16), make([]byte, 16)
	left[1*4+0], right[1*4+3] = 160, 160
	dir := t.TempDir()
	looks := func(at time.Duration, grid []byte, gated string) infer.Event {
		return event(at, 200*ms, &infer.Heatmap{W: 4, H: 4, Grid: grid, X: 0.125, Y: 0.375, Gated: gated, Method: "semantic"})
	}
	moves := func(at time.Duration, grid []byte, gated string) infer.Event {
		return event(at, 200*ms, &infer.Heatmap{W: 4, H: 4, Grid: grid, X: 0.875, Y: 0.375, Gated: gated, Method: "sync"})
	}
	write(t, Config{Dir: dir, Videos: []Video{{Name: VideoName}}}, m, sinks.Header{}, sinks.Summary{Complete: true, Duration: 4 * time.Second},
		looks(1000*ms, left, ""), looks(1200*ms, make([]byte, 16), "silence"), moves(1000*ms, right, ""), moves(1200*ms, right, ""), looks(1400*ms, left, ""))
	warm := func(img image.Image, x int) bool { r, g, _ := rgbAt(img, x, 160); return r > g+30 }
	cold := func(img image.Image, x int) bool { r, g, _ := rgbAt(img, x, 160); return g > r+15 }
	for _, c := range []struct {
		at         time.Duration
		warm, cold bool
	}{{500 * ms, false, false}, {1100 * ms, true, true}, {1300 * ms, false, true}, {1500 * ms, true, false}} {
		img := shot(t, filepath.Join(dir, VideoName), c.at)
		if w, k := warm(img, 60), cold(img, 580); w != c.warm || k != c.cold || cold(img, 60) || warm(img, 580) {
			r, g, b := rgbAt(img, 580, 160)
			t.Errorf("at %v: what looks %v, what moves %v (%d,%d,%d)", c.at, w, k, r, g, b)
		}
	}
}

// Fixture models are named on every picture.
func TestFixtureBand(t *testing.T) {
	m := small()
	dir := t.TempDir()
	face := &infer.Face{W: 8, H: 8, Pix: make([]byte, 192), Notice: infer.FaceNotice}
	res := write(t, Config{Dir: dir, Videos: []Video{{Name: VideoName}}, Heatmaps: Every, Faces: true}, m,
		sinks.Header{Models: []infer.Info{{Name: "x"}, {Name: "y", Fixture: true}}}, sinks.Summary{Complete: true, Duration: 4 * time.Second},
		event(0, 4*time.Second, &infer.Heatmap{W: 2, H: 2, Grid: []byte{1, 2, 3, 4}}),
		infer.Event{Fixture: true, Payload: face})
	yellow := func(img image.Image) bool {
		r, g, b := rgbAt(img, 4, 4)
		return r > 200 && g > 160 && b < 90
	}
	for _, at := range []time.Duration{0, 2 * time.Second, 3900 * ms} {
		if !yellow(shot(t, filepath.Join(dir, VideoName), at)) {
			t.Errorf("no band at %v", at)
		}
	}
	if len(res.Heatmaps) != 1 || len(res.Faces) != 1 {
		t.Fatalf("%+v", res)
	}
	if !yellow(readPNG(t, filepath.Join(dir, res.Heatmaps[0].Name))) {
		t.Error("no band on the PNG")
	}
	// The face's notice stands below it.
	if p := res.Faces[0]; p.H <= p.W {
		t.Errorf("a face of %dx%d has no room for its notice", p.W, p.H)
	}
}

// A source without picture gives a card for as long as it sounds.
func TestSoundAlone(t *testing.T) {
	m := small()
	m.frames = nil
	dir := t.TempDir()
	res := write(t, Config{Dir: dir, Videos: []Video{{Name: VideoName}, {Name: SmallVideoName, MaxHeight: 480}}, ThumbWidth: 160, Heatmaps: AtCuts}, m,
		sinks.Header{Source: "a/b/music.ogg"}, sinks.Summary{Complete: true, Duration: 4 * time.Second, Samples: 192000},
		event(0, 4*time.Second, &infer.Sound{Events: []infer.Score{{Label: "violin", P: 0.9}}}))
	pts := framePTS(t, filepath.Join(dir, VideoName))
	if len(pts) != 100 {
		t.Fatalf("%d pictures for 4 s", len(pts))
	}
	for i, at := range pts {
		if want := time.Duration(i) * step; (at - want).Abs() > 100*time.Microsecond {
			t.Errorf("picture %d is at %v", i, at)
		}
	}
	if n := len(pcmOf(t, filepath.Join(dir, VideoName), 48000)); n < 192000 {
		t.Errorf("%d samples", n)
	}
	// Both would be the same, so there is one.
	if res.Video(SmallVideoName) != VideoName || res.Video(VideoName) != VideoName || res.Video("other") != "" {
		t.Errorf("%+v", res.Videos)
	}
	if _, err := os.Stat(filepath.Join(dir, SmallVideoName)); err == nil {
		t.Error("the same video was made twice")
	}
}

func TestPictureAlone(t *testing.T) {
	m := small()
	m.rate = 0
	dir := t.TempDir()
	write(t, Config{Dir: dir, Videos: []Video{{Name: VideoName}}}, m, sinks.Header{}, sinks.Summary{Complete: true, Duration: 4 * time.Second})
	out := strings.Fields(string(tool(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", filepath.Join(dir, VideoName))))
	if len(out) != 1 || out[0] != "video" || len(framePTS(t, filepath.Join(dir, VideoName))) != 100 {
		t.Errorf("streams %v", out)
	}
}

func TestThumbs(t *testing.T) {
	m := small()
	grid := []byte{255}
	var evs []infer.Event
	for i := range 40 { // ten a second
		evs = append(evs, event(time.Duration(i)*100*ms, 100*ms, &infer.Heatmap{W: 1, H: 1, Grid: grid, X: 0.5, Y: 0.5}))
	}
	evs = append(evs, event(0, 0, &infer.Cut{Strength: 1}), event(0, 0, &infer.Caption{Text: "x"}), event(2010*ms, 0, &infer.Caption{Text: "y"}))
	var seen []time.Duration
	cfg := Config{Dir: t.TempDir(), ThumbWidth: 64, Progress: func(done, _ time.Duration) { seen = append(seen, done) }}
	s := closed(t, cfg, m, sinks.Header{}, sinks.Summary{Complete: true, Duration: 4 * time.Second}, evs...)
	res := s.Result()
	if len(res.Thumbs) != 2 || res.Thumbs[0].Stamp != (ingest.Stamp{}) || res.Thumbs[1].At != 2010*ms {
		t.Fatalf("thumbnails %+v, want one for each caption", res.Thumbs)
	}
	for _, th := range res.Thumbs {
		b, err := s.Thumb(th)
		if err != nil {
			t.Fatal(err)
		}
		img, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil || img.Bounds().Dx() != 64 || th.W != 64 || img.Bounds().Dy() != 36 || th.H != 36 {
			t.Fatalf("thumbnail at %v: %v %v", th.At, err, th)
		}
		if r, _, b := rgbAt(img, 32, 18); r-b > 40 {
			t.Errorf("the thumbnail at %v shows a heat map", th.At)
		}
	}
	s.Release()
	if _, err := s.Thumb(res.Thumbs[0]); err == nil {
		t.Error("a thumbnail was loaded after Release")
	}
	if len(seen) < 3 || seen[len(seen)-1] != 4*time.Second {
		t.Errorf("progress %v", seen)
	}
}

// Sound that comes long after the picture, or never although it was announced,
// holds nothing up.
func TestLateSound(t *testing.T) {
	for _, never := range []bool{false, true} {
		m := small()
		m.frames = every(400, 100*ms)
		m.w, m.h = 64, 36
		m.start = 30 * time.Second
		if never {
			m.samples = 0
		}
		dir := t.TempDir()
		write(t, Config{Dir: dir, Videos: []Video{{Name: VideoName}}}, m, sinks.Header{}, sinks.Summary{Complete: true, Duration: 40 * time.Second})
		name := filepath.Join(dir, VideoName)
		if n := len(framePTS(t, name)); n != 400 {
			t.Errorf("%d frames", n)
		}
		if never {
			continue
		}
		pcm := pcmOf(t, name, 48000)
		for click := range m.clicks {
			want := int(click) + 30*48000
			if v := math.Abs(float64(pcm[want])); v < 0.3 {
				t.Errorf("no click at sample %d: %v", want, v)
			}
		}
	}
}

func TestSecondPassFails(t *testing.T) {
	m := small()
	m.fail = errors.New("ingest: clip.mp4: gone")
	dir := t.TempDir()
	s := New(Config{Dir: dir, Open: m.open, Videos: []Video{{Name: VideoName}}})
	ctx := context.Background()
	if err := s.Begin(ctx, sinks.Header{Streams: m.streams()}); err != nil {
		t.Fatal(err)
	}
	err := s.Close(ctx, sinks.Summary{Complete: true, Duration: 4 * time.Second})
	if !errors.Is(err, m.fail) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if _, err = os.Stat(filepath.Join(dir, VideoName)); err == nil {
		t.Error("half a video has its final name")
	}
	check(t, m)
	if m.close != 2 {
		t.Errorf("source and decoder closed %d times", m.close)
	}

	s = New(Config{Dir: dir, Videos: []Video{{Name: VideoName}}, Open: func(context.Context, decode.Outputs) (*decode.Reader, error) {
		return nil, errors.New("ingest: open clip.mp4: no such file")
	}})
	if err = s.Begin(ctx, sinks.Header{}); err != nil {
		t.Fatal(err)
	}
	err = s.Close(ctx, sinks.Summary{Complete: true})
	if err == nil || err.Error() != "overlay: second pass: ingest: open clip.mp4: no such file" {
		t.Errorf("got %v", err)
	}
}

// A source whose picture or sound changes on the way still gives one video.
func TestChanges(t *testing.T) {
	m := small()
	sizes := [][2]int{{320, 180}, {180, 320}, {101, 57}}
	ch := 0
	open := func(ctx context.Context, out decode.Outputs) (*decode.Reader, error) {
		r, err := m.open(ctx, out)
		return decode.NewReader(m, changing{fakeDecoder{m}, &ch, sizes}), errors.Join(err, func() error { _ = r; return nil }())
	}
	dir := t.TempDir()
	s := New(Config{Dir: dir, Open: open, Videos: []Video{{Name: VideoName}}, ThumbWidth: 32, Heatmaps: Every})
	ctx := context.Background()
	if err := s.Begin(ctx, sinks.Header{Streams: m.streams()}); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := s.Write(ctx, event(time.Duration(i)*time.Second, time.Second, &infer.Heatmap{W: 1, H: 1, Grid: []byte{200}})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(ctx, sinks.Summary{Complete: true, Duration: 4 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if n := len(framePTS(t, filepath.Join(dir, VideoName))); n != 100 {
		t.Errorf("%d frames", n)
	}
	check(t, m)
}

// changing gives every tenth unit another size or number of channels.
type changing struct {
	fakeDecoder
	n     *int
	sizes [][2]int
}

func (c changing) Decode(dst []decode.Unit, p *ingest.Packet) ([]decode.Unit, error) {
	*c.n++
	k := *c.n / 10 % len(c.sizes)
	was := *c.m
	if p != nil {
		c.m.w, c.m.h, c.m.channels = c.sizes[k][0], c.sizes[k][1], 1+k
	}
	dst, err := c.fakeDecoder.Decode(dst, p)
	c.m.w, c.m.h, c.m.channels = was.w, was.h, was.channels
	return dst, err
}

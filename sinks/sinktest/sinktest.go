// Package sinktest is the suite that every sinks.Sink must pass, and the checks
// of what sinks write.
//
// A sink's own test calls [Test] with a constructor and the names of its files;
// the suite drives the sink through complete, stopped, cancelled and failing
// runs, and holds it to package sinks' contract: nothing unfinished under a
// final name, errors of one line that name the file and the cause, no goroutine
// left, the same bytes for the same events.
package sinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// Suite describes the sink under test.
type Suite struct {
	// New makes the sink that writes into dir. It is called once per run.
	New func(t testing.TB, dir string) sinks.Sink
	// Files are the names that a complete run over [Events] leaves, relative to
	// dir. They are the only files the sink may leave, but for what lies under a
	// folder named in Folders.
	Files   []string
	Folders []string
	// Check looks at the files of a finished run; sum says whether it was whole.
	Check func(t testing.TB, dir string, sum sinks.Summary)
	// Unsteady says that the bytes may differ from run to run (an encoder's).
	Unsteady bool
}

// Header returns the header of the suite's source.
func Header() sinks.Header {
	return sinks.Header{
		Source: `clips/<i> "x" & y.mp4`,
		Streams: []ingest.Stream{
			{Index: 0, Kind: ingest.Video, Codec: "h264", Width: 320, Height: 180, FrameRate: ingest.Timebase{Num: 25, Den: 1}, Duration: 4 * time.Second},
			{Index: 1, Kind: ingest.Audio, Codec: "aac", SampleRate: 48000, Channels: 2},
		},
		Models: []infer.Info{
			{Family: "soundnet", Name: "tiny-sound", Version: "1", SHA256: strings.Repeat("0a", 32), Fixture: true, License: "Apache-2.0"},
			{Family: "caption", Name: "tiny-caption", Version: "2", SHA256: strings.Repeat("1b", 32), Fixture: true},
		},
	}
}

// Events returns one event or more of every kind, over four seconds in two
// segments, in order.
func Events() []infer.Event {
	const ms = time.Millisecond
	at := func(t time.Duration, seg uint32, dur time.Duration, model string, p infer.Payload) infer.Event {
		return infer.Event{
			Stamp: ingest.Stamp{At: t, Seg: seg}, Dur: dur, Source: Header().Source,
			Model: model, Fixture: model != "", Payload: p,
		}
	}
	grid := make([]byte, 8*6)
	for i := range grid {
		grid[i] = byte(i * 255 / (len(grid) - 1))
	}
	dog := []infer.Score{{Index: 3, Label: "dog <barking> & howling", P: 0.83}, {Index: 4, Label: "rain", P: 0.1}}
	rain := []infer.Score{{Index: 4, Label: "rain --> window", P: 0.6}, {Index: 3, Label: "dog <barking> & howling", P: 0.3}}
	scene := []infer.Score{{Index: 7, Label: "street/urban", P: 0.5}}
	words := []infer.Word{
		{Text: "a", P: 0.9, Attention: []byte{0, 64, 128, 255}},
		{Text: "dog", P: 0.8, Attention: []byte{255, 0, 0, 0}},
	}
	face := &infer.Face{W: 4, H: 4, Pix: bytes.Repeat([]byte{200, 150, 120}, 16), Voice: 1, Used: 3.2, Notice: infer.FaceNotice}
	face.File = sinks.FaceName(1200*ms, 1)
	return []infer.Event{
		at(0, 0, 0, "", &infer.Cut{Strength: 1}),
		at(0, 0, 2000*ms, "tiny-caption", &infer.Caption{Text: "a dog \"barks\" & <runs>\n\nacross --> the street", LogP: -3.25, Words: words, AttentionW: 2, AttentionH: 2}),
		at(0, 0, 500*ms, "tiny-sound", &infer.Sound{Events: dog, Scenes: scene, RMS: 0.1}),
		at(0, 0, 200*ms, "tiny-look", &infer.Heatmap{W: 8, H: 6, Grid: grid, Peak: 0.7, X: 0.9, Y: 0.9, Method: "semantic"}),
		at(500*ms, 0, 500*ms, "tiny-sound", &infer.Sound{Events: dog, Scenes: scene, RMS: 0.1}),
		at(1000*ms, 0, 500*ms, "tiny-sound", &infer.Sound{Events: rain, Scenes: scene, RMS: 0.05}),
		at(1200*ms, 0, 1500*ms, "tiny-voice", &infer.Speech{P: 0.97, Voice: 1}),
		at(1200*ms, 0, 1500*ms, "tiny-voice", face),
		at(1240*ms, 0, 200*ms, "tiny-look", &infer.Heatmap{W: 8, H: 6, Grid: make([]byte, 48), Gated: "silence", Method: "semantic"}),
		at(1500*ms, 0, 500*ms, "tiny-sound", &infer.Sound{Silent: true}),
		at(2000*ms, 0, 120*ms, "", &infer.Gap{Stream: "audio", Reason: "hole"}),
		at(2000*ms, 0, 40*ms, "", &infer.Cut{Strength: 0.625}),
		at(2000*ms, 0, 1000*ms, "tiny-caption", &infer.Caption{Text: "ein Straßenmusiker 🎻 spielt", LogP: -1}),
		at(3000*ms, 1, 0, "", &infer.Gap{Stream: "source", Reason: "jump"}),
		at(3000*ms, 1, 0, "", &infer.Cut{Strength: 1}),
		at(3000*ms, 1, 1000*ms, "tiny-caption", &infer.Caption{Text: "a dog", LogP: -1}),
		{Stamp: ingest.Stamp{At: 3000 * ms, Seg: 1}, Source: Header().Source, Dur: 500 * ms, Model: "tiny-sound", Fixture: true, Short: true, Payload: &infer.Sound{Events: rain, RMS: 0.02}},
	}
}

// Summary returns the summary of a complete run over [Events].
func Summary() sinks.Summary {
	return sinks.Summary{
		Complete: true, Duration: 4 * time.Second, Segs: 2, Frames: 100, Samples: 192000, Moments: 100,
		Events: int64(len(Events())), MissingAudio: 120 * time.Millisecond,
		Truncated: true, Missing: 1500 * time.Millisecond, Damaged: 2, LateFrames: 3, LateSamples: 400,
	}
}

// Test runs the suite.
func Test(t *testing.T, s Suite) {
	run := func(name string, f func(t *testing.T, dir string)) {
		t.Run(name, func(t *testing.T) {
			opt := goleak.IgnoreCurrent()
			dir := filepath.Join(t.TempDir(), "out")
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			f(t, dir)
			goleak.VerifyNone(t, opt)
		})
	}
	run("Complete", s.complete)
	run("NoEvents", s.empty)
	run("Stopped", s.stopped)
	run("CloseCancelled", s.closeCancelled)
	run("WriteCancelled", s.writeCancelled)
	run("CloseWithoutBegin", s.closeWithoutBegin)
	run("FailedWrite", s.failedWrite)
	for _, f := range s.Files {
		run("DiskFull/"+f, func(t *testing.T, dir string) { s.diskFull(t, dir, f) })
	}
	run("NoFolder", s.noFolder)
}

func drive(t testing.TB, sink sinks.Sink, evs []infer.Event, sum sinks.Summary) error {
	t.Helper()
	ctx := context.Background()
	err := sink.Begin(ctx, Header())
	for _, ev := range evs {
		if err != nil {
			break
		}
		err = sink.Write(ctx, ev)
	}
	return errors.Join(err, sink.Close(ctx, sum))
}

func (s Suite) complete(t *testing.T, dir string) {
	if err := drive(t, s.New(t, dir), Events(), Summary()); err != nil {
		t.Fatal(err)
	}
	s.final(t, dir)
	s.check(t, dir, Summary())
	if s.Unsteady {
		return
	}
	again := dir + "2"
	if err := drive(t, s.New(t, again), Events(), Summary()); err != nil {
		t.Fatal(err)
	}
	for _, f := range list(t, dir) {
		a, _ := os.ReadFile(filepath.Join(dir, f))
		b, _ := os.ReadFile(filepath.Join(again, f))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two runs over the same events", f)
		}
	}
}

func (s Suite) empty(t *testing.T, dir string) {
	sum := sinks.Summary{Complete: true, Segs: 1}
	if err := drive(t, s.New(t, dir), nil, sum); err != nil {
		t.Fatal(err)
	}
	s.check(t, dir, sum)
	s.noParts(t, dir)
}

func (s Suite) stopped(t *testing.T, dir string) {
	sum := sinks.Summary{Error: "interrupted", Duration: 1500 * time.Millisecond, Segs: 1, Frames: 37}
	if err := drive(t, s.New(t, dir), Events()[:9], sum); err != nil {
		t.Fatal(err)
	}
	s.final(t, dir)
	s.check(t, dir, sum)
}

func (s Suite) closeCancelled(t *testing.T, dir string) {
	sink := s.New(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	if err := sink.Begin(ctx, Header()); err != nil {
		t.Fatal(err)
	}
	for _, ev := range Events() {
		if err := sink.Write(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := sink.Close(ctx, Summary()); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with an ended context returns %v", err)
	}
	s.noFinal(t, dir)
}

func (s Suite) writeCancelled(t *testing.T, dir string) {
	sink := s.New(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	if err := sink.Begin(ctx, Header()); err != nil {
		t.Fatal(err)
	}
	cancel()
	err := sink.Write(ctx, Events()[1])
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Write with an ended context returns %v", err)
	}
	if err := sink.Close(ctx, Summary()); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with an ended context returns %v", err)
	}
	s.noFinal(t, dir)
}

func (s Suite) closeWithoutBegin(t *testing.T, dir string) {
	if err := s.New(t, dir).Close(context.Background(), sinks.Summary{}); err != nil {
		t.Errorf("Close without Begin returns %v", err)
	}
	s.noFinal(t, dir)
}

// alien is a payload that no sink knows.
type alien struct{}

func (alien) Kind() string { return "alien" }

func (s Suite) failedWrite(t *testing.T, dir string) {
	sink := s.New(t, dir)
	ctx := context.Background()
	if err := sink.Begin(ctx, Header()); err != nil {
		t.Fatal(err)
	}
	err := sink.Write(ctx, infer.Event{Payload: alien{}})
	if err == nil {
		// A sink that draws some kinds only passes over the others.
		if err := sink.Close(ctx, Summary()); err != nil {
			t.Error(err)
		}
		return
	}
	if err := sink.Close(ctx, Summary()); err == nil {
		t.Error("Close after a failed Write returns nil")
	}
	s.noFinal(t, dir)
}

// diskFull lets one file land on /dev/full, which takes no byte.
func (s Suite) diskFull(t *testing.T, dir, file string) {
	name := filepath.Join(dir, file)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", name+sinks.PartSuffix); err != nil {
		t.Fatal(err)
	}
	err := drive(t, s.New(t, dir), Events(), Summary())
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("on a full disk: %v", err)
	}
	oneLine(t, err, filepath.Base(file), "no space left on device")
	if _, err := os.Lstat(name); err == nil {
		t.Errorf("%s has its final name although it could not be written", file)
	}
}

func (s Suite) noFolder(t *testing.T, dir string) {
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	err := drive(t, s.New(t, filepath.Join(file, "sub")), Events(), Summary())
	if !errors.Is(err, syscall.ENOTDIR) {
		t.Fatalf("below a file: %v", err)
	}
	oneLine(t, err, "file", "not a directory")
}

// oneLine checks that each line of err (errors.Join ends them) names all parts,
// once.
func oneLine(t testing.TB, err error, parts ...string) {
	t.Helper()
	for line := range strings.SplitSeq(err.Error(), "\n") {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				t.Errorf("error %q does not name %q", line, p)
			}
		}
	}
}

func list(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

// final checks that the files are there, and no other.
func (s Suite) final(t testing.TB, dir string) {
	t.Helper()
	s.noParts(t, dir)
	have := map[string]bool{}
	for _, f := range list(t, dir) {
		have[f] = true
	}
	for _, f := range s.Files {
		if !have[f] {
			t.Errorf("%s is missing; there are %v", f, list(t, dir))
		}
		delete(have, f)
	}
	for f := range have {
		known := false
		for _, d := range s.Folders {
			known = known || strings.HasPrefix(f, d+"/")
		}
		if !known {
			t.Errorf("unexpected file %s", f)
		}
	}
}

func (s Suite) noParts(t testing.TB, dir string) {
	t.Helper()
	for _, f := range list(t, dir) {
		if strings.HasSuffix(f, sinks.PartSuffix) {
			t.Errorf("%s is left", f)
		}
	}
}

func (s Suite) noFinal(t testing.TB, dir string) {
	t.Helper()
	for _, f := range s.Files {
		if _, err := os.Lstat(filepath.Join(dir, f)); err == nil {
			t.Errorf("%s has its final name although the run did not end", f)
		}
	}
}

func (s Suite) check(t testing.TB, dir string, sum sinks.Summary) {
	t.Helper()
	if s.Check != nil {
		s.Check(t, dir, sum)
	}
}

// String names a suite in failures.
func (s Suite) String() string { return fmt.Sprint(s.Files) }

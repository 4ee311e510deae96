package webvtt

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/sinktest"
)

type cue struct {
	From, To int64 // ms
	Text     string
}

var timing = regexp.MustCompile(`^(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})$`)

// parse follows the syntax of https://www.w3.org/TR/webvtt1/#syntax: blocks
// divided by empty lines, a cue's text free of "-->" and of bare & and <, ends
// behind starts, starts in order.
func parse(s string) (cues []cue, notes []string, err error) {
	blocks := strings.Split(strings.TrimSuffix(s, "\n"), "\n\n")
	if blocks[0] != "WEBVTT" {
		return nil, nil, fmt.Errorf("begins with %q", blocks[0])
	}
	for _, b := range blocks[1:] {
		lines := strings.Split(b, "\n")
		if lines[0] == "NOTE" {
			notes = append(notes, strings.Join(lines[1:], "\n"))
			continue
		}
		m := timing.FindStringSubmatch(lines[0])
		if m == nil || len(lines) < 2 {
			return nil, nil, fmt.Errorf("no cue: %q", b)
		}
		var v [8]int64
		for i := range v {
			v[i], _ = strconv.ParseInt(m[i+1], 10, 64)
		}
		c := cue{
			From: ((v[0]*60+v[1])*60+v[2])*1000 + v[3],
			To:   ((v[4]*60+v[5])*60+v[6])*1000 + v[7],
		}
		if c.To <= c.From {
			return nil, nil, fmt.Errorf("ends before it starts: %q", b)
		}
		if n := len(cues); n > 0 && c.From < cues[n-1].From {
			return nil, nil, fmt.Errorf("starts before the one before it: %q", b)
		}
		text := strings.Join(lines[1:], "\n")
		if strings.Contains(text, "-->") || strings.Contains(text, "<") || strings.TrimSpace(text) == "" {
			return nil, nil, fmt.Errorf("text %q", text)
		}
		if regexp.MustCompile(`&[^a-z]|&$`).MatchString(text) {
			return nil, nil, fmt.Errorf("bare & in %q", text)
		}
		c.Text = html.UnescapeString(text)
		cues = append(cues, c)
	}
	return cues, notes, nil
}

func parseFile(t testing.TB, name string) ([]cue, []string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cues, notes, err := parse(string(b))
	if err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	return cues, notes
}

func TestSink(t *testing.T) {
	sinktest.Test(t, sinktest.Suite{
		New:   func(_ testing.TB, dir string) sinks.Sink { return New(dir, Options{}) },
		Files: []string{CaptionsName, SoundsName},
		Check: func(t testing.TB, dir string, sum sinks.Summary) {
			for _, name := range []string{CaptionsName, SoundsName} {
				if _, notes := parseFile(t, filepath.Join(dir, name)); len(notes) != 1 || !strings.Contains(notes[0], "FIXTURE") {
					t.Errorf("%s: fixture models go unsaid: %q", name, notes)
				}
			}
		},
	})
}

func write(t testing.TB, evs []infer.Event, sum sinks.Summary) string {
	t.Helper()
	dir := t.TempDir()
	s := New(dir, Options{})
	ctx := context.Background()
	if err := s.Begin(ctx, sinks.Header{}); err != nil {
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
	return dir
}

func TestCues(t *testing.T) {
	dir := write(t, sinktest.Events(), sinktest.Summary())
	captions, notes := parseFile(t, filepath.Join(dir, CaptionsName))
	if diff := cmp.Diff([]cue{
		{0, 2000, `a dog "barks" & <runs> across --> the street`},
		{2000, 3000, "ein Straßenmusiker 🎻 spielt"},
		{3000, 4000, "a dog"},
	}, captions); diff != "" {
		t.Errorf("captions (-want +got):\n%s", diff)
	}
	if len(notes) != 0 {
		t.Errorf("notes without fixtures: %q", notes)
	}
	sounds, _ := parseFile(t, filepath.Join(dir, SoundsName))
	if diff := cmp.Diff([]cue{
		{0, 1000, "dog <barking> & howling (83%)"}, // two events, one cue
		{1000, 1500, "rain --> window (60%)"},      // ended by silence
		{3000, 3500, "rain --> window (60%)"},
	}, sounds); diff != "" {
		t.Errorf("sounds (-want +got):\n%s", diff)
	}
}

// A caption without a duration lasts until the next, and the last to the end.
func TestEndless(t *testing.T) {
	at := func(ms int, text string) infer.Event {
		return infer.Event{Stamp: ingest.Stamp{At: time.Duration(ms) * time.Millisecond}, Payload: &infer.Caption{Text: text}}
	}
	dir := write(t, []infer.Event{at(0, "one"), at(3600_000*100, "two"), at(3600_000*100+5, "three")},
		sinks.Summary{Complete: true, Duration: 101 * time.Hour})
	got, _ := parseFile(t, filepath.Join(dir, CaptionsName))
	if diff := cmp.Diff([]cue{
		{0, 360_000_000, "one"},
		{360_000_000, 360_000_005, "two"},
		{360_000_005, 363_600_000, "three"},
	}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Whatever the events, the file is valid WebVTT and every caption is in it.
func TestAlwaysValid(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		s := New(dir, Options{})
		if err := s.Begin(ctx, sinks.Header{}); err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(0, 20).Draw(t, "n")
		want := 0
		for range n {
			text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ \n\r&<>-]{0,6}a?`)).Draw(t, "text")
			if len(strings.TrimFunc(text, func(r rune) bool {
				return r <= ' ' || r == 0x7f || unicode.IsSpace(r)
			})) > 0 {
				want++
			}
			at := rapid.Int64Range(-int64(time.Second), int64(1000*time.Hour)).Draw(t, "at")
			dur := rapid.Int64Range(-5, int64(time.Hour)).Draw(t, "dur")
			err := s.Write(ctx, infer.Event{
				Stamp: ingest.Stamp{At: time.Duration(at), Seg: uint32(rapid.IntRange(0, 2).Draw(t, "seg"))},
				Dur:   time.Duration(dur), Payload: &infer.Caption{Text: text},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(ctx, sinks.Summary{Complete: true, Duration: time.Hour}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, CaptionsName))
		if err != nil {
			t.Fatal(err)
		}
		cues, _, err := parse(string(b))
		if err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		if len(cues) != want {
			t.Fatalf("%d cues from %d captions:\n%s", len(cues), want, b)
		}
	})
}

// ffprobe finds the cues where we put them.
func TestFFprobeReadsThem(t *testing.T) {
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		t.Skip("no ffprobe")
	}
	dir := write(t, sinktest.Events(), sinktest.Summary())
	for name, want := range map[string]string{
		CaptionsName: "0.000000,2.000000\n2.000000,1.000000\n3.000000,1.000000\n",
		SoundsName:   "0.000000,1.000000\n1.000000,0.500000\n3.000000,0.500000\n",
	} {
		out, err := exec.Command(ffprobe, "-v", "error", "-f", "webvtt", "-show_entries", "packet=pts_time,duration_time",
			"-of", "csv=p=0", filepath.Join(dir, name)).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

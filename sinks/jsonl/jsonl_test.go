package jsonl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/sinktest"
)

func TestSink(t *testing.T) {
	sinktest.Test(t, sinktest.Suite{
		New:   func(_ testing.TB, dir string) sinks.Sink { return New(dir) },
		Files: []string{Name},
		Check: func(t testing.TB, dir string, sum sinks.Summary) {
			name := filepath.Join(dir, Name)
			sinktest.ValidateFile(t, name)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			res, err := Read(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sum, res.Summary); diff != "" || !res.Ended {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
		},
	})
}

// What the reader gives back is what was written.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := New(dir)
	ctx := context.Background()
	if err := s.Begin(ctx, sinktest.Header()); err != nil {
		t.Fatal(err)
	}
	for _, ev := range sinktest.Events() {
		if err := s.Write(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(ctx, sinktest.Summary()); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	res, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	want := sinktest.Events()
	for i := range want {
		if f, ok := want[i].Payload.(*infer.Face); ok {
			c := *f
			c.Pix = nil
			want[i].Payload = &c
		}
	}
	if diff := cmp.Diff(want, res.Events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sinktest.Header(), res.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		ev   infer.Event
		want string
	}{
		{
			infer.Event{Stamp: ingest.Stamp{At: 1500*time.Millisecond + 499}, Payload: &infer.Cut{Strength: 1.0 / 3}},
			`{"t":1.500000,"dur":0.000000,"seg":0,"kind":"cut","cut":{"strength":0.3333}}`,
		},
		{
			infer.Event{
				Stamp: ingest.Stamp{At: -500, Seg: 2}, Dur: 40 * time.Millisecond, Model: "m", Fixture: true, Short: true,
				Payload: &infer.Sound{Events: []infer.Score{{Index: 1, Label: "a\"\u2028\xff\x01", P: math.NaN()}}, RMS: -1e-9},
			},
			`{"t":-0.000001,"dur":0.040000,"seg":2,"kind":"sound","model":"m","fixture":true,"short":true,` +
				`"sound":{"events":[{"index":1,"label":"a\"\u2028\ufffd\u0001","p":null}],"rms":0.000000}}`,
		},
		{
			infer.Event{Payload: &infer.Face{W: 1, H: 1, Pix: []byte{1, 2, 3}}},
			`{"t":0.000000,"dur":0.000000,"seg":0,"kind":"face","face":{"w":1,"h":1,"voice":0,"used":0.0000,"notice":"` + infer.FaceNotice + `"}}`,
		},
		{
			infer.Event{
				Wall: time.Date(2026, 3, 4, 6, 7, 8, 90, time.FixedZone("", 3600)), Lag: 1234567 * time.Nanosecond,
				Payload: &infer.Cut{},
			},
			`{"t":0.000000,"dur":0.000000,"seg":0,"kind":"cut","wall":"2026-03-04T05:07:08.00000009Z","lag":0.001235,"cut":{"strength":0.0000}}`,
		},
	} {
		got, err := AppendEvent(nil, &tt.ev)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != tt.want {
			t.Errorf("got\n%s\nwant\n%s", got, tt.want)
		}
	}
}

// Seconds agree with exact rational arithmetic, over the whole range.
func TestSecondsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64().Draw(t, "ns")
		got := string(AppendSeconds(nil, time.Duration(ns)))
		want := new(big.Rat).SetFrac64(ns, 1e9).FloatString(6) // halves away from zero
		if want == "-0.000000" {
			want = "0.000000"
		}
		if got != want {
			t.Fatalf("%d ns: %s, want %s", ns, got, want)
		}
	})
}

// Every string is one that encoding/json reads back, invalid bytes replaced.
func TestStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "runes") {
			s = rapid.String().Draw(t, "s")
		}
		b := appendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		var want strings.Builder
		for _, r := range s {
			want.WriteRune(r) // invalid bytes come as U+FFFD, one each
		}
		if got != want.String() || !utf8.Valid(b) {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func TestWriteDoesNotAllocate(t *testing.T) {
	s := New(t.TempDir())
	ctx := context.Background()
	if err := s.Begin(ctx, sinktest.Header()); err != nil {
		t.Fatal(err)
	}
	evs := sinktest.Events()
	write := func() {
		for _, ev := range evs {
			if err := s.Write(ctx, ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	write()
	// One per event is Go's: its address goes to AppendEvent.
	if n := testing.AllocsPerRun(100, write); n > float64(len(evs)) {
		t.Errorf("%v allocations for %d events", n, len(evs))
	}
	if err := s.Close(ctx, sinktest.Summary()); err != nil {
		t.Fatal(err)
	}
}

// A file cut at any byte reads up to its last whole line.
func TestCutAnywhere(t *testing.T) {
	b := file(t)
	for cut := range len(b) {
		whole := bytes.Count(b[:cut], []byte("\n"))
		res, err := Read(bytes.NewReader(b[:cut]))
		if whole == 0 {
			if err == nil {
				t.Fatalf("cut at %d: no error without a header", cut)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if len(res.Events) != whole-1 || res.Ended || res.Truncated != (b[cut-1] != '\n') {
			t.Fatalf("cut at %d, behind %d lines: %d events, ended %v, truncated %v", cut, whole, len(res.Events), res.Ended, res.Truncated)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const head = `{"seehear":1,"source":"x","streams":[],"models":[]}` + "\n"
	const sum = `{"summary":{"complete":true,"duration":1.000000,"segs":1,"frames":0,"samples":0,"moments":0,"events":0,"missing_audio":0.000000,"errors":0,"drops":0}}` + "\n"
	for _, tt := range []struct{ in, want string }{
		{"", "empty"},
		{"{}\n", "line 1: version 0"},
		{"nonsense\n", "line 1: invalid character"},
		{`{"seehear":2}` + "\n", "version 2"},
		{head + "{}\n", "line 2: neither an event"},
		{head + `{"t":1,"dur":0,"seg":0,"kind":"sound"}` + "\n", `line 2: kind "sound" without a payload`},
		{head + `{"t":1e3,"kind":"cut","cut":{}}` + "\n", "not a time"},
		{head + `{"t":99999999999999,"kind":"cut","cut":{}}` + "\n", "not a time"},
		{head + `{"t":1,"kind":"heatmap","heatmap":{"w":2,"h":2,"grid":"AAAA"}}` + "\n", "heat map of 2x2 with 3 values"},
		{head + sum + sum, "line 3: behind the summary"},
		{head + strings.Repeat("x", maxLine+1), "longer than"},
	} {
		_, err := Read(strings.NewReader(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: %v, want %q", tt.in, err, tt.want)
		}
	}
}

// file returns the bytes of a complete run.
func file(t testing.TB) []byte {
	h, sum := sinktest.Header(), sinktest.Summary()
	b := appendHeader(nil, &h)
	for _, ev := range sinktest.Events() {
		var err error
		if b, err = AppendEvent(b, &ev); err != nil {
			t.Fatal(err)
		}
		b = append(b, '\n')
	}
	return appendSummary(b, &sum)
}

// What can be read can be written and read again, the same.
func FuzzRead(f *testing.F) {
	b := file(f)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(`{"seehear":1,"source":"","streams":[{"index":0,"kind":"video","codec":"x","frame_rate":"1/0"}],"models":[]}` + "\n"))
	f.Add([]byte("{\"seehear\":1}\n{\"t\":-0.0000001,\"kind\":\"cut\",\"cut\":{\"strength\":1e300}}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in))
		if err != nil {
			return
		}
		h := r.Header()
		again := appendHeader(nil, &h)
		n := 0
		for {
			var ev infer.Event
			if ev, err = r.Next(); errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			n++
			if again, err = AppendEvent(again, &ev); err != nil {
				t.Fatalf("read but not written: %v", err)
			}
			again = append(again, '\n')
		}
		res, err := Read(bytes.NewReader(again))
		if err != nil {
			t.Fatalf("written but not read: %v\n%s", err, again)
		}
		if len(res.Events) != n {
			t.Fatalf("%d events became %d", n, len(res.Events))
		}
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	ev := infer.Event{Model: "localize", Payload: &infer.Heatmap{W: 20, H: 20, Grid: make([]byte, 400), Method: "semantic"}}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = AppendEvent(buf[:0], &ev)
	}
}

package jsonl

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/sinktest"
)

// Every file is valid by itself, and together they hold every event once, in
// order; the oldest go when there are too many.
func TestRotation(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    Rotation
		step time.Duration // between events
	}{
		{"size", Rotation{MaxBytes: 1000}, time.Second},
		{"age", Rotation{MaxAge: time.Minute}, 9 * time.Second},
		{"same time", Rotation{MaxBytes: 1000}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, now := t.TempDir(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			tt.r.Now = func() time.Time { return now }
			s := NewRotating(dir, tt.r)
			ctx := context.Background()
			if err := s.Begin(ctx, sinktest.Header()); err != nil {
				t.Fatal(err)
			}
			var want []infer.Event
			for i := range 100 {
				ev := infer.Event{
					Source: sinktest.Header().Source, Stamp: ingest.Stamp{At: time.Duration(i) * time.Second}, Dur: time.Second, Lag: 120 * time.Millisecond,
					Wall: now, Payload: &infer.Cut{Strength: 0.5},
				}
				want = append(want, ev)
				if err := s.Write(ctx, ev); err != nil {
					t.Fatal(err)
				}
				now = now.Add(tt.step)
			}
			if err := s.Close(ctx, sinktest.Summary()); err != nil {
				t.Fatal(err)
			}
			names, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(names) < 8 || len(names) > 25 {
				t.Fatalf("%d files, %v", len(names), err)
			}
			slices.SortFunc(names, func(a, b string) int { // -2 before -10
				return cmp2(len(a), len(b), a, b)
			})
			var got []infer.Event
			for i, name := range names {
				sinktest.ValidateFile(t, name)
				f, err := os.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				res, err := Read(f)
				f.Close()
				if err != nil || !res.Ended || res.Summary.Events != int64(len(res.Events)) {
					t.Fatalf("%s: %v, %d events, summary %+v", name, err, len(res.Events), res.Summary)
				}
				if last := i == len(names)-1; last != (res.Summary.Error != GoesOn) {
					t.Errorf("%s: error %q", name, res.Summary.Error)
				}
				got = append(got, res.Events...)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func cmp2(la, lb int, a, b string) int {
	switch {
	case la != lb:
		return la - lb
	case a < b:
		return -1
	}
	return 1
}

func TestRotationExpires(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	other := filepath.Join(dir, "results.jsonl")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewRotating(dir, Rotation{MaxAge: time.Second, MaxFiles: 3, Now: func() time.Time { return now }})
	ctx := context.Background()
	if err := s.Begin(ctx, sinktest.Header()); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := s.Write(ctx, infer.Event{Payload: &infer.Cut{}}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	if err := s.Close(ctx, sinks.Summary{}); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "results-*"))
	want := filepath.Join(dir, "results-20260102T030411.000Z.jsonl")
	if len(names) != 4 || names[0] != want { // and the one that was open
		t.Errorf("left are %v", names)
	}
	if !exists(other) {
		t.Error("a file of another name is gone")
	}
}

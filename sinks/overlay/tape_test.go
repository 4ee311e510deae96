package overlay

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// marksOf returns all marks of a tape.
func marksOf[T any](t testing.TB, s *Sink, of *tape[T]) (all []mark[T]) {
	t.Helper()
	c, err := of.cursor(s.spool)
	if err != nil {
		t.Fatal(err)
	}
	end := ingest.Stamp{At: math.MaxInt64, Seg: math.MaxUint32}
	for {
		_, passed, err := c.step(end)
		if err != nil {
			t.Fatal(err)
		}
		if !passed {
			return all
		}
		all = append(all, c.held)
	}
}

// TestTape: at any stamp the cursor shows the latest mark up to it, if that holds
// there, in whatever order the marks came.
func TestTape(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		spool := sinks.NewSpool(dir)
		defer spool.Close()
		stamp := func(at int) ingest.Stamp {
			return ingest.Stamp{At: time.Duration(at % 500), Seg: uint32(at / 500)}
		}
		n := rapid.SampledFrom([]int{0, 1, tapeBlock - 1, tapeBlock, tapeBlock + 1, 3*tapeBlock + 5}).Draw(t, "marks")
		places := rapid.SliceOfN(rapid.IntRange(0, 1499), n, n).Draw(t, "places")
		if !rapid.Bool().Draw(t, "jumbled") {
			slices.Sort(places)
		}
		lasts := rapid.IntRange(0, 20).Draw(t, "lasts")
		var tp tape[int32]
		var want []mark[int32]
		for i, at := range places {
			m := mark[int32]{Stamp: stamp(at), Value: int32(i)}
			if lasts > 0 {
				m.Until = m.At + time.Duration(lasts)
			}
			if err := tp.add(spool, m); err != nil {
				t.Fatal(err)
			}
			want = append(want, m)
		}
		slices.SortStableFunc(want, func(a, b mark[int32]) int { return compare(a.Stamp, b.Stamp) })
		c, err := tp.cursor(spool)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < 1500; at += rapid.IntRange(1, 200).Draw(t, "step") {
			s := stamp(at)
			var expect *mark[int32]
			for i := range want {
				if !s.Before(want[i].Stamp) {
					expect = &want[i]
				}
			}
			if expect != nil && (expect.Seg != s.Seg || expect.Until != 0 && s.At >= expect.Until) {
				expect = nil
			}
			got, err := c.at(s)
			if err != nil {
				t.Fatal(err)
			}
			if (got == nil) != (expect == nil) || got != nil && *got != *expect {
				t.Fatalf("at %v: %v, want %v", s, got, expect)
			}
		}
	})
}

// TestTapeFails: what cannot be read from the spool is an error, not a mark.
func TestTapeFails(t *testing.T) {
	spool := sinks.NewSpool(t.TempDir())
	var tp tape[int32]
	for i := range tapeBlock + 1 {
		if err := tp.add(spool, mark[int32]{Stamp: ingest.Stamp{At: time.Duration(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	spool.Close()
	c, err := tp.cursor(spool)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.at(ingest.Stamp{At: 5}); err == nil {
		t.Errorf("got %v from a spool that is closed", m)
	}
	tp.jumbled = true
	if _, err := tp.cursor(spool); err == nil {
		t.Error("marks of a spool that is closed were sorted")
	}
}

// TestHours writes two hours of results of all kinds: the sink holds next to
// nothing of them, and the second pass finds each of them where it belongs.
func TestHours(t *testing.T) {
	const hours, step = 2 * time.Hour, 100 * time.Millisecond
	s := New(Config{Dir: t.TempDir(), Open: small().open, Videos: []Video{{Name: VideoName}}, Heatmaps: AtCuts, ThumbWidth: 32})
	t.Cleanup(s.Release)
	ctx := t.Context()
	if err := s.Begin(ctx, sinks.Header{}); err != nil {
		t.Fatal(err)
	}
	write := func(at, dur time.Duration, p infer.Payload) {
		if err := s.Write(ctx, infer.Event{Stamp: ingest.Stamp{At: at}, Dur: dur, Payload: p}); err != nil {
			t.Fatal(err)
		}
	}
	labels := []string{"rain", "dog", "bell", "violin", "door"}
	sound := func(i int) *infer.Sound { // never the same twice in a row
		p := &infer.Sound{Scenes: []infer.Score{{Label: labels[i%5], P: 0.5}}}
		for k := range 5 {
			p.Events = append(p.Events, infer.Score{Label: labels[(i+k)%5], P: float64(90-10*k-i%7) / 100})
		}
		return p
	}
	grid := func(i int) []byte { return []byte{byte(1 + i%250), 0, byte(i >> 8), 1} }
	face := func(i int) *infer.Face {
		return &infer.Face{W: 8, H: 8, Pix: slices.Repeat([]byte{byte(i)}, 3*8*8), Notice: infer.FaceNotice}
	}
	inUse() // what goes with the first collection is not the sink's
	before := inUse()
	n := int(hours / step)
	for i := range n {
		at := time.Duration(i) * step
		write(at, step, &infer.Heatmap{W: 2, H: 2, Grid: grid(i), X: 0.5, Method: "sync"})
		write(at, step, &infer.Heatmap{W: 2, H: 2, Grid: grid(i + 1), Method: "semantic"})
		write(at, step, sound(i))
		write(at, step, &infer.Speech{Voice: i % 9})
		write(at, 0, &infer.Caption{Text: fmt.Sprintf("caption %d", i)})
		write(at, 0, &infer.Cut{})
		if i%10 == 0 {
			write(at, 10*step, face(i))
		}
	}
	if grown := inUse() - before; grown > 256<<10 {
		t.Errorf("%d bytes are held of two hours", grown)
	}
	p, err := newPass(s, sinks.Summary{Complete: true, Duration: hours})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		at := ingest.Stamp{At: time.Duration(i) * step}
		sc, err := p.scene(at)
		if err != nil {
			t.Fatal(err)
		}
		want := hearing(sound(i))
		switch {
		case sc.heats[looks] == nil || sc.heats[moves] == nil || !slices.Equal(sc.heats[moves].grid, grid(i)) || !slices.Equal(sc.heats[looks].grid, grid(i+1)):
			t.Fatalf("heat maps at %v: %+v", at, sc.heats)
		case sc.sound == nil || !slices.Equal(sc.sound.top, want.top) || sc.sound.scene != want.scene:
			t.Fatalf("sound at %v: %+v, want %+v", at, sc.sound, want)
		case sc.voice != i%9 || sc.caption != fmt.Sprintf("caption %d", i):
			t.Fatalf("at %v voice %d, caption %q", at, sc.voice, sc.caption)
		case sc.face == nil || sc.face.Pix[0] != face(i / 10 * 10).Pix[0] || sc.face.Notice != infer.FaceNotice:
			t.Fatalf("face at %v: %+v", at, sc.face)
		}
		if last, due, err := p.latest(at); err != nil || !due || last != at {
			t.Fatalf("PNG at %v: %v %v %v", at, last, due, err)
		}
		if st, due, err := p.thumbs.step(at); err != nil || !due || st != at {
			t.Fatalf("thumbnail at %v: %v %v %v", at, st, due, err)
		}
	}
	if grown := inUse() - before; grown > 1<<20 {
		t.Errorf("%d bytes are held while two hours are drawn", grown)
	}
}

// inUse returns how many bytes of Go's memory are in use.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

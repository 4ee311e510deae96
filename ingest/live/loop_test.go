package live

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seehear/seehear/ingest"
)

// file opens the same file each time.
func file(s tape) Opener {
	return func(context.Context) (ingest.Source, error) {
		again := s
		return again.start(), nil
	}
}

// Each packet comes when it is due, round after round without a step.
func TestLoopKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// As muxed: all the pictures, then all the sound.
		packets := append(frames(0, 25, 0, 40*ms), frames(1, 48, 10*ms, 20*ms)...)
		l, err := Loop(t.Context(), file(tape{streams: []ingest.Stream{video(0), audio(1)}, packets: packets, end: io.EOF, damage: ingest.Damage{Places: 1}}))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		begin := time.Now()
		last := time.Duration(-1)
		for i, p := range read(t, l, 5*len(packets)) {
			round := i / len(packets)
			if p.Seg != uint32(round) || p.PTS < last || p.Changed != nil {
				t.Fatalf("packet %d: %+v after %v", i, p, last)
			}
			if !p.Arrived.Equal(begin.Add(p.PTS)) {
				t.Fatalf("packet %d at %v came at %v", i, p.PTS, p.Arrived.Sub(begin))
			}
			if i%len(packets) == 0 && p.PTS != time.Duration(round)*time.Second {
				t.Fatalf("round %d begins at %v", round, p.PTS)
			}
			if w, exact := l.Wall(ingest.Stamp{At: p.PTS, Seg: p.Seg}); exact || !w.Equal(p.Arrived) {
				t.Fatalf("packet %d happened at %v, came %v", i, w, p.Arrived)
			}
			last = p.PTS
		}
		if d := l.Damage(); d.Places != 5 {
			t.Errorf("%+v", d)
		}
	})
}

// A reader that is slower than the file gets all of it, later and not ever later.
func TestLoopWaitsForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := Loop(t.Context(), file(tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 100, 0, 40*ms), end: io.EOF}))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for i := range 300 {
			p := read(t, l, 1)[0]
			if p.PTS != time.Duration(i)*40*ms {
				t.Fatalf("packet %d: %+v", i, p)
			}
			w, _ := l.Wall(ingest.Stamp{At: p.PTS})
			if late := p.Arrived.Sub(w); late < 0 || late > slack {
				t.Fatalf("packet %d is %v late", i, late)
			}
			time.Sleep(100 * ms)
		}
	})
}

func TestLoopErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams := []ingest.Stream{video(0)}
		if _, err := Loop(t.Context(), script(errDead)); !errors.Is(err, errDead) {
			t.Errorf("%v", err)
		}
		for name, c := range map[string]struct {
			open Opener
			n    int
			want error
		}{
			"empty":  {file(tape{streams: streams, end: io.EOF}), 0, errEmpty},
			"broken": {file(tape{streams: streams, packets: frames(0, 3, 0, 40*ms), end: errDead}), 2, errDead},
			"gone":   {script(&tape{streams: streams, packets: frames(0, 3, 0, 40*ms), end: io.EOF}, errDead), 3, errDead},
		} {
			l, err := Loop(t.Context(), c.open)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for ; err == nil; n++ {
				_, err = l.Read(t.Context())
			}
			if n--; !errors.Is(err, c.want) || n < c.n {
				t.Errorf("%s: %v after %d", name, err, n)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		for name, end := range map[string]func(*Looped, context.CancelFunc) error{
			"close":   func(l *Looped, _ context.CancelFunc) error { _ = l.Close(); return fs.ErrClosed },
			"context": func(_ *Looped, cancel context.CancelFunc) error { cancel(); return context.Canceled },
		} {
			l, err := Loop(t.Context(), file(tape{streams: streams, packets: frames(0, 3, 0, time.Hour), end: io.EOF}))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			read(t, l, 1)
			errs := make(chan error)
			go func() { _, err := l.Read(ctx); errs <- err }()
			synctest.Wait()
			want := end(l, cancel)
			if err := <-errs; !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
			_ = l.Close()
		}
	})
}

// Kept and looped: serve plays files like this.
func TestKeepALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := script(
			&tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 25, 0, 40*ms), end: io.EOF},
			errDead,
			&tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 25, 0, 40*ms), end: io.EOF},
			&tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 25, 0, 40*ms), end: io.EOF},
		)
		begin := time.Now()
		k, err := Keep(t.Context(), func(ctx context.Context) (ingest.Source, error) { return Loop(ctx, inner) }, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		for i, p := range read(t, k, 75) {
			if p.Seg != uint32(i/25) || p.PTS != p.Arrived.Sub(begin) {
				t.Fatalf("packet %d: %+v", i, p)
			}
		}
	})
}

package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/ingest"
)

func TestKeepRunsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		small := video(4)
		small.Width = 32
		refused := errors.New("dial rtsp://user:secret@camera/: refused")
		var phases []Phase
		var causes []string
		k, err := Keep(t.Context(), script(
			refused,
			live(&tape{streams: []ingest.Stream{video(0), audio(1)}, packets: frames(0, 5, 0, 40*ms), end: io.EOF, damage: ingest.Damage{Lost: 3}}),
			refused,
			live(&tape{streams: []ingest.Stream{small, audio(7)}, packets: frames(4, 5, 20*ms, 40*ms), end: errDead, damage: ingest.Damage{Lost: 2}}),
		), Options{OnState: func(s State) {
			phases = append(phases, s.Phase)
			causes = append(causes, s.Cause)
		}})
		if err != nil {
			t.Fatal(err)
		}
		opened := time.Now()
		if d := opened.Sub(begin); d < 125*ms || d > 250*ms {
			t.Errorf("the second attempt came after %v", d)
		}
		got := read(t, k, 5)
		for i, p := range got {
			if p.Seg != 0 || p.Stream != 0 || p.PTS != time.Duration(i)*40*ms || p.Changed != nil || !p.Arrived.Equal(opened.Add(p.PTS)) {
				t.Errorf("packet %d: %+v", i, p)
			}
		}
		got = read(t, k, 5)
		for i, p := range got {
			if p.Seg != 1 || p.Stream != 0 {
				t.Errorf("packet %d: %+v", i, p)
			}
			// The clock ran on with the real time.
			if at := p.Arrived.Sub(opened); p.PTS != at || p.DTS != at {
				t.Errorf("packet %d at %v came at %v", i, p.PTS, at)
			}
			if w, exact := k.Wall(ingest.Stamp{At: p.PTS, Seg: p.Seg}); exact || !w.Equal(p.Arrived) {
				t.Errorf("packet %d happened at %v, came %v", i, w, p.Arrived)
			}
			want := &ingest.Stream{}
			*want = small
			if want.Index = 0; i > 0 {
				want = nil
			}
			if diff := cmp.Diff(want, p.Changed); diff != "" {
				t.Errorf("packet %d changes: %s", i, diff)
			}
		}
		s := k.State()
		if s.Phase != Running || s.Reconnects != 1 || s.Cause != "" {
			t.Errorf("%+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := k.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if d := k.Damage(); d.Lost != 5 {
			t.Errorf("%+v", d)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		want := []Phase{Connecting, Waiting, Connecting, Running, Waiting, Connecting, Waiting, Connecting, Running, Waiting}
		if diff := cmp.Diff(want, phases[:len(want)]); diff != "" {
			t.Error(diff)
		}
		if phases[len(phases)-1] != Closed {
			t.Errorf("ends %v", phases[len(phases)-1])
		}
		if causes[1] != "dial rtsp://REDACTED@camera/: refused" || causes[4] != "the stream ended" {
			t.Errorf("%q", causes)
		}
	})
}

// Nothing for the time of silence is a failure, however the input goes on waiting.
func TestKeepFindsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		k, err := Keep(t.Context(), script(
			live(&tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 25, 0, 40*ms)}),
			live(&tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 2, 0, 9400*ms)}),
		), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		got := read(t, k, 27)
		// 0.96 s, then 9.5 s of silence, then the wait.
		if d := got[25].Arrived.Sub(begin); d < 10460*ms+125*ms || d > 10460*ms+250*ms {
			t.Errorf("the second connection came after %v", d)
		}
		if got[26].Seg != 1 || got[26].PTS != got[26].Arrived.Sub(begin) {
			t.Errorf("%+v", got[26])
		}
	})
}

// An input that opens for ever is given up.
func TestKeepBoundsOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var cause string
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		_, err := Keep(ctx, func(ctx context.Context) (ingest.Source, error) {
			n++
			<-ctx.Done()
			return nil, ctx.Err()
		}, Options{OnState: func(s State) {
			if s.Phase == Waiting {
				cause = s.Cause
			}
		}})
		if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
		if n != 3 || cause != "not open within 20s" {
			t.Errorf("%d attempts, %q", n, cause)
		}
	})
}

// Whatever Keep is doing, its ends end it.
func TestKeepEnds(t *testing.T) {
	phases := map[string]func() Opener{
		"reading": func() Opener { return script((&tape{streams: []ingest.Stream{video(0)}})) },
		"waiting": func() Opener {
			return script(&tape{streams: []ingest.Stream{video(0)}, end: io.EOF}, errDead, errDead, errDead, errDead)
		},
		"opening": func() Opener {
			opened := false
			return func(ctx context.Context) (ingest.Source, error) {
				if !opened {
					opened = true
					return (&tape{streams: []ingest.Stream{video(0)}, end: io.EOF}).start(), nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
	}
	ends := map[string]struct {
		end  func(k *Kept, life, read context.CancelFunc)
		want error
	}{
		"close":       {func(k *Kept, _, _ context.CancelFunc) { _ = k.Close() }, fs.ErrClosed},
		"its context": {func(_ *Kept, life, _ context.CancelFunc) { life() }, context.Canceled},
		"the call's":  {func(_ *Kept, _, read context.CancelFunc) { read() }, context.Canceled},
	}
	for phase, open := range phases {
		for end, e := range ends {
			t.Run(phase+" "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					life, endLife := context.WithCancel(t.Context())
					defer endLife()
					call, endCall := context.WithCancel(t.Context())
					defer endCall()
					k, err := Keep(life, open(), Options{})
					if err != nil {
						t.Fatal(err)
					}
					errs := make(chan error)
					go func() { _, err := k.Read(call); errs <- err }()
					time.Sleep(300 * ms)
					synctest.Wait()
					before := time.Now()
					e.end(k, endLife, endCall)
					if err := <-errs; !errors.Is(err, e.want) {
						t.Errorf("%v, want %v", err, e.want)
					}
					if d := time.Since(before); d != 0 {
						t.Errorf("it took %v", d)
					}
					if err := k.Close(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// A context that served one call does not trouble the next.
func TestKeepTakesAContextPerCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := Keep(t.Context(), script(live(&tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 25, 0, 40*ms)})), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		for i := range 25 {
			ctx, cancel := context.WithCancel(t.Context())
			p, err := k.Read(ctx)
			cancel()
			if err != nil || p.Seg != 0 || p.PTS != time.Duration(i)*40*ms {
				t.Fatalf("%+v, %v", p, err)
			}
		}
	})
}

// A kind of stream that was not there at first gets a place, one that is gone comes
// back to its own, and each time the first packet of each stream says so.
func TestKeepStreamsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := audio(9)
		begins := frames(9, 1, 60*ms, 20*ms)
		begins[0].Changed = &late
		k, err := Keep(t.Context(), script(
			live(&tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 2, 0, 40*ms), end: io.EOF}),
			live(&tape{streams: []ingest.Stream{video(2), audio(0)}, packets: append(frames(2, 2, 0, 40*ms), frames(0, 2, 50*ms, 20*ms)...), end: io.EOF}),
			live(&tape{streams: []ingest.Stream{audio(0)}, packets: frames(0, 1, 0, 40*ms), end: io.EOF}),
			// The sound begins in the midst of it, another of the kind is left out.
			live(&tape{streams: []ingest.Stream{video(1)}, packets: slices.Concat(frames(1, 2, 0, 40*ms), begins, frames(5, 1, 70*ms, 0), frames(9, 1, 80*ms, 20*ms))}),
		), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		for i, want := range []struct {
			stream  int
			changed bool
			streams string
		}{
			{0, false, "video 0"},
			{0, false, "video 0"},
			{0, true, "video 0, audio 1"},
			{0, false, "video 0, audio 1"},
			{1, true, "video 0, audio 1"},
			{1, false, "video 0, audio 1"},
			{1, true, "audio 1"},
			{0, true, "video 0"},
			{0, false, "video 0"},
			{1, true, "video 0, audio 1"},
			{1, false, "video 0, audio 1"},
		} {
			p := read(t, k, 1)[0]
			var now []string
			for _, s := range k.Streams() {
				now = append(now, fmt.Sprintf("%v %d", s.Kind, s.Index))
			}
			if got := strings.Join(now, ", "); p.Stream != want.stream || (p.Changed != nil) != want.changed || got != want.streams {
				t.Errorf("packet %d: %+v of %s, want %+v", i, p, got, want)
			}
			if p.Changed != nil && p.Changed.Index != p.Stream {
				t.Errorf("packet %d: %+v is stream %d", i, p.Changed, p.Stream)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := k.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if k.line.left != 1 {
			t.Errorf("%d packets were left out", k.line.left)
		}
	})
}

// An input that has more by now is opened anew, ever less often where that is in
// vain.
func TestKeepOpensAnewForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var inputs []any
		for range 4 {
			inputs = append(inputs, live(&tape{streams: []ingest.Stream{video(0)}, packets: frames(0, 100, 0, time.Second), more: true}))
		}
		var causes []string
		k, err := Keep(t.Context(), script(append(inputs, live(&tape{streams: []ingest.Stream{video(0), audio(1)}, packets: frames(0, 2, 0, 40*ms)}))...), Options{
			OnState: func(s State) {
				if s.Phase == Waiting {
					causes = append(causes, s.Cause)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		var opened []time.Duration
		seg := uint32(0)
		for len(k.Streams()) < 2 {
			if p := read(t, k, 1)[0]; p.Seg != seg {
				seg = p.Seg
				opened = append(opened, p.Arrived.Sub(begin).Round(time.Second))
			}
		}
		if diff := cmp.Diff([]time.Duration{0, 10 * time.Second, 30 * time.Second, 70 * time.Second}, opened, cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() <= 3*time.Second })); diff != "" {
			t.Error(diff)
		}
		if len(causes) != 4 || causes[0] != "another stream has appeared" {
			t.Errorf("%q", causes)
		}
	})
}

func TestBackoff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{}.withDefaults()
		n := rapid.IntRange(1, 1<<20).Draw(t, "failures")
		dry := time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "dry"))
		want := 30 * time.Second
		if dry < 10*time.Minute {
			want = 2 * time.Second
		}
		if n < 8 {
			want = min(want, 250*ms<<(n-1))
		}
		if d := b.wait(n, dry); d > want || d < want/2 {
			t.Fatalf("%v after %d failures and %v without anything, want at most %v", d, n, dry, want)
		}
	})
}

// Over any inputs, At never falls back, Seg counts, and each input keeps its own
// distances.
func TestKeepNeverFallsBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var steps []any
		total, lengths := 0, []int{}
		for range rapid.IntRange(1, 5).Draw(rt, "inputs") {
			if rapid.Bool().Draw(rt, "fails") {
				steps = append(steps, errDead)
			}
			n := rapid.IntRange(0, 4).Draw(rt, "packets")
			var p []ingest.Packet
			at := time.Duration(0)
			for range n {
				at += time.Duration(rapid.Int64Range(0, int64(200*ms)).Draw(rt, "step"))
				p = append(p, ingest.Packet{PTS: at, DTS: ingest.NoTime, Dur: time.Duration(rapid.Int64Range(0, int64(100*ms)).Draw(rt, "dur"))})
			}
			tp := &tape{streams: []ingest.Stream{video(0)}, packets: p, end: io.EOF}
			if rapid.Bool().Draw(rt, "paced") {
				live(tp)
			}
			steps = append(steps, tp)
			if total += n; n > 0 {
				lengths = append(lengths, n)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			k, err := Keep(t.Context(), script(steps...), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			got := read(t, k, total)
			for seg, n := range lengths {
				for i, p := range got[:n] {
					if p.Seg != uint32(seg) {
						t.Fatalf("packet %d of input %d is of seg %d", i, seg, p.Seg)
					}
				}
				if rest := got[n:]; len(rest) > 0 {
					for _, p := range got[:n] {
						if p.PTS+p.Dur > rest[0].PTS {
							t.Fatalf("seg %d goes to %v, the next one begins at %v", seg, p.PTS+p.Dur, rest[0].PTS)
						}
					}
				}
				got = got[n:]
			}
		})
	})
}

package seehear

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

func TestRun(t *testing.T) {
	s, k := film(2, 100), &keep{t: t}
	var reached time.Duration
	sum, err := Run(t.Context(), Pipeline{
		Open: s.open, Source: "http://me:secret@example.org/film.mp4", Families: families(), Sinks: []sinks.Sink{k},
		Cuts: true, Gaps: true,
		Progress: func(at time.Duration) { reached = at },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, k)
	want := sinks.Summary{
		Complete: true, Duration: 4 * time.Second, Segs: 2, Frames: 200, Samples: 64000,
		// Per Seg: 100 frames, 63 hops of which 1 is too short, 125 of speech,
		// 20 periods and a cut; and a jump.
		Moments: 2*(100+63+125+20+1) + 1,
	}
	want.Events = want.Moments + 2*4 // each family's count
	if sum != want {
		t.Errorf("summary %+v\nwant    %+v", sum, want)
	}
	if k.sum != sum {
		t.Errorf("the sink was told %+v", k.sum)
	}
	if reached != 3960*time.Millisecond {
		t.Errorf("progress %v", reached)
	}
	if len(k.header.Models) != 4 || len(k.header.Streams) != 2 || strings.Contains(k.header.Source, "secret") {
		t.Errorf("header %+v", k.header)
	}
	if int64(len(k.lines)) != sum.Events {
		t.Errorf("%d lines", len(k.lines))
	}
	if strings.Contains(strings.Join(k.lines, "\n"), "secret") {
		t.Error("the source is not redacted")
	}
	if len(s.out.Sizes) != 2 || len(s.out.Sounds) != 2 {
		t.Errorf("outputs %+v", s.out)
	}
	if i := slices.IndexFunc(k.events, func(e infer.Event) bool { return e.Seg == 1 }); k.events[i].Payload.Kind() != "gap" || k.events[i+1].Payload.Kind() != "cut" {
		t.Errorf("the second segment begins with %s", k.lines[i:i+2])
	}
	for _, f := range families() {
		if n := f.(*counter).open.Load(); n != 0 {
			t.Errorf("%d states left open", n)
		}
	}
}

// The results do not depend on the number of workers or processors.
func TestSameEverywhere(t *testing.T) {
	run := func(workers, procs int) []string {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		s, k := film(3, 60), &keep{t: t}
		if _, err := Run(t.Context(), Pipeline{
			Open: s.open, Source: "film", Families: families(), Sinks: []sinks.Sink{k},
			Cuts: true, Gaps: true, Workers: workers,
		}); err != nil {
			t.Fatal(err)
		}
		s.check(t, k)
		return k.lines
	}
	want := run(1, 1)
	for _, c := range [][2]int{{0, 1}, {0, 2}, {1, 2}, {3, 2}, {17, 2}, {200, 1}} {
		if got := run(c[0], c[1]); !slices.Equal(got, want) {
			t.Errorf("%d workers on %d processors: other results", c[0], c[1])
		}
	}
}

// Results that wait for a slow moment do not keep its successors' pictures.
func TestPicturesDoNotWait(t *testing.T) {
	s := film(1, 200)
	f := &slow{counter: counter{name: "slow", need: infer.Need{Cadence: align.EveryFrame, Image: decode.Size{W: 16, H: 16}}}, over: make(chan struct{})}
	f.held = s.pool.Held
	k := &keep{t: t}
	if _, err := Run(t.Context(), Pipeline{Open: s.open, Source: "film", Families: []infer.Family{f}, Sinks: []sinks.Sink{k}, Workers: 2}); err != nil {
		t.Fatal(err)
	}
	s.check(t, k)
	// The queue's, two that are looked at, and what the aligner and the reader have
	// in hand.
	if f.most > waiting+8 {
		t.Errorf("%d pictures were held while %d moments waited, with a queue of %d", f.most, slowFor, waiting)
	}
}

// slow takes for its first moment as long as for slowFor others, and notes how
// many pictures there are then.
type slow struct {
	counter
	held func() int64
	most int64
	over chan struct{}
}

const slowFor = 50

func (f *slow) Infer(_ context.Context, m *align.Moment) (infer.Output, error) {
	if f.infers.Add(1) == slowFor {
		f.most = f.held()
		close(f.over)
	}
	if m.At == 0 {
		<-f.over
	}
	return m.At.String(), nil
}

func (f *slow) Resolve(ctx context.Context, st infer.State, m *align.Moment, out infer.Output) ([]infer.Event, error) {
	if m.Frame != nil || m.Image.Pix != nil {
		return nil, errors.New("the picture is still there")
	}
	return f.counter.Resolve(ctx, st, m, out)
}

func TestSourceFails(t *testing.T) {
	s, k := film(1, 50), &keep{t: t}
	s.failAt, s.failure = 41, errors.New("read https://me:secret@example.org/: connection reset")
	sum, err := Run(t.Context(), Pipeline{Open: s.open, Source: "film", Families: families(), Sinks: []sinks.Sink{k}})
	if !errors.Is(err, s.failure) {
		t.Errorf("error %v", err)
	}
	s.check(t, k)
	if sum.Complete || sum.Frames != 21 || !strings.Contains(sum.Error, "connection reset") || strings.Contains(sum.Error, "secret") {
		t.Errorf("summary %+v", sum)
	}
	if k.sum != sum {
		t.Errorf("the sink was told %+v", k.sum)
	}
	if !slices.ContainsFunc(k.lines, func(l string) bool { return strings.Contains(l, "frames seg 0 at 800ms") }) {
		t.Error("the last frame that was decoded is missing from the results")
	}
	if !slices.ContainsFunc(k.lines, func(l string) bool { return strings.Contains(l, "in segment 0") }) {
		t.Error("the families were not finished")
	}
}

func TestNothingDecoded(t *testing.T) {
	s, k := &script{streams: film(1, 1).streams}, &keep{t: t}
	s.packets = append(s.packets, func(*script) []decode.Unit { return nil },
		func(*script) []decode.Unit { return []decode.Unit{{End: &decode.End{Kind: ingest.Video}}} })
	sum, err := Run(t.Context(), Pipeline{Open: s.open, Families: families(), Sinks: []sinks.Sink{k}})
	if !errors.Is(err, decode.ErrNothingDecoded) || sum.Complete || sum.Error == "" {
		t.Errorf("error %v, summary %+v", err, sum)
	}
	s.check(t, k)
	if k.begun != 0 {
		t.Error("the sink was begun")
	}
}

func TestOpenFails(t *testing.T) {
	fail, k := errors.New("open film: no such file"), &keep{t: t}
	sum, err := Run(t.Context(), Pipeline{
		Open:  func(context.Context, decode.Outputs) (*decode.Reader, error) { return nil, fail },
		Sinks: []sinks.Sink{k},
	})
	if !errors.Is(err, fail) || sum.Complete || k.begun != 0 {
		t.Errorf("error %v, summary %+v, %d Begin", err, sum, k.begun)
	}
}

func TestUnusableNeed(t *testing.T) {
	s := film(1, 1)
	_, err := Run(t.Context(), Pipeline{Open: s.open, Families: []infer.Family{&counter{need: infer.Need{Cadence: 99}}}})
	if err == nil || !strings.Contains(err.Error(), "unknown cadence") {
		t.Errorf("error %v", err)
	}
	s.check(t)
}

func TestSinkFails(t *testing.T) {
	for name, bad := range map[string]*keep{
		"begin": {t: t, begin: errSink}, "write": {t: t, failAt: 7}, "close": {t: t, end: errSink},
	} {
		t.Run(name, func(t *testing.T) {
			s, good := film(1, 30), &keep{t: t}
			sum, err := Run(t.Context(), Pipeline{Open: s.open, Families: families(), Sinks: []sinks.Sink{bad, good}})
			if !errors.Is(err, errSink) || !strings.Contains(err.Error(), "keep") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q", err)
			}
			s.check(t, bad, good)
			if sum.Complete || good.sum.Complete || sum.Frames != 30 {
				t.Errorf("summary %+v, the good sink's %+v", sum, good.sum)
			}
			if int64(len(good.lines)) != sum.Events {
				t.Errorf("the good sink has %d of %d events", len(good.lines), sum.Events)
			}
		})
	}
}

// Without a sink left to write to, the rest of the film is not looked at.
func TestAllSinksFail(t *testing.T) {
	s, a, b := film(1, 5000), &keep{t: t, failAt: 3}, &keep{t: t, failAt: 5}
	sum, err := Run(t.Context(), Pipeline{Open: s.open, Families: families(), Sinks: []sinks.Sink{a, b}})
	if !errors.Is(err, errSink) || errors.Is(err, errNoSink) || errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	s.check(t, a, b)
	if sum.Frames > 1000 {
		t.Errorf("%d frames were decoded for nobody", sum.Frames)
	}
}

func TestFamilyFails(t *testing.T) {
	for _, place := range []string{"infer", "resolve"} {
		t.Run(place, func(t *testing.T) {
			s, k := film(1, 2000), &keep{t: t}
			fs := families()
			if place == "infer" {
				fs[0].(*counter).failAt = 20
			} else {
				fs[0].(*counter).resolve = func(m *align.Moment) error {
					if m.At >= 760*time.Millisecond {
						return errFamily
					}
					return nil
				}
			}
			sum, err := Run(t.Context(), Pipeline{Open: s.open, Source: "film", Families: fs, Sinks: []sinks.Sink{k}, Workers: 1})
			if !errors.Is(err, errFamily) || err.Error() != "seehear: film: frames (frames-1) at 0.760 s: the graph blew up" {
				t.Errorf("error %v", err)
			}
			s.check(t, k)
			if sum.Complete || k.sum != sum || sum.Frames > 500 || len(k.lines) == 0 {
				t.Errorf("summary %+v, the sink's %+v, %d lines", sum, k.sum, len(k.lines))
			}
		})
	}
}

// Cancelling returns promptly, whatever is going on.
func TestCancel(t *testing.T) {
	for _, where := range []string{"first read", "read", "infer"} {
		t.Run(where, func(t *testing.T) {
			s, k := film(1, 400), &keep{t: t}
			fs := families()
			switch where {
			case "first read":
				s.packets = append([]func(*script) []decode.Unit{func(*script) []decode.Unit { return nil }}, s.packets...)
				s.hangAt = 1
			case "read":
				s.hangAt = 101
			default:
				fs[2].(*counter).failAt, fs[2].(*counter).hang = 30, true
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			began := time.Now()
			sum, err := Run(ctx, Pipeline{Open: s.open, Families: fs, Sinks: []sinks.Sink{k}})
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), ";") {
				t.Errorf("error %v", err)
			}
			s.check(t, k)
			if sum.Complete || k.sum.Complete {
				t.Errorf("summary %+v, the sink's %+v", sum, k.sum)
			}
		})
	}
}

// A soft stop finishes what was read, even if a read must be broken off for it.
func TestSoftStop(t *testing.T) {
	s, k := film(1, 400), &keep{t: t}
	s.hangAt = 101
	soft := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(soft) })
	sum, err := Run(t.Context(), Pipeline{Open: s.open, Families: families(), Sinks: []sinks.Sink{k}, Soft: soft})
	if err != nil {
		t.Errorf("error %v", err)
	}
	s.check(t, k)
	if sum.Complete || sum.Error != Stopped || sum.Frames != 51 || k.sum != sum {
		t.Errorf("summary %+v, the sink's %+v", sum, k.sum)
	}
	if n := len(slices.DeleteFunc(slices.Clone(k.events), func(e infer.Event) bool { return e.Model != "frames" })); n != 52 {
		t.Errorf("%d events of 51 frames and the end", n)
	}
}

func TestSoftStopBefore(t *testing.T) {
	s, k := film(1, 4), &keep{t: t}
	soft := make(chan struct{})
	close(soft)
	sum, err := Run(t.Context(), Pipeline{Open: s.open, Sinks: []sinks.Sink{k}, Soft: soft})
	if err != nil || sum.Complete || sum.Error != Stopped || k.begun != 0 {
		t.Errorf("error %v, summary %+v, %d Begin", err, sum, k.begun)
	}
	s.check(t, k)
}

// only returns s without the other stream.
func (s *script) only(k ingest.Kind) *script {
	for i, p := range s.packets {
		s.packets[i] = func(s *script) []decode.Unit {
			return slices.DeleteFunc(p(s), func(u decode.Unit) bool {
				drop := u.Frame != nil && k == ingest.Audio || u.Block != nil && k == ingest.Video || u.End != nil && u.End.Kind != k
				if drop {
					u.Release()
				}
				return drop
			})
		}
	}
	s.streams = slices.DeleteFunc(s.streams, func(st ingest.Stream) bool { return st.Kind != k })
	return s
}

// A family is called for what it can use, and for the rest only if it asks.
func TestOneStream(t *testing.T) {
	sound := decode.Sound{Rate: 8000, Channels: 1}
	image := decode.Size{W: 16, H: 16}
	fams := func(partial bool) []infer.Family {
		return []infer.Family{
			&counter{name: "pair", need: infer.Need{Cadence: align.EveryFrame, Period: 500 * time.Millisecond, Image: image, Sound: sound, Window: 100, Partial: partial}},
			&counter{name: "image", need: infer.Need{Cadence: align.EveryPeriod, Period: 500 * time.Millisecond, Image: image, Partial: partial}},
			&counter{name: "sound", need: infer.Need{Cadence: align.EveryHop, Hop: 4000, Sound: sound, Window: 4000, Partial: partial}},
		}
	}
	for _, c := range []struct {
		kind    ingest.Kind
		partial bool
		want    []int64
	}{
		{ingest.Audio, false, []int64{0, 0, 4}},
		{ingest.Audio, true, []int64{4, 4, 4}},
		{ingest.Video, false, []int64{0, 4, 0}},
		{ingest.Video, true, []int64{50, 4, 0}},
	} {
		s, fs := film(1, 50).only(c.kind), fams(c.partial)
		sum, err := Run(t.Context(), Pipeline{Open: s.open, Families: fs, Cuts: true, Gaps: true})
		if err != nil {
			t.Fatal(err)
		}
		s.check(t)
		for i, f := range fs {
			if got := f.(*counter).infers.Load(); got != c.want[i] {
				t.Errorf("%v only, partial %t: %s called %d times, want %d", c.kind, c.partial, f.(*counter).name, got, c.want[i])
			}
		}
		if sum.MissingAudio != 0 || sum.Duration != 2*time.Second {
			t.Errorf("summary %+v", sum)
		}
	}
}

// A live source does not wait: moments that nobody has time for are dropped,
// counted, and released.
func TestLive(t *testing.T) {
	s, k := film(1, 500), &keep{t: t}
	s.live = true
	fs := families()[:1]
	fs[0].(*counter).resolve = func(*align.Moment) error { time.Sleep(time.Millisecond); return nil }
	sum, err := Run(t.Context(), Pipeline{Open: s.open, Families: fs, Sinks: []sinks.Sink{k}, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, k)
	if sum.Drops == 0 || sum.Moments+sum.Drops != 500 || !k.header.Live {
		t.Errorf("summary %+v", sum)
	}
}

// However many events of however many kinds: the order of the sinks' events is
// that of the moments, segment by segment.
func TestOrder(t *testing.T) {
	s, k := film(2, 50), &keep{t: t}
	if _, err := Run(t.Context(), Pipeline{Open: s.open, Families: families(), Sinks: []sinks.Sink{k}, Workers: 8}); err != nil {
		t.Fatal(err)
	}
	var last ingest.Stamp
	ended := false // a family has finished its segment
	for i, e := range k.events {
		finish := strings.Contains(k.lines[i], " in segment ")
		if e.Seg > last.Seg {
			ended = false
		} else if !finish && (ended || e.Before(last)) {
			t.Fatalf("%s after %v", k.lines[i], last)
		}
		if finish {
			ended = true
			continue
		}
		last = e.Stamp
	}
}

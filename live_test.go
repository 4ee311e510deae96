package seehear

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// pace makes a script live: two packets, of picture and sound, every 40 ms of the
// time in a synctest bubble.
type pace struct {
	*script
	began time.Time
}

func (p *pace) Read(ctx context.Context) (ingest.Packet, error) {
	if p.next == len(p.packets) {
		return ingest.Packet{}, io.EOF
	}
	n := p.next
	at := time.Duration(n/2) * 40 * time.Millisecond
	select {
	case <-time.After(time.Until(p.began.Add(at))):
	case <-ctx.Done():
		return ingest.Packet{}, ctx.Err()
	}
	p.next++
	return ingest.Packet{Stream: n % 2, PTS: at, DTS: at, Arrived: time.Now()}, nil
}

func (p *pace) Wall(s ingest.Stamp) (time.Time, bool) { return p.began.Add(s.At), true }

type paceDecoder struct{ p *pace }

func (d paceDecoder) Decode(dst []decode.Unit, p *ingest.Packet) ([]decode.Unit, error) {
	if p != nil {
		p.Stream = d.p.next - 1
	}
	return scriptDecoder{d.p.script}.Decode(dst, p)
}
func (d paceDecoder) Stats() decode.Stats { return d.p.stats }
func (d paceDecoder) Close() error        { return nil }

func (p *pace) open(_ context.Context, out decode.Outputs) (*decode.Reader, error) {
	p.out, p.live, p.began = out, true, time.Now()
	return decode.NewReader(p, paceDecoder{p}), nil
}

// weary is a family whose looks take time.
type weary struct {
	counter
	cost    time.Duration
	edge    func() time.Duration // of the source
	stalest atomic.Int64         // how far behind the edge a look began
	running *atomic.Int64
	most    *atomic.Int64
}

func (s *weary) Infer(ctx context.Context, m *align.Moment) (infer.Output, error) {
	if s.running != nil {
		n := s.running.Add(1)
		defer s.running.Add(-1)
		for old := s.most.Load(); n > old && !s.most.CompareAndSwap(old, n); old = s.most.Load() {
		}
	}
	if s.edge != nil {
		if d := int64(s.edge() - m.At); d > s.stalest.Load() {
			s.stalest.Store(d)
		}
	}
	time.Sleep(s.cost)
	return s.counter.Infer(ctx, m)
}

// needs are looks at each frame and, five times a second, at a large one.
func slowFamilies(small, large time.Duration) []*weary {
	return []*weary{
		{cost: small, counter: counter{name: "small", need: infer.Need{Cadence: align.EveryFrame, Image: decode.Size{W: 16, H: 16}, Sound: decode.Sound{Rate: 8000, Channels: 1}, Window: 1000, Place: align.End}}},
		{cost: large, counter: counter{name: "large", need: infer.Need{Cadence: align.EveryPeriod, Period: 200 * time.Millisecond, Image: decode.Size{W: 32, H: 32}}}},
	}
}

// Eight sources that together ask for several times what two slots can do: each
// gets its share, none of its needs is starved, what is looked at is new, and
// every moment was either looked at or counted as dropped.
func TestFairOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sources, seconds = 8, 10
		fair := NewFair(2)
		var running, most atomic.Int64
		var all sync.WaitGroup
		looked := make([][]int64, sources)
		for i := range sources {
			p := &pace{script: film(1, 25*seconds)}
			fams := slowFamilies(5*time.Millisecond, 90*time.Millisecond)
			mon := new(Monitor)
			var list []infer.Family
			for _, f := range fams {
				f.running, f.most = &running, &most
				f.edge = func() time.Duration { return mon.Status().At.At }
				list = append(list, f)
			}
			k := &keep{t: t}
			all.Go(func() {
				sum, err := Run(t.Context(), Pipeline{Open: p.open, Source: fmt.Sprint(i), Families: list, Sinks: []sinks.Sink{k}, Fair: fair, Monitor: mon})
				if err != nil {
					t.Error(err)
				}
				p.check(t, k)
				st := mon.Status()
				for j, want := range []int64{25 * seconds, 5 * seconds} {
					n := fams[j].infers.Load()
					looked[i] = append(looked[i], n)
					if n+st.Drops[fams[j].name] != want {
						t.Errorf("source %d, %s: %d looked at and %d dropped of %d", i, fams[j].name, n, st.Drops[fams[j].name], want)
					}
				}
				if sum.Drops != st.Drops["small"]+st.Drops["large"] || sum.Moments != st.Moments || sum.Moments != looked[i][0]+looked[i][1] {
					t.Errorf("summary %+v, status %+v", sum, st)
				}
				// The moment of a period waits at most a period before the next
				// one takes its place, and three frames for the cut detector.
				if d := time.Duration(fams[1].stalest.Load()); d > 400*time.Millisecond {
					t.Errorf("source %d: a look began %v behind the edge", i, d)
				}
			})
		}
		all.Wait()
		if most.Load() != 2 {
			t.Errorf("%d looks at once, want 2", most.Load())
		}
		for j := range looked[0] {
			var mean float64
			for i := range sources {
				mean += float64(looked[i][j]) / sources
			}
			for i := range sources {
				if r := float64(looked[i][j]) / mean; r < 0.8 || r > 1.2 {
					t.Errorf("source %d has %d looks of need %d, the mean is %.1f", i, looked[i][j], j, mean)
				}
			}
		}
		// Neither need starves the other: the small one alone would take half of
		// its source's share, the large one could take it all twice over.
		if small, large := looked[0][0], looked[0][1]; small < 25*seconds/2 || large < 5*seconds/4 {
			t.Errorf("the small need was looked at %d times, the large one %d times", small, large)
		}
	})
}

// A slow family holds up no other one, and loses only its own moments.
func TestLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, k, mon := &pace{script: film(1, 500)}, &keep{t: t}, new(Monitor)
		time.AfterFunc(10*time.Second, func() {
			if st := mon.Status(); st.FPS != 25 || st.At.At < 9900*time.Millisecond {
				t.Errorf("in the middle: %+v", st)
			}
		})
		fams := slowFamilies(time.Millisecond, 3*time.Second)
		_, err := Run(t.Context(), Pipeline{Open: p.open, Families: []infer.Family{fams[0], fams[1]}, Sinks: []sinks.Sink{k}, Monitor: mon, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		p.check(t, k)
		st := mon.Status()
		if n := fams[0].infers.Load(); n != 500 || st.Drops["small"] != 0 {
			t.Errorf("the quick family looked %d times, %d dropped", n, st.Drops["small"])
		}
		if n := fams[1].infers.Load(); n+st.Drops["large"] != 100 || n < 6 {
			t.Errorf("the slow one looked %d times, %d dropped", n, st.Drops["large"])
		}
		if st.Lag < 3*time.Second || st.LagP95 != 41*time.Millisecond || st.Speed["small-1"] != time.Millisecond || st.Speed["large-1"] != 3*time.Second {
			t.Errorf("status %+v", st)
		}
		var frames int
		for _, e := range k.events {
			switch {
			case e.Model == "small" && strings.Contains(e.Payload.(*said).text, ":"):
				frames++
				// The frame behind it tells how long it is seen, then a look.
				if e.Lag != 41*time.Millisecond || !e.Wall.Equal(p.began.Add(e.At)) {
					t.Fatalf("event at %v: lag %v, wall %v", e.At, e.Lag, e.Wall.Sub(p.began))
				}
			}
			if frames > 490 {
				break // the last ones come with the end
			}
		}
	})
}

// What a need owes of a Seg comes when the next one begins, even if it sees
// nothing of that.
func TestLaneLeavesSeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := film(1, 50)
		for i := range 100 { // a second Seg without sound
			s.packets = append(s.packets, func(s *script) []decode.Unit { return []decode.Unit{s.frame(1, 50+i)} },
				func(*script) []decode.Unit { return nil })
		}
		p, k := &pace{script: s}, &keep{t: t}
		hops := &counter{name: "hops", need: infer.Need{Cadence: align.EveryHop, Hop: 800, Sound: decode.Sound{Rate: 8000, Channels: 1}, Window: 800}}
		frames := &counter{name: "frames", need: infer.Need{Cadence: align.EveryFrame, Image: decode.Size{W: 16, H: 16}}}
		_, err := Run(t.Context(), Pipeline{Open: p.open, Families: []infer.Family{hops, frames}, Sinks: []sinks.Sink{k}, Align: align.Options{MaxLag: 500 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		p.check(t, k)
		owed := slices.IndexFunc(k.lines, func(l string) bool { return strings.Contains(l, "20 in segment 0") })
		last := slices.IndexFunc(k.lines, func(l string) bool { return strings.Contains(l, "frames seg 1 at 4s") })
		if owed < 0 || last < 0 || owed > last {
			t.Errorf("what was owed is line %d, the middle of the next segment line %d", owed, last)
		}
		if n := hops.open.Load() + frames.open.Load(); n != 0 {
			t.Errorf("%d states left open", n)
		}
	})
}

// A sink that hangs loses events and holds up nobody.
func TestSlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, k, mon := &pace{script: film(1, 1000)}, &keep{t: t}, new(Monitor)
		stuck := &hang{keep: keep{t: t}, until: 39 * time.Second}
		fams := slowFamilies(time.Millisecond, time.Millisecond)
		sum, err := Run(t.Context(), Pipeline{Open: p.open, Families: []infer.Family{fams[0]}, Sinks: []sinks.Sink{stuck, k}, Monitor: mon})
		if err != nil {
			t.Fatal(err)
		}
		p.check(t, k, &stuck.keep)
		if len(k.events) != 1001 { // one more at the end
			t.Errorf("the other sink has %d events", len(k.events))
		}
		lost := mon.Status().Drops["events"]
		if lost == 0 || int64(len(stuck.events))+lost != 1001 || sum.Drops != lost {
			t.Errorf("the stuck sink has %d events, %d are counted as lost, %d in all", len(stuck.events), lost, sum.Drops)
		}
	})
}

// hang is a sink whose first write takes long.
type hang struct {
	keep
	until time.Duration
	once  sync.Once
}

func (h *hang) Write(ctx context.Context, e infer.Event) error {
	h.once.Do(func() { time.Sleep(h.until) })
	return h.keep.Write(ctx, e)
}

// The tap gets every frame and block, also in the form that it asked for.
func TestTap(t *testing.T) {
	for _, live := range []bool{false, true} {
		s := film(1, 50)
		s.live = live
		size, sound := decode.Size{W: 48, H: 32}, decode.Sound{Rate: 48000, Channels: 2}
		var frames, blocks int
		tap := &Tap{Size: size, Sound: sound, Unit: func(u decode.Unit) {
			switch {
			case u.Frame != nil:
				if u.Frame.At != time.Duration(frames)*40*time.Millisecond || len(u.Frame.Images) != len(s.out.Sizes) {
					t.Errorf("frame %d at %v with %d images", frames, u.Frame.At, len(u.Frame.Images))
				}
				frames++
			case u.Block != nil && s.out.Sounds[u.Block.Sound] == sound:
				blocks++
			}
		}}
		if _, err := Run(t.Context(), Pipeline{Open: s.open, Families: families(), Tap: tap}); err != nil {
			t.Fatal(err)
		}
		s.check(t)
		if frames != 50 || blocks != 50 || !slices.Contains(s.out.Sizes, size) {
			t.Errorf("live %t: %d frames, %d blocks, sizes %v", live, frames, blocks, s.out.Sizes)
		}
	}
}

// Whatever the sources ask for: while all of them want more than there is, each
// gets its share of the time, and never are more slots taken than there are.
func TestFairShares(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		slots := rapid.IntRange(1, 3).Draw(rt, "slots")
		sources := rapid.IntRange(slots+1, 8).Draw(rt, "sources")
		costs := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(1, 20), slots+1, slots+3), sources, sources).Draw(rt, "costs")
		synctest.Test(t, func(*testing.T) {
			f := NewFair(slots)
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			defer cancel()
			var busy, most atomic.Int64
			had := make([]atomic.Int64, sources)
			var wg sync.WaitGroup
			for i, list := range costs {
				p := new(party)
				for _, ms := range list {
					c, cost := newClaim(p), time.Duration(ms)*time.Millisecond
					wg.Go(func() {
						for f.acquire(ctx, c) == nil {
							if n := busy.Add(1); n > most.Load() {
								most.Store(n)
							}
							time.Sleep(cost)
							busy.Add(-1)
							had[i].Add(int64(cost))
							f.release(c, cost)
						}
					})
				}
			}
			wg.Wait()
			if f.busy != 0 || len(f.waiting) != 0 || most.Load() != int64(slots) {
				rt.Errorf("%d slots taken, %d waiting, %d of %d at once", f.busy, len(f.waiting), most.Load(), slots)
			}
			mean := 4 * time.Second * time.Duration(slots) / time.Duration(sources)
			for i := range had {
				if d := (time.Duration(had[i].Load()) - mean).Abs(); d > mean/10 {
					rt.Errorf("source %d had %v, the share is %v (costs %v)", i, time.Duration(had[i].Load()), mean, costs)
				}
			}
		})
	})
}

// A source that was quiet may not catch up on what it did not use.
func TestFairNoCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFair(1)
		busy, idle := newClaim(new(party)), newClaim(new(party))
		turn := func(c *claim, d time.Duration) {
			if err := f.acquire(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(d)
			f.release(c, d)
		}
		for range 1000 {
			turn(busy, 10*time.Millisecond)
		}
		var order []byte
		var wg sync.WaitGroup
		var mu sync.Mutex
		for name, c := range map[byte]*claim{'b': busy, 'i': idle} {
			wg.Go(func() {
				for range 20 {
					if err := f.acquire(t.Context(), c); err != nil {
						t.Error(err)
					}
					mu.Lock()
					order = append(order, name)
					mu.Unlock()
					time.Sleep(10 * time.Millisecond)
					f.release(c, 10*time.Millisecond)
				}
			})
		}
		wg.Wait()
		if n := strings.Count(string(order[:20]), "i"); n < 9 || n > 12 {
			t.Errorf("order %s", order)
		}
	})
}

package seehear

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a source whose packets carry a number each, and the decoder that
// makes units of that number.
type script struct {
	pool    decode.Pool
	streams []ingest.Stream
	packets []func(s *script) []decode.Unit
	failAt  int   // packet number at which Read fails with failure
	failure error // nil: never
	hangAt  int   // packet number at which Read waits for its context; 0: never
	live    bool

	next   int
	out    decode.Outputs
	stats  decode.Stats
	closed atomic.Int32
}

func (s *script) Streams() []ingest.Stream { return s.streams }
func (s *script) Live() bool               { return s.live }

func (s *script) Read(ctx context.Context) (ingest.Packet, error) {
	if err := ctx.Err(); err != nil {
		return ingest.Packet{}, err
	}
	if s.failure != nil && s.next == s.failAt {
		return ingest.Packet{}, s.failure
	}
	if s.hangAt > 0 && s.next == s.hangAt {
		<-ctx.Done()
		return ingest.Packet{}, ctx.Err()
	}
	if s.next == len(s.packets) {
		return ingest.Packet{}, io.EOF
	}
	s.next++
	return ingest.Packet{Stream: s.next - 1}, nil
}

func (s *script) Close() error { s.closed.Add(1); return nil }

type scriptDecoder struct{ s *script }

func (d scriptDecoder) Decode(dst []decode.Unit, p *ingest.Packet) ([]decode.Unit, error) {
	if p == nil {
		return dst, nil
	}
	for _, u := range d.s.packets[p.Stream](d.s) {
		if u.Frame != nil {
			d.s.stats.Frames++
		}
		if u.Block != nil && u.Block.Sound == 0 {
			d.s.stats.Samples += int64(len(u.Block.PCM.Data))
		}
		dst = append(dst, u)
	}
	return dst, nil
}

func (d scriptDecoder) Stats() decode.Stats { return d.s.stats }
func (d scriptDecoder) Close() error        { return nil }

func (s *script) open(_ context.Context, out decode.Outputs) (*decode.Reader, error) {
	s.out, s.next, s.stats = out, 0, decode.Stats{}
	return decode.NewReader(s, scriptDecoder{s}), nil
}

func (s *script) frame(seg uint32, n int) decode.Unit {
	var sizes [][2]int
	for range s.out.Sizes {
		sizes = append(sizes, [2]int{16, 16})
	}
	f := s.pool.Frame(sizes)
	f.Stamp, f.Dur = ingest.Stamp{At: time.Duration(n) * 40 * time.Millisecond, Seg: seg}, 40*time.Millisecond
	for i := range f.Images {
		for j := range f.Images[i].Pix {
			f.Images[i].Pix[j] = byte(n)
		}
	}
	return decode.Unit{Frame: f}
}

// sound makes one block per form, 40 ms long, in place n.
func (s *script) sound(seg uint32, n int) []decode.Unit {
	var us []decode.Unit
	for i, o := range s.out.Sounds {
		rate := o.Rate
		if rate == 0 {
			rate = 8000
		}
		b := s.pool.Block(rate, 1, rate/25)
		b.Stamp, b.Sound = ingest.Stamp{At: time.Duration(n) * 40 * time.Millisecond, Seg: seg}, i
		for j := range b.PCM.Data {
			b.PCM.Data[j] = float32(n%20) / 20
		}
		us = append(us, decode.Unit{Block: b})
	}
	return us
}

// film is a script of n frames per Seg with their sound.
func film(segs, n int) *script {
	s := &script{streams: []ingest.Stream{{Index: 0, Kind: ingest.Video}, {Index: 1, Kind: ingest.Audio, SampleRate: 8000, Channels: 1}}}
	for g := range segs {
		for i := range n {
			s.packets = append(s.packets,
				func(s *script) []decode.Unit { return []decode.Unit{s.frame(uint32(g), i)} },
				func(s *script) []decode.Unit { return s.sound(uint32(g), i) })
		}
		s.packets = append(s.packets, func(*script) []decode.Unit {
			at := ingest.Stamp{At: time.Duration(n) * 40 * time.Millisecond, Seg: uint32(g)}
			return []decode.Unit{{End: &decode.End{Stamp: at, Kind: ingest.Video}}, {End: &decode.End{Stamp: at, Kind: ingest.Audio}}}
		})
	}
	return s
}

// said is the payload of the families below.
type said struct{ text string }

func (*said) Kind() string { return "said" }

// counter is a family that checks the order of its calls: its state counts.
type counter struct {
	name    string
	need    infer.Need
	failAt  int64 // of Infer calls
	hang    bool
	infers  atomic.Int64
	open    atomic.Int64 // states opened less those finished
	resolve func(m *align.Moment) error
}

type count struct {
	n    int
	last ingest.Stamp
}

func (c *counter) Models() []infer.Info {
	return []infer.Info{{Family: c.name, Name: c.name + "-1", Version: "1"}}
}
func (c *counter) Need() infer.Need { return c.need }
func (c *counter) Open() infer.State {
	c.open.Add(1)
	return &count{last: ingest.Stamp{At: -time.Hour}}
}

var errFamily = errors.New("the graph blew up")

func (c *counter) Infer(ctx context.Context, m *align.Moment) (infer.Output, error) {
	n := c.infers.Add(1)
	if c.failAt > 0 && n >= c.failAt {
		if c.hang {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, errFamily
	}
	// Moments that take unequally long must still come out in order.
	for range int(m.At/time.Millisecond) % 7 {
		runtime.Gosched()
	}
	sum := 0.0
	if m.Wave.PCM != nil {
		for _, v := range m.Wave.PCM.Data {
			sum += float64(v)
		}
	}
	return fmt.Sprintf("%s seg %d at %v sum %.3f missing %v", c.name, m.Seg, m.At, sum, m.Wave.Missing), nil
}

func (c *counter) Resolve(_ context.Context, st infer.State, m *align.Moment, out infer.Output) ([]infer.Event, error) {
	s := st.(*count)
	if s.n > 0 && !s.last.Before(m.Stamp) {
		return nil, fmt.Errorf("moment %v after %v", m.Stamp, s.last)
	}
	if s.n > 0 && s.last.Seg != m.Seg {
		return nil, fmt.Errorf("state of segment %d used in %d", s.last.Seg, m.Seg)
	}
	s.n, s.last = s.n+1, m.Stamp
	if c.resolve != nil {
		if err := c.resolve(m); err != nil {
			return nil, err
		}
	}
	return []infer.Event{{Stamp: m.Stamp, Dur: m.Dur, Model: c.name, Payload: &said{fmt.Sprintf("%d: %s", s.n, out)}}}, nil
}

func (c *counter) Finish(_ context.Context, st infer.State) ([]infer.Event, error) {
	c.open.Add(-1)
	s := st.(*count)
	return []infer.Event{{Stamp: s.last, Model: c.name, Payload: &said{fmt.Sprintf("%d in segment %d", s.n, s.last.Seg)}}}, nil
}

// keep is a sink that keeps everything as text and checks the order of calls.
type keep struct {
	t      testing.TB
	failAt int // of Write calls, from 1
	begin  error
	end    error

	mu     sync.Mutex
	begun  int
	closed int
	failed bool
	header sinks.Header
	lines  []string
	events []infer.Event
	sum    sinks.Summary
}

var errSink = errors.New("disk full")

func (k *keep) Begin(_ context.Context, h sinks.Header) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begun++
	k.header = h
	k.failed = k.begin != nil
	return k.begin
}

func (k *keep) Write(ctx context.Context, e infer.Event) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.begun != 1 || k.closed > 0 || k.failed {
		k.t.Errorf("Write after %d Begin, %d Close, failed %t", k.begun, k.closed, k.failed)
	}
	if k.failAt > 0 && len(k.lines)+1 == k.failAt {
		k.failed = true
		return errSink
	}
	text := fmt.Sprintf("%d/%v+%v %s %s", e.Seg, e.At, e.Dur, e.Source, e.Payload.Kind())
	if s, ok := e.Payload.(*said); ok {
		text += " " + s.text
	}
	k.lines = append(k.lines, text)
	k.events = append(k.events, e)
	return ctx.Err()
}

func (k *keep) Close(_ context.Context, sum sinks.Summary) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.begun != 1 || k.closed > 0 {
		k.t.Errorf("Close after %d Begin, %d Close", k.begun, k.closed)
	}
	k.closed++
	k.sum = sum
	return k.end
}

// families are one of each cadence that a model has.
func families() []infer.Family {
	return []infer.Family{
		&counter{name: "frames", need: infer.Need{Cadence: align.EveryFrame, Image: decode.Size{W: 16, H: 16}, Sound: decode.Sound{Rate: 8000, Channels: 1}, Window: 1000}},
		&counter{name: "hops", need: infer.Need{Cadence: align.EveryHop, Hop: 500, Sound: decode.Sound{Rate: 8000, Channels: 1}, Window: 2000, MinWindow: 800}},
		&counter{name: "speech", need: infer.Need{Cadence: align.EveryHop, Hop: 512, Sound: decode.Sound{Rate: 16000, Channels: 1}, Window: 512}},
		&counter{name: "periods", need: infer.Need{Cadence: align.EveryPeriod, Period: 200 * time.Millisecond, Image: decode.Size{W: 32, H: 32}}},
	}
}

// check asserts that nothing is left of a run.
func (s *script) check(t testing.TB, sinks ...*keep) {
	t.Helper()
	if n := s.pool.Held(); n != 0 {
		t.Errorf("%d frames and blocks are held", n)
	}
	if n := s.closed.Load(); n != 1 {
		t.Errorf("source closed %d times", n)
	}
	for i, k := range sinks {
		if k.begun != k.closed {
			t.Errorf("sink %d: %d Begin, %d Close", i, k.begun, k.closed)
		}
	}
}

// Package sourcetest is the suite that every [ingest.Source] must pass. The tests
// of each adapter call [Run] with inputs that end, and [Blocked] with an input
// that stalls.
package sourcetest

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
)

// prompt is how long a source may take to notice that it should stop. It is
// generous, because tests run on busy machines.
const prompt = 5 * time.Second

// Open opens the same input anew. The suite closes what it returns.
type Open func(testing.TB) ingest.Source

// Run checks a source whose input ends.
func Run(t *testing.T, open Open) {
	t.Helper()
	t.Run("streams", func(t *testing.T) { streams(t, open) })
	t.Run("order and end", func(t *testing.T) { order(t, open) })
	t.Run("packets own their bytes", func(t *testing.T) { bytes(t, open) })
	t.Run("ended context", func(t *testing.T) { ended(t, open) })
	t.Run("a context that ends later", func(t *testing.T) { later(t, open) })
	t.Run("close while reading", func(t *testing.T) { closing(t, open) })
}

// Blocked checks a source that opens, yields at most a few packets and then
// stalls for longer than the suite waits.
func Blocked(t *testing.T, open Open) {
	t.Helper()
	t.Run("cancel", func(t *testing.T) {
		src := open(t)
		defer shut(t, src)
		ctx, cancel := context.WithCancel(t.Context())
		errs := drain(ctx, src)
		time.Sleep(50 * time.Millisecond) // let it block; the outcome does not depend on it
		cancel()
		if err := wait(t, errs); !errors.Is(err, context.Canceled) {
			t.Fatalf("a blocked Read whose context ended returned %v", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		src := open(t)
		defer shut(t, src)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := wait(t, drain(ctx, src)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a blocked Read whose deadline passed returned %v", err)
		}
	})
	t.Run("close", func(t *testing.T) {
		src := open(t)
		errs := drain(t.Context(), src)
		time.Sleep(50 * time.Millisecond)
		shut(t, src)
		if err := wait(t, errs); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("a blocked Read whose source was closed returned %v", err)
		}
	})
}

// drain reads until an error, which it sends.
func drain(ctx context.Context, src ingest.Source) <-chan error {
	errs := make(chan error, 1)
	go func() {
		for {
			if _, err := src.Read(ctx); err != nil {
				errs <- err
				return
			}
		}
	}()
	return errs
}

func wait(t *testing.T, errs <-chan error) error {
	t.Helper()
	select {
	case err := <-errs:
		return err
	case <-time.After(prompt):
		t.Fatalf("Read did not return within %v", prompt)
		return nil
	}
}

// shut closes src, which must be quick.
func shut(t testing.TB, src ingest.Source) {
	t.Helper()
	start := time.Now()
	if err := src.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if d := time.Since(start); d > prompt {
		t.Errorf("Close took %v", d)
	}
}

func streams(t *testing.T, open Open) {
	src := open(t)
	defer shut(t, src)
	list := src.Streams()
	if len(list) == 0 {
		t.Fatal("a source without streams")
	}
	seen := map[ingest.Kind]bool{}
	last := -1
	for _, s := range list {
		if s.Index <= last {
			t.Errorf("stream %d follows stream %d", s.Index, last)
		}
		last = s.Index
		if seen[s.Kind] {
			t.Errorf("two %s streams", s.Kind)
		}
		seen[s.Kind] = true
		if s.Codec == "" {
			t.Errorf("stream %d has no codec", s.Index)
		}
		if s.Timebase.Num <= 0 || s.Timebase.Den <= 0 {
			t.Errorf("stream %d has timebase %v", s.Index, s.Timebase)
		}
		switch s.Kind {
		case ingest.Video:
			if s.Width <= 0 || s.Height <= 0 {
				t.Errorf("stream %d is %d×%d", s.Index, s.Width, s.Height)
			}
			if s.Rotation%90 != 0 || s.Rotation < 0 || s.Rotation >= 360 {
				t.Errorf("stream %d is turned by %d", s.Index, s.Rotation)
			}
		case ingest.Audio:
			if s.SampleRate <= 0 || s.Channels <= 0 {
				t.Errorf("stream %d has %d channels at %d Hz", s.Index, s.Channels, s.SampleRate)
			}
		default:
			t.Errorf("stream %d is of kind %v", s.Index, s.Kind)
		}
	}
	_ = src.Live()
}

func order(t *testing.T, open Open) {
	src := open(t)
	defer shut(t, src)
	known := map[int]bool{}
	for _, s := range src.Streams() {
		known[s.Index] = true
	}
	type last struct {
		seg uint32
		dts time.Duration
	}
	at := map[int]last{}
	for n := 0; ; n++ {
		p, err := src.Read(t.Context())
		if errors.Is(err, io.EOF) {
			if n == 0 {
				t.Error("no packet came")
			}
			return
		}
		if err != nil {
			t.Fatalf("packet %d: %v", n, err)
		}
		if !known[p.Stream] {
			t.Fatalf("packet %d is of stream %d, which is not in Streams", n, p.Stream)
		}
		if p.PTS == ingest.NoTime && p.DTS == ingest.NoTime {
			t.Errorf("packet %d has no time at all", n)
		}
		if p.Dur < 0 {
			t.Errorf("packet %d lasts %v", n, p.Dur)
		}
		if p.Changed != nil && p.Changed.Index != p.Stream {
			t.Errorf("packet %d of stream %d changes stream %d", n, p.Stream, p.Changed.Index)
		}
		if l, ok := at[p.Stream]; ok {
			if p.Seg < l.seg {
				t.Errorf("packet %d of stream %d: Seg falls from %d to %d", n, p.Stream, l.seg, p.Seg)
			}
			if p.Seg == l.seg && p.DTS != ingest.NoTime && l.dts != ingest.NoTime && p.DTS < l.dts {
				t.Errorf("packet %d of stream %d: DTS falls from %v to %v", n, p.Stream, l.dts, p.DTS)
			}
		}
		at[p.Stream] = last{p.Seg, p.DTS}
	}
}

var seed = maphash.MakeSeed()

func digest(p ingest.Packet) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.Write(p.Data)
	for _, s := range p.Side {
		_, _ = h.Write(s.Data)
	}
	return h.Sum64()
}

// bytes reads twice: once keeping the packets, once writing over each of them as
// soon as it is read. Neither may show in what comes.
func bytes(t *testing.T, open Open) {
	read := func(use func(*ingest.Packet)) (kept []ingest.Packet, sums []uint64) {
		src := open(t)
		defer shut(t, src)
		for {
			p, err := src.Read(t.Context())
			if errors.Is(err, io.EOF) {
				return kept, sums
			}
			if err != nil {
				t.Fatal(err)
			}
			sums = append(sums, digest(p))
			use(&p)
			kept = append(kept, p)
		}
	}
	kept, sums := read(func(*ingest.Packet) {})
	for i, p := range kept {
		if digest(p) != sums[i] {
			t.Fatalf("packet %d was overwritten after it was read", i)
		}
	}
	again, second := read(func(p *ingest.Packet) {
		for i := range p.Data {
			p.Data[i] ^= 0xff
		}
		for _, s := range p.Side {
			for i := range s.Data {
				s.Data[i] ^= 0xff
			}
		}
	})
	if !slices.Equal(sums, second) {
		t.Fatal("the same input gave other bytes the second time")
	}
	for i, p := range again {
		if q := kept[i]; p.Stream != q.Stream || p.Seg != q.Seg || p.PTS != q.PTS || p.DTS != q.DTS || p.Dur != q.Dur || p.Key != q.Key {
			t.Fatalf("packet %d differs the second time", i)
		}
	}
}

func ended(t *testing.T, open Open) {
	src := open(t)
	defer shut(t, src)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wait(t, drain(ctx, src)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Read with an ended context returned %v", err)
	}
}

// later ends the context of every Read once it has returned: the next one must
// not notice.
func later(t *testing.T, open Open) {
	src := open(t)
	defer shut(t, src)
	for n := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := src.Read(ctx)
		cancel()
		if errors.Is(err, io.EOF) && n > 0 {
			return
		}
		if err != nil {
			t.Fatalf("Read %d: %v", n, err)
		}
	}
}

func closing(t *testing.T, open Open) {
	src := open(t)
	if _, err := src.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	errs := drain(t.Context(), src)
	shut(t, src)
	if err := wait(t, errs); err == nil {
		t.Fatal("no error")
	}
}

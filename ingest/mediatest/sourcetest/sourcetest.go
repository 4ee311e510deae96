// Package sourcetest is the suite that every [ingest.Source] must pass. The tests
// of a source call Run with the clips of mediatest that it can open:
//
//	sourcetest.Run(t, mediatest.ByName(t, "ts-h264-aac"), func(ctx context.Context, c mediatest.Clip) (ingest.Source, error) {
//		return av.Open(ctx, c.File, av.DefaultOptions())
//	})
//
// It checks what the interface promises of calls, order and ownership. Whether
// the stamps are the true ones shows only once packets are decoded: see
// mediatest/truthtest.
package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
)

// Open returns a fresh source of a clip.
type Open func(context.Context, mediatest.Clip) (ingest.Source, error)

// limit is how long a call may take that has nothing to wait for.
const limit = 10 * time.Second

// Run runs the suite with one clip.
func Run(t *testing.T, c mediatest.Clip, open Open) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, mediatest.Clip, Open){
		"packets":  packets,
		"close":    closing,
		"cancel":   cancelling,
		"same way": sameWay,
	} {
		t.Run(name, func(t *testing.T) { test(t, c, open) })
	}
}

func start(t *testing.T, c mediatest.Clip, open Open) ingest.Source {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel() // ends opening only
	src, err := open(ctx, c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
	})
	return src
}

func readAll(t *testing.T, src ingest.Source) []ingest.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var all []ingest.Packet
	for {
		p, err := src.Read(ctx)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("read packet %d: %v", len(all), err)
		}
		all = append(all, p)
	}
}

// packets: streams that make sense, packets of those streams alone, in an order
// that a decoder can follow, that stay as they were handed out.
func packets(t *testing.T, c mediatest.Clip, open Open) {
	src := start(t, c, open)
	streams := map[int]ingest.Stream{}
	kinds := map[ingest.Kind]int{}
	for _, s := range src.Streams() {
		if _, twice := streams[s.Index]; twice || s.Codec == "" || (s.Kind != ingest.Video && s.Kind != ingest.Audio) {
			t.Errorf("stream %+v", s)
		}
		streams[s.Index] = s
		kinds[s.Kind]++
	}
	want := map[ingest.Kind]int{}
	if c.Video != nil {
		want[ingest.Video] = 1
	}
	if c.Audio != nil {
		want[ingest.Audio] = 1
	}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("streams of %v, want %v", kinds, want)
	}
	all := readAll(t, src)
	if !reflect.DeepEqual(src.Streams(), values(src.Streams(), streams)) {
		t.Error("the streams changed meanwhile")
	}
	type last struct {
		seg  uint32
		dts  time.Duration
		seen bool
	}
	before := map[int]last{}
	segs := uint32(0)
	for i, p := range all {
		if _, known := streams[p.Stream]; !known {
			t.Fatalf("packet %d is of stream %d, which nobody announced", i, p.Stream)
		}
		b := before[p.Stream]
		if b.seen && p.Seg < b.seg {
			t.Errorf("packet %d: seg %d after %d", i, p.Seg, b.seg)
		}
		if b.seen && p.Seg == b.seg && p.DTS != ingest.NoTime && b.dts != ingest.NoTime && p.DTS < b.dts {
			t.Errorf("packet %d: DTS %v after %v", i, p.DTS, b.dts)
		}
		if p.PTS != ingest.NoTime && p.DTS != ingest.NoTime && p.PTS < p.DTS {
			t.Errorf("packet %d: shown at %v before it is decoded at %v", i, p.PTS, p.DTS)
		}
		if p.Dur < 0 {
			t.Errorf("packet %d lasts %v", i, p.Dur)
		}
		if len(p.Data) == 0 && len(p.Side) == 0 {
			t.Errorf("packet %d is empty", i)
		}
		before[p.Stream] = last{seg: p.Seg, dts: p.DTS, seen: true}
		segs = max(segs, p.Seg)
	}
	if want := max(len(c.Segs)-1, 0); int(segs) != want {
		t.Errorf("the source jumps %d times, want %d", segs, want)
	}
	for index := range streams {
		if !before[index].seen {
			t.Errorf("no packet of stream %d", index)
		}
	}
	// What Read handed out is the receiver's: nothing wrote to it since.
	again := readAll(t, start(t, c, open))
	for i, p := range all {
		if i < len(again) && !bytes.Equal(p.Data, again[i].Data) {
			t.Fatalf("packet %d is not what it was", i)
		}
	}
}

// values returns the streams of m in the order of like.
func values(like []ingest.Stream, m map[int]ingest.Stream) []ingest.Stream {
	out := make([]ingest.Stream, 0, len(m))
	for _, s := range like {
		out = append(out, m[s.Index])
	}
	return out
}

// sameWay: the same input gives the same packets.
func sameWay(t *testing.T, c mediatest.Clip, open Open) {
	a, b := readAll(t, start(t, c, open)), readAll(t, start(t, c, open))
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%d packets the first time, %d the second, or not the same", len(a), len(b))
	}
}

// closing: Close may come at any time, from another goroutine, and twice.
func closing(t *testing.T, c mediatest.Clip, open Open) {
	src := start(t, c, open)
	if _, err := src.Read(t.Context()); err != nil {
		t.Fatalf("read: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := src.Read(context.Background()); err != nil {
				done <- err
				return
			}
		}
	}()
	if err := src.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatal("Read goes on after Close")
	}
}

// cancelling: the context ends a Read, whatever it is doing.
func cancelling(t *testing.T, c mediatest.Clip, open Open) {
	src := start(t, c, open)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := src.Read(ctx); err != nil {
		t.Fatalf("read: %v", err)
	}
	cancel()
	begin := time.Now()
	_, err := src.Read(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("read with a cancelled context gives %v", err)
	}
	if d := time.Since(begin); d > limit {
		t.Errorf("it took %v", d)
	}
}

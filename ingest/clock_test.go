package ingest

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

var (
	tb90 = Timebase{1, 90000}
	tbms = Timebase{1, 1000}
)

// pushed is one line of a script: stream, PTS, DTS and duration in ticks.
type pushed struct {
	stream        int
	pts, dts, dur int64
}

// run pushes everything and returns a line per packet: stream, Seg, PTS, DTS.
func run(c *Clock, in []pushed) []string {
	var out []string
	pop := func() {
		for {
			p, ok := c.Pop()
			if !ok {
				return
			}
			out = append(out, fmt.Sprintf("%d %d %s %s", p.Stream, p.Seg, show(p.PTS), show(p.DTS)))
		}
	}
	for _, p := range in {
		c.Push(Packet{Stream: p.stream}, Ticks{p.pts, p.dts, p.dur})
		pop()
	}
	c.End()
	pop()
	return out
}

func show(d time.Duration) string {
	if d == NoTime {
		return "-"
	}
	return d.String()
}

func TestClock(t *testing.T) {
	const no = NoTicks
	const wrap = 1 << 33
	tests := []struct {
		name    string
		opt     ClockOptions
		streams []ClockStream
		in      []pushed
		want    string
	}{
		{
			name: "a real offset survives, and an unread stream counts for the zero",
			streams: []ClockStream{
				{Index: 0, Timebase: tbms, Start: 1500},
				{Index: 1, Timebase: tb90, Start: 90000},
				{Index: 2, Timebase: tbms, Start: 700, Unread: true},
			},
			in:   []pushed{{0, 1500, 1500, 40}, {1, 90000, 90000, 1800}},
			want: "0 0 800ms 800ms\n1 0 300ms 300ms",
		},
		{
			name:    "priming may lie below zero",
			streams: []ClockStream{{Index: 1, Timebase: Timebase{1, 48000}, Start: 0}},
			in:      []pushed{{1, -1024, -1024, 1024}, {1, 0, 0, 1024}},
			want:    "1 0 -21.333333ms -21.333333ms\n1 0 0s 0s",
		},
		{
			name:    "without a known start the first packet is the zero",
			streams: []ClockStream{{Index: 0, Timebase: tbms, Start: no}, {Index: 1, Timebase: tbms, Start: no}},
			in:      []pushed{{0, 500, 460, 40}, {1, 480, 480, 20}},
			want:    "0 0 0s -40ms\n1 0 -20ms -20ms",
		},
		{
			name:    "a missing PTS stays missing; a packet without times comes when it is expected",
			streams: []ClockStream{{Index: 0, Timebase: tbms, Start: 0}},
			in:      []pushed{{0, no, 0, 40}, {0, no, no, 40}, {0, no, no, 0}, {0, no, no, 0}, {0, 200, no, 0}},
			want:    "0 0 - 0s\n0 0 - 40ms\n0 0 - 80ms\n0 0 - 120ms\n0 0 200ms -",
		},
		{
			name:    "a wrap is unwrapped, for PTS and DTS on two sides of it as well",
			streams: []ClockStream{{Index: 0, Timebase: tb90, WrapBits: 33, Start: wrap - 7200}},
			in: []pushed{
				{0, wrap - 7200, wrap - 10800, 3600},
				{0, 3600, wrap - 7200, 3600},
				{0, wrap - 3600, wrap - 3600, 3600},
				{0, 0, 0, 3600},
				{0, 7200, 3600, 3600},
			},
			want: "0 0 0s -40ms\n0 0 120ms 0s\n0 0 40ms 40ms\n0 0 80ms 80ms\n0 0 160ms 120ms",
		},
		{
			name:    "a stream that begins behind the wrap",
			streams: []ClockStream{{Index: 0, Timebase: tb90, WrapBits: 33, Start: wrap - 9000}, {Index: 1, Timebase: tb90, WrapBits: 33, Start: no}},
			in:      []pushed{{0, wrap - 9000, wrap - 9000, 9000}, {1, 0, 0, 1800}, {0, 0, 0, 9000}},
			want:    "0 0 0s 0s\n1 0 100ms 100ms\n0 0 100ms 100ms",
		},
		{
			name:    "a jump that has nothing to do with the wrap",
			streams: []ClockStream{{Index: 0, Timebase: tb90, WrapBits: 33, Start: wrap - 9000}},
			in:      []pushed{{0, wrap - 9000, wrap - 9000, 9000}, {0, 90000 * 3600, 90000 * 3600, 9000}},
			want:    "0 0 0s 0s\n0 1 100ms 100ms",
		},
		{
			name: "all streams jump, the new range is laid behind the longest",
			streams: []ClockStream{
				{Index: 0, Timebase: tbms, Start: 1000}, {Index: 1, Timebase: tbms, Start: 1000},
			},
			in: []pushed{
				{0, 1000, 1000, 40},
				{1, 1000, 1000, 50},
				{0, 1040, 1040, 40},
				{0, 90_000, 90_000, 40}, // video jumps first
				{1, 1050, 1050, 50},     // sound has not
				{1, 89_990, 89_990, 50}, // now it has: it is first in the new range
				{0, 90_040, 90_040, 40},
			},
			want: "0 0 0s 0s\n1 0 0s 0s\n0 0 40ms 40ms\n1 0 50ms 50ms\n" +
				"0 1 110ms 110ms\n1 1 100ms 100ms\n0 1 150ms 150ms",
		},
		{
			name:    "backwards, PTS reordered",
			streams: []ClockStream{{Index: 0, Timebase: tbms, Start: 80}},
			in:      []pushed{{0, 5080, 5000, 40}, {0, 5160, 5040, 40}, {0, 5120, 5080, 40}, {0, 80, 0, 40}, {0, 160, 40, 40}, {0, 120, 80, 40}},
			want:    "0 0 5s 4.92s\n0 0 5.08s 4.96s\n0 0 5.04s 5s\n0 1 5.12s 5.04s\n0 1 5.2s 5.08s\n0 1 5.16s 5.12s",
		},
		{
			name:    "a small step back is no jump, decoding order does not fall",
			streams: []ClockStream{{Index: 0, Timebase: tbms, Start: 0}},
			in:      []pushed{{0, 0, 0, 40}, {0, 1000, 1000, 40}, {0, 500, 500, 40}, {0, 1040, 1040, 40}},
			want:    "0 0 0s 0s\n0 0 1s 1s\n0 0 500ms 1s\n0 0 1.04s 1.04s",
		},
		{
			name:    "a hole of one stream is no jump",
			streams: []ClockStream{{Index: 0, Timebase: tbms, Start: 0}, {Index: 1, Timebase: tbms, Start: 0}},
			in: []pushed{
				{0, 0, 0, 4000},
				{1, 0, 0, 20},
				{0, 4000, 4000, 4000},
				{0, 8000, 8000, 4000},
				{0, 12000, 12000, 4000},
				{1, 15000, 15000, 20},
			},
			want: "0 0 0s 0s\n1 0 0s 0s\n0 0 4s 4s\n0 0 8s 8s\n0 0 12s 12s\n1 0 15s 15s",
		},
		{
			name:    "where gaps are real, none is a jump",
			opt:     ClockOptions{Forward: math.MaxInt64},
			streams: []ClockStream{{Index: 0, Timebase: tbms, Start: 0}},
			in:      []pushed{{0, 0, 0, 40}, {0, 7_200_000, 7_200_000, 40}, {0, 5, 5, 40}},
			want:    "0 0 0s 0s\n0 0 2h0m0s 2h0m0s\n0 1 2h0m0.04s 2h0m0.04s",
		},
		{
			name:    "years that only damage can claim",
			opt:     ClockOptions{Forward: 24 * time.Hour},
			streams: []ClockStream{{Index: 0, Timebase: Timebase{1, 1}, Start: 0}},
			in:      []pushed{{0, 0, 0, 1}, {0, 4e9, 4e9, 1}, {0, 8e9, 8e9, 1}, {0, 12e9, 12e9, 1}},
			want:    "0 0 0s 0s\n0 1 1s 1s\n0 2 2s 2s\n0 3 3s 3s",
		},
		{
			name:    "two jumps, one stream lagging through both",
			streams: []ClockStream{{Index: 0, Timebase: tbms, Start: 0}, {Index: 1, Timebase: tbms, Start: 0}},
			in: []pushed{
				{0, 0, 0, 100},
				{1, 0, 0, 100},
				{0, 100_000, 100_000, 100},
				{0, 200_000, 200_000, 100},
				{1, 100_000, 100_000, 100},
				{1, 200_000, 200_000, 100},
				{0, 200_100, 200_100, 100},
			},
			want: "0 0 0s 0s\n1 0 0s 0s\n0 1 100ms 100ms\n1 1 100ms 100ms\n0 2 200ms 200ms\n1 2 200ms 200ms\n0 2 300ms 300ms",
		},
		{
			name:    "a stream that has ended is not waited for",
			streams: []ClockStream{{Index: 0, Timebase: tbms, Start: 0}, {Index: 1, Timebase: tbms, Start: 0}},
			in: []pushed{
				{1, 0, 0, 20}, {0, 0, 0, 6000}, {0, 6000, 6000, 6000}, {0, 500_000, 500_000, 40},
			},
			want: "1 0 0s 0s\n0 0 0s 0s\n0 0 6s 6s\n0 1 12s 12s",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(NewClock(tt.opt, tt.streams...), tt.in)
			if d := cmp.Diff(strings.Split(tt.want, "\n"), got); d != "" {
				t.Fatal(d)
			}
		})
	}
}

// If one stream's clock jumps and the other's never does, both end up in the new
// Seg, and neither goes back in time.
func TestClockStreamThatNeverFollows(t *testing.T) {
	c := NewClock(ClockOptions{}, ClockStream{Index: 0, Timebase: tbms, Start: 0}, ClockStream{Index: 1, Timebase: tbms, Start: 0})
	last := map[int]Packet{}
	check := func() {
		for {
			p, ok := c.Pop()
			if !ok {
				return
			}
			if l, seen := last[p.Stream]; seen && (p.Seg < l.Seg || p.PTS < l.PTS) {
				t.Fatalf("stream %d: %d %v after %d %v", p.Stream, p.Seg, p.PTS, l.Seg, l.PTS)
			}
			last[p.Stream] = p
		}
	}
	for i := range int64(1000) {
		raw := i * 40
		c.Push(Packet{Stream: 0}, Ticks{raw, raw, 40})
		check()
		if i >= 100 {
			raw += 1_000_000
		}
		c.Push(Packet{Stream: 1}, Ticks{raw, raw, 40})
		check()
	}
	c.End()
	check()
	if last[0].Seg != 1 || last[1].Seg != 1 {
		t.Fatalf("Segs %d and %d", last[0].Seg, last[1].Seg)
	}
	if d := last[0].PTS - last[1].PTS; d < -40*ms || d > 40*ms {
		t.Fatalf("they drifted apart by %v", d)
	}
}

// A source of several streams and jumps gets the stamps that can be computed by
// hand, however the container interleaves it.
func TestClockDoesNotDependOnInterleaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "streams")
		segs := rapid.IntRange(1, 4).Draw(t, "segs")
		dur := make([]int64, n)
		for i := range dur {
			dur[i] = rapid.Int64Range(10, 60).Draw(t, "dur")
		}
		type item struct {
			pushed
			seg uint32
			at  time.Duration
		}
		script := make([][]item, n)
		clocks := make([]ClockStream, n)
		var end int64 // At in ms where the Seg before ended
		place := rapid.Permutation([]int64{0, 1, 2, 3}).Draw(t, "places")
		for seg := range segs {
			raw := place[seg] * 1_000_000 // no two ranges touch
			length := rapid.Int64Range(600, 4000).Draw(t, "length")
			start, stop := int64(math.MaxInt64), int64(0)
			first := make([]int64, n)
			for i := range n {
				first[i] = raw + rapid.Int64Range(0, 400).Draw(t, "offset")
				start = min(start, first[i])
			}
			for i := range n {
				if seg == 0 {
					clocks[i] = ClockStream{Index: i, Timebase: tbms, Start: first[i]}
				}
				for at := first[i]; at < raw+length+400; at += dur[i] {
					script[i] = append(script[i], item{pushed{i, at, at, dur[i]}, uint32(seg), time.Duration(end+at-start) * ms})
					stop = max(stop, end+at-start+dur[i])
				}
			}
			end = stop
		}
		c := NewClock(ClockOptions{}, clocks...)
		next := make([]int, n)
		got := make([]int, n)
		check := func() {
			for {
				p, ok := c.Pop()
				if !ok {
					return
				}
				want := script[p.Stream][got[p.Stream]]
				got[p.Stream]++
				if p.Seg != want.seg || p.PTS != want.at || p.DTS != want.at || p.Dur != time.Duration(want.dur)*ms {
					t.Fatalf("stream %d: Seg %d at %v, want %d at %v", p.Stream, p.Seg, p.PTS, want.seg, want.at)
				}
			}
		}
		for {
			// Any stream may go on that is not far ahead of another: containers
			// interleave more finely than they jump.
			least := time.Duration(math.MaxInt64)
			for i := range n {
				if next[i] < len(script[i]) {
					least = min(least, script[i][next[i]].at)
				}
			}
			var may []int
			for i := range n {
				if next[i] < len(script[i]) && script[i][next[i]].at <= least+500*ms {
					may = append(may, i)
				}
			}
			if len(may) == 0 {
				break
			}
			i := rapid.SampledFrom(may).Draw(t, "next")
			it := script[i][next[i]]
			next[i]++
			c.Push(Packet{Stream: i}, Ticks{it.pts, it.dts, it.dur})
			check()
		}
		c.End()
		check()
		for i := range n {
			if got[i] != len(script[i]) {
				t.Fatalf("stream %d: %d of %d packets came out", i, got[i], len(script[i]))
			}
		}
	})
}

func TestClockSteadyStateDoesNotAllocate(t *testing.T) {
	c := NewClock(ClockOptions{}, ClockStream{Index: 0, Timebase: tb90, WrapBits: 33, Start: 0})
	var at int64
	if n := testing.AllocsPerRun(1000, func() {
		c.Push(Packet{}, Ticks{at, at, 3600})
		at += 3600
		c.Pop()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// Whatever a container claims, the clock keeps its promises.
func FuzzClock(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08"), uint8(33))
	f.Add([]byte(strings.Repeat("\x00\x00\x00\x00\x00\x00\x00\x00\x10\x01\xff\xff\xff\xff\xff\xff\xff\x7f", 4)), uint8(0))
	f.Fuzz(func(t *testing.T, script []byte, bits uint8) {
		c := NewClock(ClockOptions{},
			ClockStream{Index: 0, Timebase: tb90, WrapBits: int(bits), Start: NoTicks},
			ClockStream{Index: 1, Timebase: Timebase{1001, 30000}, WrapBits: int(bits % 40), Start: 5},
			ClockStream{Index: 2, Timebase: Timebase{1, 48000}, Start: math.MaxInt64})
		pushed, popped := 0, 0
		var last [3]*Packet
		check := func() {
			for {
				p, ok := c.Pop()
				if !ok {
					return
				}
				popped++
				if l := last[p.Stream]; l != nil {
					if p.Seg < l.Seg {
						t.Fatalf("stream %d: Seg fell from %d to %d", p.Stream, l.Seg, p.Seg)
					}
					if p.Seg == l.Seg && p.DTS != NoTime && l.DTS != NoTime && p.DTS < l.DTS {
						t.Fatalf("stream %d: DTS fell from %v to %v", p.Stream, l.DTS, p.DTS)
					}
				}
				if p.Dur < 0 {
					t.Fatalf("duration %v", p.Dur)
				}
				last[p.Stream] = &p
			}
		}
		for len(script) >= 9 {
			v := int64(binary.LittleEndian.Uint64(script[1:]))
			tk := Ticks{PTS: v, DTS: v, Dur: int64(script[0] >> 4)}
			switch script[0] >> 2 & 3 {
			case 1:
				tk.PTS = NoTicks
			case 2:
				tk.DTS = NoTicks
			case 3:
				tk.PTS = v ^ int64(script[0])<<30
			}
			c.Push(Packet{Stream: int(script[0]&3) % 3, Data: script[:1]}, tk)
			pushed++
			check()
			script = script[9:]
		}
		c.End()
		check()
		if pushed != popped {
			t.Fatalf("%d packets in, %d out", pushed, popped)
		}
	})
}

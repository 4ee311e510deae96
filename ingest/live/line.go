package live

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

/*
Note [One clock over many inputs]

A kept source opens its input again and again, and each opening counts its stamps
from zero. The line lays them one behind the other:

  - Every input begins a new Seg, and so do the jumps within it; Seg counts on.
  - The zero of an input is laid where the clock of the viewer stands: after a
    failure at the last stamp seen plus the real time since, by the monotonic
    clock, and never before the end of what was presented. So At never falls back
    and runs with the real time, however often the input is opened.
  - A looped file leaves no time in between: its next round begins exactly where
    the round before ended presenting.
  - Streams keep the index under which their kind was there first; there is one of
    each kind. Where an input comes back with other parameters, the first packet
    of the stream says so in Changed, and where it comes back with other kinds of
    streams, that of each stream does: Streams says which there are from then on.
    A stream that begins within an input, which its source says in Changed of its
    first packet, gets its place then.
*/

// remembered is of how many inputs Wall can still tell the time.
const remembered = 64

// line places the packets of one input after another on one clock. One goroutine
// stamps; wall may be asked by any.
type line struct {
	streams []ingest.Stream // as each kind was at first
	now     []ingest.Stream // as the receiver knows them
	fresh   []bool          // the next packet is the stream's first of this input
	last    []time.Duration // DTS of the packet before, in the input's time
	step    []time.Duration // from packet to packet, for those without a duration
	index   map[int]int     // the input's index of a stream to its place in streams
	offered []ingest.Stream // the streams of this input, by their place in streams; of kind 0 where it lacks one

	begun bool // an input was there before
	used  bool // a packet of this input was stamped
	base  uint32
	seg   uint32
	off   time.Duration
	end   time.Duration // of what was presented
	// Where the clock stood at the last packet.
	at   time.Duration
	when time.Time
	left int // packets without a place

	mu     sync.Mutex
	inputs []input         // oldest first
	told   []ingest.Stream // what present returns
}

// input is what wall must know of one opening.
type input struct {
	base  uint32 // its Seg 0
	off   time.Duration
	wall  ingest.Walled // nil if it doesn't know
	zero  time.Time     // when its zero happened, by the packet that came soonest
	known bool
}

// begin makes ready for src, whose zero is laid at start.
func (l *line) begin(src ingest.Source, start time.Duration) {
	again := l.begun && !l.used
	if l.used {
		l.base = l.seg + 1
	}
	l.used, l.seg, l.off = false, l.base, start
	l.place(src.Streams())
	l.begun = true
	w, _ := src.(ingest.Walled)
	l.mu.Lock()
	defer l.mu.Unlock()
	if again {
		l.inputs = l.inputs[:len(l.inputs)-1] // it gave nothing
	}
	if len(l.inputs) == remembered {
		l.inputs = append(l.inputs[:0], l.inputs[1:]...)
	}
	l.inputs = append(l.inputs, input{base: l.base, off: start, wall: w})
}

// place takes the streams of the next input.
func (l *line) place(offered []ingest.Stream) {
	for _, o := range offered {
		if !slices.ContainsFunc(l.streams, func(s ingest.Stream) bool { return s.Kind == o.Kind }) {
			l.add(o)
		}
	}
	l.index = map[int]int{}
	was := l.offered
	l.offered = make([]ingest.Stream, len(l.streams))
	for i, s := range l.streams {
		l.fresh[i], l.last[i] = true, ingest.NoTime
		for _, o := range offered {
			if o.Kind == s.Kind {
				l.index[o.Index] = i
				l.offered[i] = as(o, s.Index)
				break
			}
		}
	}
	switch {
	case !l.begun:
		copy(l.now, l.offered)
	case !slices.EqualFunc(was, l.offered, func(a, b ingest.Stream) bool { return a.Kind == b.Kind }):
		clear(l.now) // whatever comes is news
	}
	l.tell()
}

// add gives a kind of stream its place.
func (l *line) add(s ingest.Stream) {
	for slices.ContainsFunc(l.streams, func(o ingest.Stream) bool { return o.Index == s.Index }) {
		s.Index++
	}
	l.streams = append(l.streams, s)
	l.now = append(l.now, ingest.Stream{})
	l.fresh = append(l.fresh, true)
	l.last = append(l.last, ingest.NoTime)
	l.step = append(l.step, 0)
}

// tell notes what present returns.
func (l *line) tell() {
	list := slices.DeleteFunc(slices.Clone(l.offered), func(s ingest.Stream) bool { return s.Kind == 0 })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = list
}

// present returns the streams of the input as they are now. Any goroutine may ask.
func (l *line) present() []ingest.Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

// as is s under another index.
func as(s ingest.Stream, index int) ingest.Stream {
	s.Index = index
	return s
}

// resume is where an input whose first packet is p is laid: as much behind the
// last packet as real time passed between them.
func (l *line) resume(p *ingest.Packet) time.Duration {
	return max(l.end, l.at+p.Arrived.Sub(l.when)-max(shown(p), 0))
}

// move lays the input elsewhere, before its first packet is stamped.
func (l *line) move(start time.Duration) {
	l.off = start
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inputs[len(l.inputs)-1].off = start
}

// shown is when p is presented, or decoded if nothing else is known. Every packet
// of a Source has one of both.
func shown(p *ingest.Packet) time.Duration {
	if p.PTS != ingest.NoTime {
		return p.PTS
	}
	return p.DTS
}

// stamp places p and returns the place of its stream in streams; -1 if it has
// none.
func (l *line) stamp(p *ingest.Packet) int {
	i, ok := l.index[p.Stream]
	if !ok {
		if i = l.grow(p); i < 0 {
			l.left++
			return -1
		}
	}
	l.used = true
	p.Stream = l.streams[i].Index
	l.change(i, p)
	dur := l.length(i, p)
	at := shown(p) + l.off
	if p.PTS != ingest.NoTime {
		p.PTS += l.off
	}
	if p.DTS != ingest.NoTime {
		p.DTS += l.off
	}
	l.seg = max(l.seg, l.base+p.Seg)
	p.Seg += l.base
	if !p.Discard {
		l.end = max(l.end, at+dur)
	}
	return i
}

// grow gives the stream of p its place where p begins it: one of a kind that the
// input had not so far. It returns -1 for any other.
func (l *line) grow(p *ingest.Packet) int {
	if p.Changed == nil || slices.ContainsFunc(l.offered, func(s ingest.Stream) bool { return s.Kind == p.Changed.Kind }) {
		return -1
	}
	i := slices.IndexFunc(l.streams, func(s ingest.Stream) bool { return s.Kind == p.Changed.Kind })
	if i < 0 {
		i = len(l.streams)
		l.add(*p.Changed)
		l.offered = append(l.offered, ingest.Stream{})
	}
	l.index[p.Stream], l.now[i] = i, ingest.Stream{}
	return i
}

// change sets p.Changed where the receiver knows the stream otherwise.
func (l *line) change(i int, p *ingest.Packet) {
	if p.Changed != nil {
		l.offered[i] = as(*p.Changed, l.streams[i].Index)
		p.Changed = nil
		l.fresh[i] = true
		l.tell()
	}
	if !l.fresh[i] {
		return
	}
	l.fresh[i] = false
	if !alike(l.now[i], l.offered[i]) {
		next := l.offered[i]
		p.Changed = &next
	}
	l.now[i] = l.offered[i]
}

// alike reports whether a decoder of a is one of b: what only describes the
// container does not count.
func alike(a, b ingest.Stream) bool {
	for _, s := range []*ingest.Stream{&a, &b} {
		s.Index, s.Timebase, s.BitRate, s.Duration, s.Default, s.FrameRate = 0, ingest.Timebase{}, 0, 0, false, ingest.Timebase{}
		if len(s.Extra) == 0 {
			s.Extra = nil
		}
	}
	return reflect.DeepEqual(a, b)
}

// length is how long p lasts as far as anybody knows.
func (l *line) length(i int, p *ingest.Packet) time.Duration {
	at := p.DTS
	if at == ingest.NoTime {
		at = p.PTS
	}
	if last := l.last[i]; last != ingest.NoTime && at > last && at-last < time.Second {
		l.step[i] = at - last
	}
	l.last[i] = at
	if p.Dur > 0 {
		return p.Dur
	}
	return l.step[i]
}

// arrived notes where the clock stood when p, which is stamped, came, and so when
// the input's zero must have happened: the packet that was under way for the
// shortest time knows best.
func (l *line) arrived(p *ingest.Packet) {
	at := shown(p)
	if p.Discard {
		return
	}
	l.at, l.when = at, p.Arrived
	l.mu.Lock()
	defer l.mu.Unlock()
	in := &l.inputs[len(l.inputs)-1]
	if zero := p.Arrived.Add(l.off - at); !in.known || zero.Before(in.zero) {
		in.zero, in.known = zero, true
	}
}

// wall is [ingest.Walled].
func (l *line) wall(s ingest.Stamp) (time.Time, bool) {
	l.mu.Lock()
	var in input
	for i := len(l.inputs) - 1; i >= 0; i-- {
		if l.inputs[i].base <= s.Seg {
			in = l.inputs[i]
			break
		}
	}
	l.mu.Unlock()
	if !in.known {
		return time.Time{}, false
	}
	at := s.At - in.off
	if in.wall != nil {
		if t, exact := in.wall.Wall(ingest.Stamp{At: at, Seg: s.Seg - in.base}); !t.IsZero() {
			return t, exact
		}
	}
	return in.zero.Add(at).Round(0), false
}

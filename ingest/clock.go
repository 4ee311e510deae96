package ingest

import (
	"math"
	"time"
)

/*
Note [Segments]

A source has one clock. Its zero is the earliest first presented PTS over all
audio and video streams of the container, selected or not, so that a real offset
between picture and sound survives and does not depend on what is selected.
Samples that only prime a decoder are not presented: the packet that holds them
may have a PTS below zero, and the decoder skips them.

Some containers (MPEG-TS, HLS, anything recorded off the air) jump: the stamps of
a stream leave the range in which they ran. Nothing in the media says how much
time really passed, so the clock says what it knows: that there was a jump. It
counts them in Seg.

  - A stream jumps when its DTS (its PTS, where it has no DTS) falls by more than
    Backward, or lies more than Forward beyond what every stream of its Seg
    expects next. A stream that was silent for a while and comes back to where the
    others are has not jumped: it had a hole, and holes stay in their Seg.
  - A wrap at the container's number of bits is no jump: it is unwrapped. Neither
    is a change of size, rate or codec: that is Packet.Changed.
  - The first stream that jumps opens the next Seg. Packets of the other streams
    that still belong to the old range keep the old Seg until they jump as well;
    a stream that jumps joins the oldest later Seg whose range it falls into. Of
    one stream, Seg never falls.
  - The new Seg begins where the old one stopped presenting: its first presented
    PTS is laid on the latest PTS+Dur of the old Seg, over all streams. So At
    never falls back over the whole source, and results have one continuous time.
    To know that end, the packets of the new Seg are held until every active
    stream has jumped, at most Hold of media; this makes the stamps independent of
    how the container interleaves its streams.
  - A stream that does not follow within Hold (its clock never jumped; another
    one's encoder was restarted) is moved over to the new Seg with its old clock
    once it presents beyond the start of that Seg: all streams switch together.
*/

// NoTicks is the missing timestamp of a container, AV_NOPTS_VALUE in FFmpeg.
const NoTicks = math.MinInt64

// Ticks are a packet's times as the container has them, in the stream's Timebase.
type Ticks struct {
	PTS, DTS int64 // NoTicks if missing
	Dur      int64 // 0 if unknown
}

// ClockStream is what the clock must know of one stream.
type ClockStream struct {
	Index    int
	Timebase Timebase
	WrapBits int   // the container's stamps wrap at 1<<WrapBits; 0 or above 62: never
	Start    int64 // first presented PTS, NoTicks if unknown
	// Unread marks a stream that counts for the zero only: no packets of it come.
	Unread bool
}

// ClockOptions says what a jump is. Zero fields take the defaults.
type ClockOptions struct {
	Forward  time.Duration // 10 s; far more where gaps are real, as in MP4
	Backward time.Duration // 1 s
	Hold     time.Duration // 5 s
}

// holdBytes and holdPackets bound what is held at a jump besides ClockOptions.Hold.
const (
	holdBytes   = 64 << 20
	holdPackets = 1 << 14
	// overlap is how far a stream may present beyond the start of the next Seg
	// before it is moved over.
	overlap = 2 * time.Second
	// memory is how many Segs a stream may lie behind and still find its own.
	memory = 16
)

// Clock places the packets of all streams of a source on one clock (see Note
// [Segments]). Push takes packets in the container's order, Pop returns them
// stamped: as a rule the same packet at once, around a jump some later. It is
// pure and belongs to the goroutine that reads the source.
type Clock struct {
	opt     ClockOptions
	streams []*clockStream
	zeroed  bool

	segs []clockSeg // oldest first; the last one is current

	// While holding, the last of segs has no place yet.
	holding   bool
	heldEnd   time.Duration // end of the Seg before, when the jump was seen
	held      []heldPacket
	heldBytes int
	out       []Packet
	head      int
}

type clockStream struct {
	ClockStream
	wraps   int64 // ticks added by unwrapping
	started bool
	seg     uint32
	off     time.Duration // At is the container's time less off
	prev    time.Duration // container's time of the packet before
	next    time.Duration // and what follows it
	step    time.Duration // last positive distance of two packets
	dts     time.Duration // stamp of the packet before, NoTime if none
	first   bool          // the next packet is the first of its Seg
}

// clockSeg is one range of the container's time.
type clockSeg struct {
	seg    uint32
	off    time.Duration
	lo, hi time.Duration // container's times seen
	start  time.Duration // earliest first PTS of its streams, in the container's time
	base   time.Duration // At of start
	end    time.Duration // latest At presented
	used   bool
}

type heldPacket struct {
	p        Packet
	s        *clockStream
	pts, dts time.Duration
}

// NewClock returns the clock of a source with these streams.
func NewClock(opt ClockOptions, streams ...ClockStream) *Clock {
	if opt.Forward <= 0 {
		opt.Forward = 10 * time.Second
	}
	if opt.Backward <= 0 {
		opt.Backward = time.Second
	}
	if opt.Hold <= 0 {
		opt.Hold = 5 * time.Second
	}
	c := &Clock{opt: opt, segs: make([]clockSeg, 1, memory+1)}
	zero := NoTime
	for _, s := range streams {
		if s.WrapBits > 62 || s.WrapBits < 0 {
			s.WrapBits = 0
		}
		if s.Start != NoTicks {
			if t := s.Timebase.Duration(s.Start); zero == NoTime || t < zero {
				zero = t
			}
		}
		if !s.Unread {
			c.streams = append(c.streams, &clockStream{ClockStream: s, dts: NoTime})
		}
	}
	if zero != NoTime {
		c.setZero(zero)
	}
	return c
}

func (c *Clock) setZero(t time.Duration) {
	c.zeroed = true
	c.segs[0].off, c.segs[0].start = t, t
	for _, s := range c.streams {
		s.off = t
	}
}

// Push takes the next packet with its times as the container has them; the
// packet's own times and Seg are overwritten. A packet without any time is put
// where its stream expects the next one, as DTS. It panics for a stream that
// NewClock was not told of.
func (c *Clock) Push(p Packet, t Ticks) {
	s := c.stream(p.Stream)
	dur := max(s.Timebase.Duration(t.Dur), 0)
	pts, dts := c.unwrap(s, t)
	raw := dts
	switch {
	case raw != NoTime:
	case pts != NoTime:
		raw = pts
	case s.started:
		raw, dts = s.next, s.next
	default:
		raw, dts = c.current().off, c.current().off
	}
	if !c.zeroed {
		zero := raw
		if pts != NoTime {
			zero = pts
		}
		c.setZero(zero)
	}
	c.place(s, raw, pts)

	if d := sub(raw, s.prev); s.started && d > 0 && d < c.opt.Forward {
		s.step = d
	}
	s.started, s.prev = true, raw
	p.Dur = dur
	s.next = add(raw, c.length(s, dur))

	if c.holding && s.seg == c.current().seg {
		c.held = append(c.held, heldPacket{p: p, s: s, pts: pts, dts: dts})
		c.heldBytes += len(p.Data)
		if c.mayRelease() {
			c.release()
		}
		return
	}
	c.emit(p, s, pts, dts)
}

// length is how long a packet of s lasts as far as anybody knows. A damaged
// duration must not push what follows out of sight.
func (c *Clock) length(s *clockStream, dur time.Duration) time.Duration {
	if dur == 0 {
		return s.step
	}
	return min(dur, c.opt.Forward)
}

// Pop returns the next stamped packet.
func (c *Clock) Pop() (Packet, bool) {
	if c.head == len(c.out) {
		return Packet{}, false
	}
	p := c.out[c.head]
	c.out[c.head] = Packet{}
	c.head++
	if c.head == len(c.out) {
		c.out, c.head = c.out[:0], 0
	}
	return p, true
}

// End says that no more packets come; Pop returns what was held.
func (c *Clock) End() {
	if c.holding {
		c.release()
	}
}

func (c *Clock) stream(index int) *clockStream {
	for _, s := range c.streams {
		if s.Index == index {
			return s
		}
	}
	panic("ingest: packet of an unknown stream")
}

func (c *Clock) current() *clockSeg { return &c.segs[len(c.segs)-1] }

// find returns the Seg with this number, nil if it is forgotten.
func (c *Clock) find(seg uint32) *clockSeg {
	for i := len(c.segs) - 1; i >= 0; i-- {
		if c.segs[i].seg == seg {
			return &c.segs[i]
		}
	}
	return nil
}

// place decides which Seg the packet at raw belongs to.
func (c *Clock) place(s *clockStream, raw, pts time.Duration) {
	switch {
	case !s.started:
		c.enter(s, c.home(raw))
	case c.jumped(s, raw):
		for i := range c.segs {
			if g := &c.segs[i]; g.seg > s.seg && c.within(g, raw) {
				c.enter(s, g)
				c.touch(s, raw, pts)
				return
			}
		}
		c.open(s)
	}
	c.touch(s, raw, pts)
}

// touch widens the range of the stream's Seg.
func (c *Clock) touch(s *clockStream, raw, pts time.Duration) {
	first := s.first
	s.first = false
	g := c.find(s.seg)
	if g == nil || s.off != g.off {
		return // s runs on a clock of its own
	}
	if !g.used {
		g.used, g.lo, g.hi = true, raw, raw
	}
	g.lo, g.hi = min(g.lo, raw), max(g.hi, raw)
	if first && c.holding && g == c.current() {
		at := pts
		if at == NoTime {
			at = raw
		}
		if g.start == NoTime || at < g.start {
			g.start = at
		}
	}
}

// jumped reports whether raw leaves the range in which s ran.
func (c *Clock) jumped(s *clockStream, raw time.Duration) bool {
	if sub(raw, s.prev) < -c.opt.Backward {
		return true
	}
	if sub(raw, s.next) <= c.opt.Forward {
		return false
	}
	for _, o := range c.streams {
		if o.started && o.seg == s.seg && sub(raw, o.next) <= c.opt.Forward {
			return false
		}
	}
	return true
}

// within reports whether a packet at raw may be one of g.
func (c *Clock) within(g *clockSeg, raw time.Duration) bool {
	return g.used && sub(raw, g.lo) >= -c.opt.Forward && sub(raw, g.hi) <= c.opt.Forward
}

// home returns the Seg for the first packet of a stream: the latest whose range
// it falls into, otherwise the current one.
func (c *Clock) home(raw time.Duration) *clockSeg {
	for i := len(c.segs) - 1; i >= 0; i-- {
		if c.within(&c.segs[i], raw) {
			return &c.segs[i]
		}
	}
	return c.current()
}

func (c *Clock) enter(s *clockStream, g *clockSeg) {
	s.seg, s.off, s.dts, s.first = g.seg, g.off, NoTime, true
}

// open begins the next Seg with stream s.
func (c *Clock) open(s *clockStream) {
	if c.holding {
		c.release()
	}
	if len(c.segs) > memory {
		c.segs = append(c.segs[:0], c.segs[1:]...)
	}
	c.holding = true
	c.heldEnd = c.current().end
	c.segs = append(c.segs, clockSeg{seg: c.current().seg + 1, start: NoTime})
	c.enter(s, c.current())
}

// mayRelease reports whether nothing is left to wait for.
func (c *Clock) mayRelease() bool {
	g := c.current()
	if len(c.held) >= holdPackets || c.heldBytes >= holdBytes || sub(g.hi, g.lo) > c.opt.Hold {
		return true
	}
	for _, s := range c.streams {
		if c.behind(s) {
			return false
		}
	}
	return true
}

// behind reports whether s belongs to a Seg before the current one and may still
// follow: it was there when that Seg stopped. Before its first packet, its start
// says where it is.
func (c *Clock) behind(s *clockStream) bool {
	at := s.prev
	if !s.started {
		if s.Start == NoTicks {
			return false
		}
		at = s.Timebase.Duration(s.Start)
	}
	g := c.find(s.seg)
	return g != nil && s.seg < c.current().seg && sub(g.hi, at) < c.opt.Hold
}

// release lays the held Seg behind the one before and lets its packets go.
func (c *Clock) release() {
	c.holding = false
	g, old := c.current(), &c.segs[len(c.segs)-2]
	g.base = old.end
	for _, s := range c.streams {
		if c.behind(s) {
			// Somebody did not follow; its packets since do not count.
			g.base = c.heldEnd
			break
		}
	}
	g.off = sub(g.start, g.base)
	g.end = g.base
	for _, s := range c.streams {
		if s.seg == g.seg {
			s.off = g.off
		}
	}
	for i, h := range c.held {
		c.emit(h.p, h.s, h.pts, h.dts)
		c.held[i] = heldPacket{}
	}
	c.held, c.heldBytes = c.held[:0], 0
}

// emit stamps p, whose Seg has its place.
func (c *Clock) emit(p Packet, s *clockStream, pts, dts time.Duration) {
	p.PTS, p.DTS = NoTime, NoTime
	shown := dts
	if pts != NoTime {
		p.PTS, shown = sub(pts, s.off), pts
	}
	if dts != NoTime {
		p.DTS = sub(dts, s.off)
	}
	at := sub(shown, s.off)
	if g := c.current(); s.seg < g.seg && !c.holding && at > add(g.base, overlap) {
		s.seg, s.dts = g.seg, NoTime // it does not follow by itself
	}
	if p.DTS != NoTime {
		// A small step back is no jump; decoding order is what it says.
		if s.dts != NoTime && p.DTS < s.dts {
			p.DTS = s.dts
		}
		s.dts = p.DTS
	}
	p.Seg = s.seg
	if g := c.find(s.seg); g != nil {
		g.end = max(g.end, add(at, c.length(s, p.Dur)))
	}
	c.out = append(c.out, p)
}

// unwrap converts the stamps of a packet to nanoseconds, wraps taken out.
func (c *Clock) unwrap(s *clockStream, t Ticks) (pts, dts time.Duration) {
	if s.WrapBits > 0 {
		t.PTS, t.DTS = c.unwrapTicks(s, t.PTS, t.DTS)
	}
	pts, dts = NoTime, NoTime
	if t.PTS != NoTicks {
		pts = s.Timebase.Duration(t.PTS)
	}
	if t.DTS != NoTicks {
		dts = s.Timebase.Duration(t.DTS)
	}
	return pts, dts
}

func (c *Clock) unwrapTicks(s *clockStream, pts, dts int64) (int64, int64) {
	const most = 1 << 62 // beyond it, sums would overflow: such stamps are damaged
	key := dts
	if key == NoTicks {
		key = pts
	}
	if key == NoTicks || key <= -most || key >= most || s.wraps <= -most || s.wraps >= most {
		return pts, dts
	}
	// What the stream expects; before its first packet, what the source has seen.
	want, known := s.next, s.started
	if g := c.current(); !known && g.used {
		want, known = g.hi, true
	}
	if known {
		got := s.Timebase.Duration(key + s.wraps)
		if d := sub(got, want); d > c.opt.Forward || d < -c.opt.Backward {
			k := turns(s.Timebase.Ticks(want)-(key+s.wraps), s.WrapBits)
			turned := key + s.wraps + k<<s.WrapBits
			if d := sub(s.Timebase.Duration(turned), want); k != 0 && d <= c.opt.Forward && d >= -c.opt.Backward {
				s.wraps += k << s.WrapBits
			}
		}
	}
	key += s.wraps
	if dts != NoTicks {
		dts = key
		if pts != NoTicks && pts > -most && pts < most {
			// PTS and DTS of one packet may lie on two sides of a wrap.
			pts += s.wraps
			pts += turns(dts-pts, s.WrapBits) << s.WrapBits
		}
	} else {
		pts = key
	}
	return pts, dts
}

// turns returns how many turns of 1<<bits ticks come nearest to d.
func turns(d int64, bits int) int64 {
	half := int64(1) << (bits - 1)
	if d > math.MaxInt64-half {
		return d >> bits
	}
	return (d + half) >> bits
}

// add and sub saturate instead of overflowing, and never give NoTime.
func add(a, b time.Duration) time.Duration {
	s := a + b
	switch {
	case a > 0 && b > 0 && s < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && s >= 0, s == NoTime:
		return -math.MaxInt64
	}
	return s
}

func sub(a, b time.Duration) time.Duration {
	if b == math.MinInt64 {
		b++
	}
	return add(a, -b)
}

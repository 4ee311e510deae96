package rtsp

import (
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

/*
Note [The clock of RTP]

Every stream of RTP counts ticks of its own, from a random start, and wraps. Three
things tell how the streams belong together, the first that is there counts:

 1. RTCP sender reports. Each ties a tick of its stream to the sender's wall clock,
    so two streams with reports are tied to each other, exactly.
 2. The RTP-Info of the answer to PLAY, which names a tick of each stream for one
    moment. It is believed where it agrees with the arrival within hinted.
 3. The arrival of the first packets.

The streams are laid on one clock, At: that of the master, the sound if there is
any, so that sound, which is counted in samples, never needs stretching; the other
stream, whose stamps may lie anywhere, follows the master.

What was settled by 2 or 3 is set right by the first reports. That moves the
streams against each other, so it opens a new Seg unless it moves them by less than
settled. Later reports move the follower little by little: clocks drift apart,
and reports are not precise to the frame on many cameras. Only where several
reports in a row agree that the streams are apart, a Seg opens again.

A step in the sender's wall clock alone changes no tick. It moves Wall and nothing
else; for a moment the reports of two streams may speak of two clocks, which is why
one report alone never moves anything.

A step in the ticks is a jump, and opens a new Seg, which begins where the old one
ended presenting, or as much later as real time has passed. When the sender's
clock steps, its streams all step alike: the second stream to jump as far as the
first takes its old distance to it again. A stream that jumps on its own is laid by
its arrival until its next report.

All streams switch to a new Seg at once, in the order in which their packets arrive.
Where pictures come in another order than they are shown, the reports wait with it
for a picture that is shown after all before it, and a jump leaves the pictures out
up to the next key frame: otherwise the decoder would show one of the old Seg after
one of the new.
*/

const (
	// A stream jumps when its ticks run this much ahead of the real time between
	// two packets, or back by more than its order of decoding explains.
	jumpAhead   = 2 * time.Second
	jumpBack    = 100 * time.Millisecond
	jumpReorder = 250 * time.Millisecond

	// For this long after one stream has jumped, the other may be about to, and
	// reports are not compared.
	jumpWait = time.Second

	// Two streams that jump alike: this soon after another, this near in distance.
	alikeSoon = 5 * time.Second
	alikeNear = 500 * time.Millisecond

	hinted  = 200 * time.Millisecond
	settled = 2 * time.Millisecond

	// From the second reports on: what is followed little by little, the most of
	// it at once, and how many reports must agree how well to be believed beyond.
	followed = 10 * time.Millisecond
	follow   = 2 * time.Millisecond
	agreeing = 3
	agree    = 4 * time.Millisecond

	// What the reports claim must be plausible: streams of one sender don't arrive
	// further apart than this, nor are reports older.
	plausible = 5 * time.Second

	// gone is after what time without packets a stream no longer counts.
	gone = 2 * time.Second
)

// timeline places packets on the clock of a source (see Note [The clock of RTP]).
// It is pure: all times come with the calls. One goroutine calls it, but for wall
// and sync.
type timeline struct {
	lines  []rtpLine // at most one of each kind
	master int       // index into lines

	seg  uint32
	end  time.Duration // latest At presented, with its duration
	from time.Duration // where the Seg began
	zero time.Time     // arrival of the first packet

	apart   time.Duration // bias of the follower less that of the master, as last believed
	exact   bool          // by reports
	first   bool          // a packet was placed
	doubt   [agreeing]time.Duration
	doubts  int
	moving  bool          // the follower is to be moved, in a new Seg,
	moveBy  time.Duration // by so much
	jumped  int           // the line that jumped last, -1 if none did
	trusted bool

	walls wallClock
	drift regression
	mu    sync.Mutex // guards offset
	// offset is how far the reports moved the follower.
	offset  time.Duration
	reports int
}

// rtpLine is what is known of one stream.
type rtpLine struct {
	timebase ingest.Timebase
	reorders bool // packets may come in another order than they are shown
	hint     *uint32

	started bool
	last    uint32 // tick of the packet before
	ticks   int64  // the same, unwrapped
	high    int64  // highest since the last jump
	step    int64  // last distance of two packets
	arrived time.Time
	bias    time.Duration // At is the time of the ticks plus this

	early    *report // a report that came before any packet
	reported bool    // since the last jump
	fresh    bool    // since the streams were last compared
	epoch    int64   // sender's wall clock at tick 0, ns since 1970

	jump     time.Duration // how far it jumped last
	jumpedAt time.Time
}

type report struct {
	wall int64 // ns since 1970
	rtp  uint32
}

func newTimeline(lines []rtpLine, master int) *timeline {
	t := &timeline{lines: lines, master: master, jumped: -1}
	t.walls.begin(0)
	return t
}

// time is ticks of l in nanoseconds.
func (l *rtpLine) time(ticks int64) time.Duration { return l.timebase.Duration(ticks) }

// next is At of what the line presents next, at the earliest.
func (l *rtpLine) next() time.Duration { return l.time(l.high+l.step) + l.bias }

// place returns the stamp of a packet of line i with tick ts, and whether its line
// jumped.
func (t *timeline) place(i int, ts uint32, arrived time.Time) (at ingest.Stamp, jumped bool) {
	l := &t.lines[i]
	switch {
	case !l.started:
		t.start(i, ts, arrived)
	default:
		d := int64(int32(ts - l.last))
		l.last = ts
		l.ticks += d
		delta, passed := l.time(d), arrived.Sub(l.arrived)
		back := jumpBack
		if l.reorders {
			back = jumpReorder
		}
		if jumped = delta-passed > jumpAhead || delta < -back; jumped {
			t.jump(i, delta-passed, arrived)
		} else if d > 0 {
			l.step = d
		}
		if t.moving && t.mayMove(i, arrived) {
			t.move(arrived)
		}
		l.high = max(l.high, l.ticks)
		l.arrived = arrived
	}
	slack := l.time(l.step)
	if l.reorders {
		slack += jumpReorder
	}
	if l.time(l.ticks)+l.bias < t.from-slack {
		// The line was gone when the Seg began, and goes on from before.
		l.high = l.ticks
		t.open(arrived)
	}
	at = ingest.Stamp{At: l.time(l.ticks) + l.bias, Seg: t.seg}
	t.first = true
	t.end = max(t.end, at.At+l.time(l.step))
	t.walls.arrived(arrived.UnixNano() - int64(at.At))
	return at, jumped
}

// mayMove reports whether a new Seg may begin with the packet of line i that is
// being placed: all lines that reorder have shown what came before.
func (t *timeline) mayMove(i int, now time.Time) bool {
	for j := range t.lines {
		l := &t.lines[j]
		if !l.reorders || !l.started || j != i && now.Sub(l.arrived) > gone {
			continue
		}
		if j != i || l.ticks <= l.high {
			return false
		}
	}
	return true
}

// other is the line that i shares the clock with, nil if it is alone or nothing of
// it has come.
func (t *timeline) other(i int) *rtpLine {
	for j := range t.lines {
		if j != i && t.lines[j].started {
			return &t.lines[j]
		}
	}
	return nil
}

// start begins line i.
func (t *timeline) start(i int, ts uint32, arrived time.Time) {
	l := &t.lines[i]
	l.started, l.last, l.ticks, l.high, l.arrived = true, ts, 0, 0, arrived
	if t.zero.IsZero() {
		t.zero = arrived
	}
	l.bias = arrived.Sub(t.zero)
	if o := t.other(i); o != nil {
		// In the Seg that runs, whatever its clock made of the real time so far.
		l.bias = o.time(o.ticks) + o.bias + arrived.Sub(o.arrived)
		if l.hint != nil && o.hint != nil {
			at := o.time(o.ticks+int64(int32(*o.hint-o.last))) + o.bias
			bias := at - l.time(int64(int32(*l.hint-l.last)))
			if (bias - l.bias).Abs() <= hinted {
				l.bias = bias
			}
		}
		t.apart = t.distance()
		// The start must not lie before the clock's: move both, in front of
		// nothing that was presented from this line.
		if l.bias < 0 {
			t.open(arrived)
		}
	}
	if r := l.early; r != nil {
		l.early = nil
		t.report(i, r.wall, r.rtp, arrived)
	}
}

// distance is the bias of the follower less that of the master.
func (t *timeline) distance() time.Duration {
	if len(t.lines) < 2 || !t.lines[0].started || !t.lines[1].started {
		return 0
	}
	return t.lines[1-t.master].bias - t.lines[t.master].bias
}

// jump lays line i anew, whose ticks have just leapt by as much.
func (t *timeline) jump(i int, leap time.Duration, arrived time.Time) {
	l := &t.lines[i]
	o := t.other(i)
	alike := o != nil && t.jumped == 1-i && arrived.Sub(o.jumpedAt) <= alikeSoon && (leap-o.jump).Abs() <= alikeNear
	before := t.distance()
	// As long after what came before as real time says.
	at := l.time(l.high) + l.bias + max(arrived.Sub(l.arrived), l.time(l.step))
	l.bias = at - l.time(l.ticks)
	l.high = l.ticks
	l.jump, l.jumpedAt = leap, arrived
	l.reported, l.fresh = false, false
	if o != nil {
		o.fresh = false
	}
	t.jumped = i
	t.doubts, t.moving = 0, false
	t.drift.reset()
	switch {
	case alike:
		t.jumped = -1
		if i == t.master {
			l.bias = o.bias - t.apart
		} else {
			l.bias = o.bias + t.apart
		}
		t.exact = t.trusted
	default:
		t.trusted, t.exact, t.apart = t.exact, false, before
	}
	l.arrived = arrived
	t.open(arrived)
}

// open begins a new Seg with the biases as they are, both moved on so that nothing
// falls before the end of the old Seg.
func (t *timeline) open(now time.Time) {
	var move time.Duration
	for i := range t.lines {
		l := &t.lines[i]
		if !l.started || now.Sub(l.arrived) > gone {
			continue
		}
		first := l.next()
		if l.high == l.ticks && l.arrived.Equal(now) {
			first = l.time(l.ticks) + l.bias // the packet that opens it
		}
		move = max(move, t.end-first)
	}
	for i := range t.lines {
		t.lines[i].bias += move
	}
	t.from = t.end
	if t.first {
		t.seg++
	} // else nothing was presented yet
	t.walls.begin(t.seg)
	t.tellWall(t.end)
}

// report takes a sender report of line i: at tick rtp, the sender's wall clock
// showed wall.
func (t *timeline) report(i int, wall int64, rtp uint32, arrived time.Time) {
	l := &t.lines[i]
	if !l.started {
		l.early = &report{wall, rtp}
		return
	}
	d := int64(int32(rtp - l.last))
	if l.time(d).Abs() > plausible+max(arrived.Sub(l.arrived), 0) {
		return // of another time, or made up
	}
	at := l.time(l.ticks + d)
	l.epoch = wall - int64(at)
	l.reported, l.fresh = true, true
	t.mu.Lock()
	t.reports++
	t.mu.Unlock()
	if i == t.master || !t.lines[t.master].reported {
		t.tellWall(at + l.bias)
	}
	t.compare(arrived)
}

// tellWall notes what the reports say of the wall clock from at on.
func (t *timeline) tellWall(at time.Duration) {
	for _, i := range [2]int{t.master, len(t.lines) - 1 - t.master} {
		if l := &t.lines[i]; l.reported {
			t.walls.reported(at, l.epoch-int64(l.bias))
			return
		}
	}
}

// compare holds the reports of both streams against each other.
func (t *timeline) compare(now time.Time) {
	if len(t.lines) < 2 {
		return
	}
	m, f := &t.lines[t.master], &t.lines[1-t.master]
	if !m.started || !f.started || !m.fresh || !f.fresh {
		return
	}
	if t.jumped >= 0 && now.Sub(t.lines[t.jumped].jumpedAt) < jumpWait {
		return
	}
	m.fresh, f.fresh = false, false
	measured := time.Duration(f.epoch - m.epoch)
	off := measured - t.distance()
	late := func(l *rtpLine) time.Duration { return l.arrived.Sub(t.zero) - l.time(l.high) - l.bias }
	if (late(f) - off - late(m)).Abs() > plausible {
		return // the reports are of two clocks
	}
	t.drift.add(now.Sub(t.zero).Seconds(), measured)
	var shift time.Duration
	switch {
	case !t.exact && off.Abs() <= settled:
		t.exact, t.trusted = true, true
		shift = off
	case !t.exact:
		t.moveLater(off, now)
	case off.Abs() <= followed:
		t.doubts = 0
		shift = min(max(off/2, -follow), follow)
	default:
		t.doubt[t.doubts%agreeing] = off
		if t.doubts++; t.doubts >= agreeing && spread(t.doubt[:]) <= agree {
			t.moveLater(off, now)
		}
	}
	if shift != 0 {
		t.shift(shift)
		t.apart = t.distance()
	}
}

func spread(d []time.Duration) time.Duration {
	lo, hi := d[0], d[0]
	for _, v := range d {
		lo, hi = min(lo, v), max(hi, v)
	}
	return hi - lo
}

// moveLater moves the follower by off with the next packet that allows it.
func (t *timeline) moveLater(off time.Duration, now time.Time) {
	t.moving, t.moveBy = true, off
	if !t.first {
		t.move(now) // nothing was presented yet
	}
}

// move moves the follower, in a new Seg.
func (t *timeline) move(now time.Time) {
	t.moving, t.doubts = false, 0
	t.exact, t.trusted = true, true
	t.shift(t.moveBy)
	t.apart = t.distance()
	t.open(now)
}

func (t *timeline) shift(by time.Duration) {
	t.lines[1-t.master].bias += by
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offset += by
}

// wall is [ingest.Walled].
func (t *timeline) wall(s ingest.Stamp) (time.Time, bool) { return t.walls.at(s) }

// sync is [ingest.Synced].
func (t *timeline) sync() ingest.Sync {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := ingest.Sync{Reports: t.reports}
	if len(t.lines) > 1 {
		// The follower is the picture: moved later, it is the sound that was late.
		s.Offset = -t.offset
		s.DriftPPM = t.drift.ppm()
	}
	return s
}

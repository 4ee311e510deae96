package rtsp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/ntp"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
)

const (
	// What may wait to be read. Who reads slower than the sender sends loses all
	// that waits, up to the next key frame.
	waitingBytes = 64 << 20
	waitingItems = 1 << 13
	// restart is how many lost packets at once are a sender that began anew.
	restart = 1 << 12
)

var (
	errTimeout = fmt.Errorf("no packet in time: %w", os.ErrDeadlineExceeded)
	errNothing = fmt.Errorf("nothing that can be decoded came in time: %w", os.ErrDeadlineExceeded)
)

// Source is an address opened by [Open]. It implements [ingest.Source],
// [ingest.Damaged], [ingest.Walled] and [ingest.Synced].
type Source struct {
	name    string // without credentials
	secrets []string
	opt     Options
	client  *gortsplib.Client
	tracks  []*track
	done    chan struct{} // closed once the client has ended

	// Of the goroutine that reads.
	clock   *timeline
	streams []ingest.Stream // as they were at first, by line
	told    []ingest.Stream // as the receiver knows them, of kind 0 if it does not
	dts     []decoded
	timer   *time.Timer

	notify chan struct{} // one token: something is new

	mu     sync.Mutex
	queue  []item
	head   int
	bytes  int
	err    error // why nothing more comes
	damage ingest.Damage
}

// item is an access unit or a sender report on its way to Read.
type item struct {
	t       *track
	u       unit
	tick    uint32
	arrived time.Time
	corrupt bool
	report  *report
}

// decoded is the last time of decoding given out, its Seg, and what is known of the
// order of decoding.
type decoded struct {
	seg  uint32
	dts  time.Duration
	some bool
	back bool // units are decoded before others that are shown earlier
	skip bool // up to the next key frame
}

var (
	_ ingest.Source  = (*Source)(nil)
	_ ingest.Damaged = (*Source)(nil)
	_ ingest.Walled  = (*Source)(nil)
	_ ingest.Synced  = (*Source)(nil)
)

// begin starts the clock of the streams that are known.
func (s *Source) begin(hints []*uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := make([]rtpLine, len(s.tracks))
	master := 0
	for i, t := range s.tracks {
		t.line = i
		lines[i] = rtpLine{timebase: t.stream.Timebase, reorders: t.reorders, hint: hints[i]}
		if t.stream.Kind == ingest.Audio {
			master = i
		}
		s.streams = append(s.streams, t.stream)
		told := t.stream
		if t.late {
			told = ingest.Stream{}
		}
		s.told = append(s.told, told)
	}
	s.dts = make([]decoded, len(lines))
	s.clock = newTimeline(lines, master)
}

// onRTP takes a packet, on a goroutine of the client.
func (s *Source) onRTP(t *track, p *rtp.Packet) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p.Payload) == 0 {
		if !p.Padding { // else it only keeps the path open
			s.damage.Lost++
		}
		return
	}
	t.lost(p.SequenceNumber)
	units, err := t.unpack(p)
	if err != nil {
		if !notYet(err) {
			s.damage.Places++
			t.broken = t.stream.Kind == ingest.Video
		}
		return
	}
	for _, u := range units {
		t.keyed = t.keyed || u.start
		if u.key {
			t.broken = false
		}
		t.untold = t.untold || u.changed != nil
		if !t.keyed {
			continue
		}
		if t.untold {
			now := t.stream
			u.changed, t.untold = &now, false
		}
		s.push(item{t: t, u: u, tick: p.Timestamp + uint32(u.ticks), arrived: now, corrupt: t.broken})
	}
}

// onRTCP takes a report, on a goroutine of the client.
func (s *Source) onRTCP(t *track, p rtcp.Packet) {
	sr, ok := p.(*rtcp.SenderReport)
	if !ok || sr.NTPTime == 0 {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(item{t: t, arrived: now, report: &report{ntp.Decode(sr.NTPTime).UnixNano(), sr.RTPTime}})
}

// push queues an item. The caller holds mu.
func (s *Source) push(it item) {
	if s.bytes+len(it.u.data) > waitingBytes || len(s.queue)-s.head >= waitingItems {
		for _, w := range s.queue[s.head:] {
			if w.report == nil {
				s.damage.Lost++
				w.t.untold = w.t.untold || w.u.changed != nil
			}
		}
		clear(s.queue)
		s.queue, s.head, s.bytes = s.queue[:0], 0, 0
		for _, t := range s.tracks {
			t.keyed = t.stream.Kind == ingest.Audio
		}
		if it.report == nil {
			if !it.t.keyed && !it.u.start {
				s.damage.Lost++
				return
			}
			it.t.keyed = true
		}
	}
	if s.head > 0 && len(s.queue) == cap(s.queue) {
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
	s.queue = append(s.queue, it)
	s.bytes += len(it.u.data)
	s.wake()
}

// wake gives Read a token.
func (s *Source) wake() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// pop returns the next item, or why there will be none.
func (s *Source) pop() (item, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
		return item{}, false, s.err
	}
	it := s.queue[s.head]
	s.queue[s.head] = item{}
	s.head++
	s.bytes -= len(it.u.data)
	return it, true, nil
}

func (s *Source) onLost(n uint64) {
	if n > restart {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damage.Lost += int(n)
}

func (s *Source) onDamage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damage.Places++
}

// Streams returns the picture and the sound that are known, by their place in the
// SDP, as they are now. It belongs to the goroutine that reads.
func (s *Source) Streams() []ingest.Stream {
	return slices.DeleteFunc(slices.Clone(s.told), func(st ingest.Stream) bool { return st.Kind == 0 })
}

// Live is true.
func (s *Source) Live() bool { return true }

// Damage counts what was lost so far: packets in Lost, those that made no sense in
// Places.
func (s *Source) Damage() ingest.Damage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.damage
}

// Wall returns the wall-clock time of a stamp (see [ingest.Walled]).
func (s *Source) Wall(at ingest.Stamp) (time.Time, bool) { return s.clock.wall(at) }

// Sync returns what the sender's reports say (see [ingest.Synced]).
func (s *Source) Sync() ingest.Sync { return s.clock.sync() }

// Read returns the next packet. It fails once the connection has, and when nothing
// comes for Options.ReadTimeout; it never returns io.EOF, for a server that stops
// sending can't be told from one that is done.
func (s *Source) Read(ctx context.Context) (ingest.Packet, error) {
	if s.timer == nil {
		s.timer = time.NewTimer(s.opt.ReadTimeout)
	} else {
		s.timer.Reset(s.opt.ReadTimeout)
	}
	defer s.timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return ingest.Packet{}, s.fail(err)
		}
		it, ok, err := s.pop()
		if err != nil {
			return ingest.Packet{}, s.fail(err)
		}
		if ok {
			if it.report != nil {
				s.clock.report(it.t.line, it.report.wall, it.report.rtp, it.arrived)
				continue
			}
			if p, ok := s.packet(it); ok {
				return p, nil
			}
			continue
		}
		select {
		case <-s.notify:
		case <-ctx.Done():
		case <-s.timer.C:
			return ingest.Packet{}, s.fail(errTimeout)
		}
	}
}

func (s *Source) fail(err error) error {
	return fmt.Errorf("ingest: read %s: %w", s.name, s.redacted(err))
}

// packet stamps an access unit. It reports false for one that is left out (see Note
// [The clock of RTP]).
func (s *Source) packet(it item) (ingest.Packet, bool) {
	i := it.t.line
	at, jumped := s.clock.place(i, it.tick, it.arrived)
	d := &s.dts[i]
	d.skip = (d.skip || jumped && d.back) && !it.u.key
	if d.skip {
		s.onDamage()
		return ingest.Packet{}, false
	}
	tb := s.streams[i].Timebase
	p := ingest.Packet{
		Stream: s.streams[i].Index, Seg: at.Seg, PTS: at.At, DTS: ingest.NoTime, Dur: tb.Duration(it.u.dur),
		Key: it.u.key, Corrupt: it.corrupt, Data: it.u.data, Arrived: it.arrived,
	}
	if it.u.early >= 0 {
		p.DTS = at.At - tb.Duration(it.u.early)
		d.back = d.back || it.u.early > 0
		if d.some && d.seg == p.Seg && p.DTS < d.dts {
			p.DTS = min(d.dts, p.PTS)
		}
		d.seg, d.dts, d.some = p.Seg, p.DTS, true
	}
	if c := it.u.changed; c != nil && !reflect.DeepEqual(*c, s.told[i]) {
		s.told[i] = *c
		p.Changed = c
	}
	return p, true
}

// Close ends the connection and makes a blocked Read return. It may be called from
// any goroutine, and more than once.
func (s *Source) Close() error {
	s.mu.Lock()
	if s.err == nil || !errors.Is(s.err, fs.ErrClosed) {
		s.err = fs.ErrClosed
	}
	s.queue, s.head, s.bytes = nil, 0, 0
	s.mu.Unlock()
	s.wake()
	s.client.Close()
	<-s.done
	return nil
}

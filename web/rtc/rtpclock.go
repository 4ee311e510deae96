package rtc

import (
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/ntp"

	"github.com/seehear/seehear/ingest"
)

const (
	// Sound that is off by less stays: every move is a gap or an overlap.
	syncSlack = 5 * time.Millisecond
	// More than this is no offset but a sender that doesn't know its clock.
	syncMost = 10 * time.Second
	// driftOver is the least time to measure a drift over.
	driftOver = 10 * time.Second
)

// rtpClock lays the RTP times of a publisher's tracks on one clock, whose zero is
// the arrival of the first packet.
type rtpClock struct {
	mu           sync.Mutex
	start        time.Time
	video, audio *trackClock
	moved        time.Duration
	reports      int
}

// trackClock is the clock of one track.
type trackClock struct {
	rate    int64
	started bool
	prev    uint32
	ticks   int64         // unwrapped, of prev, from the first packet on
	off     time.Duration // of the first packet
	last    time.Duration
	first   report // sender reports
	now     report
}

// report is one moment by the sender's clocks.
type report struct {
	wall  time.Time
	ticks int64
}

func (c *rtpClock) track(k ingest.Kind, rate int64) *trackClock {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &trackClock{rate: rate}
	if k == ingest.Video {
		c.video = t
	} else {
		c.audio = t
	}
	return t
}

// span returns how long n ticks are.
func (t *trackClock) span(n int64) time.Duration {
	return time.Duration(n/t.rate)*time.Second + time.Duration(n%t.rate)*time.Second/time.Duration(t.rate)
}

// unwrap returns the ticks of ts, near those of the packet before.
func (t *trackClock) unwrap(ts uint32) int64 { return t.ticks + int64(int32(ts-t.prev)) }

// at returns the place of a packet.
func (c *rtpClock) at(t *trackClock, ts uint32, arrived time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.start.IsZero() {
		c.start = arrived
	}
	if !t.started {
		t.started, t.prev, t.off = true, ts, max(arrived.Sub(c.start), 0)
	}
	t.ticks = t.unwrap(ts)
	t.prev = ts
	at := t.off + t.span(t.ticks)
	if t == c.audio {
		at = max(at, t.last) // a correction must not turn it round
	}
	t.last = at
	return at
}

// report takes a sender report, and moves the sound where it belongs.
func (c *rtpClock) report(t *trackClock, ntpTime uint64, ts uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.started {
		return
	}
	c.reports++
	t.now = report{wall: ntp.Decode(ntpTime), ticks: t.unwrap(ts)}
	if t.first.wall.IsZero() {
		t.first = t.now
	}
	v, a := c.video, c.audio
	if v == nil || a == nil || v.now.wall.IsZero() || a.now.wall.IsZero() {
		return
	}
	// Where each track puts the sender's wall clock's zero.
	zv := v.now.wall.Add(-v.off - v.span(v.now.ticks))
	za := a.now.wall.Add(-a.off - a.span(a.now.ticks))
	if d := za.Sub(zv); d.Abs() > syncSlack && d.Abs() < syncMost {
		a.off += d
		c.moved += d
	}
}

// Wall implements ingest.Walled.
func (p *publisher) Wall(at ingest.Stamp) (time.Time, bool) {
	c := p.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range []*trackClock{c.video, c.audio} {
		if t != nil && !t.now.wall.IsZero() {
			return t.now.wall.Add(at.At - t.off - t.span(t.now.ticks)), true
		}
	}
	if c.start.IsZero() {
		return time.Time{}, false
	}
	return c.start.Add(at.At), false
}

// Sync implements ingest.Synced.
func (p *publisher) Sync() (s ingest.Sync) {
	c := p.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	s = ingest.Sync{Offset: c.moved, Reports: c.reports}
	if c.video != nil && c.audio != nil {
		v, okV := c.video.speed()
		a, okA := c.audio.speed()
		if okV && okA {
			s.DriftPPM = (a - v) * 1e6
		}
	}
	return s
}

// speed is how fast a track's clock runs by the sender's wall clock.
func (t *trackClock) speed() (float64, bool) {
	wall := t.now.wall.Sub(t.first.wall)
	if t.first.wall.IsZero() || wall < driftOver {
		return 0, false
	}
	return t.span(t.now.ticks-t.first.ticks).Seconds() / wall.Seconds(), true
}

package rtc

import (
	"time"

	"github.com/seehear/seehear/ingest"
)

/*
Note [Sender reports]

A browser lines up picture and sound by the sender reports of both tracks: each
says which RTP time belongs to one moment of the sender's wall clock. A report that
takes the time at which a packet happened to be sent, as WebRTC stacks do by
themselves, carries whatever jitter, transcoding or hold-back that packet had, and
lips are off by the difference between the tracks.

Ours are made from media time. One function of the feed, wall = epoch + at, serves
both tracks, and both reports of a compound packet name the same at: the RTP times
of the two are one moment by construction, to the tick.

The epoch follows the real clock only when it is off by more than epochSlack (the
sender's clock drifts, the delay was changed): browsers measure round trips by the
reports, and a mapping that moved with every packet would make them filter noise.
*/

// epochSlack is how far the wall clock of the reports may be off.
const epochSlack = 50 * time.Millisecond

// alone is how long a source must show no picture for its sound to count.
const alone = 2 * time.Second

// mediaClock knows what is being presented, see Note [Sender reports].
type mediaClock struct {
	epoch   time.Time // wall clock at zero
	at      time.Duration
	when    time.Time // it was sent
	picture time.Time // the last picture was sent
}

// release says that u is sent now.
func (c *mediaClock) release(u *unit, now time.Time) {
	if u.codec.Kind() == ingest.Video {
		c.picture = now
	} else if !c.picture.IsZero() && now.Sub(c.picture) < alone {
		return
	}
	c.at, c.when = u.at, now
	if off := c.epoch.Add(u.at).Sub(now); c.epoch.IsZero() || off.Abs() > epochSlack {
		c.epoch = now.Add(-u.at)
	}
}

// read returns the media time of now and the wall clock that belongs to it.
func (c *mediaClock) read(now time.Time) (at time.Duration, wall time.Time, ok bool) {
	if c.when.IsZero() {
		return 0, time.Time{}, false
	}
	at = c.at + now.Sub(c.when)
	return at, c.epoch.Add(at), true
}

// report returns one moment for the sender reports of both tracks.
func (f *Feed) report() (at time.Duration, ntp uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, wall, ok := f.clock.read(time.Now())
	return at, ntpTime(wall), ok
}

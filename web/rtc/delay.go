package rtc

import "time"

// slew is how fast a delay moves: by a tenth of the time that passes. A player's
// jitter buffer follows that by playing a little slower or faster; a step would
// stall it.
const slew = 10

// MaxDelay bounds the delay of a [Feed].
const MaxDelay = 2 * time.Second

// delay is a duration that moves smoothly to where it is set.
type delay struct {
	from, to time.Duration
	since    time.Time
}

func (d *delay) set(to time.Duration, now time.Time) {
	*d = delay{from: d.at(now), to: min(max(to, 0), MaxDelay), since: now}
}

func (d *delay) at(now time.Time) time.Duration {
	moved := now.Sub(d.since) / slew
	if d.to >= d.from {
		return min(d.from+moved, d.to)
	}
	return max(d.from-moved, d.to)
}

package live

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait between attempts: from First twice as long each
// time up to Most, and once nothing has come for Patience, up to Late. Every wait
// is drawn from its upper half, so that many sources of one server don't come
// back all at once. Zero fields take the defaults.
type Backoff struct {
	First    time.Duration // 0.25 s
	Most     time.Duration // 2 s
	Patience time.Duration // 10 min
	Late     time.Duration // 30 s
}

func (b Backoff) withDefaults() Backoff {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&b.First, 250 * time.Millisecond},
		{&b.Most, 2 * time.Second},
		{&b.Patience, 10 * time.Minute},
		{&b.Late, 30 * time.Second},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return b
}

// wait is how long to wait after the given number of failures in a row (at least
// one), nothing having come for the given time.
func (b Backoff) wait(failures int, dry time.Duration) time.Duration {
	most := b.Most
	if dry >= b.Patience {
		most = b.Late
	}
	d := b.First
	for range failures - 1 {
		if d >= most {
			break
		}
		d *= 2
	}
	d = min(d, most)
	return d - rand.N(d/2+1)
}

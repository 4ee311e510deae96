package seehear

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

// The stages at which a live run drops things, besides the families, whose own
// names stand for moments that they had no time for.
const (
	dropEvents = "events" // results that a sink was too slow for
)

// Monitor is told by a live run how it is doing, and may be asked by anybody at
// any time. The zero Monitor is ready; it goes on counting over several runs of
// the same source.
type Monitor struct {
	// Took, if not nil, is told how long each look took, from several goroutines.
	Took func(model string, d time.Duration)

	mu      sync.Mutex
	at      ingest.Stamp
	seen    time.Time // the last frame was decoded
	heard   time.Time // and the last block
	frames  int64
	moments int64
	rate    [fpsSpan]int64 // frames by second, round and round
	second  int64          // the newest in rate, since the epoch
	first   int64          // the first ever
	lag     time.Duration
	lags    spread // of all results
	steady  spread // of those that belong to a picture
	skews   spread
	drops   map[string]int64
	speed   map[string]time.Duration
}

const (
	fpsSpan = 6 // seconds, the one that is not over included
	spreads = 512
	// What is older says nothing about now.
	forget = 30 * time.Second
)

// Status is how a live run is doing.
type Status struct {
	At      ingest.Stamp // the newest media that were decoded
	Seen    time.Time    // when the last frame was, zero before the first
	Heard   time.Time    // when the last sound was
	Frames  int64        // decoded
	Moments int64        // looked at
	FPS     float64      // frames decoded per second, over the last five
	// Lag is how long after the arrival of the last packet that it needs a result
	// was there: the newest, and the 95th percentile of the last half minute.
	Lag, LagP95 time.Duration
	// PictureLagP95 is that of the results that belong to a frame each and come
	// all the time, such as heat maps: 0 without.
	PictureLagP95 time.Duration
	// SkewP95 is the 95th percentile of |Moment.Skew|.
	SkewP95 time.Duration
	// Drops counts what was dropped, by stage: the name of a family for moments
	// that it had no time for, "events" for results that a sink was too slow for.
	Drops map[string]int64
	// Speed is how long a look takes, by model, a mean of the last ones.
	Speed map[string]time.Duration
}

// Status returns a snapshot.
func (m *Monitor) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	s := Status{
		At: m.at, Seen: m.seen, Heard: m.heard, Frames: m.frames, Moments: m.moments,
		Lag: m.lag, LagP95: m.lags.p95(now), PictureLagP95: m.steady.p95(now), SkewP95: m.skews.p95(now),
		Drops: maps.Clone(m.drops), Speed: maps.Clone(m.speed),
	}
	m.turn(now.Unix())
	if span := min(m.second-m.first, fpsSpan-1); m.frames > 0 && span > 0 {
		var n int64
		for i := int64(1); i <= span; i++ {
			n += m.rate[(m.second-i)%fpsSpan]
		}
		s.FPS = float64(n) / float64(span)
	}
	return s
}

// turn clears the seconds up to now.
func (m *Monitor) turn(now int64) {
	if m.first == 0 {
		m.first, m.second = now, now
	}
	if now-m.second >= fpsSpan {
		m.rate = [fpsSpan]int64{}
		m.second = now
	}
	for m.second < now {
		m.second++
		m.rate[m.second%fpsSpan] = 0
	}
}

func (m *Monitor) edge(at ingest.Stamp, frame bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.Before(at) {
		m.at = at
	}
	now := time.Now()
	if !frame {
		m.heard = now
		return
	}
	m.seen = now
	m.frames++
	m.turn(now.Unix())
	m.rate[m.second%fpsSpan]++
}

func (m *Monitor) late(lag time.Duration, steady bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.lag = lag
	m.lags.add(now, lag)
	if steady {
		m.steady.add(now, lag)
	}
}

func (m *Monitor) skew(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.skews.add(time.Now(), d.Abs())
}

func (m *Monitor) looked() {
	m.mu.Lock()
	m.moments++
	m.mu.Unlock()
}

func (m *Monitor) drop(stage string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drops == nil {
		m.drops = map[string]int64{}
	}
	m.drops[stage] += n
}

func (m *Monitor) took(model string, d time.Duration) {
	if m.Took != nil {
		m.Took(model, d)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.speed == nil {
		m.speed = map[string]time.Duration{}
	}
	old, ok := m.speed[model]
	if !ok {
		old = d
	}
	m.speed[model] = old + (d-old)/8
}

// spread keeps the latest values for their percentile.
type spread struct {
	at     [spreads]time.Time
	values [spreads]time.Duration
	n      int
}

func (s *spread) add(now time.Time, d time.Duration) {
	s.at[s.n%spreads], s.values[s.n%spreads] = now, d
	s.n++
}

// p95 returns the least value that 95 % of those not older than forget do not
// exceed; 0 without any.
func (s *spread) p95(now time.Time) time.Duration {
	list := make([]time.Duration, 0, spreads)
	for i := range min(s.n, spreads) {
		if now.Sub(s.at[i]) <= forget {
			list = append(list, s.values[i])
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[(len(list)*95+99)/100-1]
}

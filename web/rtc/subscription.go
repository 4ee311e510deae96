package rtc

import (
	"context"
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

// unit is one access unit or one Opus packet on its way to viewers. It is shared
// by all of them and read-only.
type unit struct {
	codec    Codec
	at       time.Duration
	ts       uint32 // RTPTime of at
	key      bool   // can be decoded without those before it
	payloads [][]byte
	size     int
	arrived  time.Time
}

// A viewer that has this much waiting is too slow: sending is not what takes
// time, so it is the machine or the network.
const (
	queueUnits = 1024
	queueBytes = 8 << 20
)

// subscription is one viewer's place in a [Feed]: a bounded queue that is filled
// without waiting and drained by the viewer's own goroutine.
type subscription struct {
	feed         *Feed
	video, audio Codec // "" for none
	wake         chan struct{}

	mu      sync.Mutex
	queue   []*unit
	bytes   int
	needKey bool // pictures up to the next keyframe are of no use
	dropped uint64
}

// push appends u. If the queue is full, every picture in it is dropped, and those
// that follow up to the next keyframe.
func (s *subscription) push(u *unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= queueUnits || s.bytes+u.size > queueBytes {
		s.overflow()
	}
	if u.codec.Kind() == ingest.Video {
		if s.needKey && !u.key {
			s.dropped++
			return
		}
		s.needKey = false
	}
	s.queue = append(s.queue, u)
	s.bytes += u.size
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// overflow makes room: all pictures go, and all but the newest sound.
func (s *subscription) overflow() {
	kept := s.queue[:0]
	sounds := 0
	for i := len(s.queue) - 1; i >= 0 && sounds < queueUnits/8; i-- {
		if s.queue[i].codec == Opus {
			sounds++
		}
	}
	skip := -sounds
	for _, u := range s.queue {
		if u.codec == Opus {
			skip++
		}
	}
	s.bytes = 0
	for _, u := range s.queue {
		switch {
		case u.codec != Opus:
		case skip > 0:
			skip--
		default:
			kept = append(kept, u)
			s.bytes += u.size
		}
	}
	s.dropped += uint64(len(s.queue) - len(kept))
	clear(s.queue[len(kept):])
	s.queue = kept
	s.needKey = s.video != ""
}

// next returns the next unit and how many wait behind it.
func (s *subscription) next(ctx context.Context) (*unit, int, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			u := s.queue[0]
			s.queue[0] = nil
			s.queue = s.queue[1:]
			if len(s.queue) == 0 {
				s.queue = nil
			}
			s.bytes -= u.size
			n := len(s.queue)
			s.mu.Unlock()
			return u, n, nil
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// drops returns how many units this viewer lost.
func (s *subscription) drops() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// lose says that something of that codec is missing in front of what comes next.
func (s *subscription) lose(c Codec) {
	if c.Kind() != ingest.Video {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.needKey = true
	s.dropped++
}

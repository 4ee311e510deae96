package seehear

import (
	"context"
	"sync"
	"time"
)

// Note [Fair shares]
//
// What the machine can do is shared by time, in two steps: over the sources, and
// within a source over its needs. Each has a tag, the time it has had so far. The
// waiting source with the least goes first and then the need with the least of
// its own; of equal ones, the one served least recently. So a source that asks for
// much gets no more than any other while all of them want more than there is,
// and the cheap needs of a source, of which there are many moments, are not held
// up by the expensive ones.
//
// Who did not ask for a while has no claim to what it did not use: its tag is
// raised to that of whoever was served last (start-time fair queueing). A turn
// is charged by what the need's turns took lately when it begins, and by what it
// took when it ends.

// Fair shares the right to run networks among the live runs that are given the
// same one: at most so many at once, see Note [Fair shares]. It is safe for
// concurrent use.
type Fair struct {
	mu      sync.Mutex
	slots   int
	busy    int
	turns   uint64
	clock   time.Duration // tag of the source that was served last
	waiting []*claim
}

// NewFair returns one with n slots, at least one.
func NewFair(n int) *Fair { return &Fair{slots: max(n, 1)} }

// share is what one source or one need has had.
type share struct {
	tag    time.Duration
	served uint64 // number of its last turn
	active int    // of its claims, those that wait or have a slot
}

// wake says that the share wants something; clock is the tag of who was served
// last.
func (s *share) wake(clock time.Duration) {
	if s.active == 0 {
		s.tag = max(s.tag, clock)
	}
	s.active++
}

func (s *share) before(o *share) bool {
	if s.tag != o.tag {
		return s.tag < o.tag
	}
	return s.served < o.served
}

// party is one source.
type party struct {
	share
	clock time.Duration // tag of its need that was served last
}

// claim is one need of a source; one goroutine uses it.
type claim struct {
	share
	party   *party
	usual   time.Duration // what a turn takes, as far as is known
	granted chan struct{} // one token when the slot is there
}

func newClaim(p *party) *claim { return &claim{party: p, granted: make(chan struct{}, 1)} }

// acquire waits for a slot until ctx ends. After nil the caller owes a release.
func (f *Fair) acquire(ctx context.Context, c *claim) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	c.party.wake(f.clock)
	c.wake(c.party.clock)
	f.waiting = append(f.waiting, c)
	f.serve()
	f.mu.Unlock()
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, w := range f.waiting {
		if w == c {
			f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
			c.party.active--
			c.active--
			return ctx.Err()
		}
	}
	<-c.granted // it came at the same time
	f.end(c, 0)
	return ctx.Err()
}

// release gives the slot back after it was used for so long.
func (f *Fair) release(c *claim, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(c, took)
	if c.usual == 0 {
		c.usual = took
	}
	c.usual += (took - c.usual) / 8
}

func (f *Fair) end(c *claim, took time.Duration) {
	c.tag += took - c.usual
	c.party.tag += took - c.usual
	c.active--
	c.party.active--
	f.busy--
	f.serve()
}

// serve grants what slots are free.
func (f *Fair) serve() {
	for f.busy < f.slots && len(f.waiting) > 0 {
		best := 0
		for i, c := range f.waiting[1:] {
			b := f.waiting[best]
			if c.party != b.party && c.party.before(&b.party.share) || c.party == b.party && c.before(&b.share) {
				best = i + 1
			}
		}
		c := f.waiting[best]
		f.waiting = append(f.waiting[:best], f.waiting[best+1:]...)
		f.busy++
		f.turns++
		f.clock, c.party.clock = c.party.tag, c.tag
		c.served, c.party.served = f.turns, f.turns
		c.tag += c.usual
		c.party.tag += c.usual
		c.granted <- struct{}{}
	}
}

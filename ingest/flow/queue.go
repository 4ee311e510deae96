// Package flow holds the only queue of the project.
//
// Stages of a pipeline run in step unless a [Queue] stands between them: a ring
// of fixed size whose [Policy] says what happens when it is full. The packages
// that join stages call it. A queued value belongs to the queue; Get hands it to
// the consumer, and a value that nobody will get is given to the release hook.
package flow

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Policy says what Put does when the queue is full.
type Policy uint8

const (
	// Block waits until there is room: offline, nothing is lost.
	Block Policy = iota
	// DropOldest makes room by dropping what has waited longest: live, the
	// newest matters most.
	DropOldest
)

func (p Policy) String() string {
	switch p {
	case Block:
		return "block"
	case DropOldest:
		return "drop oldest"
	}
	return "unknown"
}

// ErrStopped says that the consumer has gone: nothing put into the queue will be
// looked at any more.
var ErrStopped = errors.New("flow: queue stopped")

// Queue is a bounded first-in-first-out queue, safe for any number of producers
// and consumers.
//
// The producers' side ends it with Close: Get still returns what is queued and
// then io.EOF. The consumers' side ends it with Stop: what is queued is released
// and Put returns ErrStopped. Each may be called more than once, and in either
// order; after the last of the two nothing is left inside.
type Queue[T any] struct {
	policy  Policy
	release func(T)

	mu      sync.Mutex
	ring    []T
	head, n int
	dropped uint64
	closed  bool
	stopped bool

	// One token each: a waiter that finds work left after its own turn passes
	// the token on, so that no wake-up is lost and nobody polls.
	notEmpty, notFull chan struct{}
}

// New returns a queue of the given capacity (at least 1). The hook release, if
// not nil, is called with each value that is dropped or left behind, never while
// the queue is locked.
func New[T any](capacity int, policy Policy, release func(T)) *Queue[T] {
	if capacity < 1 {
		panic("flow: capacity below 1")
	}
	if policy != Block && policy != DropOldest {
		panic("flow: unknown policy")
	}
	return &Queue[T]{
		policy:   policy,
		release:  release,
		ring:     make([]T, capacity),
		notEmpty: make(chan struct{}, 1),
		notFull:  make(chan struct{}, 1),
	}
}

// Put adds v. With Block it waits for room until ctx ends; with DropOldest it
// never waits. After an error (the context's, or ErrStopped) v still belongs to
// the caller. Put after Close is a bug of the caller and panics.
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	for {
		if err := ctx.Err(); err != nil {
			q.passNotFull()
			return err
		}
		q.mu.Lock()
		switch {
		case q.stopped:
			q.mu.Unlock()
			signal(q.notFull)
			return ErrStopped
		case q.closed:
			q.mu.Unlock()
			panic("flow: Put after Close")
		case q.n < len(q.ring):
			q.push(v)
			room := q.n < len(q.ring)
			q.mu.Unlock()
			signal(q.notEmpty)
			if room {
				signal(q.notFull)
			}
			return nil
		case q.policy == DropOldest:
			old := q.pop()
			q.push(v)
			q.dropped++
			q.mu.Unlock()
			if q.release != nil {
				q.release(old)
			}
			return nil
		}
		q.mu.Unlock()
		select {
		case <-q.notFull:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Get returns the oldest value, waiting for one until ctx ends. It returns
// io.EOF once the queue is closed and empty, or stopped.
func (q *Queue[T]) Get(ctx context.Context) (T, error) {
	var zero T
	for {
		if err := ctx.Err(); err != nil {
			q.passNotEmpty()
			return zero, err
		}
		q.mu.Lock()
		if q.n > 0 {
			v := q.pop()
			more := q.n > 0 || q.closed
			q.mu.Unlock()
			signal(q.notFull)
			if more {
				signal(q.notEmpty)
			}
			return v, nil
		}
		over := q.closed || q.stopped
		q.mu.Unlock()
		if over {
			signal(q.notEmpty) // for the next consumer
			return zero, io.EOF
		}
		select {
		case <-q.notEmpty:
		case <-ctx.Done():
			return zero, ctx.Err()
		}
	}
}

// Ready waits until Get has something to return at once, and takes nothing: a
// lone consumer may so get hold of what else it needs first, and then take what is
// oldest at that time. It ends as Get does.
func (q *Queue[T]) Ready(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			q.passNotEmpty()
			return err
		}
		q.mu.Lock()
		work, over := q.n > 0, q.closed || q.stopped
		q.mu.Unlock()
		if work || over {
			signal(q.notEmpty) // for Get, or the next consumer
		}
		if work {
			return nil
		}
		if over {
			return io.EOF
		}
		select {
		case <-q.notEmpty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close says that no more values will come. Producers call it after their last
// Put has returned.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	signal(q.notEmpty)
}

// Stop says that no more values will be taken. What is queued is released and is
// not counted as dropped.
func (q *Queue[T]) Stop() {
	q.mu.Lock()
	q.stopped = true
	var left []T
	for q.n > 0 {
		left = append(left, q.pop())
	}
	q.mu.Unlock()
	signal(q.notFull)
	signal(q.notEmpty)
	if q.release != nil {
		for _, v := range left {
			q.release(v)
		}
	}
}

// Len returns how many values are queued.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

// Dropped returns how many values DropOldest has dropped.
func (q *Queue[T]) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

func (q *Queue[T]) push(v T) {
	q.ring[(q.head+q.n)%len(q.ring)] = v
	q.n++
}

func (q *Queue[T]) pop() T {
	var zero T
	v := q.ring[q.head]
	q.ring[q.head] = zero // the ring must not keep it alive
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return v
}

// passNotFull and passNotEmpty hand on a token that a caller may have taken
// before it saw that its context had ended.
func (q *Queue[T]) passNotFull() {
	q.mu.Lock()
	room := q.n < len(q.ring) || q.stopped
	q.mu.Unlock()
	if room {
		signal(q.notFull)
	}
}

func (q *Queue[T]) passNotEmpty() {
	q.mu.Lock()
	work := q.n > 0 || q.closed || q.stopped
	q.mu.Unlock()
	if work {
		signal(q.notEmpty)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

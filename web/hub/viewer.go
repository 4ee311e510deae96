package hub

import (
	"context"
	"io"
)

// JoinOptions say what a viewer gets first.
type JoinOptions struct {
	// After is the ID of the last result that the viewer saw before it came
	// back; what it missed is delivered instead of the newest of each kind. Zero
	// is a new viewer. An ID of an earlier run of the program is understood.
	After uint64
}

// Message is one message to one viewer.
type Message struct {
	Number uint32 // in the order of this viewer, those that were dropped included
	Type   string
	// ID counts the results of the source. It is zero for what is no result, and
	// for the newest of each kind that a joiner gets.
	ID   uint64
	JSON []byte // shared, read-only
}

// Viewer is one receiver of a source's messages. Message and Next are called from
// one goroutine, and one kind of them per viewer; Close may be called from any,
// more than once, and must be.
type Viewer struct {
	s    *Source
	wake chan struct{} // one token: something may have changed

	// Next's.
	chunked Message
	index   int
	buf     []byte

	// The rest belongs to the source's lock.
	ring    []*message
	head, n int
	bytes   int
	lost    uint64     // results dropped in front of the ring
	missed  uint64     // results that are gone, in front of backlog
	backlog []*message // in front of the ring
	joined  int        // how many of backlog are the newest of a kind
	total   uint64
	number  uint32
	seen    versions
	over    bool // bye was given
	closed  bool
}

// Join adds a viewer. Viewers of a source that has ended get a bye.
func (s *Source) Join(opt JoinOptions) *Viewer {
	v := &Viewer{s: s, wake: make(chan struct{}, 1), ring: make([]*message, s.opt.Queue)}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case opt.After == 0 || opt.After >= s.next:
		v.backlog = s.current()
		v.joined = len(v.backlog)
	case opt.After < s.first: // before the restart: how many were lost is not known
		v.backlog, _ = s.history.after(opt.After)
	default:
		v.backlog, v.missed = s.history.after(opt.After)
	}
	s.viewers[v] = struct{}{}
	return v
}

// Source returns what the viewer looks at.
func (v *Viewer) Source() *Source { return v.s }

// Close takes the viewer out; a blocked Message or Next returns io.EOF.
func (v *Viewer) Close() {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	delete(v.s.viewers, v)
	v.closed = true
	v.backlog = nil
	clear(v.ring)
	v.signal()
}

// Dropped returns how many results this viewer lost.
func (v *Viewer) Dropped() uint64 {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	return v.total + v.lost + v.missed
}

// Message returns the next message, waiting for one until ctx ends. It returns
// io.EOF behind the bye and after Close.
func (v *Viewer) Message(ctx context.Context) (Message, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Message{}, err
		}
		m, err := v.take()
		if m.JSON != nil || err != nil {
			return m, err
		}
		select {
		case <-v.wake:
		case <-ctx.Done():
		}
	}
}

// Next returns the next chunk of the chunked form, waiting for one until ctx
// ends; it is valid until the next call. It returns io.EOF behind the bye and
// after Close. A chunk that was begun is not dropped: after Next with index 0 the
// rest of its message follows.
func (v *Viewer) Next(ctx context.Context) ([]byte, error) {
	if v.index == Chunks(len(v.chunked.JSON)) {
		m, err := v.Message(ctx)
		if err != nil {
			return nil, err
		}
		v.chunked, v.index = m, 0
	} else if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.buf = AppendChunk(v.buf[:0], v.chunked.JSON, v.chunked.Number, v.index)
	v.index++
	return v.buf, nil
}

// take returns the next message, or one without JSON if there is none.
func (v *Viewer) take() (Message, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case v.closed, v.over:
		return Message{}, io.EOF
	case v.seen.hello != s.version.hello:
		v.seen.hello = s.version.hello
		return v.say(TypeHello, s.helloMessage()), nil
	case v.seen.media != s.version.media:
		v.seen.media = s.version.media
		return v.say(TypeMedia, s.meJSON), nil
	case v.seen.status != s.version.status:
		v.seen.status = s.version.status
		return v.say(TypeStatus, s.stJSON), nil
	case v.missed > 0:
		return v.sayDropped(&v.missed), nil
	case len(v.backlog) > 0:
		m := v.backlog[0]
		v.backlog[0] = nil
		v.backlog = v.backlog[1:]
		out := v.say(TypeResult, m.json)
		if v.joined > 0 {
			v.joined--
		} else {
			out.ID = m.id
		}
		return out, nil
	case v.lost > 0:
		return v.sayDropped(&v.lost), nil
	case v.n > 0:
		m := v.pop()
		out := v.say(TypeResult, m.json)
		out.ID = m.id
		return out, nil
	case s.reason != "":
		v.over = true
		return v.say(TypeBye, byeMessage(s.reason)), nil
	}
	return Message{}, nil
}

func (v *Viewer) say(typ string, json []byte) Message {
	v.number++
	return Message{Number: v.number, Type: typ, JSON: json}
}

// sayDropped leaves out the numbers of what was lost.
func (v *Viewer) sayDropped(lost *uint64) Message {
	count := *lost
	*lost = 0
	v.total += count
	v.number += uint32(count)
	return v.say(TypeDropped, droppedMessage(count, v.total))
}

// put queues m, dropping the oldest that do not fit. It is called with the source
// locked.
func (v *Viewer) put(m *message) {
	for v.n > 0 && (v.n == len(v.ring) || v.bytes+len(m.json) > v.s.opt.QueueBytes) {
		v.pop()
		v.lost++
		v.s.lost++
	}
	v.ring[(v.head+v.n)%len(v.ring)] = m
	v.n++
	v.bytes += len(m.json)
	v.signal()
}

func (v *Viewer) pop() *message {
	m := v.ring[v.head]
	v.ring[v.head] = nil // the ring must not keep it alive
	v.head = (v.head + 1) % len(v.ring)
	v.n--
	v.bytes -= len(m.json)
	return m
}

func (v *Viewer) signal() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

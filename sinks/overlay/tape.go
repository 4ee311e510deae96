package overlay

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// mark is a value that holds from its stamp until a time of the same segment. It
// goes through package binary, so it and its value are of exported fields of
// fixed size.
type mark[T any] struct {
	ingest.Stamp
	Until time.Duration // 0: until the next mark
	Value T
}

// markOf gives an event without a duration the one that is given.
func markOf[T any](ev infer.Event, dur time.Duration, v T) mark[T] {
	m := mark[T]{Stamp: ev.Stamp, Value: v}
	if ev.Dur > 0 {
		dur = ev.Dur
	}
	if dur > 0 {
		m.Until = ev.At + dur
	}
	return m
}

func compare(a, b ingest.Stamp) int {
	return cmp.Or(cmp.Compare(a.Seg, b.Seg), cmp.Compare(a.At, b.At))
}

// tapeBlock is how many marks are gathered before they go to the spool.
const tapeBlock = 128

// tape is the marks of one kind, in the order in which they came: all of them lie
// in the spool but for the last few. Of a source of any length it holds in memory
// one block, and where each of the others lies.
type tape[T any] struct {
	blocks  []int64 // places in the spool
	tail    []mark[T]
	jumbled bool // some mark came after one that lies behind it
	buf     []byte
}

// add appends m. The marks before it may be gone from memory then.
func (t *tape[T]) add(s *sinks.Spool, m mark[T]) error {
	if l := t.last(); l != nil && m.Before(l.Stamp) {
		t.jumbled = true
	}
	if len(t.tail) == tapeBlock {
		var err error
		if t.buf, err = binary.Append(t.buf[:0], binary.LittleEndian, t.tail); err != nil {
			return err
		}
		at, err := s.Add(t.buf)
		if err != nil {
			return err
		}
		t.blocks, t.tail = append(t.blocks, at), t.tail[:0]
	}
	t.tail = append(t.tail, m)
	return nil
}

// last returns the newest mark, which may be changed; nil if there is none.
func (t *tape[T]) last() *mark[T] {
	if len(t.tail) == 0 {
		return nil
	}
	return &t.tail[len(t.tail)-1]
}

func (t *tape[T]) empty() bool { return len(t.tail) == 0 }

// cursor returns one that stands before the first mark. Nothing may be added any
// more.
func (t *tape[T]) cursor(s *sinks.Spool) (*cursor[T], error) {
	c := &cursor[T]{tape: t, spool: s}
	if !t.jumbled {
		return c, nil
	}
	// Families give their results in the order of their stamps. If one does not,
	// its marks have to fit the memory to be sorted.
	var all []mark[T]
	for {
		if err := c.load(); err != nil {
			return nil, err
		}
		if len(c.ahead) == 0 {
			break
		}
		all = append(all, c.ahead...)
	}
	slices.SortStableFunc(all, func(a, b mark[T]) int { return compare(a.Stamp, b.Stamp) })
	c.ahead = all
	return c, nil
}

// cursor walks the marks of a tape forward with the frames.
type cursor[T any] struct {
	tape  *tape[T]
	spool *sinks.Spool
	next  int // block to load
	ahead []mark[T]
	held  mark[T] // the one that was passed last
	some  bool    // one was passed
	block []mark[T]
	buf   []byte
}

// load makes the next block the one ahead, an empty one at the end.
func (c *cursor[T]) load() error {
	t := c.tape
	switch {
	case c.next < len(t.blocks):
		if c.block == nil {
			c.block = make([]mark[T], tapeBlock)
			c.buf = make([]byte, binary.Size(c.block))
		}
		if err := c.spool.Load(c.buf, t.blocks[c.next]); err != nil {
			return err
		}
		if _, err := binary.Decode(c.buf, binary.LittleEndian, c.block); err != nil {
			return err
		}
		c.ahead = c.block
	case c.next == len(t.blocks):
		c.ahead = t.tail
	default:
		c.ahead = nil
	}
	c.next++
	return nil
}

// step passes one mark if there is one up to s, which must not go back, and
// returns its stamp.
func (c *cursor[T]) step(s ingest.Stamp) (at ingest.Stamp, passed bool, err error) {
	if len(c.ahead) == 0 && c.next <= len(c.tape.blocks) {
		if err := c.load(); err != nil {
			return at, false, err
		}
	}
	if len(c.ahead) == 0 || s.Before(c.ahead[0].Stamp) {
		return at, false, nil
	}
	c.held, c.some = c.ahead[0], true
	c.ahead = c.ahead[1:]
	return c.held.Stamp, true, nil
}

// at returns the latest mark that holds at s, nil if there is none.
func (c *cursor[T]) at(s ingest.Stamp) (*mark[T], error) {
	for {
		_, passed, err := c.step(s)
		if err != nil {
			return nil, err
		}
		if !passed {
			break
		}
	}
	if m := &c.held; c.some && m.Seg == s.Seg && (m.Until == 0 || s.At < m.Until) {
		return m, nil
	}
	return nil, nil
}

package live

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seehear/seehear/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

// tape is an input of prepared packets, which come when they are due by the clock
// of the test bubble, counted from its opening.
type tape struct {
	streams []ingest.Stream
	packets []ingest.Packet
	due     []time.Duration // nil: all at once
	end     error           // after the last packet; nil: blocks
	damage  ingest.Damage
	more    bool // streams than it says

	opened time.Time
	n      int
	closed chan struct{}
	shut   int
}

func (s *tape) Streams() []ingest.Stream { return s.streams }
func (s *tape) Live() bool               { return true }
func (s *tape) Damage() ingest.Damage    { return s.damage }
func (s *tape) Grown() bool              { return s.more }
func (s *tape) Close() error {
	if s.shut++; s.shut == 1 {
		close(s.closed)
	}
	return nil
}

func (s *tape) Read(ctx context.Context) (ingest.Packet, error) {
	var due <-chan time.Time
	switch {
	case s.n < len(s.packets) && s.due == nil, s.n == len(s.packets) && s.end != nil:
		now := make(chan time.Time, 1)
		now <- time.Time{}
		due = now
	case s.n < len(s.packets):
		timer := time.NewTimer(time.Until(s.opened.Add(s.due[s.n])))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return ingest.Packet{}, ctx.Err()
	case <-s.closed:
		return ingest.Packet{}, fs.ErrClosed
	case <-due:
	}
	if s.n == len(s.packets) {
		return ingest.Packet{}, s.end
	}
	s.n++
	return s.packets[s.n-1], nil
}

func (s *tape) start() *tape {
	s.opened, s.closed = time.Now(), make(chan struct{})
	return s
}

func video(index int) ingest.Stream {
	return ingest.Stream{Index: index, Kind: ingest.Video, Codec: "h264", Width: 64, Height: 48, Timebase: ingest.Timebase{Num: 1, Den: 90000}}
}

func audio(index int) ingest.Stream {
	return ingest.Stream{Index: index, Kind: ingest.Audio, Codec: "aac", SampleRate: 48000, Channels: 2, Timebase: ingest.Timebase{Num: 1, Den: 48000}}
}

// frames are n packets of a stream, one each step, the first at from.
func frames(stream, n int, from, step time.Duration) (p []ingest.Packet) {
	for i := range n {
		at := from + time.Duration(i)*step
		p = append(p, ingest.Packet{Stream: stream, PTS: at, DTS: at, Dur: step, Data: []byte{1}})
	}
	return p
}

// live makes the packets of a tape due at their PTS.
func live(s *tape) *tape {
	for _, p := range s.packets {
		s.due = append(s.due, p.PTS)
	}
	return s
}

// script opens one input after another, and fails where there is an error.
func script(steps ...any) Opener {
	return func(context.Context) (ingest.Source, error) {
		if len(steps) == 0 {
			return nil, errors.New("rtsp://user:secret@camera/: connection refused")
		}
		step := steps[0]
		steps = steps[1:]
		switch s := step.(type) {
		case error:
			return nil, s
		case *tape:
			return s.start(), nil
		}
		panic("what is this")
	}
}

func read(t *testing.T, src ingest.Source, n int) (out []ingest.Packet) {
	t.Helper()
	// Of the fake clock's time: a source that is lost for ever is tried for ever.
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for range n {
		p, err := src.Read(ctx)
		if err != nil {
			t.Fatalf("packet %d: %v", len(out), err)
		}
		out = append(out, p)
	}
	return out
}

var errDead = io.ErrUnexpectedEOF

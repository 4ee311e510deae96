package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

const (
	// ahead is how much of the file is read before it is due, so that streams that
	// lie far apart in it come in the order of their time.
	ahead      = 2 * time.Second
	aheadBytes = 64 << 20
	// slack is how late a packet may be before the clock waits for the reader: a
	// machine too slow for the file plays it slower and does not fall behind ever
	// more.
	slack = time.Second
)

var errEmpty = errors.New("nothing to play")

// Looped is a file that plays at its own speed, again and again. It implements
// [ingest.Source], [ingest.Damaged] and [ingest.Walled].
type Looped struct {
	open Opener
	life context.Context // ends with Close
	kill context.CancelFunc

	line   line
	queues [][]ingest.Packet // stamped, by stream, in the order of the file
	bytes  int               // in the queues
	ended  bool              // the round is read to its end
	start  time.Duration     // At where the round begins
	timer  *time.Timer

	mu     sync.Mutex
	epoch  time.Time // when At 0 is due, zero before the first packet
	src    ingest.Source
	closed bool
	damage ingest.Damage // of the rounds before
}

// Loop opens a file and plays it at its own speed, by the monotonic clock: a
// packet comes when it is due to be decoded. When the file ends, it is opened
// again and the next round begins, in a new Seg, exactly where the last one
// ended (see Note [One clock over many inputs]). Read ends only with an error:
// that of its context, fs.ErrClosed, or why the file could not be read. A round
// in which nothing plays is an error as well.
func Loop(ctx context.Context, open Opener) (*Looped, error) {
	l := &Looped{open: open}
	l.life, l.kill = context.WithCancel(context.Background())
	if err := l.begin(ctx); err != nil {
		l.kill()
		return nil, err
	}
	return l, nil
}

// Streams returns the streams of the round that is read.
func (l *Looped) Streams() []ingest.Stream { return l.line.present() }

// Live is true.
func (l *Looped) Live() bool { return true }

// Damage sums up what all rounds lacked.
func (l *Looped) Damage() ingest.Damage {
	l.mu.Lock()
	d, src := l.damage, l.src
	l.mu.Unlock()
	if s, ok := src.(ingest.Damaged); ok {
		d.Add(s.Damage())
	}
	return d
}

// Wall returns when a stamp was due to play, which is never exact.
func (l *Looped) Wall(s ingest.Stamp) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch.IsZero() {
		return time.Time{}, false
	}
	return l.epoch.Add(s.At).Round(0), false
}

// begin opens the next round.
func (l *Looped) begin(ctx context.Context) error {
	src, err := l.open(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.src = src
	}
	l.mu.Unlock()
	if closed {
		return errors.Join(fs.ErrClosed, src.Close())
	}
	l.start, l.ended = l.line.end, false
	l.line.begin(src, l.start)
	for len(l.queues) < len(l.line.streams) {
		l.queues = append(l.queues, nil)
	}
	return nil
}

// Read returns the next packet when it is due.
func (l *Looped) Read(ctx context.Context) (ingest.Packet, error) {
	for {
		if err := ctx.Err(); err != nil {
			return ingest.Packet{}, err
		}
		if l.life.Err() != nil {
			return ingest.Packet{}, fmt.Errorf("ingest: read: %w", fs.ErrClosed)
		}
		if i := l.first(); i >= 0 {
			return l.give(ctx, i)
		}
		if err := l.fill(ctx); err != nil {
			return ingest.Packet{}, err
		}
	}
}

// first returns the stream whose packet is the next, -1 if more must be read to
// know.
func (l *Looped) first() int {
	best, waiting := -1, false
	var least, most time.Duration
	for i, q := range l.queues {
		if len(q) == 0 {
			waiting = waiting || l.line.offered[i].Kind != 0
			continue
		}
		if at := due(&q[0]); best < 0 || at < least {
			best, least = i, at
		}
		most = max(most, due(&q[len(q)-1]))
	}
	if best < 0 || waiting && !l.ended && most-least < ahead && l.bytes < aheadBytes {
		return -1
	}
	return best
}

// due is when p is to be decoded.
func due(p *ingest.Packet) time.Duration {
	if p.DTS != ingest.NoTime {
		return p.DTS
	}
	return p.PTS
}

// fill reads one packet of the file, or begins the next round once all of this
// one is given out.
func (l *Looped) fill(ctx context.Context) error {
	if l.ended {
		if l.line.end <= l.start {
			return fmt.Errorf("ingest: play: %w", errEmpty)
		}
		return l.begin(ctx)
	}
	l.mu.Lock()
	src := l.src
	l.mu.Unlock()
	if src == nil {
		return fmt.Errorf("ingest: read: %w", fs.ErrClosed)
	}
	p, err := src.Read(ctx)
	if err == io.EOF { //nolint:errorlint // by contract the end is io.EOF itself
		l.ended = true
		return l.retire(src)
	}
	if err != nil {
		return err
	}
	if i := l.line.stamp(&p); i >= 0 {
		l.queues[i] = append(l.queues[i], p)
		l.bytes += len(p.Data)
	}
	return nil
}

// give waits until the next packet of stream i is due and returns it.
func (l *Looped) give(ctx context.Context, i int) (ingest.Packet, error) {
	at := due(&l.queues[i][0])
	now := time.Now()
	l.mu.Lock()
	if l.epoch.IsZero() || now.Sub(l.epoch.Add(at)) > slack {
		l.epoch = now.Add(-at)
	}
	wait := l.epoch.Add(at).Sub(now)
	l.mu.Unlock()
	if wait > 0 {
		if l.timer == nil {
			l.timer = time.NewTimer(wait)
		} else {
			l.timer.Reset(wait)
		}
		select {
		case now = <-l.timer.C:
		case <-ctx.Done():
			return ingest.Packet{}, ctx.Err()
		case <-l.life.Done():
			return ingest.Packet{}, fmt.Errorf("ingest: read: %w", fs.ErrClosed)
		}
	}
	p := l.queues[i][0]
	l.queues[i][0] = ingest.Packet{}
	if l.queues[i] = l.queues[i][1:]; len(l.queues[i]) == 0 {
		l.queues[i] = nil
	}
	l.bytes -= len(p.Data)
	p.Arrived = now
	return p, nil
}

// retire closes the input of the round that was read.
func (l *Looped) retire(src ingest.Source) error {
	l.mu.Lock()
	mine := l.src == src
	l.src = nil
	if d, ok := src.(ingest.Damaged); ok && mine {
		l.damage.Add(d.Damage())
	}
	l.mu.Unlock()
	if !mine {
		return nil // Close was faster
	}
	return src.Close()
}

// Close ends the source and makes a blocked Read return. It may be called from
// any goroutine, and more than once.
func (l *Looped) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	src := l.src
	l.src = nil
	l.mu.Unlock()
	l.kill()
	if src == nil {
		return nil
	}
	return src.Close()
}

package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

// Options are the settings of [Keep]; zero fields take the defaults.
type Options struct {
	// Silence is how long an input may yield no packet before it counts as
	// failed: 9.5 s, so that ten seconds after a peer is gone everybody knows.
	Silence time.Duration
	// Connect bounds each opening: 20 s.
	Connect time.Duration
	Backoff Backoff
	// OnState is told of every change of the state, on the goroutine that calls
	// Keep, Read or Close. It must not block and must not call the source.
	OnState func(State)
}

// steady is how long a connection must hold for the next failure to count as the
// first.
const steady = 5 * time.Second

// An input that has more streams by now is opened anew for them; where that is in
// vain, it is not done again before a while has passed, which doubles each time.
const (
	firstGrowth = 10 * time.Second
	mostGrowth  = 10 * time.Minute
)

var (
	errSilent = errors.New("no packet")
	errGrown  = errors.New("another stream has appeared")
)

// Kept is an input that is opened again whenever it fails. It implements
// [ingest.Source], [ingest.Damaged], [ingest.Walled] and [ingest.Synced].
type Kept struct {
	open Opener
	opt  Options

	life context.Context // ends with Close or the context of Keep
	kill context.CancelCauseFunc

	// Of the goroutine that reads.
	line     line
	watch    watch
	failures int
	dry      time.Time // since when nothing comes
	up       time.Time // since when the connection holds
	first    bool      // no packet of this connection was given out yet
	ran      bool      // packets came before this connection
	counted  time.Time // when the damage was looked at
	grows    time.Time // before that it is not opened anew for more streams
	growth   time.Duration

	mu     sync.Mutex
	src    ingest.Source // nil between two connections
	closed bool
	state  State
	past   ingest.Damage // of the connections before
	damage ingest.Damage // of all
	sync   ingest.Synced
}

// Keep opens an input and returns it once it is there, after as many attempts as
// it takes; only the end of ctx makes it fail. ctx goes on to hold for the whole
// source: when it ends, Read returns its error.
//
// Read of what Keep returns blocks until a packet is there, over any number of
// failures and reconnects. It returns an error only if its context, that of Keep
// or the source itself has ended, never io.EOF.
func Keep(ctx context.Context, open Opener, opt Options) (*Kept, error) {
	if opt.Silence <= 0 {
		opt.Silence = 9500 * time.Millisecond
	}
	if opt.Connect <= 0 {
		opt.Connect = 20 * time.Second
	}
	opt.Backoff = opt.Backoff.withDefaults()
	k := &Kept{open: open, opt: opt, dry: time.Now()}
	k.life, k.kill = context.WithCancelCause(ctx)
	for {
		err := k.connect(ctx)
		if err == nil {
			return k, nil
		}
		if ended := k.ended(ctx); ended != nil {
			_ = k.Close() // there is nothing to close
			return nil, fmt.Errorf("ingest: nothing could be opened: %w (%s)", ended, oneLine(err))
		}
		k.wait(ctx, err)
	}
}

// Streams returns the streams of the last input as they are now (see Note [One
// clock over many inputs]).
func (k *Kept) Streams() []ingest.Stream { return k.line.present() }

// Live is true.
func (k *Kept) Live() bool { return true }

// State returns what the source is doing.
func (k *Kept) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Damage sums up what was lost in all connections; it is at most a second old.
func (k *Kept) Damage() ingest.Damage {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.damage
}

// Wall returns the wall-clock time of a stamp, as the connection that it came
// from knows it.
func (k *Kept) Wall(s ingest.Stamp) (time.Time, bool) { return k.line.wall(s) }

// Sync returns what the sender of the present connection reports.
func (k *Kept) Sync() ingest.Sync {
	k.mu.Lock()
	s := k.sync
	k.mu.Unlock()
	if s == nil {
		return ingest.Sync{}
	}
	return s.Sync()
}

// Read returns the next packet (see [Keep]).
func (k *Kept) Read(ctx context.Context) (ingest.Packet, error) {
	for {
		if err := k.ended(ctx); err != nil {
			return ingest.Packet{}, err
		}
		src := k.input()
		if src == nil {
			if err := k.connect(ctx); err != nil {
				k.wait(ctx, err)
			}
			continue
		}
		p, err := k.next(ctx, src)
		if err == nil {
			return p, nil
		}
		if ended := k.ended(ctx); ended != nil {
			return ingest.Packet{}, ended
		}
		if !k.up.IsZero() && time.Since(k.up) >= steady {
			k.failures = 0
		}
		k.drop()
		k.wait(ctx, err)
	}
}

// ended says why the source is over, nil if it is not.
func (k *Kept) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Cause(k.life)
}

func (k *Kept) input() ingest.Source {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.src
}

// connect opens the input.
func (k *Kept) connect(ctx context.Context) error {
	k.enter(State{Phase: Connecting})
	timed := k.watch.arm(ctx, k.life, k.opt.Connect)
	src, err := k.open(timed)
	late := k.watch.rest()
	opened := err == nil // else there is no source, whatever src holds
	switch {
	case late:
		err = fmt.Errorf("not open within %v", k.opt.Connect)
	case opened && len(src.Streams()) == 0:
		err = ingest.ErrNoMedia
	}
	k.mu.Lock()
	if err == nil && k.closed {
		err = fs.ErrClosed
	}
	if err == nil {
		k.line.begin(src, k.line.end)
		k.first, k.up = true, time.Time{}
		k.src = src
		k.sync, _ = src.(ingest.Synced)
	}
	k.mu.Unlock()
	if err != nil && opened {
		_ = src.Close() // what made it useless is what is reported
	}
	return err
}

// next returns the next packet of this connection.
func (k *Kept) next(ctx context.Context, src ingest.Source) (ingest.Packet, error) {
	timed := k.watch.arm(ctx, k.life, k.opt.Silence)
	for {
		p, err := src.Read(timed)
		if err != nil {
			if k.watch.rest() {
				err = fmt.Errorf("%w for %v", errSilent, k.opt.Silence)
			} else if err == io.EOF { //nolint:errorlint // by contract the end is io.EOF itself
				err = errors.New("the stream ended")
			}
			return ingest.Packet{}, err
		}
		now := p.Arrived
		if now.IsZero() {
			now = time.Now()
			p.Arrived = now
		}
		if k.up.IsZero() {
			k.up = now
			if k.ran {
				k.line.move(k.line.resume(&p))
			}
		}
		if k.line.stamp(&p) < 0 {
			continue
		}
		k.line.arrived(&p)
		k.watch.rest()
		if k.first {
			k.running()
		}
		k.dry = now
		if now.Sub(k.counted) >= time.Second {
			k.counted = now
			k.count(src)
			if k.grown(src, now) {
				return ingest.Packet{}, errGrown
			}
		}
		return p, nil
	}
}

// grown reports whether the input is to be opened anew, for a stream that it has
// by now and had not when it was opened.
func (k *Kept) grown(src ingest.Source, now time.Time) bool {
	g, ok := src.(ingest.Growing)
	if !ok || !g.Grown() || now.Before(k.grows) {
		return false
	}
	k.growth = min(max(2*k.growth, firstGrowth), mostGrowth)
	k.grows = now.Add(k.growth)
	return true
}

// running says that packets come.
func (k *Kept) running() {
	s := State{Phase: Running, Reconnects: k.State().Reconnects}
	if k.ran {
		s.Reconnects++
	}
	k.first, k.ran = false, true
	k.enter(s)
}

// count brings the damage up to date.
func (k *Kept) count(src ingest.Source) {
	now := ingest.Damage{Late: k.line.left}
	if d, ok := src.(ingest.Damaged); ok {
		now.Add(d.Damage())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.damage = k.past
	k.damage.Add(now)
}

// drop ends this connection.
func (k *Kept) drop() {
	src := k.take()
	if src == nil {
		return // Close was faster
	}
	k.count(src)
	k.mu.Lock()
	k.past = k.damage
	k.mu.Unlock()
	k.line.left = 0
	_ = src.Close() // it failed already, which is what is reported
}

// take returns the connection to the one who shall close it, nil if there is
// none.
func (k *Kept) take() ingest.Source {
	k.mu.Lock()
	defer k.mu.Unlock()
	src := k.src
	k.src = nil
	return src
}

// wait notes that an attempt failed and lets the time pass until the next.
func (k *Kept) wait(ctx context.Context, cause error) {
	if k.ended(ctx) != nil {
		return
	}
	k.failures++
	d := k.opt.Backoff.wait(k.failures, time.Since(k.dry))
	k.enter(State{Phase: Waiting, Cause: oneLine(cause), Next: d})
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-k.life.Done():
	}
}

// enter makes s the state. What s does not say stays: the count of reconnects,
// and the cause until packets come.
func (k *Kept) enter(s State) {
	s.Since = time.Now()
	k.mu.Lock()
	if k.state.Phase == Closed {
		k.mu.Unlock()
		return
	}
	if s.Phase != Running {
		s.Reconnects = k.state.Reconnects
		if s.Cause == "" {
			s.Cause = k.state.Cause
		}
	}
	k.state = s
	k.mu.Unlock()
	if k.opt.OnState != nil {
		k.opt.OnState(s)
	}
}

// Close ends the source and makes a blocked Read return. It may be called from
// any goroutine, and more than once.
func (k *Kept) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	k.mu.Unlock()
	k.kill(fs.ErrClosed)
	k.enter(State{Phase: Closed})
	if src := k.take(); src != nil {
		return src.Close()
	}
	return nil
}

// oneLine is what is shown of an error.
func oneLine(err error) string {
	return strings.ReplaceAll(ingest.Redact(err.Error()), "\n", "; ")
}

package seehear

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// intake reads, decodes and aligns: the front of the pipeline. One goroutine
// uses it at a time.
type intake struct {
	p       *Pipeline
	plan    *plan
	reader  *decode.Reader
	aligner *align.Aligner

	parent  context.Context // the caller's
	ctx     context.Context // of reading: ends on a soft stop and on failure, too
	cancel  context.CancelFunc
	watched chan struct{} // closed when the watcher of Soft has ended

	units   []decode.Unit
	moments []*align.Moment
	over    error // what ended reading: errWhole, errSoft, or what went wrong
	at      time.Duration
	decoded func(at ingest.Stamp, frame bool) // told of each frame and block, if not nil
}

// queue takes moments, as a flow.Queue does.
type queue interface {
	Put(context.Context, *align.Moment) error
	Close()
}

// Why reading ended, other than by an error.
var (
	errSoft  = errors.New(Stopped)
	errWhole = errors.New("everything was read")
)

// newIntake starts the watcher of p.Soft; close waits for it.
func newIntake(parent, inner context.Context, p *Pipeline, pl *plan, r *decode.Reader, a *align.Aligner) *intake {
	in := &intake{p: p, plan: pl, reader: r, aligner: a, parent: parent, watched: make(chan struct{})}
	in.ctx, in.cancel = context.WithCancel(inner)
	go func() {
		defer close(in.watched)
		select {
		case <-p.Soft:
			in.cancel()
		case <-in.ctx.Done():
		}
	}()
	return in
}

// close gives back what is left inside and waits for the watcher.
func (in *intake) close() {
	in.cancel()
	<-in.watched
	for _, u := range in.units {
		u.Release()
	}
	in.units = nil
	for _, m := range in.moments {
		m.Release()
	}
	in.moments = nil
	in.aligner.Close()
}

func (in *intake) soft() bool {
	select {
	case <-in.p.Soft:
		return true
	default:
		return false
	}
}

// read fetches more units. After an end of any kind, over is set and the units
// that came with it still count.
func (in *intake) read() {
	if in.soft() {
		in.over = errSoft
		return
	}
	units, err := in.reader.Read(in.ctx, in.units)
	in.units = units
	switch {
	case err == nil:
	case err == io.EOF: //nolint:errorlint // a wrapped one is no proper end
		in.over = errWhole
	case in.parent.Err() != nil:
		in.over = context.Cause(in.parent)
	case in.soft():
		in.over = errSoft // the read was broken off for it
	default:
		in.over = err
	}
}

// first reads until something was decoded. What it has read stays for run.
func (in *intake) first() error {
	for {
		in.read()
		for _, u := range in.units {
			if u.Frame != nil || u.Block != nil {
				return nil
			}
		}
		switch {
		case in.over == nil:
		case errors.Is(in.over, errWhole):
			return decode.ErrNothingDecoded
		default:
			return in.over
		}
	}
}

// run reads to the end and puts the moments into q, which it closes.
func (in *intake) run(ctx context.Context, q queue) error {
	defer q.Close()
	for {
		for i, u := range in.units {
			in.units[i] = decode.Unit{}
			in.progress(u)
			in.p.Tap.take(u)
			in.moments = in.aligner.Push(in.moments[:0], u)
			if err := in.pass(ctx, q); err != nil {
				return err
			}
		}
		in.units = in.units[:0]
		if in.over != nil {
			break
		}
		in.read()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	in.moments = in.aligner.Flush(in.moments[:0])
	if err := in.pass(ctx, q); err != nil {
		return err
	}
	if errors.Is(in.over, errWhole) {
		return nil
	}
	return in.over
}

// progress tells how far reading has come.
func (in *intake) progress(u decode.Unit) {
	at := in.at
	switch {
	case u.Frame != nil:
		at = u.Frame.At
		if in.decoded != nil {
			in.decoded(u.Frame.Stamp, true)
		}
	case u.Block != nil:
		at = u.Block.At
		if in.decoded != nil {
			in.decoded(u.Block.Stamp, false)
		}
	}
	if at > in.at {
		in.at = at
		if in.p.Progress != nil {
			in.p.Progress(at)
		}
	}
}

// pass hands on the moments that some family wants and releases the others.
func (in *intake) pass(ctx context.Context, q queue) error {
	for i, m := range in.moments {
		if in.plan.calls(m) {
			if err := q.Put(ctx, m); err != nil {
				in.moments = append(in.moments[:0], in.moments[i:]...)
				return err
			}
		} else {
			m.Release()
		}
	}
	in.moments = in.moments[:0]
	return nil
}

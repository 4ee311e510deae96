// Package seehear is what a Go program embeds: it joins a source, the networks
// and the sinks into one run.
//
// [Run] reads and decodes once, pairs picture and sound (package align), lets the
// families of package infer look at each moment on several processors at a time,
// and hands their events to the sinks in order. It imports no adapter: whoever
// calls it, such as the command seehear, says how the input is opened:
//
//	summary, err := seehear.Run(ctx, seehear.Pipeline{
//		Source:   "cat.mp4",
//		Open: func(ctx context.Context, out decode.Outputs) (*decode.Reader, error) {
//			src, err := av.Open(ctx, "cat.mp4", av.DefaultOptions())
//			if err != nil {
//				return nil, err
//			}
//			dec, err := ffmpeg.New(src.Streams(), out, ffmpeg.Options{})
//			if err != nil {
//				return nil, errors.Join(err, src.Close())
//			}
//			return decode.NewReader(src, dec), nil
//		},
//		Families: families,
//		Sinks:    []sinks.Sink{jsonl.New(dir)},
//		Cuts:     true,
//	})
//
// The results of a file depend on the media and the networks alone: not on the
// number of workers or processors, nor on how fast anything is. A live source
// (decode.Reader.Live) does not wait: what there is no time for is left out, the
// oldest first, and counted (see Note [Live]).
package seehear

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// Pipeline says what to run.
type Pipeline struct {
	// Open opens the input and decodes it to the given forms. Run closes the
	// reader.
	Open func(context.Context, decode.Outputs) (*decode.Reader, error)
	// Source is the input's name as shown to people; it is redacted again.
	Source string
	// Families look at the moments. Of two events at the same place, the one of
	// the earlier family comes first.
	Families []infer.Family
	// Sinks take the events. They are begun, written and closed in this order, so
	// one that builds on the output of another stands behind it.
	Sinks []sinks.Sink
	// Cuts and Gaps make events of scene cuts and of missing stretches, which no
	// model is needed for.
	Cuts, Gaps bool
	// Workers is how many moments are looked at side by side; 0 means
	// runtime.GOMAXPROCS.
	Workers int
	// Fair shares the looking among the live runs that are given the same one; a
	// live run without has Workers slots to itself.
	Fair *Fair
	// Monitor, if not nil, is told how a live run is doing.
	Monitor *Monitor
	// Tap, if not nil, gets a further form of what is decoded.
	Tap *Tap
	// Align bounds what is remembered when streams drift apart.
	Align align.Options
	// Soft, when closed, ends the run early but properly: reading stops, what was
	// read is finished and written, and the summary is not complete. Cancelling
	// the context is the hard stop.
	Soft <-chan struct{}
	// Progress, if not nil, is told how far reading has come. It is called often,
	// from one goroutine, and must return at once.
	Progress func(at time.Duration)
}

// Stopped is what Summary.Error says after a soft stop.
const Stopped = "stopped before the end"

// ErrStopped comes from the Close of a sink that a soft stop has cut short, such
// as one that makes a second pass. It is no failure: the sinks that are closed
// after it, and whoever called Run, get a summary that is not complete.
var ErrStopped = errSoft

// Run runs p over the whole source and returns the account of it, also beside an
// error, as far as it came.
//
// Nothing is begun before something was decoded: if the input cannot be opened
// or yields nothing (decode.ErrNothingDecoded), no sink is touched. From then on
// every sink is closed exactly once. If reading fails in the middle, what was
// decoded is finished and written all the same; the error comes back and stands
// in the summary. A sink that fails is left out, the others go on; an error of a
// family ends the run. When ctx ends, Run returns soon with its error, and the
// sinks leave no finished file. All goroutines have ended and all memory has been
// released when Run returns.
func Run(ctx context.Context, p Pipeline) (sinks.Summary, error) {
	if p.Workers <= 0 {
		p.Workers = runtime.GOMAXPROCS(0)
	}
	p.Source = ingest.Redact(p.Source)
	pl := fold(&p)
	reader, err := p.Open(ctx, pl.outputs)
	if err != nil {
		return account(ingest.Damage{}, decode.Stats{}, align.Stats{}, err), err
	}
	p.Align.Apart = reader.Live()
	aligner, err := align.New(pl.outputs, reader.Streams(), pl.needs, p.Align)
	if err != nil {
		err = sinks.Join(fmt.Errorf("seehear: %w", err), reader.Close())
		return account(ingest.Damage{}, decode.Stats{}, align.Stats{}, err), err
	}
	inner, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &run{
		p: &p, plan: pl, ctx: ctx, inner: inner, fail: fail,
		in: newIntake(ctx, inner, &p, pl, reader, aligner), reader: reader, aligner: aligner,
	}
	err = r.in.first()
	switch {
	case err == nil && reader.Live():
		return r.live()
	case err == nil:
		return r.do()
	}
	r.in.close()
	damage, stats := reader.Damage(), reader.Stats()
	if errors.Is(err, errSoft) {
		sum := account(damage, stats, aligner.Stats(), err)
		return sum, reader.Close()
	}
	err = sinks.Join(err, reader.Close())
	return account(damage, stats, aligner.Stats(), err), err
}

// account fills a summary with what reading, decoding and aligning counted.
func account(m ingest.Damage, d decode.Stats, a align.Stats, err error) sinks.Summary {
	sum := sinks.Summary{
		Complete: err == nil,
		Frames:   d.Frames, Samples: d.Samples, Errors: d.Errors,
		Duration: a.End, Segs: a.Segs, MissingAudio: a.MissingAudio,
		LateFrames: a.LateFrames, LateSamples: a.LateSamples,
		Truncated: m.Truncated, Missing: m.Missing, Damaged: int64(m.Entries + m.Places),
	}
	if err != nil {
		sum.Error = ingest.Redact(err.Error())
	}
	return sum
}

package seehear

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest/flow"
	"github.com/seehear/seehear/sinks"
)

// How many moments wait in front of the workers, and how many the workers may be
// ahead of the oldest one that is not finished: enough that a slow look at one
// picture does not hold up the sound of the next seconds.
const (
	waiting = 8
	ahead   = 64
)

// run is one run from the first decoded unit on. A live one is run by live; of
// the others:
//
// Three parties work on it: the intake in a goroutine of its own, the workers of
// the workshop, and the caller of do, who takes the finished moments in order,
// resolves them and writes. States and sinks belong to that last one alone.
type run struct {
	p       *Pipeline
	plan    *plan
	ctx     context.Context // the caller's: of the sinks, which end properly on failure
	inner   context.Context // of reading and inferring: ends on fail, too
	fail    context.CancelCauseFunc
	in      *intake
	reader  *decode.Reader
	aligner *align.Aligner

	seg    uint32
	states []infer.State // by family, nil until opened in this Seg
	opened []bool
	outs   []*outlet

	moments, events int64
}

// outlet is a sink and whether it still takes events.
type outlet struct {
	sink sinks.Sink
	err  error
}

// do runs a file to the end.
func (r *run) do() (sinks.Summary, error) {
	r.states = make([]infer.State, len(r.plan.families))
	r.opened = make([]bool, len(r.plan.families))
	r.begin()

	q := flow.New(waiting, flow.Block, (*align.Moment).Release)
	read := make(chan error, 1)
	go func() { read <- r.in.run(r.inner, q) }()
	shop := newWorkshop(r.inner, r.plan.families, q, r.p.Workers, max(ahead, 4*r.p.Workers))

	err := r.writable()
	if err != nil {
		r.fail(err)
	}
	for j := range shop.jobs {
		<-j.done
		if err == nil && r.inner.Err() == nil {
			if err = r.resolve(j); err != nil {
				r.fail(err)
			}
		}
		shop.release(j)
	}
	q.Stop()
	source := <-read
	r.in.close()
	switch {
	case err != nil:
	case r.inner.Err() != nil:
		err = context.Cause(r.ctx)
	default:
		err = r.finish(r.aligner.Stats().End) // its goroutine has ended
	}
	soft := errors.Is(source, errSoft)
	if err == nil && !soft {
		err = source
	}
	return r.end(err, soft, int64(q.Dropped()))
}

// begin begins every sink.
func (r *run) begin() {
	h := sinks.Header{Source: r.p.Source, Streams: r.reader.Streams(), Live: r.reader.Live()}
	for _, f := range r.p.Families {
		h.Models = append(h.Models, f.Models()...)
	}
	for _, s := range r.p.Sinks {
		r.outs = append(r.outs, &outlet{sink: s, err: s.Begin(r.ctx, h)})
	}
}

// resolve finishes one moment and writes its events.
func (r *run) resolve(j *job) error {
	m := j.m
	if m.Seg != r.seg {
		// A Seg begins where the one before it ended.
		if err := r.finish(m.At); err != nil {
			return err
		}
		r.seg = m.Seg
	}
	r.moments++
	f := r.plan.families[m.Need]
	if j.err != nil {
		return r.familyError(f, m, j.err)
	}
	if !r.opened[m.Need] {
		r.opened[m.Need], r.states[m.Need] = true, f.Open()
	}
	evs, err := f.Resolve(r.inner, r.states[m.Need], m, j.out)
	if err != nil {
		return r.familyError(f, m, err)
	}
	return r.write(evs)
}

// finish ends the Seg, whose media end at the given time, for every family that
// looked at it. What a family holds for longer than there is anything to see or
// hear, such as the last caption, ends there.
func (r *run) finish(end time.Duration) error {
	for i, f := range r.plan.families {
		if !r.opened[i] {
			continue
		}
		evs, err := f.Finish(r.inner, r.states[i])
		r.opened[i], r.states[i] = false, nil
		if err != nil {
			return r.familyError(f, nil, err)
		}
		for i := range evs {
			if ev := &evs[i]; ev.At < end {
				ev.Dur = min(ev.Dur, end-ev.At)
			}
		}
		if err := r.write(evs); err != nil {
			return err
		}
	}
	return nil
}

// familyError names the family and the place: of a moment, or the end of a Seg.
func (r *run) familyError(f infer.Family, m *align.Moment, err error) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx) // the caller's doing, not the family's
	}
	name := fmt.Sprintf("%T", f)
	if models := f.Models(); len(models) > 0 {
		name = models[0].Family
		if models[0].Name != name {
			name += " (" + models[0].Name + ")"
		}
	}
	where := "at the end"
	if m != nil {
		where = fmt.Sprintf("at %.3f s", m.At.Seconds())
	}
	if r.seg > 0 {
		where += fmt.Sprintf(" of segment %d", r.seg)
	}
	return fmt.Errorf("seehear: %s: %s %s: %w", r.p.Source, name, where, err)
}

// write hands events to the sinks.
func (r *run) write(evs []infer.Event) error {
	for _, ev := range evs {
		ev.Source = r.p.Source
		r.events++
		for _, o := range r.outs {
			if o.err == nil {
				o.err = o.sink.Write(r.ctx, ev)
			}
		}
		if err := r.writable(); err != nil {
			return err
		}
	}
	return nil
}

// errNoSink ends a run early whose every sink has failed; their own errors say
// why.
var errNoSink = errors.New("no output is left to write to")

func (r *run) writable() error {
	for _, o := range r.outs {
		if o.err == nil {
			return nil
		}
	}
	if len(r.outs) == 0 {
		return nil
	}
	return errNoSink
}

// end closes the reader and the sinks, each once, and says how the run went.
func (r *run) end(err error, soft bool, drops int64) (sinks.Summary, error) {
	damage, decoded, aligned := r.reader.Damage(), r.reader.Stats(), r.aligner.Stats()
	if errors.Is(err, errNoSink) {
		err = nil
	}
	if drops > 0 && !r.reader.Live() {
		err = sinks.Join(err, fmt.Errorf("seehear: %s: %d moments dropped of a file", r.p.Source, drops))
	}
	err = sinks.Join(err, r.reader.Close())
	failure := func() error {
		if r.ctx.Err() != nil { // the sinks fail for the same reason
			return cmp.Or(err, context.Cause(r.ctx))
		}
		errs := []error{err}
		for _, o := range r.outs {
			if o.err != nil {
				name := sinkName(o.sink) + ": "
				if strings.HasPrefix(o.err.Error(), name) {
					name = ""
				}
				errs = append(errs, fmt.Errorf("%s%w", name, o.err))
			}
		}
		return sinks.Join(errs...)
	}
	summary := func() sinks.Summary {
		whole := failure()
		if whole == nil && soft {
			whole = errSoft
		}
		sum := account(damage, decoded, aligned, whole)
		sum.Moments, sum.Events, sum.Drops = r.moments, r.events, drops
		return sum
	}
	for _, o := range r.outs {
		cerr := o.sink.Close(r.ctx, summary())
		if errors.Is(cerr, errSoft) {
			soft, cerr = true, nil
		}
		if o.err == nil {
			o.err = cerr
		}
	}
	return summary(), failure()
}

// sinkName names a sink by its package, such as "jsonl", or as it names itself.
func sinkName(s sinks.Sink) string {
	if s, ok := s.(fmt.Stringer); ok {
		return s.String()
	}
	name := strings.TrimPrefix(fmt.Sprintf("%T", s), "*")
	if pkg, typ, ok := strings.Cut(name, "."); ok && typ == "Sink" {
		return pkg
	}
	return name
}

package seehear

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/flow"
	"github.com/seehear/seehear/sinks"
)

// Note [Live]
//
// A live source does not wait, so nothing may hold up the intake. Each need has a
// lane of its own: a queue of the newest moments, one goroutine that looks at them
// one after the other, and so the State of its family. A slow look delays no other
// need, and one need's moments never push out another's. A lane asks for its turn
// first (see Note [Fair shares]) and takes the moment afterwards, so what it looks
// at is what is newest then.
//
// A lane keeps one moment, or, of a need that looks more often than every slack,
// as many as fall into it: stamps come in bursts, as packets do, and a gate that
// goes through all of the sound in short windows should not lose any of it to one.
//
// The events of a need are in order; those of different needs come as they are
// found. Each sink has a queue and a goroutine of its own, so that a slow disk
// costs the events that it is too slow for and nothing else.

const (
	slack  = 250 * time.Millisecond
	backup = 512 // events that wait for a sink
)

// live is the run of a live source.
type live struct {
	*run
	mon     *Monitor
	lanes   []*lane
	outlets []*flow.Queue[infer.Event]

	mu  sync.Mutex // of the events on their way out, the counters of run, and outlet.err
	err error      // the first
}

// fresh is a moment and when the last of the media that it needs came.
type fresh struct {
	*align.Moment
	arrived time.Time
}

// live runs to the end.
func (r *run) live() (sinks.Summary, error) {
	l := &live{run: r, mon: r.p.Monitor}
	if l.mon == nil {
		l.mon = new(Monitor)
	}
	fair := r.p.Fair
	if fair == nil {
		fair = NewFair(r.p.Workers)
	}
	r.begin()
	if err := r.writable(); err != nil {
		l.stop(err)
	}
	var writers, lookers sync.WaitGroup
	for _, o := range r.outs {
		q := flow.New[infer.Event](backup, flow.DropOldest, nil)
		l.outlets = append(l.outlets, q)
		writers.Go(func() { l.deliver(o, q) })
	}
	source := &party{}
	for i, f := range r.plan.families {
		a := newLane(l, i, f, fair, source)
		l.lanes = append(l.lanes, a)
		lookers.Go(a.run)
	}
	r.in.decoded = l.decoded
	over := r.in.run(r.inner, l)
	lookers.Wait()
	r.in.close()
	end := r.aligner.Stats().End
	for _, a := range l.lanes {
		a.queue.Stop()
		if r.inner.Err() == nil {
			a.finish(end)
		}
	}
	for _, q := range l.outlets {
		q.Close()
	}
	writers.Wait()
	err := l.err
	if r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	soft := errors.Is(over, errSoft)
	if err == nil && !soft {
		err = over
	}
	var drops uint64
	for _, a := range l.lanes {
		drops += a.queue.Dropped()
	}
	for _, q := range l.outlets {
		drops += q.Dropped()
	}
	return r.end(err, soft, int64(drops))
}

// stop ends the run for err.
func (l *live) stop(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	l.mu.Unlock()
	l.fail(err)
}

// Put is called by the intake.
func (l *live) Put(ctx context.Context, m *align.Moment) error {
	if l.seg != m.Seg {
		// A Seg begins where the one before it ended.
		l.seg = m.Seg
		for _, a := range l.lanes {
			a.leave(m.Stamp)
		}
	}
	a := l.lanes[m.Need]
	err := a.queue.Put(ctx, fresh{m, l.arrival(m)})
	if n := a.queue.Dropped(); n > a.dropped {
		l.mon.drop(a.name, int64(n-a.dropped))
		a.dropped = n
	}
	return err
}

// Close is called by the intake.
func (l *live) Close() {
	for _, a := range l.lanes {
		a.queue.Close()
	}
}

// arrival returns when the last packet came that m needs.
func (l *live) arrival(m *align.Moment) time.Time {
	var t time.Time
	if m.Frame != nil {
		t = l.reader.Arrived(ingest.Video, m.Stamp)
	}
	if m.Wave.PCM != nil && m.Wave.PCM.Format != nil {
		last := m.Wave.Stamp
		if f := m.Wave.PCM.Format; f.SampleRate > 0 && f.NumChannels > 0 {
			last.At += ingest.SampleTime(int64(len(m.Wave.PCM.Data)/f.NumChannels)-1, f.SampleRate)
		}
		if s := l.reader.Arrived(ingest.Audio, last); s.After(t) {
			t = s
		}
	}
	if t.IsZero() {
		t = l.reader.Newest()
	}
	return t
}

// decoded is told by the intake of each frame and block.
func (l *live) decoded(at ingest.Stamp, frame bool) { l.mon.edge(at, frame) }

// write hands the events of a moment to the sinks.
func (l *live) write(a *lane, evs []infer.Event, arrived time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range evs {
		ev.Source = l.p.Source
		ev.Wall, _ = l.reader.Wall(ev.Stamp)
		if !arrived.IsZero() {
			ev.Lag = max(0, time.Since(arrived))
			l.mon.late(ev.Lag, a.steady)
		}
		l.events++
		for _, q := range l.outlets {
			was := q.Dropped()
			_ = q.Put(l.ctx, ev) // of one that has ended, or that nobody waits for any more
			if n := q.Dropped(); n > was {
				l.mon.drop(dropEvents, int64(n-was))
			}
		}
	}
}

// deliver writes what is queued for one sink.
func (l *live) deliver(o *outlet, q *flow.Queue[infer.Event]) {
	defer q.Stop()
	l.mu.Lock()
	err := o.err
	l.mu.Unlock()
	for err == nil {
		ev, end := q.Get(l.ctx)
		if end != nil {
			return
		}
		err = o.sink.Write(l.ctx, ev)
	}
	l.mu.Lock()
	o.err = err
	err = l.writable()
	l.mu.Unlock()
	if err != nil {
		l.stop(err)
	}
}

// lane is one need of a live source.
type lane struct {
	live   *live
	need   int
	family infer.Family
	name   string // under which its drops are counted
	model  string // under which its time is
	cheap  bool   // takes no turn: it has no network
	steady bool   // looks at pictures all the time
	fair   *Fair
	claim  *claim

	queue   *flow.Queue[fresh]
	dropped uint64 // of queue, as far as counted; belongs to the intake

	gone atomic.Pointer[ingest.Stamp] // start of the Seg that the intake is at

	mu     sync.Mutex // of the rest; held while looking
	opened bool
	state  infer.State
	at     ingest.Stamp // of the last moment
}

func newLane(l *live, need int, f infer.Family, fair *Fair, p *party) *lane {
	ask := l.plan.asks[need]
	a := &lane{live: l, need: need, family: f, fair: fair, claim: newClaim(p)}
	a.name = familyName(f)
	a.model = a.name
	if m := f.Models(); len(m) > 0 {
		a.model = m[0].Name
	}
	switch f.(type) {
	case cutFamily, gapFamily:
		a.cheap = true
	}
	a.steady = l.plan.needs[need].Image >= 0 && (ask.Cadence == align.EveryFrame || ask.Cadence == align.EveryPeriod)
	a.queue = flow.New(depth(ask, l.reader.Streams(), a.cheap), flow.DropOldest, func(m fresh) { m.Release() })
	return a
}

// depth is how many moments of a need may wait, see Note [Live].
func depth(n infer.Need, streams []ingest.Stream, cheap bool) int {
	if cheap {
		return 64
	}
	period := n.Period
	switch n.Cadence {
	case align.EveryHop:
		period = ingest.SampleTime(int64(n.Hop), max(n.Sound.Rate, 1))
	case align.EveryFrame:
		period = time.Second / 25
		for _, s := range streams {
			if r := s.FrameRate; s.Kind == ingest.Video && r.Num > 0 && r.Den > 0 {
				period = time.Duration(int64(time.Second) * int64(r.Den) / int64(r.Num))
			}
		}
	case align.EveryCut:
		return 1
	}
	return int(min(max(slack/max(period, 1), 1), 64))
}

// familyName names a family for people.
func familyName(f infer.Family) string {
	switch f.(type) {
	case cutFamily:
		return "cuts"
	case gapFamily:
		return "gaps"
	}
	if m := f.Models(); len(m) > 0 && m[0].Family != "" {
		return m[0].Family
	}
	name := strings.TrimPrefix(fmt.Sprintf("%T", f), "*")
	name, _, _ = strings.Cut(name, ".")
	return name
}

// run looks at moments until there are no more.
func (a *lane) run() {
	ctx := a.live.inner
	for a.queue.Ready(ctx) == nil {
		if !a.cheap && a.fair.acquire(ctx, a.claim) != nil {
			return
		}
		m, err := a.queue.Get(ctx)
		if err == nil {
			began := time.Now()
			var evs []infer.Event
			evs, err = a.look(ctx, m)
			took := time.Since(began)
			if !a.cheap {
				a.fair.release(a.claim, took)
				a.live.mon.took(a.model, took)
			}
			a.live.write(a, evs, m.arrived)
			m.Release()
			a.mu.Lock()
			a.settle()
			a.mu.Unlock()
		} else if !a.cheap {
			a.fair.release(a.claim, 0)
		}
		if err != nil {
			if ctx.Err() == nil {
				a.live.stop(err)
			}
			return
		}
	}
}

// look infers and resolves one moment.
func (a *lane) look(ctx context.Context, m fresh) ([]infer.Event, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opened && a.at.Seg != m.Seg {
		if err := a.over(m.At); err != nil {
			return nil, err
		}
	}
	a.at = m.Stamp
	a.live.count(m.Moment)
	out, err := a.family.Infer(ctx, m.Moment)
	m.ReleaseFrame() // as offline: Resolve sees no picture
	if err != nil {
		return nil, a.live.familyError(a.family, m.Moment, err)
	}
	if !a.opened {
		a.opened, a.state = true, a.family.Open()
	}
	evs, err := a.family.Resolve(ctx, a.state, m.Moment, out)
	if err != nil {
		return nil, a.live.familyError(a.family, m.Moment, err)
	}
	return evs, nil
}

// count notes a moment that is looked at.
func (l *live) count(m *align.Moment) {
	l.mu.Lock()
	l.moments++
	l.mu.Unlock()
	l.mon.looked()
	if m.Frame != nil && m.Wave.PCM != nil {
		l.mon.skew(m.Skew)
	}
}

// leave tells the lane that a Seg begins at s: what it still owes of the one
// before must not wait until it sees something of the new one. A lane that is
// looking sees to it itself.
func (a *lane) leave(s ingest.Stamp) {
	a.gone.Store(&s)
	if a.mu.TryLock() {
		defer a.mu.Unlock()
		a.settle()
	}
}

// settle is called with the lane locked.
func (a *lane) settle() {
	s := a.gone.Load()
	if s != nil && a.opened && a.at.Seg < s.Seg && a.queue.Len() == 0 {
		if err := a.over(s.At); err != nil {
			a.live.stop(err)
		}
	}
}

// finish ends the last Seg, at end.
func (a *lane) finish(end time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opened {
		if err := a.over(end); err != nil {
			a.live.stop(err)
		}
	}
}

// over ends the Seg, whose media end at the given time.
func (a *lane) over(end time.Duration) error {
	evs, err := a.family.Finish(a.live.inner, a.state)
	a.opened, a.state = false, nil
	if err != nil {
		return a.live.familyError(a.family, nil, err)
	}
	for i := range evs {
		if ev := &evs[i]; ev.At < end {
			ev.Dur = min(ev.Dur, end-ev.At)
		}
	}
	a.live.write(a, evs, time.Time{})
	return nil
}

package infer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Note [Batches]
//
// Several sources share one graph. A graph whose inputs and outputs all have the
// same dynamic first axis works on rows that know nothing of each other, so Runs
// of equal shapes may be laid together along it: one call, whose answer is cut up
// again. That saves what a call costs beside its rows.
//
// Nobody waits for a partner who may not come: while fewer than Parallel calls run,
// a Run goes ahead at once, as it is. Beyond that it would only compete with them,
// so it waits for one of them to end or for Wait to pass, whichever is first, and
// takes along whoever came meanwhile.

// BatchOptions say when Runs are laid together; zero fields take the defaults.
type BatchOptions struct {
	Parallel int           // calls that run side by side before any waits: 1
	Rows     int64         // most rows of one call: 8
	Wait     time.Duration // longest wait for others: 4 ms
}

// batch is a session that merges concurrent Runs, see Note [Batches].
type batch struct {
	Session
	opt BatchOptions
	wg  sync.WaitGroup // of the goroutines that lead a group

	mu      sync.Mutex
	running int
	open    *group // that others may still join
}

// group are Runs that are laid together.
type group struct {
	begin chan struct{} // one token: do not wait any longer
	done  chan struct{} // closed when out and err are there
	ctx   context.Context
	stop  context.CancelFunc

	// Of batch.mu.
	members []*member
	rows    int64
	alive   int

	// Once done is closed.
	out []*Tensor
	err error
}

// member is one Run of a group.
type member struct {
	in   []*Tensor
	out  []*Tensor
	rows int64
	from int64 // its first row
	gone bool  // its context has ended
}

// Batched returns a Session over s that merges concurrent Runs of equal shapes, or s
// itself if the graph does not let it: if some input or output has a first axis
// that is not the dynamic one that all others have, by its name. Results are those
// of s for the same rows, and may differ from those of s alone by how its kernels
// round for another number of them. A Run that fails in company is tried again
// alone. Closing it closes s.
func Batched(s Session, opt BatchOptions) Session {
	if opt.Parallel < 1 {
		opt.Parallel = 1
	}
	if opt.Rows < 1 {
		opt.Rows = 8
	}
	if opt.Wait <= 0 {
		opt.Wait = 4 * time.Millisecond
	}
	values := append(slices.Clone(s.Inputs()), s.Outputs()...)
	name := ""
	for _, v := range values {
		if len(v.Shape) == 0 || v.Shape[0] >= 0 || len(v.Axes) == 0 || v.Axes[0] == "" {
			return s
		}
		if name == "" {
			name = v.Axes[0]
		}
		if v.Axes[0] != name {
			return s
		}
	}
	if name == "" {
		return s
	}
	return &batch{Session: s, opt: opt}
}

// Run implements [Session].
func (b *batch) Run(ctx context.Context, in, out []*Tensor) error {
	b.mu.Lock()
	if b.running < b.opt.Parallel {
		return b.alone(ctx, in, out)
	}
	rows, ok := rowsOf(in)
	switch g := b.open; {
	case !ok || rows > b.opt.Rows:
		return b.alone(ctx, in, out)
	case g == nil:
		g = &group{begin: make(chan struct{}, 1), done: make(chan struct{})}
		g.ctx, g.stop = context.WithCancel(context.Background())
		b.open = g
		b.wg.Go(func() { b.lead(g) })
	case g.rows+rows > b.opt.Rows || !alike(g.members[0], in, out):
		return b.alone(ctx, in, out)
	}
	g, m := b.open, &member{in: in, out: out, rows: rows}
	g.members = append(g.members, m)
	g.rows += rows
	g.alive++
	if g.rows == b.opt.Rows {
		g.start()
	}
	b.mu.Unlock()

	select {
	case <-g.done:
	case <-ctx.Done():
		b.mu.Lock()
		m.gone = true
		if g.alive--; g.alive == 0 {
			g.stop()
			g.start()
		}
		b.mu.Unlock()
		return ctx.Err()
	}
	if g.err != nil || len(g.out) != len(out) {
		return b.Session.Run(ctx, in, out)
	}
	for i, t := range out {
		if t != nil {
			if err := take(t, g.out[i], m.from, m.rows, g.rows); err != nil {
				return b.Session.Run(ctx, in, out)
			}
		}
	}
	return nil
}

// alone is entered with b locked.
func (b *batch) alone(ctx context.Context, in, out []*Tensor) error {
	b.running++
	b.mu.Unlock()
	err := b.Session.Run(ctx, in, out)
	b.ended()
	return err
}

// ended notes that a call is over, for whom that was waited for.
func (b *batch) ended() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	if b.open != nil {
		b.open.start()
	}
}

func (g *group) start() {
	select {
	case g.begin <- struct{}{}:
	default:
	}
}

// lead waits for company, runs the group and says that it is done.
func (b *batch) lead(g *group) {
	defer close(g.done)
	defer g.stop()
	timer := time.NewTimer(b.opt.Wait)
	defer timer.Stop()
	select {
	case <-g.begin:
	case <-timer.C:
	}
	b.mu.Lock()
	b.open = nil
	g.members = slices.DeleteFunc(g.members, func(m *member) bool { return m.gone })
	if len(g.members) == 0 {
		b.mu.Unlock()
		return
	}
	g.rows = 0
	for _, m := range g.members {
		m.from = g.rows
		g.rows += m.rows
	}
	// While b is locked nobody can leave, so the tensors are there to be copied.
	in := make([]*Tensor, len(g.members[0].in))
	for i := range in {
		in[i] = lay(g.members, i, g.rows)
	}
	out := make([]*Tensor, len(g.members[0].out))
	for i, t := range g.members[0].out {
		if t != nil {
			out[i] = new(Tensor)
		}
	}
	b.running++
	b.mu.Unlock()
	g.err = b.Session.Run(g.ctx, in, out)
	g.out = out
	b.ended()
}

// Close waits for the groups and closes the session.
func (b *batch) Close() error {
	b.wg.Wait()
	return b.Session.Close()
}

// rowsOf returns how many rows a Run has; not ok if its inputs do not agree.
func rowsOf(in []*Tensor) (int64, bool) {
	var rows int64
	for i, t := range in {
		if t == nil || len(t.Shape) == 0 || t.Shape[0] < 1 || i > 0 && t.Shape[0] != rows {
			return 0, false
		}
		n := int64(1)
		for _, d := range t.Shape {
			if d < 0 || d > 1<<40 {
				return 0, false
			}
			n *= d
		}
		if int64(t.len()) != n { // the session says what is wrong with it
			return 0, false
		}
		rows = t.Shape[0]
	}
	return rows, rows > 0
}

func (t *Tensor) len() int { return len(t.F32) + len(t.I64) + len(t.Bool) }

// alike reports whether a Run may be laid beside m.
func alike(m *member, in, out []*Tensor) bool {
	if len(m.in) != len(in) || len(m.out) != len(out) {
		return false
	}
	for i, t := range in {
		o := m.in[i]
		if !slices.Equal(t.Shape[1:], o.Shape[1:]) || (t.F32 == nil) != (o.F32 == nil) || (t.I64 == nil) != (o.I64 == nil) || (t.Bool == nil) != (o.Bool == nil) {
			return false
		}
	}
	for i, t := range out {
		if (t == nil) != (m.out[i] == nil) {
			return false
		}
	}
	return true
}

// lay lays the inputs i of all members together.
func lay(members []*member, i int, rows int64) *Tensor {
	t := &Tensor{Shape: slices.Clone(members[0].in[i].Shape)}
	t.Shape[0] = rows
	for _, m := range members {
		t.F32 = append(t.F32, m.in[i].F32...)
		t.I64 = append(t.I64, m.in[i].I64...)
		t.Bool = append(t.Bool, m.in[i].Bool...)
	}
	return t
}

// take cuts rows out of an output of all rows, into t as [Session] asks.
func take(t, whole *Tensor, from, rows, all int64) error {
	if len(whole.Shape) == 0 || whole.Shape[0] != all {
		return fmt.Errorf("infer: an output of %v where %d rows went in", whole.Shape, all)
	}
	n := int64(whole.len()) / all
	shape := slices.Clone(whole.Shape)
	shape[0] = rows
	if t.len() > 0 {
		if !slices.Equal(t.Shape, shape) || t.len() != int(rows*n) || (t.F32 == nil) != (whole.F32 == nil) || (t.I64 == nil) != (whole.I64 == nil) {
			return fmt.Errorf("infer: an output of %v where %v was asked for", shape, t.Shape)
		}
		copy(t.F32, cut(whole.F32, from*n, rows*n))
		copy(t.I64, cut(whole.I64, from*n, rows*n))
		copy(t.Bool, cut(whole.Bool, from*n, rows*n))
		return nil
	}
	*t = Tensor{Shape: shape, F32: cut(whole.F32, from*n, rows*n), I64: cut(whole.I64, from*n, rows*n), Bool: cut(whole.Bool, from*n, rows*n)}
	return nil
}

// cut returns n values from one place on; members never see each other's.
func cut[T any](s []T, from, n int64) []T {
	if s == nil {
		return nil
	}
	return s[from : from+n : from+n]
}

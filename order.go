package seehear

import (
	"context"
	"sync"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest/flow"
)

// job is a moment on its way through a worker.
type job struct {
	m    *align.Moment
	out  infer.Output
	err  error
	done chan struct{} // one token when the worker has finished
}

// workshop is the ordered parallel map: workers take moments off a queue and
// infer side by side; the jobs come out in the order of the queue.
//
// A worker that takes a moment files its job in the same breath, under a lock,
// so the order of the jobs is that of the moments, and there is neither a
// dispatcher nor a goroutine per moment. The capacity of jobs bounds how far the
// workers run ahead of a slow moment.
type workshop struct {
	families []infer.Family
	queue    *flow.Queue[*align.Moment]

	take sync.Mutex
	free sync.Pool
	jobs chan *job
	wg   sync.WaitGroup
}

// newWorkshop starts n workers. Whoever reads jobs must do so until it is
// closed, which it is when the queue has ended or ctx has, and no worker is left.
func newWorkshop(ctx context.Context, families []infer.Family, q *flow.Queue[*align.Moment], n, ahead int) *workshop {
	w := &workshop{families: families, queue: q, jobs: make(chan *job, ahead)}
	w.free.New = func() any { return &job{done: make(chan struct{}, 1)} }
	w.wg.Add(n)
	for range n {
		go w.work(ctx)
	}
	go func() {
		w.wg.Wait()
		close(w.jobs)
	}()
	return w
}

func (w *workshop) work(ctx context.Context) {
	defer w.wg.Done()
	for {
		j := w.next(ctx)
		if j == nil {
			return
		}
		j.out, j.err = w.families[j.m.Need].Infer(ctx, j.m)
		j.m.ReleaseFrame() // it may have to wait for a slow one before it
		j.done <- struct{}{}
	}
}

// next takes the next moment; nil if there is none.
func (w *workshop) next(ctx context.Context) *job {
	w.take.Lock()
	defer w.take.Unlock()
	m, err := w.queue.Get(ctx)
	if err != nil {
		return nil
	}
	j := w.free.Get().(*job)
	j.m = m
	w.jobs <- j
	return j
}

// release ends a job whose token was taken.
func (w *workshop) release(j *job) {
	j.m.Release()
	*j = job{done: j.done}
	w.free.Put(j)
}

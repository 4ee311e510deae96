package live

import (
	"context"
	"sync"
	"time"
)

// watch gives calls a context that ends with the caller's, with the life of the
// source, or when nothing has come for a time. It is made for the reading of
// packets: as long as all is well, the same context serves call after call.
type watch struct {
	parent <-chan struct{}
	ctx    context.Context
	end    context.CancelFunc
	unlink func() bool
	timer  *time.Timer

	mu       sync.Mutex
	deadline time.Time // zero while nothing is armed
	late     bool      // the time ran out
}

// arm returns the context of a call that must be over after d.
func (w *watch) arm(ctx, life context.Context, d time.Duration) context.Context {
	if w.ctx == nil || w.ctx.Err() != nil || w.parent != ctx.Done() {
		w.release()
		w.parent = ctx.Done()
		w.ctx, w.end = context.WithCancel(ctx)
		w.unlink = context.AfterFunc(life, w.end)
	}
	w.mu.Lock()
	w.deadline, w.late = time.Now().Add(d), false
	w.mu.Unlock()
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.expire)
	} else {
		w.timer.Reset(d)
	}
	return w.ctx
}

// rest ends what arm began and reports whether the time had run out.
func (w *watch) rest() bool {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = time.Time{}
	return w.late
}

// expire is the timer's. One that fired while it was being stopped or set anew
// finds that it is not its time.
func (w *watch) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.deadline.IsZero() && !time.Now().Before(w.deadline) {
		w.late = true
		w.end()
	}
}

// release frees the context.
func (w *watch) release() {
	if w.ctx == nil {
		return
	}
	w.unlink()
	w.end()
	w.ctx = nil
}

package infer

import "sync"

// Free is a list of workspaces that concurrent calls take from and give back to,
// so that steady work allocates nothing. Unlike sync.Pool it keeps what it has:
// there are never more workspaces than there were calls at the same time. It is
// safe for concurrent use.
type Free[T any] struct {
	mu   sync.Mutex
	list []*T
	make func() *T
}

// NewFree returns a list that makes what it lacks.
func NewFree[T any](make func() *T) *Free[T] { return &Free[T]{make: make} }

// Take returns a workspace that nobody else holds.
func (f *Free[T]) Take() *T {
	f.mu.Lock()
	if n := len(f.list); n > 0 {
		w := f.list[n-1]
		f.list = f.list[:n-1]
		f.mu.Unlock()
		return w
	}
	f.mu.Unlock()
	return f.make()
}

// Give returns w to the list; the caller must not use it any more.
func (f *Free[T]) Give(w *T) {
	f.mu.Lock()
	f.list = append(f.list, w)
	f.mu.Unlock()
}

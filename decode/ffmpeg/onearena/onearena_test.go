package onearena

import (
	"runtime"
	"sync"
	"testing"
)

// TestThreads takes memory of C on many threads at once.
func TestThreads(t *testing.T) {
	if arenas() < 0 {
		t.Skip("not glibc's malloc")
	}
	const threads = 16
	var ready, done sync.WaitGroup
	ready.Add(threads)
	for range threads {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			ready.Wait() // so that each has a thread of its own
			if !touch() {
				t.Error("no memory")
			}
		})
	}
	done.Wait()
	if n := arenas(); n != 1 {
		t.Errorf("%d arenas, want 1", n)
	}
}

package flow

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A queue used by one goroutine behaves as a slice of bounded length.
func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 5).Draw(t, "capacity")
		policy := rapid.SampledFrom([]Policy{Block, DropOldest}).Draw(t, "policy")
		var released, model, wantReleased []int
		q := New(capacity, policy, func(v int) { released = append(released, v) })
		ctx := context.Background()
		var drops uint64
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				if len(model) == capacity {
					if policy == Block {
						t.Skip("would wait")
					}
					wantReleased = append(wantReleased, model[0])
					model = model[1:]
					drops++
				}
				if err := q.Put(ctx, next); err != nil {
					t.Fatal(err)
				}
				model = append(model, next)
				next++
			},
			"get": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("would wait")
				}
				v, err := q.Get(ctx)
				if err != nil || v != model[0] {
					t.Fatalf("got %d, %v; want %d", v, err, model[0])
				}
				model = model[1:]
			},
			"": func(t *rapid.T) {
				if q.Len() != len(model) || q.Dropped() != drops {
					t.Fatalf("len %d, dropped %d; want %d, %d", q.Len(), q.Dropped(), len(model), drops)
				}
				if len(released) != len(wantReleased) {
					t.Fatalf("released %v, want %v", released, wantReleased)
				}
				for i := range released {
					if released[i] != wantReleased[i] {
						t.Fatalf("released %v, want %v", released, wantReleased)
					}
				}
			},
		})
		if rapid.Bool().Draw(t, "stop") {
			q.Stop()
			q.Stop()
			if q.Len() != 0 || len(released) != len(wantReleased)+len(model) {
				t.Fatalf("stop left %d and released %d of %d", q.Len(), len(released)-len(wantReleased), len(model))
			}
			if err := q.Put(ctx, 0); !errors.Is(err, ErrStopped) {
				t.Fatalf("put after stop: %v", err)
			}
		} else {
			q.Close()
			q.Close()
			for _, want := range model {
				if v, err := q.Get(ctx); err != nil || v != want {
					t.Fatalf("after close: %d, %v; want %d", v, err, want)
				}
			}
		}
		if _, err := q.Get(ctx); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}

// Every value put by any producer is got by exactly one consumer, in the order
// of its producer, or was dropped and counted.
func TestManyProducersAndConsumers(t *testing.T) {
	const producers, consumers, each = 4, 3, 2000
	for _, policy := range []Policy{Block, DropOldest} {
		t.Run(policy.String(), func(t *testing.T) {
			var dropped atomic.Uint64
			q := New(3, policy, func([2]int) { dropped.Add(1) })
			var puts, gets sync.WaitGroup
			for p := range producers {
				puts.Go(func() {
					for i := range each {
						if err := q.Put(t.Context(), [2]int{p, i}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			var got atomic.Uint64
			for range consumers {
				gets.Go(func() {
					last := [producers]int{-1, -1, -1, -1}
					for {
						v, err := q.Get(t.Context())
						if err == io.EOF {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
						if v[1] <= last[v[0]] {
							t.Errorf("producer %d: %d after %d", v[0], v[1], last[v[0]])
						}
						last[v[0]] = v[1]
						got.Add(1)
					}
				})
			}
			puts.Wait()
			q.Close()
			gets.Wait()
			if got.Load()+dropped.Load() != producers*each || dropped.Load() != q.Dropped() {
				t.Fatalf("%d got, %d released, %d counted as dropped, of %d", got.Load(), dropped.Load(), q.Dropped(), producers*each)
			}
			if policy == Block && q.Dropped() != 0 {
				t.Fatalf("a blocking queue dropped %d", q.Dropped())
			}
		})
	}
}

// Waiting costs no time: in a bubble, blocked callers are durably blocked and
// wake at the very instant of what they wait for.
func TestWaiting(t *testing.T) {
	tests := map[string]func(t *testing.T, q *Queue[int], start time.Time){
		"a blocked Put goes on when there is room": func(t *testing.T, q *Queue[int], start time.Time) {
			go func() { time.Sleep(time.Minute); _, _ = q.Get(t.Context()) }()
			if err := q.Put(t.Context(), 2); err != nil || time.Since(start) != time.Minute {
				t.Fatalf("%v after %v", err, time.Since(start))
			}
		},
		"a blocked Put ends with its context": func(t *testing.T, q *Queue[int], start time.Time) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := q.Put(ctx, 2); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
				t.Fatalf("%v after %v", err, time.Since(start))
			}
			if q.Len() != 1 {
				t.Fatalf("len %d", q.Len())
			}
		},
		"every blocked Put ends with Stop": func(t *testing.T, q *Queue[int], start time.Time) {
			errs := make(chan error, 3)
			for range cap(errs) {
				go func() { errs <- q.Put(t.Context(), 2) }()
			}
			time.Sleep(time.Minute)
			q.Stop()
			for range cap(errs) {
				if err := <-errs; !errors.Is(err, ErrStopped) {
					t.Fatal(err)
				}
			}
			if time.Since(start) != time.Minute {
				t.Fatal(time.Since(start))
			}
		},
		"every blocked Get ends with Close": func(t *testing.T, q *Queue[int], start time.Time) {
			_, _ = q.Get(t.Context())
			errs := make(chan error, 3)
			for range cap(errs) {
				go func() { _, err := q.Get(t.Context()); errs <- err }()
			}
			time.Sleep(time.Minute)
			q.Close()
			for range cap(errs) {
				if err := <-errs; !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
			}
			if time.Since(start) != time.Minute {
				t.Fatal(time.Since(start))
			}
		},
		"a Get that gives up leaves the value to another": func(t *testing.T, q *Queue[int], _ time.Time) {
			_, _ = q.Get(t.Context())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got := make(chan error, 2)
			go func() { _, err := q.Get(ctx); got <- err }()
			go func() { _, err := q.Get(t.Context()); got <- err }()
			time.Sleep(time.Minute) // the first gives up at the instant the value comes
			if err := q.Put(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if q.Len() != 0 {
				t.Fatal("a consumer waits although a value is queued")
			}
			q.Close()
			<-got
			<-got
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := New[int](1, Block, nil)
				if err := q.Put(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				f(t, q, time.Now())
			})
		})
	}
}

func TestEndedContextPutsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := New[int](1, DropOldest, nil)
	if err := q.Put(ctx, 1); !errors.Is(err, context.Canceled) || q.Len() != 0 {
		t.Fatalf("%v, len %d", err, q.Len())
	}
	if _, err := q.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestPutAndGetDoNotAllocate(t *testing.T) {
	q := New[*int](4, DropOldest, func(*int) {})
	v, ctx := new(int), t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		_ = q.Put(ctx, v)
		_ = q.Put(ctx, v)
		_, _ = q.Get(ctx)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	for name, f := range map[string]func(){
		"capacity": func() { New[int](0, Block, nil) },
		"policy":   func() { New[int](1, 7, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			f()
		})
	}
}

// Ready takes nothing, and what is taken after it is the newest by then.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[int](1, DropOldest, nil)
		ready := make(chan error)
		wait := func() { ready <- q.Ready(t.Context()) }
		go wait()
		synctest.Wait()
		select {
		case err := <-ready:
			t.Fatalf("an empty queue is ready: %v", err)
		default:
		}
		for i := range 3 {
			if err := q.Put(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-ready; err != nil {
			t.Fatal(err)
		}
		if err := q.Ready(t.Context()); err != nil || q.Len() != 1 {
			t.Fatalf("Ready took something: %v, %d left", err, q.Len())
		}
		if v, err := q.Get(t.Context()); v != 2 || err != nil || q.Dropped() != 2 {
			t.Fatalf("got %d, %v, %d dropped", v, err, q.Dropped())
		}
		go wait()
		synctest.Wait()
		q.Close()
		if err := <-ready; !errors.Is(err, io.EOF) {
			t.Fatalf("closed and empty: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		q = New[int](1, Block, nil)
		go func() { ready <- q.Ready(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ready; !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled: %v", err)
		}
	})
}

package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// sums is a graph that takes as long as it is told and gives the sum of each row.
type sums struct {
	in, out []Value
	cost    time.Duration
	fail    float32 // a value at which it fails

	mu     sync.Mutex
	calls  []int64 // rows of each
	closed bool
}

func newSums(cost time.Duration) *sums {
	return &sums{
		cost: cost,
		in:   []Value{{Name: "x", Type: "float32", Shape: []int64{-1, -1}, Axes: []string{"batch", "n"}}},
		out: []Value{
			{Name: "sum", Type: "float32", Shape: []int64{-1}, Axes: []string{"batch"}},
			{Name: "count", Type: "int64", Shape: []int64{-1, 2}, Axes: []string{"batch", ""}},
		},
	}
}

func (s *sums) Inputs() []Value  { return s.in }
func (s *sums) Outputs() []Value { return s.out }
func (s *sums) Close() error     { s.closed = true; return nil }

var errSums = errors.New("the graph blew up")

func (s *sums) Run(ctx context.Context, in, out []*Tensor) error {
	rows, n := in[0].Shape[0], in[0].Shape[1]
	s.mu.Lock()
	s.calls = append(s.calls, rows)
	s.mu.Unlock()
	select {
	case <-time.After(s.cost):
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.fail != 0 && slices.Contains(in[0].F32, s.fail) {
		return errSums
	}
	var sum []float32
	var count []int64
	for r := range rows {
		var t float32
		for _, v := range in[0].F32[r*n : (r+1)*n] {
			t += v
		}
		sum = append(sum, t)
		count = append(count, n, r)
	}
	if t := out[0]; t != nil {
		if len(t.F32) > 0 {
			copy(t.F32, sum)
		} else {
			t.Shape, t.F32 = []int64{rows}, sum
		}
	}
	if t := out[1]; t != nil {
		t.Shape, t.I64 = []int64{rows, 2}, count
	}
	return nil
}

// A Run alone goes ahead at once and as it is.
func TestBatchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSums(10 * time.Millisecond)
		b := Batched(s, BatchOptions{})
		for i := range 5 {
			began := time.Now()
			out := []*Tensor{{Shape: []int64{1}, F32: make([]float32, 1)}, nil}
			if err := b.Run(t.Context(), []*Tensor{{Shape: []int64{1, 2}, F32: []float32{1, float32(i)}}}, out); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(began); d != 10*time.Millisecond || out[0].F32[0] != float32(1+i) {
				t.Errorf("took %v, result %v", d, out[0].F32)
			}
		}
		if err := b.Close(); err != nil || !s.closed {
			t.Errorf("Close: %v", err)
		}
	})
}

// Runs that come while others are under way are merged, and wait for no longer
// than the cap.
func TestBatchMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSums(10 * time.Millisecond)
		b := Batched(s, BatchOptions{})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				out := []*Tensor{{}, {}}
				if err := b.Run(t.Context(), []*Tensor{{Shape: []int64{1, 2}, F32: []float32{1, float32(i)}}}, out); err != nil {
					t.Error(err)
				}
				if out[0].F32[0] != float32(1+i) || !slices.Equal(out[0].Shape, []int64{1}) {
					t.Errorf("run %d: %+v", i, out[0])
				}
			})
		}
		wg.Wait()
		// The second waits 4 ms for company, from 1 ms on, and gets two.
		if d := time.Since(began); d != 15*time.Millisecond || !slices.Equal(s.calls, []int64{1, 3}) {
			t.Errorf("took %v in calls of %v rows", d, s.calls)
		}
	})
}

// Whatever comes when, in whatever shapes, whoever gives up: each Run gets the
// result of its own rows, or its own error.
func TestBatchProperty(t *testing.T) {
	type req struct {
		at, rows, n, quit int
		mask, bad         bool
	}
	rapid.Check(t, func(rt *rapid.T) {
		reqs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) req {
			return req{
				at: rapid.IntRange(0, 40).Draw(t, "at"), rows: rapid.IntRange(1, 5).Draw(t, "rows"), n: rapid.IntRange(1, 3).Draw(t, "n"),
				quit: rapid.SampledFrom([]int{0, 0, 0, 1, 5, 9}).Draw(t, "quit"), mask: rapid.Bool().Draw(t, "mask"), bad: rapid.IntRange(0, 9).Draw(t, "bad") == 0,
			}
		}), 1, 30).Draw(rt, "reqs")
		opt := BatchOptions{Parallel: rapid.IntRange(1, 3).Draw(rt, "parallel"), Rows: int64(rapid.IntRange(1, 9).Draw(rt, "rows"))}
		synctest.Test(t, func(*testing.T) {
			s := newSums(7 * time.Millisecond)
			s.fail = 1e6
			b := Batched(s, opt)
			var wg sync.WaitGroup
			for i, q := range reqs {
				wg.Go(func() {
					time.Sleep(time.Duration(q.at)*time.Millisecond + time.Duration(i)*time.Microsecond)
					ctx := context.Background()
					if q.quit > 0 {
						c, cancel := context.WithTimeout(ctx, time.Duration(q.quit)*time.Millisecond)
						defer cancel()
						ctx = c
					}
					in := &Tensor{Shape: []int64{int64(q.rows), int64(q.n)}}
					var want []float32
					for r := range q.rows {
						var sum float32
						for c := range q.n {
							v := float32(i*100 + r*10 + c)
							sum += v
							in.F32 = append(in.F32, v)
						}
						want = append(want, sum)
					}
					if q.bad {
						in.F32[0] = s.fail
					}
					out := []*Tensor{{}, {}}
					if q.mask {
						out[1] = nil
					}
					err := b.Run(ctx, []*Tensor{in}, out)
					switch {
					case ctx.Err() != nil:
						if err == nil && !q.bad {
							break // just in time
						}
						if !errors.Is(err, ctx.Err()) && (!q.bad || !errors.Is(err, errSums)) {
							rt.Errorf("run %d: %v after its context ended", i, err)
						}
						return
					case q.bad:
						if !errors.Is(err, errSums) {
							rt.Errorf("run %d: %v, it should fail", i, err)
						}
						return
					case err != nil:
						rt.Errorf("run %d: %v", i, err)
						return
					}
					if !slices.Equal(out[0].F32, want) || !slices.Equal(out[0].Shape, []int64{int64(q.rows)}) {
						rt.Errorf("run %d of %+v: %v, want %v", i, q, out[0], want)
					}
					if !q.mask && (len(out[1].I64) != 2*q.rows || out[1].I64[0] != int64(q.n)) {
						rt.Errorf("run %d of %+v: %v", i, q, out[1])
					}
				})
			}
			wg.Wait()
			if err := b.Close(); err != nil {
				rt.Error(err)
			}
			if x := b.(*batch); x.running != 0 || x.open != nil {
				rt.Errorf("%d are running", x.running)
			}
		})
	})
}

// A graph that has no common first axis is left as it is.
func TestBatchRefuses(t *testing.T) {
	for i, change := range []func(*sums){
		func(s *sums) { s.in[0].Shape[0] = 1 },
		func(s *sums) { s.out[1].Shape[0] = 2 },
		func(s *sums) { s.out[0].Axes = []string{"frames"} },
		func(s *sums) { s.out[0].Axes = nil },
		func(s *sums) { s.in[0].Axes[0], s.out[0].Axes[0], s.out[1].Axes[0] = "", "", "" },
		func(s *sums) { s.out[0].Shape, s.out[0].Axes = nil, nil },
	} {
		s := newSums(0)
		change(s)
		if b := Batched(s, BatchOptions{}); fmt.Sprintf("%T", b) != "*infer.sums" {
			t.Errorf("change %d: %T", i, b)
		}
	}
}

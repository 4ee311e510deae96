package ort

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seehear/seehear/infer"
)

// counted counts the calls that reach the graph.
type counted struct {
	infer.Session
	calls, rows atomic.Int64
}

func (c *counted) Run(ctx context.Context, in, out []*infer.Tensor) error {
	c.calls.Add(1)
	c.rows.Add(in[0].Shape[0])
	return c.Session.Run(ctx, in, out)
}

// Merged Runs of real graphs give what each gives alone: bit for bit where the
// kernels round the same for any number of rows, else but for that.
func TestBatchedFixtures(t *testing.T) {
	for _, g := range []struct {
		family, role string
		shape        []int64
		within       float64 // relative
	}{
		{"soundnet", "graph", []int64{1, 22050}, 0},
		{"localize", "image", []int64{1, 3, 224, 224}, 1e-5},
		{"localize", "audio", []int64{1, 1, 257, 201}, 0},
		{"caption", "encoder", []int64{1, 3, 224, 224}, 0},
		{"speech2face", "encoder", []int64{1, 2, 300, 257}, 1e-5},
	} {
		t.Run(g.family+" "+g.role, func(t *testing.T) {
			s := graph(t, "fixture", g.family, g.role)
			c := &counted{Session: s}
			b := infer.Batched(c, infer.BatchOptions{Wait: 5 * time.Second, Rows: 4})
			if b == infer.Session(c) {
				t.Fatal("the graph is not merged")
			}
			const runs = 9
			rnd := rand.New(rand.NewPCG(1, 2))
			ins, alone, merged := make([]*infer.Tensor, runs), make([][]*infer.Tensor, runs), make([][]*infer.Tensor, runs)
			outs := func() []*infer.Tensor {
				list := make([]*infer.Tensor, len(s.out))
				for i := range list {
					list[i] = new(infer.Tensor)
				}
				return list
			}
			for i := range runs {
				n := int64(1)
				for _, d := range g.shape {
					n *= d
				}
				x := make([]float32, n)
				for j := range x {
					x[j] = rnd.Float32()
				}
				ins[i], alone[i], merged[i] = tensor(x, g.shape...), outs(), outs()
				if err := s.Run(t.Context(), []*infer.Tensor{ins[i]}, alone[i]); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for i := range runs {
				wg.Go(func() {
					if err := b.Run(t.Context(), []*infer.Tensor{ins[i]}, merged[i]); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for i := range runs {
				for o := range alone[i] {
					x, y := alone[i][o], merged[i][o]
					if !slices.Equal(x.Shape, y.Shape) || !slices.EqualFunc(x.F32, y.F32, func(a, b float32) bool {
						return math.Abs(float64(a)-float64(b)) <= g.within*math.Abs(float64(a))
					}) {
						t.Errorf("run %d, output %s: alone %.100s, merged %.100s", i, s.out[o].Name, fmt.Sprint(x), fmt.Sprint(y))
					}
				}
			}
			if n := c.rows.Load(); n != runs || c.calls.Load() > runs {
				t.Errorf("%d rows in %d calls", n, c.calls.Load())
			}
		})
	}
	// What keeps a state across its first axis is left alone.
	gate := graph(t, "fixture", "speech", "gate")
	if infer.Batched(gate, infer.BatchOptions{}) != infer.Session(gate) {
		t.Error("the gate is merged")
	}
}

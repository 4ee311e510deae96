// Package infertest runs families on sound as the pipeline does, for their tests.
package infertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
)

// Session is an infer.Session made of a function, which fills outputs with Give.
type Session struct {
	In, Out []infer.Value
	Fn      func(in, out []*infer.Tensor) error
}

// Inputs implements infer.Session.
func (s *Session) Inputs() []infer.Value { return s.In }

// Outputs implements infer.Session.
func (s *Session) Outputs() []infer.Value { return s.Out }

// Run implements infer.Session.
func (s *Session) Run(ctx context.Context, in, out []*infer.Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(in) != len(s.In) || len(out) != len(s.Out) {
		return fmt.Errorf("infertest: %d inputs and %d outputs for %d and %d", len(in), len(out), len(s.In), len(s.Out))
	}
	for i, t := range in {
		n := int64(1)
		for d, k := range t.Shape {
			if want := s.In[i].Shape[d]; want > 0 && want != k {
				return fmt.Errorf("infertest: input %s is %v, want %v", s.In[i].Name, t.Shape, s.In[i].Shape)
			}
			n *= k
		}
		if int64(len(t.F32)+len(t.I64)) != n {
			return fmt.Errorf("infertest: input %s of %v has %d values", s.In[i].Name, t.Shape, len(t.F32)+len(t.I64))
		}
	}
	return s.Fn(in, out)
}

// Close implements infer.Session.
func (s *Session) Close() error { return nil }

// Give fills an output as infer.Tensor says: in place where it has data.
func Give(t *infer.Tensor, data []float32, shape ...int64) error {
	switch {
	case t == nil:
	case t.F32 == nil:
		t.F32, t.Shape = slices.Clone(data), shape
	case !slices.Equal(t.Shape, shape):
		return fmt.Errorf("infertest: memory of %v for an output of %v", t.Shape, shape)
	default:
		copy(t.F32, data)
	}
	return nil
}

// Value describes a float32 input or output.
func Value(name string, shape ...int64) infer.Value {
	return infer.Value{Name: name, Type: "float32", Shape: shape}
}

// Piece is sound that starts At samples after zero.
type Piece struct {
	At  int
	PCM []float32
}

// Events runs f over one Seg of sound, cut into windows by the aligner: Infer for
// all of them at once, Resolve in their order, Finish.
func Events(t testing.TB, f infer.Family, sound ...Piece) []infer.Event {
	t.Helper()
	list, err := Try(f, 0, sound...)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Try is Events of the Seg seg.
func Try(f infer.Family, seg uint32, sound ...Piece) ([]infer.Event, error) {
	ctx := context.Background()
	need := f.Need()
	moments, err := cut(need, seg, sound)
	if err != nil {
		return nil, err
	}
	out := make([]infer.Output, len(moments))
	errs := make([]error, len(moments))
	var wg sync.WaitGroup
	for i, m := range moments {
		wg.Go(func() { out[i], errs[i] = f.Infer(ctx, m) })
	}
	wg.Wait()
	var list []infer.Event
	st := f.Open()
	for i, m := range moments {
		if errs[i] != nil {
			return nil, errs[i]
		}
		var events []infer.Event
		if events, err = f.Resolve(ctx, st, m, out[i]); err != nil {
			return nil, err
		}
		list = append(list, events...)
		// The memory of a moment is used again once it is resolved.
		for k := range m.Wave.PCM.Data {
			m.Wave.PCM.Data[k] = -7
		}
		m.Release()
	}
	events, err := f.Finish(ctx, st)
	return append(list, events...), err
}

// cut makes the moments of a need.
func cut(need infer.Need, seg uint32, sound []Piece) ([]*align.Moment, error) {
	out := decode.Outputs{Sounds: []decode.Sound{need.Sound}}
	streams := []ingest.Stream{{Kind: ingest.Audio, SampleRate: need.Sound.Rate, Channels: 1}}
	a, err := align.New(out, streams, []align.Need{{
		Cadence: need.Cadence, Period: need.Period, Hop: need.Hop,
		Image: -1, Window: need.Window, MinWindow: need.MinWindow, Place: need.Place,
	}}, align.Options{})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	var moments []*align.Moment
	var pool decode.Pool
	for _, p := range sound {
		const block = 1000
		for from := 0; from < len(p.PCM); from += block {
			part := p.PCM[from:min(from+block, len(p.PCM))]
			b := pool.Block(need.Sound.Rate, 1, len(part))
			copy(b.PCM.Data, part)
			b.Stamp = ingest.Stamp{At: ingest.SampleTime(int64(p.At+from), need.Sound.Rate), Seg: seg}
			moments = a.Push(moments, decode.Unit{Block: b})
		}
	}
	return a.Flush(moments), nil
}

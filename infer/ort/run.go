package ort

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/seehear/seehear/infer"
)

// Note [Lending memory]
//
// A tensor of the binding is a C object that points into Go memory, and it does
// so for longer than the call that made it. By the rules of cgo that memory has
// to be pinned meanwhile. A call pins each slice before the C object exists and
// unpins it after the object is gone; both ends are in Run, so that neither
// pointers nor C objects outlive it. Making such an object costs about a
// microsecond, which is why tensors are not kept between runs.

// call is what one run needs besides the tensors. Calls are used again.
type call struct {
	in, out []binding.Value
	pin     runtime.Pinner
	opts    *binding.RunOptions // nil until a context that can end comes along
}

func (c *call) close() error {
	if c.opts == nil {
		return nil
	}
	handles.Add(-1)
	return c.opts.Destroy()
}

// release destroys the tensors and lets their memory go.
func (c *call) release() {
	for _, list := range [][]binding.Value{c.in, c.out} {
		for i, v := range list {
			if v != nil {
				_ = v.Destroy() // never fails for tensors
				handles.Add(-1)
				list[i] = nil
			}
		}
	}
	c.pin.Unpin()
}

// Run runs the graph once. The tensors of in are read, those of out that have
// data are written, until Run returns; see infer.Tensor for how outputs are
// asked for. It returns the context's error if that ends before or during the
// run.
func (s *Session) Run(ctx context.Context, in, out []*infer.Tensor) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return fmt.Errorf("ort: run %s: %w", s.name, ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c := s.take()
	defer s.give(c)
	defer c.release()
	if err := s.run(ctx, c, in, out); err != nil {
		if e := ctx.Err(); e != nil {
			return e
		}
		return fmt.Errorf("ort: run %s (%s): %w", s.name, shapes(s.in, in), err)
	}
	return nil
}

func (s *Session) run(ctx context.Context, c *call, in, out []*infer.Tensor) error {
	if len(in) != len(s.in) || len(out) != len(s.out) {
		return fmt.Errorf("it has %d inputs and %d outputs, and was given %d and %d",
			len(s.in), len(s.out), len(in), len(out))
	}
	var err error
	for i, t := range in {
		if t == nil {
			return fmt.Errorf("input %s is missing", s.in[i].Name)
		}
		if c.in[i], err = c.lend(&s.in[i], t); err != nil {
			return fmt.Errorf("input %s: %w", s.in[i].Name, err)
		}
	}
	for i, t := range out {
		if c.out[i], err = c.ask(&s.out[i], t); err != nil {
			return fmt.Errorf("output %s: %w", s.out[i].Name, err)
		}
	}
	asked := make([]bool, len(out)) // those that we made
	for i := range c.out {
		asked[i] = c.out[i] != nil
	}
	err = s.invoke(ctx, c)
	for i, v := range c.out {
		switch {
		case asked[i] || v == nil:
		case reflect.ValueOf(v).IsNil(): // what the binding leaves of one it could not convert
			c.out[i] = nil
		default:
			handles.Add(1)
		}
	}
	if err != nil {
		return err
	}
	for i, t := range out {
		if t == nil {
			continue
		}
		if err := fetch(t, c.out[i]); err != nil {
			return fmt.Errorf("output %s: %w", s.out[i].Name, err)
		}
	}
	return nil
}

// invoke runs the graph, and stops it between two operators if ctx ends.
func (s *Session) invoke(ctx context.Context, c *call) error {
	if ctx.Done() == nil {
		return s.session.Run(c.in, c.out)
	}
	if c.opts == nil {
		opts, err := binding.NewRunOptions()
		if err != nil {
			return err
		}
		handles.Add(1)
		c.opts = opts
	}
	stopped := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = c.opts.Terminate() // the run then ends by itself, only later
	})
	err := s.session.RunWithOptions(c.in, c.out, c.opts)
	if !unwatch() {
		<-stopped
		if e := c.opts.UnsetTerminate(); err == nil {
			err = e
		}
	}
	return err
}

// take returns a call that nobody uses.
func (s *Session) take() *call {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	if n := len(s.idle); n > 0 {
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return c
	}
	return &call{
		in:  make([]binding.Value, len(s.in)),
		out: make([]binding.Value, len(s.out)),
	}
}

func (s *Session) give(c *call) {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	s.idle = append(s.idle, c)
}

// lend makes the C tensor for t.
func (c *call) lend(p *port, t *infer.Tensor) (binding.Value, error) {
	if p.ranked {
		if len(t.Shape) != len(p.Shape) {
			return nil, fmt.Errorf("shape %v where the graph has %s", t.Shape, describe(p.Value))
		}
		for i, n := range p.Shape {
			if n >= 0 && t.Shape[i] != n {
				return nil, fmt.Errorf("shape %v where the graph has %s", t.Shape, describe(p.Value))
			}
		}
	}
	switch p.Type {
	case "float32":
		if t.I64 == nil && t.Bool == nil {
			return lend(c, t.Shape, t.F32)
		}
	case "int64":
		if t.F32 == nil && t.Bool == nil {
			return lend(c, t.Shape, t.I64)
		}
	case "bool":
		if t.F32 == nil && t.I64 == nil {
			return lend(c, t.Shape, t.Bool)
		}
	}
	return nil, fmt.Errorf("the data are not %s", p.Type)
}

func lend[T float32 | int64 | bool](c *call, shape []int64, data []T) (binding.Value, error) {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || (d > 0 && n > (1<<40)/d) {
			return nil, fmt.Errorf("shape %v is impossible", shape)
		}
		n *= d
	}
	if int64(len(data)) != n {
		return nil, fmt.Errorf("%d values for shape %v", len(data), shape)
	}
	if len(shape) == 0 {
		return lendScalar(c, data[0])
	}
	if n > 0 {
		c.pin.Pin(&data[0])
	}
	v, err := binding.NewTensor(binding.Shape(shape), data)
	if err != nil {
		return nil, err
	}
	handles.Add(1)
	return v, nil
}

// lendScalar makes a tensor without dimensions. The binding copies its value into
// memory of its own, which has to be pinned all the same and is out of reach but
// for reflection.
func lendScalar[T float32 | int64 | bool](c *call, x T) (binding.Value, error) {
	v, err := binding.NewScalar(x)
	if err != nil {
		return nil, err
	}
	c.pin.Pin(reflect.ValueOf(v).Elem().FieldByName("data").UnsafePointer())
	handles.Add(1)
	return v, nil
}

// ask prepares an output: nil for one that the library is to size itself. A
// scalar is always made here, since the binding can't take one from the library.
func (c *call) ask(p *port, t *infer.Tensor) (binding.Value, error) {
	if p.ranked && len(p.Shape) == 0 {
		if t != nil && len(t.Shape) != 0 {
			return nil, fmt.Errorf("shape %v where the graph has a scalar", t.Shape)
		}
		switch p.Type {
		case "float32":
			return lendScalar(c, float32(0))
		case "int64":
			return lendScalar(c, int64(0))
		default:
			return lendScalar(c, false)
		}
	}
	if t == nil || (len(t.F32) == 0 && len(t.I64) == 0 && len(t.Bool) == 0) {
		return nil, nil
	}
	return c.lend(p, t)
}

// fetch takes what the library wrote. Of a tensor that was lent there is nothing
// to do.
func fetch(t *infer.Tensor, v binding.Value) error {
	switch v := v.(type) {
	case *binding.Tensor[float32]:
		if len(t.F32) == 0 {
			t.Shape, t.F32 = v.GetShape(), v.GetData()
		}
	case *binding.Tensor[int64]:
		if len(t.I64) == 0 {
			t.Shape, t.I64 = v.GetShape(), v.GetData()
		}
	case *binding.Tensor[bool]:
		if len(t.Bool) == 0 {
			t.Shape, t.Bool = v.GetShape(), v.GetData()
		}
	case *binding.Scalar[float32]:
		t.Shape, t.F32 = nil, append(t.F32[:0], v.GetData())
	case *binding.Scalar[int64]:
		t.Shape, t.I64 = nil, append(t.I64[:0], v.GetData())
	case *binding.Scalar[bool]:
		t.Shape, t.Bool = nil, append(t.Bool[:0], v.GetData())
	default:
		return fmt.Errorf("the library returned a %T", v)
	}
	return nil
}

// describe writes the shape of a value with the names of its axes.
func describe(v infer.Value) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, n := range v.Shape {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch {
		case n >= 0:
			fmt.Fprint(&b, n)
		case i < len(v.Axes) && v.Axes[i] != "":
			b.WriteString(v.Axes[i])
		default:
			b.WriteByte('?')
		}
	}
	b.WriteByte(']')
	return b.String()
}

// shapes lists the inputs of a failed run.
func shapes(ports []port, in []*infer.Tensor) string {
	var b strings.Builder
	for i, t := range in {
		if i > 0 {
			b.WriteString(", ")
		}
		if i < len(ports) {
			b.WriteString(ports[i].Name)
			b.WriteByte(' ')
		}
		if t == nil {
			b.WriteString("missing")
		} else {
			fmt.Fprint(&b, t.Shape)
		}
	}
	return b.String()
}

package infer

import "context"

// Tensor is a dense array in row-major order. Exactly one of the slices is set;
// its length is the product of Shape. As an output of [Session.Run], a Tensor
// without data is filled by the session with memory of its own; one with data
// and shape is written in place, which saves the copy when the shape is known.
type Tensor struct {
	Shape []int64
	F32   []float32
	I64   []int64
	Bool  []bool
}

// Value describes an input or output of a graph. A dimension of -1 is dynamic,
// and Axes then holds its name.
type Value struct {
	Name  string
	Type  string // "float32", "int64", "bool"
	Shape []int64
	Axes  []string
}

// Session is one loaded graph, shared by all sources. Run is safe for concurrent
// use; in and out are in the order of Inputs and Outputs. A nil entry in out is
// an output that nobody wants.
type Session interface {
	Inputs() []Value
	Outputs() []Value
	Run(ctx context.Context, in, out []*Tensor) error
	Close() error
}

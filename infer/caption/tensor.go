package caption

import (
	"fmt"

	"github.com/seehear/seehear/infer"
)

// slot is an output that is written in place once its shape behind the batch is
// known: from the graph, or from the first run.
type slot struct {
	infer.Tensor
	shape []int64
	buf   []float32
	tail  []int64 // nil while unknown
}

// newSlot makes the slot of an output that always has the same shape but for the
// batch.
func newSlot(v infer.Value) slot {
	for _, n := range v.Shape[1:] {
		if n < 1 {
			return slot{}
		}
	}
	return slot{tail: append([]int64{}, v.Shape[1:]...)}
}

// ask prepares the slot for a run of so many rows.
func (s *slot) ask(rows int) *infer.Tensor {
	s.Tensor = infer.Tensor{}
	if s.tail != nil {
		s.shape = append(append(s.shape[:0], int64(rows)), s.tail...)
		s.place()
	}
	return &s.Tensor
}

// askFor prepares the slot for a run that gives this shape.
func (s *slot) askFor(shape ...int64) *infer.Tensor {
	s.shape = append(s.shape[:0], shape...)
	s.place()
	return &s.Tensor
}

func (s *slot) place() {
	n := 1
	for _, d := range s.shape {
		n *= int(d)
	}
	s.buf = sized(s.buf, n)
	s.Tensor = infer.Tensor{Shape: s.shape, F32: s.buf}
}

// got checks what the run has put there, and learns its shape.
func (s *slot) got(rows int, v infer.Value) error {
	n := int64(1)
	for _, d := range s.Shape {
		n *= d
	}
	if len(s.Shape) != len(v.Shape) || s.Shape[0] != int64(rows) || n != int64(len(s.F32)) || n < 1 {
		return fmt.Errorf("tensor %s has shape %v and %d values for %d rows", v.Name, s.Shape, len(s.F32), rows)
	}
	if s.tail == nil {
		s.tail = append([]int64{}, s.Shape[1:]...)
	}
	return nil
}

// spread is a row of the encoder's for every row of a batch. The rows never
// differ, so they are copied once and serve all steps.
type spread struct {
	row  []float32
	rows []float32
	have int
}

// set takes the row, which must stay as it is while it is used.
func (s *spread) set(row []float32) { s.row, s.have = row, 0 }

// take returns k rows.
func (s *spread) take(k int) []float32 {
	if k == 1 {
		return s.row
	}
	n := len(s.row)
	if cap(s.rows) < k*n {
		s.rows, s.have = make([]float32, k*n), 0
	}
	s.rows = s.rows[:cap(s.rows)]
	for ; s.have < k; s.have++ {
		copy(s.rows[s.have*n:], s.row)
	}
	return s.rows[:k*n]
}

// gather copies the rows that parents name, of n values each, from src to dst.
func gather(dst, src []float32, parents []int, n int) []float32 {
	dst = sized(dst, len(parents)*n)
	for i, p := range parents {
		copy(dst[i*n:][:n], src[p*n:][:n])
	}
	return dst
}

// inPlace reports whether gathering would leave every row where it is.
func inPlace(parents []int) bool {
	for i, p := range parents {
		if i != p {
			return false
		}
	}
	return true
}

// sized returns a slice of n elements with undefined contents, in the memory of
// s if it suffices; otherwise it makes room for what a growing sequence will need
// soon.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}

// batchFits reports where a graph's fixed batch differs from the beam.
func batchFits(values []infer.Value, beam int) error {
	for _, v := range values {
		if len(v.Shape) > 1 && v.Shape[0] > 0 && beam > 1 {
			return fmt.Errorf("tensor %s has shape %v, which holds no beam of %d", v.Name, v.Shape, beam)
		}
	}
	return nil
}

// pictureFits reports where a graph's fixed dimensions differ from the picture.
func pictureFits(v infer.Value, shape []int64) error {
	for i, n := range v.Shape {
		if n > 0 && n != shape[i] {
			return fmt.Errorf("tensor %s has shape %v, and the manifest makes %v", v.Name, v.Shape, shape)
		}
	}
	return nil
}

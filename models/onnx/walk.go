package onnx

// Note [Walking ONNX]
//
// An ONNX file is one protobuf message. Of the messages below only those fields
// are visited that lead to what we keep; all others are stepped over without
// being read. The numbers are those of onnx.proto:
//
//	ModelProto      1 ir_version  7 graph  8 opset_import  14 metadata_props  20 training_info  25 functions
//	GraphProto      1 node  5 initializer  11 input  12 output  15 sparse_initializer
//	NodeProto       5 attribute
//	AttributeProto  5 t  6 g  10 tensors  11 graphs  22 sparse_tensor  23 sparse_tensors
//	TensorProto     8 name  13 external_data
//	SparseTensor    1 values  2 indices
//	FunctionProto   7 node  11 attribute_proto
//	TrainingInfo    1 initialization  2 algorithm (graphs)
//	ValueInfoProto  1 name  2 type
//	TypeProto       1 tensor_type  4 sequence  5 map  8 sparse  9 optional
//	Tensor          1 elem_type  2 shape
//	TensorShape     1 dim;  Dimension 1 dim_value  2 dim_param
//
// Weights can hide in subgraphs, functions and attributes; an external location
// is looked for in all of them, since the runtime would follow it from there.

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

type walker struct {
	r io.ReaderAt

	depth     int
	kept      int
	graphSeen bool
	buf       [4096]byte // bytes bufAt ... bufAt+bufLen of r
	bufAt     int64
	bufLen    int

	file     File
	external map[string]bool
	weights  map[string]bool
}

var errCut = errors.New("it is cut off or damaged")

// field is one field of a message; of type bytes, its content is [at, end).
type field struct {
	num     uint64
	varint  bool
	value   uint64
	at, end int64
}

// each calls fn for every varint and bytes field of the message in [at, end).
func (w *walker) each(at, end int64, fn func(field) error) error {
	w.depth++
	defer func() { w.depth-- }()
	if w.depth > maxDepth {
		return fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	for at < end {
		key, next, err := w.varint(at, end)
		if err != nil {
			return err
		}
		f := field{num: key >> 3}
		if f.num == 0 {
			return errCut
		}
		switch key & 7 {
		case 0:
			f.varint = true
			if f.value, next, err = w.varint(next, end); err != nil {
				return err
			}
		case 1:
			at = next + 8
			if at > end {
				return errCut
			}
			continue
		case 2:
			n, start, err := w.varint(next, end)
			if err != nil {
				return err
			}
			if n > uint64(end-start) {
				return errCut
			}
			f.at, f.end = start, start+int64(n)
			next = f.end
		case 5:
			at = next + 4
			if at > end {
				return errCut
			}
			continue
		default:
			return errCut
		}
		if err := fn(f); err != nil {
			return err
		}
		at = next
	}
	return nil
}

func (w *walker) varint(at, end int64) (uint64, int64, error) {
	var v uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if at >= end {
			return 0, 0, errCut
		}
		b, err := w.byteAt(at)
		if err != nil {
			return 0, 0, err
		}
		at++
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, at, nil
		}
	}
	return 0, 0, errCut
}

func (w *walker) byteAt(at int64) (byte, error) {
	if at < w.bufAt || at >= w.bufAt+int64(w.bufLen) {
		n, err := w.r.ReadAt(w.buf[:], at)
		if n == 0 {
			w.bufLen = 0
			if err == nil || errors.Is(err, io.EOF) {
				return 0, errCut
			}
			return 0, err
		}
		w.bufAt, w.bufLen = at, n
	}
	return w.buf[at-w.bufAt], nil
}

func (w *walker) text(f field) (string, error) {
	n := f.end - f.at
	if f.varint || n > maxString {
		return "", fmt.Errorf("a name in it is longer than %d bytes or not a text", maxString)
	}
	if w.kept += int(n); w.kept > maxKept {
		return "", fmt.Errorf("its names are longer than %d bytes together", maxKept)
	}
	b := make([]byte, n)
	if m, err := w.r.ReadAt(b, f.at); m < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = errCut
		}
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errors.New("a name in it is not UTF-8")
	}
	return string(b), nil
}

// in walks a submessage; a field of that number that is no message is damage.
func (w *walker) in(f field, fn func(at, end int64) error) error {
	if f.varint {
		return errCut
	}
	return fn(f.at, f.end)
}

func (w *walker) model(at, end int64) error {
	return w.each(at, end, func(f field) error {
		switch f.num {
		case 1:
			w.file.IR = int64(f.value)
		case 7:
			w.graphSeen = true
			return w.in(f, func(at, end int64) error { return w.graph(at, end, true) })
		case 8:
			return w.in(f, w.opset)
		case 14:
			return w.in(f, w.metadata)
		case 20:
			return w.in(f, func(at, end int64) error {
				return w.each(at, end, func(f field) error {
					if f.num == 1 || f.num == 2 {
						return w.in(f, w.subgraph)
					}
					return nil
				})
			})
		case 25:
			return w.in(f, w.function)
		}
		return nil
	})
}

func (w *walker) opset(at, end int64) error {
	domain, version := "", int64(0)
	err := w.each(at, end, func(f field) (err error) {
		switch f.num {
		case 1:
			domain, err = w.text(f)
		case 2:
			version = int64(f.value)
		}
		return err
	})
	if err == nil && (domain == "" || domain == "ai.onnx") {
		w.file.Opset = version
	}
	return err
}

func (w *walker) metadata(at, end int64) error {
	k, v, err := w.pair(at, end)
	if err != nil {
		return err
	}
	if len(w.file.Metadata) >= maxValues {
		return fmt.Errorf("it has more than %d metadata entries", maxValues)
	}
	w.file.Metadata[k] = v
	return nil
}

// pair reads a StringStringEntryProto.
func (w *walker) pair(at, end int64) (k, v string, err error) {
	err = w.each(at, end, func(f field) (err error) {
		switch f.num {
		case 1:
			k, err = w.text(f)
		case 2:
			v, err = w.text(f)
		}
		return err
	})
	return k, v, err
}

func (w *walker) subgraph(at, end int64) error { return w.graph(at, end, false) }

func (w *walker) graph(at, end int64, top bool) error {
	return w.each(at, end, func(f field) error {
		switch f.num {
		case 1:
			return w.in(f, w.node)
		case 5:
			return w.in(f, func(at, end int64) error { return w.tensor(at, end, top) })
		case 11:
			if top {
				return w.in(f, func(at, end int64) error { return w.value(&w.file.Inputs, at, end) })
			}
		case 12:
			if top {
				return w.in(f, func(at, end int64) error { return w.value(&w.file.Outputs, at, end) })
			}
		case 15:
			return w.in(f, w.sparse)
		}
		return nil
	})
}

func (w *walker) node(at, end int64) error {
	return w.each(at, end, func(f field) error {
		if f.num == 5 {
			return w.in(f, w.attribute)
		}
		return nil
	})
}

func (w *walker) attribute(at, end int64) error {
	return w.each(at, end, func(f field) error {
		switch f.num {
		case 5, 10:
			return w.in(f, func(at, end int64) error { return w.tensor(at, end, false) })
		case 6, 11:
			return w.in(f, w.subgraph)
		case 22, 23:
			return w.in(f, w.sparse)
		}
		return nil
	})
}

func (w *walker) function(at, end int64) error {
	return w.each(at, end, func(f field) error {
		switch f.num {
		case 7:
			return w.in(f, w.node)
		case 11:
			return w.in(f, w.attribute)
		}
		return nil
	})
}

func (w *walker) sparse(at, end int64) error {
	return w.each(at, end, func(f field) error {
		if f.num == 1 || f.num == 2 {
			return w.in(f, func(at, end int64) error { return w.tensor(at, end, false) })
		}
		return nil
	})
}

// tensor notes a weight's name, if it is one of the graph's own, and its file.
func (w *walker) tensor(at, end int64, named bool) error {
	return w.each(at, end, func(f field) error {
		switch {
		case f.num == 8 && named:
			name, err := w.text(f)
			w.weights[name] = true
			return err
		case f.num == 13:
			return w.in(f, func(at, end int64) error {
				k, v, err := w.pair(at, end)
				if err == nil && k == "location" {
					w.external[v] = true
				}
				return err
			})
		}
		return nil
	})
}

func (w *walker) value(dst *[]Value, at, end int64) error {
	if len(*dst) >= maxValues {
		return fmt.Errorf("it has more than %d inputs or outputs", maxValues)
	}
	v := Value{}
	err := w.each(at, end, func(f field) (err error) {
		switch f.num {
		case 1:
			v.Name, err = w.text(f)
		case 2:
			err = w.in(f, func(at, end int64) error { return w.typ(&v, at, end) })
		}
		return err
	})
	*dst = append(*dst, v)
	return err
}

func (w *walker) typ(v *Value, at, end int64) error {
	return w.each(at, end, func(f field) error {
		switch f.num {
		case 1:
			return w.in(f, func(at, end int64) error { return w.tensorType(v, at, end) })
		case 4:
			v.Type = "sequence"
		case 5:
			v.Type = "map"
		case 8:
			v.Type = "sparse tensor"
		case 9:
			v.Type = "optional"
		}
		return nil
	})
}

func (w *walker) tensorType(v *Value, at, end int64) error {
	return w.each(at, end, func(f field) error {
		switch f.num {
		case 1:
			v.Type = typeName(f.value)
		case 2:
			v.Ranked = true
			return w.in(f, func(at, end int64) error {
				return w.each(at, end, func(f field) error {
					if f.num != 1 {
						return nil
					}
					if len(v.Shape) >= maxValues {
						return fmt.Errorf("%s has more than %d dimensions", v.Name, maxValues)
					}
					return w.in(f, func(at, end int64) error { return w.dimension(v, at, end) })
				})
			})
		}
		return nil
	})
}

func (w *walker) dimension(v *Value, at, end int64) error {
	size, axis := int64(-1), ""
	err := w.each(at, end, func(f field) (err error) {
		switch f.num {
		case 1:
			if size = int64(f.value); size < 0 {
				size = -1
			}
		case 2:
			axis, err = w.text(f)
		}
		return err
	})
	if size >= 0 {
		axis = ""
	}
	v.Shape, v.Axes = append(v.Shape, size), append(v.Axes, axis)
	return err
}

// Package onnx reads the outside of an ONNX file: its inputs and outputs with the
// names of their dynamic axes, its metadata, and which other files it reads its
// weights from. It does not look at the weights or understand the graph.
//
// Package models calls it to check a pack before anything is run, and infer/ort
// for the names of axes, which the binding of ONNX Runtime does not tell.
//
// The file is outside bytes: it is walked without being loaded, in time linear in
// its size, with bounds on everything that is kept.
package onnx

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// Value is an input or an output of the graph.
type Value struct {
	Name string
	Type string // as in NumPy ("float32", "int64", "bool"), or "sequence", "map", "optional", ...
	// Ranked is false if the file does not say how many dimensions there are;
	// without dimensions but Ranked it is a scalar.
	Ranked bool
	Shape  []int64  // -1 where dynamic
	Axes   []string // the name of a dynamic dimension, "" if it has none
}

// File is what [Read] found.
type File struct {
	IR       int64 // version of the file format
	Opset    int64 // of the default domain, 0 if it imports none
	Inputs   []Value
	Outputs  []Value
	Metadata map[string]string
	// External lists the files that weights are in, as written in the graph: by
	// rule relative to its folder. Sorted, each once.
	External []string
}

// Bounds on what is kept of a file.
const (
	maxString = 64 << 10 // one name, location or metadata entry
	maxKept   = 32 << 20 // all of them together
	maxValues = 4096     // inputs, outputs, dimensions, metadata entries
	maxDepth  = 200      // nested messages; a subgraph is three levels
)

// Open reads the file at path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("onnx: %s is not a regular file", path)
	}
	m, err := Read(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("onnx: read %s: %w", path, err)
	}
	return m, nil
}

// Read walks size bytes of r.
func Read(r io.ReaderAt, size int64) (*File, error) {
	w := walker{r: r, external: map[string]bool{}, weights: map[string]bool{}}
	w.file.Metadata = map[string]string{}
	if size <= 0 {
		return nil, fmt.Errorf("it is empty")
	}
	if err := w.model(0, size); err != nil {
		return nil, err
	}
	if !w.graphSeen {
		return nil, fmt.Errorf("it is not an ONNX file: it holds no graph")
	}
	// Before format 4 weights were listed among the inputs too.
	w.file.Inputs = slices.DeleteFunc(w.file.Inputs, func(v Value) bool { return w.weights[v.Name] })
	for loc := range w.external {
		w.file.External = append(w.file.External, loc)
	}
	slices.Sort(w.file.External)
	return &w.file, nil
}

// typeNames are the names of TensorProto.DataType.
var typeNames = [...]string{
	1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
	8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
	14: "complex64", 15: "complex128", 16: "bfloat16",
}

func typeName(n uint64) string {
	if n < uint64(len(typeNames)) && typeNames[n] != "" {
		return typeNames[n]
	}
	return fmt.Sprintf("type %d", n)
}

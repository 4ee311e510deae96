package onnx

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(data []byte) (*File, error) { return Read(bytes.NewReader(data), int64(len(data))) }

// The messages below are put together by hand from the wire format.

func varint(field, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, field<<3), v)
}

func message(field uint64, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	b := binary.AppendUvarint(binary.AppendUvarint(nil, field<<3|2), uint64(len(body)))
	return append(b, body...)
}

func text(field uint64, s string) []byte { return message(field, []byte(s)) }

// value is a ValueInfoProto: sizes, or a name for a dynamic axis, "" for none.
func value(field uint64, name string, elem uint64, dims ...any) []byte {
	var shape [][]byte
	for _, d := range dims {
		switch d := d.(type) {
		case int:
			shape = append(shape, message(1, varint(1, uint64(d))))
		case string:
			if d == "" {
				shape = append(shape, message(1))
			} else {
				shape = append(shape, message(1, text(2, d)))
			}
		}
	}
	return message(field, text(1, name), message(2, message(1, varint(1, elem), message(2, shape...))))
}

func tensorAt(field uint64, name, location string) []byte {
	return message(field, varint(1, 4), varint(2, 1), text(8, name), message(13, text(1, "location"), text(2, location)), varint(14, 1))
}

func TestRead(t *testing.T) {
	inner := message(6, message(1, // AttributeProto.g, its node
		message(5, tensorAt(5, "deep", "deep.bin")), // with a tensor attribute
	), tensorAt(5, "local", "local.bin"), value(11, "not an input", 1, 3))
	graph := message(7,
		message(1, text(1, "x"), text(4, "If"), message(5, inner)),
		tensorAt(5, "w", "w.bin"),
		tensorAt(5, "w2", "w.bin"),
		message(15, tensorAt(1, "s", "sparse.bin")),
		message(5, varint(1, 1<<20), text(8, "raw"), text(9, strings.Repeat("\xff", 1<<16))),
		value(11, "x", 1, "batch", 3, -1, ""),
		value(11, "w", 1, 4),
		value(11, "scalar", 7),
		message(11, text(1, "bare"), message(2, message(1, varint(1, 9)))),
		message(11, text(1, "list"), message(2, message(4))),
		value(12, "y", 16, 0),
	)
	model := bytes.Join([][]byte{
		varint(1, 8), text(2, "us"), message(8, varint(2, 17)), message(8, text(1, "other"), varint(2, 3)),
		graph, message(14, text(1, "k"), text(2, "v")),
		message(25, message(7, message(5, tensorAt(10, "f", "function.bin")))),
		message(20, message(1, tensorAt(5, "t", "training.bin"))),
	}, nil)
	got, err := read(model)
	if err != nil {
		t.Fatal(err)
	}
	want := &File{
		IR: 8, Opset: 17,
		Inputs: []Value{
			{Name: "x", Type: "float32", Ranked: true, Shape: []int64{-1, 3, -1, -1}, Axes: []string{"batch", "", "", ""}},
			{Name: "scalar", Type: "int64", Ranked: true},
			{Name: "bare", Type: "bool"},
			{Name: "list", Type: "sequence"},
		},
		Outputs:  []Value{{Name: "y", Type: "bfloat16", Ranked: true, Shape: []int64{0}, Axes: []string{""}}},
		Metadata: map[string]string{"k": "v"},
		External: []string{"deep.bin", "function.bin", "local.bin", "sparse.bin", "training.bin", "w.bin"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReadRefuses(t *testing.T) {
	deep := message(5, text(8, "w"))
	for range maxDepth {
		deep = message(1, message(5, message(6, deep)))
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":         {nil, "empty"},
		"no graph":      {varint(1, 8), "no graph"},
		"text":          {[]byte("hello there"), ""},
		"cut":           {message(7, value(11, "x", 1, 3))[:12], "cut off"},
		"endless":       {bytes.Repeat([]byte{0xff}, 64), "cut off"},
		"field zero":    {[]byte{0, 0}, "cut off"},
		"group":         {[]byte{7<<3 | 3, 7<<3 | 4}, "cut off"},
		"graph number":  {varint(7, 1), "cut off"},
		"long":          {binary.AppendUvarint([]byte{7<<3 | 2}, 1<<62), "cut off"},
		"nested":        {message(7, deep), "nests deeper"},
		"long name":     {message(7, value(11, strings.Repeat("n", maxString+1), 1)), "longer than"},
		"not UTF-8":     {message(7, value(11, "\xff", 1)), "UTF-8"},
		"many inputs":   {message(7, bytes.Repeat(value(11, "x", 1), maxValues+1)), "more than"},
		"many dims":     {message(7, message(11, message(2, message(1, message(2, bytes.Repeat(message(1), maxValues+1)))))), "more than"},
		"many metadata": {append(message(7), bytes.Repeat(message(14), maxValues+1)...), ""},
	} {
		_, err := read(c.data)
		if name == "many metadata" { // the same key again takes no room
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestOpen(t *testing.T) {
	f, err := Open("../fixture/soundnet.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if f.Metadata["fixture"] != "true" || f.Opset != 17 || f.Inputs[0].Name != "waveform" || f.Inputs[0].Axes[1] != "samples" {
		t.Errorf("%+v", f)
	}
	for path, want := range map[string]string{
		"nothing.onnx":            "no such file",
		".":                       "not a regular file",
		"../fixture/objects.txt":  "onnx: read ../fixture/objects.txt: ",
		"../fixture/missing.onnx": "no such file",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("../fixture*/*.onnx")
	if err != nil || len(files) == 0 {
		f.Fatal(err, files)
	}
	for _, p := range append(files, "../../infer/ort/testdata/external.onnx") {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := read(data)
		if err != nil {
			return
		}
		for _, v := range append(file.Inputs, file.Outputs...) {
			if len(v.Shape) != len(v.Axes) || (len(v.Shape) > 0 && !v.Ranked) {
				t.Errorf("%+v", v)
			}
		}
		// What was read once is read again.
		again, err := read(data)
		if err != nil || cmp.Diff(file, again) != "" {
			t.Errorf("%v, %v", again, err)
		}
	})
}

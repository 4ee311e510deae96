package sinktest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seehear/seehear/docs"
)

var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(docs.ResultsSchema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertContent()
	if err := c.AddResource("results.schema.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("results.schema.json")
})

// Validate checks that every line of r is what docs/results.schema.json says,
// that the first is a header and the last a summary, and that each ends.
func Validate(t testing.TB, r io.Reader) {
	t.Helper()
	sch, err := schema()
	if err != nil {
		t.Fatalf("the schema: %v", err)
	}
	br := bufio.NewReader(r)
	var last map[string]any
	n := 0
	for {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				t.Errorf("line %d has no end: %.80q", n+1, line)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Errorf("line %d: %v: %.200s", n, err, line)
			continue
		}
		if err := sch.Validate(v); err != nil {
			t.Errorf("line %d does not match the schema: %v\n%.300s", n, err, line)
		}
		if last["summary"] != nil {
			t.Errorf("line %d comes behind the summary", n)
		}
		last, _ = v.(map[string]any)
		if (last["seehear"] != nil) != (n == 1) {
			t.Errorf("line %d: the header is the first line and no other", n)
		}
	}
	if last["summary"] == nil {
		t.Errorf("the last of %d lines is no summary", n)
	}
}

// ValidateFile is [Validate] for a file.
func ValidateFile(t testing.TB, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	Validate(t, f)
}

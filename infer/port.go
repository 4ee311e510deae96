package infer

import (
	"fmt"
	"strings"
)

// Port returns the index among a graph's inputs or outputs of the tensor that a
// family calls name; renamed is the manifest's map of names in this export, in
// which a name that is missing is itself. It returns -1 if the graph has none.
func Port(values []Value, renamed map[string]string, name string) int {
	if r, ok := renamed[name]; ok {
		name = r
	}
	for i, v := range values {
		if v.Name == name {
			return i
		}
	}
	return -1
}

// NeedPort is [Port] for a tensor without which the family cannot work: of the
// given type, and of the given number of dimensions.
func NeedPort(values []Value, renamed map[string]string, name, typ string, dims int) (int, error) {
	i := Port(values, renamed, name)
	if i < 0 {
		if r, ok := renamed[name]; ok {
			name = fmt.Sprintf("%s (called %s)", name, r)
		}
		return -1, fmt.Errorf("has no tensor %s, only %s", name, portNames(values))
	}
	v := values[i]
	if v.Type != typ {
		return -1, fmt.Errorf("tensor %s is %s where %s is needed", v.Name, v.Type, typ)
	}
	if len(v.Shape) != dims {
		return -1, fmt.Errorf("tensor %s has shape %v where %d dimensions are needed", v.Name, v.Shape, dims)
	}
	return i, nil
}

func portNames(values []Value) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(v.Name)
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

package sinks

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// TestSpool reads back in any order what was put in, and leaves no file behind.
func TestSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	rapid.Check(t, func(t *rapid.T) {
		s := NewSpool(dir)
		defer s.Close()
		var kept [][]byte
		var places []int64
		for range rapid.IntRange(1, 20).Draw(t, "pieces") {
			b := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "piece")
			at, err := s.Add(b)
			if err != nil {
				t.Fatal(err)
			}
			kept, places = append(kept, b), append(places, at)
		}
		for _, i := range rapid.Permutation(indices(len(kept))).Draw(t, "order") {
			b := make([]byte, len(kept[i]))
			if err := s.Load(b, places[i]); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, kept[i]) {
				t.Fatalf("piece %d came back as %v, want %v", i, b, kept[i])
			}
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Fatalf("files in the folder: %v, %v", files, err)
		}
	})
}

func indices(n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = i
	}
	return v
}

func TestSpoolFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewSpool(filepath.Join(file, "sub"))
	if _, err := s.Add([]byte("x")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	s.Close()

	s = NewSpool(t.TempDir())
	if err := s.Load(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("nothing was put in: %v", err)
	}
	if _, err := s.Add([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(make([]byte, 4), 0); err == nil {
		t.Error("more was read than was put in")
	}
	s.Close()
	s.Close()
	if err := s.Load(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

package overlay

import (
	"os"
	"path/filepath"

	"github.com/seehear/seehear/sinks"
)

// spool keeps the grids of heat maps until the second pass, in a file without a
// name: five maps a second over hours would not fit the memory that a source of
// any length may take, and a run that is killed leaves nothing behind.
type spool struct {
	dir  string
	f    *os.File
	size int64
}

// add appends b and returns where it is.
func (s *spool) add(dir string, b []byte) (int64, error) {
	if s.f == nil {
		if err := s.create(dir); err != nil {
			return 0, err
		}
	}
	at := s.size
	if _, err := s.f.WriteAt(b, at); err != nil {
		return 0, sinks.FailedFile("write a temporary file in", s.dir, err)
	}
	s.size += int64(len(b))
	return at, nil
}

func (s *spool) create(dir string) error {
	if dir == "" {
		dir = "."
	}
	s.dir = filepath.Clean(dir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return sinks.FailedFile("create", s.dir, err)
	}
	f, err := os.CreateTemp(dir, ".heatmaps-*"+sinks.PartSuffix)
	if err != nil {
		return sinks.FailedFile("create a temporary file in", s.dir, err)
	}
	// From here on it has no name; what cannot be unlinked while it is open is
	// removed when it is closed.
	_ = os.Remove(f.Name())
	s.f = f
	return nil
}

// load reads the grid of h into b, which grows as needed.
func (s *spool) load(b []byte, h heat) ([]byte, error) {
	n := h.w * h.h
	if cap(b) < n {
		b = make([]byte, n)
	}
	if _, err := s.f.ReadAt(b[:n], h.at); err != nil {
		return nil, sinks.FailedFile("read a temporary file in", s.dir, err)
	}
	return b[:n], nil
}

func (s *spool) close() {
	if s.f != nil {
		s.f.Close()
		_ = os.Remove(s.f.Name())
		s.f = nil
	}
}

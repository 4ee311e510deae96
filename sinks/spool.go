package sinks

import (
	"os"
	"path/filepath"
)

// Spool keeps bytes that a sink needs again later, in a file without a name: what
// comes five times a second would over hours not fit the memory that a source of
// any length may take, and a run that is killed leaves nothing behind. It is used
// by one goroutine; errors are of one line and name the folder and the cause.
type Spool struct {
	dir  string
	f    *os.File
	size int64
}

// NewSpool returns an empty spool in that folder. Nothing is created before there
// is something to keep.
func NewSpool(dir string) *Spool { return &Spool{dir: filepath.Clean(dir)} }

// Add keeps b and returns where it is.
func (s *Spool) Add(b []byte) (int64, error) {
	if s.f == nil {
		if err := s.create(); err != nil {
			return 0, err
		}
	}
	at := s.size
	if _, err := s.f.WriteAt(b, at); err != nil {
		return 0, FailedFile("write a temporary file in", s.dir, err)
	}
	s.size += int64(len(b))
	return at, nil
}

func (s *Spool) create() error {
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return FailedFile("create", s.dir, err)
	}
	f, err := os.CreateTemp(s.dir, ".spool-*"+PartSuffix)
	if err != nil {
		return FailedFile("create a temporary file in", s.dir, err)
	}
	// From here on it has no name; what cannot be unlinked while it is open is
	// removed when it is closed.
	_ = os.Remove(f.Name())
	s.f = f
	return nil
}

// Load fills b with the bytes that Add put at that place.
func (s *Spool) Load(b []byte, at int64) error {
	if s.f == nil {
		return FailedFile("read a temporary file in", s.dir, os.ErrClosed)
	}
	if _, err := s.f.ReadAt(b, at); err != nil {
		return FailedFile("read a temporary file in", s.dir, err)
	}
	return nil
}

// Close forgets everything. An empty spool may be closed, and any more than once.
func (s *Spool) Close() {
	if s.f != nil {
		s.f.Close()
		_ = os.Remove(s.f.Name())
		s.f, s.size = nil, 0
	}
}

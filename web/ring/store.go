package ring

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/web/hub"
)

// Options bound each ring. The zero value is what `seehear serve` uses.
type Options struct {
	Span     time.Duration // ten minutes if zero
	MaxBytes int64         // 512 MiB if zero; the newest segment is kept in any case
	Log      *slog.Logger
	Now      func() time.Time // time.Now if nil
}

// lockName is the file that tells another program that the folder is in use.
const lockName = ".lock"

// ours are the names of the files that a ring writes.
var ours = regexp.MustCompile(`^(init-[0-9]+\.mp4|[0-9]+\.m4s)(` + regexp.QuoteMeta(sinks.PartSuffix) + `)?$`)

// Store is the folder of all rings. It is safe for concurrent use.
type Store struct {
	opt  Options
	root *os.Root
	lock *os.File

	mu     sync.Mutex
	rings  map[string]*Ring
	closed bool
}

// Open takes the folder, making it if need be, and removes what a run that was
// killed left there. One program at a time has it.
func Open(dir string, opt Options) (*Store, error) {
	opt.Span = cmp.Or(max(opt.Span, 0), 10*time.Minute)
	opt.MaxBytes = cmp.Or(max(opt.MaxBytes, 0), 512<<20)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("ring: %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("ring: %w", err)
	}
	s := &Store{opt: opt, root: root, lock: lock, rings: map[string]*Ring{}}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("ring: %w", err), s.Close())
	}
	return s, nil
}

// sweep removes the files of rings, and the folders that are empty then. Nothing
// else is touched.
func (s *Store) sweep() error {
	folders, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range folders {
		if d.IsDir() && hub.CheckName(d.Name()) == nil {
			if err := s.empty(d.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty removes the files of a ring, and its folder if nothing else is in it.
func (s *Store) empty(name string) error {
	files, err := fs.ReadDir(s.root.FS(), name)
	if err != nil {
		return err
	}
	others := false
	for _, f := range files {
		if !ours.MatchString(f.Name()) || !f.Type().IsRegular() {
			others = true
		} else if err := s.root.Remove(name + "/" + f.Name()); err != nil {
			return err
		}
	}
	if others {
		return nil
	}
	return s.root.Remove(name)
}

// Source returns the ring of that name, beginning one if need be.
func (s *Store) Source(name string) (*Ring, error) {
	if err := hub.CheckName(name); err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("ring: %w", fs.ErrClosed)
	}
	if r := s.rings[name]; r != nil {
		return r, nil
	}
	if err := s.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("ring: %w", err)
	}
	root, err := s.root.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	r := newRing(name, root, s.opt)
	s.rings[name] = r
	return r, nil
}

// ring returns the ring of that name, nil for none.
func (s *Store) ring(name string) *Ring {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rings[name]
}

// Stats returns the figures of the ring of that name.
func (s *Store) Stats(name string) (Stats, bool) {
	r := s.ring(name)
	if r == nil {
		return Stats{}, false
	}
	return r.Stats(), true
}

// Remove ends the ring of that name and deletes its files.
func (s *Store) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(name)
}

func (s *Store) remove(name string) error {
	r := s.rings[name]
	if r == nil {
		return nil
	}
	delete(s.rings, name)
	r.close()
	err := r.root.Close()
	if eerr := s.empty(name); err == nil {
		err = eerr
	}
	if err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	return nil
}

// Close ends all rings and deletes their files: the clock of the next run is
// another.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for name := range s.rings {
		errs = append(errs, s.remove(name))
	}
	errs = append(errs, s.root.Close(), s.lock.Close())
	return sinks.Join(errs...)
}

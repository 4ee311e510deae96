package jsonl

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/sinks"
)

// Rotation says when a [Rotating] begins another file; zero fields take the
// defaults.
type Rotation struct {
	MaxBytes int64         // of one file: 64 MiB
	MaxAge   time.Duration // of one file, from its first line: 1 h
	MaxFiles int           // finished files that are kept, of the folder: 200
	Now      func() time.Time
}

// GoesOn is what the summary of a file says as its error when the run continues
// in another file.
const GoesOn = "goes on in the next file"

// rotated are the names of finished files; they sort by time.
var rotated = regexp.MustCompile(`^results-\d{8}T\d{6}\.\d{3}Z(-\d+)?\.jsonl$`)

// Rotating writes the results of a source that does not end into files of a
// folder, results-TIME.jsonl with the time in UTC at which each begins. Every
// finished file has a header, and a summary that counts its own events; the rest
// of the account of the run is in the last one.
type Rotating struct {
	dir    string
	r      Rotation
	header sinks.Header
	file   *Sink
	began  time.Time
	events int64
	end    time.Duration // of the last event
}

var _ sinks.Sink = (*Rotating)(nil)

// NewRotating returns a sink that writes into dir.
func NewRotating(dir string, r Rotation) *Rotating {
	r.MaxBytes = cmp.Or(max(r.MaxBytes, 0), 64<<20)
	r.MaxAge = cmp.Or(max(r.MaxAge, 0), time.Hour)
	r.MaxFiles = cmp.Or(max(r.MaxFiles, 0), 200)
	if r.Now == nil {
		r.Now = time.Now
	}
	return &Rotating{dir: dir, r: r}
}

// Begin begins the first file.
func (s *Rotating) Begin(ctx context.Context, h sinks.Header) error {
	s.header = h
	return s.open(ctx)
}

// open begins a file under a name that is not taken.
func (s *Rotating) open(ctx context.Context) error {
	s.began, s.events = s.r.Now(), 0
	stem := "results-" + s.began.UTC().Format("20060102T150405.000") + "Z"
	name := filepath.Join(s.dir, stem+".jsonl")
	for i := 1; exists(name) || exists(name+sinks.PartSuffix); i++ {
		name = filepath.Join(s.dir, fmt.Sprintf("%s-%d.jsonl", stem, i))
	}
	s.file = &Sink{name: name}
	return s.file.Begin(ctx, s.header)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// Write writes one line, into another file if it is time for one.
func (s *Rotating) Write(ctx context.Context, ev infer.Event) error {
	if s.events > 0 && (s.file.part.Size() >= s.r.MaxBytes || s.r.Now().Sub(s.began) >= s.r.MaxAge) {
		sum := sinks.Summary{Error: GoesOn, Events: s.events, Duration: s.end}
		if err := s.file.Close(ctx, sum); err != nil {
			return err
		}
		s.expire()
		if err := s.open(ctx); err != nil {
			return err
		}
	}
	s.events++
	s.end = max(s.end, ev.At+ev.Dur)
	return s.file.Write(ctx, ev)
}

// expire deletes the oldest files that are too many. One that cannot be deleted
// stays.
func (s *Rotating) expire() {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	var names []string
	for _, e := range list {
		if e.Type().IsRegular() && rotated.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for len(names) > s.r.MaxFiles {
		_ = os.Remove(filepath.Join(s.dir, names[0]))
		names = names[1:]
	}
}

// Close ends the last file.
func (s *Rotating) Close(ctx context.Context, sum sinks.Summary) error {
	if s.file == nil {
		return nil
	}
	sum.Events = s.events
	return s.file.Close(ctx, sum)
}

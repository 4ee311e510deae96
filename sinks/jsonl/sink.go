package jsonl

import (
	"context"
	"path/filepath"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/sinks"
)

// Version is the version of the format, the header's "seehear".
const Version = 1

// Sink writes results.jsonl.
type Sink struct {
	name  string
	faces bool // pictures of faces are written
	part  *sinks.Part
	buf   []byte
	err   error
}

var _ sinks.Sink = (*Sink)(nil)

// New returns a sink that writes results.jsonl into dir.
func New(dir string) *Sink { return &Sink{name: filepath.Join(dir, Name)} }

// WithFaces makes the events of faces name the picture that the overlay writes,
// and returns s.
func (s *Sink) WithFaces() *Sink {
	s.faces = true
	return s
}

// Begin creates the file and writes the header.
func (s *Sink) Begin(ctx context.Context, h sinks.Header) error {
	if s.err = ctx.Err(); s.err != nil {
		return s.err
	}
	if s.part, s.err = sinks.Create(s.name); s.err != nil {
		return s.err
	}
	s.buf = appendHeader(s.buf[:0], &h)
	_, s.err = s.part.Write(s.buf)
	return s.err
}

// Write writes one line.
func (s *Sink) Write(ctx context.Context, ev infer.Event) error {
	if s.err != nil {
		return s.err
	}
	if s.err = ctx.Err(); s.err != nil {
		return s.err
	}
	if f, ok := ev.Payload.(*infer.Face); ok && s.faces {
		named := *f // a payload is shared with the other sinks
		named.File = sinks.FaceName(ev.At, f.Voice)
		ev.Payload = &named
	}
	if s.buf, s.err = AppendEvent(s.buf[:0], &ev); s.err != nil {
		return s.err
	}
	s.buf = append(s.buf, '\n')
	_, s.err = s.part.Write(s.buf)
	return s.err
}

// Close writes the summary and gives the file its final name.
func (s *Sink) Close(ctx context.Context, sum sinks.Summary) error {
	if s.part == nil {
		return s.err
	}
	if s.err == nil {
		s.err = ctx.Err()
	}
	if s.err == nil {
		s.buf = appendSummary(s.buf[:0], &sum)
		_, s.err = s.part.Write(s.buf)
	}
	return s.part.End(s.err)
}

package decode

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
)

// script is a Source of n packets that then fails with err.
type script struct {
	n   int
	err error
}

func (s *script) Streams() []ingest.Stream { return []ingest.Stream{{Index: 3}} }
func (s *script) Live() bool               { return false }
func (s *script) Close() error             { return nil }
func (s *script) Read(context.Context) (ingest.Packet, error) {
	if s.n == 0 {
		return ingest.Packet{}, s.err
	}
	s.n--
	return ingest.Packet{}, nil
}

// late holds every unit back by two packets.
type late struct {
	pool    Pool
	waiting int
	err     error
	closed  bool
}

func (d *late) Decode(dst []Unit, p *ingest.Packet) ([]Unit, error) {
	if d.err != nil {
		return dst, d.err
	}
	d.waiting++
	if p == nil {
		d.waiting--
	}
	for d.waiting > 2 || (p == nil && d.waiting > 0) {
		d.waiting--
		dst = append(dst, Unit{Frame: d.pool.Frame(nil)})
	}
	return dst, nil
}
func (d *late) Stats() Stats { return Stats{} }
func (d *late) Close() error { d.closed = true; return nil }

func readAll(r *Reader) (n int, err error) {
	for {
		units, err := r.Read(context.Background(), nil)
		for _, u := range units {
			u.Release()
			n++
		}
		if err != nil {
			return n, err
		}
		if len(units) == 0 {
			return n, errors.New("neither unit nor error")
		}
	}
}

func TestReaderDrains(t *testing.T) {
	broken := errors.New("the line is dead")
	for _, c := range []struct{ end, want error }{{io.EOF, io.EOF}, {broken, broken}, {context.Canceled, context.Canceled}} {
		d := &late{}
		r := NewReader(&script{n: 7, err: c.end}, d)
		n, err := readAll(r)
		if n != 7 || !errors.Is(err, c.want) {
			t.Errorf("%v: %d units, %v", c.end, n, err)
		}
		if _, err := r.Read(context.Background(), nil); err != io.EOF {
			t.Errorf("%v: read after the end: %v", c.end, err)
		}
		if err := r.Close(); err != nil || !d.closed {
			t.Errorf("close: %v", err)
		}
	}
}

func TestReaderStopsOnDecodeError(t *testing.T) {
	broken := errors.New("no memory")
	r := NewReader(&script{n: 7, err: io.EOF}, &late{err: broken})
	if n, err := readAll(r); n != 0 || !errors.Is(err, broken) {
		t.Errorf("%d units, %v", n, err)
	}
}

// timed knows when its media happened, and what its sender reports.
type timed struct{ script }

func (timed) Wall(s ingest.Stamp) (time.Time, bool) { return time.Unix(100, 0).Add(s.At), s.Seg == 2 }
func (timed) Sync() ingest.Sync                     { return ingest.Sync{Reports: 7} }

func TestReaderPassesTheSendersTimeOn(t *testing.T) {
	r := NewReader(&timed{}, &late{})
	if w, exact := r.Wall(ingest.Stamp{At: time.Second, Seg: 2}); !w.Equal(time.Unix(101, 0)) || !exact {
		t.Errorf("%v, %v", w, exact)
	}
	if s := r.Sync(); s.Reports != 7 {
		t.Errorf("%+v", s)
	}
	r = NewReader(&script{}, &late{})
	if w, exact := r.Wall(ingest.Stamp{}); !w.IsZero() || exact || r.Sync() != (ingest.Sync{}) {
		t.Errorf("a source without a clock has the time %v, %+v", w, r.Sync())
	}
}

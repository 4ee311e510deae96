package decode

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/seehear/seehear/ingest"
)

// Reader is a source joined to its decoder: the one way to pull decoded media,
// whether for analysis or for drawing the annotated video.
type Reader struct {
	src  ingest.Source
	dec  Decoder
	done bool

	arrivals [2]arrivals // of video and audio, if live
	newest   time.Time
	kinds    map[int]ingest.Kind // by Packet.Stream
}

// NewReader joins src and dec and owns both.
func NewReader(src ingest.Source, dec Decoder) *Reader { return &Reader{src: src, dec: dec} }

// Streams returns the streams that are decoded.
func (r *Reader) Streams() []ingest.Stream { return r.src.Streams() }

// Live reports whether the source goes on without us.
func (r *Reader) Live() bool { return r.src.Live() }

// Stats returns the decoder's counts so far.
func (r *Reader) Stats() Stats { return r.dec.Stats() }

// Damage returns what the source lacks, as far as it can tell.
func (r *Reader) Damage() ingest.Damage {
	if d, ok := r.src.(ingest.Damaged); ok {
		return d.Damage()
	}
	return ingest.Damage{}
}

// Wall returns the wall-clock time of a stamp, as [ingest.Walled] does; zero if
// the source knows none.
func (r *Reader) Wall(at ingest.Stamp) (t time.Time, exact bool) {
	if w, ok := r.src.(ingest.Walled); ok {
		return w.Wall(at)
	}
	return time.Time{}, false
}

// Sync returns what the sender reports of picture and sound, as
// [ingest.Synced] does; zero if the source has no reports.
func (r *Reader) Sync() ingest.Sync {
	if s, ok := r.src.(ingest.Synced); ok {
		return s.Sync()
	}
	return ingest.Sync{}
}

// Read appends the next units to dst, at least one, and returns io.EOF once
// everything was delivered. If reading fails, what was already read is decoded
// and delivered first, and the error comes with the units of the drained
// decoder.
func (r *Reader) Read(ctx context.Context, dst []Unit) ([]Unit, error) {
	n := len(dst)
	for !r.done && len(dst) == n {
		p, err := r.src.Read(ctx)
		if err == nil {
			r.note(&p)
			if dst, err = r.dec.Decode(dst, &p); err != nil {
				r.done = true
				return dst, err
			}
			continue
		}
		r.done = true
		var derr error
		dst, derr = r.dec.Decode(dst, nil)
		if err == io.EOF { //nolint:errorlint // by contract the end is io.EOF itself; what wraps one is an error
			err = nil
		}
		if err = errors.Join(err, derr); err != nil {
			return dst, err
		}
	}
	if len(dst) == n {
		return dst, io.EOF
	}
	return dst, nil
}

// Close closes the decoder, then the source.
func (r *Reader) Close() error { return errors.Join(r.dec.Close(), r.src.Close()) }

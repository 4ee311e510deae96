// Package av opens files, HTTP(S), HLS and standard input as an [ingest.Source],
// through FFmpeg's libavformat.
//
// The command calls [Open] once per input:
//
//	src, err := av.Open(ctx, "clip.mp4", av.DefaultOptions())
//	if err != nil { … }
//	defer src.Close()
//	for {
//		p, err := src.Read(ctx)
//		if err == io.EOF { break }
//		…
//	}
//
// Packets are copied to Go and belong to whoever receives them; no pointer of C
// leaves the package. Every C handle has one owner, the [Source], and is counted
// by [Handles].
package av

/*
Note [All bytes come through Go]

FFmpeg's own protocols are not used. libavformat asks for bytes, of the input and
of whatever a playlist names, through the io_open of its context, and that one
function is the gate (see gate.go): Go's os and net/http do the reading. Three
reasons.

  - Safety. FFmpeg's whitelists speak of protocols. They can't say "no private
    address", and they are asked about a name before it is resolved, not about the
    address that is dialled. Go's dialer sees the address at the moment it
    connects, for the input, for each redirect and for each entry of a playlist.
  - Ending. A read of Go ends when its context does. FFmpeg's file and pipe
    protocols, and DNS, can't be interrupted at all.
  - Errors. FFmpeg folds "connection reset", "404" and "disk failed" into EIO or
    even the end of the file; Go's error is kept and reported.

FFmpeg's protocol_whitelist and a list of formats (see formats.go) are set as
well: demuxers that open files behind io_open's back, such as concat, are not on
it.

go-astiav has no io_open, its FormatContext gives no pointer that a helper could
use, its interrupter hands a Go pointer to C to keep, and its log bridge formats
into a fixed buffer without a bound. So demuxing is a small piece of C here,
against the same libraries.
*/

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"time"
)

// Streams that are not chosen by their index.
const (
	Best = -1 // the one that FFmpeg takes for the best
	None = -2 // none of this kind
)

// Options says how to open an input. Start from [DefaultOptions]; of the fields
// after the streams, zero takes the default.
type Options struct {
	// The container's index of the stream to read, Best or None. An index that
	// is out of range or of the wrong kind is an error; so is None for both.
	VideoStream, AudioStream int

	// Reader is the input, if not nil, and the name is used in messages only. If
	// it is an io.Seeker, it is used as one. If it is an io.Closer, Close closes
	// it; one that blocks and can't be closed keeps its goroutine until it
	// returns.
	Reader io.Reader

	// ReadTimeout bounds every Read (10 s), and three times it bounds Open and
	// the Read of a live playlist, which waits for its server to go on.
	ReadTimeout time.Duration

	// Remote lets a playlist that is a local file name http and https entries
	// at public addresses. Without it, it may only name files of its own folder
	// and below.
	Remote bool

	MaxPixels  int64         // of a picture: 8192×8192
	MaxSide    int           // of a picture: 16384
	MaxStreams int           // 64
	ProbeSize  int64         // bytes looked at to know the streams: 16 MiB
	ProbeTime  time.Duration // and media time: 10 s

	// For tests: what the gate asks for addresses and dials.
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	roots   *x509.CertPool
	stdin   int // file descriptor of "-", if not 0
}

// DefaultOptions takes the best stream of each kind.
func DefaultOptions() Options { return Options{VideoStream: Best, AudioStream: Best} }

func (o Options) withDefaults() Options {
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = 10 * time.Second
	}
	if o.MaxPixels <= 0 {
		o.MaxPixels = 8192 * 8192
	}
	if o.MaxSide <= 0 {
		o.MaxSide = 16384
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 64
	}
	if o.ProbeSize <= 0 {
		o.ProbeSize = 16 << 20
	}
	if o.ProbeTime <= 0 {
		o.ProbeTime = 10 * time.Second
	}
	return o
}

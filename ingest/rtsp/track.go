package rtsp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpfragmented"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmjpeg"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg1audio"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp8"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp9"
	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
)

// unit is one access unit, as a decoder takes it.
type unit struct {
	data  []byte
	ticks int64 // after the timestamp of the RTP packet that completed it
	dur   int64 // ticks, 0 if unknown
	// early is how many ticks the unit is decoded before it is shown; negative if
	// unknown.
	early int64
	key   bool
	start bool // decoding may begin here
	// changed are the parameters of the stream from here on, if they are new.
	changed *ingest.Stream
}

// track takes the access units of one stream out of its RTP packets. The source
// guards it.
type track struct {
	media  *description.Media
	format format.Format
	line   int // in the timeline
	stream ingest.Stream
	ready  bool // stream says all that a decoder must know
	late   bool // it was not when the source was opened

	rate     int  // ticks per second
	reorders bool // units may come in another order than they are shown
	unpack   func(*rtp.Packet) ([]unit, error)

	begun  bool
	seq    uint16
	keyed  bool // decoding has begun
	broken bool // something was lost since the last key frame
	untold bool // stream changed and Read has not been told

	// changed is set by what looks into a frame, for the unit made of it.
	changed *ingest.Stream
}

// errMore says that a packet completes nothing.
var errMore = errors.New("more packets are needed")

// notYet reports whether err is no error: the decoders of gortsplib say so when a
// unit goes on in the next packet, or began before the first.
func notYet(err error) bool {
	for _, e := range []error{
		errMore,
		rtph264.ErrMorePacketsNeeded, rtph264.ErrNonStartingPacketAndNoPrevious,
		rtph265.ErrMorePacketsNeeded, rtph265.ErrNonStartingPacketAndNoPrevious,
		rtpvp8.ErrMorePacketsNeeded, rtpvp8.ErrNonStartingPacketAndNoPrevious,
		rtpvp9.ErrMorePacketsNeeded, rtpvp9.ErrNonStartingPacketAndNoPrevious,
		rtpav1.ErrMorePacketsNeeded, rtpav1.ErrNonStartingPacketAndNoPrevious,
		rtpmjpeg.ErrMorePacketsNeeded, rtpmjpeg.ErrNonStartingPacketAndNoPrevious,
		rtpmpeg1audio.ErrMorePacketsNeeded, rtpmpeg1audio.ErrNonStartingPacketAndNoPrevious,
		rtpac3ErrMore, rtpac3ErrNonStarting,
		rtpfragmented.ErrMorePacketsNeeded, rtpmpeg4audio.ErrMorePacketsNeeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// newTrack returns the track of a media, nil if none of its formats is one that we
// can take apart.
func newTrack(m *description.Media) (*track, error) {
	for _, f := range m.Formats {
		t := &track{media: m, format: f, rate: f.ClockRate()}
		t.stream = blank
		ok, err := t.video(f)
		if !ok && err == nil {
			ok, err = t.audio(f)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Codec(), err)
		}
		if ok && t.rate > 0 {
			t.stream.Timebase = ingest.Timebase{Num: 1, Den: int32(t.rate)}
			return t, nil
		}
	}
	return nil, nil
}

// blank is a stream of which nothing is known, in FFmpeg's terms.
var blank = ingest.Stream{
	Profile: -99, Level: -99, Format: -1,
	ColorSpace: 2, ColorPrimaries: 2, ColorTransfer: 2,
}

// describe changes the stream's parameters by set and returns them if that changes
// what a decoder must know, otherwise nil.
func (t *track) describe(set func(*ingest.Stream)) *ingest.Stream {
	before, ready := t.stream, t.ready
	set(&t.stream)
	t.ready = true
	if now := t.stream; !ready || !bytes.Equal(now.Extra, before.Extra) || now.Codec != before.Codec ||
		now.Width != before.Width || now.Height != before.Height ||
		now.SampleRate != before.SampleRate || now.Channels != before.Channels {
		return &now
	}
	return nil
}

// lost notes the sequence number of a packet and reports whether some before it are
// missing.
func (t *track) lost(seq uint16) bool {
	gap := t.begun && seq != t.seq+1
	t.begun, t.seq = true, seq
	if gap {
		t.broken = t.stream.Kind == ingest.Video
	}
	return gap
}

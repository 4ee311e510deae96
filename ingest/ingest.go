// Package ingest is where media enters: encoded packets on one clock.
//
// A [Source] (ingest/av for files and URLs) yields [Packet] values in the order
// of its container. Every time in a packet has already been placed on the
// source's one clock by [Clock], so that nothing after this package knows about
// containers, timebases or wraps. The decoders call it; a packet's bytes belong
// to whoever holds the packet.
package ingest

import (
	"context"
	"errors"
	"math"
	"time"
)

// NoTime marks a timestamp that the container does not give.
const NoTime = time.Duration(math.MinInt64)

// Stamp is a place on a source's clock: At is the presentation time in integer
// nanoseconds since the start of the source.
//
// Seg counts the jumps of the source before it. Within one Seg, stamps of all
// streams compare and subtract; across Segs they do not tell how much time
// really passed, because the source jumped (see Note [Segments]).
type Stamp struct {
	At  time.Duration
	Seg uint32
}

// Before reports whether s lies before o in the order of presentation. A later
// Seg is always later.
func (s Stamp) Before(o Stamp) bool {
	if s.Seg != o.Seg {
		return s.Seg < o.Seg
	}
	return s.At < o.At
}

// Kind is the kind of a stream's media.
type Kind uint8

// The kinds of streams; other kinds (subtitles, data) are not opened.
const (
	Video Kind = iota + 1
	Audio
)

func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	}
	return "unknown"
}

// Stream describes one elementary stream of a source: what a decoder must know
// before the first packet. The fields mirror FFmpeg's AVCodecParameters; those
// that do not apply are zero.
type Stream struct {
	Index    int // the container's own stream index; Packet.Stream repeats it
	Kind     Kind
	Codec    string // FFmpeg's name of the codec, such as "h264" or "aac"
	Tag      uint32 // container's codec tag (FourCC)
	Profile  int
	Level    int
	Format   int // AVPixelFormat or AVSampleFormat, -1 if unknown
	BitRate  int64
	Extra    []byte   // codec configuration (AVCodecParameters.extradata)
	Timebase Timebase // of the container; packets are already in nanoseconds

	// Bits per coded sample and per raw sample (PCM, ADPCM, lossless codecs).
	BitsPerCodedSample, BitsPerRawSample int

	// Video.
	Width, Height                                         int
	Rotation                                              int      // degrees clockwise that the picture must be turned for display: 0, 90, 180, 270
	FrameRate                                             Timebase // frames per second as Num/Den, as the container estimates; zero if unknown
	SampleAspect                                          Timebase // Num/Den of one pixel's width to its height; zero if unknown
	ColorRange, ColorSpace, ColorPrimaries, ColorTransfer int      // AVCOL_* values
	Reorder                                               int      // frames of reordering the demuxer saw (AVCodecParameters.video_delay)

	// Audio.
	SampleRate      int
	Channels        int
	ChannelMask     uint64 // AV_CH_LAYOUT_* of a native layout, 0 if unspecified
	BlockAlign      int
	FrameSize       int
	InitialPadding  int // encoder delay in samples
	TrailingPadding int
	SeekPreroll     int

	Duration time.Duration // as the container states, 0 if it does not
	Default  bool
}

// SideData is data beside a packet's payload that a decoder needs, such as the
// samples to skip. Type is FFmpeg's AVPacketSideDataType.
type SideData struct {
	Type int
	Data []byte
}

// Packet is one encoded access unit on the source's clock. PTS and DTS may be
// [NoTime]. Data may be kept by the receiver: it is never reused.
type Packet struct {
	Stream  int // Stream.Index
	Seg     uint32
	PTS     time.Duration
	DTS     time.Duration
	Dur     time.Duration // 0 if unknown
	Key     bool
	Corrupt bool // the demuxer marked it as damaged
	// Discard marks a packet that is there for those after it alone: an edit list
	// leaves it out. It must be decoded and what comes of it not be shown.
	Discard bool
	Data    []byte
	Side    []SideData
	// Changed carries the stream's new parameters when they changed in front of
	// this packet, as MPEG-TS and fragmented files may do; otherwise nil. A live
	// source may begin a stream so, which Streams has from then on.
	Changed *Stream
	// Arrived is when the last byte of a live source's packet came, with the
	// reading of the monotonic clock; zero for files.
	Arrived time.Time
}

// Source yields the packets of the selected streams of one input.
//
// Call order: Streams and Live any time, Read until an error, Close once. Read
// blocks until a packet is there, the context ends or the source's own read
// deadline passes; it returns io.EOF at the end, and after any error it must not
// be called again. Read is called from one goroutine at a time; Close may be
// called from another and makes a blocked Read return.
type Source interface {
	Streams() []Stream
	Live() bool
	Read(context.Context) (Packet, error)
	Close() error
}

// Damage is what an input lacks of what it claims to hold, or what could not be
// read of it.
type Damage struct {
	// Entries of a playlist that could not be read.
	Entries int
	// Places that the demuxer could not make packets of.
	Places int
	// Packets of streams that appeared after the input was opened, which are
	// not read (see Growing).
	Late int
	// Packets of the network that were sent and never came, or came too late.
	Lost int
	// Truncated says that the input ends early: its last packet is incomplete,
	// or by Missing less is there than the container states.
	Truncated bool
	Missing   time.Duration
}

// Add adds what another input of the same source lacks.
func (d *Damage) Add(o Damage) {
	d.Entries += o.Entries
	d.Places += o.Places
	d.Late += o.Late
	d.Lost += o.Lost
	d.Truncated = d.Truncated || o.Truncated
	d.Missing += o.Missing
}

// Damaged is a [Source] that can tell what was missing: all of it once Read has
// returned io.EOF, and of a live source what is known so far. Damage may be
// called from any goroutine; it may wait for a Read that runs.
type Damaged interface{ Damage() Damage }

// Growing is a live [Source] whose input may come to have a picture or a sound that
// it had not when it was opened, and that is not read: Grown says that it has.
// Whoever wants that opens the input anew. It is asked by the goroutine that reads.
type Growing interface{ Grown() bool }

// Walled is a [Source] that knows when its media happened. Wall returns the
// wall-clock time of a stamp that Read has given out: exact if the sender said
// so (RTCP sender reports), else by the arrival of its packets. It is zero for a
// stamp that the source knows nothing of, or no more. Wall may be called from any
// goroutine, also after Close.
type Walled interface {
	Wall(Stamp) (t time.Time, exact bool)
}

// Sync is what the sender's reports say of picture and sound.
type Sync struct {
	// Offset is how much later the sound lies, against the picture, than the
	// arrival of the packets had put it at first: what the reports set right.
	Offset time.Duration
	// DriftPPM is how much faster the clock of the sound runs than that of the
	// picture, in millionths, measured over the reports of this connection.
	DriftPPM float64
	// Reports counts the reports; without any, the rest means nothing.
	Reports int
}

// Synced is a [Source] whose sender reports how its streams belong together.
// Sync may be called from any goroutine.
type Synced interface{ Sync() Sync }

// ErrNoMedia says that the input was opened and holds neither picture nor sound
// that can be decoded.
var ErrNoMedia = errors.New("holds no audio or video")

package av

/*
#cgo pkg-config: libavformat libavcodec libavutil
#cgo LDFLAGS: -lm
#include <stdlib.h>
#include "demux.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/cgo"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/seehear/seehear/ingest"
)

const noTicks = ingest.NoTicks

// patience is how many damaged places in a row Read steps over.
const patience = 10000

var handles atomic.Int64

// Handles returns how many C objects of this package are alive: demuxers and the
// streams of bytes that they read. Zero once every Source is closed.
func Handles() int64 { return handles.Load() }

// Source is an input opened by [Open]. It implements [ingest.Source].
type Source struct {
	name    string // without credentials
	opt     Options
	gate    *gate
	timeout time.Duration // of one Read
	timed   bool          // reading may have to wait
	span    time.Duration // of the call that runs

	streams  []ingest.Stream
	reading  [2]int // indices of the selected streams, -1 for none
	format   string
	guessed  bool  // the format, by little more than the name
	size     int64 // of the input in bytes, -1 if unknown
	duration time.Duration
	live     bool
	promised time.Duration // by the container for all streams together, 0 if it does not say

	// The I/O that C asks for ends with io, whose cause says why.
	io     context.Context
	cancel context.CancelCauseFunc

	// run is held while C runs; what follows belongs to who holds it.
	run       sync.Mutex
	c         *C.demux
	handle    cgo.Handle
	clock     *ingest.Clock
	resources map[int]*resource
	nextID    int
	root      *resource
	rootErr   error // why the input could not be read on
	refused   error // what the gate did not let through
	entryErr  error // why an entry of a playlist could not be read
	lost      int
	lists     int64 // bytes of playlists that were read
	damaged   int
	known     int // streams when it was opened
	late      int
	grown     bool // a kind of stream that was not there has appeared
	packets   int64
	tail      [2]tail
	err       error // what Read returned

	// mu guards what other goroutines touch.
	mu       sync.Mutex
	busy     bool
	deadline time.Time
	timer    *time.Timer
	watched  <-chan struct{}
	unwatch  func() bool
	closed   bool
}

// tail is how far a selected stream got.
type tail struct {
	seen       bool
	start, end time.Duration // in the container's time
	promised   time.Duration // by the container, 0 if it does not say
	cut        bool          // the last packet is incomplete
}

var (
	errTimeout = fmt.Errorf("no data in time: %w", os.ErrDeadlineExceeded)
	errSlow    = fmt.Errorf("nothing to show in time: %w", os.ErrDeadlineExceeded)
	errSeek    = errors.New("can't seek there")
)

// Open opens the input: the name of a file, an http, https or file URL, or "-"
// for standard input. It returns when the streams are known. The context ends
// opening only; closing is the caller's. Errors are one line that names the input,
// without credentials, and the cause.
func Open(ctx context.Context, input string, opt Options) (*Source, error) {
	opt = opt.withDefaults()
	s := &Source{
		name:      printable(ingest.Redact(input)),
		opt:       opt,
		timeout:   opt.ReadTimeout,
		resources: map[int]*resource{},
		reading:   [2]int{None, None},
	}
	if err := s.open(ctx, input); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("ingest: open %s: %w", s.name, redacted(err))
	}
	return s, nil
}

func (s *Source) open(ctx context.Context, input string) (err error) {
	if s.opt.VideoStream < 0 && s.opt.VideoStream != Best && s.opt.AudioStream == None {
		return errors.New("neither video nor audio is wanted")
	}
	s.io, s.cancel = context.WithCancelCause(context.Background())
	if s.gate, err = newGate(input, s.opt); err != nil {
		return err
	}
	s.handle = cgo.NewHandle(s)
	if s.c = C.demux_new(C.uintptr_t(s.handle)); s.c == nil {
		return errors.New("out of memory")
	}
	handles.Add(1)

	s.timed = true // whatever it is, opening it may wait
	if err = s.begin(ctx, 3*s.opt.ReadTimeout); err != nil {
		return err
	}
	defer s.end()
	if s.root, err = s.gate.openRoot(s.io); err != nil {
		if cause := s.interrupted(ctx); cause != nil {
			return cause
		}
		return err
	}
	s.timed = !s.root.instant
	s.size = s.root.stream.Size()
	if s.size == 0 {
		return errors.New("empty, zero bytes")
	}
	return s.demux(ctx)
}

// demux brings libavformat from the bytes to the streams.
func (s *Source) demux(ctx context.Context) error {
	url := C.CString(s.root.url)
	defer C.free(unsafe.Pointer(url))
	var name *C.char
	score := C.demux_detect(s.c, url, &name)
	if score < 0 {
		return s.openError(ctx, score)
	}
	s.guessed = score <= C.AVPROBE_SCORE_EXTENSION
	s.format = C.GoString(name)
	if s.format == "webvtt" { // known for what a playlist names, and read whole
		return ingest.ErrNoMedia
	}
	if !knownFormat(s.format) {
		return fmt.Errorf("not a media file that FFmpeg can read (it looks like %s)", s.format)
	}
	s.timed = s.timed || s.format == "hls" && s.gate.network()

	list, allowed := C.CString(formatList), C.CString(s.gate.protocols())
	defer C.free(unsafe.Pointer(list))
	defer C.free(unsafe.Pointer(allowed))
	ret := C.demux_open(s.c, url, list, allowed, C.int64_t(s.opt.ProbeSize),
		C.int64_t(s.opt.ProbeTime/time.Microsecond), C.int(s.opt.MaxStreams+1))
	if ret < 0 || s.refused != nil {
		return s.openError(ctx, ret)
	}
	// Once on the header, before anything is decoded to know more, once after.
	if err := s.checkSize(); err != nil {
		return err
	}
	if ret := C.demux_probe(s.c, C.int64_t(s.opt.MaxPixels)); ret < 0 || s.refused != nil {
		return s.openError(ctx, ret)
	}
	if err := s.interrupted(ctx); err != nil {
		return err
	}
	if err := s.checkSize(); err != nil {
		return err
	}
	if err := s.choose(); err != nil {
		return err
	}
	s.describeAll()
	return nil
}

// checkSize refuses what would take too much memory to decode.
func (s *Source) checkSize() error {
	if s.count() > s.opt.MaxStreams {
		return fmt.Errorf("more than %d streams", s.opt.MaxStreams)
	}
	for i := range s.count() {
		st := C.demux_stream(s.c, C.int(i))
		if !isKind(st, C.AVMEDIA_TYPE_VIDEO) {
			continue
		}
		w, h := int64(st.codecpar.width), int64(st.codecpar.height)
		if w > int64(s.opt.MaxSide) || h > int64(s.opt.MaxSide) || w*h > s.opt.MaxPixels {
			return fmt.Errorf("stream %d has pictures of %d×%d, more than the limit of %d pixels or %d on a side", i, w, h, s.opt.MaxPixels, s.opt.MaxSide)
		}
	}
	return nil
}

func (s *Source) count() int { return int(C.demux_format(s.c).nb_streams) }

// isKind reports whether st is a stream of that type, and not a cover.
func isKind(st *C.AVStream, kind C.enum_AVMediaType) bool {
	return st.codecpar.codec_type == kind &&
		st.disposition&(C.AV_DISPOSITION_ATTACHED_PIC|C.AV_DISPOSITION_TIMED_THUMBNAILS) == 0
}

// choose settles which streams are read.
func (s *Source) choose() error {
	video, err := s.pick(s.opt.VideoStream, C.AVMEDIA_TYPE_VIDEO, "video", -1)
	if err != nil {
		return err
	}
	audio, err := s.pick(s.opt.AudioStream, C.AVMEDIA_TYPE_AUDIO, "audio", video)
	if err != nil {
		return err
	}
	if video < 0 && audio < 0 {
		for i := range s.count() {
			st := C.demux_stream(s.c, C.int(i))
			for _, w := range []struct {
				wanted int
				kind   C.enum_AVMediaType
			}{{s.opt.VideoStream, C.AVMEDIA_TYPE_VIDEO}, {s.opt.AudioStream, C.AVMEDIA_TYPE_AUDIO}} {
				if w.wanted == Best && isKind(st, w.kind) {
					return fmt.Errorf("no decoder for its codec %s", C.GoString(C.avcodec_get_name(st.codecpar.codec_id)))
				}
			}
		}
		switch {
		case s.opt.VideoStream == None:
			return fmt.Errorf("%w: no audio stream", ingest.ErrNoMedia)
		case s.opt.AudioStream == None:
			return fmt.Errorf("%w: no video stream", ingest.ErrNoMedia)
		}
		return ingest.ErrNoMedia
	}
	s.reading, s.known = [2]int{video, audio}, s.count()
	C.demux_select(s.c, C.int(video), C.int(audio))
	return nil
}

// pick returns the index of the wanted stream, None if there is none.
func (s *Source) pick(wanted int, kind C.enum_AVMediaType, name string, related int) (int, error) {
	switch {
	case wanted == None:
		return None, nil
	case wanted == Best:
		if i := C.demux_best(s.c, kind, C.int(max(related, -1))); i >= 0 {
			return int(i), nil
		}
		return None, nil
	case wanted < 0 || wanted >= s.count():
		return 0, fmt.Errorf("no stream %d: it has streams 0 to %d", wanted, s.count()-1)
	}
	st := C.demux_stream(s.c, C.int(wanted))
	if !isKind(st, kind) {
		what := "of another kind"
		switch {
		case isKind(st, C.AVMEDIA_TYPE_VIDEO):
			what = "video"
		case isKind(st, C.AVMEDIA_TYPE_AUDIO):
			what = "audio"
		case st.codecpar.codec_type == C.AVMEDIA_TYPE_VIDEO:
			what = "a cover picture"
		case st.codecpar.codec_type == C.AVMEDIA_TYPE_SUBTITLE:
			what = "subtitles"
		case st.codecpar.codec_type == C.AVMEDIA_TYPE_DATA:
			what = "data"
		}
		return 0, fmt.Errorf("stream %d is not %s, it is %s", wanted, name, what)
	}
	return wanted, nil
}

// describeAll copies the streams to Go and starts the clock.
func (s *Source) describeAll() {
	fc := C.demux_format(s.c)
	if d := time.Duration(fc.duration); fc.duration != noTicks && d > 0 && d < 1<<62/time.Microsecond {
		if d *= time.Microsecond; s.plausible(d) {
			s.duration = d
		}
	}
	s.live = s.format == "hls" && fc.duration == noTicks
	if s.live {
		s.timeout *= 3
	}

	var clocks []ingest.ClockStream
	one := max(s.reading[0], s.reading[1]) // of the two, any: they share a clock
	if s.reading[0] >= 0 {
		one = s.reading[0]
	}
	others := false
	for i := range s.count() {
		st := C.demux_stream(s.c, C.int(i))
		others = others || i != s.reading[0] && i != s.reading[1]
		read := i == s.reading[0] || i == s.reading[1]
		if !read && (!isKind(st, C.AVMEDIA_TYPE_VIDEO) && !isKind(st, C.AVMEDIA_TYPE_AUDIO) ||
			C.demux_related(s.c, C.int(one), C.int(i)) == 0) {
			continue
		}
		clocks = append(clocks, ingest.ClockStream{
			Index:    i,
			Timebase: rational(st.time_base),
			WrapBits: int(st.pts_wrap_bits),
			Start:    firstShown(s.format, st),
			Unread:   !read,
		})
		if !read {
			continue
		}
		d := s.describe(st)
		s.streams = append(s.streams, d)
		C.demux_changed(s.c, C.int(i))
		t := &s.tail[s.slot(i)]
		if t.promised = d.Duration; fc.duration_estimation_method == C.AVFMT_DURATION_FROM_BITRATE {
			t.promised = 0
		}
	}
	if fc.duration_estimation_method == C.AVFMT_DURATION_FROM_STREAM && !others &&
		s.tail[0].promised == 0 && s.tail[1].promised == 0 {
		s.promised = s.duration
	}
	opt := ingest.ClockOptions{}
	if !jumps(s.format) {
		// Gaps are real there, save those that only damage can claim. They are
		// bounded, so that sums of stamps stay far from what a Duration holds.
		opt.Forward = 24 * time.Hour
	}
	s.clock = ingest.NewClock(opt, clocks...)
}

func (s *Source) slot(index int) int {
	if index == s.reading[0] {
		return 0
	}
	return 1
}

// Streams returns the selected streams, in the container's order.
func (s *Source) Streams() []ingest.Stream { return append([]ingest.Stream(nil), s.streams...) }

// Live reports whether the input goes on by itself: a playlist without an end.
func (s *Source) Live() bool { return s.live }

// Duration returns the length that the container states, 0 if it states none or
// one that can't be true.
func (s *Source) Duration() time.Duration { return s.duration }

// Format returns FFmpeg's name of the container's format.
func (s *Source) Format() string { return s.format }

// Damage is [ingest.Damage].
type Damage = ingest.Damage

var _ ingest.Damaged = (*Source)(nil)

// Damage returns what was missing so far (see [ingest.Damaged]).
func (s *Source) Damage() Damage {
	s.run.Lock()
	defer s.run.Unlock()
	d := Damage{Entries: s.lost, Places: s.damaged, Late: s.late}
	if !errors.Is(s.err, io.EOF) {
		return d
	}
	both := tail{promised: s.promised}
	for i, t := range s.tail {
		if s.reading[i] < 0 {
			continue
		}
		d.Truncated = d.Truncated || t.cut
		d.Missing = max(d.Missing, t.missing())
		if t.seen {
			if !both.seen {
				both.seen, both.start = true, t.start
			}
			both.start, both.end = min(both.start, t.start), max(both.end, t.end)
		}
	}
	d.Missing = max(d.Missing, both.missing())
	d.Truncated = d.Truncated || d.Missing > 0
	return d
}

// missing is by how much t falls short of what was promised. Containers round, and
// some count the last frame differently, so a little does not count.
func (t tail) missing() time.Duration {
	if miss := t.promised - (t.end - t.start); t.promised > 0 && miss > time.Second/2 {
		return miss
	}
	return 0
}

// Read returns the next packet of the selected streams (see [ingest.Source]).
func (s *Source) Read(ctx context.Context) (ingest.Packet, error) {
	s.run.Lock()
	defer s.run.Unlock()
	if s.c == nil {
		return ingest.Packet{}, s.fail(fs.ErrClosed)
	}
	if p, ok := s.clock.Pop(); ok {
		return p, nil
	}
	if s.err != nil {
		return ingest.Packet{}, s.err
	}
	if err := s.begin(ctx, s.timeout); err != nil {
		return ingest.Packet{}, s.fail(err)
	}
	defer s.end()
	for failures := 0; ; {
		ret := C.demux_read(s.c)
		if s.refused != nil {
			s.err = s.fail(s.refused)
		} else if ret < 0 {
			if s.goOn(ret, &failures) {
				continue
			}
			s.err = s.readError(ctx, ret)
		}
		if s.err != nil {
			s.clock.End()
			if p, ok := s.clock.Pop(); ok {
				return p, nil
			}
			return ingest.Packet{}, s.err
		}
		failures = 0
		pkt := C.demux_packet(s.c)
		if i := int(pkt.stream_index); i != s.reading[0] && i != s.reading[1] {
			if i >= s.known {
				s.late++
				s.grown = s.grown || s.lacks(C.demux_stream(s.c, pkt.stream_index))
			}
			continue
		}
		s.push(pkt)
		if p, ok := s.clock.Pop(); ok {
			return p, nil
		}
	}
}

// lacks reports whether st is a picture or a sound and none is read.
func (s *Source) lacks(st *C.AVStream) bool {
	return s.opt.VideoStream == Best && s.reading[0] < 0 && isKind(st, C.AVMEDIA_TYPE_VIDEO) ||
		s.opt.AudioStream == Best && s.reading[1] < 0 && isKind(st, C.AVMEDIA_TYPE_AUDIO)
}

// Grown implements [ingest.Growing].
func (s *Source) Grown() bool { return s.grown }

// goOn reports whether reading can go on after ret.
func (s *Source) goOn(ret C.int, failures *int) bool {
	if s.io.Err() != nil || s.rootErr != nil {
		return false
	}
	switch ret {
	case C.AVERROR_EOF, C.AVERROR_EXIT:
		return false
	case -C.EAGAIN:
	default:
		if C.demux_ended(s.c) != 0 {
			return false // nothing is left that could be better
		}
		s.damaged++
	}
	*failures++
	return *failures < patience
}

// readError says why Read ends.
func (s *Source) readError(ctx context.Context, ret C.int) error {
	if err := s.interrupted(ctx); err != nil {
		return s.fail(err)
	}
	switch {
	case s.rootErr != nil:
		return s.fail(s.rootErr)
	case s.packets == 0 && s.entryErr != nil:
		return s.fail(s.entryErr)
	case ret == C.AVERROR_EOF:
		return io.EOF
	case ret == C.AVERROR_EXIT:
		return s.fail(errSlow)
	case C.demux_ended(s.c) != 0:
		s.damaged++
		return io.EOF
	}
	return s.fail(avError(ret))
}

func (s *Source) fail(err error) error {
	return fmt.Errorf("ingest: read %s: %w", s.name, redacted(err))
}

// push hands C's packet to the clock as a packet of Go.
func (s *Source) push(pkt *C.AVPacket) {
	s.packets++
	p := ingest.Packet{
		Stream:  int(pkt.stream_index),
		Key:     pkt.flags&C.AV_PKT_FLAG_KEY != 0,
		Corrupt: pkt.flags&C.AV_PKT_FLAG_CORRUPT != 0,
		Discard: pkt.flags&C.AV_PKT_FLAG_DISCARD != 0,
		Data:    goBytes(pkt.data, int(pkt.size)),
	}
	for _, sd := range unsafe.Slice(pkt.side_data, int(pkt.side_data_elems)) {
		p.Side = append(p.Side, ingest.SideData{Type: int(sd._type), Data: goBytes(sd.data, int(sd.size))})
	}
	st := C.demux_stream(s.c, pkt.stream_index)
	if C.demux_changed(s.c, pkt.stream_index) != 0 {
		d := s.describe(st)
		p.Changed = &d
	}

	t := &s.tail[s.slot(p.Stream)]
	tb := rational(st.time_base)
	if pkt.pts != noTicks {
		at := tb.Duration(int64(pkt.pts))
		end := at + tb.Duration(int64(pkt.duration))
		if !t.seen {
			t.seen, t.start, t.end = true, at, end
		}
		t.start, t.end = min(t.start, at), max(t.end, end)
	}
	t.cut = p.Corrupt

	s.clock.Push(p, ingest.Ticks{PTS: int64(pkt.pts), DTS: int64(pkt.dts), Dur: int64(pkt.duration)})
}

// Close frees everything and makes a blocked Read return. It may be called from
// any goroutine, and more than once.
func (s *Source) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.stop(fs.ErrClosed)
	s.mu.Unlock()

	s.run.Lock()
	defer s.run.Unlock()
	s.mu.Lock()
	c := s.c
	s.c = nil
	if s.unwatch != nil {
		s.unwatch()
	}
	s.mu.Unlock()
	if c != nil {
		C.demux_free(c) // closes its resources through seehearClose
		handles.Add(-1)
	}
	if s.handle != 0 {
		s.handle.Delete()
	}
	var err error
	if s.root != nil {
		err = s.root.close()
	}
	if s.gate != nil {
		s.gate.close()
	}
	return err
}

// begin arms the deadline and the context for one call into C.
func (s *Source) begin(ctx context.Context, timeout time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fs.ErrClosed
	}
	s.busy = true
	if s.timed {
		s.deadline = time.Now().Add(timeout)
		if s.timer == nil {
			s.timer = time.AfterFunc(timeout, s.expire)
		} else {
			s.timer.Reset(timeout)
		}
	}
	done := ctx.Done()
	var forget func() bool
	if done != s.watched {
		forget = s.unwatch
		s.watched, s.unwatch = done, nil
		if done != nil {
			s.unwatch = context.AfterFunc(ctx, func() { s.over(ctx) })
		}
	}
	s.mu.Unlock()
	if forget != nil {
		forget()
	}
	s.span = timeout
	C.demux_deadline(s.c, C.int64_t(timeout))
	if err := ctx.Err(); err != nil {
		// It ended while it was being armed; over may have missed it.
		s.over(ctx)
	}
	return nil
}

// alive puts the deadline off while a file that never waits is being read: the
// next packet of a selected stream may lie behind gigabytes of others. A demuxer
// that goes round in circles is given up all the same.
func (s *Source) alive(r *resource) {
	if r.instant && r.count/4 <= r.stream.Size() {
		C.demux_deadline(s.c, C.int64_t(s.span))
	}
}

// end disarms what begin armed, so that nothing reaches into the next call.
func (s *Source) end() {
	s.mu.Lock()
	s.busy = false
	s.deadline = time.Time{}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	C.demux_deadline(s.c, 0)
}

// expire is the timer's.
func (s *Source) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy && !s.deadline.IsZero() && !time.Now().Before(s.deadline) {
		s.stop(errTimeout)
	}
}

// over is what a context calls when it ends; it matters only while a call that
// was given this context runs.
func (s *Source) over(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy && s.watched == ctx.Done() {
		s.stop(ctx.Err())
	}
}

// stop ends all I/O for good. The caller holds mu.
func (s *Source) stop(cause error) {
	if s.cancel != nil {
		s.cancel(cause)
	}
	if s.c != nil {
		C.demux_stop(s.c)
	}
}

// interrupted returns why the running call was ended from outside, nil if it was
// not.
func (s *Source) interrupted(ctx context.Context) error {
	if err := context.Cause(s.io); err != nil {
		return err
	}
	return ctx.Err()
}

// add makes r known to C under a number.
func (s *Source) add(r *resource) int {
	s.nextID++
	s.resources[s.nextID] = r
	return s.nextID
}

// failed keeps the reason for which C's I/O fails, and returns FFmpeg's code.
func (s *Source) failed(err error, root bool) int {
	var r *refusal
	var status *httpStatus
	switch {
	case s.io.Err() != nil:
		return C.AVERROR_EXIT
	case errors.As(err, &r):
		if s.refused == nil {
			s.refused = err
		}
		return -C.EPERM
	case root:
		if s.rootErr == nil {
			s.rootErr = err
		}
		return -C.EIO
	}
	s.lost++
	s.entryErr = err
	switch {
	case errors.As(err, &status) && status.code == 404:
		return C.AVERROR_HTTP_NOT_FOUND
	case errors.Is(err, fs.ErrNotExist):
		return -C.ENOENT
	}
	return -C.EIO
}

// openError says why Open fails.
func (s *Source) openError(ctx context.Context, ret C.int) error {
	if err := s.interrupted(ctx); err != nil {
		return err
	}
	switch {
	case s.refused != nil:
		return s.refused
	case s.rootErr != nil:
		return s.rootErr
	case s.entryErr != nil:
		return s.entryErr
	case ret == C.AVERROR_EXIT:
		return errSlow
	case s.root.count == 0:
		return errors.New("empty, zero bytes")
	case s.format == "", s.guessed:
		return errors.New("not a media file that FFmpeg can read")
	case ret == -C.ENOMEM:
		return fmt.Errorf("more than %d streams, or out of memory", s.opt.MaxStreams)
	}
	return fmt.Errorf("damaged: FFmpeg can't read it as %s: %w", s.format, avError(ret))
}

// avError is FFmpeg's word for one of its codes.
func avError(ret C.int) error {
	var buf [C.AV_ERROR_MAX_STRING_SIZE]C.char
	C.av_strerror(ret, &buf[0], C.AV_ERROR_MAX_STRING_SIZE)
	return errors.New(C.GoString(&buf[0]))
}

// firstShown is the first presented PTS of a stream in ticks. libavformat adds
// the priming to start_time, but for Opus in Matroska, whose decoder skips by
// itself.
func firstShown(format string, st *C.AVStream) int64 {
	start, par := int64(st.start_time), st.codecpar
	if start != noTicks && strings.HasPrefix(format, "matroska") && par.codec_id == C.AV_CODEC_ID_OPUS && par.initial_padding > 0 && par.sample_rate > 0 {
		skip := ingest.SampleTime(int64(par.initial_padding), int(par.sample_rate))
		start += rational(st.time_base).Ticks(skip)
	}
	return start
}

package rtc

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
)

// FeedOptions configure a [Feed]; the zero value is right.
type FeedOptions struct {
	// OnChange is called whenever [Feed.Media] or [Feed.Wanted] may have changed,
	// without a lock held and from whatever goroutine changed it. It must not
	// wait.
	OnChange func()
}

// Media says what viewers of a source get.
type Media struct {
	Video, Audio Codec  // "" if the source has none
	Transcoded   bool   // one of them at least
	Note         string // why, in one line
}

// cacheBytes bounds the GOP that is kept for those who join.
const cacheBytes = 16 << 20

// heldBytes bounds what waits for the delay.
const heldBytes = 64 << 20

// Feed fans out the encoded media of one source. Its methods may be called from
// any goroutine, and none of them waits.
type Feed struct {
	opt         FeedOptions
	base, abase uint32
	wake        chan struct{}
	done        chan struct{}

	mu         sync.Mutex
	closed     bool
	video      track
	audio      track
	seg        uint32
	renditions map[Codec]*rendition
	hold       delay
	held       [2][]*unit // video, audio
	steps      steps      // of the sound
	heldBytes  int
	edge       time.Time // when what is presented at zero arrived
	clock      mediaClock
	dropped    uint64
}

// track is the stream of the source that is shown.
type track struct {
	stream ingest.Stream
	here   bool
	judge  *h264Judge // of H.264
	reason string     // why it must be transcoded; empty if it passes
}

// rendition is one codec of a source, made once for all viewers of it.
type rendition struct {
	payloader rtp.Payloader
	subs      map[*subscription]struct{}
	gop       []*unit // from the last keyframe on
	gopBytes  int
	needKey   bool // somebody waits for a keyframe
}

// NewFeed returns the feed of one source. It must be closed.
func NewFeed(opt FeedOptions) *Feed {
	if opt.OnChange == nil {
		opt.OnChange = func() {}
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	f := &Feed{
		opt: opt, base: binary.BigEndian.Uint32(b[:]), abase: binary.BigEndian.Uint32(b[4:]),
		wake: make(chan struct{}, 1), done: make(chan struct{}), renditions: map[Codec]*rendition{},
	}
	for _, c := range []Codec{H264, VP8, Opus} {
		f.renditions[c] = &rendition{payloader: c.payloader(), subs: map[*subscription]struct{}{}}
	}
	go f.run()
	return f
}

// Base returns the RTP time of the picture at zero.
func (f *Feed) Base() uint32 { return f.base }

// RTPTime returns the RTP time of the picture at that place.
func (f *Feed) RTPTime(at ingest.Stamp) uint32 { return RTPTime(f.base, VideoRate, at.At) }

// rtpTime returns the RTP time on the track of that codec.
func (f *Feed) rtpTime(c Codec, at time.Duration) uint32 {
	if c.Kind() == ingest.Audio {
		return RTPTime(f.abase, AudioRate, at)
	}
	return RTPTime(f.base, VideoRate, at)
}

// Streams says what the source has, when it is known and when it changed. The
// default stream of each kind is shown, otherwise the first.
func (f *Feed) Streams(ss []ingest.Stream) {
	f.mu.Lock()
	f.pick(&f.video, ss, ingest.Video)
	f.pick(&f.audio, ss, ingest.Audio)
	f.mu.Unlock()
	f.opt.OnChange()
}

func (f *Feed) pick(t *track, ss []ingest.Stream, kind ingest.Kind) {
	var best *ingest.Stream
	for i := range ss {
		if s := &ss[i]; s.Kind == kind && (best == nil || s.Default && !best.Default) {
			best = s
		}
	}
	switch {
	case best == nil:
		*t = track{}
	case t.here && same(&t.stream, best):
		// What was learnt of it still holds.
		t.stream = *best
		if t.judge != nil {
			t.judge.resume()
		}
	default:
		t.set(*best)
	}
}

// same reports whether two streams are coded alike.
func same(a, b *ingest.Stream) bool {
	return a.Codec == b.Codec && bytes.Equal(a.Extra, b.Extra) && a.Width == b.Width && a.Height == b.Height &&
		a.Rotation == b.Rotation && a.SampleRate == b.SampleRate && a.Channels == b.Channels
}

func (t *track) set(s ingest.Stream) {
	*t = track{stream: s, here: true}
	switch {
	case s.Codec == string(H264):
		t.judge = newH264Judge(s)
		t.reason = t.judge.verdict()
	case s.Codec == string(Opus):
		// RFC 7587 knows mono and stereo alone.
		if s.Channels > 2 {
			t.reason = "the Opus sound has more than two channels"
		}
	default:
		t.reason = "browsers don't play " + s.Codec + " over WebRTC"
	}
}

// Packet takes a packet of the source, in the order in which they are read. Its
// data may be used by others as well, and is not changed.
func (f *Feed) Packet(p *ingest.Packet) {
	now := time.Now()
	at := p.PTS
	if at == ingest.NoTime {
		at = p.DTS
	}
	arrived := p.Arrived
	if arrived.IsZero() || arrived.After(now) {
		arrived = now
	}
	f.mu.Lock()
	changed := f.packet(p, at, arrived)
	f.mu.Unlock()
	f.signal()
	if changed {
		f.opt.OnChange()
	}
}

func (f *Feed) packet(p *ingest.Packet, at time.Duration, arrived time.Time) (changed bool) {
	if p.Seg != f.seg {
		f.seg = p.Seg
		if f.video.judge != nil {
			f.video.judge.resume()
		}
	}
	var t *track
	switch {
	case f.video.here && p.Stream == f.video.stream.Index:
		t = &f.video
	case f.audio.here && p.Stream == f.audio.stream.Index:
		t = &f.audio
	default:
		return false
	}
	if p.Changed != nil && !same(&t.stream, p.Changed) {
		t.set(*p.Changed)
		changed = true
	}
	if at == ingest.NoTime {
		return changed
	}
	f.edge = arrived.Add(-at)
	if t.judge != nil {
		au, key := t.judge.unit(p.Data, at)
		if v := t.judge.verdict(); v != t.reason {
			t.reason, changed = v, true
		}
		if au != nil {
			f.put(H264, at, key, au, arrived)
		}
		return changed
	}
	if t.reason == "" && !p.Discard && len(p.Data) > 0 {
		f.put(Opus, at, true, p.Data, arrived)
	}
	return changed
}

// Transcode reports what of the source cannot pass through to browsers, so that
// it must come through [Feed.Encoded].
func (f *Feed) Transcode() (video, audio bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.video.reason != "", f.audio.reason != ""
}

// Media says what viewers get.
func (f *Feed) Media() Media {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := Media{Note: f.video.reason}
	if f.video.here {
		m.Video = H264
	}
	if f.audio.here {
		m.Audio = Opus
	}
	if m.Note == "" {
		m.Note = f.audio.reason
	}
	m.Transcoded = m.Note != ""
	return m
}

// Wanted returns the codecs that somebody watches and that don't come from the
// source as they are: what a [Transcoder] has to make now.
func (f *Feed) Wanted() []Codec {
	f.mu.Lock()
	defer f.mu.Unlock()
	var want []Codec
	for _, c := range []Codec{H264, VP8, Opus} {
		if f.wants(c) {
			want = append(want, c)
		}
	}
	return want
}

// wantsKind reports whether any codec of that kind is wanted.
func (f *Feed) wantsKind(k ingest.Kind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k == ingest.Audio {
		return f.wants(Opus)
	}
	return f.wants(H264) || f.wants(VP8)
}

func (f *Feed) wants(c Codec) bool {
	t := &f.video
	if c == Opus {
		t = &f.audio
	}
	return t.here && len(f.renditions[c].subs) > 0 && !f.passes(c)
}

// passes reports whether the source itself delivers c.
func (f *Feed) passes(c Codec) bool {
	switch c {
	case H264:
		return f.video.judge != nil && f.video.reason == ""
	case Opus:
		return f.audio.here && f.audio.reason == ""
	}
	return false
}

// takeKey reports, once, that somebody needs a keyframe of c.
func (f *Feed) takeKey(c Codec) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.renditions[c]
	need := r.needKey
	r.needKey = false
	return need
}

// requestKey asks for a keyframe of c. The source cannot be asked: what passes
// through has one at least every two seconds.
func (f *Feed) requestKey(c Codec) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.renditions[c]; r != nil {
		r.needKey = true
	}
}

// Encoded takes what an encoder made: H.264 as access units in Annex B with
// parameter sets in front of keyframes, VP8 frames, or Opus packets. data is
// copied where it is not split anyway. Nothing happens if the source itself
// delivers that codec.
func (f *Feed) Encoded(c Codec, at ingest.Stamp, key bool, data []byte) {
	now := time.Now()
	f.mu.Lock()
	if !f.passes(c) && len(data) > 0 {
		// It counts as old as what it was made of.
		arrived := f.edge.Add(at.At)
		if arrived.After(now) || now.Sub(arrived) > MaxDelay {
			arrived = now
		}
		f.put(c, at.At, key, data, arrived)
	}
	f.mu.Unlock()
	f.signal()
}

// put makes a unit and queues it. f is locked.
func (f *Feed) put(c Codec, at time.Duration, key bool, data []byte, arrived time.Time) {
	r := f.renditions[c]
	u := &unit{codec: c, at: at, ts: f.rtpTime(c, at), key: key, arrived: arrived}
	u.payloads = r.payloader.Payload(mtu, data)
	for _, p := range u.payloads {
		u.size += len(p)
	}
	if u.size == 0 {
		return
	}
	i := 0
	if c == Opus {
		i, u.ts = 1, f.steps.next(u.ts)
	}
	if f.heldBytes+u.size > heldBytes {
		for _, q := range f.held {
			f.dropped += uint64(len(q))
		}
		f.held, f.heldBytes = [2][]*unit{}, 0
		for c, r := range f.renditions {
			r.gop, r.gopBytes = nil, 0
			for s := range r.subs {
				s.lose(c)
			}
		}
	}
	f.held[i] = append(f.held[i], u)
	f.heldBytes += u.size
}

// SetDelay holds picture and sound back by d, at most [MaxDelay], counted from
// their arrival. RTP times don't change. The delay moves there smoothly, by a
// tenth of the time that passes.
func (f *Feed) SetDelay(d time.Duration) {
	f.mu.Lock()
	f.hold.set(d, time.Now())
	f.mu.Unlock()
	f.signal()
}

// Delay returns the delay that holds now.
func (f *Feed) Delay() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hold.at(time.Now())
}

func (f *Feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run lets go of what is due, until Close.
func (f *Feed) run() {
	defer close(f.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait, closed := f.release(time.Now())
		if closed {
			return
		}
		timer.Reset(wait)
		select {
		case <-f.wake:
		case <-timer.C:
		}
	}
}

// release hands on what is due at now and returns how long to wait for the next.
func (f *Feed) release(now time.Time) (wait time.Duration, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = time.Hour
	d := f.hold.at(now)
	for i := range f.held {
		for len(f.held[i]) > 0 {
			u := f.held[i][0]
			if left := d - now.Sub(u.arrived); left > 0 {
				wait = min(wait, max(left, time.Millisecond))
				break
			}
			f.held[i][0] = nil
			f.held[i] = f.held[i][1:]
			f.heldBytes -= u.size
			f.deliver(u, now)
		}
		if len(f.held[i]) == 0 {
			f.held[i] = nil
		}
	}
	return wait, f.closed
}

// deliver hands u to the viewers of its codec.
func (f *Feed) deliver(u *unit, now time.Time) {
	f.clock.release(u, now)
	r := f.renditions[u.codec]
	if u.codec != Opus {
		switch {
		case u.key:
			r.gop, r.gopBytes = append([]*unit(nil), u), u.size
		case len(r.gop) == 0:
			return // its keyframe never came
		case r.gopBytes+u.size > cacheBytes:
			r.gop, r.gopBytes = nil, 0
			for s := range r.subs {
				s.lose(u.codec)
			}
			return
		default:
			r.gop, r.gopBytes = append(r.gop, u), r.gopBytes+u.size
		}
	}
	for s := range r.subs {
		s.push(u)
	}
}

// subscribe adds a viewer of these codecs. The current GOP is in its queue, so
// that it has a picture at once.
func (f *Feed) subscribe(video, audio Codec) *subscription {
	s := &subscription{feed: f, video: video, audio: audio, wake: make(chan struct{}, 1), needKey: true}
	f.mu.Lock()
	if r := f.renditions[video]; r != nil {
		if len(r.subs) == 0 && !f.passes(video) {
			r.gop, r.gopBytes = nil, 0 // nobody went on with it
		}
		for _, u := range r.gop {
			s.push(u)
		}
		r.subs[s] = struct{}{}
		r.needKey = true
	}
	if r := f.renditions[audio]; r != nil {
		r.subs[s] = struct{}{}
	}
	f.mu.Unlock()
	f.opt.OnChange()
	return s
}

// unsubscribe removes the viewer.
func (f *Feed) unsubscribe(s *subscription) {
	f.mu.Lock()
	for _, c := range []Codec{s.video, s.audio} {
		if r := f.renditions[c]; r != nil {
			delete(r.subs, s)
		}
	}
	f.mu.Unlock()
	f.opt.OnChange()
}

// Viewers returns how many viewers there are.
func (f *Feed) Viewers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[*subscription]struct{}{}
	for _, r := range f.renditions {
		for s := range r.subs {
			all[s] = struct{}{}
		}
	}
	return len(all)
}

// Close ends the feed. Viewers get nothing more.
func (f *Feed) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.signal()
	<-f.done
}

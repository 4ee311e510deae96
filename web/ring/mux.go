package ring

import (
	"fmt"
	"time"

	"github.com/seehear/seehear/ingest"
)

// lead is where the source's zero lies on the MP4 timeline (Note [Timeline]).
const lead = time.Second

// Bounds of a segment.
const (
	shortest   = 2 * time.Second // from keyframe to keyframe, if they are closer
	maxPending = 64 << 20        // bytes that wait for a keyframe
	hole       = 5 * time.Second // a longer step in decoding time begins a segment, as does sound that runs on without pictures
	patience   = time.Second     // of a segment that waits for its last sound
)

// track is one stream.
type track struct {
	stream ingest.Stream
	coder  coder // of the next packet; nil if its codec is not kept
	lane         // of the segment in the making
	// Sound whose configuration is another than the lane's waits for the next
	// segment.
	fresh bool
	later []sample
}

func (t *track) setStream(s *ingest.Stream) { t.stream, t.coder = *s, newCoder(s) }

// configure takes the configuration that the coder knows.
func (t *track) configure() {
	s := &t.stream
	t.conf = conf{rate: 90000, width: s.Width, height: s.Height, rotation: s.Rotation}
	if s.Kind == ingest.Audio {
		t.rate = 48000
		if s.Codec == "aac" && s.SampleRate > 0 {
			t.rate = int64(s.SampleRate)
		}
	}
	if t.coder == nil {
		return
	}
	if t.codec = t.coder.codec(); t.codec != nil {
		t.name = t.coder.name()
	}
	if w, h := size(t.codec); w > 0 && h > 0 {
		t.width, t.height = w, h
	}
}

// muxer cuts packets into segments. It is pure: no files, no clock.
type muxer struct {
	emit  func(*segment) error
	video *track // nil if there is none
	audio *track // nil if there is none, or none that can be kept

	seg     uint32
	first   time.Duration // when the segment in the making begins
	pending int           // its bytes
	waiting bool          // for a keyframe
	closing *segment      // the one before, which waits for its last sound
	number  uint32
	dropped uint64 // packets that could not be kept
}

// setStreams begins anew with the first video and the first sound.
func (m *muxer) setStreams(streams []ingest.Stream) error {
	err := m.flush()
	m.video, m.audio = nil, nil
	for i := range streams {
		s := &streams[i]
		switch {
		case s.Kind == ingest.Video && m.video == nil:
			m.video = &track{}
			m.video.setStream(s)
		case s.Kind == ingest.Audio && m.audio == nil:
			m.audio = &track{}
			m.audio.setStream(s)
		}
	}
	return err
}

// push takes the next packet. An error is that of emit, or says what is wrong
// with the packet, which is then left out.
func (m *muxer) push(p *ingest.Packet) error {
	t := m.video
	if t == nil || t.stream.Index != p.Stream {
		t = m.audio
	}
	if t == nil || t.stream.Index != p.Stream {
		return nil
	}
	var err error
	if p.Seg != m.seg {
		err = m.flush()
		m.seg = p.Seg
	}
	changed := p.Changed != nil
	if changed {
		t.setStream(p.Changed)
	}
	if t.coder == nil || m.video != nil && m.video.coder == nil {
		m.dropped++
		if changed {
			if ferr := m.flush(); err == nil {
				err = ferr
			}
			t.configure()
		}
		return err
	}
	if perr := m.add(t, p, changed); err == nil {
		err = perr
	}
	return err
}

// change ends what t had pending of another configuration than that of s: pictures
// at once, sound with the next picture that can begin a segment.
func (m *muxer) change(t *track, s *sample) (err error) {
	if t == m.audio && m.video != nil && len(m.video.samples) > 0 {
		t.fresh, t.later = true, t.later[:0]
		return nil
	}
	if t == m.video && s.key && len(t.samples) > 0 && !m.steps(s) {
		err = m.cut(s)
	} else {
		err = m.flush()
	}
	t.configure()
	return err
}

func (m *muxer) add(t *track, p *ingest.Packet, changed bool) error {
	s := sample{dts: p.DTS, pts: p.PTS, dur: p.Dur, key: p.Key}
	switch {
	case s.pts == ingest.NoTime && s.dts == ingest.NoTime:
		m.dropped++
		return nil
	case s.pts == ingest.NoTime:
		s.pts = s.dts
	case s.dts == ingest.NoTime:
		s.dts = t.decoding(&s)
	}
	video := t == m.video
	if s.dts < -lead || s.pts < -lead || !video && p.Discard {
		return nil // nobody is shown it
	}
	data, inBand, err := t.coder.sample(p.Data, p.Key)
	if err != nil {
		m.dropped++
		err = fmt.Errorf("%s at %v: %w", t.stream.Codec, s.pts, err)
	}
	s.data = data
	if changed || inBand {
		if cerr := m.change(t, &s); err == nil {
			err = cerr
		}
	} else if t.codec == nil && !t.fresh {
		t.configure()
	}
	switch {
	case m.closing != nil && (!video && (t.fresh || s.pts >= m.closing.end) || s.dts > m.closing.end+patience):
		heard := ingest.NoTime
		if !video {
			heard = s.dts
		}
		if ferr := m.finish(heard); err == nil {
			err = ferr
		}
	}
	switch {
	case video && err != nil, t == m.leading() && m.steps(&s), !video && m.alone(&s):
		if ferr := m.flush(); err == nil {
			err = ferr
		}
	}
	if data == nil || video && m.waiting && !s.key {
		return err
	}
	if !video && m.closing != nil {
		m.closing.audio.add(s)
		return err
	}
	if t == m.leading() {
		if cerr := m.cutBefore(&s); err == nil {
			err = cerr
		}
	} else if n := len(t.samples); m.waiting && n > 0 && s.dts-t.samples[0].dts > shortest {
		// Of the sound in front of the first picture, so much is kept.
		m.pending -= len(t.samples[0].data)
		t.samples = append(t.samples[:0], t.samples[1:]...)
	}
	if t.fresh {
		t.later = add(t.later, s)
	} else {
		t.add(s)
	}
	if m.pending += len(data); m.pending > maxPending {
		m.take(nil)
		m.waiting = true
		m.dropped++
		return fmt.Errorf("%s at %v: no keyframe within %d bytes", t.stream.Codec, s.pts, maxPending)
	}
	return err
}

// steps reports whether decoding jumps in front of s, by more than the duration of
// a sample can bridge.
func (m *muxer) steps(s *sample) bool {
	t := m.leading()
	if len(t.samples) == 0 {
		return false
	}
	last := &t.samples[len(t.samples)-1]
	return s.dts < last.dts-time.Second || s.dts > last.dts+hole
}

// alone reports whether the sound s comes without pictures.
func (m *muxer) alone(s *sample) bool {
	if m.video == nil || len(m.video.samples) == 0 {
		return false
	}
	return s.dts > m.video.samples[len(m.video.samples)-1].dts+2*hole
}

// cutBefore begins a segment with s, of the leading stream, if it is time.
func (m *muxer) cutBefore(s *sample) (err error) {
	t := m.leading()
	switch {
	case len(t.samples) == 0:
	case t == m.video && !s.key:
		return nil
	case s.pts-m.first < shortest && (m.audio == nil || !m.audio.fresh):
		return nil
	default:
		err = m.cut(s)
	}
	m.first, m.waiting = s.pts, false
	return err
}

func (m *muxer) leading() *track {
	if m.video != nil {
		return m.video
	}
	return m.audio
}

// flush ends the segment without knowing what follows; pictures go on with the
// next keyframe.
func (m *muxer) flush() error {
	m.waiting = true
	err := m.finish(ingest.NoTime)
	if m.leading() == nil {
		return err
	}
	if seg := m.take(nil); len(seg.leading().samples) > 0 {
		m.closing = seg
		if ferr := m.finish(ingest.NoTime); err == nil {
			err = ferr
		}
	}
	return err
}

// cut ends the segment in front of next, of the leading stream. It is finished
// once its last sound is there.
func (m *muxer) cut(next *sample) error {
	err := m.finish(ingest.NoTime)
	m.closing = m.take(next)
	heard := ingest.NoTime
	switch a := m.audio; {
	case len(m.closing.audio.samples) == 0 || m.video == nil:
	case len(a.samples) > 0:
		heard = a.samples[0].dts
	default:
		return err
	}
	if ferr := m.finish(heard); err == nil {
		err = ferr
	}
	return err
}

// take takes the segment in the making up to next, out of the tracks; nil if it is
// not known what follows. Sound that is presented later stays.
func (m *muxer) take(next *sample) *segment {
	seg := &segment{seg: m.seg, first: m.first, pictures: m.video != nil, next: ingest.NoTime}
	if v := m.video; v != nil {
		seg.video, v.samples = v.lane, nil
	}
	a := m.audio
	if a != nil {
		seg.audio, a.samples = a.lane, nil
	}
	if next != nil {
		seg.end, seg.next = next.pts, next.dts
		if l := seg.audio.samples; m.video != nil && len(l) > 0 {
			n := len(l)
			for n > 0 && l[n-1].pts >= seg.end {
				n--
			}
			seg.audio.samples = l[:n:n]
			a.samples = append(a.samples, l[n:]...)
		}
	} else {
		seg.end = seg.leading().end()
	}
	m.pending = 0
	if a == nil {
		return seg
	}
	if a.fresh { // what is left of the old configuration has no place
		a.samples, a.later, a.fresh = a.later, nil, false
		a.configure()
	}
	for i := range a.samples {
		m.pending += len(a.samples[i].data)
	}
	return seg
}

// finish emits the segment that is closing. heard is the decoding time of the
// sound behind it, if that is known.
func (m *muxer) finish(heard time.Duration) error {
	seg := m.closing
	if seg == nil {
		return nil
	}
	m.closing = nil
	m.number++
	seg.number, seg.heard = m.number, heard
	if seg.leading().codec == nil {
		m.dropped += uint64(len(seg.leading().samples)) // no configuration has come
		return nil
	}
	return m.emit(seg)
}

// decoding guesses when s, which does not say so, is decoded: one frame behind the
// last, or as many frames in front of its presentation as are reordered. A
// container leaves out the first times of a stream with B frames.
func (t *track) decoding(s *sample) time.Duration {
	if n := len(t.samples); n > 0 {
		return min(s.pts, t.samples[n-1].dts+t.nominal(n-1))
	}
	return max(s.pts-time.Duration(t.stream.Reorder)*s.dur, min(s.pts, -lead))
}

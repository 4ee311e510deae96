package ring

import (
	"fmt"
	"strings"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/seehear/seehear/ingest"
)

// lead is where the source's zero lies on the MP4 timeline (Note [Timeline]).
const lead = time.Second

// Bounds of a segment.
const (
	shortest   = 2 * time.Second // from keyframe to keyframe, if they are closer
	maxPending = 64 << 20        // bytes that wait for a keyframe
	hole       = 5 * time.Second // a longer step in decoding time begins a segment, as does sound that runs on without pictures
)

// piece is one segment to be written, with the init segment that it needs.
type piece struct {
	init          []byte
	codecs        string
	width, height int
	rotation      int
	data          []byte
	at, dur       time.Duration
	seg           uint32
}

// sample is one packet, converted.
type sample struct {
	dts, pts, dur time.Duration
	key           bool
	data          []byte
}

// track is one stream.
type track struct {
	stream  ingest.Stream
	coder   coder // of the next packet; nil if its codec is not kept
	conf    conf  // of samples
	samples []sample
	// Sound whose configuration is another than conf waits for the next segment.
	fresh bool
	later []sample
}

// conf is what an init segment says of a track.
type conf struct {
	codec                   codecs.Codec // nil if it is not known
	name                    string
	rate                    int64 // ticks a second
	width, height, rotation int
}

func (t *track) setStream(s *ingest.Stream) { t.stream, t.coder = *s, newCoder(s) }

// configure takes the configuration that the coder knows.
func (t *track) configure() {
	s := &t.stream
	t.conf = conf{rate: 90000, width: s.Width, height: s.Height, rotation: s.Rotation}
	if s.Kind == ingest.Audio {
		t.conf.rate = 48000
		if s.Codec == "aac" && s.SampleRate > 0 {
			t.conf.rate = int64(s.SampleRate)
		}
	}
	if t.coder == nil {
		return
	}
	if t.conf.codec = t.coder.codec(); t.conf.codec != nil {
		t.conf.name = t.coder.name()
	}
	if w, h := size(t.conf.codec); w > 0 && h > 0 {
		t.conf.width, t.conf.height = w, h
	}
}

// muxer cuts packets into segments. It is pure: no files, no clock.
type muxer struct {
	emit  func(*piece) error
	video *track // nil if there is none
	audio *track // nil if there is none, or none that can be kept

	seg     uint32
	pending int // bytes
	waiting bool
	number  uint32
	dropped uint64 // packets that could not be kept
	first   time.Duration
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
			if cerr := m.change(t); err == nil {
				err = cerr
			}
		}
		return err
	}
	if perr := m.add(t, p, changed); err == nil {
		err = perr
	}
	return err
}

// change ends what t had pending of another configuration: pictures at once, sound
// with the next picture that can begin a segment.
func (m *muxer) change(t *track) error {
	if t == m.audio && m.video != nil && len(m.video.samples) > 0 {
		if t.fresh {
			t.later = t.later[:0] // changed twice within a segment
		}
		t.fresh = true
		return nil
	}
	err := m.flush()
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
		if cerr := m.change(t); err == nil {
			err = cerr
		}
	} else if t.conf.codec == nil && !t.fresh {
		t.configure()
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
	if t == m.leading() {
		if cerr := m.cutBefore(&s); err == nil {
			err = cerr
		}
	} else if n := len(t.samples); m.waiting && n > 0 && s.dts-t.samples[0].dts > shortest {
		// Of the sound in front of the first picture, so much is kept.
		m.pending -= len(t.samples[0].data)
		t.samples = append(t.samples[:0], t.samples[1:]...)
	}
	list := &t.samples
	if t.fresh {
		list = &t.later
	}
	if n := len(*list); n > 0 && s.dts <= (*list)[n-1].dts {
		s.dts = (*list)[n-1].dts + 50*time.Microsecond // decoding goes on
	}
	*list = append(*list, s)
	if m.pending += len(data); m.pending > maxPending {
		m.clear()
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
	if m.leading() == nil || len(m.leading().samples) == 0 {
		m.clear()
		return nil
	}
	return m.cut(nil)
}

func (m *muxer) clear() {
	for _, t := range []*track{m.video, m.audio} {
		if t != nil {
			clear(t.samples)
			t.samples = t.samples[:0]
		}
	}
	m.pending = 0
	if a := m.audio; a != nil && a.fresh {
		a.samples, a.later, a.fresh = a.later, a.samples, false
		a.configure()
		for i := range a.samples {
			m.pending += len(a.samples[i].data)
		}
	}
}

// cut emits what is pending, up to next, the sample of the leading stream with
// which the following segment begins; nil if that is not known. Sound that is
// presented from then on stays.
func (m *muxer) cut(next *sample) error {
	lead := m.leading()
	end := lead.samples[0].pts
	for i := range lead.samples {
		s := &lead.samples[i]
		end = max(end, s.pts+nominal(lead, i))
	}
	nextDTS := ingest.NoTime
	if next != nil {
		end, nextDTS = next.pts, next.dts
	}
	m.number++
	part := fmp4.Part{SequenceNumber: m.number}
	var rest []sample
	if a := m.audio; a != nil && a != lead {
		n := len(a.samples)
		if next != nil {
			for n > 0 && a.samples[n-1].pts >= end {
				n--
			}
		}
		rest = append(rest, a.samples[n:]...)
		a.samples = a.samples[:n]
	}
	init, names := fmp4.Init{}, []string{}
	out := &piece{at: m.first, dur: max(end-m.first, 0), seg: m.seg}
	for i, t := range []*track{m.video, m.audio} {
		if t == nil || t.conf.codec == nil {
			continue
		}
		init.Tracks = append(init.Tracks, &fmp4.InitTrack{ID: i + 1, TimeScale: uint32(t.conf.rate), Codec: t.conf.codec})
		names = append(names, t.conf.name)
		if t == m.video {
			out.width, out.height, out.rotation = t.conf.width, t.conf.height, t.conf.rotation
		}
		following := ingest.NoTime
		if t == lead {
			following = nextDTS
		} else if len(rest) > 0 {
			following = rest[0].dts
		}
		if pt := t.part(i+1, following); pt != nil {
			part.Tracks = append(part.Tracks, pt)
		}
	}
	usable := len(init.Tracks) > 0 && (m.video == nil || init.Tracks[0].Codec.IsVideo())
	var buf, head seekablebuffer.Buffer
	err := init.Marshal(&head)
	if err == nil && usable {
		err = part.Marshal(&buf)
	}
	changed := m.audio != nil && m.audio.fresh
	m.clear()
	if !changed { // what was left of the old configuration has no place
		for _, s := range rest {
			m.audio.samples = append(m.audio.samples, s)
			m.pending += len(s.data)
		}
	}
	if err != nil {
		m.dropped++
		return fmt.Errorf("mp4 at %v: %w", out.at, err)
	}
	if !usable {
		m.dropped++
		return nil // the configuration has not come yet
	}
	out.init, out.data, out.codecs = head.Bytes(), buf.Bytes(), strings.Join(names, ",")
	return m.emit(out)
}

// decoding guesses when s, which does not say so, is decoded: one frame behind the
// last, or as many frames in front of its presentation as are reordered. A
// container leaves out the first times of a stream with B frames.
func (t *track) decoding(s *sample) time.Duration {
	if n := len(t.samples); n > 0 {
		return min(s.pts, t.samples[n-1].dts+nominal(t, n-1))
	}
	return max(s.pts-time.Duration(t.stream.Reorder)*s.dur, min(s.pts, -lead))
}

// nominal is how long sample i is shown, as far as is known without the next.
func nominal(t *track, i int) time.Duration {
	if d := t.samples[i].dur; d > 0 {
		return d
	}
	if i > 0 {
		return t.samples[i].dts - t.samples[i-1].dts
	}
	return 0
}

// part makes the samples of a track, nil for none. next is the decoding time of
// the sample behind them.
func (t *track) part(id int, next time.Duration) *fmp4.PartTrack {
	if len(t.samples) == 0 {
		return nil
	}
	at := func(d time.Duration) int64 { return ticks(d+lead, t.conf.rate) }
	pt := &fmp4.PartTrack{ID: id, BaseTime: uint64(at(t.samples[0].dts)), Samples: make([]*fmp4.Sample, len(t.samples))}
	for i := range t.samples {
		s := &t.samples[i]
		end := s.dts + nominal(t, i)
		if i+1 < len(t.samples) {
			end = t.samples[i+1].dts
		} else if next != ingest.NoTime && next > s.dts {
			end = next
		}
		pt.Samples[i] = &fmp4.Sample{
			Duration:        uint32(max(at(end)-at(s.dts), 0)),
			PTSOffset:       int32(at(s.pts) - at(s.dts)),
			IsNonSyncSample: !s.key && t.stream.Kind == ingest.Video,
			Payload:         s.data,
		}
	}
	return pt
}

// ticks is floor(d * rate) for d in seconds, which is not negative.
func ticks(d time.Duration, rate int64) int64 {
	whole, rest := int64(d/time.Second), int64(d%time.Second)
	return whole*rate + rest*rate/int64(time.Second)
}

package rtc

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp8"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp9"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	codecvp9 "github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
)

// media is one access unit, frame or packet of a publisher.
type media struct {
	ts     uint32
	key    bool
	dur    time.Duration
	data   []byte         // nil if more packets are needed
	stream *ingest.Stream // when it is new
}

// depacketizer joins the packets of one track, which come in order.
type depacketizer interface{ unit(*rtp.Packet) media }

func newDepacketizer(c Codec, index int) depacketizer {
	s := ingest.Stream{Index: index, Codec: string(c), Kind: c.Kind(), Format: -1, Profile: -99, Level: -99, Default: true}
	s.Timebase = ingest.Timebase{Num: 1, Den: int32(c.rate())}
	switch c {
	case H264:
		d := &h264In{stream: s}
		_ = d.dec.Init() // modes 0 and 1 are known
		return d
	case VP8:
		d := &vp8In{stream: s}
		_ = d.dec.Init()
		return d
	case vp9:
		d := &vp9In{stream: s}
		_ = d.dec.Init()
		return d
	}
	s.SampleRate, s.Channels, s.ChannelMask = AudioRate, 2, 3
	return &opusIn{stream: s}
}

type h264In struct {
	dec      rtph264.Decoder
	stream   ingest.Stream
	sps, pps []byte
}

func (d *h264In) unit(p *rtp.Packet) (m media) {
	au, err := d.dec.Decode(p)
	if err != nil || len(au) == 0 {
		return m // incomplete, or damaged: the decoder has counted what is lost
	}
	m.ts = p.Timestamp
	changed := false
	for _, n := range au {
		if len(n) == 0 {
			continue
		}
		switch n[0] & 0x1f {
		case nalSPS:
			changed = changed || !bytes.Equal(d.sps, n)
			d.sps = n
		case nalPPS:
			changed = changed || !bytes.Equal(d.pps, n)
			d.pps = n
		case nalIDR:
			m.key = true
		}
		m.data = append(append(m.data, 0, 0, 0, 1), n...)
	}
	if changed && d.sps != nil && d.pps != nil {
		var sps h264.SPS
		if sps.Unmarshal(d.sps) == nil {
			s := d.stream
			s.Width, s.Height = sps.Width(), sps.Height()
			s.Profile, s.Level = int(sps.ProfileIdc), int(sps.LevelIdc)
			s.Extra = append(append(append([]byte{0, 0, 0, 1}, d.sps...), 0, 0, 0, 1), d.pps...)
			m.stream = &s
		}
	}
	return m
}

type vp8In struct {
	dec    rtpvp8.Decoder
	stream ingest.Stream
}

func (d *vp8In) unit(p *rtp.Packet) (m media) {
	frame, err := d.dec.Decode(p)
	if err != nil {
		return m
	}
	m = media{ts: p.Timestamp, key: vp8Key(frame), data: frame}
	// RFC 6386, 9.1: a keyframe has a start code and its size.
	if m.key && len(frame) >= 10 && bytes.Equal(frame[3:6], []byte{0x9d, 0x01, 0x2a}) {
		w, h := int(binary.LittleEndian.Uint16(frame[6:])&0x3fff), int(binary.LittleEndian.Uint16(frame[8:])&0x3fff)
		m.stream = resized(&d.stream, w, h)
	}
	return m
}

type vp9In struct {
	dec    rtpvp9.Decoder
	stream ingest.Stream
}

func (d *vp9In) unit(p *rtp.Packet) (m media) {
	frame, err := d.dec.Decode(p)
	if err != nil {
		return m
	}
	m = media{ts: p.Timestamp, data: frame}
	var h codecvp9.Header
	if h.Unmarshal(frame) == nil && !h.NonKeyFrame {
		m.key = true
		m.stream = resized(&d.stream, h.Width(), h.Height())
	}
	return m
}

// resized returns the stream if its size is new, nil if not.
func resized(s *ingest.Stream, w, h int) *ingest.Stream {
	if s.Width == w && s.Height == h {
		return nil
	}
	s.Width, s.Height = w, h
	c := *s
	return &c
}

type opusIn struct {
	stream ingest.Stream
	told   bool
}

func (d *opusIn) unit(p *rtp.Packet) media {
	m := media{ts: p.Timestamp, key: true, data: p.Payload, dur: ingest.SampleTime(opus.PacketDuration2(p.Payload), AudioRate)}
	if !d.told {
		d.told = true
		s := d.stream
		m.stream = &s
	}
	return m
}

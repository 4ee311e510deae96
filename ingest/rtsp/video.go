package rtsp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
)

// video makes t a track of f, if f is video that we can take apart.
func (t *track) video(f format.Format) (bool, error) {
	t.stream.Kind = ingest.Video
	switch f := f.(type) {
	case *format.H264:
		return true, t.h264(f)
	case *format.H265:
		return true, t.h265(f)
	case *format.VP8:
		dec, err := f.CreateDecoder()
		t.stream.Codec = "vp8"
		t.whole(func(p *rtp.Packet) ([]byte, error) { return dec.Decode(p) }, vp8Key)
		return true, err
	case *format.VP9:
		dec, err := f.CreateDecoder()
		t.stream.Codec = "vp9"
		t.whole(func(p *rtp.Packet) ([]byte, error) { return dec.Decode(p) }, vp9Key)
		return true, err
	case *format.MJPEG:
		dec, err := f.CreateDecoder()
		t.stream.Codec = "mjpeg"
		t.whole(func(p *rtp.Packet) ([]byte, error) { return dec.Decode(p) }, func(b []byte) (int, int, bool) {
			w, h := jpegSize(b)
			return w, h, w > 0
		})
		return true, err
	case *format.AV1:
		return true, t.av1(f)
	case *format.MPEG4Video:
		return true, t.mpeg4(f)
	}
	return false, nil
}

// whole is a codec whose packets hold one frame each, and whose key frames say the
// size of the picture.
func (t *track) whole(decode func(*rtp.Packet) ([]byte, error), key func([]byte) (w, h int, ok bool)) {
	t.unpack = func(p *rtp.Packet) ([]unit, error) {
		b, err := decode(p)
		if err != nil {
			return nil, err
		}
		u := unit{data: bytes.Clone(b)}
		var w, h int
		if w, h, u.key = key(b); u.key && w > 0 {
			u.changed = t.describe(func(s *ingest.Stream) { s.Width, s.Height = w, h })
		}
		u.start = u.key
		return []unit{u}, nil
	}
}

// vp8Key parses the frame header of RFC 6386, section 9.1.
func vp8Key(b []byte) (w, h int, key bool) {
	if len(b) < 10 || b[0]&1 != 0 || b[3] != 0x9d || b[4] != 0x01 || b[5] != 0x2a {
		return 0, 0, false
	}
	return int(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(b[8:]) & 0x3fff), true
}

func vp9Key(b []byte) (w, h int, key bool) {
	var head vp9.Header
	if head.Unmarshal(b) != nil || head.ShowExistingFrame || head.NonKeyFrame {
		return 0, 0, false
	}
	return head.Width(), head.Height(), true
}

func (t *track) av1(f *format.AV1) error {
	dec, err := f.CreateDecoder()
	if err != nil {
		return err
	}
	t.stream.Codec = "av1"
	t.unpack = func(p *rtp.Packet) ([]unit, error) {
		obus, err := dec.Decode(p)
		if err != nil {
			return nil, err
		}
		data, err := av1.Bitstream(obus).Marshal()
		if err != nil {
			return nil, err
		}
		u := unit{data: data}
		for _, o := range obus {
			var seq av1.SequenceHeader
			if len(o) > 0 && av1.OBUType(o[0]>>3&0xf) == av1.OBUTypeSequenceHeader && seq.Unmarshal(o) == nil {
				u.key = true
				u.changed = t.describe(func(s *ingest.Stream) { s.Width, s.Height = seq.Width(), seq.Height() })
			}
		}
		u.start = u.key
		return []unit{u}, nil
	}
	return nil
}

func (t *track) mpeg4(f *format.MPEG4Video) error {
	dec, err := f.CreateDecoder()
	if err != nil {
		return err
	}
	t.stream.Codec = "mpeg4"
	t.reorders = true
	config := f.SafeParams()
	if w, h, ok := volSize(config); ok {
		t.stream.Extra, t.stream.Width, t.stream.Height = config, w, h
		t.ready = true
	}
	t.unpack = func(p *rtp.Packet) ([]unit, error) {
		b, err := dec.Decode(p)
		if err != nil {
			return nil, err
		}
		u := unit{data: bytes.Clone(b), early: -1}
		head, key := splitVOP(u.data)
		u.key, u.start = key, key
		if w, h, ok := volSize(head); ok {
			u.changed = t.describe(func(s *ingest.Stream) { s.Extra, s.Width, s.Height = head, w, h })
		}
		return []unit{u}, nil
	}
	return nil
}

// annexB joins NAL units, each behind a start code.
func annexB(nalus ...[]byte) []byte {
	n := 0
	for _, u := range nalus {
		n += 4 + len(u)
	}
	b := make([]byte, 0, n)
	for _, u := range nalus {
		b = append(append(b, 0, 0, 0, 1), u...)
	}
	return b
}

// dtsExtractor is of mediacommon.
type dtsExtractor interface {
	Extract(au [][]byte, pts int64) (int64, error)
}

// nalTrack is what H.264 and H.265 have in common.
type nalTrack struct {
	*track
	// decode returns the unit that a packet completes, and its tick.
	decode func(*rtp.Packet) (au [][]byte, tick uint32, err error)
	// keep notes the parameter sets of a unit, and reports what it holds.
	keep func(nalu []byte) (picture, start bool)
	key  func(au [][]byte) bool
	// parse returns the parameters, false while there are none that can be used.
	parse   func() (func(*ingest.Stream), bool)
	restart func() dtsExtractor

	dts     dtsExtractor
	last    uint32 // tick of the packet before
	ticks   int64  // the same, unwrapped
	waiting [][]byte
}

func (n *nalTrack) unpack(p *rtp.Packet) ([]unit, error) {
	n.ticks += int64(int32(p.Timestamp - n.last))
	n.last = p.Timestamp
	au, tick, err := n.decode(p)
	if err != nil {
		return nil, err
	}
	u := unit{ticks: int64(int32(tick - p.Timestamp))}
	picture := false
	for _, nalu := range au {
		if len(nalu) == 0 {
			continue
		}
		isPicture, start := n.keep(nalu)
		picture = picture || isPicture
		u.start = u.start || start
	}
	// Parameter sets that come on their own belong to the picture after them.
	if au = append(n.waiting, au...); !picture {
		n.waiting = au
		if len(au) > h264.MaxNALUsPerAccessUnit {
			n.waiting = nil
		}
		return nil, errMore
	}
	n.waiting = nil
	u.key = n.key(au)
	u.start = u.start || u.key
	u.data = annexB(au...)
	if u.key || !n.ready {
		if set, ok := n.parse(); ok {
			u.changed = n.describe(set)
		}
	}
	u.early = n.order(au, n.ticks+u.ticks)
	return []unit{u}, nil
}

// order returns how long before its presentation a unit is decoded, negative if
// that can't be told.
func (n *nalTrack) order(au [][]byte, pts int64) int64 {
	if n.dts == nil {
		if !n.key(au) {
			return -1
		}
		n.dts = n.restart()
	}
	dts, err := n.dts.Extract(au, pts)
	if err != nil || dts > pts {
		n.dts = nil
		return -1
	}
	return pts - dts
}

func (t *track) h264(f *format.H264) error {
	dec, err := f.CreateDecoder()
	t.stream.Codec = "h264"
	t.reorders = true
	sps, pps := f.SafeParams()
	n := &nalTrack{track: t, decode: h264Units(dec)}
	n.keep = func(nalu []byte) (picture, start bool) {
		switch typ := h264.NALUType(nalu[0] & 0x1f); typ {
		case h264.NALUTypeSPS:
			sps = bytes.Clone(nalu)
		case h264.NALUTypePPS:
			pps = bytes.Clone(nalu)
		case h264.NALUTypeSEI:
			return false, len(nalu) > 1 && nalu[1] == 6 // a recovery point, with intra refresh
		default:
			return typ >= h264.NALUTypeNonIDR && typ <= h264.NALUTypeIDR, false
		}
		return false, false
	}
	n.key = h264.IsRandomAccess
	n.parse = func() (func(*ingest.Stream), bool) {
		var p h264.SPS
		if pps == nil || p.Unmarshal(sps) != nil || p.Width() <= 0 || p.Height() <= 0 {
			return nil, false
		}
		return func(s *ingest.Stream) {
			// A new PPS alone travels in the stream and makes no new decoder.
			if !bytes.HasPrefix(s.Extra, annexB(sps, nil)) {
				s.Extra = annexB(sps, pps)
			}
			s.Width, s.Height = p.Width(), p.Height()
			s.Profile, s.Level = int(p.ProfileIdc), int(p.LevelIdc)
		}, true
	}
	n.restart = func() dtsExtractor {
		d := &h264Order{sps: sps}
		d.Initialize()
		return d
	}
	n.finish()
	return err
}

// h264Units tells which tick the units of dec belong to. Some senders never mark the
// last packet of a unit, so the decoder also ends one where the tick changes: it
// returns the unit that it held, and holds the new one.
func h264Units(dec *rtph264.Decoder) func(*rtp.Packet) ([][]byte, uint32, error) {
	holds := false // some NAL units of a unit
	var held uint32
	return func(p *rtp.Packet) ([][]byte, uint32, error) {
		au, err := dec.Decode(p)
		tick := p.Timestamp
		switch {
		case err == nil && holds && held != tick:
			tick, held = held, tick
		case err == nil:
			holds = false
		case errors.Is(err, rtph264.ErrMorePacketsNeeded):
			// A fragment is held elsewhere until its last one.
			if h264.NALUType(p.Payload[0]&0x1f) != h264.NALUTypeFUA || p.Payload[1]&0x40 != 0 {
				holds, held = true, tick
			}
		case strings.HasPrefix(err.Error(), "NALU count"), strings.HasPrefix(err.Error(), "access unit size"):
			holds = false // it threw away what it held
		}
		return au, tick, err
	}
}

// finish takes the parameters of the SDP, if it has any.
func (n *nalTrack) finish() {
	if set, ok := n.parse(); ok {
		set(&n.stream)
		n.ready = true
	}
	n.track.unpack = n.unpack
}

func (t *track) h265(f *format.H265) error {
	dec, err := f.CreateDecoder()
	if err != nil {
		return err
	}
	t.stream.Codec = "hevc"
	t.reorders = true
	vps, sps, pps := f.SafeParams()
	n := &nalTrack{track: t, decode: func(p *rtp.Packet) ([][]byte, uint32, error) {
		au, err := dec.Decode(p)
		return au, p.Timestamp, err
	}}
	n.keep = func(nalu []byte) (picture, start bool) {
		switch typ := h265.NALUType(nalu[0] >> 1 & 0x3f); typ {
		case h265.NALUType_VPS_NUT:
			vps = bytes.Clone(nalu)
		case h265.NALUType_SPS_NUT:
			sps = bytes.Clone(nalu)
		case h265.NALUType_PPS_NUT:
			pps = bytes.Clone(nalu)
		default:
			return typ < h265.NALUType_VPS_NUT, false
		}
		return false, false
	}
	n.key = h265.IsRandomAccess
	n.parse = func() (func(*ingest.Stream), bool) {
		var p h265.SPS
		if vps == nil || pps == nil || p.Unmarshal(sps) != nil || p.Width() <= 0 || p.Height() <= 0 {
			return nil, false
		}
		return func(s *ingest.Stream) {
			if !bytes.HasPrefix(s.Extra, annexB(vps, sps, nil)) {
				s.Extra = annexB(vps, sps, pps)
			}
			s.Width, s.Height = p.Width(), p.Height()
		}, true
	}
	n.restart = func() dtsExtractor {
		d := &h265Order{sets: [][]byte{vps, sps, pps}}
		d.Initialize()
		return d
	}
	n.finish()
	return nil
}

// h264Order gives the extractor the parameter set of the SDP where the stream does
// not repeat it.
type h264Order struct {
	h264.DTSExtractor
	sps []byte
}

func (o *h264Order) Extract(au [][]byte, pts int64) (int64, error) {
	if o.sps != nil {
		au = append([][]byte{o.sps}, au...)
		o.sps = nil
	}
	return o.DTSExtractor.Extract(au, pts)
}

type h265Order struct {
	h265.DTSExtractor
	sets [][]byte
}

func (o *h265Order) Extract(au [][]byte, pts int64) (int64, error) {
	if o.sets != nil {
		au = append(o.sets, au...)
		o.sets = nil
	}
	return o.DTSExtractor.Extract(au, pts)
}

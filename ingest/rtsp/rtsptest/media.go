package rtsptest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
)

// Media is what a server plays, over and over: at most one picture and one sound.
type Media struct {
	Streams []ingest.Stream
	// Packets in the order in which they are due, with stamps from zero on.
	Packets []ingest.Packet
	// Length is after what time it begins anew: a whole number of packets of sound,
	// as of a camera that never stopped.
	Length time.Duration
}

// Load reads a file, such as a clip of ingest/mediatest.
func Load(tb testing.TB, path string) *Media {
	tb.Helper()
	src, err := av.Open(tb.Context(), path, av.DefaultOptions())
	if err != nil {
		tb.Fatal(err)
	}
	defer src.Close()
	m := &Media{Streams: src.Streams()}
	var start, end time.Duration
	var sound struct{ first, last, dur time.Duration }
	for {
		p, err := src.Read(tb.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
		m.Packets = append(m.Packets, p)
		start, end = min(start, p.PTS), max(end, p.PTS+p.Dur)
		if slices.ContainsFunc(m.Streams, func(s ingest.Stream) bool { return s.Index == p.Stream && s.Kind == ingest.Audio }) {
			if sound.dur == 0 {
				sound.first, sound.dur = p.PTS, p.Dur
			}
			sound.last = p.PTS
		}
	}
	m.Length = end - start
	if sound.dur > 0 {
		length := sound.last + sound.dur - sound.first
		for length < m.Length {
			length += sound.dur
		}
		m.Length = length
	}
	slices.SortStableFunc(m.Packets, func(a, b ingest.Packet) int { return cmp.Compare(due(&a), due(&b)) })
	return m
}

// due is when a packet is sent: when it is to be decoded.
func due(p *ingest.Packet) time.Duration {
	if p.DTS != ingest.NoTime {
		return p.DTS
	}
	return p.PTS
}

// Only returns the media without the streams of other kinds.
func (m *Media) Only(kind ingest.Kind) *Media {
	out := &Media{Length: m.Length}
	for _, s := range m.Streams {
		if s.Kind != kind {
			continue
		}
		out.Streams = append(out.Streams, s)
		for _, p := range m.Packets {
			if p.Stream == s.Index {
				out.Packets = append(out.Packets, p)
			}
		}
	}
	return out
}

// Sender makes RTP of a stream.
type Sender struct {
	Format format.Format
	Rate   int // ticks per second
	// Encode makes the packets of an access unit, whose timestamps count from
	// that of the unit.
	Encode func(p *ingest.Packet) ([]*rtp.Packet, error)
}

// NewSender returns the sender of a stream. inBand leaves the parameter sets of
// H.264 and H.265 out of the SDP and puts them in front of each key frame.
func NewSender(s ingest.Stream, payload uint8, inBand bool) (*Sender, error) {
	switch s.Codec {
	case "h264":
		return h264Sender(s, payload, inBand)
	case "hevc":
		f := &format.H265{PayloadTyp: payload}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 90000, func(p *ingest.Packet) ([]*rtp.Packet, error) {
			var au h264.AnnexB // H.265 has the same form
			if err := au.Unmarshal(p.Data); err != nil {
				return nil, err
			}
			return enc.Encode(au)
		}}, nil
	case "vp8":
		f := &format.VP8{PayloadTyp: payload}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 90000, func(p *ingest.Packet) ([]*rtp.Packet, error) { return enc.Encode(p.Data) }}, nil
	case "vp9":
		f := &format.VP9{PayloadTyp: payload}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 90000, func(p *ingest.Packet) ([]*rtp.Packet, error) { return enc.Encode(p.Data) }}, nil
	case "av1":
		f := &format.AV1{PayloadTyp: payload}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 90000, func(p *ingest.Packet) ([]*rtp.Packet, error) {
			var obus av1.Bitstream
			if err := obus.Unmarshal(p.Data); err != nil {
				return nil, err
			}
			// What only separates units stays behind.
			obus = slices.DeleteFunc(obus, func(o []byte) bool { return av1.OBUType(o[0]>>3&0xf) == av1.OBUTypeTemporalDelimiter })
			return enc.Encode(obus)
		}}, nil
	case "mjpeg":
		f := &format.MJPEG{}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 90000, func(p *ingest.Packet) ([]*rtp.Packet, error) { return enc.Encode(p.Data) }}, nil
	case "mpeg4":
		f := &format.MPEG4Video{PayloadTyp: payload, ProfileLevelID: 1, Config: s.Extra}
		if inBand {
			f.Config = nil
		}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 90000, func(p *ingest.Packet) ([]*rtp.Packet, error) { return enc.Encode(p.Data) }}, nil
	case "aac":
		return aacSender(s, payload)
	case "aac_latm":
		return latmSender(s, payload)
	case "opus":
		f := &format.Opus{PayloadTyp: payload, ChannelCount: s.Channels}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 48000, func(p *ingest.Packet) ([]*rtp.Packet, error) {
			r, err := enc.Encode(p.Data)
			return []*rtp.Packet{r}, err
		}}, nil
	case "pcm_s16le", "pcm_s24le", "pcm_u8":
		return pcmSender(s, payload)
	case "pcm_mulaw", "pcm_alaw":
		f := &format.G711{PayloadTyp: payload, MULaw: s.Codec == "pcm_mulaw", SampleRate: s.SampleRate, ChannelCount: s.Channels}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, s.SampleRate, func(p *ingest.Packet) ([]*rtp.Packet, error) { return enc.Encode(p.Data) }}, nil
	case "adpcm_g722":
		f := &format.G722{}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 8000, func(p *ingest.Packet) ([]*rtp.Packet, error) {
			r, err := enc.Encode(p.Data)
			return []*rtp.Packet{r}, err
		}}, nil
	case "mp2", "mp3":
		f := &format.MPEG1Audio{}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, 90000, func(p *ingest.Packet) ([]*rtp.Packet, error) { return enc.Encode([][]byte{p.Data}) }}, nil
	case "ac3":
		f := &format.AC3{PayloadTyp: payload, SampleRate: s.SampleRate, ChannelCount: s.Channels}
		enc, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return &Sender{f, s.SampleRate, func(p *ingest.Packet) ([]*rtp.Packet, error) { return enc.Encode([][]byte{p.Data}) }}, nil
	}
	return nil, fmt.Errorf("rtsptest: %s can't be sent", s.Codec)
}

func h264Sender(s ingest.Stream, payload uint8, inBand bool) (*Sender, error) {
	var sets [][]byte
	avcc := len(s.Extra) > 6 && s.Extra[0] == 1
	if avcc {
		sets = avcSets(s.Extra)
	} else {
		var au h264.AnnexB
		if err := au.Unmarshal(s.Extra); err != nil {
			return nil, fmt.Errorf("rtsptest: parameter sets: %w", err)
		}
		sets = au
	}
	f := &format.H264{PayloadTyp: payload, PacketizationMode: 1}
	for _, u := range sets {
		switch h264.NALUType(u[0] & 0x1f) {
		case h264.NALUTypeSPS:
			f.SPS = u
		case h264.NALUTypePPS:
			f.PPS = u
		}
	}
	lead := [][]byte{f.SPS, f.PPS}
	if inBand {
		f.SPS, f.PPS = nil, nil
	}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	return &Sender{f, 90000, func(p *ingest.Packet) ([]*rtp.Packet, error) {
		var au [][]byte
		if avcc {
			var a h264.AVCC
			if err := a.Unmarshal(p.Data); err != nil {
				return nil, err
			}
			au = a
		} else {
			var a h264.AnnexB
			if err := a.Unmarshal(p.Data); err != nil {
				return nil, err
			}
			au = a
		}
		if p.Key && inBand {
			au = append(slices.Clone(lead), au...)
		}
		return enc.Encode(au)
	}}, nil
}

// avcSets returns the parameter sets of an AVCDecoderConfigurationRecord.
func avcSets(b []byte) (sets [][]byte) {
	b = b[5:]
	for _, mask := range []byte{0x1f, 0xff} { // SPS, then PPS
		if len(b) == 0 {
			return sets
		}
		n := int(b[0] & mask)
		b = b[1:]
		for range n {
			if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
				return sets
			}
			end := 2 + int(binary.BigEndian.Uint16(b))
			sets = append(sets, b[2:end])
			b = b[end:]
		}
	}
	return sets
}

func aacSender(s ingest.Stream, payload uint8) (*Sender, error) {
	var c mpeg4audio.AudioSpecificConfig
	adts := len(s.Extra) == 0
	if adts { // MPEG-TS: each frame says it
		c = mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: s.SampleRate, ChannelConfig: uint8(s.Channels)}
	} else if err := c.Unmarshal(s.Extra); err != nil {
		// FFmpeg may have put more behind it.
		if err := c.Unmarshal(s.Extra[:min(2, len(s.Extra))]); err != nil {
			return nil, fmt.Errorf("rtsptest: configuration of AAC: %w", err)
		}
	}
	f := &format.MPEG4Audio{PayloadTyp: payload, ProfileLevelID: 1, Config: &c, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	return &Sender{f, s.SampleRate, func(p *ingest.Packet) ([]*rtp.Packet, error) {
		if !adts {
			return enc.Encode([][]byte{p.Data})
		}
		var list mpeg4audio.ADTSPackets
		if err := list.Unmarshal(p.Data); err != nil {
			return nil, err
		}
		var aus [][]byte
		for _, a := range list {
			aus = append(aus, a.AU)
		}
		return enc.Encode(aus)
	}}, nil
}

// latmSender sends AAC as LATM.
func latmSender(s ingest.Stream, payload uint8) (*Sender, error) {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(s.Extra[:min(2, len(s.Extra))]); err != nil {
		return nil, fmt.Errorf("rtsptest: configuration of AAC: %w", err)
	}
	mux := &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{
		Layers: []*mpeg4audio.StreamMuxConfigLayer{{AudioSpecificConfig: &c, LatmBufferFullness: 255}},
	}}}
	f := &format.MPEG4AudioLATM{PayloadTyp: payload, ProfileLevelID: 1, StreamMuxConfig: mux}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	return &Sender{f, s.SampleRate, func(p *ingest.Packet) ([]*rtp.Packet, error) {
		b, err := mpeg4audio.AudioMuxElement{StreamMuxConfig: mux, Payloads: [][][][]byte{{{p.Data}}}}.Marshal()
		if err != nil {
			return nil, err
		}
		return enc.Encode(b)
	}}, nil
}

// pcmSender turns the bytes of little-endian samples round.
func pcmSender(s ingest.Stream, payload uint8) (*Sender, error) {
	size := map[string]int{"pcm_s16le": 2, "pcm_s24le": 3, "pcm_u8": 1}[s.Codec]
	f := &format.LPCM{PayloadTyp: payload, BitDepth: 8 * size, SampleRate: s.SampleRate, ChannelCount: s.Channels}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	return &Sender{f, s.SampleRate, func(p *ingest.Packet) ([]*rtp.Packet, error) {
		b := slices.Clone(p.Data)
		for i := 0; i+size <= len(b); i += size {
			slices.Reverse(b[i : i+size])
		}
		return enc.Encode(b)
	}}, nil
}

package rtsp

import (
	"bytes"
	"errors"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
)

var (
	rtpac3ErrMore        = rtpac3.ErrMorePacketsNeeded
	rtpac3ErrNonStarting = rtpac3.ErrNonStartingPacketAndNoPrevious
)

// audio makes t a track of f, if f is audio that we can take apart.
func (t *track) audio(f format.Format) (bool, error) {
	t.stream.Kind = ingest.Audio
	switch f := f.(type) {
	case *format.MPEG4Audio:
		dec, err := f.CreateDecoder()
		if err != nil {
			return true, err
		}
		err = t.aac(f.Config)
		t.frames(func(p *rtp.Packet) ([][]byte, error) { return dec.Decode(p) }, t.aacLength(f.Config))
		return true, err
	case *format.MPEG4AudioLATM:
		return true, t.latm(f)
	case *format.Opus:
		dec, err := f.CreateDecoder()
		t.sound("opus", 48000, f.ChannelCount, 0)
		t.frames(one(dec.Decode), func(b []byte) int64 { return opus.PacketDuration2(b) })
		return true, err
	case *format.G711:
		if f.ChannelCount <= 0 {
			return false, nil
		}
		dec, err := f.CreateDecoder()
		codec := "pcm_alaw"
		if f.MULaw {
			codec = "pcm_mulaw"
		}
		t.sound(codec, f.SampleRate, f.ChannelCount, 8)
		t.frames(one(dec.Decode), func(b []byte) int64 { return int64(len(b) / f.ChannelCount) })
		return true, err
	case *format.G722:
		dec, err := f.CreateDecoder()
		// The clock runs at 8 kHz for sound of 16 kHz, by an old mistake (RFC 3551).
		t.sound("adpcm_g722", 16000, 1, 0)
		t.stream.BitsPerCodedSample, t.stream.BlockAlign = 4, 1
		t.frames(one(dec.Decode), func(b []byte) int64 { return int64(len(b)) })
		return true, err
	case *format.LPCM:
		codec, ok := map[int]string{8: "pcm_u8", 16: "pcm_s16be", 24: "pcm_s24be"}[f.BitDepth]
		if !ok || f.ChannelCount <= 0 {
			return false, nil
		}
		dec, err := f.CreateDecoder()
		t.sound(codec, f.SampleRate, f.ChannelCount, f.BitDepth)
		t.frames(one(dec.Decode), func(b []byte) int64 { return int64(len(b) / (f.ChannelCount * f.BitDepth / 8)) })
		return true, err
	case *format.MPEG1Audio:
		dec, err := f.CreateDecoder()
		t.frames(func(p *rtp.Packet) ([][]byte, error) { return dec.Decode(p) }, t.mpeg1)
		return true, err
	case *format.AC3:
		dec, err := f.CreateDecoder()
		t.sound("ac3", f.SampleRate, f.ChannelCount, 0)
		t.frames(func(p *rtp.Packet) ([][]byte, error) { return dec.Decode(p) }, func([]byte) int64 { return ac3.SamplesPerFrame })
		return true, err
	}
	return false, nil
}

// sound describes a stream all of which the SDP says. bits are those of a sample
// where the packets hold samples.
func (t *track) sound(codec string, rate, channels, bits int) {
	s := &t.stream
	s.Codec, s.SampleRate, s.Channels, s.ChannelMask = codec, rate, channels, layout(channels)
	s.BitsPerCodedSample, s.BlockAlign = bits, bits/8*channels
	t.ready = rate > 0 && channels > 0
}

// layout is FFmpeg's mask of the usual layout, 0 where there are several.
func layout(channels int) uint64 {
	switch channels {
	case 1:
		return 0x4 // front centre
	case 2:
		return 0x3 // left, right
	}
	return 0
}

// one makes a decoder of single frames one of several.
func one(decode func(*rtp.Packet) ([]byte, error)) func(*rtp.Packet) ([][]byte, error) {
	return func(p *rtp.Packet) ([][]byte, error) {
		b, err := decode(p)
		if err == nil && len(b) == 0 {
			err = errMore
		}
		return [][]byte{b}, err
	}
}

// frames is a codec whose packets hold whole frames, each as many ticks after the
// one before as length says of it. length may describe the stream by its frames.
func (t *track) frames(decode func(*rtp.Packet) ([][]byte, error), length func([]byte) int64) {
	t.unpack = func(p *rtp.Packet) ([]unit, error) {
		list, err := decode(p)
		if err != nil {
			return nil, err
		}
		units := make([]unit, 0, len(list))
		at := int64(0)
		for _, b := range list {
			dur := length(b)
			units = append(units, unit{data: bytes.Clone(b), ticks: at, dur: dur, key: true, start: true, changed: t.changed})
			t.changed = nil
			at += dur
		}
		return units, nil
	}
}

// mpeg1 returns the length of an MPEG-1 or MPEG-2 audio frame in ticks of 90 kHz,
// and describes the stream by it.
func (t *track) mpeg1(b []byte) int64 {
	var h mpeg1audio.FrameHeader
	if h.Unmarshal(b) != nil || h.SampleRate <= 0 || h.Layer < 1 || h.Layer > 3 {
		return 0
	}
	channels := 2
	if h.ChannelMode == mpeg1audio.ChannelModeMono {
		channels = 1
	}
	t.changed = t.describe(func(s *ingest.Stream) {
		s.Codec = "mp" + string('0'+rune(h.Layer))
		s.SampleRate, s.Channels, s.ChannelMask = h.SampleRate, channels, layout(channels)
	})
	return (int64(h.SampleCount())*int64(t.rate) + int64(h.SampleRate)/2) / int64(h.SampleRate)
}

// aac describes a stream of AAC.
func (t *track) aac(c *mpeg4audio.AudioSpecificConfig) error {
	if c == nil {
		return errors.New("no configuration")
	}
	extra, err := c.Marshal()
	if err != nil {
		return err
	}
	channels := int(c.ChannelConfig)
	switch channels {
	case 0:
		channels = 2 // the stream itself says, and the decoder finds out
	case 7:
		channels = 8
	}
	t.sound("aac", c.SampleRate, channels, 0)
	t.stream.Extra, t.stream.FrameSize = extra, 1024
	if c.FrameLengthFlag {
		t.stream.FrameSize = 960
	}
	return nil
}

// aacLength is the length of a frame in ticks.
func (t *track) aacLength(c *mpeg4audio.AudioSpecificConfig) func([]byte) int64 {
	n := int64(t.stream.FrameSize)
	if c != nil && c.SampleRate > 0 && t.rate > 0 {
		n = n * int64(t.rate) / int64(c.SampleRate)
	}
	return func([]byte) int64 { return n }
}

// latm is AAC in LATM, RFC 6416.
func (t *track) latm(f *format.MPEG4AudioLATM) error {
	dec, err := f.CreateDecoder()
	if err != nil {
		return err
	}
	mux := f.StreamMuxConfig
	config := func() *mpeg4audio.AudioSpecificConfig {
		if mux == nil || len(mux.Programs) == 0 || len(mux.Programs[0].Layers) == 0 {
			return nil
		}
		return mux.Programs[0].Layers[0].AudioSpecificConfig
	}
	if c := config(); c != nil {
		if err := t.aac(c); err != nil {
			return err
		}
	} else if !f.CPresent {
		return errors.New("no configuration")
	}
	t.frames(func(p *rtp.Packet) ([][]byte, error) {
		b, err := dec.Decode(p)
		if err != nil {
			return nil, err
		}
		e := mpeg4audio.AudioMuxElement{MuxConfigPresent: f.CPresent, StreamMuxConfig: mux}
		if err := e.Unmarshal(b); err != nil {
			return nil, err
		}
		mux = e.StreamMuxConfig
		var list [][]byte
		for _, sub := range e.Payloads {
			if len(sub) > 0 && len(sub[0]) > 0 {
				list = append(list, sub[0][0])
			}
		}
		return list, nil
	}, func([]byte) int64 {
		c, next := config(), *t
		if next.aac(c) != nil {
			return 0
		}
		t.changed = t.describe(func(s *ingest.Stream) { *s = next.stream })
		return t.aacLength(c)(nil)
	})
	return nil
}

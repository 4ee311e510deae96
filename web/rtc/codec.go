package rtc

import (
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/seehear/seehear/ingest"
)

// Codec is what a track carries, by FFmpeg's name for it.
type Codec string

// The codecs that are sent to viewers. Every browser has H.264 or VP8, and Opus.
const (
	H264 Codec = "h264"
	VP8  Codec = "vp8"
	Opus Codec = "opus"
)

// Kind returns what a codec codes.
func (c Codec) Kind() ingest.Kind {
	if c == Opus {
		return ingest.Audio
	}
	return ingest.Video
}

// rate is the RTP clock rate.
func (c Codec) rate() uint32 {
	if c == Opus {
		return AudioRate
	}
	return VideoRate
}

// mtu bounds the payload of an RTP packet: what is left of 1280 bytes, the least
// that IPv6 carries, with room for headers, SRTP and a tunnel.
const mtu = 1180

func (c Codec) payloader() rtp.Payloader {
	switch c {
	case H264:
		// Parameter sets go in packets of their own: pion's aggregation keeps only
		// the last of each, and streams may have several.
		return &codecs.H264Payloader{DisableStapA: true}
	case VP8:
		return &codecs.VP8Payloader{EnablePictureID: true}
	}
	return &codecs.OpusPayloader{}
}

// feedback is the RTCP feedback that we understand for video.
var feedback = []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}

// h264Line is the format of H.264 that every browser decodes. Decoders don't hold
// a sender to the profile: Main and High pass under it as well.
const h264Line = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"

// capability is the codec as a track of ours declares it.
func (c Codec) capability() webrtc.RTPCodecCapability {
	switch c {
	case H264:
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: VideoRate, SDPFmtpLine: h264Line, RTCPFeedback: feedback}
	case VP8:
		return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: VideoRate, RTCPFeedback: feedback}
	}
	return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: AudioRate, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
}

// vp8Key reports whether a VP8 frame can be decoded without those before it.
func vp8Key(frame []byte) bool { return len(frame) > 0 && frame[0]&1 == 0 }

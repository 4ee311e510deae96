package main

import (
	"slices"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks/encode"
	"github.com/seehear/seehear/web/rtc"
)

// What viewers get of a source that they could not play as it is.
var (
	viewedSize  = decode.Size{W: 1280, H: 720, Fit: decode.Within, Filter: decode.Bilinear}
	viewedSound = decode.Sound{Rate: 48000, Channels: 2}
)

// encodes reports whether pictures have to be encoded for viewers: those of the
// source cannot be played, or somebody asks for another codec.
func (st *station) encodes() bool {
	video, _ := st.feed.Transcode()
	return video || slices.ContainsFunc(st.feed.Wanted(), func(c rtc.Codec) bool { return c.Kind() == ingest.Video })
}

// transcoder encodes what is decoded for viewers, at these places of the outputs;
// -1 is nowhere.
func (st *station) transcoder(image, sound int) *rtc.Transcoder {
	if image < 0 {
		image = 1 << 30 // no frame has so many
	}
	rate := 25.0
	for _, s := range st.relay.Streams() {
		if r := s.FrameRate; s.Kind == ingest.Video && r.Num > 0 && r.Den > 0 {
			rate = float64(r.Num) / float64(r.Den)
		}
	}
	return rtc.NewTranscoder(rtc.TranscoderOptions{
		Feed: st.feed, Image: image, Sound: sound, Log: st.log,
		NewVideo: func(c rtc.Codec, w, h int) (rtc.VideoEncoder, error) {
			return encode.NewVideo(encode.VideoOptions{Codec: string(c), W: w, H: h, FrameRate: rate})
		},
		NewAudio: func(rate, channels int) (rtc.AudioEncoder, error) { return encode.NewAudio(rate, channels) },
	})
}

package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/ingest/av"
)

// sourceFlags choose what is read of an input.
type sourceFlags struct {
	VideoStream int           `name:"video-stream" default:"-1" placeholder:"INDEX" help:"Video stream by the container's index; -1 is the best, -2 none."`
	AudioStream int           `name:"audio-stream" default:"-1" placeholder:"INDEX" help:"Audio stream, likewise."`
	Remote      bool          `help:"Let a local playlist name http and https addresses."`
	ReadTimeout time.Duration `name:"read-timeout" default:"10s" help:"Give up on an input that yields nothing for so long."`
}

// opener joins a source to its decoder, the same way for every command and for
// the second pass.
func (f sourceFlags) opener(name string, stdin io.Reader, log *slog.Logger) func(context.Context, decode.Outputs) (*decode.Reader, error) {
	return f.watched(name, stdin, log, func(time.Duration) {})
}

// watched is opener, which also tells how long the input says it is, 0 if it does
// not say.
func (f sourceFlags) watched(name string, stdin io.Reader, log *slog.Logger, length func(time.Duration)) func(context.Context, decode.Outputs) (*decode.Reader, error) {
	return func(ctx context.Context, out decode.Outputs) (*decode.Reader, error) {
		opt := av.Options{VideoStream: f.VideoStream, AudioStream: f.AudioStream, ReadTimeout: f.ReadTimeout, Remote: f.Remote}
		if name == "-" {
			opt.Reader = stdin
		}
		src, err := av.Open(ctx, name, opt)
		if err != nil {
			return nil, err
		}
		length(src.Duration())
		dec, err := ffmpeg.New(src.Streams(), out, ffmpeg.Options{})
		if err != nil {
			_ = src.Close()
			return nil, err
		}
		return decode.NewReader(src, dec), nil
	}
}

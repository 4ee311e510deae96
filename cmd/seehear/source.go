package main

import (
	"context"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/seehear/seehear"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/overlay"
)

// sourceFlags choose what is read of an input.
type sourceFlags struct {
	VideoStream int           `name:"video-stream" default:"-1" placeholder:"INDEX" help:"Video stream by the container's index; -1 is the best, -2 none."`
	AudioStream int           `name:"audio-stream" default:"-1" placeholder:"INDEX" help:"Audio stream, likewise."`
	Remote      bool          `help:"Let a local playlist name http and https addresses."`
	ReadTimeout time.Duration `name:"read-timeout" default:"10s" help:"Give up on an input that yields nothing for so long."`
}

// opening opens an input and decodes it to the given forms.
type opening func(context.Context, decode.Outputs) (*decode.Reader, error)

// watcher is shown a source once it is open, and may put another in its place.
type watcher func(opened *av.Source, src ingest.Source) ingest.Source

// opener joins a source to its decoder, the same way for every command and for
// the second pass. The input "-" is what stdin gives.
func (f sourceFlags) opener(name string, stdin io.Reader, watchers ...watcher) opening {
	return func(ctx context.Context, out decode.Outputs) (*decode.Reader, error) {
		opt := av.Options{VideoStream: f.VideoStream, AudioStream: f.AudioStream, ReadTimeout: f.ReadTimeout, Remote: f.Remote}
		if name == "-" && stdin != os.Stdin { // a blocked read of the latter can be ended
			opt.Reader = stdin
		}
		opened, err := av.Open(ctx, name, opt)
		if err != nil {
			return nil, err
		}
		dec, err := ffmpeg.New(opened.Streams(), out, ffmpeg.Options{})
		if err != nil {
			_ = opened.Close()
			return nil, err
		}
		var src ingest.Source = opened
		for _, w := range watchers {
			src = w(opened, src)
		}
		return decode.NewReader(src, dec), nil
	}
}

// fileOf returns a reader over the rest of r if r is a regular file, as after
// `seehear annotate - < clip.mp4`: such an input can be sought in and read again.
func fileOf(r io.Reader) (func() io.Reader, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return nil, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	at, err := f.Seek(0, io.SeekCurrent) // a shell may have read some of it
	if err != nil {
		return nil, false
	}
	return func() io.Reader { return io.NewSectionReader(f, at, max(0, info.Size()-at)) }, true
}

// unless ends the opening of an input, which may wait for a server or a pipe, with
// seehear.ErrStopped when a stop is asked for. Of an input that is open, whoever
// reads it watches the stop.
func (o opening) unless(stop softStop) opening {
	return func(ctx context.Context, out decode.Outputs) (*decode.Reader, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		opened, watched := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(watched)
			select {
			case <-stop:
				cancel(seehear.ErrStopped)
			case <-opened:
			}
		}()
		r, err := o(ctx, out)
		close(opened)
		<-watched
		if err != nil && context.Cause(ctx) != nil {
			err = context.Cause(ctx)
		}
		return r, err
	}
}

// interruption lets a soft stop end the second pass, which reads on its own. A
// pass that begins after the stop draws all that was analysed.
type interruption struct {
	stop softStop
	hit  atomic.Bool
}

func (i *interruption) watch(_ *av.Source, src ingest.Source) ingest.Source {
	if i.stop.asked() {
		return src
	}
	return &interruptible{src, i}
}

// interruptible is a source that is at its end once a stop was asked for.
type interruptible struct {
	ingest.Source
	by *interruption
}

func (s *interruptible) Read(ctx context.Context) (ingest.Packet, error) {
	if s.by.stop.asked() {
		s.by.hit.Store(true)
		return ingest.Packet{}, io.EOF
	}
	return s.Source.Read(ctx)
}

// drawn is the overlay, which says so if its second pass was interrupted.
type drawn struct {
	*overlay.Sink
	by *interruption
}

func (d *drawn) String() string { return "overlay" }

func (d *drawn) Close(ctx context.Context, sum sinks.Summary) error {
	err := d.Sink.Close(ctx, sum)
	if err == nil && d.by.hit.Load() {
		return seehear.ErrStopped
	}
	return err
}

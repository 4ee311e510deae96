package rtc

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/flow"
)

// VideoEncoder codes pictures without delay (sinks/encode.Video does): what comes
// of a picture is given to out before Encode returns, with the very at that went in.
type VideoEncoder interface {
	Encode(at time.Duration, rgb []byte, key bool, out func(at time.Duration, key bool, data []byte)) error
	Close() error
}

// AudioEncoder codes interleaved sound to Opus packets without delay
// (sinks/encode.Audio does).
type AudioEncoder interface {
	Encode(at time.Duration, pcm []float32, out func(at time.Duration, data []byte)) error
	Close() error
}

// TranscoderOptions say what a [Transcoder] works with. All but Log are needed.
type TranscoderOptions struct {
	Feed *Feed
	// Image and Sound are the entries of decode.Outputs to encode.
	Image, Sound int
	// NewVideo opens an encoder of H264 or VP8 for pictures of that size.
	NewVideo func(c Codec, w, h int) (VideoEncoder, error)
	// NewAudio opens an encoder for sound in that form.
	NewAudio func(rate, channels int) (AudioEncoder, error)
	Log      *slog.Logger // nil discards
}

const (
	// A picture that has waited behind so many is old.
	pictureQueue = 2
	soundQueue   = 100
	// keyPause is the least time between keyframes that viewers ask for: one that
	// loses packets all the time must not make the picture bad for all.
	keyPause = 400 * time.Millisecond
	// retryAfter is how long an encoder that failed is left alone.
	retryAfter = 10 * time.Second
)

// Transcoder makes what viewers need and the source doesn't deliver, from decoded
// units: once per codec, whatever the number of viewers, and not at all while
// nobody watches.
type Transcoder struct {
	opt      TranscoderOptions
	log      *slog.Logger
	pictures *flow.Queue[*decode.Frame]
	sounds   *flow.Queue[*decode.Block]
	failures atomic.Uint64
	done     sync.WaitGroup

	// Of the picture goroutine.
	video map[Codec]*encoding
	// Of the sound goroutine.
	audio          AudioEncoder
	rate, channels int
	audioRetry     time.Time
}

// encoding is one video codec in the making.
type encoding struct {
	enc     VideoEncoder
	w, h    int
	lastKey time.Time
	needKey bool
	retry   time.Time
}

// NewTranscoder starts a transcoder. It must be closed, before its feed.
func NewTranscoder(opt TranscoderOptions) *Transcoder {
	t := &Transcoder{
		opt: opt, log: opt.Log, video: map[Codec]*encoding{},
		pictures: flow.New(pictureQueue, flow.DropOldest, (*decode.Frame).Release),
		sounds:   flow.New(soundQueue, flow.DropOldest, (*decode.Block).Release),
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.done.Go(t.runVideo)
	t.done.Go(t.runAudio)
	return t
}

// Unit takes a decoded unit. It never waits, keeps a reference of its own if it
// needs one, and may be called from one goroutine at a time.
func (t *Transcoder) Unit(u decode.Unit) {
	switch {
	case u.Frame != nil && t.opt.Image < len(u.Frame.Images) && t.opt.Feed.wantsKind(ingest.Video):
		u.Frame.Retain()
		if t.pictures.Put(context.Background(), u.Frame) != nil {
			u.Frame.Release()
		}
	case u.Block != nil && u.Block.Sound == t.opt.Sound && t.opt.Feed.wantsKind(ingest.Audio):
		u.Block.Retain()
		if t.sounds.Put(context.Background(), u.Block) != nil {
			u.Block.Release()
		}
	}
}

// Dropped returns how many pictures and blocks came faster than they could be
// encoded.
func (t *Transcoder) Dropped() uint64 { return t.pictures.Dropped() + t.sounds.Dropped() }

// Failures counts what an encoder did not take.
func (t *Transcoder) Failures() uint64 { return t.failures.Load() }

// Close stops it and frees the encoders.
func (t *Transcoder) Close() {
	t.pictures.Stop()
	t.sounds.Stop()
	t.done.Wait()
}

func (t *Transcoder) runVideo() {
	defer func() {
		for c := range t.video {
			t.drop(c)
		}
	}()
	for {
		f, err := t.pictures.Get(context.Background())
		if err != nil {
			return
		}
		want := t.opt.Feed.Wanted()
		for c := range t.video {
			if !slices.Contains(want, c) {
				t.drop(c)
			}
		}
		for _, c := range want {
			if c.Kind() == ingest.Video {
				t.picture(c, f)
			}
		}
		f.Release()
	}
}

func (t *Transcoder) drop(c Codec) {
	if e := t.video[c]; e.enc != nil {
		t.closed(e.enc.Close())
	}
	delete(t.video, c)
}

func (t *Transcoder) closed(err error) {
	if err != nil {
		t.log.Warn("close an encoder", "error", err)
	}
}

// picture encodes one frame in one codec.
func (t *Transcoder) picture(c Codec, f *decode.Frame) {
	img := f.Images[t.opt.Image]
	now := time.Now()
	e := t.video[c]
	if e == nil {
		e = &encoding{}
		t.video[c] = e
	}
	if e.enc != nil && (e.w != img.W || e.h != img.H) {
		t.closed(e.enc.Close())
		e.enc = nil
	}
	if e.enc == nil {
		if now.Before(e.retry) {
			return
		}
		enc, err := t.opt.NewVideo(c, img.W, img.H)
		if err != nil {
			t.fail(string(c), err)
			e.retry = now.Add(retryAfter)
			return
		}
		e.enc, e.w, e.h, e.lastKey = enc, img.W, img.H, time.Time{}
	}
	e.needKey = t.opt.Feed.takeKey(c) || e.needKey
	ask := e.needKey && now.Sub(e.lastKey) >= keyPause
	err := e.enc.Encode(f.At, img.Pix, ask, func(at time.Duration, key bool, data []byte) {
		if key {
			e.lastKey, e.needKey = now, false
		}
		t.opt.Feed.Encoded(c, ingest.Stamp{At: at, Seg: f.Seg}, key, data)
	})
	if err != nil {
		t.fail(string(c), err)
		t.closed(e.enc.Close())
		e.enc, e.retry = nil, now.Add(retryAfter)
	}
}

func (t *Transcoder) fail(what string, err error) {
	t.failures.Add(1)
	t.log.Error("transcode", "codec", what, "error", err)
}

func (t *Transcoder) runAudio() {
	defer t.dropAudio()
	for {
		b, err := t.sounds.Get(context.Background())
		if err != nil {
			return
		}
		if slices.Contains(t.opt.Feed.Wanted(), Opus) {
			if err := t.sound(b); err != nil {
				t.fail(string(Opus), err)
				t.dropAudio()
				t.audioRetry = time.Now().Add(retryAfter)
			}
		} else {
			t.dropAudio()
		}
		b.Release()
	}
}

func (t *Transcoder) dropAudio() {
	if t.audio != nil {
		t.closed(t.audio.Close())
		t.audio = nil
	}
}

// sound encodes one block.
func (t *Transcoder) sound(b *decode.Block) error {
	f := b.PCM.Format
	if t.audio != nil && (f.SampleRate != t.rate || f.NumChannels != t.channels) {
		t.dropAudio()
	}
	if t.audio == nil {
		if time.Now().Before(t.audioRetry) {
			return nil
		}
		enc, err := t.opt.NewAudio(f.SampleRate, f.NumChannels)
		if err != nil {
			return fmt.Errorf("sound of %d channels at %d Hz: %w", f.NumChannels, f.SampleRate, err)
		}
		t.audio, t.rate, t.channels = enc, f.SampleRate, f.NumChannels
	}
	return t.audio.Encode(b.At, b.PCM.Data, func(at time.Duration, data []byte) {
		t.opt.Feed.Encoded(Opus, ingest.Stamp{At: at, Seg: b.Seg}, true, data)
	})
}

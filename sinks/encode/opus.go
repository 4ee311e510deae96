package encode

import (
	"fmt"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/seehear/seehear/ingest"
)

const (
	opusRate  = 48000
	opusFrame = 960 // samples: 20 ms
	// Stamps that are off by less than follow are followed without touching the
	// sound: a sender's clock drifts, and its stamps are rounded.
	follow = 2 * time.Millisecond
	// A longer hole is left as a hole between the stamps.
	fillable = time.Second
)

// Audio encodes sound for people who listen now: Opus at 48 kHz in packets of
// 20 ms, mono as mono, anything else as stereo. It belongs to one goroutine.
type Audio struct {
	in       int // rate and channels of what comes
	channels int
	mixed    bool
	resample *resampler // nil where nothing is to be done
	codec    *codec
	frame    *astiav.Frame
	outCh    int
	fill     int           // samples in frame
	origin   time.Duration // of the first sample that came in since the last jump
	written  int64         // samples since, at the incoming rate
	coded    int64         // samples since, at 48 kHz, in whole frames; below zero: of before
	pts      int64         // of the next frame
	begun    bool
	buf      []float32
	out      func(at time.Duration, data []byte)
}

// NewAudio opens an encoder for sound of that rate and number of channels. It must
// be closed.
func NewAudio(rate, channels int) (_ *Audio, err error) {
	if rate <= 0 || channels <= 0 {
		return nil, fmt.Errorf("encode: sound of %d channels at %d Hz", channels, rate)
	}
	a := &Audio{in: rate, channels: channels}
	defer func() {
		if err != nil {
			a.free()
			err = fmt.Errorf("encode: %w", err)
		}
	}()
	layout, ok := layouts[channels]
	if !ok {
		a.mixed, layout = true, astiav.ChannelLayoutMono
	}
	out := astiav.ChannelLayoutStereo
	if layout.Channels() == 1 {
		out = astiav.ChannelLayoutMono
	}
	a.outCh = out.Channels()
	if rate != opusRate || layout.Channels() > 2 {
		if a.resample, err = newResampler(rate, opusRate, layout, out); err != nil {
			return nil, err
		}
	}
	a.codec, err = newCodec("libopus", map[string]string{"application": "audio", "frame_duration": "20"}, func(c *astiav.CodecContext) {
		c.SetSampleRate(opusRate)
		c.SetChannelLayout(out)
		c.SetSampleFormat(astiav.SampleFormatFlt)
		c.SetTimeBase(astiav.NewRational(1, opusRate))
		c.SetBitRate(int64(48000 * a.outCh))
	})
	if err != nil {
		return nil, err
	}
	a.codec.out = a.packet
	a.frame = astiav.AllocFrame()
	handles.Add(1)
	a.frame.SetNbSamples(opusFrame)
	a.frame.SetSampleFormat(astiav.SampleFormatFlt)
	a.frame.SetSampleRate(opusRate)
	a.frame.SetChannelLayout(out)
	return a, a.frame.AllocBuffer(0)
}

// Encode takes interleaved samples that begin at at, and gives out the packets
// that are complete, each with the time of what is heard first of it; data is valid
// until out returns. A hole before at is filled with silence, a long one skipped;
// what was there already is left out.
func (a *Audio) Encode(at time.Duration, pcm []float32, out func(at time.Duration, data []byte)) error {
	if len(pcm)%a.channels != 0 {
		return fmt.Errorf("encode: %d samples for %d channels", len(pcm), a.channels)
	}
	a.out = out
	gap := at - a.origin - ingest.SampleTime(a.written, a.in)
	switch {
	case !a.begun || gap > fillable || gap < -fillable:
		if err := a.jump(at); err != nil {
			return err
		}
	case gap.Abs() <= follow:
		a.origin += gap
	case gap > 0:
		silence := make([]float32, int(ingest.Samples(gap, a.in))*a.channels)
		if err := a.push(silence); err != nil {
			return err
		}
	default:
		pcm = pcm[min(len(pcm), int(ingest.Samples(-gap, a.in))*a.channels):]
	}
	return a.push(pcm)
}

// jump begins anew at at. What waits in the frame goes out with silence behind it.
func (a *Audio) jump(at time.Duration) error {
	// What the resampler holds back will come out first, and belongs to before.
	rest := a.written*opusRate/int64(a.in) - a.coded - int64(a.fill)
	if a.fill > 0 {
		clear(samples(a.frame, 0, opusFrame*a.outCh)[a.fill*a.outCh:])
		if err := a.encode(); err != nil {
			return err
		}
	}
	a.begun, a.origin, a.written, a.coded = true, at, 0, -rest
	return nil
}

func (a *Audio) push(pcm []float32) error {
	if len(pcm) == 0 {
		return nil
	}
	a.written += int64(len(pcm) / a.channels)
	if a.mixed {
		a.buf = mixDown(a.buf[:0], pcm, a.channels)
		pcm = a.buf
	}
	if a.resample != nil {
		return a.resample.run(pcm, a.frames)
	}
	return a.frames(pcm)
}

// frames cuts samples into frames and encodes those that are full.
func (a *Audio) frames(pcm []float32) error {
	for len(pcm) > 0 {
		if a.fill == 0 {
			if err := a.frame.MakeWritable(); err != nil {
				return fmt.Errorf("encode: %w", err)
			}
		}
		dst := samples(a.frame, 0, opusFrame*a.outCh)[a.fill*a.outCh:]
		n := min(len(pcm), len(dst))
		for i, v := range pcm[:n] {
			if v != v { // the encoder gives up on NaN
				v = 0
			}
			dst[i] = v
		}
		pcm = pcm[n:]
		if a.fill += n / a.outCh; a.fill == opusFrame {
			if err := a.encode(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Audio) encode() error {
	a.fill = 0
	a.frame.SetPts(a.pts)
	err := a.codec.send(a.frame)
	a.pts += opusFrame
	a.coded += opusFrame
	return err
}

// packet gives out what came of the frame that is being sent. The encoder looks
// ahead, and FFmpeg's stamp says by how much the sound is late in the packet.
func (a *Audio) packet(p *astiav.Packet) error {
	at := a.origin + ingest.SampleTime(a.coded+p.Pts()-a.pts, opusRate)
	a.out(at, p.Data())
	return nil
}

// Close frees the encoder.
func (a *Audio) Close() error {
	a.free()
	return nil
}

func (a *Audio) free() {
	if a.frame != nil {
		a.frame.Free()
		a.frame = nil
		handles.Add(-1)
	}
	if a.codec != nil {
		a.codec.free()
		a.codec = nil
	}
	if a.resample != nil {
		a.resample.free()
		a.resample = nil
	}
}

package encode

import (
	"fmt"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/seehear/seehear/ingest"
)

/*
Note [Steps of the sound]

A browser's jitter buffer takes Opus packets to follow each other without a break:
one that claims to begin a single sample before the end of the last is thrown away
as late, and 20 ms of sound with it (Chromium: packetsDiscarded, concealedSamples).
Stamps of a source are rounded, so they do step by a sample more or less, and those
of a camera drift.

So what comes out here steps by a packet's length exactly, and it is the sound that
follows the stamps, as FFmpeg's aresample does it with async: what is off by less than
half a millisecond is left alone, less than 10 ms are caught up by playing up to 0.2 %
faster or slower, more is filled with silence or left out at once.
*/
const (
	opusRate  = 48000
	opusFrame = 960 // samples: 20 ms
	// followed is for aresample, see Note [Steps of the sound].
	followed = ":async=100:min_comp=0.0005:min_hard_comp=0.01"
	// A longer hole is left as a hole between the stamps.
	fillable = time.Second
)

// Audio encodes sound for people who listen now: Opus at 48 kHz in packets of
// 20 ms, mono as mono, anything else as stereo. It belongs to one goroutine.
type Audio struct {
	in       int // rate and channels of what comes
	channels int
	mixed    bool
	layout   astiav.ChannelLayout // of what is resampled
	resample *resampler
	codec    *codec
	frame    *astiav.Frame
	outCh    int
	fill     int           // samples in frame
	origin   time.Duration // of the first sample that came in since the last jump
	end      time.Duration // of what came in
	coded    int64         // samples since the jump, at 48 kHz, in whole frames
	pts      int64         // of the next frame
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
	var ok bool
	if a.layout, ok = layouts[channels]; !ok {
		a.mixed, a.layout = true, astiav.ChannelLayoutMono
	}
	out := astiav.ChannelLayoutStereo
	if a.layout.Channels() == 1 {
		out = astiav.ChannelLayoutMono
	}
	a.outCh = out.Channels()
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
// that are complete, each with the time of what is heard first of it: 20 ms after
// the one before, to the nanosecond, but for a hole of more than a second; data is
// valid until out returns.
func (a *Audio) Encode(at time.Duration, pcm []float32, out func(at time.Duration, data []byte)) error {
	if len(pcm)%a.channels != 0 {
		return fmt.Errorf("encode: %d samples for %d channels", len(pcm), a.channels)
	}
	if len(pcm) == 0 {
		return nil
	}
	a.out = out
	if a.resample == nil || (at-a.end).Abs() > fillable {
		if err := a.jump(at); err != nil {
			return err
		}
	}
	a.end = at + ingest.SampleTime(int64(len(pcm)/a.channels), a.in)
	if a.mixed {
		a.buf = mixDown(a.buf[:0], pcm, a.channels)
		pcm = a.buf
	}
	a.resample.pts = ingest.Samples(at-a.origin, a.in)
	return a.resample.run(pcm, a.frames)
}

// jump begins anew at at. What waits goes out with silence behind it.
func (a *Audio) jump(at time.Duration) (err error) {
	if a.resample != nil {
		if err = a.resample.run(nil, a.frames); err != nil {
			return err
		}
		if a.fill > 0 {
			clear(samples(a.frame, 0, opusFrame*a.outCh)[a.fill*a.outCh:])
			if err = a.encode(); err != nil {
				return err
			}
		}
		a.resample.free()
		a.resample = nil
	}
	a.resample, err = newResampler(a.in, opusRate, a.layout, a.frame.ChannelLayout(), followed)
	a.origin, a.coded = at, 0
	return err
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

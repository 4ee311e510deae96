package encode

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/seehear/seehear/ingest"
)

// aacRates are the rates that AAC knows; sound at another is resampled.
var aacRates = []int{7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}

// aacFrame is the number of samples of one AAC frame.
const aacFrame = 1024

// slack is how far a stamp may be from where the samples before it end without
// being a gap: stamps of some containers are rounded to milliseconds.
const slack = 500 * time.Microsecond

// maxGap bounds the silence that one stamp can ask for: a container tells how long
// a packet lasts in 31 bits, at 90 kHz at most.
const maxGap = 6 * time.Hour

// layouts are the channel layouts of the native encoder by number of channels;
// a source with another number is mixed down to one channel.
var layouts = map[int]astiav.ChannelLayout{
	1: astiav.ChannelLayoutMono,
	2: astiav.ChannelLayoutStereo,
	3: astiav.ChannelLayoutSurround,
	4: astiav.ChannelLayout4Point0,
	5: astiav.ChannelLayout5Point0Back,
	6: astiav.ChannelLayout5Point1Back,
	8: astiav.ChannelLayout7Point1,
}

// aac encodes sound with FFmpeg's own encoder.
type aac struct {
	in       int // rate of the samples that come, and channels
	channels int
	mixed    bool // more channels than the encoder knows: mixed down to one
	resample *resampler
	codec    *codec
	frame    *astiav.Frame // planar, one AAC frame
	fill     int           // samples in it
	written  int64         // samples per channel that came, gaps included, at the incoming rate
	pts      int64         // of the next frame, at the encoder's rate
	buf      []float32     // mixed down, or silence
}

func newAAC(rate, channels int) (_ *aac, err error) {
	if rate <= 0 || channels <= 0 {
		return nil, fmt.Errorf("sound of %d channels at %d Hz", channels, rate)
	}
	a := &aac{in: rate, channels: channels}
	defer func() {
		if err != nil {
			a.free()
		}
	}()
	layout, ok := layouts[channels]
	if !ok {
		a.mixed = true
		layout = astiav.ChannelLayoutMono
	}
	if !slices.Contains(aacRates, rate) {
		i, _ := slices.BinarySearch(aacRates, rate)
		to := aacRates[min(i, len(aacRates)-1)]
		if rate > 48000 {
			to = 48000
		}
		if a.resample, err = newResampler(rate, to, layout, layout, ""); err != nil {
			return nil, err
		}
		rate = to
	}
	a.codec, err = newCodec("aac", nil, func(c *astiav.CodecContext) {
		c.SetSampleRate(rate)
		c.SetChannelLayout(layout)
		c.SetSampleFormat(astiav.SampleFormatFltp)
		c.SetTimeBase(astiav.NewRational(1, rate))
		// 80 kbit/s per channel at full rates, less where there is less band.
		c.SetBitRate(int64(min(80000, 3*rate) * layout.Channels()))
		toContainer(c)
	})
	if err != nil {
		return nil, err
	}
	a.frame = astiav.AllocFrame()
	handles.Add(1)
	a.frame.SetNbSamples(aacFrame)
	a.frame.SetSampleFormat(astiav.SampleFormatFltp)
	a.frame.SetSampleRate(rate)
	a.frame.SetChannelLayout(layout)
	return a, a.frame.AllocBuffer(0)
}

func (a *aac) join(m *muxer) (err error) {
	a.codec.out, err = m.add(a.codec.ctx, ingest.Timebase{Num: 1, Den: int32(a.codec.ctx.SampleRate())})
	return err
}

func (a *aac) write(at time.Duration, pcm []float32) error {
	if len(pcm)%a.channels != 0 {
		return fmt.Errorf("%d samples for %d channels", len(pcm), a.channels)
	}
	want := ingest.Samples(at, a.in)
	tol := ingest.Samples(slack, a.in)
	switch gap := want - a.written; {
	case gap > tol:
		silence := ingest.SampleTime(gap, a.in)
		if silence > maxGap {
			return fmt.Errorf("sound at %v, %v behind what came before", at, silence)
		}
		if silence > longSilence {
			if err := a.skip(at, want); err != nil {
				return err
			}
		} else if err := a.silence(gap); err != nil {
			return err
		}
	case gap < -tol:
		pcm = pcm[min(int64(len(pcm)), -gap*int64(a.channels)):]
	}
	a.written += int64(len(pcm) / a.channels)
	return a.push(pcm)
}

// longSilence is how much silence is encoded at most. A longer one, such as a
// damaged stamp may ask for, is left as a gap between stamps, which costs
// nothing.
const longSilence = 10 * time.Second

// skip goes on at sample want, without sound up to there: what the resampler
// still holds is pushed out, the frame in the making is filled up, and the next
// one has a stamp of its own.
func (a *aac) skip(at time.Duration, want int64) error {
	if err := a.silence(int64(a.in) / 10); err != nil {
		return err
	}
	if a.fill > 0 {
		rest := make([]float32, (aacFrame-a.fill)*a.frame.ChannelLayout().Channels())
		if err := a.frames(rest); err != nil {
			return err
		}
	}
	a.pts = ingest.Samples(at, a.codec.ctx.SampleRate())
	a.written = want
	return nil
}

// silence appends n samples of it, a chunk at a time.
func (a *aac) silence(n int64) error {
	const chunk = 4096
	quiet := make([]float32, chunk*a.channels)
	a.written += n
	for ; n > 0; n -= chunk {
		if err := a.push(quiet[:min(n, chunk)*int64(a.channels)]); err != nil {
			return err
		}
	}
	return nil
}

// push mixes, resamples and encodes.
func (a *aac) push(pcm []float32) error {
	if a.mixed {
		a.buf = mixDown(a.buf[:0], pcm, a.channels)
		pcm = a.buf
	}
	if a.resample != nil {
		return a.resample.run(pcm, a.frames)
	}
	return a.frames(pcm)
}

// mixDown appends the mean of the channels of pcm to dst.
func mixDown(dst, pcm []float32, channels int) []float32 {
	for i := 0; i < len(pcm); i += channels {
		sum := float32(0)
		for _, v := range pcm[i : i+channels] {
			sum += v
		}
		dst = append(dst, sum/float32(channels))
	}
	return dst
}

// frames cuts interleaved samples into frames and encodes those that are full.
func (a *aac) frames(pcm []float32) error {
	ch := a.frame.ChannelLayout().Channels()
	for len(pcm) > 0 {
		if a.fill == 0 {
			a.frame.SetNbSamples(aacFrame)
			if err := a.frame.MakeWritable(); err != nil {
				return err
			}
		}
		n := min(len(pcm)/ch, aacFrame-a.fill)
		for c := range ch {
			dst := samples(a.frame, c, aacFrame)[a.fill : a.fill+n]
			for i := range dst {
				v := pcm[i*ch+c]
				if v != v { // the encoder gives up on NaN
					v = 0
				}
				dst[i] = v
			}
		}
		pcm = pcm[n*ch:]
		if a.fill += n; a.fill == aacFrame {
			if err := a.encode(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *aac) encode() error {
	a.frame.SetNbSamples(a.fill)
	a.frame.SetPts(a.pts)
	a.pts += int64(a.fill)
	a.fill = 0
	return a.codec.send(a.frame)
}

func (a *aac) drain() error {
	if a.resample != nil {
		if err := a.resample.run(nil, a.frames); err != nil {
			return err
		}
	}
	if a.fill > 0 {
		if err := a.encode(); err != nil {
			return err
		}
	}
	return a.codec.send(nil)
}

func (a *aac) free() {
	if a.frame != nil {
		a.frame.Free()
		a.frame = nil
		handles.Add(-1)
	}
	if a.codec != nil {
		a.codec.free()
	}
	if a.resample != nil {
		a.resample.free()
	}
}

// resampler converts the rate of interleaved samples, and their layout.
type resampler struct {
	graph *graph
	frame *astiav.Frame
	ch    int // of what goes in
	outCh int
	pts   int64
}

// resampleChunk bounds the frames that go through the graph.
const resampleChunk = 4096

// newResampler opens one; more are further options of aresample.
func newResampler(from, to int, layout, out astiav.ChannelLayout, more string) (_ *resampler, err error) {
	r := &resampler{ch: layout.Channels(), outCh: out.Channels()}
	defer func() {
		if err != nil {
			r.free()
		}
	}()
	r.graph, err = newGraph("abuffer", "aresample="+strconv.Itoa(to)+more+",aformat=sample_fmts=flt:channel_layouts="+out.String(), func(p *astiav.BuffersrcFilterContextParameters) {
		p.SetSampleRate(from)
		p.SetSampleFormat(astiav.SampleFormatFlt)
		p.SetChannelLayout(layout)
		p.SetTimeBase(astiav.NewRational(1, from))
	})
	if err != nil {
		return nil, err
	}
	r.frame = astiav.AllocFrame()
	handles.Add(1)
	r.frame.SetNbSamples(resampleChunk)
	r.frame.SetSampleFormat(astiav.SampleFormatFlt)
	r.frame.SetSampleRate(from)
	r.frame.SetChannelLayout(layout)
	return r, r.frame.AllocBuffer(0)
}

// run resamples pcm, nil to drain.
func (r *resampler) run(pcm []float32, each func([]float32) error) error {
	got := func(f *astiav.Frame) error { return each(samples(f, 0, f.NbSamples()*r.outCh)) }
	if pcm == nil {
		return r.graph.run(nil, got)
	}
	for len(pcm) > 0 {
		n := min(len(pcm)/r.ch, resampleChunk)
		r.frame.SetNbSamples(resampleChunk)
		if err := r.frame.MakeWritable(); err != nil {
			return err
		}
		copy(samples(r.frame, 0, n*r.ch), pcm)
		r.frame.SetNbSamples(n)
		r.frame.SetPts(r.pts)
		r.pts += int64(n)
		pcm = pcm[n*r.ch:]
		if err := r.graph.run(r.frame, got); err != nil {
			return err
		}
	}
	return nil
}

func (r *resampler) free() {
	if r.frame != nil {
		r.frame.Free()
		r.frame = nil
		handles.Add(-1)
	}
	if r.graph != nil {
		r.graph.free()
	}
}

package ffmpeg

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// packets is a Source made by hand.
type packets struct {
	streams []ingest.Stream
	list    []ingest.Packet
}

func (p *packets) Streams() []ingest.Stream { return p.streams }
func (p *packets) Live() bool               { return false }
func (p *packets) Close() error             { return nil }
func (p *packets) Read(context.Context) (ingest.Packet, error) {
	if len(p.list) == 0 {
		return ingest.Packet{}, io.EOF
	}
	next := p.list[0]
	p.list = p.list[1:]
	return next, nil
}

// pcmStream describes float PCM.
func pcmStream(index, rate, channels int) ingest.Stream {
	return ingest.Stream{
		Index: index, Kind: ingest.Audio, Codec: "pcm_f32le", Format: -1, SampleRate: rate, Channels: channels,
		BitsPerCodedSample: 32, BlockAlign: 4 * channels,
	}
}

func pcmBytes(x []float64) []byte {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	return b
}

// pcmPackets cuts mono sound into packets of n samples, stamped by the count.
func pcmPackets(x []float64, rate, n int, start time.Duration) []ingest.Packet {
	var out []ingest.Packet
	for i := 0; i < len(x); i += n {
		part := x[i:min(i+n, len(x))]
		out = append(out, ingest.Packet{
			PTS: start + ingest.SampleTime(int64(i), rate), DTS: ingest.NoTime,
			Dur: ingest.SampleTime(int64(len(part)), rate), Key: true, Data: pcmBytes(part),
		})
	}
	return out
}

// chirp is a linear sweep from 20 Hz to top over dur seconds, at time t.
func chirp(t, top, dur float64) float64 {
	return 0.8 * math.Cos(2*math.Pi*(20*t+(top-20)*t*t/(2*dur)))
}

// TestChirp resamples a sweep up to 0.8 of the lower Nyquist frequency and
// compares it with the sweep computed at the other rate: the error, which holds
// ripple, aliases and any delay, is at least 80 dB down, away from the first and
// the last 10 ms.
func TestChirp(t *testing.T) {
	for _, c := range []struct{ from, to int }{
		{48000, 22050},
		{44100, 16000},
		{8000, 22050},
		{44100, 22050},
		{48000, 16000},
		{16000, 22050},
		{44100, 48000},
		{22050, 44100},
		{96000, 8000},
		{11025, 16000},
		{37800, 22050},
		{48000, 48000},
	} {
		t.Run(fmt.Sprintf("%d-%d", c.from, c.to), func(t *testing.T) {
			const dur = 2.0
			top := 0.8 * float64(min(c.from, c.to)) / 2
			in := make([]float64, int(dur*float64(c.from))+7)
			for i := range in {
				in[i] = chirp(float64(i)/float64(c.from), top, dur)
			}
			src := &packets{[]ingest.Stream{pcmStream(0, c.from, 1)}, pcmPackets(in, c.from, 1024, 0)}
			got := run(t, src, decode.Outputs{Sounds: []decode.Sound{{Rate: c.to, Channels: 1}}}, Options{}).pcm(t, 0)
			if want := math.Round(float64(len(in)) * float64(c.to) / float64(c.from)); math.Abs(float64(len(got))-want) > 0.5 {
				t.Errorf("%d samples, want %v", len(got), want)
			}
			var signal, noise float64
			edge := c.to / 100
			for i := edge; i < len(got)-edge; i++ {
				w := chirp(float64(i)/float64(c.to), top, dur)
				e := float64(got[i]) - w
				signal += w * w
				noise += e * e
			}
			snr := 10 * math.Log10(signal/noise)
			t.Logf("%.1f dB", snr)
			if snr < 80 {
				t.Errorf("%.1f dB", snr)
			}
		})
	}
}

// TestAlias sends tones above the new Nyquist frequency: what folds below 0.8 of
// it is gone.
func TestAlias(t *testing.T) {
	const from, to = 48000, 16000
	for f := 9600.0; f < 24000; f += 613 {
		in := make([]float64, from)
		for i := range in {
			in[i] = 0.8 * math.Sin(2*math.Pi*f*float64(i)/from)
		}
		src := &packets{[]ingest.Stream{pcmStream(0, from, 1)}, pcmPackets(in, from, 4096, 0)}
		got := run(t, src, decode.Outputs{Sounds: []decode.Sound{{Rate: to, Channels: 1}}}, Options{}).pcm(t, 0)
		var power float64
		for _, v := range got[1000 : len(got)-1000] {
			power += float64(v) * float64(v) / float64(len(got)-2000)
		}
		if db := 10 * math.Log10(power/0.32); db > -80 {
			t.Errorf("%.0f Hz is only %.1f dB down", f, db)
		}
	}
}

// TestEnds resamples a constant, also shorter than the filter: the count is
// exact, and the level holds from the first sample to the last. (Sound too short
// for the filter is followed by silence, which its last two samples feel.)
func TestEnds(t *testing.T) {
	for _, n := range []int{1, 2, 10, 47, 100, 300, 5000, 48001} {
		in := make([]float64, n)
		for i := range in {
			in[i] = 0.5
		}
		for _, c := range []struct{ from, to int }{{48000, 8000}, {8000, 48000}, {44100, 22050}, {48000, 22050}, {48000, 48000}} {
			src := &packets{[]ingest.Stream{pcmStream(0, c.from, 1)}, pcmPackets(in, c.from, 4096, 0)}
			got := run(t, src, decode.Outputs{Sounds: []decode.Sound{{Rate: c.to, Channels: 1}}}, Options{}).pcm(t, 0)
			if want := int(math.Round(float64(n) * float64(c.to) / float64(c.from))); len(got) != want {
				t.Errorf("%d samples %d to %d: %d, want %d", n, c.from, c.to, len(got), want)
			}
			last := len(got)
			if n < 48*max(1, (c.from+c.to-1)/c.to)+2 {
				last -= 2 * max(1, c.to/c.from)
			}
			for i, v := range got[:max(last, 0)] {
				if math.Abs(float64(v)-0.5) > 0.08 {
					t.Errorf("%d samples %d to %d: sample %d of %d is %v", n, c.from, c.to, i, len(got), v)
				}
			}
		}
	}
}

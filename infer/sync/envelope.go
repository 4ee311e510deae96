package sync

import (
	"context"
	"fmt"
	"math"
	"math/cmplx"
	"time"

	"gonum.org/v1/gonum/dsp/fourier"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
)

// The sound's onset strength is taken at hops of 10 ms, counted from the zero of
// the source's time, so that what overlapping windows say of a hop is the same.
const (
	hop     = 10 * time.Millisecond
	points  = 512 // 32 ms
	bands   = 20
	behind  = 2 // hops that a rise is measured over
	lowest  = 100.0
	highest = 7500.0
	most    = window / 2 * int(time.Second/hop) / rate // hops of half a window

	silence = -60.0 // dBFS of a hop, below which it is silent
	quiet   = -70.0 // dBFS that is added to each band before the logarithm
)

// spectrum is the workspace of one Infer; the plan inside is not safe to share.
type spectrum struct {
	plan   *fourier.FFT
	window [points]float64
	frame  [points]float64
	coeff  [points/2 + 1]complex128
	edges  [bands + 1]int
	level  [behind + 1][bands]float64 // of the last hops, in nepers of power
	pcm    []float32
}

func newSpectrum() *spectrum {
	s := &spectrum{plan: fourier.NewFFT(points)}
	sum := 0.0
	for i := range s.window {
		s.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/points)
		sum += s.window[i] * s.window[i]
	}
	// The sum of 2|X|² over the bins is the mean square.
	norm := 1 / math.Sqrt(sum*points)
	for i := range s.window {
		s.window[i] *= norm
	}
	for b := range s.edges {
		f := lowest * math.Pow(highest/lowest, float64(b)/bands)
		s.edges[b] = max(int(math.Round(f*points/rate)), 1)
		if b > 0 {
			s.edges[b] = max(s.edges[b], s.edges[b-1]+1)
		}
	}
	return s
}

// Infer makes the grey picture and the onset strength while it is seen.
func (f *Family) Infer(ctx context.Context, m *align.Moment) (infer.Output, error) {
	if m.Frame == nil || m.Wave.PCM == nil {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.Image.W != imageW || m.Image.H != imageH || len(m.Image.Pix) != 3*imageW*imageH {
		return nil, fmt.Errorf("sync: picture of %dx%d (%d bytes) where %dx%d is asked for", m.Image.W, m.Image.H, len(m.Image.Pix), imageW, imageH)
	}
	pcm := m.Wave.PCM
	if pcm.Format == nil || pcm.Format.SampleRate != rate || pcm.Format.NumChannels != 1 {
		return nil, fmt.Errorf("sync: sound of %+v where %d Hz, mono, is asked for", pcm.Format, rate)
	}
	out := f.outputs.Take()
	luma(out.luma[:], m.Image.Pix)
	s := f.works.Take()
	defer f.works.Give(s)
	// From the frame to the one behind it; live, what was heard before it.
	from, to := m.At, m.At+m.Dur
	if f.live {
		from, to = m.At-second*window/rate, m.At
	}
	s.envelope(out, m, from, to)
	return out, nil
}

// luma converts RGB to grey (BT.601 weights, of 256).
func luma(dst []uint8, pix []byte) {
	for i := range dst {
		px := pix[:3:3]
		pix = pix[3:]
		dst[i] = uint8((77*uint32(px[0]) + 150*uint32(px[1]) + 29*uint32(px[2]) + 128) >> 8)
	}
}

// envelope fills in the hops in [from, to) as far as the window reaches.
func (s *spectrum) envelope(out *output, m *align.Moment, from, to time.Duration) {
	data := m.Wave.PCM.Data
	lo, hi := infer.RealSamples(m.Wave)
	// first returns the sample where the analysis of hop k begins.
	first := func(k int64) int {
		t := time.Duration(k)*hop - m.Wave.At
		return int(math.Round(t.Seconds()*rate)) - points/2
	}
	k := int64((from + hop - 1) / hop)
	if from < 0 {
		k = int64(from / hop)
	}
	for first(k-behind) < 0 {
		k++
	}
	out.hop, out.hops, out.loud = k, 0, false
	if first(k) > len(data)-points || time.Duration(k)*hop >= to {
		return
	}
	for i := range int64(behind) {
		s.bands(i, data[first(k-behind+i):][:points])
	}
	for n := int64(0); out.hops < most && time.Duration(k+n)*hop < to; n++ {
		at := first(k + n)
		if at > len(data)-points {
			break
		}
		power := s.bands(n+behind, data[at:][:points])
		rise := 0.0
		if first(k+n-behind) >= lo && at+points <= hi {
			rise = s.rise(n + behind)
			out.loud = out.loud || power > silentPower
		}
		out.onset[out.hops] = float32(rise)
		out.hops++
	}
}

var (
	silentPower = math.Pow(10, silence/10)
	quietPower  = math.Pow(10, quiet/10)
)

// bands analyses one hop, the i-th, and returns its power.
func (s *spectrum) bands(i int64, pcm []float32) float64 {
	for j, w := range s.window {
		x := float64(pcm[j])
		if x != x {
			x = 0
		}
		s.frame[j] = min(max(x, -1), 1) * w
	}
	s.plan.Coefficients(s.coeff[:], s.frame[:])
	total := 0.0
	level := &s.level[i%int64(len(s.level))]
	for b := range level {
		p := 0.0
		for _, c := range s.coeff[s.edges[b]:s.edges[b+1]] {
			a := cmplx.Abs(c)
			p += 2 * a * a
		}
		total += p
		level[b] = math.Log(p + quietPower)
	}
	return total
}

// rise is the mean over the bands of how far each has risen above the loudest of
// it and its neighbours a while before.
func (s *spectrum) rise(i int64) float64 {
	n := int64(len(s.level))
	now, was := &s.level[i%n], &s.level[(i-behind)%n]
	sum := 0.0
	for b, v := range now {
		sum += max(0, v-max(was[max(b-1, 0)], was[b], was[min(b+1, bands-1)]))
	}
	return sum / bands
}

package sync

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-audio/audio"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
)

// clip is a synthetic source.
type clip struct {
	dur   time.Duration
	times []time.Duration // of the frames
	cuts  map[int]bool
	sound []float32 // from zero; none if empty
	draw  func(pix []byte, at time.Duration)
}

// steady returns the times of frames at a constant rate.
func steady(dur time.Duration, fps float64) []time.Duration {
	var ts []time.Duration
	for i := 0; ; i++ {
		t := time.Duration(float64(i) * float64(time.Second) / fps)
		if t >= dur {
			return ts
		}
		ts = append(ts, t)
	}
}

// moment makes the moment of frame i as the aligner does.
func (c *clip) moment(i int, place align.Place) *align.Moment {
	at := c.times[i]
	m := &align.Moment{Stamp: ingest.Stamp{At: at}, Frame: &decode.Frame{Stamp: ingest.Stamp{At: at}, SrcW: 640, SrcH: 360}}
	m.Dur = c.dur - at
	if i+1 < len(c.times) {
		m.Dur = c.times[i+1] - at
	}
	if c.cuts[i] || i == 0 {
		m.Cut = 1
	}
	pix := make([]byte, 3*imageW*imageH)
	c.draw(pix, at)
	m.Image = decode.Image{W: imageW, H: imageH, Pix: pix}
	start := int(ingest.Samples(at, rate)) - window/2
	if place == align.End {
		start -= window / 2
	}
	pcm := make([]float32, window)
	missing := 0
	for j := range pcm {
		if k := start + j; k >= 0 && k < len(c.sound) {
			pcm[j] = c.sound[k]
		} else {
			missing++
		}
	}
	m.Wave = align.Window{
		Stamp:   ingest.Stamp{At: infer.SampleTimeF(float64(start), rate)},
		PCM:     &audio.Float32Buffer{Format: &audio.Format{SampleRate: rate, NumChannels: 1}, Data: pcm},
		Missing: ingest.SampleTime(int64(missing), rate),
	}
	return m
}

// run returns the events of a clip.
func run(t testing.TB, f *Family, c *clip) []infer.Event {
	t.Helper()
	var evs []infer.Event
	st := f.Open()
	for i := range c.times {
		m := c.moment(i, f.need.Place)
		out, err := f.Infer(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		e, err := f.Resolve(context.Background(), st, m, out)
		if err != nil {
			t.Fatal(err)
		}
		evs = append(evs, e...)
	}
	e, err := f.Finish(context.Background(), st)
	if err != nil {
		t.Fatal(err)
	}
	return append(evs, e...)
}

func family(t testing.TB, c Config) *Family {
	t.Helper()
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// clicks makes sound with a click at each time: a burst of noise, or a tone, that
// dies away, over noise of the given level.
func clicks(rng *rand.Rand, dur time.Duration, at []time.Duration, noise float64) []float32 {
	pcm := make([]float32, ingest.Samples(dur, rate))
	for i := range pcm {
		pcm[i] = float32(noise * rng.NormFloat64())
	}
	decay := math.Exp(rng.Float64()*math.Log(20)) * 0.005 * rate // 5 to 100 ms
	level := 0.05 + 0.4*rng.Float64()
	tone := 0.0
	if rng.IntN(2) == 0 {
		tone = 300 + 2500*rng.Float64()
	}
	for _, a := range at {
		k := int(ingest.Samples(a, rate))
		for j := 0; j < int(6*decay) && k+j < len(pcm); j++ {
			v := rng.NormFloat64()
			if tone > 0 {
				v = 1.4 * math.Sin(2*math.Pi*tone*float64(j)/rate)
			}
			pcm[k+j] += float32(level * math.Exp(-float64(j)/decay) * v)
		}
	}
	return pcm
}

// texture is a smooth random pattern that can be looked up anywhere.
type texture struct {
	base       float64
	fx, fy, ph [6]float64
	amp        [6]float64
	contrast   float64
}

func newTexture(rng *rand.Rand, contrast float64) *texture {
	t := &texture{base: 40 + 170*rng.Float64(), contrast: 0.8 * contrast}
	for i := range t.fx {
		t.fx[i] = rng.NormFloat64() * 0.35
		t.fy[i] = rng.NormFloat64() * 0.35
		t.ph[i] = rng.Float64() * 2 * math.Pi
		t.amp[i] = rng.Float64() / 3
	}
	return t
}

func (t *texture) at(x, y float64) float64 {
	v := 0.0
	for i := range t.fx {
		v += t.amp[i] * math.Sin(t.fx[i]*x+t.fy[i]*y+t.ph[i])
	}
	return v * t.contrast
}

// paint fills a picture with the texture, shifted.
func (t *texture) paint(img []float64, dx, dy float64) {
	for y := range imageH {
		for x := range imageW {
			img[y*imageW+x] = t.base + t.at(float64(x)-dx, float64(y)-dy)
		}
	}
}

// thing is an ellipse that moves in impulses.
type thing struct {
	x, y, rx, ry float64
	skin         *texture
	kind         int // 0: jumps off and back, 1: swells, 2: steps on and stays
	dx, dy       float64
	hold         time.Duration
	moves        []time.Duration
}

// swell is the most that a thing grows.
const swell = 1.2

func newThing(rng *rand.Rand, moves []time.Duration) *thing {
	r := 6 + 14*rng.Float64()
	a := rng.Float64() * 2 * math.Pi
	d := 1.5 + 4*rng.Float64()
	return &thing{
		x: 20 + rng.Float64()*(imageW-40), y: 18 + rng.Float64()*(imageH-36),
		rx: r * (0.7 + 0.6*rng.Float64()), ry: r * (0.7 + 0.6*rng.Float64()),
		skin: newTexture(rng, 20+40*rng.Float64()), kind: rng.IntN(3),
		dx: d * math.Cos(a), dy: d * math.Sin(a),
		hold:  time.Duration(60+rng.IntN(80)) * time.Millisecond,
		moves: moves,
	}
}

// paint draws the thing as it is at a time.
func (o *thing) paint(img []float64, at time.Duration) {
	x, y, grow := o.x, o.y, 1.0
	away := 0.0
	for n, m := range o.moves {
		if at < m {
			break
		}
		switch {
		case o.kind == 2:
			away = float64(1 - n%2)
		case at < m+o.hold:
			away = 1
		default:
			away = 0
		}
	}
	if o.kind == 1 {
		grow += (swell - 1) * away
	} else {
		x += o.dx * away
		y += o.dy * away
	}
	o.paintAt(img, x, y, grow)
}

func (o *thing) paintAt(img []float64, x, y, grow float64) {
	rx, ry := o.rx*grow, o.ry*grow
	for py := max(int(y-ry-1), 0); py <= min(int(y+ry+1), imageH-1); py++ {
		for px := max(int(x-rx-1), 0); px <= min(int(x+rx+1), imageW-1); px++ {
			u, v := (float64(px)-x)/rx, (float64(py)-y)/ry
			cover := min(max((1-math.Hypot(u, v))*min(rx, ry)+0.5, 0), 1)
			if cover == 0 {
				continue
			}
			s := o.skin.at((float64(px)-x)/grow, (float64(py)-y)/grow)
			p := &img[py*imageW+px]
			*p += cover * (o.skin.base + s - *p)
		}
	}
}

// holds reports whether a place, in parts of the frame, lies on the thing or
// within a cell of it.
func (o *thing) holds(x, y float64) bool {
	rx, ry := o.rx+math.Abs(o.dx), o.ry+math.Abs(o.dy)
	if o.kind == 1 {
		rx, ry = o.rx*swell, o.ry*swell
	}
	return math.Abs(x*imageW-o.x) <= rx+side && math.Abs(y*imageH-o.y) <= ry+side
}

// grain is noise to take pieces of.
var grain = func() (g [1 << 17]float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range g {
		g[i] = rng.NormFloat64()
	}
	return g
}()

// film quantizes a grey picture with noise.
func film(rng *rand.Rand, pix []byte, img []float64, noise float64) {
	g := grain[rng.IntN(len(grain)-len(img)):]
	for i, v := range img {
		y := uint8(min(max(v+noise*g[i]+0.5, 0), 255))
		pix[3*i], pix[3*i+1], pix[3*i+2] = y, y, y
	}
}

// beats draws times 250 to 900 ms apart.
func beats(rng *rand.Rand, dur time.Duration) []time.Duration {
	var ts []time.Duration
	ms := func(lo, hi int) time.Duration { return time.Duration(lo+rng.IntN(hi-lo)) * time.Millisecond }
	for t := ms(50, 650); t < dur; t += ms(250, 900) {
		ts = append(ts, t)
	}
	return ts
}

// between draws a time between each two of ts that are far enough apart.
func between(rng *rand.Rand, ts []time.Duration, apart time.Duration) []time.Duration {
	var out []time.Duration
	for i := 1; i < len(ts); i++ {
		if room := ts[i] - ts[i-1] - 2*apart; room > 0 {
			out = append(out, ts[i-1]+apart+time.Duration(rng.Int64N(int64(room))))
		}
	}
	return out
}

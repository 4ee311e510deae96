package rtsp_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ms   = time.Millisecond
	rate = 22050
)

// shown is a picture that came out.
type shown struct {
	ingest.Stamp
	index, w, h int
}

// heard is a stretch of sound without a hole.
type heard struct {
	ingest.Stamp
	pcm []float32
}

// media is what came out of a source.
type media struct {
	frames []shown
	sounds []heard
	stats  decode.Stats
}

// watch decodes src until enough says so, or for at most 20 s.
func watch(t *testing.T, src ingest.Source, enough func(*media) bool) *media {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	dec, err := ffmpeg.New(src.Streams(), decode.Outputs{
		Sizes:  []decode.Size{{W: 64, H: 64}},
		Sounds: []decode.Sound{{Rate: rate, Channels: 1}},
	}, ffmpeg.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	r := decode.NewReader(src, dec)
	m := &media{}
	var units []decode.Unit
	for !enough(m) {
		if units, err = r.Read(ctx, units[:0]); err != nil {
			t.Fatalf("after %d pictures and %d stretches of sound: %v", len(m.frames), len(m.sounds), err)
		}
		for _, u := range units {
			m.add(t, u)
			u.Release()
		}
	}
	m.stats = r.Stats()
	return m
}

func (m *media) add(t *testing.T, u decode.Unit) {
	t.Helper()
	switch {
	case u.Frame != nil:
		img := u.Frame.Images[0]
		f := shown{Stamp: u.Frame.Stamp, index: -1, w: u.Frame.SrcW, h: u.Frame.SrcH}
		if i, ok := mediatest.ReadRGB(img.W, img.H, img.Pix); ok {
			f.index = i
		}
		if n := len(m.frames); n > 0 && !m.frames[n-1].Before(f.Stamp) {
			t.Errorf("picture at %v after one at %v", f.Stamp, m.frames[n-1].Stamp)
		}
		m.frames = append(m.frames, f)
	case u.Block != nil:
		n := len(m.sounds)
		if n == 0 || m.sounds[n-1].Seg != u.Block.Seg || u.Block.At-m.sounds[n-1].end() > ingest.SampleTime(1, rate) {
			m.sounds = append(m.sounds, heard{Stamp: u.Block.Stamp})
			n++
		}
		m.sounds[n-1].pcm = append(m.sounds[n-1].pcm, u.Block.PCM.Data...)
	}
}

func (h *heard) end() time.Duration { return h.At + ingest.SampleTime(int64(len(h.pcm)), rate) }

// segs are the Segs in which pictures came.
func (m *media) segs() (list []uint32) {
	for _, f := range m.frames {
		if !slices.Contains(list, f.Seg) {
			list = append(list, f.Seg)
		}
	}
	return list
}

// apart holds the pictures against the clicks: for each picture during which a
// click sounds, how much later the click was than it should be. skip leaves out
// the Segs for which it is true.
func (m *media) apart(c mediatest.Clip, skip func(seg uint32) bool) (errs []time.Duration) {
	truth := map[int]time.Duration{}
	for _, f := range c.Frames {
		truth[f.Index] = time.Duration(f.PTS)
	}
	pulse := mediatest.Pulse(rate)
	if c.Audio.Lossless {
		pulse = []float64{1}
	}
	const radius = rate * 3 / 20 // less than between the last click of a round and the first
	for _, k := range c.Clicks {
		for _, f := range m.frames {
			if f.index != k.Frame || k.Frame < 0 || skip != nil && skip(f.Seg) {
				continue
			}
			at := f.At + time.Duration(k.T) - truth[f.index]
			for _, h := range m.sounds {
				if h.Seg != f.Seg {
					continue
				}
				near := int(ingest.Samples(at-h.At, rate))
				if near < radius || near >= len(h.pcm)-radius {
					continue
				}
				found := mediatest.Locate(h.pcm, pulse, near, radius)
				if loud(h.pcm, found) < 0.25 {
					continue // the click is not in here
				}
				errs = append(errs, h.At+ingest.SampleTime(int64(found), rate)-at)
			}
		}
	}
	slices.SortFunc(errs, func(a, b time.Duration) int { return int(a.Abs() - b.Abs()) })
	return errs
}

func loud(pcm []float32, at int) (most float64) {
	for _, v := range pcm[max(at-2, 0):min(at+3, len(pcm))] {
		most = max(most, math.Abs(float64(v)))
	}
	return most
}

// p99 is the 99th percentile of sorted errors, the largest of few.
func p99(errs []time.Duration) time.Duration {
	return errs[(len(errs)*99+99)/100-1].Abs()
}

// bound is what the project promises.
const bound = 10 * ms

// checkApart reports errors beyond the bound.
func checkApart(t *testing.T, errs []time.Duration, least int) {
	t.Helper()
	if len(errs) < least {
		t.Fatalf("%d clicks were found on their pictures, want %d", len(errs), least)
	}
	t.Logf("%d clicks, 99th percentile %v off, median %v", len(errs), p99(errs), errs[len(errs)/2].Abs())
	if d := p99(errs); d > bound {
		t.Errorf("sound and picture are %v apart, want at most %v: %v", d, bound, errs)
	}
}

package truthtest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/ingest/mediatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The sounds that are asked for: the source's own form, and what networks get.
const (
	own = iota
	mono
	monoRate = 22050
)

// shown is one picture as it came out.
type shown struct {
	ingest.Stamp
	index      int // of the barcode, -1 if it can't be read
	srcW, srcH int
}

// heard is a stretch of sound without a hole.
type heard struct {
	ingest.Stamp
	rate    int
	samples []float32 // of the first channel
}

func (h heard) end() time.Duration {
	return h.At + ingest.SampleTime(int64(len(h.samples)), h.rate)
}

// media is everything that came out of a file.
type media struct {
	streams []ingest.Stream
	frames  []shown
	sounds  [2][]heard
	ends    map[ingest.Kind]int
	stats   decode.Stats
	damage  av.Damage
}

// zero returns the earliest stamp of a seg.
func (m *media) zero(seg uint32) time.Duration {
	at := time.Duration(-1)
	see := func(s ingest.Stamp) {
		if s.Seg == seg && (at < 0 || s.At < at) {
			at = s.At
		}
	}
	for _, f := range m.frames {
		see(f.Stamp)
	}
	for _, b := range m.sounds[own] {
		see(b.Stamp)
	}
	return at
}

// read takes a file through the pipeline. size is that of the pictures to look
// at, or zero for none. It checks what holds for every input: stamps in order,
// no block over another, nothing left behind.
func read(t *testing.T, path string, size [2]int) (*media, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	src, err := av.Open(ctx, path, av.DefaultOptions())
	if err != nil {
		return nil, err
	}
	out := decode.Outputs{Sounds: []decode.Sound{{}, {Rate: monoRate, Channels: 1}}}
	if size[0] > 0 {
		// As it is, and as networks get it: upright, not in its proportions.
		out.Sizes = []decode.Size{{W: size[0], H: size[1]}, {W: 224, H: 224}}
	}
	dec, err := ffmpeg.New(src.Streams(), out, ffmpeg.Options{})
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	r := decode.NewReader(src, dec)
	m := &media{streams: r.Streams(), ends: map[ingest.Kind]int{}}
	var units []decode.Unit
	for err == nil {
		units, err = r.Read(ctx, units[:0])
		for _, u := range units {
			m.add(t, u)
			u.Release()
		}
	}
	m.stats, m.damage = r.Stats(), src.Damage()
	if held := dec.Held(); held != 0 {
		t.Errorf("%d frames and blocks are still held", held)
	}
	if cerr := r.Close(); cerr != nil {
		t.Errorf("close: %v", cerr)
	}
	if err == io.EOF {
		err = nil
	}
	return m, err
}

func (m *media) add(t *testing.T, u decode.Unit) {
	t.Helper()
	switch {
	case u.Frame != nil:
		f := shown{Stamp: u.Frame.Stamp, index: -1, srcW: u.Frame.SrcW, srcH: u.Frame.SrcH}
		for i, img := range u.Frame.Images {
			index, ok := mediatest.ReadRGB(img.W, img.H, img.Pix)
			if !ok || i > 0 && index != f.index {
				f.index = -1 // not one barcode in every size
				break
			}
			f.index = index
		}
		if n := len(m.frames); n > 0 && !m.frames[n-1].Before(f.Stamp) {
			t.Errorf("picture at %v after one at %v", f.Stamp, m.frames[n-1].Stamp)
		}
		m.frames = append(m.frames, f)
	case u.Block != nil:
		m.hear(t, u.Block)
	case u.End != nil:
		m.ends[u.End.Kind]++
	}
}

// hear joins the block to what came before, if it follows without a hole. A step
// of less than a sample is rounding.
func (m *media) hear(t *testing.T, b *decode.Block) {
	t.Helper()
	channels, rate := b.PCM.Format.NumChannels, b.PCM.Format.SampleRate
	list := m.sounds[b.Sound]
	follows := false
	if n := len(list); n > 0 {
		last := list[n-1]
		step := b.At - last.end()
		sample := ingest.SampleTime(1, rate)
		if b.Seg == last.Seg && step < -sample {
			t.Errorf("sound %d at %v overlaps what ends at %v", b.Sound, b.Stamp, last.end())
		}
		if b.Seg < last.Seg {
			t.Errorf("sound %d at %v after seg %d", b.Sound, b.Stamp, last.Seg)
		}
		follows = b.Seg == last.Seg && rate == last.rate && step < sample
	}
	if !follows {
		list = append(list, heard{Stamp: b.Stamp, rate: rate})
	}
	h := &list[len(list)-1]
	for i := 0; i < len(b.PCM.Data); i += channels {
		h.samples = append(h.samples, b.PCM.Data[i])
	}
	m.sounds[b.Sound] = list
}

package align

import (
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

const ms = time.Millisecond

var (
	bothStreams = []ingest.Stream{{Index: 0, Kind: ingest.Video}, {Index: 1, Kind: ingest.Audio, SampleRate: 48000, Channels: 2}}
	oneSound    = decode.Outputs{Sizes: []decode.Size{{W: 8, H: 8}}, Sounds: []decode.Sound{{Rate: 8000, Channels: 1}}}
)

// media makes units from one pool.
type media struct {
	pool decode.Pool
}

func (m *media) frame(seg uint32, at, dur time.Duration, shade byte) decode.Unit {
	f := m.pool.Frame([][2]int{{8, 8}})
	f.Stamp, f.Dur = ingest.Stamp{At: at, Seg: seg}, dur
	for i := range f.Images[0].Pix {
		f.Images[0].Pix[i] = shade
	}
	return decode.Unit{Frame: f}
}

// block makes n samples that play from at; the value of each tells its time.
func (m *media) block(seg uint32, sound, rate int, at time.Duration, n int) decode.Unit {
	b := m.pool.Block(rate, 1, n)
	b.Stamp, b.Sound = ingest.Stamp{At: at, Seg: seg}, sound
	for i := range n {
		b.PCM.Data[i] = float32(ingest.Samples(at, rate) + int64(i) + 1)
	}
	return decode.Unit{Block: b}
}

func end(seg uint32, k ingest.Kind, at time.Duration) decode.Unit {
	return decode.Unit{End: &decode.End{Stamp: ingest.Stamp{At: at, Seg: seg}, Kind: k}}
}

// frames makes n frames, step apart, and the stream's end.
func (m *media) frames(seg uint32, from, step time.Duration, n int) []decode.Unit {
	var us []decode.Unit
	for i := range n {
		us = append(us, m.frame(seg, from+time.Duration(i)*step, step, byte(i)))
	}
	return append(us, end(seg, ingest.Video, from+time.Duration(n)*step))
}

// sound makes total samples in blocks of per, and the stream's end.
func (m *media) sound(seg uint32, rate int, from time.Duration, total, per int) []decode.Unit {
	var us []decode.Unit
	for i := 0; i < total; i += per {
		us = append(us, m.block(seg, 0, rate, from+ingest.SampleTime(int64(i), rate), min(per, total-i)))
	}
	return append(us, end(seg, ingest.Audio, from+ingest.SampleTime(int64(total), rate)))
}

// describe writes all that a moment says, samples and pixels included.
func describe(m *Moment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "need %d seg %d at %d dur %d", m.Need, m.Seg, m.At, m.Dur)
	if m.Frame != nil {
		fmt.Fprintf(&b, " frame %d/%d", m.Frame.Seg, m.Frame.At)
	}
	if m.Image.Pix != nil {
		fmt.Fprintf(&b, " pixel %d", m.Image.Pix[0])
	}
	if m.Wave.PCM != nil {
		h := fnv.New64()
		for _, v := range m.Wave.PCM.Data {
			u := math.Float32bits(v)
			h.Write([]byte{byte(u), byte(u >> 8), byte(u >> 16), byte(u >> 24)})
		}
		fmt.Fprintf(&b, " wave %d/%d n %d %x missing %d skew %d", m.Wave.Seg, m.Wave.At, len(m.Wave.PCM.Data), h.Sum64(), m.Wave.Missing, m.Skew)
	}
	fmt.Fprintf(&b, " cut %.3f gap %v", m.Cut, m.Gap)
	return b.String()
}

// collect runs the units through an aligner, hands each moment to see, and
// checks that nothing is left.
func collect(t testing.TB, m *media, out decode.Outputs, streams []ingest.Stream, needs []Need, opt Options, units []decode.Unit, see func(*Moment)) Stats {
	t.Helper()
	a, err := New(out, streams, needs, opt)
	if err != nil {
		t.Fatal(err)
	}
	var buf []*Moment
	give := func(ms []*Moment) {
		for _, x := range ms {
			see(x)
			x.Release()
		}
	}
	for _, u := range units {
		buf = a.Push(buf[:0], u)
		give(buf)
	}
	give(a.Flush(buf[:0]))
	if n := a.Held(); n != 0 {
		t.Fatalf("%d moments held", n)
	}
	if n := m.pool.Held(); n != 0 {
		t.Fatalf("%d frames and blocks held", n)
	}
	return a.Stats()
}

func TestEveryFrame(t *testing.T) {
	m := new(media)
	units := append(m.frames(0, 0, 40*ms, 25), m.sound(0, 8000, 0, 8000, 160)...)
	needs := []Need{{Cadence: EveryFrame, Sound: 0, Window: 800, Place: Centre}}
	n := 0
	st := collect(t, m, oneSound, bothStreams, needs, Options{}, units, func(x *Moment) {
		at := time.Duration(n) * 40 * ms
		if x.At != at || x.Frame == nil || x.Image.Pix[0] != byte(n) || x.Dur != 40*ms {
			t.Fatalf("moment %d: %s", n, describe(x))
		}
		if x.Skew != 0 || x.Wave.At != at-50*ms || len(x.Wave.PCM.Data) != 800 {
			t.Fatalf("moment %d: %s", n, describe(x))
		}
		missing := 0
		for i, v := range x.Wave.PCM.Data {
			k := n*320 - 400 + i
			want := float32(k + 1)
			if k < 0 || k >= 8000 {
				want = 0
				missing++
			}
			if v != want {
				t.Fatalf("moment %d, sample %d: %g, want %g", n, i, v, want)
			}
		}
		if x.Wave.Missing != ingest.SampleTime(int64(missing), 8000) {
			t.Fatalf("moment %d: missing %v, want %d samples", n, x.Wave.Missing, missing)
		}
		n++
	})
	if n != 25 || st.End != time.Second || st.Segs != 1 || st.MissingAudio != 0 {
		t.Fatalf("%d moments, %+v", n, st)
	}
}

package overlay

import (
	"context"
	"io"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// fakeMedia is a source and its decoder in one, with pictures and clicks that are
// computed: the second pass without libavcodec.
type fakeMedia struct {
	w, h     int
	frames   []ingest.Stamp
	dur      time.Duration // of a frame
	paint    func(i int, img decode.Image)
	rate     int // 0: no sound
	channels int
	start    time.Duration // of the sound
	samples  int64         // from start
	clicks   map[int64]bool
	fail     error // instead of the end

	out   decode.Outputs
	pool  *decode.Pool
	next  int
	sent  int64
	close int
}

func (m *fakeMedia) open(_ context.Context, out decode.Outputs) (*decode.Reader, error) {
	m.out, m.next, m.sent = out, 0, 0
	if m.pool == nil {
		m.pool = new(decode.Pool)
	}
	return decode.NewReader(m, fakeDecoder{m}), nil
}

func (m *fakeMedia) streams() (s []ingest.Stream) {
	if len(m.frames) > 0 {
		s = append(s, ingest.Stream{Kind: ingest.Video, Codec: "fake", Width: m.w, Height: m.h, FrameRate: ingest.Timebase{Num: int32(time.Second / m.dur), Den: 1}})
	}
	if m.rate > 0 {
		s = append(s, ingest.Stream{Index: 1, Kind: ingest.Audio, Codec: "fake", SampleRate: m.rate, Channels: m.channels})
	}
	return s
}

func (m *fakeMedia) Streams() []ingest.Stream { return m.streams() }
func (m *fakeMedia) Live() bool               { return false }
func (m *fakeMedia) Close() error             { m.close++; return nil }

// fakeBlock is the length of a block in samples.
const fakeBlock = 1024

// Read gives a packet for each frame and block, the earlier first.
func (m *fakeMedia) Read(ctx context.Context) (ingest.Packet, error) {
	if err := ctx.Err(); err != nil {
		return ingest.Packet{}, err
	}
	more := m.sent < m.samples && m.rate > 0
	at := m.start
	if more {
		at += ingest.SampleTime(m.sent, m.rate)
	}
	if m.next < len(m.frames) && (!more || m.frames[m.next].At <= at) {
		m.next++
		return ingest.Packet{PTS: time.Duration(m.next - 1)}, nil
	}
	if !more {
		if m.fail != nil {
			return ingest.Packet{}, m.fail
		}
		return ingest.Packet{}, io.EOF
	}
	m.sent += fakeBlock
	return ingest.Packet{Stream: 1, PTS: at}, nil
}

type fakeDecoder struct{ m *fakeMedia }

func (d fakeDecoder) Stats() decode.Stats { return decode.Stats{} }
func (d fakeDecoder) Close() error        { d.m.close++; return nil }

func (d fakeDecoder) Decode(dst []decode.Unit, p *ingest.Packet) ([]decode.Unit, error) {
	m := d.m
	if p == nil {
		return dst, nil
	}
	if p.Stream == 1 {
		if len(m.out.Sounds) == 0 {
			return dst, nil
		}
		from := m.sent - fakeBlock
		n := min(fakeBlock, m.samples-from)
		b := m.pool.Block(m.rate, m.channels, int(n))
		b.At = p.PTS
		for i := range n {
			v := float32(0)
			if m.clicks[from+i] {
				v = 0.9
			}
			for c := range m.channels {
				b.PCM.Data[int(i)*m.channels+c] = v
			}
		}
		return append(dst, decode.Unit{Block: b}), nil
	}
	i := int(p.PTS)
	var sizes [][2]int
	for _, s := range m.out.Sizes {
		w, h := m.w, m.h
		if k := min(float64(s.W)/float64(w), float64(s.H)/float64(h)); k < 1 {
			w, h = int(float64(w)*k)&^1, int(float64(h)*k)&^1
		}
		sizes = append(sizes, [2]int{w, h})
	}
	f := m.pool.Frame(sizes)
	f.Stamp, f.Dur, f.SrcW, f.SrcH = m.frames[i], m.dur, m.w, m.h
	for _, img := range f.Images {
		m.paint(i, img)
	}
	return append(dst, decode.Unit{Frame: f}), nil
}

// every returns n stamps that far apart.
func every(n int, step time.Duration) (s []ingest.Stamp) {
	for i := range n {
		s = append(s, ingest.Stamp{At: time.Duration(i) * step})
	}
	return s
}

// grey paints one level of grey, that of the number of the frame.
func grey(i int, img decode.Image) {
	for k := range img.Pix {
		img.Pix[k] = byte(32 + i%8*24)
	}
}

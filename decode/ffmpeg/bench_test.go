package ffmpeg

import (
	"context"
	"io"
	"testing"

	astiav "github.com/asticode/go-astiav"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// runLean decodes src and keeps nothing.
func runLean(t testing.TB, src ingest.Source, out decode.Outputs, o Options) decode.Stats {
	t.Helper()
	dec, err := New(src.Streams(), out, o)
	if err != nil {
		t.Fatal(err)
	}
	r := decode.NewReader(src, dec)
	defer r.Close()
	var units []decode.Unit
	for {
		units, err = r.Read(context.Background(), units[:0])
		for _, u := range units {
			u.Release()
		}
		if err == io.EOF {
			return r.Stats()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkScale scales one 1080p picture.
func BenchmarkScale(b *testing.B) {
	for _, bench := range []struct {
		name string
		size decode.Size
	}{
		{"224", decode.Size{W: 224, H: 224}},
		{"224lanczos", decode.Size{W: 224, H: 224, Filter: decode.Lanczos}},
		{"within", decode.Size{W: 1920, H: 1080, Fit: decode.Within}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			f := astiav.AllocFrame()
			defer f.Free()
			f.SetWidth(1920)
			f.SetHeight(1080)
			f.SetPixelFormat(astiav.PixelFormatYuv420P)
			if err := f.AllocBuffer(0); err != nil {
				b.Fatal(err)
			}
			s, err := newScaler(bench.size, look{w: 1920, h: 1080, format: int(astiav.PixelFormatYuv420P)})
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			pix := make([]byte, 3*s.w*s.h)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.run(f.UnsafePointer(), pix); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package ffmpeg

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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
		if errors.Is(err, io.EOF) {
			return r.Stats()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hd makes ten seconds of 1080p30 H.264 with AAC, moving and noisy.
func hd(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "hd.mp4")
	ffmpeg(b, "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30:d=10", "-f", "lavfi", "-i", "sine=440:r=48000:d=10,aformat=channel_layouts=stereo",
		"-vf", "noise=alls=12:allf=t", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "5M", "-pix_fmt", "yuv420p", "-c:a", "aac", path)
	return path
}

// BenchmarkDecode takes the packets of a 1080p30 file, already read, to 224x224
// RGB and 22,050 Hz mono; an operation is one packet.
func BenchmarkDecode(b *testing.B) {
	src := open(b, hd(b))
	var list []ingest.Packet
	for {
		p, err := src.Read(context.Background())
		if err != nil {
			break
		}
		list = append(list, p)
	}
	b.ReportAllocs()
	var units []decode.Unit
	var last time.Duration
	d, err := New(src.streams, both, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { d.Close() }()
	for i := 0; b.Loop(); i++ {
		p := list[i%len(list)]
		p.Seg = uint32(i / len(list))
		if units, err = d.Decode(units[:0], &p); err != nil {
			b.Fatal(err)
		}
		for _, u := range units {
			if u.Frame != nil {
				last = u.Frame.At
			}
			u.Release()
		}
	}
	_ = last
	b.ReportMetric(float64(d.Stats().Frames)/b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkAgainstFFmpeg compares CPU time with the ffmpeg on PATH doing the same
// decode, scale and resample, in turns: "ratio" is ours to its.
func BenchmarkAgainstFFmpeg(b *testing.B) {
	path := hd(b)
	var ours, theirs time.Duration
	for b.Loop() {
		before := cpu()
		runLean(b, open(b, path), both, Options{})
		ours += cpu() - before
		cmd := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", path,
			"-map", "0:v", "-vf", "scale=224:224:flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp", "-pix_fmt", "rgb24", "-f", "rawvideo", "/dev/null",
			"-map", "0:a", "-ac", "1", "-ar", "22050", "-c:a", "pcm_f32le", "-f", "f32le", "/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		theirs += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	b.ReportMetric(float64(ours)/float64(theirs), "ratio")
}

// cpu is the processor time this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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

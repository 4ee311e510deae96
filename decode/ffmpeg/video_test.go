package ffmpeg

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	astiav "github.com/asticode/go-astiav"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// chart is a row of colours, each cell of it w x h pixels.
var chart = [][3]float64{
	{255, 255, 255},
	{0, 0, 0},
	{128, 128, 128},
	{255, 0, 0},
	{0, 255, 0},
	{0, 0, 255},
	{255, 255, 0},
	{0, 255, 255},
	{255, 0, 255},
	{200, 120, 40},
	{30, 90, 160},
	{240, 200, 180},
}

// chartYUV computes the chart as planar 4:2:0 from the definitions of the
// standards: luma kr*R+kg*G+kb*B, chroma the scaled differences to it.
func chartYUV(kr, kb float64, depth int, full bool, cw, ch int) (data []byte, w, h int) {
	w, h = cw*len(chart), ch
	unit := math.Pow(2, float64(depth-8))
	put := func(v float64) {
		n := int(min(math.Round(v), 256*unit-1))
		data = append(data, byte(n))
		if depth > 8 {
			data = append(data, byte(n>>8))
		}
	}
	planes := func(c [3]float64) (y, u, v float64) {
		r, g, b := c[0]/255, c[1]/255, c[2]/255
		l := kr*r + (1-kr-kb)*g + kb*b
		u, v = (b-l)/(2*(1-kb)), (r-l)/(2*(1-kr))
		if full {
			most := math.Pow(2, float64(depth)) - 1
			return l * most, 128*unit + u*most, 128*unit + v*most
		}
		return (16 + 219*l) * unit, (128 + 224*u) * unit, (128 + 224*v) * unit
	}
	for plane := range 3 {
		sub := 1
		if plane > 0 {
			sub = 2
		}
		for range h / sub {
			for x := range w / sub {
				y, u, v := planes(chart[x*sub/cw])
				put([]float64{y, u, v}[plane])
			}
		}
	}
	return data, w, h
}

// TestColour encodes the chart losslessly in every matrix, range and depth and
// expects its true RGB back.
func TestColour(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		space    string
		kr, kb   float64
		depth    int
		full     bool
		untagged bool
		wide     bool // 1280 pixels and more
	}{
		{space: "smpte170m", kr: 0.299, kb: 0.114, depth: 8},
		{space: "bt470bg", kr: 0.299, kb: 0.114, depth: 8, full: true},
		{space: "bt709", kr: 0.2126, kb: 0.0722, depth: 8},
		{space: "bt709", kr: 0.2126, kb: 0.0722, depth: 8, full: true},
		{space: "bt709", kr: 0.2126, kb: 0.0722, depth: 10},
		{space: "bt2020nc", kr: 0.2627, kb: 0.0593, depth: 10},
		{space: "bt2020nc", kr: 0.2627, kb: 0.0593, depth: 10, full: true},
		{space: "smpte240m", kr: 0.212, kb: 0.087, depth: 8},
		{space: "fcc", kr: 0.30, kb: 0.11, depth: 8},
		{kr: 0.299, kb: 0.114, depth: 8, untagged: true},
		{kr: 0.2126, kb: 0.0722, depth: 8, untagged: true, wide: true},
	} {
		name := fmt.Sprintf("%s-%d-full=%v-wide=%v", c.space, c.depth, c.full, c.wide)
		t.Run(name, func(t *testing.T) {
			cw := 32
			if c.wide {
				cw = 112
			}
			raw, w, h := chartYUV(c.kr, c.kb, c.depth, c.full, cw, 32)
			in, path := filepath.Join(dir, "in.yuv"), filepath.Join(dir, name+".mp4")
			if err := os.WriteFile(in, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			format, rng := "yuv420p", "tv"
			if c.depth == 10 {
				format = "yuv420p10le"
			}
			if c.full {
				rng = "pc"
			}
			// The tags stand on the input as well, or ffmpeg would convert.
			tags := []string{"-color_range", rng}
			if !c.untagged {
				tags = append(tags, "-colorspace", c.space)
			}
			args := append([]string{"-f", "rawvideo", "-pix_fmt", format, "-s", fmt.Sprintf("%dx%d", w, h), "-r", "25"}, tags...)
			args = append(append(args, "-i", in, "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast"), tags...)
			ffmpeg(t, append(args, path)...)
			// Squashed to two pixels a cell, so that the filter sees two colours
			// at most and the middle of a large cell stays pure: here, natural size.
			got := run(t, open(t, path), decode.Outputs{Sizes: []decode.Size{{W: w, H: h}, {W: w / 2, H: h / 2, Filter: decode.Bicubic}}}, Options{})
			if len(got.frames) != 1 {
				t.Fatalf("%d frames", len(got.frames))
			}
			for i, im := range got.frames[0].Images {
				for n, want := range chart {
					x, y := (2*n+1)*im.W/(2*len(chart)), im.H/2
					px := im.Pix[3*(y*im.W+x):][:3]
					for k := range 3 {
						if math.Abs(float64(px[k])-want[k]) > 2 {
							t.Errorf("image %d colour %d is %v, want %v", i, n, px, want)
							break
						}
					}
				}
			}
		})
	}
}

// TestUnpacked feeds layouts that go through libswscale first.
func TestUnpacked(t *testing.T) {
	dir := t.TempDir()
	raw, w, h := chartYUV(0.299, 0.114, 8, false, 32, 16)
	in := filepath.Join(dir, "in.yuv")
	if err := os.WriteFile(in, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"nv12", "yuyv422", "uyvy422", "rgb565le", "rgb48le", "pal8", "gray10le", "rgb24", "bgra", "gbrp10le", "p010le", "yuv410p", "monob"} {
		t.Run(format, func(t *testing.T) {
			path, size := filepath.Join(dir, format+".raw"), fmt.Sprintf("%dx%d", w, h)
			ffmpeg(t, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-i", in,
				"-sws_flags", "accurate_rnd+full_chroma_int+neighbor", "-pix_fmt", format, "-f", "rawvideo", path)
			want := ffmpeg(t, "-f", "rawvideo", "-pix_fmt", format, "-s", size, "-i", path, "-vf", "scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp+bilinear", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
			src := openRaw(t, path, format, w, h)
			got := run(t, src, decode.Outputs{Sizes: []decode.Size{{W: w, H: h}}}, Options{})
			if len(got.frames) != 1 {
				t.Fatalf("%d frames, %+v", len(got.frames), got.stats)
			}
			im := got.frames[0].Images[0]
			for n := range chart { // the middle of each cell: siting differs at edges
				i := 3 * (h/2*w + 32*n + 16)
				if mean, most := apart(t, im.Pix[i:i+3], want[i:i+3]); most > 2 {
					t.Errorf("colour %d is %v, ffmpeg says %v (mean %.1f)", n, im.Pix[i:i+3], want[i:i+3], mean)
				}
			}
		})
	}
}

// TestRotation compares with ffmpeg, which turns by the same matrix.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.mp4")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc=s=96x64:r=5:d=0.2", "-pix_fmt", "yuv444p", "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", plain)
	for _, degrees := range []int{0, 90, 180, 270} {
		path := filepath.Join(dir, fmt.Sprintf("%d.mp4", degrees))
		ffmpeg(t, "-display_rotation", fmt.Sprint(-degrees), "-i", plain, "-c", "copy", path)
		src := open(t, path)
		if src.streams[0].Rotation != degrees {
			t.Fatalf("rotation %d, want %d", src.streams[0].Rotation, degrees)
		}
		w, h := 96, 64
		if degrees%180 != 0 {
			w, h = h, w
		}
		got := run(t, src, decode.Outputs{Sizes: []decode.Size{{W: w, H: h}, {W: 40, H: 40, Fit: decode.Crop}, {W: 48, H: 48, Fit: decode.Within}}}, Options{})
		f := got.frames[0]
		want := ffmpeg(t, "-i", path, "-frames:v", "1", "-vf", "scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
		if f.SrcW != w || f.SrcH != h {
			t.Errorf("%d: source %dx%d, want %dx%d", degrees, f.SrcW, f.SrcH, w, h)
		}
		if mean, most := apart(t, f.Images[0].Pix, want); most > 2 {
			t.Errorf("%d: mean %.2f, most %d", degrees, mean, most)
		}
		if im := f.Images[2]; im.W*h != im.H*w || max(im.W, im.H) != 48 {
			t.Errorf("%d: within 48x48 is %dx%d", degrees, im.W, im.H)
		}
	}
}

// turn turns RGB clockwise by quarter turns, pixel by pixel.
func turn(pix []byte, w, h, quarters int) ([]byte, int, int) {
	for range quarters {
		out := make([]byte, len(pix))
		for y := range h {
			for x := range w {
				copy(out[3*(x*h+h-1-y):][:3], pix[3*(y*w+x):][:3])
			}
		}
		pix, w, h = out, h, w
	}
	return pix, w, h
}

// TestCropAndTurn cuts and turns at once: the same as to turn first.
func TestCropAndTurn(t *testing.T) {
	for quarters := range 4 {
		pix, w, h := turn(picture(75, 50), 75, 50, 0)
		upright, uw, uh := turn(pix, w, h, quarters)
		for _, size := range []decode.Size{{W: 31, H: 31, Fit: decode.Crop}, {W: 20, H: 44, Fit: decode.Crop}, {W: 30, H: 90, Fit: decode.Within}, {W: 13, H: 29}} {
			got, gw, gh := scaled(t, newFrame(t, w, h, astiav.PixelFormatRgb24, pix), size, look{orient: rotated(90 * quarters)})
			want, ww, wh := scaled(t, newFrame(t, uw, uh, astiav.PixelFormatRgb24, upright), size, look{})
			if gw != ww || gh != wh {
				t.Errorf("%d quarters, %+v: %dx%d, want %dx%d", quarters, size, gw, gh, ww, wh)
				continue
			}
			// The passes come in the other order, so the roundings do.
			if mean, most := apart(t, got, want); most > 1 {
				t.Errorf("%d quarters, %+v: mean %.2f, most %d", quarters, size, mean, most)
			}
		}
	}
}

func TestDisplayMatrix(t *testing.T) {
	const one = 1 << 16
	for _, c := range []struct {
		m    [4]int32
		want orientation
	}{
		{[4]int32{one, 0, 0, one}, rotated(0)},
		{[4]int32{0, one, -one, 0}, rotated(90)},
		{[4]int32{-one, 0, 0, -one}, rotated(180)},
		{[4]int32{0, -one, one, 0}, rotated(270)},
		{[4]int32{-one, 0, 0, one}, orientation{flipX: true}},
		{[4]int32{1000, one, -one, -1000}, rotated(90)},
	} {
		if got := fromMatrix(c.m); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.m, got, c.want)
		}
	}
	for in, want := range map[int]int{-90: 270, 450: 90, 91: 90, 359: 0, -1: 0, 44: 0, 46: 90} {
		if rotated(in) != rotated(want) {
			t.Errorf("%d: %+v, want that of %d", in, rotated(in), want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		size decode.Size
		src  source
		want box
	}{
		{decode.Size{W: 224, H: 224}, source{1920, 1080, 1}, box{224, 224, 0, 0, 224, 224}},
		{decode.Size{W: 224, H: 224, Fit: decode.Crop}, source{1920, 1080, 1}, box{398, 224, 87, 0, 224, 224}},
		{decode.Size{W: 224, H: 224, Fit: decode.Crop}, source{1080, 1920, 1}, box{224, 398, 0, 87, 224, 224}},
		{decode.Size{W: 1920, H: 1080, Fit: decode.Within}, source{1920, 1080, 1}, box{1920, 1080, 0, 0, 1920, 1080}},
		{decode.Size{W: 1920, H: 1080, Fit: decode.Within}, source{3840, 1606, 1}, box{1920, 802, 0, 0, 1920, 802}},
		{decode.Size{W: 1920, H: 1080, Fit: decode.Within}, source{641, 361, 1}, box{640, 360, 0, 0, 640, 360}},
		{decode.Size{W: 854, H: 480, Fit: decode.Within}, source{1920, 1080, 1}, box{852, 480, 0, 0, 852, 480}},
		{decode.Size{W: 1920, H: 1080, Fit: decode.Within}, source{720, 576, 64.0 / 45}, box{1024, 576, 0, 0, 1024, 576}},
		{decode.Size{W: 1920, H: 1080, Fit: decode.Within}, source{720, 480, 8.0 / 9}, box{720, 540, 0, 0, 720, 540}},
	} {
		if got := fit(c.size, c.src); got != c.want {
			t.Errorf("%+v of %+v: %+v, want %+v", c.size, c.src, got, c.want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		side := rapid.IntRange(2, 5000)
		s := source{side.Draw(r, "w"), side.Draw(r, "h"), rapid.Float64Range(0.2, 5).Draw(r, "pixel")}
		size := decode.Size{W: side.Draw(r, "W"), H: side.Draw(r, "H"), Fit: decode.Fit(rapid.IntRange(0, 2).Draw(r, "fit"))}
		for _, o := range []orientation{{}, rotated(90), rotated(180), rotated(270)} {
			b := fit(size, s).stored(o)
			if b.x < 0 || b.y < 0 || b.x+b.w > b.fullW || b.y+b.h > b.fullH || b.w <= 0 || b.h <= 0 {
				r.Fatalf("%+v leaves the picture", b)
			}
		}
		b := fit(size, s)
		if size.Fit != decode.Within {
			if b.w != size.W || b.h != size.H {
				r.Fatalf("%+v is not %+v", b, size)
			}
			return
		}
		dw, dh := s.displayed()
		if b.w%2 != 0 || b.h%2 != 0 || (b.w > 2 && (b.w > size.W || float64(b.w) > dw+0.01)) || (b.h > 2 && (b.h > size.H || float64(b.h) > dh+0.01)) {
			r.Fatalf("%+v of %vx%v within %+v", b, dw, dh, size)
		}
	})
}

// TestSizeChange plays two transport streams one after the other through one
// decoder: every frame arrives, each at its own size.
func TestSizeChange(t *testing.T) {
	dir := t.TempDir()
	var list []ingest.Packet
	var streams []ingest.Stream
	for i, size := range []string{"320x240", "160x120", "320x240"} {
		path := filepath.Join(dir, fmt.Sprint(i, ".ts"))
		ffmpeg(t, "-f", "lavfi", "-i", "testsrc=r=25:d=1:s="+size, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "2", "-preset", "fast", path)
		src := open(t, path)
		if i == 0 {
			streams = src.streams
		}
		for {
			p, err := src.Read(t.Context())
			if err != nil {
				break
			}
			p.PTS += time.Duration(i) * time.Second
			p.DTS += time.Duration(i) * time.Second
			list = append(list, p)
		}
	}
	got := run(t, &packets{streams, list}, decode.Outputs{Sizes: []decode.Size{{W: 64, H: 64}, {W: 1000, H: 1000, Fit: decode.Within}}}, Options{})
	if len(got.frames) != 75 || got.stats.Reconfigured != 2 {
		t.Fatalf("%d frames, %+v", len(got.frames), got.stats)
	}
	for i, f := range got.frames {
		want := 320
		if i/25 == 1 {
			want = 160
		}
		if f.SrcW != want || f.Images[1].W != want || f.Images[0].W != 64 || (f.At-time.Duration(i)*40*time.Millisecond).Abs() > time.Microsecond {
			t.Errorf("frame %d at %v is %d wide", i, f.At, f.SrcW)
		}
	}
	if e := got.ends; len(e) != 1 || (e[0].At-3*time.Second).Abs() > time.Microsecond {
		t.Errorf("ends %+v", e)
	}
}

// TestJump changes the Seg in the middle of a group of pictures: no frame is
// lost, the Segs part in order of display, and an End stands between.
func TestJump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.mp4")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc=r=25:d=2:s=160x120", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "3", "-g", "100", path)
	src := open(t, path)
	src.edit = func(p *ingest.Packet) bool {
		if p.PTS >= time.Second {
			p.PTS += time.Hour
			p.DTS += time.Hour
			p.Seg = 1
		}
		return true
	}
	got := run(t, src, decode.Outputs{Sizes: []decode.Size{{W: 16, H: 16}}}, Options{})
	if len(got.frames) != 50 || len(got.ends) != 2 {
		t.Fatalf("%d frames, ends %+v", len(got.frames), got.ends)
	}
	for i, f := range got.frames {
		want := ingest.Stamp{At: time.Duration(i) * 40 * time.Millisecond}
		if i >= 25 {
			want = ingest.Stamp{At: want.At + time.Hour, Seg: 1}
		}
		if f.Stamp != want {
			t.Errorf("frame %d at %+v, want %+v", i, f.Stamp, want)
		}
	}
	if got.ends[0].Stamp != (ingest.Stamp{At: time.Second}) || got.ends[1].Stamp != (ingest.Stamp{At: time.Hour + 2*time.Second, Seg: 1}) {
		t.Errorf("ends %+v", got.ends)
	}
	frames := 0
	for _, u := range got.order {
		if u.Frame != nil {
			frames++
		} else if u.End != nil && frames != 25 && frames != 50 {
			t.Errorf("an end after %d frames", frames)
		}
	}
}

// TestNoStamps takes all stamps away, then the presentation stamps alone: frames
// still come, in order, and their stamps increase.
func TestNoStamps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.mp4")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc=r=25:d=1:s=160x120", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "0", path)
	for _, dts := range []bool{false, true} {
		src := open(t, path)
		src.edit = func(p *ingest.Packet) bool {
			p.PTS = ingest.NoTime
			if !dts {
				p.DTS = ingest.NoTime
			}
			return true
		}
		got := run(t, src, decode.Outputs{Sizes: []decode.Size{{}}}, Options{})
		if len(got.frames) != 25 {
			t.Fatalf("%d frames", len(got.frames))
		}
		for i, f := range got.frames {
			if f.At != time.Duration(i)*40*time.Millisecond {
				t.Errorf("dts %v: frame %d at %v", dts, i, f.At)
			}
			if len(f.Images) != 1 || f.Images[0].Pix != nil {
				t.Errorf("a picture that nobody asked for")
			}
		}
	}
}

// TestThreads decodes with one thread and with several: the same bytes.
func TestThreads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.mp4")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=r=25:d=1:s=320x240", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "2", path)
	var first *decoded
	for _, o := range []Options{{Threads: 1}, {Threads: 4}, {LowDelay: true}} {
		got := run(t, open(t, path), decode.Outputs{Sizes: []decode.Size{{W: 64, H: 48, Filter: decode.Lanczos}}}, o)
		if first == nil {
			first = got
			continue
		}
		if len(got.frames) != len(first.frames) {
			t.Fatalf("%+v: %d frames, want %d", o, len(got.frames), len(first.frames))
		}
		for i := range got.frames {
			if got.frames[i].Stamp != first.frames[i].Stamp || !bytes.Equal(got.frames[i].Images[0].Pix, first.frames[i].Images[0].Pix) {
				t.Errorf("%+v: frame %d differs", o, i)
			}
		}
	}
}

// TestRefused expects one line that names the stream and the cause.
func TestRefused(t *testing.T) {
	video := ingest.Stream{Index: 4, Kind: ingest.Video, Codec: "h264", Format: -1, Width: 640, Height: 480}
	with := func(f func(*ingest.Stream)) []ingest.Stream { s := video; f(&s); return []ingest.Stream{s} }
	small := decode.Outputs{Sizes: []decode.Size{{W: 8, H: 8}}}
	for _, c := range []struct {
		streams []ingest.Stream
		out     decode.Outputs
		o       Options
		want    string
		is      error
	}{
		{with(func(s *ingest.Stream) { s.Width = 65536 }), small, Options{}, "65536x480", ErrTooLarge},
		{with(func(s *ingest.Stream) {}), small, Options{MaxPixels: 1000}, "640x480", ErrTooLarge},
		{with(func(s *ingest.Stream) { s.Codec = "nonsense" }), small, Options{}, `no decoder for "nonsense"`, nil},
		{with(func(s *ingest.Stream) { s.Codec = "" }), small, Options{}, "video stream 4", nil},
		{with(func(s *ingest.Stream) { s.Codec = "aac" }), small, Options{}, "video stream 4", nil},
		{with(func(s *ingest.Stream) { s.Kind = 9 }), small, Options{}, "stream 4", nil},
		{[]ingest.Stream{video, video}, small, Options{}, "a second video", nil},
		{[]ingest.Stream{video}, decode.Outputs{Sizes: []decode.Size{{W: 8, H: -1}}}, Options{}, "unusable size", nil},
		{[]ingest.Stream{video}, decode.Outputs{Sizes: []decode.Size{{W: 8, H: 8, Filter: 77}}}, Options{}, "unusable size", nil},
		{[]ingest.Stream{video}, decode.Outputs{Sounds: []decode.Sound{{Rate: -1}}}, Options{}, "unusable sound", nil},
	} {
		before := Handles()
		d, err := New(c.streams, c.out, c.o)
		if err == nil {
			d.Close()
			t.Errorf("%q: no error", c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || (c.is != nil && !errors.Is(err, c.is)) {
			t.Errorf("%v, want one line with %q", err, c.want)
		}
		if Handles() != before {
			t.Errorf("%q leaves %d objects", c.want, Handles()-before)
		}
	}
}

// TestLargeInside refuses frames that are larger than the header said, and goes
// on.
func TestLargeInside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ts")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc=r=5:d=1:s=320x240", "-c:v", "mpeg2video", path)
	src := open(t, path)
	src.streams[0].Width, src.streams[0].Height = 0, 0
	got := run(t, src, decode.Outputs{Sizes: []decode.Size{{W: 8, H: 8}}}, Options{MaxPixels: 1000})
	if len(got.frames) != 0 || got.stats.Errors == 0 {
		t.Errorf("%d frames, %+v", len(got.frames), got.stats)
	}
}

// TestCloseAnyTime closes in the middle, twice, and after errors.
func TestCloseAnyTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.mp4")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc=r=25:d=1:s=160x120", "-f", "lavfi", "-i", "sine=d=1", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-c:a", "aac", path)
	before := Handles()
	for stop := 0; stop < 40; stop += 13 {
		src := open(t, path)
		d, err := New(src.streams, both, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var units []decode.Unit
		for range stop {
			p, err := src.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if units, err = d.Decode(units, &p); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := d.Decode(nil, &ingest.Packet{}); err == nil {
			t.Error("decoded after Close")
		}
		for _, u := range units { // Go memory, still there
			if u.Frame != nil {
				u.Frame.Images[0].Pix[0]++
			}
			u.Release()
		}
		if d.Held() != 0 || Handles() != before {
			t.Errorf("%d held, %d handles", d.Held(), Handles()-before)
		}
	}
}

package ffmpeg

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	astiav "github.com/asticode/go-astiav"

	"github.com/seehear/seehear/decode"
)

// newFrame makes a frame whose planes are the rows of data, tightly packed.
func newFrame(t testing.TB, w, h int, format astiav.PixelFormat, data []byte) *astiav.Frame {
	t.Helper()
	f := astiav.AllocFrame()
	t.Cleanup(f.Free)
	f.SetWidth(w)
	f.SetHeight(h)
	f.SetPixelFormat(format)
	if err := f.AllocBuffer(0); err != nil {
		t.Fatal(err)
	}
	if err := f.Data().SetBytes(data, 1); err != nil {
		t.Fatal(err)
	}
	return f
}

// scaled runs one scaler over a frame.
func scaled(t testing.TB, f *astiav.Frame, size decode.Size, l look) ([]byte, int, int) {
	t.Helper()
	l.w, l.h, l.format = f.Width(), f.Height(), int(f.PixelFormat())
	s, err := newScaler(size, l)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	pix := make([]byte, 3*s.w*s.h)
	if err := s.run(f.UnsafePointer(), pix); err != nil {
		t.Fatal(err)
	}
	return pix, s.w, s.h
}

// picture is the one of testdata/pillow.py.
func picture(w, h int) []byte {
	p := make([]byte, 0, 3*w*h)
	for y := range h {
		for x := range w {
			for c := range 3 {
				v := (x*x/3 + y*y/5 + x*y*(c+1)/7 + 40*c) % 511
				if v > 255 {
					v = 510 - v
				}
				if (x/13+y/11+c)%3 == 0 {
					v = 255 - v/4
				}
				p = append(p, byte(v))
			}
		}
	}
	return p
}

// apart returns the mean and the largest difference of two pictures.
func apart(t testing.TB, a, b []byte) (mean float64, most int) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d bytes against %d", len(a), len(b))
	}
	for i := range a {
		d := int(a[i]) - int(b[i])
		d = max(d, -d)
		mean += float64(d)
		most = max(most, d)
	}
	return mean / float64(len(a)), most
}

var filters = map[string]decode.Filter{"bilinear": decode.Bilinear, "bicubic": decode.Bicubic, "lanczos": decode.Lanczos}

// TestPillow holds the resize of RGB against Pillow's own, which it equals, in
// every layout of RGB that is read.
func TestPillow(t *testing.T) {
	var index struct {
		Images []struct {
			From, To [2]int
			Filter   string
		}
	}
	b, err := os.ReadFile("testdata/pillow.json")
	if err == nil {
		err = json.Unmarshal(b, &index)
	}
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/pillow.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, im := range index.Images {
		n := 3 * im.To[0] * im.To[1]
		want := golden[:n]
		golden = golden[n:]
		rgb := picture(im.From[0], im.From[1])
		for _, layout := range []struct {
			format astiav.PixelFormat
			order  []int // channel of each byte of a pixel, -1 is padding
		}{
			{astiav.PixelFormatRgb24, []int{0, 1, 2}},
			{astiav.PixelFormatBgr24, []int{2, 1, 0}},
			{astiav.PixelFormatRgba, []int{0, 1, 2, -1}},
			{astiav.PixelFormat0Rgb, []int{-1, 0, 1, 2}},
			{astiav.PixelFormatGbrp, nil},
		} {
			var data []byte
			if layout.order == nil {
				for _, c := range []int{1, 2, 0} {
					for i := c; i < len(rgb); i += 3 {
						data = append(data, rgb[i])
					}
				}
			}
			for i := 0; layout.order != nil && i < len(rgb); i += 3 {
				for _, c := range layout.order {
					if c < 0 {
						data = append(data, 77)
					} else {
						data = append(data, rgb[i+c])
					}
				}
			}
			f := newFrame(t, im.From[0], im.From[1], layout.format, data)
			got, _, _ := scaled(t, f, decode.Size{W: im.To[0], H: im.To[1], Filter: filters[im.Filter]}, look{})
			if mean, most := apart(t, got, want); most != 0 {
				t.Errorf("%v to %v %s from %v: mean %.3f, most %d", im.From, im.To, im.Filter, layout.format, mean, most)
			}
		}
	}
}

// TestPlanar holds the planar path, which does not clip between its passes,
// against Pillow's arithmetic (the RGB path) over the same grey picture, in
// depths of 8 to 16 bits and both ranges.
func TestPlanar(t *testing.T) {
	const w, h = 333, 187
	rgb := picture(w, h)
	for i := 0; i < len(rgb); i += 3 {
		rgb[i+1], rgb[i+2] = rgb[i], rgb[i]
	}
	ref := newFrame(t, w, h, astiav.PixelFormatRgb24, rgb)
	for _, c := range []struct {
		format astiav.PixelFormat
		depth  int
		full   bool
		chroma int // bytes of chroma, in samples
	}{
		{astiav.PixelFormatGray8, 8, true, 0},
		{astiav.PixelFormatYuv444P, 8, true, 2 * w * h},
		{astiav.PixelFormatYuv444P10Le, 10, false, 2 * w * h},
		{astiav.PixelFormatYuv420P12Le, 12, true, 2 * 167 * 94},
		{astiav.PixelFormatYuv422P16Le, 16, false, 2 * 167 * h},
	} {
		unit := float64(int(1) << (c.depth - 8))
		var data []byte
		put := func(v float64) {
			n := int(math.Round(v))
			data = append(data, byte(n))
			if c.depth > 8 {
				data = append(data, byte(n>>8))
			}
		}
		for i := 0; i < len(rgb); i += 3 {
			if c.full {
				put(float64(rgb[i]) / 255 * float64(int(1)<<c.depth-1))
			} else {
				put((16 + 219*float64(rgb[i])/255) * unit)
			}
		}
		for range c.chroma {
			put(128 * unit)
		}
		l := look{colRange: rangeLimited}
		if c.full {
			l.colRange = rangeFull
		}
		f := newFrame(t, w, h, c.format, data)
		for name, filter := range filters {
			for _, to := range [][2]int{{224, 112}, {40, 31}, {w, h}, {101, 187}} {
				size := decode.Size{W: to[0], H: to[1], Filter: filter}
				want, _, _ := scaled(t, ref, size, look{})
				got, _, _ := scaled(t, f, size, l)
				mean, most := apart(t, got, want)
				// Pillow's picture between the passes has 8 bits: a half and a half.
				if mean > 0.5 || most > 4 {
					t.Errorf("%v to %v %s: mean %.3f, most %d", c.format, to, name, mean, most)
				}
			}
		}
	}
}

// TestClipsLikePillow resizes frames of real clips both ways: from the decoded
// planes, and from ffmpeg's RGB at full size with Pillow's arithmetic.
func TestClipsLikePillow(t *testing.T) {
	for _, name := range []string{"chaplin.mp4", "fire2.mp4", "bbaf2n.mpg", "nasa_13013.mp4"} {
		path := clip(name)
		if path == "" {
			t.Skip("the folder of real clips is not there")
		}
		src := open(t, path, 1)
		st := src.streams[0]
		// The same matrix for both, whatever the clip is tagged with.
		raw := ffmpeg(t, "-noautorotate", "-i", path, "-map", fmt.Sprintf("0:%d", st.Index), "-frames:v", "1",
			"-vf", "setparams=colorspace=bt709:range=tv", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
		rgb := ffmpeg(t, "-noautorotate", "-i", path, "-map", fmt.Sprintf("0:%d", st.Index), "-frames:v", "1",
			"-vf", "setparams=colorspace=bt709:range=tv,scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp+bicubic", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
		yuv := newFrame(t, st.Width, st.Height, astiav.PixelFormatYuv420P, raw)
		ref := newFrame(t, st.Width, st.Height, astiav.PixelFormatRgb24, rgb)
		for fname, filter := range filters {
			for _, to := range [][2]int{{224, 224}, {127, 71}, {st.Width + 99, st.Height + 51}} {
				size := decode.Size{W: to[0], H: to[1], Filter: filter}
				got, _, _ := scaled(t, yuv, size, look{space: spaceBT709, colRange: rangeLimited, chroma: 2})
				want, _, _ := scaled(t, ref, size, look{})
				mean, most := apart(t, got, want)
				t.Logf("%s %dx%d to %v %s: mean %.3f, most %d", name, st.Width, st.Height, to, fname, mean, most)
				if mean > 1 {
					t.Errorf("%s to %v %s: mean %.3f", name, to, fname, mean)
				}
			}
		}
	}
}

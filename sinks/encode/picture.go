package encode

import (
	"fmt"

	"github.com/asticode/go-astiav"

	"github.com/seehear/seehear/ingest"
)

// videoTimebase is MPEG's 90 kHz: every common frame rate is a whole number of
// ticks, and any stamp is at most 6 microseconds off.
var videoTimebase = ingest.Timebase{Num: 1, Den: 90000}

// canvas takes RGB pictures and hands them on as encoders want them: YUV 4:2:0,
// BT.709, limited range.
type canvas struct {
	w, h  int
	rate  float64
	frame *astiav.Frame // RGB24, filled anew for each picture
	graph *graph
}

func newCanvas(w, h int, rate float64) (_ *canvas, err error) {
	if w < 2 || h < 2 || w%2 != 0 || h%2 != 0 {
		return nil, fmt.Errorf("%dx%d: a picture has even sides", w, h)
	}
	if !(rate >= 1 && rate <= 240) {
		rate = 25
	}
	v := &canvas{w: w, h: h, rate: rate}
	defer func() {
		if err != nil {
			v.free()
		}
	}()
	v.frame = astiav.AllocFrame()
	handles.Add(1)
	v.frame.SetWidth(w)
	v.frame.SetHeight(h)
	v.frame.SetPixelFormat(astiav.PixelFormatRgb24)
	v.frame.SetColorSpace(astiav.ColorSpaceRgb)
	v.frame.SetColorRange(astiav.ColorRangeJpeg)
	v.frame.SetSampleAspectRatio(astiav.NewRational(1, 1))
	if err = v.frame.AllocBuffer(0); err != nil {
		return nil, err
	}
	v.graph, err = newGraph("buffer", "scale=out_color_matrix=bt709:out_range=limited:flags=bicubic,format=pix_fmts=yuv420p",
		func(p *astiav.BuffersrcFilterContextParameters) {
			p.SetWidth(w)
			p.SetHeight(h)
			p.SetPixelFormat(astiav.PixelFormatRgb24)
			p.SetColorSpace(astiav.ColorSpaceRgb)
			p.SetColorRange(astiav.ColorRangeJpeg)
			p.SetSampleAspectRatio(astiav.NewRational(1, 1))
			p.SetTimeBase(v.timebase())
			p.SetFramerate(v.frameRate())
		})
	return v, err
}

func (v *canvas) timebase() astiav.Rational {
	return astiav.NewRational(int(videoTimebase.Num), int(videoTimebase.Den))
}

func (v *canvas) frameRate() astiav.Rational { return astiav.NewRational(int(v.rate*1000+0.5), 1000) }

// setup tells an encoder what comes. There are no B frames, so frames come out in
// the order they went in.
func (v *canvas) setup(c *astiav.CodecContext) {
	c.SetWidth(v.w)
	c.SetHeight(v.h)
	c.SetPixelFormat(astiav.PixelFormatYuv420P)
	c.SetSampleAspectRatio(astiav.NewRational(1, 1))
	c.SetTimeBase(v.timebase())
	c.SetFramerate(v.frameRate())
	c.SetMaxBFrames(0)
	c.SetGopSize(int(4 * v.rate)) // a bound; paint says where keyframes are
	c.SetColorRange(astiav.ColorRangeMpeg)
	c.SetColorSpace(astiav.ColorSpaceBt709)
	c.SetColorPrimaries(astiav.ColorPrimariesBt709)
	c.SetColorTransferCharacteristic(astiav.ColorTransferCharacteristicBt709)
}

// paint converts one picture and sends it to the encoder, as a keyframe if key.
func (v *canvas) paint(tick int64, key bool, rgb []byte, send func(*astiav.Frame) error) error {
	if len(rgb) != 3*v.w*v.h {
		return fmt.Errorf("a picture of %d bytes for %dx%d", len(rgb), v.w, v.h)
	}
	if err := v.frame.MakeWritable(); err != nil {
		return err
	}
	dst, stride := plane(v.frame, 0, v.h)
	if row := 3 * v.w; stride == row {
		copy(dst, rgb)
	} else {
		for y := range v.h {
			copy(dst[y*stride:y*stride+row], rgb[y*row:])
		}
	}
	v.frame.SetPts(tick)
	v.frame.SetPictureType(astiav.PictureTypeNone)
	if key {
		v.frame.SetPictureType(astiav.PictureTypeI)
	}
	return v.graph.run(v.frame, send)
}

func (v *canvas) free() {
	if v.graph != nil {
		v.graph.free()
		v.graph = nil
	}
	if v.frame != nil {
		v.frame.Free()
		v.frame = nil
		handles.Add(-1)
	}
}

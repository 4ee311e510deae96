package encode

import (
	"fmt"
	"strconv"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/seehear/seehear/ingest"
)

// videoTimebase is MPEG's 90 kHz: every common frame rate is a whole number of
// ticks, and any stamp is at most 6 microseconds off.
var videoTimebase = ingest.Timebase{Num: 1, Den: 90000}

// keyEvery is the time between key frames: how far a click in a player can miss.
const keyEvery = 2 * time.Second

// h264 encodes RGB pictures with libx264. There are no B frames, so frames come
// out in the order they went in, decode times are display times, and no player
// has to apply an edit list to show a frame at its time.
type h264 struct {
	w, h    int
	frame   *astiav.Frame // RGB24, filled anew for each picture
	graph   *graph        // to YUV 4:2:0, BT.709, limited range
	codec   *codec
	last    int64 // tick of the last frame, -1 before the first
	lastKey time.Duration
	held    *astiav.Packet // waits for the next, whose time says how long it lasts
	holding bool
	lastDur int64
	out     emit
}

func newH264(opt Options) (_ *h264, err error) {
	if opt.W < 2 || opt.H < 2 || opt.W%2 != 0 || opt.H%2 != 0 {
		return nil, fmt.Errorf("%dx%d: a picture has even sides", opt.W, opt.H)
	}
	if opt.CRF == 0 {
		opt.CRF = 23
	}
	if opt.Preset == "" {
		opt.Preset = "veryfast"
	}
	if !(opt.FrameRate >= 1 && opt.FrameRate <= 240) {
		opt.FrameRate = 25
	}
	v := &h264{w: opt.W, h: opt.H, last: -1}
	defer func() {
		if err != nil {
			v.free()
		}
	}()
	v.held = astiav.AllocPacket()
	v.frame = astiav.AllocFrame()
	handles.Add(2)
	v.frame.SetWidth(v.w)
	v.frame.SetHeight(v.h)
	v.frame.SetPixelFormat(astiav.PixelFormatRgb24)
	v.frame.SetColorSpace(astiav.ColorSpaceRgb)
	v.frame.SetColorRange(astiav.ColorRangeJpeg)
	v.frame.SetSampleAspectRatio(astiav.NewRational(1, 1))
	if err = v.frame.AllocBuffer(0); err != nil {
		return nil, err
	}
	tb := astiav.NewRational(int(videoTimebase.Num), int(videoTimebase.Den))
	rate := astiav.NewRational(int(opt.FrameRate*1000+0.5), 1000)
	v.graph, err = newGraph("buffer", "scale=out_color_matrix=bt709:out_range=limited:flags=bicubic,format=pix_fmts=yuv420p",
		func(p *astiav.BuffersrcFilterContextParameters) {
			p.SetWidth(v.w)
			p.SetHeight(v.h)
			p.SetPixelFormat(astiav.PixelFormatRgb24)
			p.SetColorSpace(astiav.ColorSpaceRgb)
			p.SetColorRange(astiav.ColorRangeJpeg)
			p.SetSampleAspectRatio(astiav.NewRational(1, 1))
			p.SetTimeBase(tb)
			p.SetFramerate(rate)
		})
	if err != nil {
		return nil, err
	}
	v.codec, err = newCodec("libx264", map[string]string{
		"preset":      opt.Preset,
		"crf":         strconv.Itoa(opt.CRF),
		"forced-idr":  "1",
		"x264-params": "log=0", // errors alone
	}, func(c *astiav.CodecContext) {
		c.SetWidth(v.w)
		c.SetHeight(v.h)
		c.SetPixelFormat(astiav.PixelFormatYuv420P)
		c.SetSampleAspectRatio(astiav.NewRational(1, 1))
		c.SetTimeBase(tb)
		c.SetFramerate(rate)
		c.SetMaxBFrames(0)
		c.SetGopSize(int(4 * opt.FrameRate)) // a bound; write places the key frames
		c.SetThreadCount(opt.Threads)
		c.SetColorRange(astiav.ColorRangeMpeg)
		c.SetColorSpace(astiav.ColorSpaceBt709)
		c.SetColorPrimaries(astiav.ColorPrimariesBt709)
		c.SetColorTransferCharacteristic(astiav.ColorTransferCharacteristicBt709)
	})
	return v, err
}

// join adds the stream to m and sends the packets there.
func (v *h264) join(m *muxer) error {
	out, err := m.add(v.codec.ctx, videoTimebase)
	v.out = out
	v.codec.out = v.hold
	return err
}

func (v *h264) write(at, dur time.Duration, rgb []byte) error {
	if len(rgb) != 3*v.w*v.h {
		return fmt.Errorf("a picture of %d bytes for %dx%d", len(rgb), v.w, v.h)
	}
	if at < 0 {
		return nil
	}
	tick := max(videoTimebase.Ticks(at), v.last+1)
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
	if v.last < 0 || at-v.lastKey >= keyEvery {
		v.frame.SetPictureType(astiav.PictureTypeI)
		v.lastKey = at
	}
	v.last = tick
	v.lastDur = max(videoTimebase.Ticks(dur), 1)
	return v.graph.run(v.frame, v.codec.send)
}

// hold keeps each packet until the next tells its duration.
func (v *h264) hold(p *astiav.Packet) error {
	if v.holding {
		v.held.SetDuration(p.Pts() - v.held.Pts())
		if err := v.out(v.held); err != nil {
			return err
		}
	}
	v.held.Unref()
	v.held.MoveRef(p)
	v.holding = true
	return nil
}

func (v *h264) drain() error {
	if err := v.graph.run(nil, v.codec.send); err != nil {
		return err
	}
	if err := v.codec.send(nil); err != nil {
		return err
	}
	if !v.holding {
		return nil
	}
	v.holding = false
	v.held.SetDuration(v.lastDur)
	return v.out(v.held)
}

func (v *h264) free() {
	if v.codec != nil {
		v.codec.free()
	}
	if v.graph != nil {
		v.graph.free()
	}
	if v.frame != nil {
		v.frame.Free()
		v.held.Free()
		v.frame, v.held = nil, nil
		handles.Add(-2)
	}
}

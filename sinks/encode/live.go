package encode

import (
	"fmt"
	"strconv"
	"time"

	"github.com/asticode/go-astiav"
)

// VideoOptions say what a live picture encoder makes.
type VideoOptions struct {
	Codec     string  // "h264" (libx264) or "vp8" (libvpx)
	W, H      int     // of every frame; even
	FrameRate float64 // about how many come in a second; 0 means 25
	Threads   int     // 0 means 1
	// Preset is the speed of libx264, "" means superfast.
	Preset string
}

// Video encodes pictures for people who watch now: each frame comes out in the
// call that puts it in, there are no B-frames, and a keyframe comes at least every
// two seconds and whenever it is asked for. H.264 is Annex B, Baseline, with its
// parameter sets in front of every keyframe.
//
// It belongs to one goroutine.
type Video struct {
	canvas  *canvas
	codec   *codec
	last    int64
	lastKey time.Duration
	begun   bool
	at      time.Duration // of the frame in the encoder
	out     func(at time.Duration, key bool, data []byte)
}

// bitsPerPixel bounds the rate of live pictures: 2.3 Mbit/s at 1280x720 and 25
// frames a second.
const bitsPerPixel = 0.1

// NewVideo opens an encoder. It must be closed.
func NewVideo(opt VideoOptions) (_ *Video, err error) {
	v := &Video{}
	defer func() {
		if err != nil {
			v.free()
			err = fmt.Errorf("encode: %w", err)
		}
	}()
	if v.canvas, err = newCanvas(opt.W, opt.H, opt.FrameRate); err != nil {
		return nil, err
	}
	rate := max(int64(bitsPerPixel*v.canvas.rate*float64(opt.W*opt.H)), 300_000)
	text := strconv.FormatInt(rate, 10)
	var name string
	var options map[string]string
	switch opt.Codec {
	case "h264":
		if opt.Preset == "" {
			opt.Preset = "superfast"
		}
		name, options = "libx264", map[string]string{
			"preset": opt.Preset, "tune": "zerolatency", "profile": "baseline", "forced-idr": "1",
			// Constant quality, within what a viewer's line must carry in a second.
			"crf": "24", "maxrate": text, "bufsize": text,
			"x264-params": "log=0:scenecut=0",
		}
	case "vp8":
		name, options = "libvpx", map[string]string{
			"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0",
			"b": text, "maxrate": text, "minrate": text, "bufsize": text, "qmin": "4", "qmax": "56",
		}
	default:
		return nil, fmt.Errorf("no live encoder for %q", opt.Codec)
	}
	v.codec, err = newCodec(name, options, func(c *astiav.CodecContext) {
		v.canvas.setup(c)
		c.SetThreadCount(max(opt.Threads, 1))
	})
	if err != nil {
		return nil, err
	}
	v.codec.out = func(p *astiav.Packet) error {
		v.out(v.at, p.Flags().Has(astiav.PacketFlagKey), p.Data())
		return nil
	}
	return v, nil
}

// Encode codes one picture of RGB24 rows, seen from at on, as a keyframe if key.
// What comes of it is given to out, with the very at, before Encode returns; data
// is out's to keep.
func (v *Video) Encode(at time.Duration, rgb []byte, key bool, out func(at time.Duration, key bool, data []byte)) error {
	tick := videoTimebase.Ticks(at)
	if v.begun {
		tick = max(tick, v.last+1)
	}
	key = key || !v.begun || at-v.lastKey >= keyEvery
	if key {
		v.lastKey = at
	}
	v.begun, v.last, v.at, v.out = true, tick, at, out
	if err := v.canvas.paint(tick, key, rgb, v.codec.send); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return nil
}

// Close frees the encoder.
func (v *Video) Close() error {
	v.free()
	return nil
}

func (v *Video) free() {
	if v.codec != nil {
		v.codec.free()
		v.codec = nil
	}
	if v.canvas != nil {
		v.canvas.free()
		v.canvas = nil
	}
}

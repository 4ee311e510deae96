package encode

import (
	"strconv"
	"time"

	"github.com/asticode/go-astiav"
)

// keyEvery is the time between key frames: how far a click in a player can miss.
const keyEvery = 2 * time.Second

// h264 encodes RGB pictures with libx264. There are no B frames, so frames come
// out in the order they went in, decode times are display times, and no player
// has to apply an edit list to show a frame at its time.
type h264 struct {
	canvas  *canvas
	codec   *codec
	last    int64 // tick of the last frame, -1 before the first
	lastKey time.Duration
	held    *astiav.Packet // waits for the next, whose time says how long it lasts
	holding bool
	lastDur int64
	out     emit
}

func newH264(opt Options) (_ *h264, err error) {
	if opt.CRF == 0 {
		opt.CRF = 23
	}
	if opt.Preset == "" {
		opt.Preset = "veryfast"
	}
	v := &h264{last: -1}
	defer func() {
		if err != nil {
			v.free()
		}
	}()
	if v.canvas, err = newCanvas(opt.W, opt.H, opt.FrameRate); err != nil {
		return nil, err
	}
	v.held = astiav.AllocPacket()
	handles.Add(1)
	v.codec, err = newCodec("libx264", map[string]string{
		"preset":      opt.Preset,
		"crf":         strconv.Itoa(opt.CRF),
		"forced-idr":  "1",
		"x264-params": "log=0", // errors alone
	}, func(c *astiav.CodecContext) {
		v.canvas.setup(c)
		c.SetThreadCount(opt.Threads)
		toContainer(c)
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
	if at < 0 {
		return nil
	}
	tick := max(videoTimebase.Ticks(at), v.last+1)
	key := v.last < 0 || at-v.lastKey >= keyEvery
	if key {
		v.lastKey = at
	}
	v.last = tick
	v.lastDur = max(videoTimebase.Ticks(dur), 1)
	return v.canvas.paint(tick, key, rgb, v.codec.send)
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
	if err := v.canvas.graph.run(nil, v.codec.send); err != nil {
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
	if v.canvas != nil {
		v.canvas.free()
	}
	if v.held != nil {
		v.held.Free()
		v.held = nil
		handles.Add(-1)
	}
}

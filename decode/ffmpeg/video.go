package ffmpeg

// #include "codec.h"
import "C"

import (
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// video decodes the pictures and scales each to every size.
type video struct {
	stream
	sizes []decode.Size
	turn  orientation // by the container

	look    look
	scalers []*scaler // one per size, nil where no picture is wanted
	dims    [][2]int

	last    time.Duration // of the frame before, in this Seg
	lastDur time.Duration

	out   []decode.Unit
	frame func() error
}

func newVideo(d *Decoder, st ingest.Stream, sizes []decode.Size) (*video, error) {
	c, err := openCodec(&st, d.options)
	if err != nil {
		return nil, err
	}
	v := &video{
		stream:  stream{dec: d, st: st, codec: c},
		sizes:   sizes,
		turn:    rotated(st.Rotation),
		scalers: make([]*scaler, len(sizes)),
		dims:    make([][2]int, len(sizes)),
	}
	v.frame = v.deliver // once, so that a packet makes no closure
	return v, nil
}

func (v *video) packet(dst []decode.Unit, p *ingest.Packet) ([]decode.Unit, error) {
	v.out = dst
	var err error
	if p.Changed != nil {
		err = v.reopen(p.Changed, v.frame)
		v.turn = rotated(v.st.Rotation)
	}
	if err == nil {
		err = v.decode(p, v.frame)
	}
	dst, v.out = v.out, nil
	return dst, err
}

func (v *video) finish(dst []decode.Unit) ([]decode.Unit, error) {
	v.out = dst
	err := v.decode(nil, v.frame)
	dst, v.out = v.out, nil
	if err == nil {
		dst = v.end(dst, v.reached())
	}
	return dst, err
}

// reached is the end of the last frame of the Seg.
func (v *video) reached() ingest.Stamp {
	if !v.started {
		return ingest.Stamp{Seg: v.seg}
	}
	return ingest.Stamp{At: v.last + v.lastDur, Seg: v.seg}
}

// deliver makes a unit of the codec's frame.
func (v *video) deliver() error {
	info := v.codec.info
	l := look{
		w: int(info.width), h: int(info.height), format: int(info.format),
		sarNum: int(info.sar_num), sarDen: int(info.sar_den),
		space: int(info.color_space), colRange: int(info.color_range),
		transfer: int(info.color_transfer), chroma: int(info.chroma_location),
		orient: v.turn,
	}
	if info.has_matrix != 0 {
		l.orient = fromMatrix([4]int32{int32(info.matrix[0]), int32(info.matrix[1]), int32(info.matrix[2]), int32(info.matrix[3])})
	}
	if l.sarNum <= 0 || l.sarDen <= 0 {
		sar := v.st.SampleAspect
		l.sarNum, l.sarDen = int(sar.Num), int(sar.Den)
	}
	if v.dec.options.checkSize(l.w, l.h) != nil {
		v.dec.stats.Errors++
		return nil
	}
	if l != v.look {
		if err := v.rebuild(l); err != nil {
			return err
		}
	}

	at, dur := v.place()
	f := v.dec.pool.Frame(v.dims)
	f.Stamp, f.Dur, f.Key = at, dur, info.key != 0
	f.SrcW, f.SrcH = l.w, l.h
	if l.orient.swap {
		f.SrcW, f.SrcH = l.h, l.w
	}
	for i, s := range v.scalers {
		if s == nil {
			continue
		}
		if err := s.run(v.codec.frame.UnsafePointer(), f.Images[i].Pix); err != nil {
			f.Release()
			return err
		}
	}
	v.dec.stats.Frames++
	if info.damaged != 0 {
		v.dec.stats.Concealed++
	}
	v.out = append(v.out, decode.Unit{Frame: f})
	return nil
}

// place gives the frame its stamp and duration, after the end of the Seg before
// if this is a new one. Stamps increase: a frame that claims the time of the one
// before, or an earlier one, or none, follows it by the least that tells them
// apart (without a claim, by the duration).
func (v *video) place() (ingest.Stamp, time.Duration) {
	info := v.codec.info
	if seg := uint32(info.seg); seg != v.seg {
		if v.started {
			v.out = v.end(v.out, v.reached())
		}
		v.seg = seg
	}
	at := time.Duration(info.best)
	dur := time.Duration(info.duration)
	if at == ingest.NoTime {
		at = 0
		if v.started {
			at = v.last + max(v.lastDur, 1)
		}
	}
	if v.started && at <= v.last {
		at = v.last + 1
	}
	if dur <= 0 {
		switch rate := v.st.FrameRate; {
		case rate.Num > 0 && rate.Den > 0:
			dur = ingest.Timebase{Num: rate.Den, Den: rate.Num}.Duration(1)
		case v.started:
			dur = at - v.last
		}
	}
	v.last, v.lastDur, v.started = at, dur, true
	return ingest.Stamp{At: at, Seg: v.seg}, dur
}

// rebuild makes the scalers for pictures that look like l.
func (v *video) rebuild(l look) error {
	if v.look != (look{}) && v.look.reshapes(l) {
		v.dec.stats.Reconfigured++
	}
	for i, size := range v.sizes {
		if size.W == 0 {
			continue
		}
		s, err := newScaler(size, l)
		if err != nil {
			return err
		}
		if v.scalers[i] != nil {
			v.scalers[i].close()
		}
		v.scalers[i], v.dims[i] = s, [2]int{s.w, s.h}
	}
	v.look = l
	return nil
}

func (v *video) close() {
	v.codec.close()
	for _, s := range v.scalers {
		if s != nil {
			s.close()
		}
	}
}

package ffmpeg

// #include "scale.h"
// #include <libavutil/pixdesc.h>
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/seehear/seehear/decode"
)

// Note [Own scaler]
//
// The networks were trained on pictures resized by Pillow, so every resize has
// to agree with Pillow's within 1/255 in the mean and 4/255 at most. libswscale
// does inside the picture; at its edges it repeats the outermost pixel where
// Pillow cuts the window and normalizes it, which measures 8/255 on a film frame
// and 17/255 on smooth noise, and it does not clip between the two passes, which
// measures 45/255 where Lanczos enlarges noise. Neither can be configured away.
//
// So the resize is done here, on the planes as they were decoded: each plane
// goes straight to the wanted size with Pillow's weights and 14-bit samples
// (chroma at the place its siting says), and only then the small picture becomes
// RGB by the frame's matrix and range. It costs less than libswscale with
// accurate_rnd and full_chroma_int. A picture that already is RGB takes Pillow's
// own order and rounding and equals it bit for bit. libswscale still unpacks
// what is neither planar YUV, grey nor 8-bit RGB, at the source's size.

// look is everything about a picture that its scalers depend on.
type look struct {
	w, h, format     int
	sarNum, sarDen   int
	space, colRange  int
	transfer, chroma int
	orient           orientation
}

// reshapes reports whether the change from l to o is one of the material (and
// not, say, a colour tag that appears late).
func (l look) reshapes(o look) bool {
	return l.w != o.w || l.h != o.h || l.format != o.format || l.orient != o.orient
}

// source returns the upright shape.
func (l look) source() source {
	s := source{w: l.w, h: l.h, pixel: 1}
	if l.sarNum > 0 && l.sarDen > 0 {
		// Beyond this range it is damage, not a lens.
		if p := float64(l.sarNum) / float64(l.sarDen); p >= 1.0/16 && p <= 16 {
			s.pixel = p
		}
	}
	if l.orient.swap {
		s.w, s.h, s.pixel = s.h, s.w, 1/s.pixel
	}
	return s
}

// full reports whether the samples use the full range.
func (l look) full() bool {
	switch l.colRange {
	case rangeFull:
		return true
	case rangeLimited:
		return false
	}
	d := C.av_pix_fmt_desc_get(int32(l.format))
	if d == nil {
		return false
	}
	if d.nb_components < 3 { // grey is full unless it says otherwise
		return true
	}
	switch l.format {
	case C.AV_PIX_FMT_YUVJ420P, C.AV_PIX_FMT_YUVJ422P, C.AV_PIX_FMT_YUVJ444P, C.AV_PIX_FMT_YUVJ440P, C.AV_PIX_FMT_YUVJ411P:
		return true
	}
	return false
}

// scaler makes one size of pictures that look alike.
type scaler struct {
	c    *C.SHScaler
	w, h int // upright
}

func newScaler(size decode.Size, l look) (*scaler, error) {
	upright := fit(size, l.source())
	b := upright.stored(l.orient)
	m := matrixOf(l.space, l.transfer, l.w, l.h)
	x2, y2 := chromaSite(l.chroma)
	p := C.SHScaleParams{
		src_w: C.int(l.w), src_h: C.int(l.h), format: C.int(l.format),
		full_w: C.int(b.fullW), full_h: C.int(b.fullH),
		x: C.int(b.x), y: C.int(b.y), w: C.int(b.w), h: C.int(b.h),
		filter: C.int(size.Filter),
		swap:   flag(l.orient.swap), flip_x: flag(l.orient.flipX), flip_y: flag(l.orient.flipY),
		full_range: flag(l.full()),
		chroma_x2:  C.int(x2), chroma_y2: C.int(y2),
		r_u: C.double(m.rU), r_v: C.double(m.rV), g_u: C.double(m.gU), g_v: C.double(m.gV), b_u: C.double(m.bU), b_v: C.double(m.bV),
	}
	var ret C.int
	c := C.sh_scaler_new(&p, &ret)
	if c == nil {
		return nil, fmt.Errorf("scale %dx%d %s: %w", l.w, l.h, formatName(l.format), averror(ret))
	}
	handles.Add(1)
	return &scaler{c: c, w: upright.w, h: upright.h}, nil
}

// run fills pix, 3*w*h bytes, from the frame.
func (s *scaler) run(f unsafe.Pointer, pix []byte) error {
	ret := C.sh_scaler_run(s.c, (*C.AVFrame)(f), (*C.uint8_t)(unsafe.SliceData(pix)))
	runtime.KeepAlive(pix)
	return averror(ret)
}

func (s *scaler) close() {
	if s.c != nil {
		C.sh_scaler_free(s.c)
		s.c = nil
		handles.Add(-1)
	}
}

func formatName(format int) string {
	if n := C.av_get_pix_fmt_name(int32(format)); n != nil {
		return C.GoString(n)
	}
	return fmt.Sprintf("pixel format %d", format)
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

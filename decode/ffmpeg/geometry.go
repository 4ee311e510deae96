package ffmpeg

import (
	"math"

	"github.com/seehear/seehear/decode"
)

// orientation says how the stored picture lies in the upright one: after the
// axes are swapped (or not), flipX and flipY mirror the upright picture's axes.
type orientation struct{ swap, flipX, flipY bool }

// rotated returns the orientation for a turn by degrees clockwise; what is no
// quarter turn is taken as the nearest one.
func rotated(degrees int) orientation {
	switch ((degrees%360+360+45)/90%4 + 4) % 4 {
	case 1:
		return orientation{swap: true, flipX: true}
	case 2:
		return orientation{flipX: true, flipY: true}
	case 3:
		return orientation{swap: true, flipY: true}
	}
	return orientation{}
}

// fromMatrix reads the upper left of a display matrix, rows a b and c d, by
// which x' = a*x + c*y and y' = b*x + d*y. Anything between quarter turns goes to
// the nearer one.
func fromMatrix(m [4]int32) orientation {
	a, b, c, d := float64(m[0]), float64(m[1]), float64(m[2]), float64(m[3])
	if math.Abs(a)+math.Abs(d) >= math.Abs(b)+math.Abs(c) {
		return orientation{flipX: a < 0, flipY: d < 0}
	}
	return orientation{swap: true, flipX: c < 0, flipY: b < 0}
}

// source is a picture's upright shape.
type source struct {
	w, h  int     // in stored pixels
	pixel float64 // width of a pixel to its height
}

// displayed is the size on a screen with square pixels: the short side of the
// pixel is stretched, so nothing stored is lost.
func (s source) displayed() (w, h float64) {
	w, h = float64(s.w), float64(s.h)
	if s.pixel > 1 {
		return w * s.pixel, h
	}
	return w, h / s.pixel
}

// box is what becomes of a picture: resized as a whole to fullW x fullH, of
// which the part at x, y with size w x h is wanted.
type box struct{ fullW, fullH, x, y, w, h int }

// fit places the picture in size.
//
// Squash takes the stored pixels as they are, so the shape of a pixel does not
// matter. Crop and Within honour it: a face stays round.
func fit(size decode.Size, s source) box {
	switch size.Fit {
	case decode.Crop:
		dw, dh := s.displayed()
		scale := max(float64(size.W)/dw, float64(size.H)/dh)
		b := box{
			fullW: max(int(math.Round(dw*scale)), size.W),
			fullH: max(int(math.Round(dh*scale)), size.H),
			w:     size.W, h: size.H,
		}
		b.x, b.y = (b.fullW-b.w)/2, (b.fullH-b.h)/2
		return b
	case decode.Within:
		dw, dh := s.displayed()
		scale := min(float64(size.W)/dw, float64(size.H)/dh, 1)
		w, h := even(dw*scale), even(dh*scale)
		return box{fullW: w, fullH: h, w: w, h: h}
	}
	return box{fullW: size.W, fullH: size.H, w: size.W, h: size.H}
}

// even rounds down to an even side, at least 2: up would exceed the limit or
// enlarge. A hair is forgiven, for the product that should have been whole.
func even(v float64) int { return max(int(v+1e-6)&^1, 2) }

// stored turns a box of the upright picture into that of the stored one.
func (b box) stored(o orientation) box {
	if o.swap {
		b = box{fullW: b.fullH, fullH: b.fullW, x: b.y, y: b.x, w: b.h, h: b.w}
	}
	// The centre of an odd margin is half a pixel off, on the other side once
	// mirrored.
	mx, my := o.flipX, o.flipY
	if o.swap {
		mx, my = my, mx
	}
	if mx {
		b.x = b.fullW - b.w - b.x
	}
	if my {
		b.y = b.fullH - b.h - b.y
	}
	return b
}

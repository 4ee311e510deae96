package mediatest

import "math/bits"

// The barcode is a grid of side by side cells, each white or black.
const (
	side     = 4
	maxIndex = 1<<12 - 1
)

// Encode returns the cells of the barcode of a frame index (its low 12 bits),
// row by row from the top left; true is white. Cell n holds bit 15-n of a word:
// bits 15 and 14 are 1 and 0, which tells how the picture is turned, bits 13 and
// 12 count the ones of the index modulo 4, the rest is the index.
func Encode(index int) [side * side]bool {
	index &= maxIndex
	word := 1<<15 | (bits.OnesCount(uint(index))&3)<<12 | index
	var cells [side * side]bool
	for n := range cells {
		cells[n] = word>>(len(cells)-1-n)&1 == 1
	}
	return cells
}

// ReadRGB reads the barcode of an upright RGB24 picture whose rows follow each
// other without padding. It averages the central half of each cell. ok is false
// where the picture is too small, its size does not match, or the mark and the
// check bits are not those of a barcode.
func ReadRGB(w, h int, pix []byte) (index int, ok bool) {
	if w < side || h < side || len(pix) != 3*w*h {
		return 0, false
	}
	word := 0
	for n := range side * side {
		x0, x1 := middle(n%side, w)
		y0, y1 := middle(n/side, h)
		sum := 0
		for y := y0; y < y1; y++ {
			for _, v := range pix[3*(y*w+x0) : 3*(y*w+x1)] {
				sum += int(v)
			}
		}
		word <<= 1
		if sum*2 > 255*3*(x1-x0)*(y1-y0) {
			word |= 1
		}
	}
	index = word & maxIndex
	ok = word>>14 == 2 && word>>12&3 == bits.OnesCount(uint(index))&3
	return index, ok
}

// middle returns the central half of cell n of the given side, at least one
// pixel of it.
func middle(n, size int) (from, to int) {
	from = (4*n + 1) * size / (4 * side)
	to = max((4*n+3)*size/(4*side), from+1)
	return from, to
}

// drawLuma writes the barcode of index into the luma plane of a w by h picture
// that is stored turned: rotation is how many degrees clockwise a player must
// turn it, so that the upright picture is w by h only if rotation is 0 or 180.
func drawLuma(plane []byte, w, h, rotation, index int) {
	cells := Encode(index)
	for y := range h {
		for x := range w {
			// Where the stored pixel (x, y) is shown, in cells of the upright
			// picture.
			cx, cy := x*side/w, y*side/h
			switch rotation {
			case 90:
				cx, cy = side-1-cy, cx
			case 180:
				cx, cy = side-1-cx, side-1-cy
			case 270:
				cx, cy = cy, side-1-cx
			}
			luma := byte(16)
			if cells[cy*side+cx] {
				luma = 235
			}
			plane[y*w+x] = luma
		}
	}
}

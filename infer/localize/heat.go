package localize

import (
	"fmt"
	"math"

	"github.com/seehear/seehear/infer"
)

// heat turns cosines and objectness of the network's cells into a grid over the
// whole frame.
type heat struct {
	gridW, gridH               int
	imageW, imageH             int // of the network's picture
	alignCorners               bool
	floor, ceiling             float64
	alpha                      float64
	objectFloor, objectCeiling float64
	useObject                  bool
}

func heatOf(c Config) (heat, error) {
	m := c.Model
	h := heat{
		gridW: c.GridW, gridH: c.GridH,
		imageW: m.Image.W, imageH: m.Image.H,
		alignCorners: m.Heat.AlignCorners,
		floor:        m.Gate.Floor, ceiling: m.Gate.Ceiling,
		alpha:       m.Heat.Alpha,
		objectFloor: m.Heat.ObjectFloor, objectCeiling: m.Heat.ObjectCeiling,
	}
	if h.gridW == 0 {
		h.gridW = defaultGrid
	}
	if h.gridH == 0 {
		h.gridH = defaultGrid
	}
	if h.gridW < 1 || h.gridH < 1 || h.gridW > maxGrid || h.gridH > maxGrid {
		return h, fmt.Errorf("grid of %dx%d cells; 1 to %d are possible", c.GridW, c.GridH, maxGrid)
	}
	if !(h.ceiling > h.floor) {
		return h, fmt.Errorf("gate: ceiling %v is not above floor %v: the model is not calibrated", h.ceiling, h.floor)
	}
	if h.alpha == 0 {
		h.alpha = 1
	}
	if !(h.alpha > 0 && h.alpha <= 1) {
		return h, fmt.Errorf("heat: alpha %v is not in 0 to 1", m.Heat.Alpha)
	}
	if h.useObject = h.alpha < 1; h.useObject && !(h.objectCeiling > h.objectFloor) {
		return h, fmt.Errorf("heat: object_ceiling %v is not above object_floor %v", h.objectCeiling, h.objectFloor)
	}
	return h, nil
}

// strength is the heat of a place: 0 at or below the floor, 1 at the ceiling,
// above it more. With objectness it is the weighted geometric mean of the two
// and not, as where they are only compared with each other, the arithmetic one:
// an object that resembles the sound not at all is not where it comes from,
// however much of an object it is.
func (h *heat) strength(cosine, object float64) float64 {
	s := (cosine - h.floor) / (h.ceiling - h.floor)
	if !(s > 0) {
		return 0
	}
	if !h.useObject {
		return s
	}
	o := (object - h.objectFloor) / (h.objectCeiling - h.objectFloor)
	if !(o > 0) {
		return 0
	}
	return math.Pow(s, h.alpha) * math.Pow(o, 1-h.alpha)
}

// taps say which two neighbours a place lies between, and how far it is towards
// the second; first is -1 outside the network's view.
type taps struct {
	first, second []int
	weight        []float64
}

// set places the centres of n cells across the frame among the network's cells
// across its view, whose picture is pixels wide.
func (t *taps) set(n, cells, pixels int, alignCorners bool, inside func(float64) (float64, bool)) {
	t.first, t.second, t.weight = sized(t.first, n), sized(t.second, n), sized(t.weight, n)
	for i := range n {
		u, ok := inside((float64(i) + 0.5) / float64(n))
		if !ok {
			t.first[i] = -1
			continue
		}
		x := u*float64(cells) - 0.5
		if alignCorners && pixels > 1 {
			x = (u*float64(pixels) - 0.5) * float64(cells-1) / float64(pixels-1)
		}
		x = min(max(x, 0), float64(cells-1))
		k := int(x)
		t.first[i], t.second[i], t.weight[i] = k, min(k+1, cells-1), x-float64(k)
	}
}

// place is the inverse of set for a (fractional) cell of the network: its place
// in the view.
func place(cell float64, cells, pixels int, alignCorners bool) float64 {
	if alignCorners && cells > 1 {
		return (cell*float64(pixels-1)/float64(cells-1) + 0.5) / float64(pixels)
	}
	return (cell + 0.5) / float64(cells)
}

// canvas is the memory of drawing.
type canvas struct{ x, y taps }

// grid draws the heat over the whole frame; what the network did not see is 0.
func (h *heat) grid(c *canvas, d dims, cosine, object []float32, v infer.View) []byte {
	c.x.set(h.gridW, d.w, h.imageW, h.alignCorners, func(f float64) (float64, bool) { x, _, ok := v.Inside(f, 0.5); return x, ok })
	c.y.set(h.gridH, d.h, h.imageH, h.alignCorners, func(f float64) (float64, bool) { _, y, ok := v.Inside(0.5, f); return y, ok })
	grid := make([]byte, h.gridW*h.gridH)
	for y := range h.gridH {
		if c.y.first[y] < 0 {
			continue
		}
		for x := range h.gridW {
			if c.x.first[x] < 0 {
				continue
			}
			o := 0.0
			if h.useObject {
				o = c.at(object, d.w, x, y)
			}
			grid[y*h.gridW+x] = byte(math.Round(255 * min(1, h.strength(c.at(cosine, d.w, x, y), o))))
		}
	}
	return grid
}

// at is the bilinear value of a map of the given width at a place of the grid.
func (c *canvas) at(m []float32, width, x, y int) float64 {
	top, bottom := m[c.y.first[y]*width:], m[c.y.second[y]*width:]
	l, r, wx, wy := c.x.first[x], c.x.second[x], c.x.weight[x], c.y.weight[y]
	t := float64(top[l])*(1-wx) + float64(top[r])*wx
	b := float64(bottom[l])*(1-wx) + float64(bottom[r])*wx
	return t*(1-wy) + b*wy
}

// peak returns the place of the strongest heat in the frame, between cells where
// the neighbours of the strongest say so.
func (h *heat) peak(d dims, cosine, object []float32, v infer.View) (x, y float64) {
	value := func(i int) float64 { return float64(cosine[i]) }
	if h.useObject {
		value = func(i int) float64 { return h.strength(float64(cosine[i]), float64(object[i])) }
	}
	best := 0
	for i := range cosine {
		if a, b := value(i), value(best); a > b || a == b && cosine[i] > cosine[best] {
			best = i
		}
	}
	col, row := best%d.w, best/d.w
	fx, fy := float64(col), float64(row)
	if col > 0 && col < d.w-1 {
		fx += vertex(value(best-1), value(best), value(best+1))
	}
	if row > 0 && row < d.h-1 {
		fy += vertex(value(best-d.w), value(best), value(best+d.w))
	}
	return v.Frame(place(fx, d.w, h.imageW, h.alignCorners), place(fy, d.h, h.imageH, h.alignCorners))
}

// vertex is the place of the top of the parabola through three values, the
// middle one the highest, from the middle: within half a step.
func vertex(l, m, r float64) float64 {
	bend := l - 2*m + r
	if !(bend < 0) {
		return 0
	}
	return min(max((l-r)/(2*bend), -0.5), 0.5)
}

package overlay

import (
	"math"
	"slices"

	"github.com/seehear/seehear/sinks"
)

// layer is a way of finding what sounds: each has its own maps and colours, and
// where both hold, both are drawn.
type layer int

const (
	looks  layer = iota // what looks like what is heard
	moves               // what moves with it
	layers int   = iota
)

// layerOf returns the layer of a method.
func layerOf(method string) layer {
	if method == "sync" {
		return moves
	}
	return looks
}

// heat is a heat map that is to be drawn: its grid lies in the spool.
type heat struct {
	At   int64
	W, H int32
	X, Y float32 // of the peak, 0 to 1
	Most byte    // largest strength; 0, also of a gated map, draws nothing
}

// loaded is a heat map with its grid.
type loaded struct {
	heat
	grid []byte
}

// load reads the grid of h from the spool into the memory of the one before.
func (l *loaded) load(s *sinks.Spool, h heat) error {
	n := int(h.W) * int(h.H)
	l.heat, l.grid = h, slices.Grow(l.grid[:0], n)[:n]
	return s.Load(l.grid, h.At)
}

// anchors of the colours of each layer's heat maps, from weak to strong: lightness
// rises all the way, so that they read the same in grey and to colour-blind eyes.
// What looks like the sound goes from violet to yellow, what moves with it from
// blue to a light green.
var anchors = [layers][7][3]float64{
	looks: {{46, 16, 101}, {106, 24, 132}, {171, 39, 118}, {224, 72, 84}, {248, 127, 44}, {254, 190, 60}, {255, 246, 158}},
	moves: {{8, 29, 88}, {12, 66, 128}, {10, 104, 150}, {16, 142, 158}, {38, 180, 150}, {104, 216, 146}, {206, 250, 190}},
}

// shade is one entry of the table: the colour already multiplied by its opacity,
// and what is left of the picture, of 256.
type shade struct{ r, g, b, keep uint32 }

// shades is the colour table of a layer by strength. Opacity grows with strength,
// and 0 is not drawn.
type shades [256]shade

var tables = func() (t [layers]shades) {
	for l := range t {
		t[l] = shadesOf(anchors[l][:])
	}
	return t
}()

func shadesOf(anchors [][3]float64) (t shades) {
	for v := 1; v < len(t); v++ {
		x := float64(v) / 255
		i := min(int(x*float64(len(anchors)-1)), len(anchors)-2)
		f := x*float64(len(anchors)-1) - float64(i)
		// Smoothstep: faint below a tenth, full from four fifths on.
		s := math.Min(math.Max((x-0.02)/0.78, 0), 1)
		alpha := 0.74 * s * s * (3 - 2*s)
		c := func(k int) uint32 {
			return uint32(256*alpha*(anchors[i][k]*(1-f)+anchors[i+1][k]*f) + 0.5)
		}
		t[v] = shade{c(0), c(1), c(2), uint32(256*(1-alpha) + 0.5)}
	}
	return t
}

// heatmap blends grids into pictures of one size. A grid's cells cover the
// picture; between their centres the strength is interpolated.
type heatmap struct {
	w, h   int
	gw, gh int
	cols   []column // by grid column: the pixels between its centre and the next
	frac   []uint16 // by pixel: how far it is from its column's centre, of 256
	row    []uint16 // grid row at the pixel row, 8 more bits
}

// column is a run of pixels that lie between two columns of the grid.
type column struct{ from, to, left, right int }

// fit prepares for pictures of w by h and grids of gw by gh.
func (m *heatmap) fit(w, h, gw, gh int) {
	if m.w == w && m.h == h && m.gw == gw && m.gh == gh {
		return
	}
	m.w, m.h, m.gw, m.gh = w, h, gw, gh
	m.cols, m.frac = m.cols[:0], make([]uint16, w)
	m.row = make([]uint16, gw)
	for x := range w {
		i, f := place(x, w, gw)
		m.frac[x] = f
		right := min(i+1, gw-1)
		if n := len(m.cols); n == 0 || m.cols[n-1].left != i || m.cols[n-1].right != right {
			m.cols = append(m.cols, column{from: x, left: i, right: right})
		}
		m.cols[len(m.cols)-1].to = x + 1
	}
}

// place returns the cell whose centre lies before pixel x of w, and how far the
// pixel is on the way to the next centre, of 256.
func place(x, w, cells int) (int, uint16) {
	g := (float64(x)+0.5)*float64(cells)/float64(w) - 0.5
	if g <= 0 {
		return 0, 0
	}
	i := int(g)
	if i >= cells-1 {
		return cells - 1, 0
	}
	return i, uint16((g-float64(i))*256 + 0.5)
}

// draw blends a grid into rgb, which is w by h, in the colours of a layer. Cells
// of strength 0 cost nothing.
func (m *heatmap) draw(rgb []byte, w, h int, of layer, grid []byte, gw, gh int) {
	m.fit(w, h, gw, gh)
	table := &tables[of]
	for y := range h {
		top, fy := place(y, h, gh)
		a := grid[top*gw:][:gw]
		b := a
		if top+1 < gh {
			b = grid[(top+1)*gw:][:gw]
		}
		some := uint16(0)
		for i := range m.row {
			m.row[i] = uint16(a[i])*(256-fy) + uint16(b[i])*fy
			some |= m.row[i]
		}
		if some == 0 {
			continue
		}
		line := rgb[3*w*y:][: 3*w : 3*w]
		for _, c := range m.cols {
			l, r := int32(m.row[c.left]), int32(m.row[c.right])
			if l|r == 0 {
				continue
			}
			d := r - l
			px := line[3*c.from : 3*c.to]
			for _, f := range m.frac[c.from:c.to] {
				s := &table[uint8((l*256+d*int32(f))>>16)]
				if s.keep != 0 {
					px[0] = uint8((s.r + uint32(px[0])*s.keep) >> 8)
					px[1] = uint8((s.g + uint32(px[1])*s.keep) >> 8)
					px[2] = uint8((s.b + uint32(px[2])*s.keep) >> 8)
				}
				px = px[3:]
			}
		}
	}
}

// ring draws a thin circle round the peak, dark outside, light inside, so that it
// shows on any picture.
func ring(rgb []byte, w, h int, x, y, radius, width float64) {
	reach := radius + 2*width
	for py := max(int(y-reach), 0); py <= min(int(y+reach), h-1); py++ {
		for px := max(int(x-reach), 0); px <= min(int(x+reach), w-1); px++ {
			d := math.Hypot(float64(px)+0.5-x, float64(py)+0.5-y)
			light := cover(width/2 - math.Abs(d-radius))
			dark := cover(width/2+1-math.Abs(d-radius-width/2)) * 0.45
			o := 3 * (py*w + px)
			for k := range 3 {
				v := float64(rgb[o+k]) * (1 - dark)
				rgb[o+k] = uint8(v + (255-v)*light*0.9)
			}
		}
	}
}

// cover turns a signed distance to an edge, positive inside, into coverage.
func cover(d float64) float64 { return math.Min(math.Max(d+0.5, 0), 1) }

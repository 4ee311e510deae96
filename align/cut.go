package align

import (
	"slices"
	"time"

	"github.com/seehear/seehear/decode"
)

// Note [Cuts]
//
// A hard cut is a pair of neighbouring frames that differ much more than the
// frames around them do. Two signatures per frame tell: a thumbnail of side by
// side luma cells, compared under small shifts so that a pan or a shaken camera
// counts little, and a histogram of colours, which motion hardly changes. Their
// mean is the distance of two frames, 0..1.
//
// The threshold is the largest of a floor and a multiple of the median distance
// of the last frames and of the distance to the next one, so that wild motion,
// noise, or a test pattern that changes with every frame raises it. And a cut must
// last: a frame counts only if each of the lookBack frames in front differs from
// it and from the lookAhead frames behind it. That rules out flashes and single
// damaged frames of up to lookAhead frames in length, and costs lookAhead frames
// of delay. Of two cuts closer together than that, none is found. Fades and
// dissolves are no hard cuts.
const (
	side      = 16 // cells of a thumbnail, each way
	reach     = 2  // shifts that are tried, in cells, each way
	bins      = 9  // centred 32 levels apart
	lookBack  = 3
	lookAhead = 2
	signs     = 8 // signatures kept: at least lookBack+1+lookAhead
	recent    = 15

	cutFloor = 0.16
	cutRatio = 3.0
	cutFull  = 0.5 // the distance that counts as strength 1
)

// signature is what the cut detector keeps of a frame.
type signature struct {
	at   time.Duration
	luma [side * side]uint8
	hist [3][bins]uint16 // each sums to 32*samplesPerFrame
	none bool            // the frame had no image
}

// Two by two pixels are read per cell.
const samplesPerFrame = side * side * 4

// cutter looks at the frames of one Seg in their order.
type cutter struct {
	image  int // which of a frame's images
	signs  [signs]signature
	steps  [recent]float64 // the latest distances of neighbours that are no cut
	nsteps int
}

func (c *cutter) reset() { c.nsteps = 0 }

// add takes the signature of frame n.
func (c *cutter) add(n int, f *decode.Frame) {
	s := &c.signs[n%signs]
	s.at = f.At
	i := c.image
	if i >= len(f.Images) {
		i = 0
	}
	if s.none = i >= len(f.Images) || f.Images[i].W < 1 || f.Images[i].H < 1; s.none {
		return
	}
	s.read(f.Images[i])
}

// read fills s from im.
func (s *signature) read(im decode.Image) {
	s.hist = [3][bins]uint16{}
	for cy := range side {
		// A quarter and three quarters of the cell.
		y0, y1 := (4*cy+1)*im.H/(4*side), (4*cy+3)*im.H/(4*side)
		for cx := range side {
			x0, x1 := (4*cx+1)*im.W/(4*side), (4*cx+3)*im.W/(4*side)
			sum := 0
			for _, p := range [4]int{y0*im.W + x0, y0*im.W + x1, y1*im.W + x0, y1*im.W + x1} {
				px := im.Pix[3*p : 3*p+3 : 3*p+3]
				r, g, b := int(px[0]), int(px[1]), int(px[2])
				sum += 77*r + 150*g + 29*b // BT.601, in 256ths
				for c, v := range px {
					bin, part := v>>5, uint16(v&31)
					s.hist[c][bin] += 32 - part
					s.hist[c][bin+1] += part
				}
			}
			s.luma[cy*side+cx] = uint8(sum >> 10)
		}
	}
}

// distance returns how different two frames are, 0..1.
func distance(a, b *signature) float64 {
	if a.none || b.none {
		return 0
	}
	h := 0
	for c := range a.hist {
		for i, v := range a.hist[c] {
			h += max(int(v)-int(b.hist[c][i]), 0)
		}
	}
	// Where the pictures agree without a shift, more effort would change no
	// decision: cutRatio times that little is still below the floor.
	best := shifted(a, b, 0, 0)
	if d := blend(best, h); d < cutFloor/cutRatio {
		return d
	}
	for dy := -reach; dy <= reach; dy++ {
		for dx := -reach; dx <= reach; dx++ {
			best = min(best, shifted(a, b, dx, dy))
		}
	}
	return blend(best, h)
}

// blend makes a distance of a sum of luma differences and one of histogram
// differences. Unrelated pictures differ by about a quarter of the range in the
// mean.
func blend(luma, hist int) float64 {
	return (min(1, float64(luma)/(side*side*255)*4) + float64(hist)/(3*32*samplesPerFrame)) / 2
}

// shifted returns the sum of luma differences where b, shifted by (dx, dy), and a
// overlap, scaled up to a full thumbnail.
func shifted(a, b *signature, dx, dy int) int {
	sum, n := 0, 0
	x0, x1 := max(0, dx), min(side, side+dx)
	for y := max(0, dy); y < min(side, side+dy); y++ {
		p := a.luma[y*side+x0 : y*side+x1]
		q := b.luma[(y-dy)*side+x0-dx : (y-dy)*side+x1-dx]
		for i, v := range p {
			d := int(v) - int(q[i])
			if d < 0 {
				d = -d
			}
			sum += d
		}
		n += len(p)
	}
	return sum * side * side / n
}

// strength returns the strength of the cut in front of frame n, 0 if there is
// none. Frames up to last are known; those at or after limit do not count. It is
// called once for each frame from 1 in their order.
func (c *cutter) strength(n, last int, limit time.Duration) float64 {
	d := distance(&c.signs[(n-1)%signs], &c.signs[n%signs])
	threshold := max(cutFloor, cutRatio*c.median())
	if next := &c.signs[(n+1)%signs]; n < last && next.at < limit && d >= threshold {
		threshold = max(threshold, cutRatio*distance(&c.signs[n%signs], next))
	}
	if d >= threshold {
		lasting := d
		for i := max(0, n-lookBack); i < n; i++ {
			for j := n; j <= last; j++ {
				if s := &c.signs[j%signs]; s.at < limit {
					lasting = min(lasting, distance(&c.signs[i%signs], s))
				}
			}
		}
		if lasting >= threshold*2/3 {
			return min(1, d/cutFull)
		}
	}
	c.steps[c.nsteps%recent] = d
	c.nsteps++
	return 0
}

// median returns the median of the latest distances.
func (c *cutter) median() float64 {
	n := min(c.nsteps, recent)
	if n == 0 {
		return 0
	}
	var sorted [recent]float64
	copy(sorted[:], c.steps[:n])
	slices.Sort(sorted[:n])
	return sorted[n/2]
}

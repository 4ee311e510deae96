package infer

import (
	"fmt"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/models"
)

// ImageSize returns the picture that a manifest asks for.
func ImageSize(im models.Image) (decode.Size, error) {
	s := decode.Size{W: im.W, H: im.H}
	if im.W < 1 || im.H < 1 {
		return decode.Size{}, fmt.Errorf("infer: image of %d by %d", im.W, im.H)
	}
	switch im.Fit {
	case "", "squash":
		s.Fit = decode.Squash
	case "crop":
		s.Fit = decode.Crop
	default:
		return decode.Size{}, fmt.Errorf("infer: image fit %q is neither squash nor crop", im.Fit)
	}
	switch im.Filter {
	case "", "bilinear":
		s.Filter = decode.Bilinear
	case "bicubic":
		s.Filter = decode.Bicubic
	case "lanczos":
		s.Filter = decode.Lanczos
	default:
		return decode.Size{}, fmt.Errorf("infer: image filter %q is not bilinear, bicubic or lanczos", im.Filter)
	}
	return s, nil
}

// ImagePacker turns RGB24 pictures into a network's input: planes of float32
// (NCHW) holding (x/255 - mean) / std. It is immutable, so all sources share one.
type ImagePacker struct {
	w, h  int
	plane [3]int          // of red, green, blue
	level [3][256]float32 // what a byte of red, green, blue becomes
}

// NewImagePacker makes the packer of a manifest's image.
func NewImagePacker(im models.Image) (*ImagePacker, error) {
	if _, err := ImageSize(im); err != nil {
		return nil, err
	}
	p := &ImagePacker{w: im.W, h: im.H, plane: [3]int{0, 1, 2}}
	switch im.Order {
	case "", "rgb":
	case "bgr":
		p.plane = [3]int{2, 1, 0}
	default:
		return nil, fmt.Errorf("infer: channel order %q is neither rgb nor bgr", im.Order)
	}
	for c := range p.level {
		std := im.Std[c]
		if std == 0 {
			std = 1
		}
		for v := range p.level[c] {
			p.level[c][v] = float32((float64(v)/255 - im.Mean[c]) / std)
		}
	}
	return p, nil
}

// Shape is the shape of a batch of n packed pictures.
func (p *ImagePacker) Shape(n int) []int64 {
	return []int64{int64(n), 3, int64(p.h), int64(p.w)}
}

// Len is the number of values of one packed picture.
func (p *ImagePacker) Len() int { return 3 * p.w * p.h }

// Pack writes im into dst, which has at least Len values. It allocates nothing.
func (p *ImagePacker) Pack(dst []float32, im decode.Image) error {
	n := p.w * p.h
	if im.W != p.w || im.H != p.h || len(im.Pix) != 3*n {
		return fmt.Errorf("infer: picture of %dx%d (%d bytes) where the network takes %dx%d", im.W, im.H, len(im.Pix), p.w, p.h)
	}
	if len(dst) < 3*n {
		return fmt.Errorf("infer: %d values do not hold a picture of %dx%d", len(dst), p.w, p.h)
	}
	// One pass over the bytes, three streams out; the slices are cut to one
	// length so that the loop carries no bounds checks.
	r := dst[p.plane[0]*n:][:n]
	g := dst[p.plane[1]*n:][:n]
	b := dst[p.plane[2]*n:][:n]
	pix := im.Pix
	for i := range r {
		px := pix[:3:3]
		pix = pix[3:]
		r[i] = p.level[0][px[0]]
		g[i] = p.level[1][px[1]]
		b[i] = p.level[2][px[2]]
	}
	return nil
}

// View is the part of the upright frame that a network sees, in parts of the
// frame's width and height from its left upper corner.
type View struct{ X, Y, W, H float64 }

// ViewOf returns what a picture of the given size shows of a source frame of
// srcW by srcH: all of it, or with [decode.Crop] the centre that is left when the
// short side fits.
func ViewOf(size decode.Size, srcW, srcH int) View {
	v := View{W: 1, H: 1}
	if size.Fit != decode.Crop || srcW < 1 || srcH < 1 || size.W < 1 || size.H < 1 {
		return v
	}
	scale := max(float64(size.W)/float64(srcW), float64(size.H)/float64(srcH))
	v.W = min(1, float64(size.W)/scale/float64(srcW))
	v.H = min(1, float64(size.H)/scale/float64(srcH))
	v.X, v.Y = (1-v.W)/2, (1-v.H)/2
	return v
}

// Frame converts a place in the view to one in the frame.
func (v View) Frame(x, y float64) (fx, fy float64) { return v.X + x*v.W, v.Y + y*v.H }

// Inside converts a place in the frame to one in the view, and reports whether
// the network saw it.
func (v View) Inside(fx, fy float64) (x, y float64, ok bool) {
	x, y = (fx-v.X)/v.W, (fy-v.Y)/v.H
	return x, y, x >= 0 && x < 1 && y >= 0 && y < 1
}

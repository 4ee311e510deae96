package overlay

import (
	"image"
	"image/color"
	"math"
)

// panel is something drawn once and shown on many frames: premultiplied pixels
// and their place.
type panel struct {
	img  *image.RGBA
	x, y int
}

func newPanel(w, h int) *panel {
	return &panel{img: image.NewRGBA(image.Rect(0, 0, max(w, 1), max(h, 1)))}
}

// box fills a rounded rectangle with c over what is there, its edges smoothed.
func (p *panel) box(r image.Rectangle, radius float64, c color.NRGBA) {
	radius = math.Min(radius, float64(min(r.Dx(), r.Dy()))/2)
	cx, cy := float64(r.Min.X+r.Max.X)/2, float64(r.Min.Y+r.Max.Y)/2
	hx, hy := float64(r.Dx())/2-radius, float64(r.Dy())/2-radius
	var solid [4]byte
	over(solid[:], c, float64(c.A)/255)
	b := r.Intersect(p.img.Bounds())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		row := p.img.Pix[p.img.PixOffset(b.Min.X, y):][:4*b.Dx()]
		dy := math.Abs(float64(y)+0.5-cy) - hy
		for x := b.Min.X; x < b.Max.X; x, row = x+1, row[4:] {
			dx := math.Abs(float64(x)+0.5-cx) - hx
			a := float64(c.A) / 255
			if dx > 0 && dy > 0 { // a corner
				a *= cover(radius - math.Sqrt(dx*dx+dy*dy))
			} else if row[3] == 0 {
				copy(row, solid[:])
				continue
			}
			over(row, c, a)
		}
	}
}

// over puts colour c with opacity a over a premultiplied pixel.
func over(px []byte, c color.NRGBA, a float64) {
	px = px[:4]
	mix := func(v byte, add float64) byte { return byte(add*a + float64(v)*(1-a) + 0.5) }
	px[0], px[1], px[2], px[3] = mix(px[0], float64(c.R)), mix(px[1], float64(c.G)), mix(px[2], float64(c.B)), mix(px[3], 255)
}

// blend puts the panel onto a picture of w by h.
func (p *panel) blend(rgb []byte, w, h int) {
	b := p.img.Bounds()
	x0, x1 := max(p.x, 0), min(p.x+b.Dx(), w)
	if x0 >= x1 {
		return
	}
	for y := max(p.y, 0); y < min(p.y+b.Dy(), h); y++ {
		src := p.img.Pix[p.img.PixOffset(x0-p.x, y-p.y):][:4*(x1-x0)]
		dst := rgb[3*(y*w+x0):][:3*(x1-x0)]
		for len(src) >= 4 && len(dst) >= 3 {
			switch a := uint32(src[3]); a {
			case 0:
			case 255:
				dst[0], dst[1], dst[2] = src[0], src[1], src[2]
			default:
				k := 255 - a
				dst[0] = src[0] + div255(uint32(dst[0])*k)
				dst[1] = src[1] + div255(uint32(dst[1])*k)
				dst[2] = src[2] + div255(uint32(dst[2])*k)
			}
			src, dst = src[4:], dst[3:]
		}
	}
}

// div255 is v/255 rounded, for v up to 255*255.
func div255(v uint32) byte { v += 128; return byte((v + v>>8) >> 8) }

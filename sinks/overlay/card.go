package overlay

import (
	"image"
	"math"
	"path"
	"strings"
	"time"
)

// A source without picture is shown as a card: what is heard as large bars, over
// the level of the sound in the last seconds.
const (
	cardW, cardH = 640, 360
	cardRate     = 25 // pictures a second
)

var cardStep = time.Second / cardRate

// card draws the pictures of a source without one.
type card struct {
	*painter
	back   []byte // background with the title
	levels []float64
}

func newCard(maxHeight int, title string, fixture bool) (*card, error) {
	w, h := cardW, cardH
	if maxHeight < h {
		h = max(maxHeight&^1, 2)
		w = max(h*16/9&^1, 2)
	}
	p, err := newPainter(w, h, 1.35, fixture)
	if err != nil {
		return nil, err
	}
	c := &card{painter: p, back: make([]byte, 3*w*h), levels: make([]float64, 6*cardRate)}
	for y := range h {
		t := float64(y) / float64(h)
		for x := range w {
			o := 3 * (y*w + x)
			c.back[o], c.back[o+1], c.back[o+2] = byte(26-12*t), byte(28-12*t), byte(44-20*t)
		}
	}
	if title = path.Base(strings.ReplaceAll(clean(title), `\`, "/")); title != "." && title != "/" {
		t := newPanel(w-2*p.margin, p.text.height())
		p.text.draw(t.img, 0, 0, p.text.cut(title, w/2), faint)
		t.x, t.y = w/2, p.top+int(p.u*0.2)
		t.x = w - p.margin - p.text.width(p.text.cut(title, w/2))
		t.blend(c.back, w, h)
	}
	return c, nil
}

// paint draws the card; level is the peak of the sound during this picture.
func (c *card) paint(rgb []byte, s *scene, level float64) {
	copy(rgb, c.back)
	copy(c.levels, c.levels[1:])
	c.levels[len(c.levels)-1] = level
	c.wave(rgb)
	c.put(rgb, c.status.show(c.statusKey(s), func() *panel { return c.drawStatus(s) }))
	c.put(rgb, c.sounds.show(c.soundKey(s.sound), func() *panel { return c.drawLarge(s.sound) }))
	c.put(rgb, c.caption.show(s.caption, func() *panel { return c.drawCaption(s.caption) }))
	c.put(rgb, c.faces.show(s.face, func() *panel { return c.drawFace(s.face) }))
	c.put(rgb, c.band)
}

// wave draws the levels as bars round a middle line; the newest is at the right.
func (c *card) wave(rgb []byte) {
	mid, half := float64(c.h)*0.8, float64(c.h)*0.13
	step := float64(c.w-2*c.margin) / float64(len(c.levels))
	for i, v := range c.levels {
		// Decibels from -48 to 0 show quiet sound too.
		v = math.Max(1+math.Log10(math.Max(v, 1e-9))*20/48, 0)
		high := max(v*half, 0.75)
		x0 := c.margin + int(float64(i)*step)
		x1 := max(c.margin+int(float64(i+1)*step)-1, x0+1)
		fade := 0.25 + 0.75*float64(i)/float64(len(c.levels))
		for y := max(int(mid-high), 0); y < min(int(mid+high+0.5), c.h); y++ {
			for x := x0; x < min(x1, c.w); x++ {
				px := rgb[3*(y*c.w+x):][:3]
				px[0] += byte(fade * float64(accent.R-px[0]) * 0.8)
				px[1] += byte(fade * float64(accent.G-px[1]) * 0.8)
				px[2] += byte(fade * float64(accent.B-min(px[2], accent.B)) * 0.8)
			}
		}
	}
}

// drawLarge draws the bars across the card.
func (c *card) drawLarge(h *heard) *panel {
	if h == nil {
		return nil
	}
	wide := c.w * 7 / 10
	row := c.text.height() + int(c.u*0.6)
	b := newPanel(wide, 4*row)
	if h.silent {
		c.text.draw(b.img, (wide-c.text.width("silence"))/2, row, "silence", faint)
	} else {
		c.bars(b, h.top[:min(len(h.top), 4)], image.Pt(0, 0), wide, row)
	}
	b.x, b.y = (c.w-wide)/2, c.top+int(c.u*2.2)
	return b
}

// levels of the sound by picture, gathered as blocks come.
type meter struct {
	peaks []float64 // of the pictures from first on
	first int64
}

// add takes samples that begin at at.
func (m *meter) add(at time.Duration, pcm []float32, rate, channels int) {
	for i := 0; i+channels <= len(pcm); i += channels {
		k := int64(at+time.Duration(int64(i/channels)*int64(time.Second)/int64(rate)))/int64(cardStep) - m.first
		if k < 0 {
			continue
		}
		for int64(len(m.peaks)) <= k {
			m.peaks = append(m.peaks, 0)
		}
		for _, v := range pcm[i : i+channels] {
			m.peaks[k] = math.Max(m.peaks[k], math.Abs(float64(v)))
		}
	}
}

// take returns the level of picture k and forgets those before it.
func (m *meter) take(k int64) float64 {
	for m.first < k && len(m.peaks) > 0 {
		m.peaks = append(m.peaks[:0], m.peaks[1:]...)
		m.first++
	}
	m.first = k
	if len(m.peaks) == 0 {
		return 0
	}
	return m.peaks[0]
}

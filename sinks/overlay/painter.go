package overlay

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"strconv"
	"time"

	"golang.org/x/image/draw"

	"github.com/seehear/seehear/infer"
)

// Colours of the panels.
var (
	ink     = color.NRGBA{255, 255, 255, 255}
	faint   = color.NRGBA{255, 255, 255, 165}
	glass   = color.NRGBA{12, 14, 20, 168}
	track   = color.NRGBA{255, 255, 255, 44}
	accent  = color.NRGBA{255, 178, 62, 255}
	live    = color.NRGBA{74, 222, 128, 255}
	warning = color.NRGBA{250, 204, 21, 235}
	black   = color.NRGBA{20, 16, 0, 255}
)

// fixtureText is what every picture made with test graphs says.
const fixtureText = "FIXTURE MODELS · results mean nothing"

// scene is what one picture shows.
type scene struct {
	at      time.Duration
	heats   [layers]*loaded // nil for none
	caption string
	sound   *heard
	voice   int // -1: nobody speaks
	face    *infer.Face
}

// painter draws scenes onto pictures of one size. Whatever takes longer than a
// blend is drawn once and kept until it changes.
type painter struct {
	w, h   int
	u      float64 // size of the caption's letters; the rest follows
	margin int
	top    int // below the band of the fixture models

	big, text, bold, tiny *letters

	heats   [layers]heatmap
	band    *panel
	caption kept[string]
	sounds  kept[string]
	status  kept[string]
	clock   kept[string]
	faces   kept[*infer.Face]
	key     []byte
}

// kept is a panel and what it shows; the panel is nil where that is nothing.
type kept[K comparable] struct {
	key   K
	panel *panel
	drawn bool
}

// show returns the panel for key, drawn anew if it shows something else.
func (k *kept[K]) show(key K, draw func() *panel) *panel {
	if !k.drawn || k.key != key {
		k.key, k.drawn, k.panel = key, true, draw()
	}
	return k.panel
}

// newPainter makes a painter; zoom is the size of the letters, 1 for pictures.
func newPainter(w, h int, zoom float64, fixture bool) (*painter, error) {
	u := math.Max(zoom*math.Min(float64(h)/25, float64(w)/30), 9)
	p := &painter{w: w, h: h, u: u, margin: int(u * 0.7)}
	for _, f := range []struct {
		l    **letters
		bold bool
		size float64
	}{
		{&p.big, false, u}, {&p.text, false, u * 0.68}, {&p.bold, true, u * 0.68}, {&p.tiny, false, math.Max(u*0.5, 8)},
	} {
		var err error
		if *f.l, err = newLetters(f.bold, f.size); err != nil {
			return nil, err
		}
	}
	p.top = p.margin
	if fixture {
		p.band = p.drawBand()
		p.top += p.band.img.Bounds().Dy()
	}
	return p, nil
}

// paint draws s onto rgb.
func (p *painter) paint(rgb []byte, s *scene) {
	p.paintHeat(rgb, s)
	p.put(rgb, p.status.show(p.statusKey(s), func() *panel { return p.drawStatus(s) }))
	p.put(rgb, p.sounds.show(p.soundKey(s.sound), func() *panel { return p.drawSounds(s.sound) }))
	p.put(rgb, p.caption.show(s.caption, func() *panel { return p.drawCaption(s.caption) }))
	p.put(rgb, p.faces.show(s.face, func() *panel { return p.drawFace(s.face) }))
	p.put(rgb, p.band)
}

func (p *painter) put(rgb []byte, pn *panel) {
	if pn != nil {
		pn.blend(rgb, p.w, p.h)
	}
}

// paintHeat draws the heat maps, one over the other, and round the peak of each
// that is strong anywhere a ring.
func (p *painter) paintHeat(rgb []byte, s *scene) {
	for l, h := range s.heats {
		if h != nil && h.Most > 0 {
			p.heats[l].draw(rgb, p.w, p.h, layer(l), h.grid, int(h.W), int(h.H))
		}
	}
	for _, h := range s.heats {
		if h != nil && h.Most >= 64 {
			ring(rgb, p.w, p.h, float64(h.X)*float64(p.w), float64(h.Y)*float64(p.h), p.u*0.55, math.Max(p.u*0.09, 1))
		}
	}
}

// hot reports whether any heat map holds.
func (s *scene) hot() bool { return s.heats != [layers]*loaded{} }

// drawBand draws the warning across the top.
func (p *painter) drawBand() *panel {
	h := p.bold.height() + int(p.u*0.3)
	b := newPanel(p.w, h)
	b.box(b.img.Bounds(), 0, warning)
	text := p.bold.cut(fixtureText, p.w-2*p.margin)
	p.bold.draw(b.img, (p.w-p.bold.width(text))/2, (h-p.bold.height())/2, text, black)
	return b
}

// drawCaption draws the lower third: the caption on at most three lines.
func (p *painter) drawCaption(s string) *panel {
	lines := p.big.wrap(clean(s), p.w*4/5, 3)
	if len(lines) == 0 {
		return nil
	}
	wide := 0
	for _, l := range lines {
		wide = max(wide, p.big.width(l))
	}
	padX, padY := int(p.u*0.75), int(p.u*0.4)
	b := newPanel(wide+2*padX, len(lines)*p.big.line+2*padY)
	size := b.img.Bounds()
	b.box(size, p.u*0.45, glass)
	for i, l := range lines {
		p.big.draw(b.img, (size.Dx()-p.big.width(l))/2, padY+i*p.big.line+(p.big.line-p.big.height())/2, l, ink)
	}
	b.x, b.y = (p.w-size.Dx())/2, p.h-size.Dy()-p.margin-int(p.u*0.4)
	return b
}

// percent is a probability in whole percent.
func percent(v float64) int {
	if !(v > 0) {
		return 0
	}
	return int(math.Round(100 * math.Min(v, 1)))
}

// soundKey says what the panel of sounds shows; it changes seldom, although there
// may be a new distribution for every frame.
func (p *painter) soundKey(h *heard) string {
	p.key = p.key[:0]
	if h == nil {
		return ""
	}
	if h.silent {
		return "silent"
	}
	for _, s := range h.top {
		p.key = append(p.key, s.Label...)
		p.key = append(p.key, 0)
		p.key = strconv.AppendInt(p.key, int64(percent(s.P)), 10)
		p.key = append(p.key, 0)
	}
	return string(p.key)
}

// drawSounds draws the top sounds as bars, in the upper right corner.
func (p *painter) drawSounds(h *heard) *panel {
	if h == nil || !h.silent && len(h.top) == 0 {
		return nil
	}
	pad := int(p.u * 0.5)
	wide := min(int(p.u*11), p.w*45/100)
	row := p.text.height() + int(p.u*0.42)
	rows := len(h.top)
	if h.silent {
		rows = 1
	}
	b := newPanel(wide, rows*row+2*pad-int(p.u*0.12))
	b.box(b.img.Bounds(), p.u*0.45, glass)
	if h.silent {
		p.text.draw(b.img, pad, pad, "silence", faint)
	} else {
		p.bars(b, h.top, image.Pt(pad, pad), wide-2*pad, row)
	}
	b.x, b.y = p.w-wide-p.margin, p.top
	return b
}

// bars draws a row of label, figure and bar for each score.
func (p *painter) bars(b *panel, top []infer.Score, at image.Point, wide, row int) {
	thick := max(int(p.u*0.16), 2)
	for i, s := range top {
		l := p.text
		if i == 0 {
			l = p.bold
		}
		y := at.Y + i*row
		figure := strconv.Itoa(percent(s.P)) + "%"
		fw := l.width(figure)
		l.draw(b.img, at.X, y, l.cut(clean(s.Label), wide-fw-int(p.u*0.5)), ink)
		l.draw(b.img, at.X+wide-fw, y, figure, faint)
		y += l.height() + int(p.u*0.06)
		b.box(image.Rect(at.X, y, at.X+wide, y+thick), float64(thick)/2, track)
		if n := int(float64(wide)*math.Min(math.Max(s.P, 0), 1) + 0.5); n > 0 {
			c := accent
			if i > 0 {
				c.A = 170
			}
			b.box(image.Rect(at.X, y, at.X+max(n, thick), y+thick), float64(thick)/2, c)
		}
	}
}

// statusKey says what the pills in the upper left corner show.
func (p *painter) statusKey(s *scene) string {
	p.key = append(p.key[:0], timecode(s.at)...)
	p.key = append(p.key, 0)
	p.key = strconv.AppendInt(p.key, int64(s.voice), 10)
	if s.sound != nil && !s.sound.silent {
		p.key = append(p.key, s.sound.scene.Label...)
		p.key = strconv.AppendInt(p.key, int64(percent(s.sound.scene.P)), 10)
	}
	return string(p.key)
}

// drawStatus draws the pills in the upper left corner: the time, who speaks, and
// the scene that the sound tells of.
func (p *painter) drawStatus(s *scene) *panel {
	padX, padY := int(p.u*0.45), int(p.u*0.2)
	high := p.text.height() + 2*padY
	gap := int(p.u * 0.3)
	type pill struct {
		text string
		dot  bool
		wide int
	}
	pills := []pill{{text: timecode(s.at)}}
	if s.voice >= 0 {
		text := "speech"
		if s.voice > 0 {
			text += " · voice " + strconv.Itoa(s.voice)
		}
		pills = append(pills, pill{text: text, dot: true})
	}
	if h := s.sound; h != nil && !h.silent && h.scene.Label != "" {
		text := clean(h.scene.Label) + " " + strconv.Itoa(percent(h.scene.P)) + "%"
		pills = append(pills, pill{text: p.text.cut(text, int(p.u*9))})
	}
	wide := 0
	dot := int(p.u * 0.36)
	for i := range pills {
		w := p.text.width(pills[i].text) + 2*padX
		if i == 0 { // figures differ in width, the pill does not
			w = p.text.width("00:00:00.000") + 2*padX
		}
		if pills[i].dot {
			w += dot + padX*2/3
		}
		pills[i].wide = w
		wide = max(wide, w)
	}
	b := newPanel(wide, len(pills)*(high+gap)-gap)
	for i, pl := range pills {
		y := i * (high + gap)
		b.box(image.Rect(0, y, pl.wide, y+high), float64(high)/2, glass)
		x := padX
		if pl.dot {
			b.box(image.Rect(x, y+(high-dot)/2, x+dot, y+(high-dot)/2+dot), float64(dot)/2, live)
			x += dot + padX*2/3
		}
		p.text.draw(b.img, x, y+padY, pl.text, ink)
	}
	b.x, b.y = p.margin, p.top
	return b
}

// timecode writes a time as h:mm:ss with tenths.
func timecode(d time.Duration) string {
	ds := max(d, 0) / (100 * time.Millisecond)
	return fmt.Sprintf("%02d:%02d:%02d.%d", ds/36000, ds/600%60, ds/10%60, ds%10)
}

// drawFace draws the illustration of a voice with its notice, to the right above
// the caption.
func (p *painter) drawFace(f *infer.Face) *panel {
	if f == nil {
		return nil
	}
	side := min(int(p.u*5.2), p.w/4)
	pad := int(p.u * 0.3)
	notice := f.Notice
	if notice == "" {
		notice = infer.FaceNotice
	}
	lines := p.tiny.wrap(clean(notice), side, 6)
	b := newPanel(side+2*pad, side+2*pad+len(lines)*p.tiny.line+pad/2)
	b.box(b.img.Bounds(), p.u*0.45, glass)
	draw.CatmullRom.Scale(b.img, image.Rect(pad, pad, pad+side, pad+side), rgbImage(f.Pix, f.W, f.H), image.Rect(0, 0, f.W, f.H), draw.Src, nil)
	for i, l := range lines {
		p.tiny.draw(b.img, pad+(side-p.tiny.width(l))/2, side+pad+pad/2+i*p.tiny.line, l, ink)
	}
	size := b.img.Bounds()
	b.x = p.w - size.Dx() - p.margin
	b.y = max(p.top, (p.h-size.Dy())/2)
	return b
}

// rgbImage copies RGB24 into an image of the standard library.
func rgbImage(pix []byte, w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	fillRGBA(img.Pix, pix)
	return img
}

// fillRGBA writes RGB24 as opaque RGBA.
func fillRGBA(dst, rgb []byte) {
	for len(rgb) >= 3 && len(dst) >= 4 {
		dst[0], dst[1], dst[2], dst[3] = rgb[0], rgb[1], rgb[2], 255
		dst, rgb = dst[4:], rgb[3:]
	}
}

package overlay

import (
	"bufio"
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"path/filepath"

	"golang.org/x/image/draw"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/sinks"
)

// writePNG writes one picture as a whole file.
func writePNG(dir, name string, img image.Image) error {
	part, err := sinks.Create(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(part, 64<<10)
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err = enc.Encode(w, img); err == nil {
		err = w.Flush()
	}
	if err != nil {
		part.Discard()
		return err
	}
	return part.Commit()
}

// faceSide is the least width of a face's file, so that its notice can be read.
const faceSide = 320

// facePicture puts the notice below the face, in the picture itself, so that the
// one does not go without the other.
func facePicture(f *infer.Face, fixture bool) (image.Image, error) {
	scale := (faceSide + f.W - 1) / f.W
	w, h := f.W*scale, f.H*scale
	text, err := newLetters(false, 15)
	if err != nil {
		return nil, err
	}
	const pad = 10
	notice := f.Notice
	if notice == "" {
		notice = infer.FaceNotice
	}
	lines := text.wrap(clean(notice), w-2*pad, 8)
	if fixture {
		lines = append(lines, text.wrap(fixtureText, w-2*pad, 3)...)
	}
	p := newPanel(w, h+len(lines)*text.line+2*pad)
	for i := range p.img.Pix {
		p.img.Pix[i] = 255
	}
	draw.CatmullRom.Scale(p.img, image.Rect(0, 0, w, h), rgbImage(f.Pix, f.W, f.H), image.Rect(0, 0, f.W, f.H), draw.Src, nil)
	for i, l := range lines {
		text.draw(p.img, pad, h+pad+i*text.line, l, black)
	}
	return p.img, nil
}

// thumbnail makes a JPEG of that width from a picture, never wider than it is.
func thumbnail(rgb []byte, w, h, width int) (b []byte, tw, th int, err error) {
	tw = min(width, w)
	th = max(h*tw/w, 1)
	dst := image.NewRGBA(image.Rect(0, 0, tw, th))
	draw.BiLinear.Scale(dst, dst.Bounds(), rgbImage(rgb, w, h), image.Rect(0, 0, w, h), draw.Src, nil)
	var buf bytes.Buffer
	if err = jpeg.Encode(&buf, dst, &jpeg.Options{Quality: 82}); err != nil {
		return nil, 0, 0, err
	}
	return buf.Bytes(), tw, th, nil
}

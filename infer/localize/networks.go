package localize

import (
	"context"
	"fmt"
	"math"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
)

// output is what Infer found in one moment.
type output struct {
	dims
	silent bool
	view   infer.View
	cosine []float32 // of each cell with the sound
	object []float32 // objectness of each cell; empty without
	mean   []float32 // of the picture's cells
}

// work is the memory of one Infer.
type work struct {
	pcm                []float32
	image, spectrogram infer.Tensor
	embedding, object  infer.Tensor
	sound              infer.Tensor
	soundBuf           []float32
	// Shapes of the tensors above where they are known before the run.
	cellsShape        [4]int64
	objectShape       [3]int64
	soundShape        [2]int64
	squares           []float64 // per cell
	dots              []float64
	imageIn, imageOut []*infer.Tensor
	audioIn, audioOut []*infer.Tensor
}

func (f *Family) newWork() *work {
	w := &work{
		pcm:      make([]float32, f.need.Window),
		image:    infer.Tensor{Shape: f.packer.Shape(1), F32: make([]float32, f.packer.Len())},
		imageIn:  make([]*infer.Tensor, f.image.inputs),
		imageOut: make([]*infer.Tensor, f.image.outputs),
		audioIn:  make([]*infer.Tensor, f.audio.inputs),
		audioOut: make([]*infer.Tensor, f.audio.outputs),
	}
	w.spectrogram = infer.Tensor{Shape: f.sound.Shape(1, f.need.Window), F32: make([]float32, f.sound.Len(f.need.Window))}
	if d := f.audio.depth(); d > 0 {
		w.soundBuf = make([]float32, d)
	}
	w.imageIn[f.image.image] = &w.image
	w.imageOut[f.image.embedding] = &w.embedding
	if f.image.objectness >= 0 {
		w.imageOut[f.image.objectness] = &w.object
	}
	w.audioIn[f.audio.spectrogram] = &w.spectrogram
	w.audioOut[f.audio.embedding] = &w.sound
	return w
}

// Infer runs both networks, unless the picture's embedding is known or there is
// nothing to hear. A moment without a picture or without sound has no output.
func (f *Family) Infer(ctx context.Context, m *align.Moment) (infer.Output, error) {
	if m.Frame == nil || m.Wave.PCM == nil {
		return nil, nil
	}
	w := f.works.Take()
	defer f.works.Give(w)
	out := f.outputs.Take()
	if err := f.compare(ctx, w, m, out); err != nil {
		f.outputs.Give(out)
		return nil, fmt.Errorf("localize: model %s: %w", f.info.Name, err)
	}
	return out, nil
}

// compare fills out with the cosines of m's picture and sound, unless what the
// window really has of sound is below the gate.
func (f *Family) compare(ctx context.Context, w *work, m *align.Moment, out *output) error {
	lo, hi, err := f.wave.Pack(w.pcm, m.Wave)
	if err != nil {
		return err
	}
	if out.silent = f.quiet(m, lo, hi); out.silent {
		return nil
	}
	sound, err := f.hear(ctx, w)
	if err != nil {
		return fmt.Errorf("graph audio: %w", err)
	}
	e := f.cache.get(m.Image.Pix)
	if e == nil {
		e = f.cache.take()
		if err := f.look(ctx, w, m, e); err != nil {
			f.cache.release(e)
			return fmt.Errorf("graph image: %w", err)
		}
		f.cache.keep(e, m.Image.Pix)
	}
	defer f.cache.release(e)
	if len(sound) != e.depth {
		return fmt.Errorf("image cells have %d values and the sound has %d", e.depth, len(sound))
	}
	out.dims, out.view = e.dims, infer.ViewOf(f.need.Image, m.Frame.SrcW, m.Frame.SrcH)
	out.object = append(out.object[:0], e.object...)
	out.mean = append(out.mean[:0], e.mean...)
	return w.cosines(out, e, sound)
}

// quiet reports whether the source's own samples, lo to hi of the window, are
// below the gate.
func (f *Family) quiet(m *align.Moment, lo, hi int) bool {
	return lo >= hi || !(infer.RMS(m.Wave.PCM.Data[lo:hi]) >= f.silence)
}

// hear returns the embedding of the sound in w, which lives in w as well.
func (f *Family) hear(ctx context.Context, w *work) ([]float32, error) {
	if err := f.sound.Pack(w.spectrogram.F32, w.pcm); err != nil {
		return nil, err
	}
	w.sound = infer.Tensor{}
	if w.soundBuf != nil {
		w.soundShape = [2]int64{1, int64(len(w.soundBuf))}
		w.sound = infer.Tensor{Shape: w.soundShape[:], F32: w.soundBuf}
	}
	if err := f.audio.session.Run(ctx, w.audioIn, w.audioOut); err != nil {
		return nil, err
	}
	if s := w.sound.Shape; len(s) != 2 || s[0] != 1 || int(s[1]) != len(w.sound.F32) || s[1] < 1 {
		return nil, fmt.Errorf("embedding has shape %v and %d values", s, len(w.sound.F32))
	}
	return w.sound.F32, nil
}

// look fills e with the embedding of the picture.
func (f *Family) look(ctx context.Context, w *work, m *align.Moment, e *embedding) error {
	if err := f.packer.Pack(w.image.F32, m.Image); err != nil {
		return err
	}
	known := f.imageDims.Load()
	w.embedding, w.object = infer.Tensor{}, infer.Tensor{}
	if known != nil {
		e.dims = *known
		e.cells = sized(e.cells, e.depth*e.dims.cells())
		w.cellsShape = [4]int64{1, int64(e.depth), int64(e.h), int64(e.w)}
		w.embedding = infer.Tensor{Shape: w.cellsShape[:], F32: e.cells}
		if f.image.objectness >= 0 {
			e.object = sized(e.object, e.dims.cells())
			w.objectShape = [3]int64{1, int64(e.h), int64(e.w)}
			w.object = infer.Tensor{Shape: w.objectShape[:], F32: e.object}
		}
	}
	if err := f.image.session.Run(ctx, w.imageIn, w.imageOut); err != nil {
		return err
	}
	if known == nil {
		if err := f.learn(w, e); err != nil {
			return err
		}
	}
	e.average()
	return nil
}

// learn takes over the first result of a graph that leaves its shape open.
func (f *Family) learn(w *work, e *embedding) error {
	s := w.embedding.Shape
	if len(s) != 4 || s[0] != 1 || s[1] < 1 || s[2] < 1 || s[3] < 1 || s[1]*s[2]*s[3] != int64(len(w.embedding.F32)) {
		return fmt.Errorf("embedding has shape %v and %d values", s, len(w.embedding.F32))
	}
	d := dims{depth: int(s[1]), h: int(s[2]), w: int(s[3])}
	e.dims = d
	e.cells = append(e.cells[:0], w.embedding.F32...)
	if f.image.objectness >= 0 {
		if len(w.object.F32) != d.cells() {
			return fmt.Errorf("objectness has shape %v beside an embedding of shape %v", w.object.Shape, s)
		}
		e.object = append(e.object[:0], w.object.F32...)
	}
	f.imageDims.Store(&d)
	return nil
}

// average fills the mean over the cells.
func (e *embedding) average() {
	n := e.dims.cells()
	e.mean = sized(e.mean, e.depth)
	for d := range e.mean {
		sum := float32(0)
		for _, v := range e.cells[d*n : (d+1)*n] {
			sum += v
		}
		e.mean[d] = sum / float32(n)
	}
}

// cosines fills out.cosine. Lengths are divided out here, whether or not the
// graphs already gave unit vectors; a cell or a sound of length zero resembles
// nothing.
func (w *work) cosines(out *output, e *embedding, sound []float32) error {
	n := e.dims.cells()
	w.dots, w.squares = sized(w.dots, n), sized(w.squares, n)
	clear(w.dots)
	clear(w.squares)
	total := 0.0
	for d, a := range sound {
		a := float64(a)
		total += a * a
		row := e.cells[d*n:][:n]
		dots, squares := w.dots[:n], w.squares[:n]
		for i, v := range row {
			v := float64(v)
			dots[i] += a * v
			squares[i] += v * v
		}
	}
	out.cosine = sized(out.cosine, n)
	for i := range out.cosine {
		length := math.Sqrt(total * w.squares[i])
		if length == 0 {
			out.cosine[i] = 0
			continue
		}
		c := w.dots[i] / length
		if math.IsNaN(c) || math.IsInf(length, 0) {
			return fmt.Errorf("embeddings are not finite numbers")
		}
		out.cosine[i] = float32(c)
	}
	for _, v := range out.object {
		if math.IsNaN(float64(v)) {
			return fmt.Errorf("objectness is not a number")
		}
	}
	return nil
}

// sized returns a slice of n elements with undefined contents, in the memory of
// s if it suffices.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

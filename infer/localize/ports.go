package localize

import (
	"errors"
	"fmt"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

var errNoSession = errors.New("is not loaded")

// imagePorts are the places of the image encoder's tensors: image [batch, 3,
// height, width] in, image_embedding [batch, depth, rows, columns] and perhaps
// objectness [batch, rows, columns] out.
type imagePorts struct {
	session               infer.Session
	image                 int
	embedding, objectness int // objectness is -1 without one
	inputs, outputs       int
}

func imagePortsOf(s infer.Session, g models.Graph, shape []int64) (p imagePorts, err error) {
	if s == nil {
		return p, errNoSession
	}
	in, out := s.Inputs(), s.Outputs()
	p = imagePorts{session: s, inputs: len(in), outputs: len(out), objectness: -1}
	if p.image, err = infer.NeedPort(in, g.Inputs, "image", "float32", 4); err != nil {
		return p, err
	}
	if len(in) != 1 {
		return p, fmt.Errorf("takes %d tensors where only an image is known", len(in))
	}
	if err = fits(in[p.image], shape); err != nil {
		return p, err
	}
	if p.embedding, err = infer.NeedPort(out, g.Outputs, "image_embedding", "float32", 4); err != nil {
		return p, err
	}
	if infer.Port(out, g.Outputs, "objectness") >= 0 {
		if p.objectness, err = infer.NeedPort(out, g.Outputs, "objectness", "float32", 3); err != nil {
			return p, err
		}
	}
	return p, nil
}

// fixed returns the shape of the embedding if the graph states it.
func (p imagePorts) fixed() (dims, bool) {
	s := p.session.Outputs()[p.embedding].Shape
	d := dims{depth: int(s[1]), h: int(s[2]), w: int(s[3])}
	return d, s[1] > 0 && s[2] > 0 && s[3] > 0
}

// audioPorts are the places of the sound encoder's tensors: spectrogram [batch,
// 1, bins, frames] in, audio_embedding [batch, depth] out.
type audioPorts struct {
	session         infer.Session
	spectrogram     int
	embedding       int
	inputs, outputs int
}

func audioPortsOf(s infer.Session, g models.Graph, shape []int64) (p audioPorts, err error) {
	if s == nil {
		return p, errNoSession
	}
	in, out := s.Inputs(), s.Outputs()
	p = audioPorts{session: s, inputs: len(in), outputs: len(out)}
	if p.spectrogram, err = infer.NeedPort(in, g.Inputs, "spectrogram", "float32", 4); err != nil {
		return p, err
	}
	if len(in) != 1 {
		return p, fmt.Errorf("takes %d tensors where only a spectrogram is known", len(in))
	}
	if err = fits(in[p.spectrogram], shape); err != nil {
		return p, err
	}
	p.embedding, err = infer.NeedPort(out, g.Outputs, "audio_embedding", "float32", 2)
	return p, err
}

// depth is the width of the embedding, -1 if the graph leaves it open.
func (p audioPorts) depth() int { return int(p.session.Outputs()[p.embedding].Shape[1]) }

// fits reports where a graph's fixed dimensions differ from what it will be fed.
func fits(v infer.Value, shape []int64) error {
	for i, n := range v.Shape {
		if n > 0 && n != shape[i] {
			return fmt.Errorf("tensor %s has shape %v, and the manifest makes %v", v.Name, v.Shape, shape)
		}
	}
	return nil
}

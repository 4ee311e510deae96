package caption

import (
	"context"
	"fmt"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

// stepNet is the layout "step". The encoder takes image [batch, 3, height, width]
// and gives annotations [batch, cells, features] and the first recurrent state,
// h0 and, for an LSTM, c0 [batch, width]. The decoder takes token int64 [batch],
// h, c and annotations, and gives logits [batch, vocabulary], h_next, c_next and
// perhaps attention [batch, cells].
type stepNet struct {
	packer           *infer.ImagePacker
	encoder, decoder infer.Session
	encIn, encOut    []infer.Value
	decIn, decOut    []infer.Value

	image, annotations int // of the encoder
	token, from        int // of the decoder: inputs token and annotations
	logits, attention  int // outputs; attention is -1 without one
	recurrent          []recurrent
}

// recurrent is one tensor that goes round.
type recurrent struct{ first, in, next int }

func newStep(m models.Model, encoder, decoder infer.Session, packer *infer.ImagePacker, beam int) (*stepNet, error) {
	n := &stepNet{
		packer: packer, encoder: encoder, decoder: decoder,
		encIn: encoder.Inputs(), encOut: encoder.Outputs(), decIn: decoder.Inputs(), decOut: decoder.Outputs(),
	}
	if err := n.bindEncoder(m.Graphs["encoder"]); err != nil {
		return nil, fmt.Errorf("graph encoder: %w", err)
	}
	if err := n.bindDecoder(m, beam); err != nil {
		return nil, fmt.Errorf("graph decoder: %w", err)
	}
	return n, nil
}

func (n *stepNet) bindEncoder(g models.Graph) (err error) {
	if n.image, err = infer.NeedPort(n.encIn, g.Inputs, "image", "float32", 4); err != nil {
		return err
	}
	if len(n.encIn) != 1 {
		return fmt.Errorf("takes %d tensors where only an image is known", len(n.encIn))
	}
	if err = pictureFits(n.encIn[n.image], n.packer.Shape(1)); err != nil {
		return err
	}
	n.annotations, err = infer.NeedPort(n.encOut, g.Outputs, "annotations", "float32", 3)
	return err
}

func (n *stepNet) bindDecoder(m models.Model, beam int) (err error) {
	enc, dec := m.Graphs["encoder"], m.Graphs["decoder"]
	if n.token, err = infer.NeedPort(n.decIn, dec.Inputs, "token", "int64", 1); err != nil {
		return err
	}
	if n.from, err = infer.NeedPort(n.decIn, dec.Inputs, "annotations", "float32", 3); err != nil {
		return err
	}
	if n.logits, err = infer.NeedPort(n.decOut, dec.Outputs, "logits", "float32", 2); err != nil {
		return err
	}
	n.attention = -1
	if infer.Port(n.decOut, dec.Outputs, "attention") >= 0 {
		if n.attention, err = infer.NeedPort(n.decOut, dec.Outputs, "attention", "float32", 2); err != nil {
			return err
		}
	}
	for _, name := range []string{"h", "c"} {
		r := recurrent{in: infer.Port(n.decIn, dec.Inputs, name)}
		if name == "c" && r.in < 0 {
			continue // a GRU
		}
		if r.in, err = infer.NeedPort(n.decIn, dec.Inputs, name, "float32", 2); err != nil {
			return err
		}
		if r.next, err = infer.NeedPort(n.decOut, dec.Outputs, name+"_next", "float32", 2); err != nil {
			return err
		}
		if r.first, err = infer.NeedPort(n.encOut, enc.Outputs, name+"0", "float32", 2); err != nil {
			return fmt.Errorf("graph encoder: %w", err)
		}
		if w := m.Decode.State; len(w) > 0 {
			if k := len(n.recurrent); k >= len(w) || n.decIn[r.in].Shape[1] > 0 && n.decIn[r.in].Shape[1] != int64(w[k]) {
				return fmt.Errorf("tensor %s has shape %v, and the manifest states widths %v", n.decIn[r.in].Name, n.decIn[r.in].Shape, w)
			}
		}
		n.recurrent = append(n.recurrent, r)
	}
	if len(n.decIn) != 2+len(n.recurrent) {
		return fmt.Errorf("takes %d tensors where %d are known", len(n.decIn), 2+len(n.recurrent))
	}
	return batchFits(n.decIn, beam)
}

// stepRun is one caption of a stepNet.
type stepRun struct {
	*stepNet
	encoderIn, encoderOut []*infer.Tensor
	decoderIn, decoderOut []*infer.Tensor

	picture  infer.Tensor
	notes    slot
	firsts   []slot
	spread   spread
	tokens   infer.Tensor
	shown    infer.Tensor // annotations as the decoder takes them
	states   []infer.Tensor
	nexts    []slot
	odds     slot
	looks    slot
	begun    bool
	shape1   [1]int64
	shape3   [3]int64
	shapes2  [][2]int64
	memories [][]float32
}

func (n *stepNet) newRun() run {
	k := len(n.recurrent)
	r := &stepRun{
		stepNet:   n,
		encoderIn: make([]*infer.Tensor, len(n.encIn)), encoderOut: make([]*infer.Tensor, len(n.encOut)),
		decoderIn: make([]*infer.Tensor, len(n.decIn)), decoderOut: make([]*infer.Tensor, len(n.decOut)),
		picture: infer.Tensor{Shape: n.packer.Shape(1), F32: make([]float32, n.packer.Len())},
		notes:   newSlot(n.encOut[n.annotations]),
		firsts:  make([]slot, k), nexts: make([]slot, k), states: make([]infer.Tensor, k), shapes2: make([][2]int64, k), memories: make([][]float32, k),
		odds: newSlot(n.decOut[n.logits]),
	}
	r.encoderIn[n.image] = &r.picture
	r.decoderIn[n.token], r.decoderIn[n.from] = &r.tokens, &r.shown
	for i, c := range n.recurrent {
		r.firsts[i], r.nexts[i] = newSlot(n.encOut[c.first]), newSlot(n.decOut[c.next])
		r.decoderIn[c.in] = &r.states[i]
	}
	if n.attention >= 0 {
		r.looks = newSlot(n.decOut[n.attention])
	}
	return r
}

func (r *stepRun) encode(ctx context.Context, im decode.Image) error {
	if err := r.packer.Pack(r.picture.F32, im); err != nil {
		return err
	}
	r.encoderOut[r.annotations] = r.notes.ask(1)
	for i, c := range r.recurrent {
		r.encoderOut[c.first] = r.firsts[i].ask(1)
	}
	if err := r.encoder.Run(ctx, r.encoderIn, r.encoderOut); err != nil {
		return err
	}
	if err := r.notes.got(1, r.encOut[r.annotations]); err != nil {
		return err
	}
	for i, c := range r.recurrent {
		if err := r.firsts[i].got(1, r.encOut[c.first]); err != nil {
			return err
		}
	}
	r.spread.set(r.notes.F32)
	r.begun = false
	return nil
}

func (r *stepRun) step(ctx context.Context, tokens []int64, parents []int) (stepped, error) {
	rows := len(tokens)
	r.shape1 = [1]int64{int64(rows)}
	r.tokens = infer.Tensor{Shape: r.shape1[:], I64: tokens}
	r.shape3 = [3]int64{int64(rows), r.notes.Shape[1], r.notes.Shape[2]}
	r.shown = infer.Tensor{Shape: r.shape3[:], F32: r.spread.take(rows)}
	for i, c := range r.recurrent {
		width := len(r.firsts[i].F32)
		last := r.firsts[i].F32
		if r.begun {
			last = r.nexts[i].F32
		}
		r.memories[i] = gather(r.memories[i], last, parents, width)
		r.shapes2[i] = [2]int64{int64(rows), int64(width)}
		r.states[i] = infer.Tensor{Shape: r.shapes2[i][:], F32: r.memories[i]}
		r.decoderOut[c.next] = r.nexts[i].askFor(int64(rows), int64(width))
	}
	r.begun = true
	r.decoderOut[r.logits] = r.odds.ask(rows)
	if r.attention >= 0 {
		r.decoderOut[r.attention] = r.looks.ask(rows)
	}
	if err := r.decoder.Run(ctx, r.decoderIn, r.decoderOut); err != nil {
		return stepped{}, err
	}
	for i, c := range r.recurrent {
		if err := r.nexts[i].got(rows, r.decOut[c.next]); err != nil {
			return stepped{}, err
		}
	}
	if err := r.odds.got(rows, r.decOut[r.logits]); err != nil {
		return stepped{}, err
	}
	out := stepped{logits: r.odds.F32, vocab: int(r.odds.Shape[1])}
	if r.attention >= 0 {
		if err := r.looks.got(rows, r.decOut[r.attention]); err != nil {
			return stepped{}, err
		}
		out.attention, out.cells = r.looks.F32, int(r.looks.Shape[1])
	}
	return out, nil
}

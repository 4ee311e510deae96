package caption

import (
	"context"
	"fmt"
	"strings"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

// Note [Past keys]
//
// A transformer's decoder needs the keys and values of all tokens before. The
// merged graph holds two branches. The first pass takes pasts of length zero and
// use_cache_branch false; each later one takes what the pass before gave as
// present.*, and true. When the beam changes rows, the pasts are reordered
// with it, on axis 0.
//
// Where the decoder also looks at the encoder through keys of its own
// (.encoder.key, as in BART), those come out of the first pass and are fed from
// then on; what later passes give under that name has no meaning. A decoder of the
// GPT-2 kind has no such keys. The encoder's states are fed at every step to both.
// A graph without pasts at all is fed the whole sentence each time.

// optimumNet is the layout "optimum". The encoder takes pixel_values [batch, 3,
// height, width] and gives last_hidden_state [batch, places, width]. The decoder
// takes input_ids int64 [batch, steps], encoder_hidden_states, use_cache_branch
// bool [1] and past_key_values.*, and gives logits [batch, steps, vocabulary] and
// present.*; encoder_attention_mask, attention_mask and position_ids int64 are fed
// if it asks for them, and an output attention [batch, cells] is taken if there
// is one.
type optimumNet struct {
	packer           *infer.ImagePacker
	encoder, decoder infer.Session
	encIn, encOut    []infer.Value
	decIn, decOut    []infer.Value

	pixels, hidden                    int // of the encoder
	ids, states, branch               int // inputs of the decoder; branch is -1 without one
	encoderMask, tokenMask, positions int // inputs, -1 without one
	logits, attention                 int // outputs; attention is -1 without one
	pasts                             []past
}

// past is a pair of past and present.
type past struct {
	in, out     int
	heads, dim  int64
	fromEncoder bool // made by the first pass, then kept
}

func newOptimum(m models.Model, encoder, decoder infer.Session, packer *infer.ImagePacker, beam int) (*optimumNet, error) {
	n := &optimumNet{
		packer: packer, encoder: encoder, decoder: decoder,
		encIn: encoder.Inputs(), encOut: encoder.Outputs(), decIn: decoder.Inputs(), decOut: decoder.Outputs(),
		branch: -1, encoderMask: -1, tokenMask: -1, positions: -1, attention: -1,
	}
	if err := n.bindEncoder(m.Graphs["encoder"]); err != nil {
		return nil, fmt.Errorf("graph encoder: %w", err)
	}
	if err := n.bindDecoder(m); err != nil {
		return nil, fmt.Errorf("graph decoder: %w", err)
	}
	if err := batchFits(n.decIn, beam); err != nil {
		return nil, fmt.Errorf("graph decoder: %w", err)
	}
	return n, nil
}

func (n *optimumNet) bindEncoder(g models.Graph) (err error) {
	if n.pixels, err = infer.NeedPort(n.encIn, g.Inputs, "pixel_values", "float32", 4); err != nil {
		return err
	}
	if len(n.encIn) != 1 {
		return fmt.Errorf("takes %d tensors where only pixel_values is known", len(n.encIn))
	}
	if err = pictureFits(n.encIn[n.pixels], n.packer.Shape(1)); err != nil {
		return err
	}
	n.hidden, err = infer.NeedPort(n.encOut, g.Outputs, "last_hidden_state", "float32", 3)
	return err
}

func (n *optimumNet) bindDecoder(m models.Model) (err error) {
	g := m.Graphs["decoder"]
	if n.ids, err = infer.NeedPort(n.decIn, g.Inputs, "input_ids", "int64", 2); err != nil {
		return err
	}
	if n.states, err = infer.NeedPort(n.decIn, g.Inputs, "encoder_hidden_states", "float32", 3); err != nil {
		return err
	}
	if n.logits, err = infer.NeedPort(n.decOut, g.Outputs, "logits", "float32", 3); err != nil {
		return err
	}
	fed := 2
	for _, o := range []struct {
		at   *int
		name string
		typ  string
		dims int
	}{
		{&n.branch, "use_cache_branch", "bool", 1},
		{&n.encoderMask, "encoder_attention_mask", "int64", 2},
		{&n.tokenMask, "attention_mask", "int64", 2},
		{&n.positions, "position_ids", "int64", 2},
	} {
		if infer.Port(n.decIn, g.Inputs, o.name) < 0 {
			continue
		}
		if *o.at, err = infer.NeedPort(n.decIn, g.Inputs, o.name, o.typ, o.dims); err != nil {
			return err
		}
		fed++
	}
	if infer.Port(n.decOut, g.Outputs, "attention") >= 0 {
		if n.attention, err = infer.NeedPort(n.decOut, g.Outputs, "attention", "float32", 2); err != nil {
			return err
		}
	}
	if err := n.bindPasts(m.Decode); err != nil {
		return err
	}
	if fed += len(n.pasts); fed != len(n.decIn) {
		return fmt.Errorf("takes %d tensors where %d are known", len(n.decIn), fed)
	}
	return nil
}

const pastPrefix, presentPrefix = "past_key_values.", "present."

func (n *optimumNet) bindPasts(d models.Decode) error {
	layers := map[string]bool{}
	for i, v := range n.decIn {
		name, ok := strings.CutPrefix(v.Name, pastPrefix)
		if !ok {
			continue
		}
		layer, rest, _ := strings.Cut(name, ".")
		layers[layer] = true
		if v.Type != "float32" || len(v.Shape) != 4 {
			return fmt.Errorf("tensor %s is %s %v where float32 [batch heads past width] is needed", v.Name, v.Type, v.Shape)
		}
		out, err := infer.NeedPort(n.decOut, nil, presentPrefix+name, "float32", 4)
		if err != nil {
			return err
		}
		p := past{in: i, out: out, heads: v.Shape[1], dim: v.Shape[3], fromEncoder: strings.HasPrefix(rest, "encoder.")}
		if p.heads < 1 {
			p.heads = int64(d.Heads)
		}
		if p.dim < 1 {
			p.dim = int64(d.HeadDim)
		}
		if p.heads < 1 || p.dim < 1 {
			return fmt.Errorf("tensor %s has shape %v, and the manifest states no heads and head_dim", v.Name, v.Shape)
		}
		n.pasts = append(n.pasts, p)
	}
	if d.Layers != 0 && len(n.pasts) != 0 && d.Layers != len(layers) {
		return fmt.Errorf("has %d layers, and the manifest states %d", len(layers), d.Layers)
	}
	return nil
}

// optimumRun is one caption of an optimumNet.
type optimumRun struct {
	*optimumNet
	encoderIn, encoderOut []*infer.Tensor
	decoderIn, decoderOut []*infer.Tensor

	picture infer.Tensor
	seen    slot // last_hidden_state
	spread  spread

	ins      []infer.Tensor // by input of the decoder
	shapes   [][4]int64
	ones     []int64
	place    []int64
	cached   []bool  // not an array: what is lent to C must lie in memory without pointers
	sentence []int64 // rows of all tokens so far, for a graph without pasts
	swap     []int64
	length   int // tokens fed
	memories []memory
	odds     slot
	looks    slot
}

// memory is the state of one past.
type memory struct {
	feed   []float32
	out    slot
	spread spread // of a past that comes from the encoder
}

func (n *optimumNet) newRun() run {
	r := &optimumRun{
		optimumNet: n,
		encoderIn:  make([]*infer.Tensor, len(n.encIn)), encoderOut: make([]*infer.Tensor, len(n.encOut)),
		decoderIn: make([]*infer.Tensor, len(n.decIn)), decoderOut: make([]*infer.Tensor, len(n.decOut)),
		picture: infer.Tensor{Shape: n.packer.Shape(1), F32: make([]float32, n.packer.Len())},
		seen:    newSlot(n.encOut[n.hidden]),
		ins:     make([]infer.Tensor, len(n.decIn)), shapes: make([][4]int64, len(n.decIn)),
		memories: make([]memory, len(n.pasts)),
		cached:   make([]bool, 1),
	}
	r.encoderIn[n.pixels] = &r.picture
	for i := range r.ins {
		r.decoderIn[i] = &r.ins[i]
	}
	if n.attention >= 0 {
		r.looks = newSlot(n.decOut[n.attention])
	}
	return r
}

func (r *optimumRun) encode(ctx context.Context, im decode.Image) error {
	if err := r.packer.Pack(r.picture.F32, im); err != nil {
		return err
	}
	r.encoderOut[r.hidden] = r.seen.ask(1)
	if err := r.encoder.Run(ctx, r.encoderIn, r.encoderOut); err != nil {
		return err
	}
	if err := r.seen.got(1, r.encOut[r.hidden]); err != nil {
		return err
	}
	r.spread.set(r.seen.F32)
	r.length, r.sentence = 0, r.sentence[:0]
	return nil
}

func (r *optimumRun) step(ctx context.Context, tokens []int64, parents []int) (stepped, error) {
	rows := len(tokens)
	steps := r.feedTokens(tokens, parents)
	places := int(r.seen.Shape[1])
	r.f32(r.states, r.spread.take(rows), int64(rows), int64(places), r.seen.Shape[2])
	if r.branch >= 0 {
		r.cached[0] = r.length > 0
		r.shapes[r.branch][0] = 1
		r.ins[r.branch] = infer.Tensor{Shape: r.shapes[r.branch][:1], Bool: r.cached}
	}
	if r.encoderMask >= 0 {
		r.i64(r.encoderMask, r.all(rows*places), rows, places)
	}
	if r.tokenMask >= 0 {
		r.i64(r.tokenMask, r.all(rows*(r.length+1)), rows, r.length+1)
	}
	if r.positions >= 0 {
		r.place = sized(r.place, rows*steps)
		for i := range r.place {
			r.place[i] = int64(r.length + 1 - steps + i%steps)
		}
		r.i64(r.positions, r.place, rows, steps)
	}
	for i := range r.pasts {
		r.feedPast(i, rows, parents)
	}
	if vocab := r.decOut[r.logits].Shape[2]; vocab > 0 {
		r.decoderOut[r.logits] = r.odds.askFor(int64(rows), int64(steps), vocab)
	} else {
		if len(r.pasts) == 0 {
			r.odds.tail = nil // a step longer each time
		}
		r.decoderOut[r.logits] = r.odds.ask(rows)
	}
	if r.attention >= 0 {
		r.decoderOut[r.attention] = r.looks.ask(rows)
	}
	if err := r.decoder.Run(ctx, r.decoderIn, r.decoderOut); err != nil {
		return stepped{}, err
	}
	return r.answer(rows, steps)
}

// feedTokens sets input_ids and returns how many there are in each row.
func (r *optimumRun) feedTokens(tokens []int64, parents []int) int {
	if len(r.pasts) > 0 {
		r.i64(r.ids, tokens, len(tokens), 1)
		return 1
	}
	steps := r.length + 1
	r.swap = sized(r.swap, len(tokens)*steps)
	for i, p := range parents {
		row := r.swap[i*steps:][:steps]
		copy(row, r.sentence[p*r.length:][:r.length])
		row[r.length] = tokens[i]
	}
	r.swap, r.sentence = r.sentence, r.swap
	r.i64(r.ids, r.sentence, len(tokens), steps)
	return steps
}

// feedPast sets past i for rows that continue parents, and asks for its present.
func (r *optimumRun) feedPast(i, rows int, parents []int) {
	p, m := r.pasts[i], &r.memories[i]
	k, length := int64(rows), int64(r.length)
	switch {
	case r.length == 0:
		m.feed = sized(m.feed, 1)
		r.f32(p.in, m.feed[:0], k, p.heads, 0, p.dim)
	case p.fromEncoder:
		r.f32(p.in, m.spread.take(rows), k, p.heads, m.out.tail[1], p.dim)
		r.decoderOut[p.out] = nil
		return
	default:
		n := int(p.heads * length * p.dim)
		if inPlace(parents) {
			m.feed, m.out.buf = m.out.buf[:rows*n], m.feed
		} else {
			m.feed = gather(m.feed, m.out.buf, parents, n)
		}
		r.f32(p.in, m.feed, k, p.heads, length, p.dim)
	}
	if p.fromEncoder {
		r.decoderOut[p.out] = m.out.ask(rows)
		return
	}
	r.decoderOut[p.out] = m.out.askFor(k, p.heads, length+1, p.dim)
}

// answer checks what the decoder gave, and picks the last token's logits.
func (r *optimumRun) answer(rows, steps int) (stepped, error) {
	for i, p := range r.pasts {
		m := &r.memories[i]
		if r.length > 0 && p.fromEncoder {
			continue
		}
		if err := m.out.got(rows, r.decOut[p.out]); err != nil {
			return stepped{}, err
		}
		if p.fromEncoder {
			if m.out.tail[0] != p.heads || m.out.tail[2] != p.dim {
				return stepped{}, fmt.Errorf("tensor %s has shape %v", r.decOut[p.out].Name, m.out.Shape)
			}
			m.spread.set(m.out.F32)
		}
	}
	r.length++
	if err := r.odds.got(rows, r.decOut[r.logits]); err != nil {
		return stepped{}, err
	}
	if r.odds.Shape[1] != int64(steps) {
		return stepped{}, fmt.Errorf("logits have shape %v for %d tokens", r.odds.Shape, steps)
	}
	out := stepped{logits: r.odds.F32, vocab: int(r.odds.Shape[2])}
	if steps > 1 {
		for i := range rows { // never ahead of what is still to be read
			copy(out.logits[i*out.vocab:][:out.vocab], out.logits[((i+1)*steps-1)*out.vocab:])
		}
		out.logits = out.logits[:rows*out.vocab]
	}
	if r.attention >= 0 {
		if err := r.looks.got(rows, r.decOut[r.attention]); err != nil {
			return stepped{}, err
		}
		out.attention, out.cells = r.looks.F32, int(r.looks.Shape[1])
	}
	return out, nil
}

func (r *optimumRun) f32(in int, data []float32, shape ...int64) {
	n := copy(r.shapes[in][:], shape)
	r.ins[in] = infer.Tensor{Shape: r.shapes[in][:n], F32: data}
}

func (r *optimumRun) i64(in int, data []int64, rows, columns int) {
	r.shapes[in][0], r.shapes[in][1] = int64(rows), int64(columns)
	r.ins[in] = infer.Tensor{Shape: r.shapes[in][:2], I64: data}
}

// all returns n ones.
func (r *optimumRun) all(n int) []int64 {
	for len(r.ones) < n {
		r.ones = append(r.ones, 1)
	}
	return r.ones[:n]
}

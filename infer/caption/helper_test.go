package caption

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

// toy is a language model whose logits are random but depend on the picture and
// on every token before: a row that is fed somebody else's past says something
// else.
type toy struct {
	seed    uint64
	vocab   int
	cells   int // of attention, 0 for none
	picture float32
}

func (m toy) source(history []int64) *rand.Rand {
	h := m.seed ^ uint64(m.picture)*0x9E3779B97F4A7C15
	for _, t := range history {
		h = (h ^ uint64(t+1)) * 0x100000001B3
	}
	return rand.New(rand.NewPCG(h, 1))
}

func (m toy) logits(history []int64) []float32 {
	r := m.source(history)
	l := make([]float32, m.vocab)
	for i := range l {
		l[i] = float32(2 * r.NormFloat64())
	}
	return l
}

func (m toy) attention(history []int64) []float32 {
	a := make([]float32, m.cells)
	r := m.source(append(slices.Clone(history), 77))
	for i := range a {
		a[i] = r.Float32()
	}
	return a
}

// toyRun runs a toy without any tensors.
type toyRun struct {
	toy
	rows [][]int64
	ran  int // rows run, all steps together
}

func (r *toyRun) encode(context.Context, decode.Image) error { r.rows = nil; return nil }

func (r *toyRun) step(ctx context.Context, tokens []int64, parents []int) (stepped, error) {
	if err := ctx.Err(); err != nil {
		return stepped{}, err
	}
	r.ran += len(tokens)
	rows := make([][]int64, len(tokens))
	out := stepped{vocab: r.vocab, cells: r.cells}
	for i, t := range tokens {
		if r.rows != nil {
			rows[i] = slices.Clone(r.rows[parents[i]])
		}
		rows[i] = append(rows[i], t)
		out.logits = append(out.logits, r.logits(rows[i])...)
		out.attention = append(out.attention, r.attention(rows[i])...)
	}
	r.rows = rows
	return out, nil
}

type graph struct {
	in, out []infer.Value
	runs    atomic.Int64
	run     func(in, out map[string]*infer.Tensor) error
}

func (g *graph) Inputs() []infer.Value  { return g.in }
func (g *graph) Outputs() []infer.Value { return g.out }
func (g *graph) Close() error           { return nil }
func (g *graph) Run(ctx context.Context, in, out []*infer.Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(in) != len(g.in) || len(out) != len(g.out) {
		return errors.New("wrong number of tensors")
	}
	g.runs.Add(1)
	named := func(values []infer.Value, tensors []*infer.Tensor, check bool) (map[string]*infer.Tensor, error) {
		m := map[string]*infer.Tensor{}
		for i, v := range values {
			t := tensors[i]
			if check {
				n := int64(1)
				for k, d := range t.Shape {
					n *= d
					if v.Shape[k] >= 0 && v.Shape[k] != d {
						return nil, fmt.Errorf("%s is %v, not %v", v.Name, t.Shape, v.Shape)
					}
				}
				if len(t.Shape) != len(v.Shape) || n != int64(len(t.F32)+len(t.I64)+len(t.Bool)) {
					return nil, fmt.Errorf("%s is %v with %d values", v.Name, t.Shape, len(t.F32)+len(t.I64)+len(t.Bool))
				}
				if (t.F32 != nil) != (v.Type == "float32") || (t.I64 != nil) != (v.Type == "int64") || (t.Bool != nil) != (v.Type == "bool") {
					return nil, fmt.Errorf("%s is not %s", v.Name, v.Type)
				}
			}
			m[v.Name] = t
		}
		return m, nil
	}
	ins, err := named(g.in, in, true)
	if err != nil {
		return err
	}
	outs, _ := named(g.out, out, false)
	return g.run(ins, outs)
}

// give writes data as a session does: in place where the caller gave memory.
func give(t *infer.Tensor, data []float32, shape ...int64) error {
	if t == nil {
		return nil
	}
	if t.F32 == nil {
		t.F32, t.Shape = data, shape
		return nil
	}
	if fmt.Sprint(t.Shape) != fmt.Sprint(shape) || len(t.F32) != len(data) {
		return fmt.Errorf("output is %v where memory for %v was given", shape, t.Shape)
	}
	copy(t.F32, data)
	return nil
}

func f32(name string, shape ...int64) infer.Value {
	return infer.Value{Name: name, Type: "float32", Shape: shape}
}

func i64(name string, shape ...int64) infer.Value {
	return infer.Value{Name: name, Type: "int64", Shape: shape}
}

const side = 6 // of the test picture

// stepGraphs is the toy in the layout "step": the recurrent state h holds the
// history as digits, c how many there are.
func stepGraphs(m toy, dynamic bool) (encoder, decoder *graph) {
	open := func(n int64) int64 {
		if dynamic {
			return -1
		}
		return n
	}
	const width = 12
	cells := int64(max(m.cells, 1))
	encoder = &graph{
		in:  []infer.Value{f32("image", -1, 3, side, side)},
		out: []infer.Value{f32("c0", -1, open(1)), f32("h0", -1, open(width)), f32("annotations", -1, open(cells), open(2))},
		run: func(in, out map[string]*infer.Tensor) error {
			notes := make([]float32, cells*2)
			for i := range notes {
				notes[i] = in["image"].F32[0]*255 + float32(i)
			}
			return errors.Join(give(out["annotations"], notes, 1, cells, 2), give(out["h0"], make([]float32, width), 1, width), give(out["c0"], []float32{0}, 1, 1))
		},
	}
	decoder = &graph{
		in:  []infer.Value{i64("token", -1), f32("h", -1, width), f32("c", -1, 1), f32("annotations", -1, open(cells), open(2))},
		out: []infer.Value{f32("logits", -1, open(int64(m.vocab))), f32("h_next", -1, width), f32("c_next", -1, 1)},
	}
	if m.cells > 0 {
		decoder.out = append(decoder.out, f32("attention", -1, open(cells)))
	}
	decoder.run = func(in, out map[string]*infer.Tensor) error {
		rows := in["token"].Shape[0]
		var logits, h, c, look []float32
		for i := range rows {
			m := m
			notes := in["annotations"].F32[i*cells*2:][:cells*2]
			for k := range notes {
				if notes[k] != notes[0]+float32(k) {
					return errors.New("annotations are mixed up")
				}
			}
			m.picture = notes[0]
			n := int(in["c"].F32[i])
			state := slices.Clone(in["h"].F32[i*width:][:width])
			state[n] = float32(in["token"].I64[i])
			history := make([]int64, n+1)
			for k := range history {
				history[k] = int64(state[k])
			}
			logits, look = append(logits, m.logits(history)...), append(look, m.attention(history)...)
			h, c = append(h, state...), append(c, float32(n+1))
		}
		return errors.Join(give(out["logits"], logits, rows, int64(m.vocab)), give(out["attention"], look, rows, cells),
			give(out["h_next"], h, rows, width), give(out["c_next"], c, rows, 1))
	}
	return encoder, decoder
}

// optimumKind are the variants of the layout "optimum".
type optimumKind struct {
	cross   bool // keys of the encoder, as in BART
	noPast  bool
	masks   bool // the optional inputs
	dynamic bool
}

// optimumGraphs is the toy in the layout "optimum": the keys hold the history.
func optimumGraphs(m toy, kind optimumKind) (encoder, decoder *graph) {
	const places, width, heads, dim, layers = 5, 3, 2, 4, 2
	open := func(n int64) int64 {
		if kind.dynamic {
			return -1
		}
		return n
	}
	encoder = &graph{
		in:  []infer.Value{f32("pixel_values", -1, 3, -1, -1)},
		out: []infer.Value{f32("pooler_output", -1, 7), f32("last_hidden_state", -1, open(places), open(width))},
		run: func(in, out map[string]*infer.Tensor) error {
			if out["pooler_output"] != nil {
				return errors.New("nobody wants the pooled output")
			}
			hidden := make([]float32, places*width)
			for i := range hidden {
				hidden[i] = in["pixel_values"].F32[0]*255 + float32(i)
			}
			return give(out["last_hidden_state"], hidden, 1, places, width)
		},
	}
	decoder = &graph{
		in:  []infer.Value{i64("input_ids", -1, -1), f32("encoder_hidden_states", -1, -1, width)},
		out: []infer.Value{f32("logits", -1, -1, open(int64(m.vocab)))},
	}
	if m.cells > 0 {
		decoder.out = append(decoder.out, f32("attention", -1, -1))
	}
	if kind.masks {
		decoder.in = append(decoder.in, i64("attention_mask", -1, -1), i64("encoder_attention_mask", -1, -1), i64("position_ids", -1, -1))
	}
	if !kind.noPast {
		for l := range layers {
			for _, kv := range []string{"key", "value"} {
				names := []string{fmt.Sprintf("%d.%s", l, kv)}
				if kind.cross {
					names = []string{fmt.Sprintf("%d.decoder.%s", l, kv), fmt.Sprintf("%d.encoder.%s", l, kv)}
				}
				for _, n := range names {
					decoder.in = append(decoder.in, f32("past_key_values."+n, -1, heads, -1, dim))
					decoder.out = append(decoder.out, f32("present."+n, -1, heads, -1, dim))
				}
			}
		}
		decoder.in = append(decoder.in, infer.Value{Name: "use_cache_branch", Type: "bool", Shape: []int64{1}})
	}
	decoder.run = func(in, out map[string]*infer.Tensor) error {
		rows, steps := in["input_ids"].Shape[0], in["input_ids"].Shape[1]
		length := int64(0) // of the past
		histories := make([][]int64, rows)
		if !kind.noPast {
			self := "0.key"
			if kind.cross {
				self = "0.decoder.key"
			}
			length = in["past_key_values."+self].Shape[2]
			if in["use_cache_branch"].Bool[0] != (length > 0) || steps != 1 {
				return fmt.Errorf("branch %v with %d past and %d tokens", in["use_cache_branch"].Bool[0], length, steps)
			}
			for name, past := range in {
				if len(name) < len(pastPrefix) || name[:len(pastPrefix)] != pastPrefix {
					continue
				}
				present := out[presentPrefix+name[len(pastPrefix):]]
				if kind.cross && name[len(pastPrefix)+2:len(pastPrefix)+9] == "encoder" {
					if length == 0 {
						if past.Shape[2] != 0 {
							return fmt.Errorf("first pass with %s of %v", name, past.Shape)
						}
						data := make([]float32, rows*heads*places*dim)
						for i := range data {
							data[i] = in["encoder_hidden_states"].F32[0] * float32(i%(heads*places*dim)+1)
						}
						if err := give(present, data, rows, heads, places, dim); err != nil {
							return err
						}
						continue
					}
					if present != nil || past.Shape[2] != places {
						return fmt.Errorf("later pass with %s of %v, present wanted: %v", name, past.Shape, present != nil)
					}
					for i, v := range past.F32 {
						if v != in["encoder_hidden_states"].F32[0]*float32(i%(heads*places*dim)+1) {
							return fmt.Errorf("%s is not the first pass's", name)
						}
					}
					continue
				}
				if past.Shape[2] != length || present == nil {
					return fmt.Errorf("%s is %v after %d", name, past.Shape, length)
				}
				data := make([]float32, rows*heads*(length+1)*dim)
				for r := range rows {
					for h := range heads {
						for d := range dim {
							scale := float32(int64(h)*10 + int64(d) + 1)
							for t := range length {
								v := past.F32[((r*heads+int64(h))*length+t)*dim+int64(d)]
								data[((r*heads+int64(h))*(length+1)+t)*dim+int64(d)] = v
								if h == 0 && d == 0 && name == pastPrefix+self {
									histories[r] = append(histories[r], int64(v/scale))
								} else if name == pastPrefix+self && int64(v/scale) != histories[r][t] {
									return errors.New("keys are mixed up")
								}
							}
							data[((r*heads+int64(h))*(length+1)+length)*dim+int64(d)] = float32(in["input_ids"].I64[r]) * scale
						}
					}
				}
				if err := give(present, data, rows, heads, length+1, dim); err != nil {
					return err
				}
			}
		}
		var logits, look []float32
		for r := range rows {
			m := m
			m.picture = in["encoder_hidden_states"].F32[r*places*width]
			for s := range steps {
				histories[r] = append(histories[r], in["input_ids"].I64[r*steps+s])
				logits = append(logits, m.logits(histories[r])...)
			}
			look = append(look, m.attention(histories[r])...)
			if kind.masks && in["position_ids"].I64[(r+1)*steps-1] != length+steps-1 {
				return fmt.Errorf("position %v after %d", in["position_ids"].I64, length)
			}
		}
		if kind.masks && (in["attention_mask"].Shape[1] != length+steps || in["encoder_attention_mask"].Shape[1] != places) {
			return errors.New("masks have the wrong length")
		}
		return errors.Join(give(out["logits"], logits, rows, steps, int64(m.vocab)), give(out["attention"], look, rows, int64(m.cells)))
	}
	return encoder, decoder
}

func picture(level byte) decode.Image {
	im := decode.Image{W: side, H: side, Pix: make([]byte, 3*side*side)}
	for i := range im.Pix {
		im.Pix[i] = level
	}
	return im
}

func config(layout string, m toy, encoder, decoder infer.Session) Config {
	var lines []string
	for i := range m.vocab {
		lines = append(lines, fmt.Sprintf("w%d", i))
	}
	return Config{
		Model: models.Model{
			Name:   "toy",
			Image:  models.Image{W: side, H: side},
			Decode: models.Decode{Layout: layout, Start: 1, Stop: 0, Max: 6, Beam: 3, LengthPenalty: 0.7, Tokenizer: "words"},
		},
		Info:     infer.Info{Family: "caption", Name: "toy", Fixture: true},
		Labels:   map[string][]string{"vocabulary": lines},
		Sessions: map[string]infer.Session{"encoder": encoder, "decoder": decoder},
	}
}

func family(t testing.TB, c Config) *Family {
	t.Helper()
	f, err := build(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func renamed(rename func([]infer.Value) map[string]string, encoder, decoder *graph) map[string]models.Graph {
	return map[string]models.Graph{
		"encoder": {Inputs: rename(encoder.in), Outputs: rename(encoder.out)},
		"decoder": {Inputs: rename(decoder.in), Outputs: rename(decoder.out)},
	}
}

func stripped(tensors map[string]*infer.Tensor) map[string]*infer.Tensor {
	m := map[string]*infer.Tensor{}
	for name, t := range tensors {
		m[name[2:]] = t
	}
	return m
}

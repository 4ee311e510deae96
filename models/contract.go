package models

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seehear/seehear/models/onnx"
)

// Note [Contracts]
//
// A contract lists the tensors that a family feeds and reads, in its own names
// (the manifest maps them to those of the export). A graph fits if it has every
// tensor that is not optional, asks for none that the family does not know, and
// agrees in type, number of dimensions and every size that is known:
//
//   - a number in the contract stands in the graph, or a dynamic axis does;
//   - a name in the contract may be of any size, the same wherever the name
//     occurs in the graphs of the model, as far as they fix it;
//   - batch is 1 or dynamic.
//
// Outputs that no family asks for are allowed.

// tensor is one line of a contract.
type tensor struct {
	name     string
	typ      string
	dims     []dim
	optional bool
}

// dim is a fixed size, or a named one if the name is not empty.
type dim struct {
	n    int64
	name string
}

func fixed(n int) dim                     { return dim{n: int64(n)} }
func named(name string) dim               { return dim{name: name} }
func opt(t tensor) tensor                 { t.optional = true; return t }
func f32(name string, dims ...dim) tensor { return tensor{name: name, typ: "float32", dims: dims} }
func i64(name string, dims ...dim) tensor { return tensor{name: name, typ: "int64", dims: dims} }

var batch = named("batch")

// size is what a graph of the model fixed a named dimension at, and where.
type size struct {
	n     int64
	where string
}

// CheckGraph refuses a graph that does not fit its model's contract; the error
// names the tensor with both shapes. Load has done this for every graph of a
// pack, and also compared the graphs of a model with one another and with the
// number of labels.
func CheckGraph(m *Model, role string, in, out []onnx.Value) error {
	err := check(m, role, &onnx.File{Inputs: in, Outputs: out}, nil, map[string]size{})
	if err != nil {
		return fmt.Errorf("models: model %s: graph %s: %w", m.Name, role, err)
	}
	return nil
}

// check compares a graph with the contract; classes are the numbers of labels,
// and sizes the named sizes that other graphs of the model fixed.
func check(m *Model, role string, f *onnx.File, classes map[string]int, sizes map[string]size) error {
	in, out, err := contract(m, role, classes)
	if err != nil {
		return err
	}
	g := m.Graphs[role]
	if err := renames(in, g.Inputs, "inputs"); err != nil {
		return err
	}
	if err := renames(out, g.Outputs, "outputs"); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, t := range in {
		known[export(g.Inputs, t.name)] = true
		if _, err := find(t, "input", g.Inputs, f.Inputs, sizes); err != nil {
			return err
		}
	}
	for _, v := range f.Inputs {
		if !known[v.Name] {
			return fmt.Errorf("input %s is not part of the contract of family %s, which would not know what to feed it", v.Name, m.Family)
		}
	}
	heads := 0
	for _, t := range out {
		found, err := find(t, "output", g.Outputs, f.Outputs, sizes)
		if err != nil {
			return err
		}
		if found && slices.Contains(labelled[m.Family], t.name) {
			heads++
			if _, ok := m.Labels[t.name]; !ok && classes != nil {
				return fmt.Errorf("output %s has no labels in the manifest", t.name)
			}
		} else if !found && classes[t.name] > 0 {
			return fmt.Errorf("the manifest has labels for output %s, which the graph lacks", t.name)
		}
	}
	if m.Family == "soundnet" && heads == 0 {
		return errors.New("it has none of the outputs objects, scenes and events")
	}
	if m.Family == "caption" && role == "decoder" && m.Decode.Layout == "optimum" {
		return checkPast(m, g, f)
	}
	return nil
}

// checkPast wants keys and values of every layer, in and out.
func checkPast(m *Model, g Graph, f *onnx.File) error {
	has := func(values []onnx.Value, renamed map[string]string, form string, i int, kv string) bool {
		return slices.ContainsFunc([]string{"", "decoder."}, func(part string) bool {
			name := export(renamed, fmt.Sprintf(form, i, part, kv))
			return slices.ContainsFunc(values, func(v onnx.Value) bool { return v.Name == name })
		})
	}
	for i := range m.Decode.Layers {
		for _, kv := range []string{"key", "value"} {
			if !has(f.Inputs, g.Inputs, "past_key_values.%d.%s%s", i, kv) {
				return fmt.Errorf("input past_key_values.%d.%s is missing, and the manifest says %d layers", i, kv, m.Decode.Layers)
			}
			if !has(f.Outputs, g.Outputs, "present.%d.%s%s", i, kv) {
				return fmt.Errorf("output present.%d.%s is missing, and the manifest says %d layers", i, kv, m.Decode.Layers)
			}
		}
	}
	return nil
}

// renames refuses a mapping of a tensor that the contract does not have.
func renames(ts []tensor, renamed map[string]string, kind string) error {
	for _, k := range sortedKeys(renamed) {
		if !slices.ContainsFunc(ts, func(t tensor) bool { return t.name == k }) {
			return fmt.Errorf("%s.%s: the contract has no tensor of that name", kind, k)
		}
	}
	return nil
}

func export(renamed map[string]string, name string) string {
	if r, ok := renamed[name]; ok {
		return r
	}
	return name
}

func find(t tensor, kind string, renamed map[string]string, values []onnx.Value, sizes map[string]size) (found bool, err error) {
	name := export(renamed, t.name)
	i := slices.IndexFunc(values, func(v onnx.Value) bool { return v.Name == name })
	if i < 0 {
		if t.optional && renamed[t.name] == "" {
			return false, nil
		}
		return false, fmt.Errorf("%s %s is missing: the contract has %s %s", kind, name, t.typ, t.shape())
	}
	v := values[i]
	if v.Type != t.typ {
		return false, fmt.Errorf("%s %s is %s, and the contract says %s", kind, name, v.Type, t.typ)
	}
	if !v.Ranked {
		return true, nil // the export does not tell; the runtime will
	}
	if len(v.Shape) != len(t.dims) {
		return false, fmt.Errorf("%s %s is %s, and the contract says %s", kind, name, shapeOf(v), t.shape())
	}
	for i, d := range t.dims {
		n := v.Shape[i]
		switch {
		case n < 0:
		case d.name == "":
			if n != d.n {
				return false, fmt.Errorf("%s %s is %s, and the contract says %s", kind, name, shapeOf(v), t.shape())
			}
		case d == batch:
			if n != 1 {
				return false, fmt.Errorf("%s %s is %s, and the contract says %s with a batch of 1", kind, name, shapeOf(v), t.shape())
			}
		default:
			if s, ok := sizes[d.name]; ok && s.n != n {
				return false, fmt.Errorf("%s %s is %s, and the contract says %s, where %s is %d in %s",
					kind, name, shapeOf(v), t.shape(), d.name, s.n, s.where)
			}
			sizes[d.name] = size{n, name}
		}
	}
	return true, nil
}

func (t tensor) shape() string {
	parts := make([]string, len(t.dims))
	for i, d := range t.dims {
		if parts[i] = d.name; d.name == "" {
			parts[i] = fmt.Sprint(d.n)
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func shapeOf(v onnx.Value) string {
	parts := make([]string, len(v.Shape))
	for i, n := range v.Shape {
		switch {
		case n >= 0:
			parts[i] = fmt.Sprint(n)
		case v.Axes[i] != "":
			parts[i] = v.Axes[i]
		default:
			parts[i] = "?"
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// contract returns the inputs and outputs of a graph of the model. A number of
// labels is a fixed size where it is known.
func contract(m *Model, role string, classes map[string]int) (in, out []tensor, err error) {
	labels := func(name string) dim {
		if n := classes[name]; n > 0 {
			return fixed(n)
		}
		return named(name + "_classes")
	}
	// Sizes within one graph that have nothing to do with those of another.
	own := func(name string) dim { return named(role + "_" + name) }
	image := f32("image", batch, fixed(3), fixed(m.Image.H), fixed(m.Image.W))
	bins := fixed(m.Audio.STFT.FFT/2 + 1)
	switch m.Family + "." + role {
	case "soundnet.graph":
		in = []tensor{f32("waveform", batch, named("samples"))}
		for _, head := range labelled["soundnet"] {
			out = append(out, opt(f32(head, batch, labels(head), named("frames"))))
		}
	case "speech.gate":
		in = []tensor{
			f32("input", batch, named("samples")),
			f32("state", fixed(2), batch, named("state")),
			opt(i64("sr")),
		}
		out = []tensor{
			f32("output", batch, fixed(1)),
			f32("stateN", fixed(2), batch, named("state")),
		}
	case "speech2face.encoder":
		in = []tensor{f32("spectrogram", batch, fixed(2), named("frames"), bins)}
		out = []tensor{f32("face_feature", batch, named("feature"))}
	case "speech2face.decoder":
		in = []tensor{f32("face_feature", batch, named("feature"))}
		out = []tensor{
			f32("texture", batch, fixed(3), named("height"), named("width")),
			opt(f32("landmarks", batch, named("landmarks"))),
		}
	case "localize.image":
		in = []tensor{image}
		out = []tensor{
			f32("image_embedding", batch, named("embedding"), named("grid_h"), named("grid_w")),
			opt(f32("objectness", batch, named("grid_h"), named("grid_w"))),
		}
	case "localize.audio":
		in = []tensor{f32("spectrogram", batch, fixed(1), bins, named("frames"))}
		out = []tensor{f32("audio_embedding", batch, named("embedding"))}
	case "caption.encoder", "caption.decoder":
		if m.Decode.Layout == "optimum" {
			in, out = optimum(m, role, image, own)
			break
		}
		h, cell := named("h"), named("c")
		if len(m.Decode.State) > 0 {
			h = fixed(m.Decode.State[0])
		}
		if len(m.Decode.State) > 1 {
			cell = fixed(m.Decode.State[1])
		}
		annotations := f32("annotations", batch, named("cells"), named("features"))
		if role == "encoder" {
			in = []tensor{image}
			out = []tensor{annotations, f32("h0", batch, h), f32("c0", batch, cell)}
			break
		}
		in = []tensor{i64("token", batch), f32("h", batch, h), f32("c", batch, cell), annotations}
		out = []tensor{
			f32("logits", batch, labels("vocabulary")),
			f32("h_next", batch, h), f32("c_next", batch, cell),
			opt(f32("attention", batch, named("cells"))),
		}
	case "pictures.graph":
		in = []tensor{image}
		out = []tensor{f32("objects", batch, labels("objects")), f32("scenes", batch, labels("scenes"))}
	case "embedding.picture":
		in = []tensor{image}
		out = []tensor{f32("embedding", batch, named("embedding"))}
	case "embedding.sentence":
		in = []tensor{i64("tokens", batch, named("length"))}
		out = []tensor{f32("embedding", batch, named("embedding"))}
	default:
		return nil, nil, fmt.Errorf("family %s has no graph %s", m.Family, role)
	}
	return in, out, nil
}

// optimum is the layout of Hugging Face Optimum: an encoder, and a decoder that
// holds the first step and the later ones in one graph. Keys and values of the
// decoder's own attention are called past_key_values.N.key, or, in exports that
// keep those of the encoder's states too, past_key_values.N.decoder.key; both are
// known here as optional, and checkPast wants one of them.
func optimum(m *Model, role string, image tensor, own func(string) dim) (in, out []tensor) {
	states, hidden := named("states"), named("hidden")
	if role == "encoder" {
		image.name = "pixel_values"
		return []tensor{image}, []tensor{f32("last_hidden_state", batch, states, hidden)}
	}
	in = []tensor{
		i64("input_ids", batch, own("steps")),
		f32("encoder_hidden_states", batch, states, hidden),
		opt(i64("encoder_attention_mask", batch, states)),
		opt(tensor{name: "use_cache_branch", typ: "bool", dims: []dim{fixed(1)}}),
	}
	out = []tensor{f32("logits", batch, own("logit_steps"), own("vocabulary"))}
	for i := range m.Decode.Layers {
		for _, part := range []string{"", "decoder.", "encoder."} {
			for _, kv := range []string{"key", "value"} {
				axis := own("past")
				if part == "encoder." {
					axis = own("encoder_past")
				}
				head, dim := fixed(m.Decode.Heads), fixed(m.Decode.HeadDim)
				in = append(in, opt(f32(fmt.Sprintf("past_key_values.%d.%s%s", i, part, kv), batch, head, axis, dim)))
				out = append(out, opt(f32(fmt.Sprintf("present.%d.%s%s", i, part, kv), batch, head, own("present_"+part), dim)))
			}
		}
	}
	return in, out
}

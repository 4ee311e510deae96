package models

import (
	"testing"

	"github.com/seehear/seehear/models/onnx"
)

func v(name, typ string, shape ...int64) onnx.Value {
	return onnx.Value{Name: name, Type: typ, Ranked: true, Shape: shape, Axes: make([]string, len(shape))}
}

// Graphs as they are published, by the sheet of contracts and the files
// themselves, against the manifest that one would write for them.
func TestPublishedGraphsFit(t *testing.T) {
	f, i := "float32", "int64"
	silero := &Model{Name: "silero", Family: "speech", Graphs: map[string]Graph{"gate": {}}}
	for name, c := range map[string]struct {
		m       *Model
		role    string
		in, out []onnx.Value
	}{
		"silero": {
			silero, "gate",
			[]onnx.Value{v("input", f, -1, -1), v("state", f, 2, -1, 128), v("sr", i)},
			[]onnx.Value{v("output", f, -1, 1), {Name: "stateN", Type: f}},
		},
		"silero half": {
			silero, "gate",
			[]onnx.Value{v("input", f, 1, 576), v("state", f, 2, 1, 128)},
			[]onnx.Value{v("output", f, 1, 1), v("stateN", f, 2, 1, 128)},
		},
		"soundnet": {
			&Model{Family: "soundnet"}, "graph",
			[]onnx.Value{v("waveform", f, -1, -1)},
			[]onnx.Value{v("objects", f, -1, 1000, -1), v("scenes", f, -1, 401, -1)},
		},
		"renamed": {
			&Model{Family: "soundnet", Graphs: map[string]Graph{"graph": {
				Inputs: map[string]string{"waveform": "x"}, Outputs: map[string]string{"events": "y"},
			}}}, "graph",
			[]onnx.Value{v("x", f, 1, 16000)},
			[]onnx.Value{v("y", f, 1, 527, -1), v("features", f, 1, 99)},
		},
		"pictures": {
			&Model{Family: "pictures", Image: Image{W: 96, H: 96}}, "graph",
			[]onnx.Value{v("image", f, -1, 3, -1, -1)},
			[]onnx.Value{v("objects", f, -1, 200), v("scenes", f, -1, 100), v("map", f, -1, 256, -1, -1)},
		},
		"a picture tower that also captions": {
			&Model{Family: "embedding", Image: Image{W: 128, H: 128}}, "picture",
			[]onnx.Value{v("image", f, -1, 3, 128, 128)},
			[]onnx.Value{v("annotations", f, -1, 64, 256), v("embedding", f, -1, 256)},
		},
		"CLIP's sentence tower": {
			&Model{Family: "embedding", Graphs: map[string]Graph{"sentence": {
				Inputs: map[string]string{"tokens": "input_ids"}, Outputs: map[string]string{"embedding": "text_embeds"},
			}}}, "sentence",
			[]onnx.Value{v("input_ids", i, -1, 77)},
			[]onnx.Value{v("text_embeds", f, -1, 512)},
		},
		"vit-gpt2 encoder": {
			&Model{Family: "caption", Image: Image{W: 224, H: 224}, Decode: Decode{Layout: "optimum", Layers: 1, Heads: 12, HeadDim: 64}}, "encoder",
			[]onnx.Value{v("pixel_values", f, -1, -1, -1, -1)},
			[]onnx.Value{v("last_hidden_state", f, -1, 197, 768)},
		},
		"vit-gpt2 decoder": {
			&Model{Family: "caption", Decode: Decode{Layout: "optimum", Layers: 1, Heads: 12, HeadDim: 64}}, "decoder",
			[]onnx.Value{
				v("input_ids", i, -1, -1), v("encoder_hidden_states", f, -1, -1, 768), v("use_cache_branch", "bool", 1),
				v("past_key_values.0.key", f, -1, 12, -1, 64), v("past_key_values.0.value", f, -1, 12, -1, 64),
			},
			[]onnx.Value{v("logits", f, -1, -1, 50257), v("present.0.key", f, -1, 12, -1, 64), v("present.0.value", f, -1, 12, -1, 64)},
		},
	} {
		if err := CheckGraph(c.m, c.role, c.in, c.out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGraphsThatDoNotFit(t *testing.T) {
	f := "float32"
	localize := &Model{Name: "here", Family: "localize", Audio: Audio{STFT: STFT{FFT: 512}}, Image: Image{W: 224, H: 224}}
	wave := v("waveform", f, -1, -1)
	for name, c := range map[string]struct {
		m       *Model
		role    string
		in, out []onnx.Value
		want    string
	}{
		"type": {
			localize, "audio",
			[]onnx.Value{v("spectrogram", "float16", -1, 1, 257, -1)},
			nil,
			"models: model here: graph audio: input spectrogram is float16, and the contract says float32",
		},
		"bins": {
			localize, "audio",
			[]onnx.Value{v("spectrogram", f, -1, 1, 128, -1)},
			nil,
			"is [? 1 128 ?], and the contract says [batch 1 257 frames]",
		},
		"rank":  {localize, "audio", []onnx.Value{v("spectrogram", f, -1, 257, -1)}, nil, "is [? 257 ?], and the contract says"},
		"batch": {localize, "audio", []onnx.Value{v("spectrogram", f, 8, 1, 257, -1)}, nil, "with a batch of 1"},
		"output": {
			localize, "audio",
			[]onnx.Value{v("spectrogram", f, 1, 1, 257, -1)},
			[]onnx.Value{v("embedding", f, 1, 512)},
			"output audio_embedding is missing: the contract has float32 [batch embedding]",
		},
		"unknown input": {
			&Model{Family: "soundnet"}, "graph",
			[]onnx.Value{wave, v("mask", f, 1)},
			[]onnx.Value{v("objects", f, 1, 2, 3)},
			"input mask is not part of the contract",
		},
		"no head": {&Model{Family: "soundnet"}, "graph", []onnx.Value{wave}, []onnx.Value{v("pool5", f, 1, 2, 3)}, "none of the outputs"},
		"heads of different length": {
			&Model{Family: "soundnet"}, "graph",
			[]onnx.Value{wave},
			[]onnx.Value{v("objects", f, 1, 2, 3), v("scenes", f, 1, 2, 4)},
			"where frames is 3 in objects",
		},
		"no scenes": {
			&Model{Family: "pictures", Image: Image{W: 96, H: 96}}, "graph",
			[]onnx.Value{v("image", f, -1, 3, 96, 96)},
			[]onnx.Value{v("objects", f, -1, 200)},
			"output scenes is missing: the contract has float32 [batch scenes_classes]",
		},
		"tokens that are numbers": {
			&Model{Family: "embedding"}, "sentence",
			[]onnx.Value{v("tokens", f, -1, -1)},
			[]onnx.Value{v("embedding", f, -1, 256)},
			"input tokens is float32, and the contract says int64",
		},
		"role": {localize, "ears", nil, nil, "family localize has no graph ears"},
		"rename of nothing": {
			&Model{Family: "soundnet", Graphs: map[string]Graph{"graph": {Inputs: map[string]string{"wave": "x"}}}}, "graph",
			[]onnx.Value{wave},
			nil, "inputs.wave: the contract has no tensor",
		},
		"renamed and missing": {
			&Model{Family: "soundnet", Graphs: map[string]Graph{"graph": {Outputs: map[string]string{"scenes": "y"}}}}, "graph",
			[]onnx.Value{wave},
			[]onnx.Value{v("objects", f, 1, 2, 3)},
			"output y is missing",
		},
	} {
		refused(t, name, CheckGraph(c.m, c.role, c.in, c.out), c.want)
	}
}

// Package models knows model packs: folders with graphs, labels and a pack.yaml
// that says what each graph expects.
//
// Everything that differs between one published network and a smaller one of
// the same kind stands in the [Model] of the pack, so that the families of
// package infer hold no numbers of their own. The command loads a pack and hands
// each family its model. The package does not run anything.
//
//	dir, looked := models.Find("default")
//	pack, err := models.Load(dir)      // manifest, paths, labels, contracts
//	err = pack.Verify()                // checksums
//	m, ok := pack.Model("soundnet")
//	path := pack.Path(m.Graphs["graph"].File)
//
// A pack.yaml, of which models/fixture holds a longer one:
//
//	seehear: 1
//	name: gate
//	version: "6.2.1"
//	license: MIT
//	models:
//	  - name: silero-vad
//	    family: speech
//	    version: "6.2.1"
//	    license: MIT
//	    graphs:
//	      gate: {path: silero_vad.onnx, sha256: 1a153a22f450…}
//	    audio: {rate: 16000, window: 0.032, hop: 512, context: 64}
//	    gate: {enter: 0.5, leave: 0.35}
package models

// File is one file of a pack.
type File struct {
	Path   string `yaml:"path"`   // relative to the pack, never leaving it
	SHA256 string `yaml:"sha256"` // lower-case hex of the whole file
}

// Pack is the content of pack.yaml.
type Pack struct {
	Dir     string `yaml:"-"`
	Seehear int    `yaml:"seehear"` // version of this format: 1
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	License string `yaml:"license"`
	// Fixture marks a pack of test graphs; everything made with it says so.
	Fixture bool    `yaml:"fixture"`
	Models  []Model `yaml:"models"`
}

// Model is one network, or a few that work together, with its contract.
type Model struct {
	Name    string `yaml:"name"`
	Family  string `yaml:"family"` // soundnet, speech, speech2face, localize, caption, pictures, embedding
	Version string `yaml:"version"`
	License string `yaml:"license"`
	Card    string `yaml:"card"` // path of the model card
	// Graphs by role. soundnet: graph. speech: gate. speech2face: encoder, decoder.
	// localize: image, audio. caption: encoder, decoder. pictures: graph. embedding:
	// picture, sentence. Models may share a file: each asks for outputs of its own.
	Graphs map[string]Graph `yaml:"graphs"`
	// Labels by output of the graph (objects, scenes, events: one label a line),
	// or the vocabulary of a captioner (vocabulary: one token a line, or a
	// tokenizer.json of byte-level BPE or WordPiece). Of pictures also imagenet and
	// places2: on each line what the object or scene of that line is numbered there,
	// from 0.
	Labels map[string]File `yaml:"labels"`
	Audio  Audio           `yaml:"audio"`
	Image  Image           `yaml:"image"`
	Decode Decode          `yaml:"decode"`
	Gate   Gate            `yaml:"gate"`
	Heat   Heat            `yaml:"heat"`
}

// Graph is an ONNX file with the names that its tensors have in this export, by
// the names that the family uses for them; a name that is missing is itself.
type Graph struct {
	File `yaml:",inline"`
	// Data lists the files that the graph keeps weights in (ONNX external data).
	Data    []File            `yaml:"data"`
	Inputs  map[string]string `yaml:"inputs"`
	Outputs map[string]string `yaml:"outputs"`
}

// Audio says how sound becomes the network's input.
type Audio struct {
	Rate   int     `yaml:"rate"`   // Hz
	Window float64 `yaml:"window"` // seconds
	Hop    int     `yaml:"hop"`    // samples between windows
	Scale  float64 `yaml:"scale"`  // factor on samples in [-1, 1]; 256 for SoundNet; 0 means 1
	// MinSamples is the shortest input the graph takes; shorter sound is padded.
	MinSamples int `yaml:"min_samples"`
	// Pad says what fills shorter sound up to MinSamples: "tile" (the default)
	// repeats it, "silence" does not.
	Pad string `yaml:"pad"`
	// Context is how many samples of the step before precede each step of a speech
	// gate, whose Window is one step; 0 means an eighth of it (Silero's contract).
	Context int `yaml:"context"`
	// Receptive field of one output frame of a fully convolutional network, in
	// samples: output frame i is centred on Centre + i*Stride.
	Centre float64 `yaml:"centre"`
	Stride int     `yaml:"stride"`
	Field  int     `yaml:"field"`
	STFT   STFT    `yaml:"stft"`
}

// STFT is a spectrogram front end. Kind is "power-law" (Speech2Face: complex STFT,
// sgn(x)|x|^Power on real and imaginary part) or "log-psd" (LVS and its kin:
// scipy.signal.spectrogram, ln(PSD+Floor)/Divide).
type STFT struct {
	Kind   string  `yaml:"kind"`
	Window string  `yaml:"window"` // hann, tukey
	Tukey  float64 `yaml:"tukey"`  // shape of the Tukey window, 0.25 in SciPy
	Length int     `yaml:"length"` // samples of the window
	Hop    int     `yaml:"hop"`
	FFT    int     `yaml:"fft"`
	Power  float64 `yaml:"power"`
	Floor  float64 `yaml:"floor"`
	Divide float64 `yaml:"divide"`
	Mean   float64 `yaml:"mean"` // subtracted last, then divided by Std
	Std    float64 `yaml:"std"`  // 0 means 1
}

// Image says how a picture becomes the network's input: resized, multiplied by
// 1/255, less Mean, divided by Std, channels in Order, planes (NCHW).
type Image struct {
	W      int        `yaml:"width"`
	H      int        `yaml:"height"`
	Fit    string     `yaml:"fit"`    // squash, crop
	Filter string     `yaml:"filter"` // bilinear, bicubic, lanczos
	Mean   [3]float64 `yaml:"mean"`   // of red, green, blue, whatever Order says
	Std    [3]float64 `yaml:"std"`    // likewise; 0 means 1
	Order  string     `yaml:"order"`  // rgb, bgr
}

// Decode says how a captioner's decoder is driven, and how an embedding takes
// sentences: its tokens are the lines of the vocabulary, numbered from 0, the
// first of which also fills the places after the end; a sentence is put in lower
// case and split at white space, words without a letter or digit are dropped, those
// that the vocabulary lacks are its <unk>, and those after the first Max cut off.
type Decode struct {
	Layout string `yaml:"layout"` // "step" (Show, Attend and Tell) or "optimum" (merged decoder with past keys)
	Start  int64  `yaml:"start"`  // token ids
	Stop   int64  `yaml:"stop"`
	Max    int    `yaml:"max"`  // tokens at most
	Beam   int    `yaml:"beam"` // 1 is greedy
	// LengthPenalty divides a beam's log-probability by length^LengthPenalty when
	// finished beams are compared; 0 compares sums.
	LengthPenalty float64 `yaml:"length_penalty"`
	Tokenizer     string  `yaml:"tokenizer"` // words, bpe, wordpiece
	Layers        int     `yaml:"layers"`    // of the optimum layout
	Heads         int     `yaml:"heads"`
	HeadDim       int     `yaml:"head_dim"`
	State         []int   `yaml:"state"` // of the step layout: widths of the recurrent tensors
	// Grid is the width and height of the attention map; empty: it is square. A
	// map with one cell more begins with a class token.
	Grid []int `yaml:"grid"`
}

// Heat says how a localizer's similarity map becomes a heat map.
type Heat struct {
	Method string `yaml:"method"` // what places mean: semantic (the default) or sync
	// AlignCorners places the outer cells of the map on the edge of the picture
	// when it is enlarged, as EZ-VSL does; otherwise cells have half-pixel
	// centres, as in LVS.
	AlignCorners bool `yaml:"align_corners"`
	// Alpha is the weight of the similarity where the image graph also has an
	// objectness output; the rest is objectness. 0 means 1: similarity alone.
	Alpha         float64 `yaml:"alpha"`
	ObjectFloor   float64 `yaml:"object_floor"`   // objectness taken as 0
	ObjectCeiling float64 `yaml:"object_ceiling"` // objectness taken as full
}

// Gate holds thresholds that were calibrated for this model on held-out data.
type Gate struct {
	RMS       float64 `yaml:"rms"`        // dBFS below which sound is silence
	Floor     float64 `yaml:"floor"`      // localize: cosine drawn as 0
	Ceiling   float64 `yaml:"ceiling"`    // localize: cosine drawn as full
	Enter     float64 `yaml:"enter"`      // speech: posterior that opens the gate
	Leave     float64 `yaml:"leave"`      // speech: posterior that closes it
	SameVoice float64 `yaml:"same_voice"` // speech2face: cosine at or above which two stretches are one voice
	// Show is, by output, the posterior below which a class is not reported
	// (soundnet); an output that is missing reports all.
	Show map[string]float64 `yaml:"show"`
}

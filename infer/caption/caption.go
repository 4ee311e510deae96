// Package caption says in words what a picture shows.
//
// An encoder turns the picture into annotations, and a decoder, run once per
// token, turns those into a sentence. Two layouts of exported graphs are known:
// "step", a recurrent decoder with attention (Show, Attend and Tell), and
// "optimum", a transformer with past keys as Hugging Face Optimum exports it.
// Decoding is greedy or by beam search, with the attention map of every word kept
// where the decoder gives one.
//
// The command makes one [Family] per model and the pipeline of package seehear
// calls it:
//
//	every, err := caption.ParseEvery("scene")
//	f, err := caption.New(caption.Config{
//		Model:    model, // of the pack: graphs "encoder" and "decoder"
//		Info:     info,
//		Labels:   map[string][]string{"vocabulary": lines},
//		Sessions: map[string]infer.Session{"encoder": encoder, "decoder": decoder},
//		Every:    every,
//	})
//
// Tensors are pooled by the family. Events own their words.
package caption

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

// Config is what New needs. The zero value of an option is its default.
type Config struct {
	Model models.Model
	Info  infer.Info
	// Labels holds the lines of the file "vocabulary": one token a line, or a
	// tokenizer.json or vocab.json. Vocabulary is the file itself, for one whose
	// lines are too long to be labels; it is taken instead if it is there.
	Labels     map[string][]string
	Vocabulary []byte
	Sessions   map[string]infer.Session // "encoder" and "decoder"; they stay the caller's

	Every Every // "scene"
	// Live gives a caption out at once. Otherwise it is kept until the next one
	// says how long it held.
	Live bool
	Beam int // rows of the beam search, 1 is greedy; the manifest's
}

// sceneLimit is the longest that a picture without a cut goes without a caption.
const sceneLimit = 10 * time.Second

// Every says when a caption is made. The zero value is "scene".
type Every struct {
	Cadence align.Cadence
	Period  time.Duration
}

// scene asks for a caption of every scene, and of the same scene again after ten
// seconds.
var scene = Every{Cadence: align.EveryCut, Period: sceneLimit}

// ParseEvery reads the value of a flag: "frame", "scene", or a duration such as
// "2s".
func ParseEvery(s string) (Every, error) {
	switch s {
	case "frame":
		return Every{Cadence: align.EveryFrame}, nil
	case "scene":
		return scene, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return Every{}, fmt.Errorf("caption: %q is neither frame, scene nor a duration such as 2s", s)
	}
	return Every{Cadence: align.EveryPeriod, Period: d}, nil
}

// String is the inverse of [ParseEvery].
func (e Every) String() string {
	switch e.Cadence {
	case align.EveryFrame:
		return "frame"
	case align.EveryPeriod:
		return e.Period.String()
	}
	return "scene"
}

const (
	maxTokens = 4096
	maxBeam   = 256
)

// Family captions with one model.
type Family struct {
	info   infer.Info
	need   infer.Need
	live   bool
	rules  rules
	words  *vocabulary
	grid   []int // of the attention map, as the manifest states it
	packer *infer.ImagePacker
	net    network
	works  *infer.Free[work]
}

// New makes the family of a model, and refuses one whose manifest, vocabulary or
// graphs do not fit the contract.
func New(c Config) (infer.Family, error) {
	f, err := build(c)
	if err != nil {
		return nil, fmt.Errorf("caption: model %s: %w", c.Model.Name, err)
	}
	return f, nil
}

func build(c Config) (*Family, error) {
	m := c.Model
	f := &Family{info: c.Info, live: c.Live, grid: m.Decode.Grid}
	var err error
	if f.need, err = needOf(c); err != nil {
		return nil, err
	}
	if f.rules, err = rulesOf(m.Decode, c.Beam); err != nil {
		return nil, err
	}
	if g := f.grid; len(g) != 0 && (len(g) != 2 || g[0] < 1 || g[1] < 1) {
		return nil, fmt.Errorf("attention grid %v is not a width and a height", g)
	}
	if f.packer, err = infer.NewImagePacker(m.Image); err != nil {
		return nil, err
	}
	file := c.Vocabulary
	if file == nil {
		file = []byte(strings.Join(c.Labels["vocabulary"], "\n"))
	}
	if f.words, err = newVocabulary(m.Decode, file); err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	encoder, decoder := c.Sessions["encoder"], c.Sessions["decoder"]
	if encoder == nil || decoder == nil {
		return nil, errors.New("graphs encoder and decoder are not both loaded")
	}
	switch m.Decode.Layout {
	case "step":
		f.net, err = newStep(m, encoder, decoder, f.packer, f.rules.beam)
	case "optimum":
		f.net, err = newOptimum(m, encoder, decoder, f.packer, f.rules.beam)
	default:
		err = fmt.Errorf("decoder layout %q is neither step nor optimum", m.Decode.Layout)
	}
	if err != nil {
		return nil, err
	}
	f.works = infer.NewFree(func() *work { return &work{run: f.net.newRun()} })
	return f, nil
}

func needOf(c Config) (infer.Need, error) {
	size, err := infer.ImageSize(c.Model.Image)
	if err != nil {
		return infer.Need{}, err
	}
	every := c.Every
	if every == (Every{}) {
		every = scene
	}
	switch every.Cadence {
	case align.EveryFrame, align.EveryCut:
	case align.EveryPeriod:
		if every.Period <= 0 {
			return infer.Need{}, fmt.Errorf("a caption every %v", every.Period)
		}
	default:
		return infer.Need{}, fmt.Errorf("cadence %d has no pictures", every.Cadence)
	}
	return infer.Need{Cadence: every.Cadence, Period: every.Period, Image: size}, nil
}

func rulesOf(d models.Decode, beam int) (rules, error) {
	r := rules{start: d.Start, stop: d.Stop, max: d.Max, beam: d.Beam, penalty: d.LengthPenalty}
	if beam != 0 {
		r.beam = beam
	}
	if r.beam == 0 {
		r.beam = 1
	}
	switch {
	case r.max < 1 || r.max > maxTokens:
		return r, fmt.Errorf("captions of at most %d tokens; 1 to %d are possible", r.max, maxTokens)
	case r.beam < 1 || r.beam > maxBeam:
		return r, fmt.Errorf("beam of %d; 1 to %d are possible", r.beam, maxBeam)
	case !(r.penalty >= -10 && r.penalty <= 10):
		return r, fmt.Errorf("length penalty %v is not in -10 to 10", r.penalty)
	}
	return r, nil
}

// Models names the model.
func (f *Family) Models() []infer.Info { return []infer.Info{f.info} }

// Need asks for pictures as [Config.Every] says.
func (f *Family) Need() infer.Need { return f.need }

// Package soundnet names what is heard: sounds, and the objects and scenes that
// go with them, as SoundNet does (Aytar, Vondrick and Torralba, 2016).
//
// The network hears a long window of sound and answers for places some seconds
// apart in it. The command makes one [Family] per model of the pack and the
// pipeline of package seehear calls it:
//
//	f, err := soundnet.New(soundnet.Config{
//		Model:    model, // of the pack: graph "graph"
//		Info:     info,
//		Labels:   labels, // by output: "objects", "scenes", "events"
//		Sessions: map[string]infer.Session{"graph": session},
//	})
//
// Each place yields one event with an [infer.Sound]: At is the centre of its
// receptive field (see Note [Places]), Dur the distance to the next. Below the
// silence gate there is a Sound without classes, and a window that is silent
// throughout is not given to the network at all. A class that is less likely than
// the manifest's gate.show is left out: a network that knows thirty sounds is to
// say nothing of a thirty-first. The sound is the mix-down to one
// channel; SoundNet's authors took the first, which loses whatever is only on
// the others.
//
// Tensors are pooled by the family; events own their memory.
package soundnet

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
)

// Config is what New needs. The zero value of an option is its default.
type Config struct {
	Model    models.Model
	Info     infer.Info
	Labels   map[string][]string      // of each output that the graph has
	Sessions map[string]infer.Session // "graph"; it stays the caller's

	Top int // classes of each head in an event; 5
	// HalfLife averages the posteriors of successive places exponentially, which
	// makes labels steadier and later. 0: events are what the network says of
	// their place alone. A silent place ends the average.
	HalfLife time.Duration
}

const (
	defaultTop     = 5
	defaultSilence = -60 // dBFS
)

// heads are the outputs that a graph may have, each [batch, classes, frames].
var heads = [...]string{"events", "objects", "scenes"}

// Family names sounds with one model.
type Family struct {
	info     infer.Info
	need     infer.Need
	geo      geometry
	packer   *infer.WavePacker
	session  infer.Session
	outputs  int
	heads    []head
	silence  float64 // RMS
	top      int
	halfLife time.Duration
	works    *infer.Free[work]
}

// head is one output of the graph.
type head struct {
	name   string
	kind   int // index into heads
	port   int
	labels []string
	show   float64 // posterior below which a class is not reported
}

// work is the memory of one run.
type work struct {
	in  infer.Tensor
	out []*infer.Tensor
	ins [1]*infer.Tensor
}

// New makes the family of a model, and refuses one whose manifest, labels or
// graph do not fit the contract.
func New(c Config) (infer.Family, error) {
	f, err := build(c)
	if err != nil {
		return nil, fmt.Errorf("soundnet: model %s: %w", c.Model.Name, err)
	}
	return f, nil
}

func build(c Config) (*Family, error) {
	m := c.Model
	f := &Family{info: c.Info, session: c.Sessions["graph"], top: c.Top, halfLife: c.HalfLife}
	if f.session == nil {
		return nil, fmt.Errorf("no session for its graph")
	}
	if f.top < 1 {
		f.top = defaultTop
	}
	quiet := m.Gate.RMS
	if quiet == 0 {
		quiet = defaultSilence
	}
	f.silence = infer.Amplitude(quiet)
	var err error
	if f.geo, err = newGeometry(m.Audio); err != nil {
		return nil, err
	}
	if f.packer, err = infer.NewWavePacker(m.Audio); err != nil {
		return nil, err
	}
	f.need = infer.Need{
		Cadence:   align.EveryHop,
		Hop:       f.geo.hop,
		Sound:     decode.Sound{Rate: f.geo.rate, Channels: 1},
		Window:    f.geo.window,
		MinWindow: f.geo.worth(),
	}
	if err := f.ports(m, c.Labels); err != nil {
		return nil, err
	}
	f.works = infer.NewFree(func() *work {
		w := &work{out: make([]*infer.Tensor, f.outputs)}
		w.in = infer.Tensor{Shape: []int64{1, int64(f.geo.window)}, F32: make([]float32, f.geo.window)}
		w.ins[0] = &w.in
		for _, h := range f.heads {
			w.out[h.port] = new(infer.Tensor)
		}
		return w
	})
	return f, nil
}

// ports finds the graph's tensors and holds their shapes to the manifest.
func (f *Family) ports(m models.Model, labels map[string][]string) error {
	g := m.Graphs["graph"]
	in := f.session.Inputs()
	port, err := infer.NeedPort(in, g.Inputs, "waveform", "float32", 2)
	if err != nil {
		return fmt.Errorf("graph %w", err)
	}
	if len(in) != 1 {
		return fmt.Errorf("graph takes %d inputs where one waveform is given", len(in))
	}
	if n := in[port].Shape[1]; n > 0 && n != int64(f.geo.window) {
		return fmt.Errorf("graph takes %d samples where the manifest's window has %d", n, f.geo.window)
	}
	out := f.session.Outputs()
	f.outputs = len(out)
	for kind, name := range heads {
		if infer.Port(out, g.Outputs, name) < 0 {
			continue
		}
		port, err := infer.NeedPort(out, g.Outputs, name, "float32", 3)
		if err != nil {
			return fmt.Errorf("graph %w", err)
		}
		h := head{name: name, kind: kind, port: port, labels: labels[name], show: m.Gate.Show[name]}
		if len(h.labels) == 0 {
			return fmt.Errorf("no labels for its output %s", name)
		}
		s := out[port].Shape
		if s[1] > 0 && s[1] != int64(len(h.labels)) {
			return fmt.Errorf("output %s has %d classes, and there are %d labels", name, s[1], len(h.labels))
		}
		if s[2] > 0 && s[2] != int64(f.geo.frames) {
			return fmt.Errorf("output %s has %d frames where the manifest's window, stride and min_samples give %d", name, s[2], f.geo.frames)
		}
		f.heads = append(f.heads, h)
	}
	if len(f.heads) == 0 {
		return fmt.Errorf("graph has none of the outputs %v", heads)
	}
	return nil
}

// Models names the model.
func (f *Family) Models() []infer.Info { return []infer.Info{f.info} }

// Need asks for overlapping windows of sound.
func (f *Family) Need() infer.Need { return f.need }

// answer is what one window says of its places.
type answer struct {
	lo, hi int // the real sound in the window
	frames []frame
}

// frame is what a window says of one place.
type frame struct {
	outside int // samples of the field that are not the source's
	short   bool
	rms     float64
	p       [len(heads)][]float64 // posteriors by kind of head; none below the silence gate
}

// Infer runs the network on the moment's window.
func (f *Family) Infer(ctx context.Context, m *align.Moment) (infer.Output, error) {
	if m.Wave.PCM == nil {
		return nil, nil
	}
	w := f.works.Take()
	defer f.works.Give(w)
	a, err := f.hear(ctx, w, m)
	if err != nil {
		return nil, fmt.Errorf("soundnet: %w", err)
	}
	return a, nil
}

func (f *Family) hear(ctx context.Context, w *work, m *align.Moment) (*answer, error) {
	lo, hi, err := f.packer.Pack(w.in.F32, m.Wave)
	if err != nil {
		return nil, err
	}
	missing := int(ingest.Samples(m.Wave.Missing, f.geo.rate))
	gap := missing > f.geo.window-(hi-lo)
	if hi <= lo { // a hole in the source as long as the window
		lo, hi, gap = 0, f.geo.window, true
	}
	a := &answer{lo: lo, hi: hi, frames: make([]frame, f.geo.frames)}
	heard := false
	for i := range a.frames {
		from, to := f.geo.bounds(i)
		start, end := max(from, lo), min(to, hi)
		fr := &a.frames[i]
		fr.outside = f.geo.field - max(0, end-start)
		// What the network pads beyond its window is what it is made for; only
		// padding in the window is a lack of sound.
		fr.short = gap || max(from, 0) < lo || min(to, f.geo.window) > hi
		if start < end {
			fr.rms = infer.RMS(w.in.F32[start:end]) / f.packer.Scale()
		}
		heard = heard || fr.rms >= f.silence
	}
	if !heard {
		return a, nil
	}
	if err := f.session.Run(ctx, w.ins[:], w.out); err != nil {
		return nil, err
	}
	for _, h := range f.heads {
		if err := f.read(a, h, w.out[h.port]); err != nil {
			return nil, fmt.Errorf("output %s %w", h.name, err)
		}
	}
	return a, nil
}

// read turns the logits of one head, [1, classes, frames], into posteriors of
// each frame that is not silent.
func (f *Family) read(a *answer, h head, t *infer.Tensor) error {
	classes, frames := len(h.labels), len(a.frames)
	if len(t.Shape) != 3 || t.Shape[0] != 1 || t.Shape[1] != int64(classes) || t.Shape[2] != int64(frames) || len(t.F32) != classes*frames {
		shape := t.Shape
		*t = infer.Tensor{}
		return fmt.Errorf("is %v where %d labels and the manifest's window, stride and min_samples make it [1 %d %d]", shape, classes, classes, frames)
	}
	column := make([]float32, classes)
	for i := range a.frames {
		if a.frames[i].rms < f.silence {
			continue
		}
		for c := range column {
			column[c] = t.F32[c*frames+i]
		}
		p := infer.Softmax(make([]float64, classes), column)
		for _, v := range p {
			if math.IsNaN(v) {
				return fmt.Errorf("holds what is no number")
			}
		}
		a.frames[i].p[h.kind] = p
	}
	return nil
}

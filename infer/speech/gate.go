package speech

import (
	"context"
	"fmt"
	"math"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

// gateGraph is the network on Silero's contract: each step's samples, preceded by
// the last Context of the step before (zeros at first), go in with the hidden
// state; the posterior of speech and the next state come out.
type gateGraph struct {
	session       infer.Session
	rate          int
	step, context int
	scale         float32
	layers, width int64 // of the state, [layers, 1, width]
	inputs        int
	outputs       int
	inX, inState  int
	inRate        int // -1: the graph knows its rate
	outP          int
	outState      int
}

const (
	stepsPerSecond = 31.25 // Silero's, where the manifest names no window
	contextPart    = 8     // of a step

	stateLayers = 2
	stateWidth  = 128
)

func newGate(m models.Model, session infer.Session) (*gateGraph, error) {
	a := m.Audio
	g := &gateGraph{session: session, rate: a.Rate, context: a.Context, scale: float32(a.Scale), layers: stateLayers, width: stateWidth}
	if a.Scale == 0 {
		g.scale = 1
	}
	if a.Window == 0 {
		a.Window = 1 / stepsPerSecond
	}
	var err error
	if g.step, err = infer.WindowSamples(a); err != nil {
		return nil, err
	}
	if g.context == 0 {
		g.context = g.step / contextPart
	}
	if g.context < 0 || g.context > g.step {
		return nil, fmt.Errorf("context of %d samples before steps of %d", g.context, g.step)
	}

	names := m.Graphs["gate"]
	in, out := session.Inputs(), session.Outputs()
	g.inputs, g.outputs = len(in), len(out)
	for _, p := range []struct {
		index    *int
		name     string
		typ      string
		values   []infer.Value
		renamed  map[string]string
		optional bool
	}{
		{&g.inX, "input", "float32", in, names.Inputs, false},
		{&g.inState, "state", "float32", in, names.Inputs, false},
		{&g.inRate, "sr", "int64", in, names.Inputs, true},
		{&g.outP, "output", "float32", out, names.Outputs, false},
		{&g.outState, "stateN", "float32", out, names.Outputs, false},
	} {
		*p.index = infer.Port(p.values, p.renamed, p.name)
		switch {
		case *p.index < 0 && p.optional:
		case *p.index < 0:
			return nil, fmt.Errorf("gate has no tensor %s", p.name)
		case p.values[*p.index].Type != p.typ:
			return nil, fmt.Errorf("tensor %s is %s where %s is needed", p.name, p.values[*p.index].Type, p.typ)
		}
	}
	if known := 2 + min(1, g.inRate+1); g.inputs != known {
		return nil, fmt.Errorf("gate takes %d inputs, of which %d are known", g.inputs, known)
	}
	if s := in[g.inX].Shape; len(s) == 2 && s[1] > 0 && s[1] != int64(g.step+g.context) {
		return nil, fmt.Errorf("gate takes %d samples where the manifest's window and context give %d + %d", s[1], g.step, g.context)
	}
	if s := in[g.inState].Shape; len(s) == 3 {
		if s[0] > 0 {
			g.layers = s[0]
		}
		if s[2] > 0 {
			g.width = s[2]
		}
	}
	if n := g.layers * g.width; n > 1<<20 {
		return nil, fmt.Errorf("state of %d values", n)
	}
	return g, nil
}

// hidden is what the gate remembers of one Seg, and the tensors of its runs.
type hidden struct {
	x, state, next, rate, p infer.Tensor
	in, out                 []*infer.Tensor
}

func (g *gateGraph) open() *hidden {
	h := &hidden{
		x:     infer.Tensor{Shape: []int64{1, int64(g.context + g.step)}, F32: make([]float32, g.context+g.step)},
		state: infer.Tensor{Shape: []int64{g.layers, 1, g.width}, F32: make([]float32, g.layers*g.width)},
		next:  infer.Tensor{Shape: []int64{g.layers, 1, g.width}, F32: make([]float32, g.layers*g.width)},
		rate:  infer.Tensor{Shape: []int64{}, I64: []int64{int64(g.rate)}},
		p:     infer.Tensor{Shape: []int64{1, 1}, F32: make([]float32, 1)},
		in:    make([]*infer.Tensor, g.inputs),
		out:   make([]*infer.Tensor, g.outputs),
	}
	h.in[g.inX], h.in[g.inState] = &h.x, &h.state
	if g.inRate >= 0 {
		h.in[g.inRate] = &h.rate
	}
	h.out[g.outP], h.out[g.outState] = &h.p, &h.next
	return h
}

// run returns the posterior of the next step; one that the end of the Seg cuts
// short is filled with silence.
func (g *gateGraph) run(ctx context.Context, h *hidden, pcm []float32) (float64, error) {
	copy(h.x.F32, h.x.F32[g.step:]) // the last samples of the step before
	x := h.x.F32[g.context:]
	for i, v := range pcm {
		x[i] = v * g.scale
	}
	clear(x[len(pcm):])
	if err := g.session.Run(ctx, h.in, h.out); err != nil {
		return 0, err
	}
	p := float64(h.p.F32[0])
	if math.IsNaN(p) {
		return 0, fmt.Errorf("gate's output is no number")
	}
	h.state, h.next = h.next, h.state
	return min(max(p, 0), 1), nil
}

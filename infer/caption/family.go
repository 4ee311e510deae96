package caption

import (
	"context"
	"fmt"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
)

// network is an encoder and a decoder of one layout.
type network interface {
	newRun() run
}

// run is one caption in the making; its memory is used again for the next.
type run interface {
	// encode looks at a picture, once, before the steps.
	encode(ctx context.Context, im decode.Image) error
	// step feeds tokens[i] to row i, which continues row parents[i] of the step
	// before (of the encoder's one row at first).
	step(ctx context.Context, tokens []int64, parents []int) (stepped, error)
}

// stepped is what the decoder says after a step, valid until the next one: the
// logits of the next token and where it looked for it, row by row.
type stepped struct {
	logits    []float32
	vocab     int
	attention []float32 // empty without
	cells     int
}

// work is the memory of one Infer.
type work struct {
	run    run
	search search
}

// Infer captions the picture. A moment without one has no output.
func (f *Family) Infer(ctx context.Context, m *align.Moment) (infer.Output, error) {
	if m.Frame == nil {
		return nil, nil
	}
	w := f.works.Take()
	defer f.works.Give(w)
	if err := w.run.encode(ctx, m.Image); err != nil {
		return nil, fmt.Errorf("caption: model %s: graph encoder: %w", f.info.Name, err)
	}
	best, err := w.search.find(ctx, w.run, f.rules)
	if err != nil {
		return nil, fmt.Errorf("caption: model %s: graph decoder: %w", f.info.Name, err)
	}
	view := infer.ViewOf(f.need.Image, m.Frame.SrcW, m.Frame.SrcH)
	return f.words.caption(best, f.grid, view), nil
}

// state holds back the caption that is not yet over.
type state struct {
	pending infer.Event
	held    bool
}

// Open makes an empty State.
func (f *Family) Open() infer.State { return new(state) }

// Resolve returns the caption of the moment, or, unless live, the one before it,
// whose duration is now known.
func (f *Family) Resolve(_ context.Context, st infer.State, m *align.Moment, out infer.Output) ([]infer.Event, error) {
	c, ok := out.(*infer.Caption)
	if !ok || c == nil {
		return nil, nil
	}
	s := st.(*state)
	var events []infer.Event
	if s.held {
		s.pending.Dur = m.At - s.pending.At
		events = append(events, s.pending)
		*s = state{}
	}
	if len(c.Words) == 0 {
		return events, nil // the network has nothing to say
	}
	event := infer.Event{
		Stamp: m.Stamp,
		// As long as it may hold: until the next caption is due.
		Dur:     max(m.Dur, f.need.Period),
		Model:   f.info.Name,
		Fixture: f.info.Fixture,
		Payload: c,
	}
	if f.live {
		return append(events, event), nil
	}
	s.pending, s.held = event, true
	return events, nil
}

// Finish returns the last caption. Where the segment ends is not known here, so
// it lasts until another would have been due.
func (f *Family) Finish(_ context.Context, st infer.State) ([]infer.Event, error) {
	s := st.(*state)
	if !s.held {
		return nil, nil
	}
	e := s.pending
	*s = state{}
	return []infer.Event{e}, nil
}

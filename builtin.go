package seehear

import (
	"context"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
)

// cutSize is the picture that cuts are looked for in when nobody needs another.
var cutSize = decode.Size{W: 64, H: 64, Fit: decode.Squash, Filter: decode.Bilinear}

// stateless is the part of a family that looks at each moment alone and has no
// model.
type stateless struct{}

func (stateless) Models() []infer.Info { return nil }
func (stateless) Open() infer.State    { return nil }
func (stateless) Infer(context.Context, *align.Moment) (infer.Output, error) {
	return nil, nil
}
func (stateless) Finish(context.Context, infer.State) ([]infer.Event, error) { return nil, nil }

// cutFamily says where a scene begins: at cuts, and at the first frame of a Seg.
type cutFamily struct{ stateless }

func (cutFamily) Need() infer.Need { return infer.Need{Cadence: align.EveryCut} }

func (cutFamily) Resolve(_ context.Context, _ infer.State, m *align.Moment, _ infer.Output) ([]infer.Event, error) {
	return []infer.Event{{Stamp: m.Stamp, Payload: &infer.Cut{Strength: m.Cut}}}, nil
}

// gapFamily says what the source lacks.
type gapFamily struct{ stateless }

func (gapFamily) Need() infer.Need { return infer.Need{Cadence: align.EveryGap} }

func (gapFamily) Resolve(_ context.Context, _ infer.State, m *align.Moment, _ infer.Output) ([]infer.Event, error) {
	stream := "source"
	if m.Gap.Kind != 0 {
		stream = m.Gap.Kind.String()
	}
	return []infer.Event{{Stamp: m.Stamp, Dur: m.Dur, Payload: &infer.Gap{Stream: stream, Reason: m.Gap.Reason}}}, nil
}

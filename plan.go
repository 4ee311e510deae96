package seehear

import (
	"slices"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
)

// plan is what all families need of one source, folded together.
type plan struct {
	outputs  decode.Outputs
	needs    []align.Need // one per family, in the same order
	families []infer.Family
	asks     []infer.Need // what each family said
}

// fold makes the plan of p. Equal sizes and equal sounds are made once. The
// built-in families of cuts and gaps come first, so that a cut stands in front of
// what was found on the frame behind it.
func fold(p *Pipeline) *plan {
	pl := new(plan)
	if p.Gaps {
		pl.families = append(pl.families, gapFamily{})
	}
	if p.Cuts {
		pl.families = append(pl.families, cutFamily{})
	}
	pl.families = append(pl.families, p.Families...)
	for _, f := range pl.families {
		n := f.Need()
		pl.asks = append(pl.asks, n)
		pl.needs = append(pl.needs, align.Need{
			Cadence:   n.Cadence,
			Period:    n.Period,
			Hop:       n.Hop,
			Image:     index(&pl.outputs.Sizes, n.Image, n.Image != decode.Size{}),
			Sound:     index(&pl.outputs.Sounds, n.Sound, n.Window > 0),
			Window:    n.Window,
			MinWindow: n.MinWindow,
			Place:     n.Place,
		})
	}
	if p.Cuts {
		// Cuts are seen in whatever picture there is: the smallest, since it is
		// there anyway, or one of their own.
		if len(pl.outputs.Sizes) == 0 {
			pl.outputs.Sizes = []decode.Size{cutSize}
		}
		i := slices.IndexFunc(pl.families, func(f infer.Family) bool { return f == cutFamily{} })
		pl.needs[i].Image = smallest(pl.outputs.Sizes)
	}
	if p.Tap != nil {
		p.Tap.fold(&pl.outputs)
	}
	if len(pl.outputs.Sounds) == 0 {
		// Sound is always decoded, in the source's own form if nobody needs
		// another: the summary counts it, and what is missing of it.
		pl.outputs.Sounds = []decode.Sound{{}}
	}
	return pl
}

// index returns where v stands in list, which it joins if it is new; -1 if v is
// not wanted.
func index[T comparable](list *[]T, v T, wanted bool) int {
	if !wanted {
		return -1
	}
	if i := slices.Index(*list, v); i >= 0 {
		return i
	}
	*list = append(*list, v)
	return len(*list) - 1
}

func smallest(sizes []decode.Size) int {
	best := 0
	for i, s := range sizes {
		if s.W*s.H < sizes[best].W*sizes[best].H {
			best = i
		}
	}
	return best
}

// calls reports whether the family of m is called for it: the one place where
// that is decided. A family is not bothered with a moment that lacks the picture
// or the sound it needs, unless it asked for Partial ones. So a family that
// looks at pictures is never called for a source without video, nor one of
// pictures and sound for a source without either, nor one of sound for a silent
// film; what merely runs short of samples is padded and does come.
func (pl *plan) calls(m *align.Moment) bool {
	n := &pl.asks[m.Need]
	if n.Partial {
		return true
	}
	return (n.Image == decode.Size{} || m.Frame != nil) && (n.Window == 0 || m.Wave.PCM != nil)
}

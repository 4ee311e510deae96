package encode

import (
	"errors"
	"fmt"

	"github.com/asticode/go-astiav"
)

// graph owns one filter graph with one input and one output: conversions that
// libavfilter does with the right coefficients.
type graph struct {
	g    *astiav.FilterGraph
	src  *astiav.BuffersrcFilterContext
	sink *astiav.BuffersinkFilterContext
	out  *astiav.Frame
}

// newGraph builds the chain between buffers of the given kind ("buffer" or
// "abuffer").
func newGraph(kind, chain string, setup func(*astiav.BuffersrcFilterContextParameters)) (_ *graph, err error) {
	g := &graph{g: astiav.AllocFilterGraph(), out: astiav.AllocFrame()}
	handles.Add(1)
	defer func() {
		if err != nil {
			g.free()
			err = fmt.Errorf("filter %s: %w", chain, err)
		}
	}()
	src, sink := astiav.FindFilterByName(kind), astiav.FindFilterByName(kind+"sink")
	if g.g == nil || g.out == nil {
		return nil, errors.New("out of memory")
	}
	if src == nil || sink == nil {
		return nil, fmt.Errorf("this FFmpeg has no filter %s", kind)
	}
	g.g.SetThreadCount(1)
	if g.src, err = g.g.NewBuffersrcFilterContext(src, "in"); err != nil {
		return nil, err
	}
	if g.sink, err = g.g.NewBuffersinkFilterContext(sink, "out"); err != nil {
		return nil, err
	}
	p := astiav.AllocBuffersrcFilterContextParameters()
	defer p.Free()
	setup(p)
	if err = g.src.SetParameters(p); err != nil {
		return nil, err
	}
	if err = g.src.Initialize(nil); err != nil {
		return nil, err
	}
	from, to := astiav.AllocFilterInOut(), astiav.AllocFilterInOut()
	defer from.Free()
	defer to.Free()
	from.SetName("in")
	from.SetFilterContext(g.src.FilterContext())
	from.SetPadIdx(0)
	from.SetNext(nil)
	to.SetName("out")
	to.SetFilterContext(g.sink.FilterContext())
	to.SetPadIdx(0)
	to.SetNext(nil)
	if err = g.g.Parse(chain, to, from); err != nil {
		return nil, err
	}
	return g, g.g.Configure()
}

// run filters f, nil to drain, and calls each with every frame that comes out.
// f stays the caller's.
func (g *graph) run(f *astiav.Frame, each func(*astiav.Frame) error) error {
	if err := g.src.AddFrame(f, astiav.NewBuffersrcFlags(astiav.BuffersrcFlagKeepRef)); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	for {
		err := g.sink.GetFrame(g.out, astiav.NewBuffersinkFlags())
		if errors.Is(err, astiav.ErrEagain) || errors.Is(err, astiav.ErrEof) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("filter: %w", err)
		}
		err = each(g.out)
		g.out.Unref()
		if err != nil {
			return err
		}
	}
}

func (g *graph) free() {
	if g.out != nil {
		g.out.Free()
		g.out = nil
	}
	if g.g != nil {
		g.g.Free()
		g.g = nil
		handles.Add(-1)
	}
}

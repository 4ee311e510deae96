package caption

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seehear/seehear/infer"
)

// Both layouts, in all their variants, say exactly what the bare model says,
// which they can't if a past, a state or a row of the encoder goes astray.
func TestLayoutsAgreeWithTheBareModel(t *testing.T) {
	type variant struct {
		name, layout string
		graphs       func(m toy) (encoder, decoder *graph)
	}
	var variants []variant
	for _, dynamic := range []bool{false, true} {
		variants = append(variants, variant{fmt.Sprintf("step, dynamic %v", dynamic), "step", func(m toy) (*graph, *graph) { return stepGraphs(m, dynamic) }})
		for _, kind := range []optimumKind{{}, {cross: true}, {noPast: true}, {masks: true}, {noPast: true, masks: true}} {
			kind.dynamic = dynamic
			variants = append(variants, variant{fmt.Sprintf("optimum %+v", kind), "optimum", func(m toy) (*graph, *graph) { return optimumGraphs(m, kind) }})
		}
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			said := map[string]bool{}
			for seed := range uint64(10) {
				for _, cells := range []int{0, 4} {
					m := toy{seed: seed, vocab: 7, cells: cells}
					encoder, decoder := v.graphs(m)
					for _, beam := range []int{1, 4} {
						c := config(v.layout, m, encoder, decoder)
						c.Beam = beam
						f := family(t, c)
						w := f.works.Take()
						for level := range byte(3) { // the same memory for one picture after the other
							if err := w.run.encode(t.Context(), picture(level)); err != nil {
								t.Fatal(err)
							}
							got, err := w.search.find(t.Context(), w.run, f.rules)
							if err != nil {
								t.Fatal(err)
							}
							m.picture = float32(level)
							want, err := new(search).find(t.Context(), &toyRun{toy: m}, f.rules)
							if err != nil {
								t.Fatal(err)
							}
							if diff := cmp.Diff(ids(want), ids(got)); diff != "" {
								t.Fatalf("beam %d, seed %d, picture %d: %s", beam, seed, level, diff)
							}
							for i := range got {
								if diff := cmp.Diff(append([]float32{}, want[i].attention...), append([]float32{}, got[i].attention...)); diff != "" {
									t.Fatal(diff)
								}
							}
							said[fmt.Sprint(ids(got))] = true
						}
					}
				}
			}
			if len(said) < 20 {
				t.Errorf("only %d sentences in 60 cases", len(said))
			}
		})
	}
}

func TestRenamedTensors(t *testing.T) {
	m := toy{seed: 1, vocab: 5}
	encoder, decoder := stepGraphs(m, false)
	rename := func(values []infer.Value) map[string]string {
		names := map[string]string{}
		for i, v := range values {
			names[v.Name] = "x_" + v.Name
			values[i].Name = "x_" + v.Name
		}
		return names
	}
	c := config("step", m, encoder, decoder)
	c.Model.Graphs = renamed(rename, encoder, decoder)
	// The toy looks tensors up by their names.
	for _, g := range []*graph{encoder, decoder} {
		run := g.run
		g.run = func(in, out map[string]*infer.Tensor) error { return run(stripped(in), stripped(out)) }
	}
	f := family(t, c)
	w := f.works.Take()
	if err := w.run.encode(t.Context(), picture(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.search.find(t.Context(), w.run, f.rules); err != nil {
		t.Fatal(err)
	}
}

// Once the memory is there, a caption's tensors cost nothing.
func TestDecodingAllocatesNothing(t *testing.T) {
	m := toy{seed: 1, vocab: 9, cells: 4}
	for _, layout := range []string{"step", "optimum"} {
		encoder, decoder := stepGraphs(m, false)
		if layout == "optimum" {
			m.cells = 0 // the toy's graph leaves their number open
			encoder, decoder = optimumGraphs(m, optimumKind{})
		}
		c := config(layout, m, still{encoder}, still{decoder})
		c.Model.Decode.Stop = -1
		f := family(t, c)
		w := f.works.Take()
		im := picture(1)
		n := testing.AllocsPerRun(5, func() {
			if err := w.run.encode(t.Context(), im); err != nil {
				t.Fatal(err)
			}
			sentence, err := w.search.find(t.Context(), w.run, f.rules)
			if err != nil || len(sentence) != f.rules.max {
				t.Fatalf("%d tokens, %v", len(sentence), err)
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations", layout, n)
		}
	}
}

// still writes nothing: all tokens are as likely.
type still struct{ *graph }

func (s still) Run(_ context.Context, _, out []*infer.Tensor) error {
	for i, o := range out {
		if o != nil && o.F32 == nil {
			return fmt.Errorf("no memory for %s", s.out[i].Name)
		}
	}
	return nil
}

// A vocabulary of GPT-2's size and a beam of four, without the network.
func BenchmarkChoose(b *testing.B) {
	const vocab, rows = 50257, 4
	out := stepped{vocab: vocab}
	m := toy{seed: 1, vocab: vocab}
	s := &search{}
	for i := range rows {
		out.logits = append(out.logits, m.logits([]int64{int64(i)})...)
		s.active = append(s.active, -1)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.choose(out, rows); err != nil {
			b.Fatal(err)
		}
	}
}

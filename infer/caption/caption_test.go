package caption

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
)

func moment(at time.Duration, level byte) *align.Moment {
	st := ingest.Stamp{At: at, Seg: 2}
	return &align.Moment{Stamp: st, Dur: 40 * time.Millisecond, Frame: &decode.Frame{Stamp: st, SrcW: 640, SrcH: 480}, Image: picture(level)}
}

func stepFamily(t *testing.T, edit func(*Config)) *Family {
	m := toy{seed: 4, vocab: 7, cells: 4}
	encoder, decoder := stepGraphs(m, false)
	c := config("step", m, encoder, decoder)
	if edit != nil {
		edit(&c)
	}
	return family(t, c)
}

// caption runs one moment and returns what Resolve gives.
func caption(t *testing.T, f *Family, st infer.State, m *align.Moment) []infer.Event {
	t.Helper()
	out, err := f.Infer(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	rest := *m
	rest.Frame, rest.Image = nil, decode.Image{} // given back by the pipeline
	ev, err := f.Resolve(t.Context(), st, &rest, out)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func finish(t *testing.T, f *Family, st infer.State) []infer.Event {
	t.Helper()
	ev, err := f.Finish(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func TestCaptionsLastUntilTheNext(t *testing.T) {
	f := stepFamily(t, nil)
	st := f.Open()
	if ev := caption(t, f, st, moment(0, 1)); len(ev) != 0 {
		t.Fatalf("%d events before the caption is over", len(ev))
	}
	ev := caption(t, f, st, moment(3*time.Second, 2))
	if len(ev) != 1 || ev[0].At != 0 || ev[0].Seg != 2 || ev[0].Dur != 3*time.Second || !ev[0].Fixture || ev[0].Model != "toy" {
		t.Fatalf("got %+v", ev)
	}
	c := ev[0].Payload.(*infer.Caption)
	if len(c.Words) == 0 || c.Text == "" || c.LogP >= 0 || c.AttentionW != 2 || len(c.Words[0].Attention) != 4 {
		t.Errorf("got %+v", c)
	}
	if ev = finish(t, f, st); len(ev) != 1 || ev[0].At != 3*time.Second || ev[0].Dur != 10*time.Second {
		t.Fatalf("got %+v", ev)
	}
	if ev = finish(t, f, st); len(ev) != 0 {
		t.Fatalf("finished twice: %+v", ev)
	}
}

func TestLiveCaptionsAreGivenAtOnce(t *testing.T) {
	f := stepFamily(t, func(c *Config) { c.Live, c.Every = true, Every{Cadence: align.EveryFrame} })
	st := f.Open()
	for i := range 3 {
		ev := caption(t, f, st, moment(time.Duration(i)*40*time.Millisecond, 1))
		if len(ev) != 1 || ev[0].Dur != 40*time.Millisecond {
			t.Fatalf("got %+v", ev)
		}
	}
	if ev := finish(t, f, st); len(ev) != 0 {
		t.Fatalf("got %+v", ev)
	}
}

func TestNoFrameNoCaption(t *testing.T) {
	f := stepFamily(t, nil)
	st := f.Open()
	m := moment(0, 1)
	m.Frame = nil
	if ev := caption(t, f, st, m); len(ev) != 0 || len(finish(t, f, st)) != 0 {
		t.Errorf("got %+v", ev)
	}
}

// A network that has nothing to say ends the caption before.
func TestNothingToSay(t *testing.T) {
	f := stepFamily(t, nil)
	st := f.Open()
	caption(t, f, st, moment(0, 1))
	m := moment(time.Second, 2)
	ev, err := f.Resolve(t.Context(), st, m, new(infer.Caption))
	if err != nil || len(ev) != 1 || ev[0].Dur != time.Second || len(finish(t, f, st)) != 0 {
		t.Errorf("got %+v, %v", ev, err)
	}
}

func TestConcurrentInfer(t *testing.T) {
	for _, layout := range []string{"step", "optimum"} {
		m := toy{seed: 4, vocab: 7, cells: 4}
		encoder, decoder := stepGraphs(m, true)
		if layout == "optimum" {
			encoder, decoder = optimumGraphs(m, optimumKind{cross: true, dynamic: true})
		}
		f := family(t, config(layout, m, encoder, decoder))
		var want [4]infer.Output
		for i := range want {
			out, err := f.Infer(t.Context(), moment(0, byte(i)))
			if err != nil {
				t.Fatal(err)
			}
			want[i] = out
		}
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 20 {
					level := (g + i) % 4
					got, err := f.Infer(t.Context(), moment(0, byte(level)))
					if err != nil {
						t.Error(err)
						return
					}
					if diff := cmp.Diff(want[level], got); diff != "" {
						t.Error(diff)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestInferEndsWithTheContext(t *testing.T) {
	m := toy{seed: 4, vocab: 7}
	encoder, decoder := stepGraphs(m, false)
	ctx, cancel := context.WithCancel(t.Context())
	run := decoder.run
	decoder.run = func(in, out map[string]*infer.Tensor) error { cancel(); return run(in, out) }
	c := config("step", m, encoder, decoder)
	c.Model.Decode.Stop = -1
	f := family(t, c)
	if _, err := f.Infer(ctx, moment(0, 1)); !errors.Is(err, context.Canceled) || decoder.runs.Load() != 1 {
		t.Errorf("got %v after %d steps", err, decoder.runs.Load())
	}
}

func TestErrorsNameTheModelAndTheGraph(t *testing.T) {
	m := toy{seed: 4, vocab: 7}
	for _, role := range []string{"encoder", "decoder"} {
		encoder, decoder := stepGraphs(m, false)
		map[string]*graph{"encoder": encoder, "decoder": decoder}[role].run = func(_, _ map[string]*infer.Tensor) error { return errors.New("broken") }
		_, err := family(t, config("step", m, encoder, decoder)).Infer(t.Context(), moment(0, 1))
		if want := fmt.Sprintf("caption: model toy: graph %s: broken", role); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	bad := moment(0, 1)
	bad.Image.W = 3
	if _, err := stepFamily(t, nil).Infer(t.Context(), bad); err == nil {
		t.Error("a picture of the wrong size is accepted")
	}
	// A decoder that gives other shapes than it states.
	encoder, decoder := optimumGraphs(m, optimumKind{dynamic: true})
	decoder.run = func(in, out map[string]*infer.Tensor) error {
		for _, o := range out {
			if o != nil && o.F32 == nil {
				o.Shape, o.F32 = []int64{3, 1}, []float32{1, 2, 3}
			}
		}
		return nil
	}
	if _, err := family(t, config("optimum", m, encoder, decoder)).Infer(t.Context(), moment(0, 1)); err == nil || !strings.Contains(err.Error(), "logits") {
		t.Errorf("logits of shape [3 1] give %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	type edit func(*Config, *graph, *graph)
	without := func(name string) edit {
		return func(_ *Config, encoder, decoder *graph) {
			for _, list := range []*[]infer.Value{&encoder.in, &encoder.out, &decoder.in, &decoder.out} {
				var kept []infer.Value
				for _, v := range *list {
					if v.Name != name {
						kept = append(kept, v)
					}
				}
				*list = kept
			}
		}
	}
	both := map[string]edit{
		"no encoder":     func(c *Config, _, _ *graph) { delete(c.Sessions, "encoder") },
		"no decoder":     func(c *Config, _, _ *graph) { c.Sessions["decoder"] = nil },
		"no vocabulary":  func(c *Config, _, _ *graph) { c.Labels = nil },
		"no layout":      func(c *Config, _, _ *graph) { c.Model.Decode.Layout = "" },
		"no limit":       func(c *Config, _, _ *graph) { c.Model.Decode.Max = 0 },
		"enormous limit": func(c *Config, _, _ *graph) { c.Model.Decode.Max = 1 << 20 },
		"negative beam":  func(c *Config, _, _ *graph) { c.Beam = -1 },
		"enormous beam":  func(c *Config, _, _ *graph) { c.Beam = 1 << 20 },
		"bad penalty":    func(c *Config, _, _ *graph) { c.Model.Decode.LengthPenalty = math.NaN() },
		"bad grid":       func(c *Config, _, _ *graph) { c.Model.Decode.Grid = []int{3} },
		"bad cadence":    func(c *Config, _, _ *graph) { c.Every.Cadence = align.EveryHop },
		"no period":      func(c *Config, _, _ *graph) { c.Every.Cadence = align.EveryPeriod },
		"no image":       func(c *Config, _, _ *graph) { c.Model.Image = models.Image{} },
		"unknown input":  func(_ *Config, _, d *graph) { d.in = append(d.in, f32("temperature", 1)) },
		"second input":   func(_ *Config, e, _ *graph) { e.in = append(e.in, f32("mask", 1)) },
		"no logits":      without("logits"),
	}
	step := map[string]edit{
		"no token": without("token"), "no h": without("h"), "no h0": without("h0"), "no h_next": without("h_next"), "no c0": without("c0"),
		"no annotations": without("annotations"), "no image input": without("image"),
		"other widths":  func(c *Config, _, _ *graph) { c.Model.Decode.State = []int{13, 1} },
		"too few":       func(c *Config, _, _ *graph) { c.Model.Decode.State = []int{12} },
		"other picture": func(_ *Config, e, _ *graph) { e.in[0].Shape[3] = side + 1 },
		"batch of one":  func(_ *Config, _, d *graph) { d.in[1].Shape[0] = 1 },
	}
	optimum := map[string]edit{
		"no ids": without("input_ids"), "no states": without("encoder_hidden_states"), "no hidden state": without("last_hidden_state"),
		"no present": without("present.1.value"), "no pixels": without("pixel_values"),
		"other layers": func(c *Config, _, _ *graph) { c.Model.Decode.Layers = 12 },
		"no heads": func(_ *Config, _, d *graph) {
			for _, v := range d.in {
				if strings.HasPrefix(v.Name, pastPrefix) {
					v.Shape[1] = -1
				}
			}
		},
		"integer past": func(_ *Config, _, d *graph) { d.in[2].Type = "int64" },
	}
	m := toy{seed: 4, vocab: 7}
	for layout, cases := range map[string][]map[string]edit{"step": {both, step}, "optimum": {both, optimum}} {
		for _, list := range cases {
			for name, edit := range list {
				encoder, decoder := stepGraphs(m, false)
				if layout == "optimum" {
					encoder, decoder = optimumGraphs(m, optimumKind{})
				}
				c := config(layout, m, encoder, decoder)
				edit(&c, encoder, decoder)
				if _, err := New(c); err == nil {
					t.Errorf("%s: %s is accepted", layout, name)
				} else if !strings.HasPrefix(err.Error(), "caption: model toy: ") {
					t.Errorf("%s: %s gives %q", layout, name, err)
				}
			}
		}
	}
	// Heads that the graph leaves open are the manifest's to state.
	encoder, decoder := optimumGraphs(m, optimumKind{})
	c := config("optimum", m, encoder, decoder)
	optimum["no heads"](&c, encoder, decoder)
	c.Model.Decode.Heads, c.Model.Decode.HeadDim, c.Model.Decode.Layers = 2, 4, 2
	if out, err := family(t, c).Infer(t.Context(), moment(0, 1)); err != nil || out == nil {
		t.Errorf("stated heads give %v", err)
	}
}

func TestNeed(t *testing.T) {
	size := decode.Size{W: side, H: side}
	for _, c := range []struct {
		every Every
		want  infer.Need
	}{
		{Every{}, infer.Need{Cadence: align.EveryCut, Period: 10 * time.Second, Image: size}},
		{Every{Cadence: align.EveryFrame}, infer.Need{Cadence: align.EveryFrame, Image: size}},
		{Every{Cadence: align.EveryPeriod, Period: time.Second}, infer.Need{Cadence: align.EveryPeriod, Period: time.Second, Image: size}},
	} {
		if diff := cmp.Diff(c.want, stepFamily(t, func(cfg *Config) { cfg.Every = c.every }).Need()); diff != "" {
			t.Error(diff)
		}
	}
	for _, s := range []string{"", "0s", "-1s", "2", "frames"} {
		if _, err := ParseEvery(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

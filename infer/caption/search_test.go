package caption

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ids(sentence []token) []int64 {
	out := []int64{}
	for _, t := range sentence {
		out = append(out, t.id)
	}
	return out
}

func logSoftmax(l []float32) []float64 {
	sum := 0.0
	for _, v := range l {
		sum += math.Exp(float64(v))
	}
	out := make([]float64, len(l))
	for i, v := range l {
		out[i] = float64(v) - math.Log(sum)
	}
	return out
}

// exhaustive tries every sentence.
func exhaustive(m toy, u rules) []int64 {
	var best, partial []int64
	bestScore, partialScore := math.Inf(-1), math.Inf(-1)
	var walk func(history []int64, sum float64)
	walk = func(history []int64, sum float64) {
		for id, p := range logSoftmax(m.logits(history)) {
			total, words := sum+p, slices.Clone(history[1:])
			switch n := len(history); {
			case int64(id) == u.stop:
				if s := u.score(total, n); s > bestScore {
					best, bestScore = words, s
				}
			case n == u.max:
				if total > partialScore {
					partial, partialScore = append(words, int64(id)), total
				}
			default:
				walk(append(slices.Clone(history), int64(id)), total)
			}
		}
	}
	walk([]int64{u.start}, 0)
	if best == nil {
		return partial
	}
	return best
}

func TestWideBeamIsExhaustive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := toy{seed: rapid.Uint64().Draw(t, "seed"), vocab: rapid.IntRange(1, 4).Draw(t, "vocab")}
		u := rules{
			start: rapid.Int64Range(0, 5).Draw(t, "start"), stop: rapid.Int64Range(-1, 3).Draw(t, "stop"),
			max: rapid.IntRange(1, 4).Draw(t, "max"), beam: 256, penalty: rapid.SampledFrom([]float64{-1, 0, 0.6, 1, 2}).Draw(t, "penalty"),
		}
		got, err := new(search).find(t.Context(), &toyRun{toy: m}, u)
		if err != nil {
			t.Fatal(err)
		}
		want := exhaustive(m, u)
		if want == nil {
			want = []int64{}
		}
		if diff := cmp.Diff(want, ids(got)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestBeamOfOneIsGreedy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := toy{seed: rapid.Uint64().Draw(t, "seed"), vocab: rapid.IntRange(1, 20).Draw(t, "vocab"), cells: 4}
		u := rules{start: 3, stop: 0, max: rapid.IntRange(1, 12).Draw(t, "max"), beam: 1, penalty: rapid.Float64Range(0, 2).Draw(t, "penalty")}
		history, want := []int64{u.start}, []int64{}
		var look []float32
		sum := 0.0
		for len(want) < u.max {
			p := logSoftmax(m.logits(history))
			best := 0
			for i := range p {
				if p[i] > p[best] {
					best = i
				}
			}
			if int64(best) == u.stop {
				break
			}
			look = append(look, m.attention(history)...)
			sum += p[best]
			history, want = append(history, int64(best)), append(want, int64(best))
		}
		got, err := new(search).find(t.Context(), &toyRun{toy: m}, u)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ids(got)); diff != "" {
			t.Fatal(diff)
		}
		for i, tok := range got {
			sum -= tok.logp
			if diff := cmp.Diff(look[i*4:(i+1)*4], tok.attention); diff != "" {
				t.Fatal(diff)
			}
		}
		if math.Abs(sum) > 1e-9 {
			t.Fatalf("log-probabilities differ by %v", sum)
		}
	})
}

// flat knows nothing: every token is as likely as any other.
type flat struct {
	toyRun
	vocab int
}

func (f *flat) step(_ context.Context, tokens []int64, _ []int) (stepped, error) {
	return stepped{logits: make([]float32, len(tokens)*f.vocab), vocab: f.vocab}, nil
}

func TestTiesGoToTheLowerToken(t *testing.T) {
	for _, beam := range []int{1, 3} {
		got, err := new(search).find(t.Context(), &flat{vocab: 5}, rules{start: 0, stop: 4, max: 3, beam: beam})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int64{0, 0, 0}, ids(got)); diff != "" {
			t.Errorf("beam %d: %s", beam, diff)
		}
	}
}

// A finished row leaves the batch, and the search ends when none can win.
func TestRowsStopOnTheirOwn(t *testing.T) {
	m := toy{seed: 11, vocab: 6}
	r := &toyRun{toy: m}
	u := rules{start: 1, stop: 0, max: 50, beam: 4}
	if _, err := new(search).find(t.Context(), r, u); err != nil {
		t.Fatal(err)
	}
	if most := 1 + 4*49; r.ran >= most/2 {
		t.Errorf("%d rows were run, of %d that never stop", r.ran, most)
	}
}

type broken struct {
	toyRun
	out stepped
	err error
}

func (b *broken) step(context.Context, []int64, []int) (stepped, error) { return b.out, b.err }

func TestSearchRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	u := rules{start: 1, stop: 0, max: 3, beam: 2}
	for name, b := range map[string]*broken{
		"NaN":              {out: stepped{logits: []float32{nan, 1}, vocab: 2}},
		"infinity":         {out: stepped{logits: []float32{inf, 1}, vocab: 2}},
		"all impossible":   {out: stepped{logits: []float32{-inf, -inf}, vocab: 2}},
		"too few logits":   {out: stepped{logits: []float32{1}, vocab: 2}},
		"no vocabulary":    {out: stepped{}},
		"attention is off": {out: stepped{logits: []float32{1, 2}, vocab: 2, cells: 3, attention: []float32{1}}},
		"session error":    {err: errors.New("broken")},
	} {
		if _, err := new(search).find(t.Context(), b, u); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	// One impossible token is nothing unusual.
	got, err := new(search).find(t.Context(), &broken{out: stepped{logits: []float32{-inf, 1}, vocab: 2}}, rules{start: 1, max: 1, beam: 2})
	if err != nil || len(got) != 1 || got[0].id != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := new(search).find(ctx, &broken{}, u); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context gives %v", err)
	}
}

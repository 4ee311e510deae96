package caption

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Note [Beam search]
//
// Of the continuations of all rows the best are kept, as many as the beam is
// wide, less one for every sentence already finished: a row that takes the stop
// token leaves the batch with its place. Finished sentences are compared by the
// sum of their log-probabilities, the stop token's included, divided by
// length^penalty; those still unfinished after the last token count only if none
// is finished. The search ends early when no row can come out ahead of the best
// sentence, which changes nothing in the result: sums only fall. Equal scores go
// to the lower token id, then to the row that was ahead, so that a result does
// not depend on anything but the logits. With a beam of one this is greedy
// decoding.

// rules say how tokens are chosen.
type rules struct {
	start, stop int64
	max         int
	beam        int
	penalty     float64
}

// node is a token in the tree of everything that was considered.
type node struct {
	token  int64
	parent int // index of the node before, -1 at the start
	logp   float64
	sum    float64 // of logp from the start
	looked int     // offset of its attention map
}

// token is one token of the sentence that was found.
type token struct {
	id        int64
	logp      float64
	attention []float32 // empty without
}

// candidate is a continuation of a row.
type candidate struct {
	row   int
	token int64
	logp  float64
	sum   float64
}

func (c candidate) before(o candidate) bool {
	if c.sum != o.sum {
		return c.sum > o.sum
	}
	if c.token != o.token {
		return c.token < o.token
	}
	return c.row < o.row
}

// search is the memory of a beam search.
type search struct {
	nodes     []node
	attention []float32
	active    []int // node of each row
	next      []int
	tokens    []int64
	parents   []int
	top       []candidate
	sentence  []token
}

var errNotFinite = errors.New("logits are not finite numbers")

// find returns the best sentence without its stop token. It is valid until the
// next call.
func (s *search) find(ctx context.Context, r run, u rules) ([]token, error) {
	s.nodes, s.attention = s.nodes[:0], s.attention[:0]
	s.active = append(s.active[:0], -1)
	s.tokens, s.parents = append(s.tokens[:0], u.start), append(s.parents[:0], 0)
	best, bestScore, finished, cells := -1, math.Inf(-1), 0, 0
	for length := 1; length <= u.max; length++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out, err := r.step(ctx, s.tokens, s.parents)
		if err != nil {
			return nil, err
		}
		rows := len(s.active)
		if out.vocab < 1 || len(out.logits) != rows*out.vocab || len(out.attention) != rows*out.cells {
			return nil, fmt.Errorf("%d logits and %d cells of attention for %d rows", len(out.logits), len(out.attention), rows)
		}
		if length > 1 && out.cells != cells {
			return nil, fmt.Errorf("%d cells of attention after %d", out.cells, cells)
		}
		cells = out.cells
		if err := s.choose(out, u.beam-finished); err != nil {
			return nil, err
		}
		s.next, s.tokens, s.parents = s.next[:0], s.tokens[:0], s.parents[:0]
		looked := len(s.attention)
		s.attention = append(s.attention, out.attention...)
		for _, c := range s.top {
			s.nodes = append(s.nodes, node{token: c.token, parent: s.active[c.row], logp: c.logp, sum: c.sum, looked: looked + c.row*cells})
			n := len(s.nodes) - 1
			if c.token != u.stop {
				s.next, s.tokens, s.parents = append(s.next, n), append(s.tokens, c.token), append(s.parents, c.row)
				continue
			}
			finished++
			if score := u.score(c.sum, length); best < 0 || score > bestScore {
				best, bestScore = n, score
			}
		}
		s.active, s.next = s.next, s.active
		if len(s.active) == 0 || finished > 0 && u.within(s.nodes[s.active[0]].sum, length) <= bestScore {
			break
		}
	}
	if best < 0 && len(s.active) > 0 {
		best = s.active[0] // rows are in the order of their sums
	}
	return s.path(best, u.stop, cells), nil
}

func (u rules) score(sum float64, length int) float64 {
	if u.penalty == 0 {
		return sum
	}
	return sum / math.Pow(float64(length), u.penalty)
}

// within is what a row of this length and sum can still score at most: if nothing
// is added to the sum, at the length that suits it best.
func (u rules) within(sum float64, length int) float64 {
	if u.penalty < 0 {
		return u.score(sum, min(length+1, u.max))
	}
	return u.score(sum, u.max)
}

// choose fills s.top with the best n continuations of all rows, best first.
func (s *search) choose(out stepped, n int) error {
	s.top = s.top[:0]
	for row, at := range s.active {
		logits := out.logits[row*out.vocab:][:out.vocab]
		rest, err := logSum(logits)
		if err != nil {
			return err
		}
		before := 0.0
		if at >= 0 {
			before = s.nodes[at].sum
		}
		// Nearly all tokens are ruled out by one comparison: cut is what a logit
		// has to reach, less than rounding could hide.
		cut := s.cut(n, before-rest)
		for id, v := range logits {
			if float64(v) < cut {
				continue
			}
			logp := float64(v) - rest
			c := candidate{row: row, token: int64(id), logp: logp, sum: before + logp}
			switch {
			case len(s.top) < n:
				if math.IsInf(logp, -1) {
					continue
				}
				s.top = append(s.top, c)
			case c.before(s.top[n-1]):
				s.top[n-1] = c
			default:
				continue
			}
			s.sift(len(s.top) - 1)
			cut = s.cut(n, before-rest)
		}
	}
	return nil
}

// cut is a bound below which no logit of a row makes one of the best n, where
// shift is what turns the row's logits into sums.
func (s *search) cut(n int, shift float64) float64 {
	if len(s.top) < n {
		return math.Inf(-1)
	}
	worst := s.top[n-1].sum
	return worst - shift - 1e-9*(1+math.Abs(worst)+math.Abs(shift))
}

// logSum is the logarithm of the sum of the exponentials of a row of logits.
func logSum(logits []float32) (float64, error) {
	most := float32(math.Inf(-1))
	for _, v := range logits {
		if v > most {
			most = v
		}
	}
	// A NaN among the logits makes the total one, an infinity most.
	total, top := 0.0, float64(most)
	for _, v := range logits {
		total += math.Exp(float64(v) - top)
	}
	sum := top + math.Log(total)
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return 0, errNotFinite
	}
	return sum, nil
}

// sift moves the last candidate to its place.
func (s *search) sift(i int) {
	for ; i > 0 && s.top[i].before(s.top[i-1]); i-- {
		s.top[i], s.top[i-1] = s.top[i-1], s.top[i]
	}
}

// path returns the tokens from the start to node n.
func (s *search) path(n int, stop int64, cells int) []token {
	s.sentence = s.sentence[:0]
	if n >= 0 && s.nodes[n].token == stop {
		n = s.nodes[n].parent
	}
	for ; n >= 0; n = s.nodes[n].parent {
		d := s.nodes[n]
		s.sentence = append(s.sentence, token{id: d.token, logp: d.logp, attention: s.attention[d.looked : d.looked+cells]})
	}
	for i, j := 0, len(s.sentence)-1; i < j; i, j = i+1, j-1 {
		s.sentence[i], s.sentence[j] = s.sentence[j], s.sentence[i]
	}
	return s.sentence
}

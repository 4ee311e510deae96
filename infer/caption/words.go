package caption

import (
	"math"
	"strings"

	"github.com/seehear/seehear/infer"
)

// draft is a word under construction.
type draft struct {
	text      []byte
	begun     bool // text holds more than white space
	ended     bool // text ends in white space
	logp      float64
	attention []float64 // sum over its tokens
	looked    int       // tokens with attention
}

// caption makes the event's payload of a sentence. It owns its memory.
func (v *vocabulary) caption(sentence []token, grid []int, view infer.View) *infer.Caption {
	c := new(infer.Caption)
	words := v.drafts(sentence)
	var text strings.Builder
	for i := range words {
		w := infer.Word{Text: string(words[i].text), P: math.Exp(words[i].logp)}
		if text.Len() > 0 && (!v.glued || !hangs(w.Text)) {
			text.WriteByte(' ')
		}
		text.WriteString(w.Text)
		c.LogP += words[i].logp
		c.Words = append(c.Words, w)
	}
	c.Text = text.String()
	attend(c, words, grid, view)
	return c
}

// drafts joins tokens to words. A token begins a new word unless it joins the
// one before; what a caption has of white space is only that.
func (v *vocabulary) drafts(sentence []token) []draft {
	var words []draft
	var last *draft
	for _, t := range sentence {
		if t.id < 0 || t.id >= int64(len(v.pieces)) || v.pieces[t.id].special {
			continue
		}
		p := v.pieces[t.id]
		if last == nil || last.begun && (last.ended || !p.joins) {
			words = append(words, draft{})
			last = &words[len(words)-1]
		}
		last.text = append(last.text, p.text...)
		last.begun = last.begun || strings.TrimSpace(p.text) != ""
		if p.text != "" {
			last.ended = strings.HasSuffix(p.text, " ")
		}
		last.logp += t.logp
		if len(t.attention) > 0 {
			if last.attention == nil {
				last.attention = make([]float64, len(t.attention))
			}
			for i, a := range t.attention {
				last.attention[i] += float64(a)
			}
			last.looked++
		}
	}
	kept := words[:0]
	for _, w := range words {
		// A sentence cut short may end inside a character.
		w.text = []byte(strings.Join(strings.Fields(strings.ToValidUTF8(string(w.text), "")), " "))
		if len(w.text) > 0 {
			kept = append(kept, w)
		}
	}
	return kept
}

// hangs reports whether a word is written against the one before: punctuation,
// and the ends of contractions that BERT's tokenizer splits off.
func hangs(w string) bool {
	return strings.Trim(w, ".,!?;:") == "" || w == "n't" || len(w) <= 3 && strings.HasPrefix(w, "'")
}

// maxAttention bounds the side of a map that is widened to the whole frame.
const maxAttention = 256

// attend gives each word the map of where the network looked, over the whole
// upright frame: where the picture was cut out of the frame, with cells of about
// the same size around it that are 0.
func attend(c *infer.Caption, words []draft, grid []int, view infer.View) {
	cells := 0
	for _, w := range words {
		if w.looked == 0 || cells != 0 && len(w.attention) != cells {
			return
		}
		cells = len(w.attention)
	}
	gw, gh, skip := gridOf(cells, grid)
	if gw == 0 {
		return
	}
	width, height := around(gw, view.W), around(gh, view.H)
	most := 0.0
	for _, w := range words {
		for _, a := range w.attention[skip:] {
			most = max(most, a/float64(w.looked))
		}
	}
	if !(most > 0) || math.IsInf(most, 0) {
		return
	}
	c.AttentionW, c.AttentionH = width, height
	for i, w := range words {
		m := make([]byte, width*height)
		for y := range height {
			for x := range width {
				u, v, ok := view.Inside((float64(x)+0.5)/float64(width), (float64(y)+0.5)/float64(height))
				if !ok {
					continue
				}
				a := w.attention[skip+min(int(v*float64(gh)), gh-1)*gw+min(int(u*float64(gw)), gw-1)] / float64(w.looked)
				m[y*width+x] = byte(math.Round(255 * max(0, a) / most))
			}
		}
		c.Words[i].Attention = m
	}
}

// around is the number of cells across the frame if n of about their size are
// across the view. Both have the same centre, so the two differ by an even number
// and every cell of the view stays one cell.
func around(n int, part float64) int {
	if part >= 1 {
		return n
	}
	return min(n+2*int(math.Round(float64(n)*(1/part-1)/2)), max(n, maxAttention))
}

// gridOf returns the shape of an attention map of so many cells, and how many
// cells precede it: one if there is a class token. Without a stated shape the map
// is square. Width 0 means that no shape fits.
func gridOf(cells int, stated []int) (w, h, skip int) {
	if len(stated) == 2 {
		w, h = stated[0], stated[1]
		if skip = cells - w*h; skip == 0 || skip == 1 {
			return w, h, skip
		}
		return 0, 0, 0
	}
	if cells < 1 {
		return 0, 0, 0
	}
	for skip = range 2 {
		if side := int(math.Round(math.Sqrt(float64(cells - skip)))); side > skip && side*side == cells-skip {
			return side, side, skip
		}
	}
	return 0, 0, 0
}

package caption

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

var whole = infer.View{W: 1, H: 1}

func say(t *testing.T, d models.Decode, file string, ids ...int64) *infer.Caption {
	t.Helper()
	v, err := newVocabulary(d, []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	var sentence []token
	for _, id := range ids {
		sentence = append(sentence, token{id: id, logp: -0.5})
	}
	return v.caption(sentence, nil, whole)
}

func texts(c *infer.Caption) []string {
	var out []string
	for _, w := range c.Words {
		out = append(out, w.Text)
	}
	return out
}

func TestWords(t *testing.T) {
	d := models.Decode{Tokenizer: "words", Start: 0, Stop: 1}
	file := "<start>\n<end>\na\ndog\n,\nA\n<unk>\n"
	c := say(t, d, file, 5, 3, 4, 2, 6, 3, 99, -1)
	if c.Text != "A dog, a dog" {
		t.Errorf("text is %q", c.Text)
	}
	if diff := cmp.Diff([]string{"A", "dog", ",", "a", "dog"}, texts(c)); diff != "" {
		t.Error(diff)
	}
	if math.Abs(c.LogP+2.5) > 1e-12 || math.Abs(c.Words[1].P-math.Exp(-0.5)) > 1e-12 {
		t.Errorf("log-probability %v, of a word %v", c.LogP, c.Words[1].P)
	}
	// A map of words is as good as a list.
	if c := say(t, d, `{"<start>": 0, "<end>": 1, "dog": 2}`, 0, 2, 1); c.Text != "dog" {
		t.Errorf("text is %q", c.Text)
	}
}

func TestWordPiece(t *testing.T) {
	d := models.Decode{Tokenizer: "wordpiece", Start: 0, Stop: 1}
	file := "[DEC]\n[SEP]\n[PAD]\na\nskate\n##board\n##er\n."
	c := say(t, d, file, 0, 3, 4, 5, 6, 7, 2, 1)
	if c.Text != "a skateboarder." {
		t.Errorf("text is %q", c.Text)
	}
	if diff := cmp.Diff([]string{"a", "skateboarder", "."}, texts(c)); diff != "" {
		t.Error(diff)
	}
	if math.Abs(c.Words[1].P-math.Exp(-1.5)) > 1e-12 {
		t.Errorf("three pieces have probability %v", c.Words[1].P)
	}
	file = `{"added_tokens": [{"id": 1, "content": "[SEP]", "special": true}], "model": {"type": "WordPiece", "vocab": {"[DEC]": 0, "[SEP]": 1, "dog": 2, "##s": 3}}}`
	if c := say(t, d, file, 2, 3, 1); c.Text != "dogs" {
		t.Errorf("text is %q", c.Text)
	}
}

// The ids and texts are GPT-2's.
func TestByteLevelBPE(t *testing.T) {
	d := models.Decode{Tokenizer: "bpe", Start: 50256, Stop: 50256}
	vocab := map[string]int64{"a": 64, "Ġdog": 3290, "Ġsk": 1341, "ate": 378, "board": 3526, "Ġ": 220, ",": 11, "cafÃ©": 26453, "Ã": 127, "©": 102, "Ċ": 198, "<|endoftext|>": 50256}
	b, err := json.Marshal(map[string]any{
		"added_tokens": []any{map[string]any{"id": 50256, "content": "<|endoftext|>", "special": true}},
		"model":        map[string]any{"type": "BPE", "vocab": vocab, "merges": []string{"Ġ d"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(vocab)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{string(b), string(plain)} {
		c := say(t, d, file, 50256, 220, 64, 3290, 11, 1341, 378, 3526, 220, 220, 26453, 198, 50256)
		if c.Text != "a dog, skateboard café" {
			t.Errorf("text is %q", c.Text)
		}
		if diff := cmp.Diff([]string{"a", "dog,", "skateboard", "café"}, texts(c)); diff != "" {
			t.Error(diff)
		}
		// A character of two bytes in two tokens, and one cut short.
		if c := say(t, d, file, 64, 127, 102, 3290, 127); c.Text != "aé dog" {
			t.Errorf("text is %q", c.Text)
		}
	}
}

// Every byte has its own printable character, as OpenAI's encoder.py builds them.
func TestDecodeBytes(t *testing.T) {
	var printable []int
	for _, r := range [][2]int{{'!', '~'}, {'¡', '¬'}, {'®', 'ÿ'}} {
		for c := r[0]; c <= r[1]; c++ {
			printable = append(printable, c)
		}
	}
	n := 0
	for b := range 256 {
		r := rune(b)
		if !slices.Contains(printable, b) {
			r = rune(256 + n)
			n++
		}
		if got := decodeBytes(string(r)); got != string([]byte{byte(b)}) {
			t.Errorf("%q is %x, want %x", r, got, b)
		}
	}
	if got := decodeBytes("日"); got != "日" {
		t.Errorf("a foreign character becomes %q", got)
	}
}

func TestVocabularyRefuses(t *testing.T) {
	words := models.Decode{Tokenizer: "words"}
	bpe := models.Decode{Tokenizer: "bpe"}
	for name, c := range map[string]struct {
		d    models.Decode
		file string
	}{
		"empty":            {words, ""},
		"no tokenizer":     {models.Decode{Tokenizer: "sentencepiece"}, "a"},
		"bpe as a list":    {bpe, "a\nb"},
		"unigram":          {bpe, `{"model": {"type": "Unigram", "vocab": [["a", -1]]}}`},
		"another type":     {bpe, `{"model": {"type": "WordPiece", "vocab": {"a": 0}}}`},
		"negative id":      {bpe, `{"a": -1}`},
		"enormous id":      {bpe, `{"a": 9000000000}`},
		"one id twice":     {bpe, `{"a": 1, "b": 1}`},
		"enormous added":   {bpe, `{"added_tokens": [{"id": 1000000000}], "model": {"vocab": {"a": 0}}}`},
		"text as id":       {bpe, `{"a": "b"}`},
		"broken":           {bpe, `{"a": 1`},
		"list as vocab":    {words, `{"model": {"vocab": ["a"]}}`},
		"no map, no model": {bpe, `{"version": "1.0", "truncation": null}`},
	} {
		if _, err := newVocabulary(c.d, []byte(c.file)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzVocabulary(f *testing.F) {
	for _, s := range []string{
		"a\nb\n##c", `{"a": 1}`, `{"model": {"type": "BPE", "vocab": {"Ġa": 0, "<|x|>": 2}}, "added_tokens": [{"id": 1, "content": " b", "special": false}]}`,
		"[SEP]\n", "{\n}", `{"model": {"vocab": {}}}`, "\xff\n\r\n", `{"a": 1e3}`, `{"added_tokens": {}, "model": {}}`,
	} {
		f.Add([]byte(s), int64(0), int64(1))
	}
	f.Fuzz(func(t *testing.T, file []byte, start, stop int64) {
		for _, kind := range []string{"words", "wordpiece", "bpe"} {
			v, err := newVocabulary(models.Decode{Tokenizer: kind, Start: start, Stop: stop}, file)
			if err != nil {
				continue
			}
			if len(v.pieces) > len(file)+maxHole+1 {
				t.Fatalf("%d bytes make %d tokens", len(file), len(v.pieces))
			}
			var sentence []token
			for id := range min(len(v.pieces), 100) {
				sentence = append(sentence, token{id: int64(id), logp: -1, attention: []float32{1, 2, 3, 4}})
			}
			c := v.caption(sentence, nil, whole)
			if strings.TrimSpace(c.Text) != c.Text || strings.Contains(c.Text, "  ") {
				t.Fatalf("text is %q", c.Text)
			}
			for _, w := range c.Words {
				if w.Text == "" {
					t.Fatal("a word is empty")
				}
			}
		}
	})
}

func TestAttentionGrid(t *testing.T) {
	for _, c := range []struct {
		cells      int
		stated     []int
		w, h, skip int
	}{
		{196, nil, 14, 14, 0},
		{197, nil, 14, 14, 1},
		{1, nil, 1, 1, 0},
		{2, nil, 0, 0, 0},
		{12, nil, 0, 0, 0},
		{0, nil, 0, 0, 0},
		{12, []int{4, 3}, 4, 3, 0},
		{13, []int{4, 3}, 4, 3, 1},
		{14, []int{4, 3}, 0, 0, 0},
		{11, []int{4, 3}, 0, 0, 0},
	} {
		if w, h, skip := gridOf(c.cells, c.stated); w != c.w || h != c.h || skip != c.skip {
			t.Errorf("%d cells, stated %v: %d x %d after %d", c.cells, c.stated, w, h, skip)
		}
	}
}

func TestAttention(t *testing.T) {
	v, err := newVocabulary(models.Decode{Tokenizer: "wordpiece", Start: -1, Stop: -1}, []byte("a\ndog\n##s"))
	if err != nil {
		t.Fatal(err)
	}
	sentence := []token{
		{id: 0, attention: []float32{0.1, 0.2, 0.3, 0.4}},
		{id: 1, attention: []float32{0.8, 0, 0, 0.2}},
		{id: 2, attention: []float32{0.4, 0, 0, 0.6}}, // the word's mean: 0.6, 0, 0, 0.4
	}
	c := v.caption(sentence, nil, whole)
	if c.AttentionW != 2 || c.AttentionH != 2 {
		t.Fatalf("attention is %d x %d", c.AttentionW, c.AttentionH)
	}
	if diff := cmp.Diff([][]byte{{43, 85, 128, 170}, {255, 0, 0, 170}}, [][]byte{c.Words[0].Attention, c.Words[1].Attention}); diff != "" {
		t.Error(diff)
	}
	// Of a frame twice as wide as high the network saw the middle half.
	c = v.caption(sentence[:1], nil, infer.View{X: 0.25, W: 0.5, H: 1})
	if diff := cmp.Diff([]byte{0, 64, 128, 0, 0, 191, 255, 0}, c.Words[0].Attention); c.AttentionW != 4 || c.AttentionH != 2 || diff != "" {
		t.Errorf("%d x %d: %s", c.AttentionW, c.AttentionH, diff)
	}
	// A class token is no place; a map that is no rectangle is none at all.
	c = v.caption([]token{{id: 0, attention: []float32{9, 1, 0, 0, 0}}}, nil, whole)
	if diff := cmp.Diff([]byte{255, 0, 0, 0}, c.Words[0].Attention); diff != "" {
		t.Error(diff)
	}
	c = v.caption([]token{{id: 0, attention: []float32{1, 1, 1}}}, nil, whole)
	if c.Words[0].Attention != nil || c.AttentionW != 0 {
		t.Errorf("three cells make %d x %d", c.AttentionW, c.AttentionH)
	}
}

func TestAttentionNeverPanics(t *testing.T) {
	v, err := newVocabulary(models.Decode{Tokenizer: "words", Start: -1, Stop: -1}, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		cells := rapid.IntRange(0, 200).Draw(t, "cells")
		a := rapid.SliceOfN(rapid.Float32(), cells, cells).Draw(t, "attention")
		if cells > 0 && rapid.Bool().Draw(t, "spoiled") {
			a[0] = rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}).Draw(t, "value")
		}
		view := infer.View{W: rapid.Float64Range(0.001, 1).Draw(t, "w"), H: rapid.Float64Range(0.001, 1).Draw(t, "h")}
		view.X, view.Y = (1-view.W)/2, (1-view.H)/2
		c := v.caption([]token{{attention: a}}, nil, view)
		if n := len(c.Words[0].Attention); n != c.AttentionW*c.AttentionH || c.AttentionW > maxAttention || c.AttentionH > maxAttention {
			t.Fatalf("%d cells of %d x %d", n, c.AttentionW, c.AttentionH)
		}
	})
}

func ExampleParseEvery() {
	for _, s := range []string{"frame", "scene", "2s"} {
		e, err := ParseEvery(s)
		fmt.Println(e, e.Period, err)
	}
	_, err := ParseEvery("often")
	fmt.Println(err)
	// Output:
	// frame 0s <nil>
	// scene 10s <nil>
	// 2s 2s <nil>
	// caption: "often" is neither frame, scene nor a duration such as 2s
}

package caption

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seehear/seehear/models"
)

// vocabulary turns token ids into text. It only decodes: captions come from the
// network, so that no merges and no normalization are needed.
type vocabulary struct {
	pieces []piece
	// glued vocabularies have punctuation as words of its own, which is written
	// against the word before.
	glued bool
}

// piece is the text of one token.
type piece struct {
	text    string
	joins   bool // belongs to the word before
	special bool // is not part of the text
}

// maxHole bounds the ids that a vocabulary file leaves out, so that a bad file
// can't ask for memory.
const maxHole = 1 << 16

// newVocabulary reads the tokens: one a line, or a JSON file of Hugging Face's.
func newVocabulary(d models.Decode, file []byte) (*vocabulary, error) {
	if len(file) == 0 {
		return nil, errors.New("is empty")
	}
	var tokens []string
	raw := map[int64]piece{} // tokens that the tokenizer leaves alone
	var err error
	switch d.Tokenizer {
	case "words", "wordpiece", "bpe":
	default:
		return nil, fmt.Errorf("tokenizer %q is not words, bpe or wordpiece", d.Tokenizer)
	}
	switch {
	case isJSON(file):
		tokens, raw, err = parseTokenizer(file, d.Tokenizer)
	case d.Tokenizer == "bpe":
		err = errors.New("of byte-level BPE is a tokenizer.json or vocab.json")
	default:
		tokens = strings.Split(strings.TrimRight(string(file), "\r\n"), "\n")
	}
	if err != nil {
		return nil, err
	}
	v := &vocabulary{pieces: make([]piece, len(tokens)), glued: d.Tokenizer != "bpe"}
	for id, t := range tokens {
		if p, ok := raw[int64(id)]; ok {
			v.pieces[id] = p
			continue
		}
		v.pieces[id] = pieceOf(strings.TrimSuffix(t, "\r"), d.Tokenizer)
	}
	for _, id := range []int64{d.Start, d.Stop} {
		if id >= 0 && id < int64(len(v.pieces)) {
			v.pieces[id].special = true
		}
	}
	return v, nil
}

func isJSON(file []byte) bool {
	t := bytes.TrimSpace(file)
	return len(t) > 1 && t[0] == '{' && t[len(t)-1] == '}'
}

// pieceOf decodes one token.
func pieceOf(t, tokenizer string) piece {
	p := piece{text: t, special: isSpecial(t, tokenizer)}
	switch tokenizer {
	case "wordpiece":
		if rest, ok := strings.CutPrefix(t, "##"); ok {
			p.text, p.joins = rest, true
		}
	case "bpe":
		if !p.special {
			p.text = decodeBytes(t)
		}
		p.joins = !strings.HasPrefix(p.text, " ")
	}
	return p
}

// isSpecial tells the names that marks of no text have in published vocabularies:
// <start>, <|endoftext|>, [SEP].
func isSpecial(t, tokenizer string) bool {
	if strings.HasPrefix(t, "<|") && strings.HasSuffix(t, "|>") && len(t) > 4 {
		return true
	}
	if tokenizer == "wordpiece" {
		return len(t) > 2 && t[0] == '[' && t[len(t)-1] == ']'
	}
	switch strings.ToLower(t) {
	case "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<start>", "<end>", "<bos>", "<eos>", "<sos>":
		return true
	}
	return false
}

// tokenizerFile is the part of a tokenizer.json that decoding needs.
type tokenizerFile struct {
	Added []struct {
		ID      int64  `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	} `json:"added_tokens"`
	Model *struct {
		Type  string          `json:"type"`
		Vocab json.RawMessage `json:"vocab"`
	} `json:"model"`
}

// parseTokenizer reads a tokenizer.json, or a vocab.json that maps tokens to ids.
func parseTokenizer(file []byte, tokenizer string) (tokens []string, raw map[int64]piece, err error) {
	var f tokenizerFile
	vocab := map[string]int64{}
	if json.Unmarshal(file, &f) == nil && f.Model != nil && len(f.Model.Vocab) > 0 {
		want := map[string]string{"words": "WordLevel", "wordpiece": "WordPiece", "bpe": "BPE"}[tokenizer]
		if f.Model.Type != "" && f.Model.Type != want {
			return nil, nil, fmt.Errorf("is of type %q, and the manifest says %s", f.Model.Type, tokenizer)
		}
		if err := json.Unmarshal(f.Model.Vocab, &vocab); err != nil {
			return nil, nil, fmt.Errorf("model.vocab: %w", err)
		}
	} else {
		f = tokenizerFile{}
		if err := json.Unmarshal(file, &vocab); err != nil {
			return nil, nil, fmt.Errorf("is neither a tokenizer.json nor a map of tokens: %w", err)
		}
	}
	n := int64(0)
	limit := int64(len(vocab)+len(f.Added)) + maxHole
	check := func(id int64) error {
		if id < 0 || id >= limit {
			return fmt.Errorf("has %d tokens and one with id %d", len(vocab)+len(f.Added), id)
		}
		n = max(n, id+1)
		return nil
	}
	for _, id := range vocab {
		if err := check(id); err != nil {
			return nil, nil, err
		}
	}
	for _, a := range f.Added {
		if err := check(a.ID); err != nil {
			return nil, nil, err
		}
	}
	tokens = make([]string, n)
	taken := make([]bool, n)
	for t, id := range vocab {
		if taken[id] {
			return nil, nil, fmt.Errorf("has two tokens with id %d", id)
		}
		tokens[id], taken[id] = t, true
	}
	raw = make(map[int64]piece, len(f.Added))
	for _, a := range f.Added {
		raw[a.ID] = piece{text: a.Content, joins: tokenizer == "bpe" && !strings.HasPrefix(a.Content, " "), special: a.Special}
	}
	return tokens, raw, nil
}

// decodeBytes undoes the disguise of byte-level BPE, in which every byte is a
// printable character (OpenAI's bytes_to_unicode): those that are printable in
// Latin-1 are themselves, the others follow from U+0100 in their order.
func decodeBytes(t string) string {
	b := make([]byte, 0, len(t))
	for _, r := range t {
		switch {
		case r >= '!' && r <= '~', r >= 0xA1 && r <= 0xAC, r >= 0xAE && r <= 0xFF:
			b = append(b, byte(r))
		case r >= 0x100 && int(r-0x100) < len(hiddenBytes):
			b = append(b, hiddenBytes[r-0x100])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// hiddenBytes are the bytes that are not printable in Latin-1, in order.
var hiddenBytes = slices.Concat(byteRange(0, 0x20), byteRange(0x7F, 0xA0), []byte{0xAD})

func byteRange(first, last int) []byte {
	var b []byte
	for c := first; c <= last; c++ {
		b = append(b, byte(c))
	}
	return b
}

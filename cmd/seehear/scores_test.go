package main

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"unicode"
)

// Note [Caption scores]
//
// Corpus BLEU-4 and CIDEr-D as COCO's evaluation computes them, of tokens; the other
// account of them is models/train/vision/scores.py, which wrote testdata/scores.json.
//
// BLEU (Papineni et al. 2002): clipped n-gram counts over the whole corpus, the
// geometric mean of the four precisions, and the brevity penalty of the reference
// length closest to each candidate, the shorter on a tie. No smoothing.
//
// CIDEr-D (Vedantam et al. 2015): document frequencies over the given references, an
// image being a document; counts clipped to the reference's; a Gaussian penalty with
// sigma 6 on the difference in length; the mean over n of 1 to 4 and over the
// references, times 10.

// tokens are the words of a caption as models/train/vision/words.py has them: lower
// case, split at white space, those without a letter or digit dropped.
func tokens(caption string) []string {
	var list []string
	for _, t := range strings.Fields(strings.ToLower(caption)) {
		if strings.IndexFunc(t, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) >= 0 {
			list = append(list, t)
		}
	}
	return list
}

// grams counts the sequences of n tokens, each joined by spaces.
func grams(sentence []string, n int) map[string]float64 {
	count := map[string]float64{}
	for i := range max(0, len(sentence)-n+1) {
		count[strings.Join(sentence[i:i+n], " ")]++
	}
	return count
}

// bleu4 is in 0 to 1. references[i] belong to candidates[i].
func bleu4(candidates [][]string, references [][][]string) float64 {
	var right, tried [5]float64
	length, wanted := 0, 0
	for i, c := range candidates {
		length += len(c)
		closest := -1
		for _, r := range references[i] {
			off, least := abs(len(r)-len(c)), abs(closest-len(c))
			if closest < 0 || off < least || off == least && len(r) < closest {
				closest = len(r)
			}
		}
		wanted += closest
		for n := 1; n <= 4; n++ {
			most := map[string]float64{}
			for _, r := range references[i] {
				for g, k := range grams(r, n) {
					most[g] = max(most[g], k)
				}
			}
			for g, k := range grams(c, n) {
				right[n] += min(k, most[g])
			}
			tried[n] += float64(max(0, len(c)-n+1))
		}
	}
	mean := 0.0
	for n := 1; n <= 4; n++ {
		if right[n] == 0 {
			return 0
		}
		mean += math.Log(right[n]/tried[n]) / 4
	}
	return math.Exp(mean + min(0, 1-float64(wanted)/float64(length)))
}

// ciderD is in 0 to 10.
func ciderD(candidates [][]string, references [][][]string) float64 {
	const sigma = 6
	frequency := map[string]float64{}
	for _, refs := range references {
		seen := map[string]bool{}
		for _, r := range refs {
			for n := 1; n <= 4; n++ {
				for g := range grams(r, n) {
					seen[g] = true
				}
			}
		}
		for g := range seen {
			frequency[g]++
		}
	}
	images := math.Log(float64(len(references)))
	vector := func(sentence []string, n int) (map[string]float64, float64) {
		v, sum := grams(sentence, n), 0.0
		for g, k := range v {
			v[g] = k * (images - math.Log(max(1, frequency[g])))
			sum += v[g] * v[g]
		}
		return v, math.Sqrt(sum)
	}
	total := 0.0
	for i, c := range candidates {
		for n := 1; n <= 4; n++ {
			cv, cn := vector(c, n)
			for _, r := range references[i] {
				rv, rn := vector(r, n)
				if cn == 0 || rn == 0 {
					continue
				}
				dot, off := 0.0, float64(len(c)-len(r))
				for g, x := range cv {
					dot += min(x, rv[g]) * rv[g]
				}
				total += dot / (cn * rn) * math.Exp(-off*off/(2*sigma*sigma)) / float64(4*len(references[i]))
			}
		}
	}
	return 10 * total / float64(len(candidates))
}

func abs(n int) int { return max(n, -n) }

// The scores are those of the recipes.
func TestScoresAreTheRecipes(t *testing.T) {
	text, err := os.ReadFile("testdata/scores.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Candidates []string
		References [][]string
		BLEU4      float64 `json:"bleu4"`
		CIDErD     float64 `json:"cider_d"`
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 3 {
		t.Fatalf("%d cases", len(cases))
	}
	for i, c := range cases {
		said, refs := make([][]string, len(c.Candidates)), make([][][]string, len(c.References))
		for k, s := range c.Candidates {
			said[k] = tokens(s)
		}
		for k, list := range c.References {
			for _, s := range list {
				refs[k] = append(refs[k], tokens(s))
			}
		}
		if got := bleu4(said, refs); math.Abs(100*got-c.BLEU4) > 1e-9 {
			t.Errorf("case %d: BLEU-4 %v, and scores.py has %v", i, 100*got, c.BLEU4)
		}
		if got := ciderD(said, refs); math.Abs(got-c.CIDErD) > 1e-9 {
			t.Errorf("case %d: CIDEr-D %v, and scores.py has %v", i, got, c.CIDErD)
		}
	}
}

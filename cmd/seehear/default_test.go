package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The default pack, without a flag that names it, hears in the demo clip what a person
// does: a dog in the first scene, which it finds in the picture and sees, and somebody
// who reads the news from 12.5 s on.
func TestDefaultPackHearsAndSees(t *testing.T) {
	out := t.TempDir()
	code, _, stderr := seehearRun(t, nil, "annotate", "--outputs", "jsonl", "-o", out, "../../docs/demo/demo.mp4")
	if code != exitOK {
		t.Fatal(code, stderr)
	}
	text, err := os.ReadFile(filepath.Join(out, "demo", "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	dog, seen, speech, captions := 0, 0, 0.0, 0
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var l struct {
			T, Dur float64
			Sound  struct{ Events []struct{ Label string } }
			Speech *struct{}

			Heatmap *struct {
				Method, Gated string
				X             float64
			}
			Caption *struct {
				Text       string
				AttentionW int `json:"attention_w"`
				Words      []struct {
					Text      string
					Attention []byte
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.T < 3.5 && len(l.Sound.Events) > 0 && l.Sound.Events[0].Label == "dog barking" {
			dog++
		}
		if h := l.Heatmap; l.T < 3.5 && h != nil && h.Method == "semantic" && h.Gated == "" {
			if h.X > 0.5 {
				t.Errorf("at %v s the dog is taken to be at %v of the width", l.T, h.X)
			}
			seen++
		}
		if c := l.Caption; c != nil {
			captions++
			if l.T == 0 && !strings.Contains(c.Text, "dog") {
				t.Errorf("of the first scene it says %q", c.Text)
			}
			for _, w := range c.Words {
				if c.AttentionW == 0 || len(w.Attention) != c.AttentionW*c.AttentionW {
					t.Errorf("%q, %q: attention of %d cells, %d wide", c.Text, w.Text, len(w.Attention), c.AttentionW)
				}
			}
		}
		if l.Speech != nil {
			speech += max(0, min(l.T+l.Dur, 18)-max(l.T, 12.5))
		}
	}
	if captions < 3 {
		t.Errorf("%d captions of five scenes", captions)
	}
	if dog < 2 {
		t.Errorf("a dog is heard at %d places of the first scene", dog)
	}
	if seen < 10 {
		t.Errorf("the dog is seen in %d heat maps of the first scene", seen)
	}
	if speech < 3 {
		t.Errorf("speech of %.1f s in the scene with the reader", speech)
	}
}

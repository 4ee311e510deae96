package speech

import (
	"context"
	"math/rand/v2"
	"testing"
)

// Whatever the gate says and however long, the segmenter holds back a few seconds
// at most, and in steady state it allocates nothing.
func TestSegmenterIsBounded(t *testing.T) {
	const step = 16
	l := limits{enter: 0.5, leave: 0.35, minSpeech: 250, minPause: 500, pad: 30}
	// Each step of a stretch that is not yet certain may be followed by a pause.
	most := int((l.minSpeech/step+1)*(l.minPause+step) + l.pad + step)
	pcm := make([]float32, step)
	rng := rand.New(rand.NewPCG(5, 6))
	for name, p := range map[string]func(i int) float64{
		"speech":  func(int) float64 { return 0.9 },
		"silence": func(int) float64 { return 0 },
		"clicks":  func(i int) float64 { return map[bool]float64{true: 0.9, false: 0.1}[i%30 == 0] },
		"noise":   func(int) float64 { return rng.Float64() },
	} {
		s := segmenter{limits: l, listener: &one{}}
		i := 0
		push := func() {
			if err := s.push(context.Background(), pcm, p(i)); err != nil {
				t.Fatal(err)
			}
			i++
			if len(s.pcm) > most || s.base+int64(len(s.pcm)) != s.end {
				t.Fatalf("%s: holds %d samples from %d to %d, at most %d", name, len(s.pcm), s.base, s.end, most)
			}
			if name == "speech" && len(s.pcm) > int(l.minSpeech)+2*step {
				t.Fatalf("%s: holds %d samples of a certain stretch", name, len(s.pcm))
			}
			s.over = s.over[:0]
		}
		for range 20000 {
			push()
		}
		if name == "noise" {
			continue // its stretches end, and turns are new memory
		}
		if n := testing.AllocsPerRun(100, push); n > 0 && name != "clicks" {
			t.Errorf("%s: %v allocations a step", name, n)
		}
	}
}

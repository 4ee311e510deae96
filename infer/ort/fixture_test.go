package ort

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

// The fixture graphs, run as families run them, against formulas worked out
// here: models/fixture/README.md says what each computes.

// graph opens one graph of a fixture pack.
func graph(t *testing.T, pack, family, role string) *Session {
	t.Helper()
	p, err := models.Load("../../models/" + pack)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := p.Model(family)
	if !ok {
		t.Fatalf("no model for %s", family)
	}
	return load1(t, open(t), p.Path(m.Graphs[role].File), SessionOptions{})
}

// run feeds tensors in the order of the graph's inputs and returns the outputs by
// name.
func run(t *testing.T, s *Session, in ...*infer.Tensor) map[string]*infer.Tensor {
	t.Helper()
	out := make([]*infer.Tensor, len(s.out))
	named := map[string]*infer.Tensor{}
	for i, p := range s.out {
		out[i] = &infer.Tensor{}
		named[p.Name] = out[i]
	}
	if err := s.Run(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	return named
}

func tensor(data []float32, shape ...int64) *infer.Tensor {
	return &infer.Tensor{Shape: shape, F32: data}
}

func argmax(x []float32) int {
	return slices.Index(x, slices.Max(x))
}

func near(t *testing.T, what string, got float32, want, within float64) {
	t.Helper()
	if !(math.Abs(float64(got)-want) <= within) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestFixtureSoundNet(t *testing.T) {
	s := graph(t, "fixture", "soundnet", "graph")
	x := make([]float32, 2*22050)
	for i := range x {
		x[i] = 50 * float32(math.Sin(float64(i)))
	}
	x[4321], x[22050+22049] = -256, 200
	r := run(t, s, tensor(x, 2, 22050))
	for b, want := range []int{4321, 22049} {
		hi := argmax(r["objects"].F32[b*87 : (b+1)*87])
		lo := argmax(r["scenes"].F32[b*256 : (b+1)*256])
		if got := hi*256 + lo; got != want {
			t.Errorf("row %d: peak at %d, want %d", b, got, want)
		}
	}
	if !slices.Equal(r["objects"].Shape, []int64{2, 87, 1}) || !slices.Equal(r["scenes"].Shape, []int64{2, 256, 1}) {
		t.Errorf("shapes %v and %v", r["objects"].Shape, r["scenes"].Shape)
	}
}

func TestFixtureSpeech(t *testing.T) {
	s := graph(t, "fixture", "speech", "gate")
	state := tensor(make([]float32, 256), 2, 1, 128)
	rate := &infer.Tensor{I64: []int64{16000}}
	m := 0.0
	for n, amplitude := range []float64{0, 0.2, 0.2, 0.001, 0.001, 0.001, 0.001, 0.5} {
		x := make([]float32, 576)
		for i := range x {
			x[i] = float32(amplitude) * float32(1-2*(i&1)) // mean square: amplitude²
		}
		r := run(t, s, tensor(x, 1, 576), state, rate)
		m = 0.25*m + 0.75*amplitude*amplitude
		near(t, "posterior", r["output"].F32[0], 1/(1+math.Exp(-(10*math.Log10(m+1e-10)+40)/2)), 1e-5)
		state = r["stateN"]
		near(t, "count", state.F32[0], float64(n+1), 0)
		near(t, "mean", state.F32[128], m, 1e-6)
	}
	rate.I64[0] = 8000
	near(t, "posterior at another rate", run(t, s, tensor(make([]float32, 576), 1, 576), state, rate)["output"].F32[0], 0, 0)
}

func TestFixtureSpeech2Face(t *testing.T) {
	encoder := graph(t, "fixture", "speech2face", "encoder")
	decoder := graph(t, "fixture", "speech2face", "decoder")
	voice := func(bin int) []float32 { // all the power in one bin
		const frames = 10
		x := make([]float32, 2*frames*257)
		for f := range frames {
			x[f*257+bin], x[(frames+f)*257+bin] = 2, -1
		}
		r := run(t, encoder, tensor(x, 1, 2, frames, 257))["face_feature"]
		if !slices.Equal(r.Shape, []int64{1, 16}) {
			t.Fatalf("shape %v", r.Shape)
		}
		u, sum := 2*math.Log2(1+float64(bin)), 0.0
		want := make([]float64, 16)
		for k := range want {
			want[k] = math.Exp(-(u - float64(k)) * (u - float64(k)) / 4.5)
			sum += want[k] * want[k]
		}
		for k := range want {
			near(t, "feature", r.F32[k], want[k]/math.Sqrt(sum), 1e-4)
		}
		return r.F32
	}
	cosine := func(a, b []float32) (c float64) {
		for i := range a {
			c += float64(a[i]) * float64(b[i])
		}
		return c
	}
	low, high := voice(4), voice(16)
	if c := cosine(low, voice(4)); math.Abs(c-1) > 1e-6 {
		t.Errorf("cosine with itself is %v", c)
	}
	if c := cosine(low, high); c > 0.5 {
		t.Errorf("low and high voice have cosine %v", c)
	}
	face := run(t, decoder, tensor(low, 1, 16))["texture"]
	if !slices.Equal(face.Shape, []int64{1, 3, 64, 64}) {
		t.Fatalf("shape %v", face.Shape)
	}
	var want [3]float64
	sum := 0.0
	for k, f := range low {
		x := float64(k) / 15
		for c, w := range [3]float64{x, 1 - math.Abs(2*x-1), 1 - x} {
			want[c] += w * float64(f)
		}
		sum += float64(f)
	}
	for i, v := range face.F32 {
		near(t, "colour", v, want[i/4096]/sum, 1e-5)
	}
}

func TestFixtureLocalize(t *testing.T) {
	image := graph(t, "fixture", "localize", "image")
	audio := graph(t, "fixture", "localize", "audio")
	x := paint(7, func(cell int) float64 {
		if cell == 3*7+5 {
			return 1
		}
		return 0.2
	})
	e := run(t, image, tensor(x, 1, 3, 224, 224))["image_embedding"]
	if !slices.Equal(e.Shape, []int64{1, 8, 7, 7}) {
		t.Fatalf("shape %v", e.Shape)
	}
	for level, a := range map[float32]float64{-0.5: 1, -1.15: 0.5, float32(math.Log(1e-7) / 12): 0} {
		spectrogram := make([]float32, 257*5)
		for i := range spectrogram {
			spectrogram[i] = -3
		}
		spectrogram[77] = level
		sound := run(t, audio, tensor(spectrogram, 1, 1, 257, 5))["audio_embedding"].F32
		length := 0.0
		for _, v := range sound {
			length += float64(v) * float64(v)
		}
		near(t, "length", float32(length), 1, 1e-5)
		for cell := range 49 {
			dot, b := float32(0), 0.2
			if cell == 26 {
				b = 1
			}
			for d, v := range sound {
				dot += v * e.F32[d*49+cell]
			}
			near(t, "cosine", dot, math.Sin(b*math.Pi/2)*math.Sin(a*math.Pi/2), 1e-5)
		}
	}
}

// paint makes a normalized gray picture of cells by cells.
func paint(cells int, gray func(cell int) float64) []float32 {
	mean, std := [3]float64{0.485, 0.456, 0.406}, [3]float64{0.229, 0.224, 0.225}
	x := make([]float32, 3*224*224)
	for i := range x {
		c, row, col := i/(224*224), i/224%224, i%224
		x[i] = float32((gray(row*cells/224*cells+col*cells/224) - mean[c]) / std[c])
	}
	return x
}

// barcode paints index as ingest/mediatest does.
func barcode(index int) []float32 {
	ones := 0
	for b := range 12 {
		ones += index >> b & 1
	}
	word := 1<<15 | ones%4<<12 | index
	return paint(4, func(cell int) float64 { return float64(word >> (15 - cell) & 1) })
}

func spell(index int) []int64 {
	return []int64{2, 3 + int64(index/1000), 3 + int64(index/100%10), 3 + int64(index/10%10), 3 + int64(index%10), 1}
}

func TestFixtureCaption(t *testing.T) {
	encoder := graph(t, "fixture", "caption", "encoder")
	decoder := graph(t, "fixture", "caption", "decoder")
	say := func(image []float32, keepState bool) (words []int64) {
		r := run(t, encoder, tensor(image, 1, 3, 224, 224))
		a, h, c := r["annotations"], r["h0"], r["c0"]
		for token := int64(0); token != 1 && len(words) < 8; {
			r := run(t, decoder, &infer.Tensor{Shape: []int64{1}, I64: []int64{token}}, h, c, a)
			if keepState {
				h, c = r["h_next"], r["c_next"]
				if at := argmax(r["attention"].F32); at != len(words) {
					t.Errorf("attention at %d in step %d", at, len(words))
				}
			}
			token = int64(argmax(r["logits"].F32))
			words = append(words, token)
		}
		return words
	}
	for _, index := range []int{0, 42, 987, 4095} {
		if got := say(barcode(index), true); !slices.Equal(got, spell(index)) {
			t.Errorf("%d: %v", index, got)
		}
	}
	if got := say(barcode(42), false); slices.Equal(got, spell(42)) {
		t.Error("the sentence does not depend on the state")
	}
	if got := say(paint(1, func(int) float64 { return 0.3 }), true); !slices.Equal(got, []int64{13, 1}) {
		t.Errorf("no barcode: %v", got)
	}
}

func TestFixtureOptimum(t *testing.T) {
	encoder := graph(t, "fixture-optimum", "caption", "encoder")
	decoder := graph(t, "fixture-optimum", "caption", "decoder")
	const index = 2468
	states := run(t, encoder, tensor(barcode(index), 1, 3, 224, 224))["last_hidden_state"]
	two := tensor(slices.Concat(states.F32, states.F32), 2, 16, 4)

	// First step: one row, no past.
	step := func(ids []int64, states, key, value *infer.Tensor) (logits, k, v *infer.Tensor) {
		r := run(t, decoder, &infer.Tensor{Shape: []int64{int64(len(ids)), 1}, I64: ids}, states, key, value,
			&infer.Tensor{Shape: []int64{1}, Bool: []bool{key.Shape[2] > 0}})
		return r["logits"], r["present.0.key"], r["present.0.value"]
	}
	empty := tensor(nil, 1, 2, 0, 2)
	logits, key, value := step([]int64{0}, states, empty, empty)
	if argmax(logits.F32) != 14 {
		t.Errorf("the decoy is not ahead: %v", logits.F32)
	}
	near(t, "the true word behind the decoy", logits.F32[14]-logits.F32[2], 0.5, 1e-5)
	// Row 0 follows the decoy, row 1 the sentence.
	double := func(x *infer.Tensor) *infer.Tensor {
		return tensor(slices.Concat(x.F32, x.F32), 2, 2, x.Shape[2], 2)
	}
	key, value = double(key), double(value)
	want := spell(index)
	for n := range want[:5] {
		logits, key, value = step([]int64{14, want[n]}, two, key, value)
		if got := argmax(logits.F32[15:]); int64(got) != want[n+1] {
			t.Errorf("step %d says %d, want %d", n, got, want[n+1])
		}
		if got := argmax(logits.F32[:15]); got != 1 {
			t.Errorf("step %d after the decoy says %d", n, got)
		}
		if key.Shape[2] != int64(n+2) {
			t.Errorf("step %d: past of %v", n, key.Shape)
		}
	}
	// With the two pasts exchanged the row of the sentence is lost.
	half := len(key.F32) / 2
	swap := func(x *infer.Tensor) *infer.Tensor {
		return tensor(slices.Concat(x.F32[half:], x.F32[:half]), x.Shape...)
	}
	logits, _, _ = step([]int64{1, 1}, two, swap(key), swap(value))
	if logits.F32[15+1] > 1 {
		t.Errorf("sure of itself with another's past: %v", logits.F32[15:])
	}
}

package localize

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/seehear/seehear/infer"
)

// Enlarging equals Pillow's with half-pixel centres and SciPy's with aligned
// corners (testdata/make_heat.py).
func TestEnlargingEqualsPillowAndSciPy(t *testing.T) {
	b, err := os.ReadFile("testdata/heat.f32")
	if err != nil {
		t.Fatal(err)
	}
	all := make([]float32, 5*7+2*20*28)
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, all); err != nil {
		t.Fatal(err)
	}
	m, want := all[:35], all[35:]
	for k, corners := range []bool{false, true} {
		h := heat{gridW: 28, gridH: 20, imageW: 28, imageH: 20, alignCorners: corners, ceiling: 1}
		got := h.grid(new(canvas), dims{depth: 1, w: 7, h: 5}, m, nil, infer.View{W: 1, H: 1})
		for i, w := range want[k*560 : (k+1)*560] {
			if math.Abs(float64(got[i])-255*float64(w)) > 0.501 {
				t.Fatalf("corners %v: cell %d is %d, want %v", corners, i, got[i], 255*w)
			}
		}
	}
}

func TestPlaceInvertsTaps(t *testing.T) {
	for _, corners := range []bool{false, true} {
		var c taps
		c.set(7, 7, 7, corners, func(f float64) (float64, bool) { return f, true })
		for i := range 7 {
			if at := float64(c.first[i]) + c.weight[i]; math.Abs(at-float64(i)) > 1e-9 {
				t.Errorf("corners %v: cell %d is at %v", corners, i, at)
			}
			if p := place(float64(i), 7, 7, corners); math.Abs(p-(float64(i)+0.5)/7) > 1e-9 {
				t.Errorf("corners %v: cell %d lies at %v", corners, i, p)
			}
		}
	}
	if p := place(6, 7, 224, true); math.Abs(p-223.5/224) > 1e-12 {
		t.Errorf("the last aligned cell lies at %v", p)
	}
}

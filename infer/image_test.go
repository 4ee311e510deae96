package infer_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The golden values are NumPy's (testdata/make_image.py).
func TestImagePackerEqualsNumPy(t *testing.T) {
	im := decode.Image{W: 13, H: 7, Pix: readFile(t, "testdata/image.rgb")}
	want := make([]float32, 2*3*7*13)
	if err := binary.Read(bytes.NewReader(readFile(t, "testdata/image.f32")), binary.LittleEndian, want); err != nil {
		t.Fatal(err)
	}
	for i, m := range []models.Image{
		{W: 13, H: 7, Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225}, Order: "rgb"},
		{W: 13, H: 7, Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{0.5, 0.5, 0.5}, Order: "bgr"},
	} {
		p, err := infer.NewImagePacker(m)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, p.Len())
		if err := p.Pack(got, im); err != nil {
			t.Fatal(err)
		}
		for k, w := range want[i*p.Len() : (i+1)*p.Len()] {
			if math.Abs(float64(got[k]-w)) > 1e-6 {
				t.Fatalf("%s: value %d is %v, NumPy has %v", m.Order, k, got[k], w)
			}
		}
	}
}

func TestImagePackerAllocatesNothing(t *testing.T) {
	p, err := infer.NewImagePacker(models.Image{W: 64, H: 48})
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float32, p.Len())
	im := decode.Image{W: 64, H: 48, Pix: make([]byte, 3*64*48)}
	if n := testing.AllocsPerRun(10, func() { _ = p.Pack(dst, im) }); n != 0 {
		t.Errorf("Pack allocates %v times", n)
	}
}

func TestImagePackerRefuses(t *testing.T) {
	for _, m := range []models.Image{
		{},
		{W: 4, H: 4, Fit: "stretch"},
		{W: 4, H: 4, Filter: "nearest"},
		{W: 4, H: 4, Order: "gbr"},
	} {
		if _, err := infer.NewImagePacker(m); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
	p, err := infer.NewImagePacker(models.Image{W: 4, H: 4})
	if err != nil {
		t.Fatal(err)
	}
	if p.Pack(make([]float32, 48), decode.Image{W: 4, H: 4, Pix: make([]byte, 47)}) == nil {
		t.Error("a short picture is packed")
	}
	if p.Pack(make([]float32, 47), decode.Image{W: 4, H: 4, Pix: make([]byte, 48)}) == nil {
		t.Error("a short tensor is written")
	}
	if p.Pack(make([]float32, 48), decode.Image{W: 2, H: 8, Pix: make([]byte, 48)}) == nil {
		t.Error("a picture of another shape is packed")
	}
}

func TestViewOfCrop(t *testing.T) {
	crop := decode.Size{W: 224, H: 224, Fit: decode.Crop}
	// 16:9 cut to a square keeps 9/16 of the width, centred.
	v := infer.ViewOf(crop, 1920, 1080)
	if math.Abs(v.W-0.5625) > 1e-12 || v.H != 1 || math.Abs(v.X-0.21875) > 1e-12 || v.Y != 0 {
		t.Errorf("view of 1920x1080 is %+v", v)
	}
	v = infer.ViewOf(crop, 1080, 1920)
	if v.W != 1 || math.Abs(v.H-0.5625) > 1e-12 {
		t.Errorf("view of 1080x1920 is %+v", v)
	}
	if v := infer.ViewOf(decode.Size{W: 224, H: 224}, 1920, 1080); v != (infer.View{W: 1, H: 1}) {
		t.Errorf("a squashed picture shows %+v", v)
	}
}

func TestViewInverts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(1, 4096)
		v := infer.ViewOf(decode.Size{W: side.Draw(t, "w"), H: side.Draw(t, "h"), Fit: decode.Crop}, side.Draw(t, "sw"), side.Draw(t, "sh"))
		x, y := rapid.Float64Range(0.01, 0.99).Draw(t, "x"), rapid.Float64Range(0.01, 0.99).Draw(t, "y")
		gx, gy, ok := v.Inside(v.Frame(x, y))
		if !ok || math.Abs(gx-x) > 1e-9 || math.Abs(gy-y) > 1e-9 {
			t.Fatalf("%v,%v comes back as %v,%v (%v)", x, y, gx, gy, ok)
		}
	})
}

func TestPort(t *testing.T) {
	values := []infer.Value{{Name: "x", Type: "float32", Shape: []int64{-1, 3}}, {Name: "y", Type: "int64", Shape: []int64{-1}}}
	if i := infer.Port(values, map[string]string{"image": "y"}, "image"); i != 1 {
		t.Errorf("renamed tensor is at %d", i)
	}
	if i := infer.Port(values, nil, "x"); i != 0 {
		t.Errorf("tensor of its own name is at %d", i)
	}
	if _, err := infer.NeedPort(values, nil, "x", "float32", 2); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name, typ string
		dims      int
	}{{"z", "float32", 2}, {"y", "float32", 1}, {"x", "float32", 4}} {
		if _, err := infer.NeedPort(values, nil, c.name, c.typ, c.dims); err == nil {
			t.Errorf("%+v is found", c)
		}
	}
}

func BenchmarkImagePack224(b *testing.B) {
	p, err := infer.NewImagePacker(models.Image{W: 224, H: 224})
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]float32, p.Len())
	im := decode.Image{W: 224, H: 224, Pix: make([]byte, p.Len())}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Pack(dst, im); err != nil {
			b.Fatal(err)
		}
	}
}

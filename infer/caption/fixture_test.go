//go:build cgo

package caption_test

import (
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/caption"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/models"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if n := ort.Handles(); n != 0 {
		fmt.Fprintf(os.Stderr, "%d handles are open\n", n)
		code = max(code, 1)
	}
	os.Exit(code)
}

// closeLater closes c at the end of the test.
func closeLater(t *testing.T, c io.Closer) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// load opens the captioner of a fixture pack on ONNX Runtime.
func load(t *testing.T, dir string, edit func(*caption.Config)) infer.Family {
	t.Helper()
	pack, err := models.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := pack.Model("caption")
	if !ok {
		t.Fatalf("%s has no captioner", dir)
	}
	rt, err := ort.Open(ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, rt)
	c := caption.Config{Model: *m, Info: infer.Info{Name: m.Name, Fixture: true}, Labels: map[string][]string{}, Sessions: map[string]infer.Session{}}
	for role, g := range m.Graphs {
		if c.Sessions[role], err = rt.Session(pack.Path(g.File), ort.SessionOptions{}); err != nil {
			t.Fatal(err)
		}
		closeLater(t, c.Sessions[role])
	}
	for name, f := range m.Labels {
		if c.Labels[name], err = models.Labels(pack.Path(f)); err != nil {
			t.Fatal(err)
		}
	}
	if edit != nil {
		edit(&c)
	}
	f, err := caption.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// barcode is a moment that shows the barcode of a frame.
func barcode(index int) *align.Moment {
	const size, cell = 224, 224 / 4
	cells := mediatest.Encode(index)
	pix := make([]byte, 3*size*size)
	for i := range pix {
		x, y := i/3%size, i/3/size
		if cells[y/cell*4+x/cell] {
			pix[i] = 255
		}
	}
	st := ingest.Stamp{At: time.Duration(index) * time.Second}
	return &align.Moment{Stamp: st, Frame: &decode.Frame{Stamp: st, SrcW: size, SrcH: size}, Image: decode.Image{W: size, H: size, Pix: pix}}
}

func read(t *testing.T, f infer.Family, m *align.Moment) *infer.Caption {
	t.Helper()
	out, err := f.Infer(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return out.(*infer.Caption)
}

// The fixture reads the barcode out, and only if every token and every state or
// key came back to it as it gave it.
func TestFixturesReadTheBarcode(t *testing.T) {
	for _, dir := range []string{"../../models/fixture", "../../models/fixture-optimum"} {
		for _, beam := range []int{0, 1, 2, 5} {
			if beam == 1 && dir == "../../models/fixture-optimum" {
				continue // see TestGreedyIsLed
			}
			f := load(t, dir, func(c *caption.Config) { c.Beam = beam })
			for _, index := range []int{0, 7, 1234, 4095} {
				d := fmt.Sprintf("%04d", index)
				want := fmt.Sprintf("frame %c %c %c %c", d[0], d[1], d[2], d[3])
				if got := read(t, f, barcode(index)); got.Text != want || len(got.Words) != 5 {
					t.Errorf("%s, beam %d: frame %d is %q (%d words)", dir, beam, index, got.Text, len(got.Words))
				}
			}
			m := barcode(7)
			clear(m.Image.Pix)
			if got := read(t, f, m); got.Text != "unreadable" {
				t.Errorf("%s: black is %q", dir, got.Text)
			}
		}
	}
}

// At each step the fixture looks at the cell of that number.
func TestFixtureAttention(t *testing.T) {
	c := read(t, load(t, "../../models/fixture", nil), barcode(1234))
	if c.AttentionW != 4 || c.AttentionH != 4 {
		t.Fatalf("attention is %d x %d", c.AttentionW, c.AttentionH)
	}
	first := -1
	for i, w := range c.Words {
		at := -1
		for k, v := range w.Attention {
			switch {
			case v == 255 && at < 0:
				at = k
			case v != 3: // 255 * 0.01 / 0.85
				t.Fatalf("word %d: cell %d is %d", i, k, v)
			}
		}
		if i == 0 {
			first = at
		}
		if at < 0 || at != first+i {
			t.Errorf("word %d looks at cell %d", i, at)
		}
	}
}

// Greedy decoding takes the bait that a beam sees through.
func TestGreedyIsLed(t *testing.T) {
	f := load(t, "../../models/fixture-optimum", func(c *caption.Config) { c.Beam = 1 })
	if got := read(t, f, barcode(99)); got.Text != "maybe" {
		t.Errorf("greedy says %q", got.Text)
	}
}

func TestFixtureConcurrently(t *testing.T) {
	for _, dir := range []string{"../../models/fixture", "../../models/fixture-optimum"} {
		f := load(t, dir, nil)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 10 {
					index := 100*g + i
					want := fmt.Sprintf("%04d", index)
					out, err := f.Infer(t.Context(), barcode(index))
					if err != nil {
						t.Error(err)
						return
					}
					var got string
					for _, w := range out.(*infer.Caption).Words[1:] {
						got += w.Text
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s: %s", dir, diff)
					}
				}
			})
		}
		wg.Wait()
	}
}

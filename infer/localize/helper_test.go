package localize

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-audio/audio"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
)

// The test model: the embedding of a cell is its mean colour, that of the sound
// its first three samples, so that every cosine is known by hand.
const (
	cellPixels = 4
	rate       = 100
	window     = 300
)

type graph struct {
	in, out []infer.Value
	runs    atomic.Int64
	run     func(in, out []*infer.Tensor) error
}

func (g *graph) Inputs() []infer.Value  { return g.in }
func (g *graph) Outputs() []infer.Value { return g.out }
func (g *graph) Close() error           { return nil }
func (g *graph) Run(ctx context.Context, in, out []*infer.Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.runs.Add(1)
	return g.run(in, out)
}

// give writes data as a session does: in place where the caller gave memory.
func give(t *infer.Tensor, data []float32, shape ...int64) error {
	if t == nil {
		return nil
	}
	if t.F32 == nil {
		t.F32, t.Shape = data, shape
		return nil
	}
	if fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
		return fmt.Errorf("output is %v where memory for %v was given", shape, t.Shape)
	}
	copy(t.F32, data)
	return nil
}

func value(name string, shape ...int64) infer.Value {
	return infer.Value{Name: name, Type: "float32", Shape: shape}
}

// eyes embeds each cell as its mean colour; objectness is the colour's sum. With
// dynamic, the graph does not state its output's shape.
func eyes(gw, gh int, dynamic, objectness bool) *graph {
	w, h := int64(gw), int64(gh)
	if dynamic {
		w, h = -1, -1
	}
	g := &graph{in: []infer.Value{value("image", -1, 3, int64(gh*cellPixels), int64(gw*cellPixels))}}
	if objectness {
		g.out = append(g.out, value("objectness", -1, h, w))
	}
	g.out = append(g.out, value("image_embedding", -1, 3, h, w))
	g.run = func(in, out []*infer.Tensor) error {
		e, o := make([]float32, 3*gw*gh), make([]float32, gw*gh)
		for c := range 3 {
			for y := range gh * cellPixels {
				for x := range gw * cellPixels {
					v := in[0].F32[(c*gh*cellPixels+y)*gw*cellPixels+x] / (cellPixels * cellPixels)
					e[(c*gh+y/cellPixels)*gw+x/cellPixels] += v
					o[y/cellPixels*gw+x/cellPixels] += v
				}
			}
		}
		if objectness {
			if err := give(out[0], o, 1, int64(gh), int64(gw)); err != nil {
				return err
			}
		}
		return give(out[len(out)-1], e, 1, 3, int64(gh), int64(gw))
	}
	return g
}

func ears() *graph {
	return &graph{
		in:  []infer.Value{value("spectrogram", -1, 1, 3, -1)},
		out: []infer.Value{value("audio_embedding", -1, 3)},
		run: func(in, out []*infer.Tensor) error { return give(out[0], append([]float32(nil), in[0].F32...), 1, 3) },
	}
}

// firstThree stands for the spectrogram.
type firstThree struct{}

func (firstThree) Shape(n, _ int) []int64        { return []int64{int64(n), 1, 3, 1} }
func (firstThree) Len(int) int                   { return 3 }
func (firstThree) Pack(dst, pcm []float32) error { copy(dst, pcm[:3]); return nil }

func front(models.Audio) (spectrogram, error) { return firstThree{}, nil }

func model(gw, gh int) models.Model {
	return models.Model{
		Name:  "test",
		Audio: models.Audio{Rate: rate, Window: float64(window) / rate},
		Image: models.Image{W: gw * cellPixels, H: gh * cellPixels},
		Gate:  models.Gate{RMS: -60, Floor: 0.5, Ceiling: 1},
	}
}

func config(gw, gh int) Config {
	return Config{
		Model:    model(gw, gh),
		Info:     infer.Info{Family: "localize", Name: "test", Fixture: true},
		Sessions: map[string]infer.Session{"image": eyes(gw, gh, false, false), "audio": ears()},
		GridW:    gw,
		GridH:    gh,
	}
}

func family(t testing.TB, c Config) *Family {
	t.Helper()
	f, err := build(c, front)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

type colour [3]byte

// scene is a moment whose cells have the given colours and whose sound embeds as
// the given colour.
func scene(gw, gh int, at time.Duration, cells []colour, sound [3]float32) *align.Moment {
	pix := make([]byte, 0, 3*gw*gh*cellPixels*cellPixels)
	for y := range gh * cellPixels {
		for x := range gw * cellPixels {
			c := cells[y/cellPixels*gw+x/cellPixels]
			pix = append(pix, c[:]...)
		}
	}
	pcm := make([]float32, window)
	copy(pcm, sound[:])
	st := ingest.Stamp{At: at}
	return &align.Moment{
		Stamp: st,
		Dur:   40 * time.Millisecond,
		Frame: &decode.Frame{Stamp: st, SrcW: 640, SrcH: 480},
		Image: decode.Image{W: gw * cellPixels, H: gh * cellPixels, Pix: pix},
		Wave:  align.Window{Stamp: st, PCM: &audio.Float32Buffer{Format: &audio.Format{SampleRate: rate, NumChannels: 1}, Data: pcm}},
	}
}

// look runs one moment through the family.
func look(t testing.TB, f *Family, st infer.State, m *align.Moment) *infer.Heatmap {
	t.Helper()
	out, err := f.Infer(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	rest := *m
	rest.Frame, rest.Image = nil, decode.Image{} // given back by the pipeline
	ev, err := f.Resolve(t.Context(), st, &rest, out)
	if err != nil {
		t.Fatal(err)
	}
	if len(ev) != 1 {
		t.Fatalf("%d events", len(ev))
	}
	hm := ev[0].Payload.(*infer.Heatmap)
	if len(hm.Grid) != hm.W*hm.H {
		t.Fatalf("grid of %d cells is %dx%d", len(hm.Grid), hm.W, hm.H)
	}
	return hm
}

//go:build bench

package main

import (
	"context"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-audio/audio"

	"github.com/seehear/seehear"
	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
)

// TestRatios prints the table of `make bench`: every figure is a ratio of CPU
// time, or of wall to CPU time, measured in turns within this run.
func TestRatios(t *testing.T) {
	const turns = 5
	bin, clip := binary(t), clip1080(t, 20)

	// The same work by the ffmpeg of the same libraries.
	flags := "bilinear+accurate_rnd+full_chroma_int+full_chroma_inp"
	byFFmpeg := func() usage {
		return measure(t, "ffmpeg", "-nostdin", "-v", "error", "-y", "-i", clip,
			"-map", "0:v:0", "-fps_mode", "passthrough", "-vf", "scale=224:224:flags="+flags+",format=rgb24", "-f", "rawvideo", "/dev/null",
			"-map", "0:a:0", "-ac", "1", "-ar", "22050", "-f", "f32le", "/dev/null")
	}
	byProbe := func() usage { return measure(t, bin, "probe", "--json", clip) }
	ratio, ps, fs := inTurns(t, turns, byProbe, byFFmpeg)
	t.Logf("probe / ffmpeg, CPU:                        %.3f (goal 1.10)   %.2f s / %.2f s", ratio, medianCPU(ps), medianCPU(fs))

	out := t.TempDir()
	annotate := func() usage {
		return measure(t, bin, "annotate", "--force", "--outputs", "jsonl", "--models", fixturePack(t), "-o", out, clip)
	}
	replay := replayer(t, clip)
	sum := func() usage {
		p, r := byProbe(), replay()
		return usage{cpu: p.cpu + r.cpu, wall: p.wall + r.wall}
	}
	ratio, as, ss := inTurns(t, turns, annotate, sum)
	t.Logf("annotate / (probe + sessions and front ends), CPU: %.3f (goal 1.15)   %.2f s / %.2f s", ratio, medianCPU(as), medianCPU(ss))
	var walls []float64
	for _, u := range as {
		walls = append(walls, u.wall.Seconds()/u.cpu.Seconds())
	}
	t.Logf("annotate, wall / CPU:                       %.3f (goal 0.60 on %d processors)", median(walls), runtime.NumCPU())
}

// replayer keeps the moments of the clip and returns a function that gives them
// to the families again: sessions and front ends alone.
func replayer(t *testing.T, clip string) func() usage {
	t.Helper()
	ctx := context.Background()
	flags := familyFlags{Models: fixturePack(t), CaptionEvery: "scene", LocalizeFPS: 5, SoundsTop: 5, Threads: 1}
	net, err := flags.load("", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.close(); err != nil {
			t.Error(err)
		}
	})
	kept := make([][]*align.Moment, len(net.families))
	keepers := make([]infer.Family, len(net.families))
	for i, f := range net.families {
		keepers[i] = &keeper{Family: f, to: &kept[i]}
	}
	open := sourceFlags{VideoStream: -1, AudioStream: -1, ReadTimeout: 10 * time.Second}.opener(clip, nil)
	if _, err := seehear.Run(ctx, seehear.Pipeline{Source: clip, Open: open, Families: keepers}); err != nil {
		t.Fatal(err)
	}
	return func() usage {
		before := cpuTime()
		for i, f := range net.families {
			st := f.Open()
			for _, m := range kept[i] {
				out, err := f.Infer(ctx, m)
				if err == nil {
					_, err = f.Resolve(ctx, st, m, out)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := f.Finish(ctx, st); err != nil {
				t.Fatal(err)
			}
		}
		return usage{cpu: cpuTime() - before}
	}
}

// keeper copies the moments that a family would see.
type keeper struct {
	infer.Family
	to *[]*align.Moment
}

func (k *keeper) Infer(_ context.Context, m *align.Moment) (infer.Output, error) {
	return cloneMoment(m), nil
}

func (k *keeper) Resolve(_ context.Context, _ infer.State, _ *align.Moment, out infer.Output) ([]infer.Event, error) {
	*k.to = append(*k.to, out.(*align.Moment))
	return nil, nil
}

func (k *keeper) Finish(context.Context, infer.State) ([]infer.Event, error) { return nil, nil }

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cloneMoment copies a moment with its picture and sound, which the aligner takes
// back otherwise.
func cloneMoment(m *align.Moment) *align.Moment {
	c := &align.Moment{
		Stamp: m.Stamp, Need: m.Need, Dur: m.Dur, Skew: m.Skew, Cut: m.Cut, Gap: m.Gap,
		Image: decode.Image{W: m.Image.W, H: m.Image.H, Pix: slices.Clone(m.Image.Pix)},
		Wave:  align.Window{Stamp: m.Wave.Stamp, Missing: m.Wave.Missing},
	}
	if m.Wave.PCM != nil {
		format := *m.Wave.PCM.Format
		c.Wave.PCM = &audio.Float32Buffer{Format: &format, Data: slices.Clone(m.Wave.PCM.Data)}
	}
	if m.Frame != nil {
		c.Frame = &decode.Frame{Stamp: m.Frame.Stamp, Dur: m.Frame.Dur, Images: []decode.Image{c.Image}, SrcW: m.Frame.SrcW, SrcH: m.Frame.SrcH, Key: m.Frame.Key}
	}
	return c
}

//go:build cgo

package seehear_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seehear/seehear"
	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/sinks"
)

// opener opens a file as the command does.
func opener(name string) func(context.Context, decode.Outputs) (*decode.Reader, error) {
	return func(ctx context.Context, out decode.Outputs) (*decode.Reader, error) {
		src, err := av.Open(ctx, name, av.DefaultOptions())
		if err != nil {
			return nil, err
		}
		dec, err := ffmpeg.New(src.Streams(), out, ffmpeg.Options{})
		if err != nil {
			return nil, errors.Join(err, src.Close())
		}
		return decode.NewReader(src, dec), nil
	}
}

// seen is what the family below keeps of a moment.
type seen struct {
	ingest.Stamp
	dur   time.Duration
	index int // the barcode, -1 if unreadable
	start time.Duration
	pcm   []float32
}

// witness keeps what it sees of each frame, at the sound's own rate.
type witness struct {
	rate int
	seen []seen
}

func (w *witness) Models() []infer.Info { return nil }

func (w *witness) Need() infer.Need {
	n := infer.Need{Cadence: align.EveryFrame, Image: decode.Size{W: 64, H: 64, Filter: decode.Bilinear}, Partial: true}
	if w.rate > 0 {
		n.Sound, n.Window = decode.Sound{Rate: w.rate, Channels: 1}, w.rate/2
	}
	return n
}

func (w *witness) Open() infer.State { return nil }

func (w *witness) Infer(_ context.Context, m *align.Moment) (infer.Output, error) {
	s := seen{Stamp: m.Stamp, dur: m.Dur, index: -1}
	if i, ok := mediatest.ReadRGB(m.Image.W, m.Image.H, m.Image.Pix); ok {
		s.index = i
	}
	if m.Wave.PCM != nil {
		s.start, s.pcm = m.Wave.At, slices.Clone(m.Wave.PCM.Data)
	}
	return s, nil
}

func (w *witness) Resolve(_ context.Context, _ infer.State, _ *align.Moment, out infer.Output) ([]infer.Event, error) {
	w.seen = append(w.seen, out.(seen))
	return nil, nil
}

func (w *witness) Finish(context.Context, infer.State) ([]infer.Event, error) { return nil, nil }

// Every ground-truth clip through the whole pipeline: each frame at its time, and
// each click in the window round the frame that is seen meanwhile.
func TestGroundTruth(t *testing.T) {
	for _, clip := range mediatest.Clips(t) {
		t.Run(clip.Name, func(t *testing.T) {
			w := new(witness)
			if clip.Audio != nil {
				w.rate = clip.Audio.Rate
			}
			sum, err := seehear.Run(t.Context(), seehear.Pipeline{
				Open: opener(clip.File), Source: clip.Name, Families: []infer.Family{w}, Cuts: true, Gaps: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			if !sum.Complete || sum.Drops != 0 {
				t.Errorf("summary %+v", sum)
			}
			if clip.Segs != nil {
				return // stamps across jumps are for the suite of the source
			}
			if clip.Audio != nil && len(clip.Audio.Rates) == 0 && sum.Samples != clip.Audio.Samples {
				t.Errorf("%d samples, want %d", sum.Samples, clip.Audio.Samples)
			}
			byIndex := make(map[int]seen)
			for _, s := range w.seen {
				byIndex[s.index] = s
			}
			for _, f := range clip.Frames {
				s, ok := byIndex[f.Index]
				if !ok || (s.At-time.Duration(f.PTS)).Abs() > time.Millisecond {
					t.Errorf("frame %d: seen %t at %v, want %v", f.Index, ok, s.At, time.Duration(f.PTS))
				}
			}
			if clip.Audio == nil || clip.Frames == nil || len(clip.Audio.Rates) > 0 {
				return
			}
			pulse := mediatest.Pulse(w.rate)
			if clip.Audio.Lossless {
				pulse = []float64{1}
			}
			for _, c := range clip.Clicks {
				s, ok := byIndex[c.Frame]
				if c.Frame < 0 || !ok {
					continue
				}
				if at := time.Duration(c.T); at < s.At || at >= s.At+s.dur+time.Millisecond {
					t.Errorf("click at %v: frame %d is seen from %v for %v", at, c.Frame, s.At, s.dur)
				}
				want := int(ingest.Samples(time.Duration(c.T)-s.start, w.rate))
				// The container's own rounding moves all of the sound.
				tol := 1 + int(ingest.Samples(time.Duration(clip.Audio.StartTolNS), w.rate))
				if got := mediatest.Locate(s.pcm, pulse, want, w.rate/100); got < want-tol || got > want+tol {
					t.Errorf("click at %v: %d samples off in the window of frame %d", time.Duration(c.T), got-want, c.Frame)
				}
			}
		})
	}
	if n := av.Handles() + ffmpeg.Handles(); n != 0 {
		t.Errorf("%d handles of C memory left", n)
	}
}

// A file that is cut off gives what it holds, and says that it is not all.
func TestTruncated(t *testing.T) {
	whole, err := os.ReadFile("ingest/mediatest/testdata/clips/webm-av1.webm")
	if err != nil {
		t.Fatal(err)
	}
	run := func(b []byte) sinks.Summary {
		name := filepath.Join(t.TempDir(), "clip.webm")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		sum, err := seehear.Run(t.Context(), seehear.Pipeline{Open: opener(name), Source: name, Cuts: true})
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	all, part := run(whole), run(whole[:len(whole)/2])
	if all.Truncated || all.Missing != 0 || all.Damaged != 0 {
		t.Errorf("of the whole file: %+v", all)
	}
	if lacks := all.Duration - part.Duration; !part.Truncated || (part.Missing-lacks).Abs() > 100*time.Millisecond || part.Frames >= all.Frames {
		t.Errorf("of half of it: %+v, %v shorter", part, lacks)
	}
}

// text keeps events as text, those of gaps apart.
type text struct {
	lines, gaps []string
	sum         sinks.Summary
}

func (s *text) Begin(context.Context, sinks.Header) error { return nil }

func (s *text) Write(_ context.Context, e infer.Event) error {
	s.lines = append(s.lines, fmt.Sprintf("%d/%v+%v %s %+v", e.Seg, e.At, e.Dur, e.Payload.Kind(), e.Payload))
	if g, ok := e.Payload.(*infer.Gap); ok {
		s.gaps = append(s.gaps, fmt.Sprintf("%s %s %d ms", g.Stream, g.Reason, e.Dur.Milliseconds()))
	}
	return nil
}

func (s *text) Close(_ context.Context, sum sinks.Summary) error { s.sum = sum; return nil }

// The real clips give what is known of them, the same whatever the number of
// workers, and leave nothing behind. Those that hold nothing say so.
func TestRealClips(t *testing.T) {
	files, err := filepath.Glob("../shared/media/*.*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("the real clips are not there")
	}
	fails := []string{"chunk_out_of_range.mp4", "invalid_userdata.mp4", "invalid-bitstream.webm"}
	// See the README of the clips.
	gaps := map[string][]string{
		"corrupted.mp4":                {"video hole 100 ms"},
		"edit_list_positive_shift.mp4": {"video late start 1000 ms"},
		"fire2.mp4":                    {"audio hole 155 ms"}, // 176 ms between packets, each of 21 ms
		"rotated_video.mp4":            {"video late start 202 ms"},
		"sample_fragmented.mp4":        {"video late start 66 ms"},
		"sample_shorter_audio.mp4":     {"audio early end 433 ms"},
		"sd-hls0000000000.ts":          {"audio early end 67 ms"},
	}
	for _, f := range files {
		name := filepath.Base(f)
		if filepath.Ext(name) == ".md" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var all [2]text
			for i := range all {
				_, err := seehear.Run(t.Context(), seehear.Pipeline{
					Open: opener(f), Source: name, Sinks: []sinks.Sink{&all[i]},
					Families: []infer.Family{&witness{rate: 16000}}, Cuts: true, Gaps: true, Workers: 1 + 3*i,
				})
				if fail := slices.Contains(fails, name); fail != (err != nil) {
					t.Fatalf("error %v", err)
				}
			}
			if !slices.Equal(all[0].lines, all[1].lines) || all[0].sum != all[1].sum {
				t.Errorf("one worker:   %q %+v\nfour workers: %q %+v", all[0].lines, all[0].sum, all[1].lines, all[1].sum)
			}
			if !slices.Equal(all[0].gaps, gaps[name]) {
				t.Errorf("gaps %q, want %q", all[0].gaps, gaps[name])
			}
		})
	}
	if n := av.Handles() + ffmpeg.Handles(); n != 0 {
		t.Errorf("%d handles of C memory left", n)
	}
}

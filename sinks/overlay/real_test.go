package overlay

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/sinks"
)

func openReal(name string) func(context.Context, decode.Outputs) (*decode.Reader, error) {
	return func(ctx context.Context, out decode.Outputs) (*decode.Reader, error) {
		src, err := av.Open(ctx, name, av.DefaultOptions())
		if err != nil {
			return nil, err
		}
		dec, err := ffmpeg.New(src.Streams(), out, ffmpeg.Options{Threads: 1})
		if err != nil {
			return nil, errors.Join(err, src.Close())
		}
		return decode.NewReader(src, dec), nil
	}
}

// media is what a first pass sees: the stamps of the frames, and the first
// channel with each sample at its place.
type media struct {
	streams []ingest.Stream
	at      []time.Duration
	w, h    int
	pcm     []float32
	rate    int
	end     time.Duration
}

func analyse(t testing.TB, name string) (m media) {
	t.Helper()
	ctx := context.Background()
	r, err := openReal(name)(ctx, decode.Outputs{Sizes: []decode.Size{{W: 1920, H: 1080, Fit: decode.Within}}, Sounds: []decode.Sound{{}}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m.streams = r.Streams()
	for {
		units, err := r.Read(ctx, nil)
		for _, u := range units {
			if f := u.Frame; f != nil {
				m.at = append(m.at, f.At)
				m.w, m.h = f.Images[0].W, f.Images[0].H
				m.end = max(m.end, f.At+f.Dur)
			}
			if b := u.Block; b != nil {
				m.rate = b.PCM.Format.SampleRate
				ch := b.PCM.Format.NumChannels
				from := ingest.Samples(b.At, m.rate)
				n := int64(len(b.PCM.Data) / ch)
				for int64(len(m.pcm)) < from+n {
					m.pcm = append(m.pcm, 0)
				}
				for i := max(-from, 0); i < n; i++ {
					m.pcm[from+i] = b.PCM.Data[int(i)*ch]
				}
				m.end = max(m.end, b.At+ingest.SampleTime(n, m.rate))
			}
			u.Release()
		}
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// lag returns by how many samples b must be moved to fit a, and how well it then
// does: 1 is the same up to loudness.
func lag(a, b []float32, most int) (best int, fit float64) {
	n := min(len(a), len(b))
	for d := -most; d <= most; d++ {
		ab, aa, bb := 0.0, 0.0, 0.0
		for i := most; i < n-most; i += 7 {
			x, y := float64(a[i]), float64(b[i+d])
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		if c := ab / math.Sqrt(aa*bb+1e-30); c > fit {
			best, fit = d, c
		}
	}
	return best, fit
}

// Real files, decoded by our own decoder, keep every frame and the sound at their
// places: late video, rotation, variable frame rate with a hole in the sound,
// sound alone, picture alone.
func TestRealClips(t *testing.T) {
	dir := "../../../shared/media"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("../shared/media is not here")
	}
	for _, tt := range []struct {
		name  string
		quiet bool // nothing to correlate
	}{
		{"friday.mp4", false},
		{"rotated_video.mp4", false},
		{"fire2.mp4", false},
		{"bbaf2n.mpg", false},
		{"unordered.mov", true},
		{"video_without_video_stream.mp4", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := filepath.Join(dir, tt.name)
			m := analyse(t, in)
			out := t.TempDir()
			s := New(Config{Dir: out, Open: openReal(in), Videos: []Video{{Name: VideoName, MaxHeight: 240}}})
			ctx := context.Background()
			if err := s.Begin(ctx, sinks.Header{Source: tt.name, Streams: m.streams}); err != nil {
				t.Fatal(err)
			}
			if err := s.Write(ctx, event(0, time.Second, &infer.Caption{Text: tt.name})); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(ctx, sinks.Summary{Complete: true, Duration: m.end, Frames: int64(len(m.at))}); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(out, VideoName)
			pts := framePTS(t, name)
			if len(m.at) > 0 {
				if len(pts) != len(m.at) {
					t.Fatalf("%d frames, want %d", len(pts), len(m.at))
				}
				for i := range pts {
					if d := pts[i] - m.at[i]; d.Abs() > 100*time.Microsecond {
						t.Errorf("frame %d is at %v, want %v", i, pts[i], m.at[i])
					}
				}
				b := shot(t, name, m.at[len(m.at)/2]).Bounds()
				if want := float64(m.w) / float64(m.h); math.Abs(float64(b.Dx())/float64(b.Dy())-want) > 0.02*want {
					t.Errorf("the picture is %v, the source %dx%d", b, m.w, m.h)
				}
			}
			if m.rate == 0 {
				return
			}
			got := pcmOf(t, name, m.rate)
			if d := len(got) - len(m.pcm); d < -1 || d > 2100 {
				t.Errorf("%d samples, want %d", len(got), len(m.pcm))
			}
			if tt.quiet {
				return
			}
			if d, fit := lag(m.pcm, got, 120); d != 0 || fit < 0.8 {
				t.Errorf("the sound is %d samples off (fit %.3f)", d, fit)
			}
		})
	}
	if n := ffmpeg.Handles() + av.Handles(); n != 0 {
		t.Errorf("%d C handles are alive", n)
	}
}

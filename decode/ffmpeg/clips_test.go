package ffmpeg

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
)

func f32(u uint32) float32 { return math.Float32frombits(u) }

// probed is what ffprobe says of each frame.
type probed struct {
	Frames []struct {
		Type    string `json:"media_type"`
		PTS     string `json:"pts_time"`
		Best    string `json:"best_effort_timestamp_time"`
		Samples int    `json:"nb_samples"`
	} `json:"frames"`
}

func probe(t testing.TB, path string, stream int) probed {
	t.Helper()
	var p probed
	out := command(t, "ffprobe", "-v", "quiet", "-select_streams", strconv.Itoa(stream), "-show_frames", "-of", "json", path)
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestClips compares every real clip with ffprobe: as many frames, each at its
// stamp, and as many samples.
func TestClips(t *testing.T) {
	for _, name := range []string{
		"bbaf2n.mpg", "chaplin.mp4", "corrupted.mp4", "edit_list_positive_shift.mp4", "fire2.mp4", "friday.mp4", "h265_bframes.mp4",
		"hdr10-av1.mp4", "invalid-bitstream.webm", "nasa_13013.mp4", "no_duration.webm", "rotated_hdr_video.mov", "rotated_video.mp4",
		"sample_fragmented.mp4", "sample_shorter_audio.mp4", "sd-hls0000000000.ts", "unordered.mov",
		"video_without_audio_stream.mp4", "video_without_video_stream.mp4",
	} {
		t.Run(name, func(t *testing.T) {
			path := clip(name)
			if path == "" {
				t.Skip("the folder of real clips is not there")
			}
			src := open(t, path)
			got := run(t, src, both, Options{})
			t.Logf("%+v", got.stats)
			for _, st := range src.streams {
				want := probe(t, path, st.Index)
				if st.Kind == ingest.Audio {
					n := 0
					for _, f := range want.Frames {
						n += f.Samples
					}
					if got.stats.Samples+ingest.Samples(got.stats.AudioOverlap, st.SampleRate) != int64(n) {
						t.Errorf("%d samples, ffprobe decodes %d", got.stats.Samples, n)
					}
					continue
				}
				if len(got.frames) != len(want.Frames) {
					t.Fatalf("%d frames, ffprobe decodes %d", len(got.frames), len(want.Frames))
				}
				for i, f := range want.Frames {
					at := seconds(t, f.Best) - src.zero
					if d := got.frames[i].At - at; d < -time.Microsecond || d > time.Microsecond {
						t.Errorf("frame %d at %v, ffprobe says %v", i, got.frames[i].At, at)
					}
				}
			}
		})
	}
}

func seconds(t testing.TB, s string) time.Duration {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(math.Round(v * 1e9))
}

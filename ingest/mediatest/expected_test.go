package mediatest

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// The figures for the real clips are those of the ffprobe at hand; the script
// beside them holds the rest.
func TestExpectedAgreesWithFFprobe(t *testing.T) {
	dir, want := Shared(t)
	if len(want) != 25 {
		t.Errorf("%d real clips, want 25", len(want))
	}
	if dir == "" {
		t.Skip("the real clips are not beside this checkout")
	}
	ffmpeg, err := FFmpeg()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range want {
		t.Run(e.File, func(t *testing.T) {
			// The exit status does not tell: it is 0 for a file without a frame.
			out, _ := exec.Command(filepath.Join(filepath.Dir(ffmpeg), "ffprobe"), "-v", "quiet", "-of", "json",
				"-show_entries", "frame=stream_index,nb_samples:frame_side_data=", filepath.Join(dir, e.File)).Output()
			var got struct {
				Frames []struct {
					Stream  int   `json:"stream_index"`
					Samples int64 `json:"nb_samples"`
				}
			}
			if err := json.Unmarshal(out, &got); err != nil && e.Exit == 0 {
				t.Fatal(err)
			}
			frames, samples := map[int]int64{}, map[int]int64{}
			for _, f := range got.Frames {
				frames[f.Stream]++
				samples[f.Stream] += f.Samples
			}
			if (len(got.Frames) == 0) != (e.Exit == 3) {
				t.Errorf("%d frames, want exit code %d", len(got.Frames), e.Exit)
			}
			if v := e.Video; v != nil && frames[v.Stream] != v.Frames {
				t.Errorf("%d pictures, want %d", frames[v.Stream], v.Frames)
			}
			if a := e.Audio; a != nil && samples[a.Stream] != a.Samples {
				t.Errorf("%d samples, want %d", samples[a.Stream], a.Samples)
			}
		})
	}
}

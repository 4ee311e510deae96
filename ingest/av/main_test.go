package av

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seehear/seehear/ingest"
)

var clipDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "seehear-av-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		clipDir = dir
		BridgeLog(slog.New(slog.DiscardHandler))
		code := m.Run()
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if n := Handles(); n != 0 {
			fmt.Fprintf(os.Stderr, "%d C handles are left\n", n)
			code = 1
		}
		return code
	}())
}

// What the clips are made of: two seconds of a moving picture and a tone.
const (
	picture = "-f lavfi -i testsrc2=size=96x64:rate=25:duration=2"
	ntsc    = "-f lavfi -i testsrc2=size=96x64:rate=30000/1001:duration=2"
	tone    = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=2"
	tone44  = "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=2"
	x264    = " -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p"
	bframes = x264 + " -bf 2 -x264-params b-adapt=0"
)

// recipes make the clips, by file name.
var recipes = map[string]string{
	"bframes.mp4":  picture + " " + tone + bframes + " -c:a aac",
	"frag.mp4":     picture + " " + tone + bframes + " -c:a aac -movflags frag_keyframe+empty_moov",
	"ntsc.mov":     ntsc + " " + tone44 + bframes + " -c:a pcm_s16le",
	"flac.mkv":     picture + " " + tone + bframes + " -c:a flac",
	"vp8.webm":     picture + " " + tone + " -c:v libvpx -deadline realtime -cpu-used 8 -b:v 100k -c:a libopus",
	"vp9.webm":     picture + " -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 100k",
	"mpeg2.ts":     picture + " " + tone + " -c:v mpeg2video -bf 2 -c:a mp2",
	"h264.ts":      picture + " " + tone + bframes + " -c:a aac",
	"mpeg4.avi":    picture + " " + tone + " -c:v mpeg4 -c:a pcm_s16le",
	"h264.flv":     picture + " " + tone44 + bframes + " -c:a aac",
	"mpeg1.mpg":    picture + " " + tone + " -c:v mpeg1video -c:a mp2 -f mpeg",
	"opus.ogg":     tone + " -c:a libopus",
	"tone.wav":     tone44 + " -c:a pcm_s16le",
	"tone.flac":    tone44 + " -c:a flac",
	"tone.aac":     tone44 + " -c:a aac -f adts",
	"video.mp4":    picture + bframes,
	"late.mp4":     "-itsoffset 0.5 " + picture + " " + tone + x264 + " -c:a aac",
	"lateaudio.ts": picture + " -itsoffset 0.7 " + tone + x264 + " -c:a aac",
	"raw.h264":     picture + bframes + " -f h264",
	"long.mp4": "-f lavfi -i testsrc2=size=320x240:rate=25:duration=20 -f lavfi -i sine=sample_rate=48000:duration=20" +
		x264 + " -c:a aac -movflags +faststart",
	"moovlast.mp4": "-f lavfi -i testsrc2=size=320x240:rate=25:duration=20 -f lavfi -i sine=sample_rate=48000:duration=20" +
		x264 + " -c:a aac",
	"turned.mp4": "-display_rotation:v:0 90 -i bframes.mp4 -c copy",
	"cut.mp4":    "-ss 0.52 -i bframes.mp4 -map 0:v -c copy",
	"three.mkv": picture + " " + tone + " -f lavfi -i testsrc2=size=192x128:rate=25:duration=2 " + tone44 +
		" -map 0 -map 1 -map 2 -map 3" + x264 + " -c:a flac",
	"list.m3u8": picture + " " + tone + x264 + " -c:a aac -f hls -hls_time 1 -hls_list_size 0 -hls_segment_filename list%d.ts",
	"fmp4.m3u8": picture + " " + tone + x264 + " -c:a aac -f hls -hls_time 1 -hls_list_size 0 -hls_segment_type fmp4" +
		" -hls_fmp4_init_filename fmp4init.mp4 -hls_segment_filename fmp4%d.m4s",
	"single.m3u8": picture + " " + tone + x264 + " -c:a aac -f hls -hls_time 1 -hls_list_size 0 -hls_flags single_file",
	"secret.m3u8": picture + " " + tone + x264 + " -c:a aac -f hls -hls_time 1 -hls_list_size 0" +
		" -hls_key_info_file keyinfo -hls_segment_filename secret%d.ts",
}

var (
	clipMu   sync.Mutex
	clipMade = map[string]bool{}
)

// clip returns the path of a clip, made when first asked for.
func clip(t testing.TB, name string) string {
	t.Helper()
	clipMu.Lock()
	defer clipMu.Unlock()
	path := filepath.Join(clipDir, name)
	if clipMade[name] {
		return path
	}
	recipe, ok := recipes[name]
	if !ok {
		t.Fatalf("no recipe for %s", name)
	}
	switch name {
	case "turned.mp4", "cut.mp4":
		clipMu.Unlock()
		clip(t, "bframes.mp4")
		clipMu.Lock()
	case "secret.m3u8":
		write(t, filepath.Join(clipDir, "secret.key"), []byte("0123456789abcdef"))
		write(t, filepath.Join(clipDir, "keyinfo"), []byte("secret.key\nsecret.key\n"))
	}
	args := append([]string{"-v", "error", "-nostdin", "-y"}, strings.Fields(recipe)...)
	args = append(args, "-threads", "1", "-shortest", name)
	ffmpeg(t, args...)
	clipMade[name] = true
	return path
}

func ffmpeg(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command("ffmpeg", args...)
	cmd.Dir = clipDir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open opens input and closes it at the end of the test.
func open(t testing.TB, input string, opt Options) *Source {
	t.Helper()
	s, err := Open(t.Context(), input, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// all reads to the end.
func all(t testing.TB, s *Source) []ingest.Packet {
	t.Helper()
	var out []ingest.Packet
	for {
		p, err := s.Read(context.Background())
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
}

// count is how many packets each stream has.
func count(packets []ingest.Packet) map[int]int {
	out := map[int]int{}
	for _, p := range packets {
		out[p.Stream]++
	}
	return out
}

// probed is what ffprobe says of a file.
type probed struct {
	Packets []struct {
		Stream   int    `json:"stream_index"`
		PTS      *int64 `json:"pts"`
		DTS      *int64 `json:"dts"`
		Duration *int64 `json:"duration"`
		Size     string `json:"size"`
		Flags    string `json:"flags"`
		Side     []struct {
			Type string `json:"side_data_type"`
		} `json:"side_data_list"`
	} `json:"packets"`
	Streams []struct {
		Index    int    `json:"index"`
		Kind     string `json:"codec_type"`
		Codec    string `json:"codec_name"`
		Timebase string `json:"time_base"`
		Start    *int64 `json:"start_pts"`
		// Of Opus in Matroska, which ffprobe leaves out of the start.
		Priming    int64  `json:"initial_padding"`
		Width      int    `json:"width"`
		Height     int    `json:"height"`
		SampleRate string `json:"sample_rate"`
		Channels   int    `json:"channels"`
		ExtraSize  int    `json:"extradata_size"`
		Side       []struct {
			Rotation *float64 `json:"rotation"`
		} `json:"side_data_list"`
		Disposition struct {
			Cover int `json:"attached_pic"`
		} `json:"disposition"`
	} `json:"streams"`
}

func ffprobe(t testing.TB, path string) probed {
	t.Helper()
	args := []string{"-v", "error", "-show_packets", "-show_streams", "-of", "json"}
	if strings.HasSuffix(path, ".m3u8") {
		args = append(args, "-allowed_extensions", "ALL")
	}
	cmd := exec.Command("ffprobe", append(args, path)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v\n%s", path, err, stderr.String())
	}
	var p probed
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// nanoseconds is ticks·timebase, rounded to the nearest, halves away from zero.
func nanoseconds(t testing.TB, ticks int64, timebase string) time.Duration {
	t.Helper()
	tb, ok := new(big.Rat).SetString(timebase)
	if !ok {
		t.Fatalf("timebase %q", timebase)
	}
	r := new(big.Rat).Mul(new(big.Rat).SetInt64(ticks), tb)
	r.Mul(r, big.NewRat(int64(time.Second), 1))
	s, err := time.ParseDuration(r.FloatString(0) + "ns")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

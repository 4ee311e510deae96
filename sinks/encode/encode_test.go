package encode

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// tool runs one of FFmpeg's programs, the independent reader of these tests, and
// returns its output.
func tool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.Bytes())
	}
	return out
}

func noHandles(t testing.TB) {
	t.Helper()
	if n := Handles(); n != 0 {
		t.Errorf("%d C handles are alive", n)
	}
}

// picture paints frame i: the upper half says i in eight vertical bars, black or
// white, and the lower half is grey.
func picture(w, h, i int) []byte {
	b := make([]byte, 3*w*h)
	for y := range h {
		for x := range w {
			v := byte(128)
			if y < h/2 {
				v = byte(255 * (i >> (x * 8 / w) & 1))
			}
			o := 3 * (y*w + x)
			b[o], b[o+1], b[o+2] = v, v, v
		}
	}
	return b
}

// number reads back what picture painted.
func number(rgb []byte, w, h int) (i int) {
	for bit := range 8 {
		if rgb[3*(h/4*w+w*bit/8+w/16)] > 127 {
			i |= 1 << bit
		}
	}
	return i
}

type clip struct {
	opt   Options
	at    []time.Duration // of the frames
	sound time.Duration   // start of the sound
	gap   [2]int64        // samples left out, by number from zero
	n     int64           // samples from zero
	click []int64         // samples from zero
}

func (c clip) write(t testing.TB, name string) {
	t.Helper()
	w, err := Create(name, c.opt)
	if err != nil {
		t.Fatal(err)
	}
	frame := func(i int) {
		if err := w.WriteFrame(c.at[i], 40*time.Millisecond, picture(c.opt.W, c.opt.H, i)); err != nil {
			t.Fatal(err)
		}
	}
	pcm := make([]float32, c.n*int64(c.opt.Channels))
	for _, s := range c.click {
		for ch := range c.opt.Channels {
			pcm[s*int64(c.opt.Channels)+int64(ch)] = 0.9
		}
	}
	i := 0
	const block = 1000 // no AAC frame
	for s := ingest.Samples(c.sound, c.opt.Rate); s < c.n; {
		to := min(s+block, c.n)
		if s < c.gap[0] {
			to = min(to, c.gap[0])
		} else if s < c.gap[1] {
			s = c.gap[1]
			continue
		}
		at := ingest.SampleTime(s, c.opt.Rate)
		for ; i < len(c.at) && c.at[i] <= at; i++ {
			frame(i)
		}
		if err := w.WriteSamples(at, pcm[s*int64(c.opt.Channels):to*int64(c.opt.Channels)]); err != nil {
			t.Fatal(err)
		}
		s = to
	}
	for ; i < len(c.at); i++ {
		frame(i)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	noHandles(t)
}

// framePTS returns the presentation times that ffprobe reads, in seconds.
func framePTS(t testing.TB, name string) (pts []float64) {
	t.Helper()
	out := tool(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0", name)
	for line := range strings.Lines(string(out)) {
		v, err := strconv.ParseFloat(strings.Trim(line, ", \n"), 64)
		if err != nil {
			t.Fatal(err)
		}
		pts = append(pts, v)
	}
	return pts
}

// decoded returns the first channel as an independent ffmpeg program gives it,
// placed by its stamps (-copyts, or the program would count from the priming):
// sample n plays at n/rate.
func decoded(t testing.TB, ffmpeg, name string, rate int) []float32 {
	t.Helper()
	out := tool(t, ffmpeg, "-v", "error", "-copyts", "-i", name, "-map", "0:a", "-af", "aresample=async=1:first_pts=0,pan=mono|c0=c0", "-ar", strconv.Itoa(rate), "-f", "f32le", "-")
	pcm := make([]float32, len(out)/4)
	for i := range pcm {
		pcm[i] = math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:]))
	}
	return pcm
}

// peak returns the place of the largest sample around a click.
func peak(pcm []float32, around, within int64) int64 {
	best, at := float32(0), int64(-1)
	for i := max(around-within, 0); i < min(around+within, int64(len(pcm))); i++ {
		if v := float32(math.Abs(float64(pcm[i]))); v > best {
			best, at = v, i
		}
	}
	return at
}

func ffmpegs(t testing.TB) []string {
	t.Helper()
	names := []string{"ffmpeg"}
	// Another version reads it the same.
	if _, err := os.Stat("/usr/bin/ffmpeg"); err == nil {
		names = append(names, "/usr/bin/ffmpeg")
	}
	return names
}

// Frames and clicks come back where they were put: frames within 0.1 ms, clicks
// within one sample where the rate is AAC's own and 1 ms where it is not.
func TestSync(t *testing.T) {
	const ms = time.Millisecond
	irregular := make([]time.Duration, 90)
	at := time.Duration(0)
	for i := range irregular {
		irregular[i] = at
		at += time.Duration(13_333_333 + i*7919%50_000_000)
	}
	late := make([]time.Duration, 60)
	for i := range late {
		late[i] = 226*ms + 777_777 + time.Duration(i)*1001*time.Second/30000
	}
	for _, tt := range []struct {
		name string
		clip
	}{
		{"VFR", clip{opt: Options{W: 128, H: 72, Rate: 48000, Channels: 2}, at: irregular, n: 96000, click: []int64{100, 12345, 48000, 90001}}},
		{"LateVideo", clip{opt: Options{W: 128, H: 72, Rate: 44100, Channels: 1}, at: late, n: 88200, click: []int64{0, 9966, 44100, 88000}}},
		{"LateSoundWithGap", clip{opt: Options{W: 128, H: 72, Rate: 16000, Channels: 1}, at: late, sound: 500 * ms, gap: [2]int64{16000, 18000}, n: 32000, click: []int64{8000, 15990, 18000, 31000}}},
		{"OddRate", clip{opt: Options{W: 128, H: 72, Rate: 50000, Channels: 2}, at: irregular, n: 100000, click: []int64{5000, 50000, 99000}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "x.mp4")
			tt.write(t, name)
			pts := framePTS(t, name)
			if len(pts) != len(tt.at) {
				t.Fatalf("%d frames, want %d", len(pts), len(tt.at))
			}
			for i, at := range tt.at {
				if d := math.Abs(pts[i] - at.Seconds()); d > 1e-4 {
					t.Errorf("frame %d is at %.6f, want %.6f", i, pts[i], at.Seconds())
				}
			}
			raw := tool(t, "ffmpeg", "-v", "error", "-i", name, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
			size := 3 * tt.opt.W * tt.opt.H
			for i := range tt.at {
				if got := number(raw[i*size:][:size], tt.opt.W, tt.opt.H); got != i&255 {
					t.Errorf("frame %d shows %d", i, got)
				}
			}
			within := int64(1)
			if tt.opt.Rate == 50000 {
				within = 50
			}
			for _, ffmpeg := range ffmpegs(t) {
				pcm := decoded(t, ffmpeg, name, tt.opt.Rate)
				for _, want := range tt.click {
					if got := peak(pcm, want, 400); got < want-within || got > want+within {
						t.Errorf("%s: click at sample %d, want %d", ffmpeg, got, want)
					}
				}
				if n := int64(len(pcm)); n < tt.n-1 || n > tt.n+1100 {
					t.Errorf("%s: %d samples, want %d and at most a frame more", ffmpeg, n, tt.n)
				}
			}
		})
	}
}

// The file says what it is, and nothing of when or by whom it was made.
func TestWhatTheFileSays(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.mp4")
	c := clip{opt: Options{W: 320, H: 180, Rate: 48000, Channels: 6}, n: 144000}
	for i := range 75 {
		c.at = append(c.at, time.Duration(i)*40*time.Millisecond)
	}
	c.write(t, name)
	var got struct {
		Streams []map[string]any
		Format  struct{ Tags map[string]string }
	}
	if err := json.Unmarshal(tool(t, "ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", name), &got); err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]any{
		{
			"codec_name": "h264", "pix_fmt": "yuv420p", "color_space": "bt709", "color_range": "tv", "color_primaries": "bt709",
			"color_transfer": "bt709", "has_b_frames": 0.0, "start_time": "0.000000", "time_base": "1/90000", "sample_aspect_ratio": "1:1",
		},
		{"codec_name": "aac", "profile": "LC", "sample_rate": "48000", "channels": 6.0, "start_time": "0.000000"},
	} {
		for k, v := range want {
			if got.Streams[i][k] != v {
				t.Errorf("stream %d: %s is %v, want %v", i, k, got.Streams[i][k], v)
			}
		}
	}
	for _, k := range []string{"creation_time", "encoder"} {
		if v, ok := got.Format.Tags[k]; ok {
			t.Errorf("the file says %s=%s", k, v)
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// A key frame every two seconds, a fragment for each.
	if n := bytes.Count(b, []byte("moof")); n < 2 {
		t.Errorf("%d fragments", n)
	}
	again := name + ".2"
	c.write(t, again)
	if b2, _ := os.ReadFile(again); !bytes.Equal(b, b2) {
		t.Error("two runs give different bytes")
	}
}

// Colours survive: patches come back through an independent BT.709 decode within
// a few levels.
func TestColours(t *testing.T) {
	const w, h = 256, 64
	patches := [][3]byte{{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 0}, {0, 255, 255}, {200, 100, 50}, {255, 255, 255}, {0, 0, 0}}
	rgb := make([]byte, 3*w*h)
	for i := range w * h {
		copy(rgb[3*i:], patches[i%w*len(patches)/w][:])
	}
	name := filepath.Join(t.TempDir(), "x.mp4")
	out, err := Create(name, Options{W: w, H: h, CRF: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := out.WriteFrame(time.Duration(i)*40*time.Millisecond, 40*time.Millisecond, rgb); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	raw := tool(t, "ffmpeg", "-v", "error", "-i", name, "-vf", "scale=in_color_matrix=bt709:in_range=tv:flags=accurate_rnd+full_chroma_int", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
	for i, want := range patches {
		o := 3 * (h/2*w + (2*i+1)*w/len(patches)/2)
		for c := range 3 {
			if d := int(raw[o+c]) - int(want[c]); d < -4 || d > 4 {
				t.Errorf("patch %v came back as %v", want, raw[o:o+3])
				break
			}
		}
	}
	noHandles(t)
}

// A run that is killed leaves a part that plays up to its last fragment.
func TestKilled(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.mp4")
	w, err := Create(name, Options{W: 64, H: 36, Rate: 8000, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]float32, 320)
	for i := range 25 * 60 {
		at := time.Duration(i) * 40 * time.Millisecond
		if err := errors.Join(w.WriteFrame(at, 40*time.Millisecond, picture(64, 36, i)), w.WriteSamples(at, pcm)); err != nil {
			t.Fatal(err)
		}
	}
	w.Abandon()
	if _, err := os.Stat(name); err == nil {
		t.Error("an abandoned file has its final name")
	}
	if n := len(framePTS(t, name+sinks.PartSuffix)); n < 25*45 {
		t.Errorf("%d of 1500 frames are in the part", n)
	}
	noHandles(t)
}

func TestDiskFull(t *testing.T) {
	for _, frames := range []int{0, 1, 200} { // at the end, or on the way
		name := filepath.Join(t.TempDir(), "x.mp4")
		if err := os.Symlink("/dev/full", name+sinks.PartSuffix); err != nil {
			t.Fatal(err)
		}
		w, err := Create(name, Options{W: 64, H: 36, Rate: 8000, Channels: 1})
		if err != nil {
			t.Fatal(err)
		}
		for i := range frames {
			at := time.Duration(i) * 40 * time.Millisecond
			err = w.WriteFrame(at, 0, picture(64, 36, i))
			if err == nil {
				err = w.WriteSamples(at, make([]float32, 320))
			}
			if err != nil {
				break
			}
		}
		cerr := w.Close()
		if err != nil && !errors.Is(cerr, err) {
			t.Errorf("Close after %v returns %v", err, cerr)
		}
		want := "sinks: write " + name + ": no space left on device"
		if !errors.Is(cerr, syscall.ENOSPC) || cerr.Error() != want {
			t.Errorf("%d frames: %v, want %s", frames, cerr, want)
		}
		if _, err := os.Stat(name); err == nil {
			t.Error("the file has its final name")
		}
		noHandles(t)
	}
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, opt := range []Options{{}, {W: 63, H: 36}, {W: 64}, {W: 64, H: -2}, {Rate: 8000}, {Rate: 8000, Channels: -1}, {W: 64, H: 36, Preset: "no such"}} {
		w, err := Create(filepath.Join(dir, "x.mp4"), opt)
		if err == nil {
			w.Abandon()
			t.Errorf("%+v: no error", opt)
		} else if !strings.Contains(err.Error(), "x.mp4") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", opt, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	w, err := Create(filepath.Join(dir, "x.mp4"), Options{W: 64, H: 36})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFrame(0, 0, make([]byte, 5)); err == nil {
		t.Error("a short picture is taken")
	}
	if err := w.Close(); err == nil {
		t.Error("Close after an error returns nil")
	}
	noHandles(t)
}

// Sound alone, of every number of channels and of odd rates.
func TestSoundAlone(t *testing.T) {
	for _, tt := range []struct{ rate, channels, wantRate, want int }{
		{48000, 1, 48000, 1},
		{44100, 2, 44100, 2},
		{32000, 3, 32000, 3},
		{48000, 4, 48000, 4},
		{48000, 5, 48000, 5},
		{48000, 6, 48000, 6},
		{48000, 7, 48000, 1},
		{48000, 8, 48000, 8},
		{48000, 16, 48000, 1},
		{192000, 2, 48000, 2},
		{6000, 1, 7350, 1},
		{37800, 2, 44100, 2},
	} {
		name := filepath.Join(t.TempDir(), "x.mp4")
		w, err := Create(name, Options{Rate: tt.rate, Channels: tt.channels})
		if err != nil {
			t.Fatalf("%+v: %v", tt, err)
		}
		pcm := make([]float32, tt.rate*tt.channels)
		pcm[0] = float32(math.NaN())
		if err := errors.Join(w.WriteSamples(0, pcm), w.Close()); err != nil {
			t.Fatalf("%+v: %v", tt, err)
		}
		got := strings.TrimSpace(string(tool(t, "ffprobe", "-v", "error", "-show_entries", "stream=sample_rate,channels", "-of", "csv=p=0", name)))
		if want := strconv.Itoa(tt.wantRate) + "," + strconv.Itoa(tt.want); got != want {
			t.Errorf("%+v: the file has %s", tt, got)
		}
		noHandles(t)
	}
}

func BenchmarkWriteFrame(b *testing.B) {
	w, err := Create(filepath.Join(b.TempDir(), "x.mp4"), Options{W: 1920, H: 1080})
	if err != nil {
		b.Fatal(err)
	}
	rgb := picture(1920, 1080, 5)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := w.WriteFrame(time.Duration(i)*40*time.Millisecond, 0, rgb); err != nil {
			b.Fatal(err)
		}
		i++
	}
	w.Abandon()
}

// TestLongSilence: sound far behind what came before costs no encoded silence,
// and stands at its place.
func TestLongSilence(t *testing.T) {
	for _, rate := range []int{48000, 50000} { // the second is resampled
		name := filepath.Join(t.TempDir(), "gap.mp4")
		w, err := Create(name, Options{Rate: rate, Channels: 1})
		if err != nil {
			t.Fatal(err)
		}
		const far = 20000 * time.Second
		click := make([]float32, rate)
		click[rate/2] = 0.9
		for _, at := range []time.Duration{0, far} {
			if err := w.WriteSamples(at, click); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Size() > 200_000 {
			t.Errorf("%d Hz: %v, %v: the silence was encoded", rate, info, err)
		}
		// Each packet with its stamp; the large ones hold the clicks.
		out := tool(t, "ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=pts_time,size", "-of", "csv=p=0", name)
		best := map[bool][2]float64{}
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			var pts, size float64
			if _, err := fmt.Sscanf(strings.ReplaceAll(line, ",", " "), "%g %g", &pts, &size); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			late := pts > far.Seconds()/2
			if size > best[late][1] {
				best[late] = [2]float64{pts, size}
			}
		}
		for late, want := range map[bool]float64{false: 0.5, true: far.Seconds() + 0.5} {
			if got := best[late][0]; math.Abs(got-want) > 0.05 {
				t.Errorf("%d Hz: the click lies at %v s, want %v", rate, got, want)
			}
		}
	}
}

// A long recording with pauses is no error, however far its end is from its
// start; one pause that no container holds is.
func TestPauses(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "pauses.mp4"), Options{Rate: 8000, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]float32, 8000)
	for i := range 12 {
		if err := w.WriteSamples(time.Duration(i)*5*time.Hour, pcm); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteSamples(70*time.Hour, pcm); err == nil {
		t.Error("a pause of 15 hours is taken")
	}
	w.Abandon()
}

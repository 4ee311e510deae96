package mediatest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// reference is what ffmpeg and ffprobe make of a clip.
type reference struct {
	pts    []int64 // of the pictures, in nanoseconds as the container has them
	index  []int   // their barcodes, -1 where unreadable
	blocks []block
	pcm    []float32 // of the first channel
	codecs map[string]string
	rot    int
}

type block struct {
	pts     int64
	samples int64
}

func refer(t *testing.T, c Clip) reference {
	t.Helper()
	ffmpeg, err := FFmpeg()
	if err != nil {
		t.Fatal(err)
	}
	tool := func(name string, args ...string) []byte {
		if name == "ffprobe" {
			name = filepath.Join(filepath.Dir(ffmpeg), name)
		}
		out, rerr := run(context.Background(), name, args...)
		if rerr != nil {
			t.Fatal(rerr)
		}
		return out
	}
	var got struct {
		Frames []struct {
			Type      string `json:"media_type"`
			PTS       *int64 `json:"best_effort_timestamp"`
			NBSamples int64  `json:"nb_samples"`
			Stream    int    `json:"stream_index"`
		}
		Streams []struct {
			Index    int
			Codec    string                   `json:"codec_name"`
			Type     string                   `json:"codec_type"`
			TimeBase string                   `json:"time_base"`
			Side     []struct{ Rotation int } `json:"side_data_list"`
		}
	}
	out := tool("ffprobe", "-v", "quiet", "-show_frames", "-show_streams", "-of", "json",
		"-show_entries", "frame=media_type,best_effort_timestamp,nb_samples,stream_index:frame_side_data=:stream=index,codec_name,codec_type,time_base:stream_side_data=rotation", c.File)
	if err = json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	r := reference{codecs: map[string]string{}}
	base := map[int][2]int64{}
	for _, s := range got.Streams {
		var num, den int64
		fmt.Sscanf(s.TimeBase, "%d/%d", &num, &den)
		base[s.Index] = [2]int64{num, den}
		r.codecs[s.Type] = s.Codec
		for _, side := range s.Side {
			r.rot = ((-side.Rotation)%360 + 360) % 360
		}
	}
	for _, f := range got.Frames {
		if f.Type == "video" && c.Video == nil {
			continue // a cover
		}
		b := base[f.Stream]
		var at int64
		switch n := len(r.blocks) - 1; {
		case f.PTS != nil:
			at = nanos(*f.PTS*b[0], b[1])
		case f.Type == "audio" && n >= 0: // a program stream stamps not every packet
			at = r.blocks[n].pts + nanos(r.blocks[n].samples, int64(c.Audio.Rate))
		case f.Type == "video" && len(r.pts) > 1: // nor the last picture
			n := len(r.pts)
			at = 2*r.pts[n-1] - r.pts[n-2]
		default:
			t.Fatalf("a frame of %s without stamp", f.Type)
		}
		switch f.Type {
		case "video":
			r.pts = append(r.pts, at)
		case "audio":
			r.blocks = append(r.blocks, block{at, f.NBSamples})
		}
	}
	// One process decodes both: the machine may be slow to start them.
	args := []string{"-v", "quiet", "-nostdin", "-threads", "1", "-i", c.File}
	sound := filepath.Join(t.TempDir(), "pcm")
	if c.Audio != nil {
		args = append(args, "-map", "0:a:0", "-f", "f32le", "-c:a", "pcm_f32le", sound)
	}
	if v := c.Video; v != nil {
		args = append(args, "-map", "0:v:0", "-fps_mode", "passthrough", "-vf", fmt.Sprintf("scale=%d:%d", v.W, v.H), "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1")
	}
	raw := tool(ffmpeg, args...)
	if v := c.Video; v != nil {
		for size := 3 * v.W * v.H; len(raw) >= size; raw = raw[size:] {
			index, ok := ReadRGB(v.W, v.H, raw[:size])
			if !ok {
				index = -1
			}
			r.index = append(r.index, index)
		}
	}
	if a := c.Audio; a != nil {
		if raw, err = os.ReadFile(sound); err != nil {
			t.Fatal(err)
		}
		for step := 4 * a.Channels; len(raw) >= step; raw = raw[step:] {
			r.pcm = append(r.pcm, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
	}
	return r
}

// near reports whether two times in nanoseconds differ by rounding alone.
func near(a, b, tol int64) bool { return a-b <= tol && b-a <= tol }

// Every clip holds what its truth says, as ffmpeg and ffprobe see it.
func TestClipsAgreeWithFFmpeg(t *testing.T) {
	for _, c := range Clips(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			check(t, c, refer(t, c))
		})
	}
}

func check(t *testing.T, c Clip, r reference) {
	if v := c.Video; v != nil {
		if r.codecs["video"] != v.Codec || r.rot != v.Rotation {
			t.Errorf("video is %s turned by %d, want %s, %d", r.codecs["video"], r.rot, v.Codec, v.Rotation)
		}
		if n := len(r.pts); n == len(c.Frames)+1 && v.Partial >= 0 {
			r.pts = r.pts[:n-1]
		}
		if n := len(r.index); n == len(c.Frames)+1 && v.Partial >= 0 {
			r.index = r.index[:n-1]
		}
		if len(r.pts) != len(c.Frames) || len(r.index) != len(c.Frames) {
			t.Fatalf("%d stamps, %d pictures, want %d", len(r.pts), len(r.index), len(c.Frames))
		}
	}
	if a := c.Audio; a != nil && r.codecs["audio"] != a.Codec {
		t.Errorf("audio is %s, want %s", r.codecs["audio"], a.Codec)
	}
	// The zero of each seg, in the container's time.
	zero := map[int]int64{}
	earliest := func(seg int, at int64) {
		if z, ok := zero[seg]; !ok || at < z {
			zero[seg] = at
		}
	}
	for i, f := range c.Frames {
		earliest(f.Seg, r.pts[i])
	}
	segOf := make([]int, len(r.blocks))
	for i, b := range r.blocks {
		if i > 0 {
			segOf[i] = segOf[i-1]
			if d := b.pts - r.blocks[i-1].pts; d < -1e9 || d > 5e9 {
				segOf[i]++
			}
		}
		earliest(segOf[i], b.pts)
	}
	for i, f := range c.Frames {
		if r.index[i] != f.Index {
			t.Errorf("picture %d shows %d, want %d", i, r.index[i], f.Index)
		}
		if got := r.pts[i] - zero[f.Seg]; !near(got, f.PTS, 1) {
			t.Errorf("picture %d at %d ns, want %d", i, got, f.PTS)
		}
	}
	if c.Audio != nil {
		checkAudio(t, c, r, zero, segOf)
	}
}

func checkAudio(t *testing.T, c Clip, r reference, zero map[int]int64, segOf []int) {
	a := c.Audio
	if len(r.blocks) == 0 {
		t.Fatal("no sound")
	}
	if got := r.blocks[0].pts - zero[0]; !near(got, a.StartNS, 1+a.StartTolNS) {
		t.Errorf("sound starts at %d ns, want %d", got, a.StartNS)
	}
	var total int64
	for _, b := range r.blocks {
		total += b.samples
	}
	if total != a.Samples {
		t.Errorf("%d samples, want %d", total, a.Samples)
	}
	// Holes and stamps: where each click's block lies in time.
	for _, h := range a.Holes {
		first := int64(0)
		for i, b := range r.blocks {
			if first == h.Sample {
				if got := b.pts - zero[segOf[i]]; !near(got, h.StartNS+h.DurNS, 1e6) {
					t.Errorf("hole before sample %d ends at %d ns, want %d", first, got, h.StartNS+h.DurNS)
				}
			}
			first += b.samples
		}
	}
	for _, k := range c.Clicks {
		first := int64(0)
		for i, b := range r.blocks {
			if k.Sample >= first && k.Sample < first+b.samples {
				if k.Rate != c.Audio.Rate && first != c.Audio.Holes[0].Sample {
					// lavf interpolates the stamps in a PES with the rate of the
					// start: only the first is to be trusted.
					first += b.samples
					continue
				}
				got := b.pts - zero[segOf[i]] + nanos(k.Sample-first, int64(k.Rate))
				tol := nanos(1, int64(k.Rate))
				if c.tick() == 1000 {
					tol += 1e6
				}
				if segOf[i] != k.Seg || !near(got, k.T, tol) {
					t.Errorf("sample %d is at %d ns of seg %d, want %d of %d", k.Sample, got, segOf[i], k.T, k.Seg)
				}
			}
			first += b.samples
		}
		f, ok := c.FrameAt(k.Seg, time.Duration(k.T))
		if !ok && k.Frame >= 0 || ok && f.Index != k.Frame {
			t.Errorf("click at %d ns falls on picture %v %d, want %d", k.T, ok, f.Index, k.Frame)
		}
		if ok && (k.T < f.PTS+f.Dur/5 || k.T > f.PTS+f.Dur*4/5) {
			t.Errorf("click at %d ns is too near to the border of picture %d", k.T, f.Index)
		}
	}
	for _, k := range c.Clicks {
		checkClick(t, c, r.pcm, k)
	}
	for at := int64(0); at < a.Samples/int64(a.Rate); at++ {
		n := 0
		for _, k := range c.Clicks {
			if k.Sample/int64(a.Rate) == at {
				n++
			}
		}
		if n == 0 {
			t.Errorf("no click in second %d of the sound", at)
		}
	}
}

func checkClick(t *testing.T, c Clip, pcm []float32, k Click) {
	at, tol := int(k.Sample), 1
	if len(c.Audio.Rates) > 0 && k.Rate != c.Audio.Rate {
		// ffmpeg resamples what follows a change to the rate before it.
		first := int(c.Audio.Holes[0].Sample)
		at = first + int(math.Round(float64(at-first)*float64(c.Audio.Rate)/float64(k.Rate)))
		tol = 20 // the resampler's delay comes on top
	}
	if c.Audio.Lossless {
		if v := pcm[at]; math.Abs(float64(v)-Amplitude) > 0.01 {
			t.Errorf("sample %d is %v, want a click", at, v)
		}
		for i := at - 20; i <= at+20; i++ {
			if math.Abs(float64(pcm[i])) > 0.01 && i != at {
				t.Errorf("sample %d is %v, want silence around %d", i, pcm[i], at)
			}
		}
		return
	}
	if got := Locate(pcm, Pulse(k.Rate), at, 400); got < at-tol || got > at+tol {
		t.Errorf("click at sample %d, want %d", got, at)
	}
}

// The folder of kept clips is what the recipe says, and small.
func TestKeptClips(t *testing.T) {
	var size int64
	err := filepath.Walk("testdata/clips", func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			size += info.Size()
		}
		return err
	})
	if err != nil || size > 2<<20 {
		t.Errorf("testdata holds %d bytes, want less than 2 MiB (%v)", size, err)
	}
	for _, s := range keptPlan() {
		want, err := json.MarshalIndent(predict(s).Truth, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("testdata", "clips", s.name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(string(got)) != string(want) {
			t.Errorf("testdata/clips/%s.json is not what the recipe says: run the generator with -kept", s.name)
		}
	}
}

// tick returns the ticks per second of the clip's container, 0 if they are fine.
func (c Clip) tick() int64 {
	for _, s := range append(plan(), keptPlan()...) {
		if s.name == c.Name {
			return s.tick
		}
	}
	return 0
}

package ffmpeg

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
)

var mono = decode.Outputs{Sounds: []decode.Sound{{Rate: 22050, Channels: 1}, {}}}

// tone is n samples of sound at rate.
func tone(n, rate int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = 0.5 * math.Sin(2*math.Pi*440*float64(i)/float64(rate))
	}
	return x
}

// TestHole takes packets out: the sound before ends where it did, the sound
// behind begins at its own stamp, and the hole is counted, to the nanosecond.
func TestHole(t *testing.T) {
	const rate = 48000
	list := pcmPackets(tone(rate, rate), rate, 1024, 100*time.Millisecond)
	list = append(list[:10:10], list[13:]...)
	got := run(t, &packets{[]ingest.Stream{pcmStream(0, rate, 1)}, list}, mono, Options{})
	if want := ingest.SampleTime(3*1024, rate); got.stats.AudioGaps.Round(2) != want.Round(2) {
		t.Errorf("gaps %v, want %v", got.stats.AudioGaps, want)
	}
	if got.stats.Samples != rate-3*1024 {
		t.Errorf("%d samples", got.stats.Samples)
	}
	for sound, to := range []int{22050, rate} {
		var at, end time.Duration
		var spans [][2]time.Duration
		n := 0
		for i, b := range got.blocks[sound] {
			if i == 0 || b.At > end+time.Millisecond {
				if i > 0 {
					spans = append(spans, [2]time.Duration{at, end})
				}
				at, n = b.At, 0
			}
			n += len(b.data)
			end = at + ingest.SampleTime(int64(n), to)
		}
		spans = append(spans, [2]time.Duration{at, end})
		start := 100 * time.Millisecond
		want := [][2]time.Duration{
			{start, start + ingest.SampleTime(10*1024, rate)},
			{start + ingest.SampleTime(13*1024, rate), start + time.Second},
		}
		if len(spans) != 2 {
			t.Fatalf("sound %d: %v", sound, spans)
		}
		half := ingest.SampleTime(1, to)/2 + 1
		for i := range want {
			if spans[i][0] != want[i][0] || (spans[i][1]-want[i][1]).Abs() > half {
				t.Errorf("sound %d part %d: %v, want %v", sound, i, spans[i], want[i])
			}
		}
	}
	if len(got.ends) != 1 || (got.ends[0].At-1100*time.Millisecond).Abs() > 1 || got.ends[0].Kind != ingest.Audio {
		t.Errorf("ends %+v", got.ends)
	}
}

// TestOverlap sends a packet twice: the second is left out.
func TestOverlap(t *testing.T) {
	const rate = 48000
	x := tone(rate, rate)
	list := pcmPackets(x, rate, 1024, 0)
	list = append(list[:11:11], list[10:]...)
	got := run(t, &packets{[]ingest.Stream{pcmStream(0, rate, 1)}, list}, mono, Options{})
	pcm := got.pcm(t, 1)
	if len(pcm) != rate || got.stats.AudioGaps != 0 || got.stats.AudioOverlap != ingest.SampleTime(1024, rate) {
		t.Fatalf("%d samples, %+v", len(pcm), got.stats)
	}
	for i := range pcm {
		if pcm[i] != float32(x[i]) {
			t.Fatalf("sample %d is %v, want %v", i, pcm[i], x[i])
		}
	}
}

// TestJitter rounds and jitters stamps below the tolerance, and leaves some out:
// nothing changes but the place of the first sample.
func TestJitter(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rate := rapid.SampledFrom([]int{8000, 22050, 44100, 48000}).Draw(r, "rate")
		size := rapid.IntRange(rate/50, rate/10).Draw(r, "size")
		x := tone(rate/2+rapid.IntRange(0, 999).Draw(r, "odd"), rate)
		list := pcmPackets(x, rate, size, time.Second)
		for i := range list {
			list[i].PTS += time.Duration(rapid.IntRange(-3000, 3000).Draw(r, "jitter")) * time.Microsecond / 2
			if i > 0 && rapid.IntRange(0, 5).Draw(r, "none") == 0 {
				list[i].PTS = ingest.NoTime
			}
		}
		start := list[0].PTS
		got := run(t, &packets{[]ingest.Stream{pcmStream(0, rate, 1)}, list}, mono, Options{})
		if got.stats.AudioGaps != 0 || got.stats.AudioOverlap != 0 {
			r.Fatalf("%+v", got.stats)
		}
		if n := len(got.pcm(t, 1)); n != len(x) || got.blocks[1][0].At != start {
			r.Fatalf("%d samples from %v, want %d from %v", n, got.blocks[1][0].At, len(x), start)
		}
		if n, want := len(got.pcm(t, 0)), int(math.Round(float64(len(x))*22050/float64(rate))); n != want {
			r.Fatalf("%d samples, want %d", n, want)
		}
	})
}

// TestSegs switches the Seg twice, once past a Seg in which nothing was heard:
// each part is drained to its own total and ended.
func TestSegs(t *testing.T) {
	const rate, n = 44100, 10000
	var list []ingest.Packet
	for i, seg := range []uint32{0, 1, 3} {
		for _, p := range pcmPackets(tone(n, rate), rate, 1024, time.Duration(3-i)*time.Second) {
			p.Seg = seg
			list = append(list, p)
		}
	}
	got := run(t, &packets{[]ingest.Stream{pcmStream(0, rate, 1)}, list}, mono, Options{})
	per := map[uint32]int{}
	for _, b := range got.blocks[0] {
		per[b.Seg] += len(b.data)
	}
	if per[0] != n/2 || per[1] != n/2 || per[3] != n/2 || len(per) != 3 {
		t.Errorf("samples per Seg %v", per)
	}
	if len(got.ends) != 3 {
		t.Fatalf("ends %+v", got.ends)
	}
	for i, seg := range []uint32{0, 1, 3} {
		want := ingest.Stamp{At: time.Duration(3-i)*time.Second + ingest.SampleTime(n, rate), Seg: seg}
		if got.ends[i].Stamp != want {
			t.Errorf("end %d at %+v, want %+v", i, got.ends[i].Stamp, want)
		}
	}
	if got.stats.AudioGaps != 0 {
		t.Errorf("%+v", got.stats)
	}
}

// TestRateChange changes the rate and the channels in mid-stream: no sample is
// lost and the places go on.
func TestRateChange(t *testing.T) {
	list := pcmPackets(tone(24000, 48000), 48000, 1000, 0)
	next := pcmStream(0, 16000, 2)
	x := make([]float64, 2*8000)
	more := pcmPackets(x, 32000, 2000, 500*time.Millisecond) // as many bytes per second
	more[0].Changed = &next
	got := run(t, &packets{[]ingest.Stream{pcmStream(0, 48000, 1)}, append(list, more...)}, decode.Outputs{Sounds: []decode.Sound{{Rate: 22050, Channels: 1}}}, Options{})
	if n := len(got.pcm(t, 0)); n != 22050 {
		t.Errorf("%d samples, want 22050", n)
	}
	if got.stats.Reconfigured != 1 || got.stats.AudioGaps != 0 || got.stats.Samples != 32000 {
		t.Errorf("%+v", got.stats)
	}
}

// TestMix holds the mix-down in [-1, 1], as ffmpeg's is for integer output.
func TestMix(t *testing.T) {
	x := []float64{}
	for range 4800 {
		x = append(x, 1, 0.5)
	}
	p := pcmPackets(x, 96000, 9600, 0)
	got := run(t, &packets{[]ingest.Stream{pcmStream(0, 48000, 2)}, p}, decode.Outputs{Sounds: []decode.Sound{{Channels: 1}}}, Options{}).pcm(t, 0)
	for i, v := range got {
		if math.Abs(float64(v)-0.75) > 1e-6 {
			t.Fatalf("sample %d is %v, want 0.75", i, v)
		}
	}
}

// TestUnplaced mixes channels that have no known place: nine of them, to one, to
// two and to themselves.
func TestUnplaced(t *testing.T) {
	var x []float64
	for range 480 {
		x = append(x, 0.9, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	for _, c := range []struct {
		channels int
		want     []float64
	}{{1, []float64{0.1}}, {2, []float64{0.18, 0}}, {0, []float64{0.9, 0, 0, 0, 0, 0, 0, 0, 0}}, {12, append([]float64{0.9, 0, 0, 0, 0, 0, 0, 0, 0, 0.9}, 0, 0)}} {
		p := pcmPackets(x, 9*48000, 9*480, 0)
		got := run(t, &packets{[]ingest.Stream{pcmStream(0, 48000, 9)}, p}, decode.Outputs{Sounds: []decode.Sound{{Channels: c.channels}}}, Options{})
		if n := got.samples(0); n != 480 {
			t.Errorf("to %d: %d samples", c.channels, n)
		}
		for i, v := range got.blocks[0][0].data[:len(c.want)] {
			if math.Abs(float64(v)-c.want[i]) > 1e-6 {
				t.Errorf("to %d: channel %d is %v, want %v", c.channels, i, v, c.want[i])
			}
		}
	}
}

// clicks is sound with features at every scale, so that a shift by one sample
// shows in the correlation.
func clicks(n, rate int) []float64 {
	x := make([]float64, n)
	seed := uint32(1)
	low := 0.0
	for i := range x {
		seed = seed*1664525 + 1013904223
		low += 0.2 * (float64(int32(seed))/math.MaxInt32 - low)
		x[i] = 0.6 * low * (0.6 + 0.4*math.Sin(2*math.Pi*3*float64(i)/float64(rate)))
	}
	return x
}

// lag returns by how many samples b comes later than a: the peak of the
// correlation of 8000 samples in the middle, within 1300 either way (the largest
// priming of a codec tested is 1105).
func lag(a, b []float32) int {
	const reach, span = 1300, 8000
	best, at := math.Inf(-1), 0
	from := min(len(a), len(b))/2 - span/2
	for d := -reach; d <= reach; d++ {
		sum := float32(0)
		for i, v := range a[from : from+span] {
			sum += v * b[from+d+i]
		}
		if float64(sum) > best {
			best, at = float64(sum), d
		}
	}
	return at
}

// TestCodecs decodes sound of every usual codec and compares with the
// distribution's ffmpeg, an independent build of another version: as many
// samples, at the same place. Lossless ones equal what went in. What FFmpeg alone
// does not encode comes from the clips that are kept.
func TestCodecs(t *testing.T) {
	dir := t.TempDir()
	const rate = 48000
	x := clicks(2*rate+123, rate)
	raw := filepath.Join(dir, "in.f32")
	if err := os.WriteFile(raw, pcmBytes(x), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file     string
		args     []string
		lossless bool
	}{
		{"a.wav", []string{"-c:a", "pcm_s24le"}, true},
		{"a.flac", []string{"-c:a", "flac", "-sample_fmt", "s16"}, true},
		{"flac.mkv", []string{"-c:a", "flac", "-sample_fmt", "s16"}, true},
		{"aac.mp4", []string{"-c:a", "aac", "-b:a", "160k"}, false},
		{"aac.ts", []string{"-c:a", "aac", "-b:a", "160k"}, false},
		{"aac.flv", []string{"-c:a", "aac", "-ar", "44100", "-b:a", "160k"}, false},
		{"opus.webm", []string{"-c:a", "libopus", "-b:a", "128k"}, false},
		{"opus.ogg", []string{"-c:a", "libopus", "-b:a", "128k"}, false},
		{"ogg-vorbis", nil, false},
		{"mp3-lame", nil, false},
		{"mp4-h264-mp3", nil, false},
		{"ac3.mkv", []string{"-c:a", "ac3", "-b:a", "192k"}, false},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := filepath.Join(dir, c.file)
			if c.args == nil {
				path = mediatest.ByName(t, c.file).File
			} else {
				ffmpeg(t, append(append([]string{"-f", "f32le", "-ar", "48000", "-ac", "1", "-i", raw}, c.args...), path)...)
			}
			src := open(t, path, ingest.Audio)
			native := src.streams[0].SampleRate
			got := run(t, src, decode.Outputs{Sounds: []decode.Sound{{}, {Rate: 22050, Channels: 1}}}, Options{})
			pcm := got.pcm(t, 0)
			want := floats(reference(t, "-i", path, "-map", "0:a:0", "-f", "f32le", "-c:a", "pcm_f32le", "-"))
			t.Logf("%d samples, ffmpeg %d, first at %v, %+v", len(pcm), len(want), got.blocks[0][0].At, got.stats)
			if len(pcm) != len(want) {
				t.Errorf("%d samples, ffmpeg decodes %d", len(pcm), len(want))
			}
			if n := int(math.Round(float64(got.stats.Samples) * 22050 / float64(native))); len(got.pcm(t, 1)) != n {
				t.Errorf("%d samples at 22050 Hz, want %d", len(got.pcm(t, 1)), n)
			}
			if d := lag(want, pcm); d != 0 {
				t.Errorf("%d samples late against ffmpeg", d)
			}
			if !c.lossless {
				return
			}
			for i := range pcm {
				if math.Abs(float64(pcm[i])-x[i]) > 1.01/32768 {
					t.Fatalf("sample %d is %v, want %v", i, pcm[i], x[i])
				}
			}
		})
	}
}

// TestClipSound compares the sound of real clips with the reference, at its
// place on the clip's clock.
func TestClipSound(t *testing.T) {
	for _, name := range []string{"chaplin.mp4", "friday.mp4", "nasa_13013.mp4", "bbaf2n.mpg", "sd-hls0000000000.ts", "rotated_video.mp4"} {
		path := clip(name)
		if path == "" {
			t.Skip("the folder of real clips is not there")
		}
		src := open(t, path, ingest.Audio)
		got := run(t, src, decode.Outputs{Sounds: []decode.Sound{{}, {Rate: 16000, Channels: 1}}}, Options{})
		pcm := got.pcm(t, 0)
		want := floats(reference(t, "-i", path, "-map", "0:a:0", "-f", "f32le", "-c:a", "pcm_f32le", "-"))
		if len(pcm) != len(want)/got.blocks[0][0].channels && len(pcm) != len(want) {
			t.Errorf("%s: %d values, ffmpeg decodes %d", name, len(pcm), len(want))
		}
		if d := lag(want, pcm); d != 0 {
			t.Errorf("%s: %d values late", name, d)
		}
		small := floats(reference(t, "-i", path, "-map", "0:a:0", "-ac", "1", "-ar", "16000", "-f", "f32le", "-c:a", "pcm_f32le", "-"))
		ours := got.pcm(t, 1)
		if d := len(small) - len(ours); d < -1 || d > 1 {
			t.Errorf("%s: %d samples at 16 kHz, ffmpeg makes %d", name, len(ours), len(small))
		}
		if d := lag(small, ours); d != 0 {
			t.Errorf("%s: %d samples late at 16 kHz", name, d)
		}
	}
}

package ring

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/ingest/mediatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// packets reads a whole clip.
func packets(t testing.TB, clip mediatest.Clip) ([]ingest.Stream, []ingest.Packet) {
	t.Helper()
	src, err := av.Open(t.Context(), clip.File, av.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var list []ingest.Packet
	for {
		p, err := src.Read(t.Context())
		if errors.Is(err, io.EOF) {
			return src.Streams(), list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// mux returns what the muxer makes of packets.
func mux(t testing.TB, streams []ingest.Stream, list []ingest.Packet) []*piece {
	t.Helper()
	var out []*piece
	m := muxer{waiting: true, emit: func(s *segment) error {
		p, err := s.piece()
		out = append(out, p)
		return err
	}}
	if err := m.setStreams(streams); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if err := m.push(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.flush(); err != nil {
		t.Fatal(err)
	}
	want := uint64(0)
	for i := range list {
		if m.audio != nil && m.audio.coder == nil && list[i].Stream == m.audio.stream.Index {
			want++
		}
	}
	if m.dropped != want {
		t.Errorf("%d packets were dropped, want %d", m.dropped, want)
	}
	return out
}

type probed struct {
	Type string `json:"codec_type"`
	PTS  string `json:"pts_time"`
	Dur  string `json:"duration_time"`
}

func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s: run this through .ci/env", name)
	}
	return path
}

func probe(t testing.TB, file string) []probed {
	t.Helper()
	b, err := exec.CommandContext(t.Context(), tool(t, "ffprobe"), "-v", "error", "-show_packets", "-of", "json", file).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	var list struct{ Packets []probed }
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list.Packets
}

// pictures returns the hashes of the pictures that ffmpeg decodes, in the order of
// presentation; what it has to complain of fails the test.
func pictures(t testing.TB, file string, options ...string) []string {
	t.Helper()
	var stderr bytes.Buffer
	args := append([]string{"-v", "error", "-nostdin"}, options...)
	cmd := exec.CommandContext(t.Context(), tool(t, "ffmpeg"), append(args, "-i", file, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-")...)
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg: %v: %s", err, stderr.String())
	}
	var list []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(line, ","); !strings.HasPrefix(line, "#") && len(f) == 6 {
			list = append(list, strings.TrimSpace(f[5]))
		}
	}
	return list
}

func write(t testing.TB, pieces ...*piece) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.mp4")
	b := slices.Clone(pieces[0].init)
	for _, p := range pieces {
		b = append(b, p.data...)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What ffprobe finds in the MP4 are the packets of the source at their times, and
// what ffmpeg decodes are the same pictures.
func TestAgainstFFmpeg(t *testing.T) {
	for _, tt := range []struct {
		clip, codecs string
		single       bool // each segment stands on its own; not with leading pictures of HEVC
	}{
		{"mp4-h264-aac", "avc1.4d400a,mp4a.40.2", true},
		{"mp4-ntsc", "avc1.4d400a,mp4a.40.2", false},
		{"mp4-hole", "", false},
		{"mp4-aac-5.1", "", false},
		{"mp4-video-only", "", false},
		{"mkv-audio-late", "", false}, // the sound is not kept
		{"ts-h264-aac", "avc1.4d400a,mp4a.40.2", true},
		{"ts-wrap", "", false},
		{"mp4-hevc-aac", "hvc1.1.6.L30.90,mp4a.40.2", false},
		{"ts-hevc-aac", "hvc1.1.6.L30.90,mp4a.40.2", false},
		{"ogg-opus", "opus", false},
		{"m4a-mono", "mp4a.40.2", false},
		{"adts-aac", "mp4a.40.2", false},
	} {
		t.Run(tt.clip, func(t *testing.T) {
			clip := mediatest.ByName(t, tt.clip)
			streams, list := packets(t, clip)
			pieces := mux(t, streams, list)
			if tt.codecs != "" && pieces[0].codecs != tt.codecs {
				t.Errorf("codecs %s, want %s", pieces[0].codecs, tt.codecs)
			}
			file := write(t, pieces...)
			kept := map[int]string{}
			for _, s := range streams {
				if s.Kind == ingest.Video || s.Codec == "aac" || s.Codec == "opus" {
					kept[s.Index] = s.Kind.String()
				}
			}
			want := map[string][]time.Duration{}
			for _, p := range list {
				if kind := kept[p.Stream]; kind == "video" || kind == "audio" && !p.Discard {
					want[kind] = append(want[kind], p.PTS)
				}
			}
			got := map[string][]time.Duration{}
			for _, p := range probe(t, file) {
				d, err := time.ParseDuration(p.PTS + "s")
				if err != nil {
					t.Fatal(err)
				}
				got[p.Type] = append(got[p.Type], d-lead)
			}
			for _, kind := range []string{"video", "audio"} {
				g, w := got[kind], want[kind]
				slices.Sort(g)
				slices.Sort(w)
				if len(g) != len(w) {
					t.Fatalf("%d packets of %s, want %d", len(g), kind, len(w))
				}
				for i := range g {
					if d := g[i] - w[i]; d < -130*time.Microsecond || d > 130*time.Microsecond { // a tick of 8 kHz
						t.Fatalf("%s packet %d at %v, want %v", kind, i, g[i], w[i])
					}
				}
			}
			if clip.Video == nil || clip.Video.Codec == "mjpeg" {
				return
			}
			var whole []string // what an edit list leaves out is in the ring
			if filepath.Ext(clip.File) == ".mp4" {
				whole = []string{"-ignore_editlist", "1"}
			}
			all := pictures(t, file)
			if w := pictures(t, clip.File, whole...); !slices.Equal(all, w) || len(all) == 0 {
				t.Errorf("%d pictures, the source has %d, or others", len(all), len(w))
			}
			if !tt.single {
				return
			}
			total := 0
			for _, p := range pieces {
				total += len(pictures(t, write(t, p)))
			}
			if total != len(all) {
				t.Errorf("%d pictures in single segments, %d in all", total, len(all))
			}
		})
	}
}

// A new size, a new rate of the sound and a jump begin a new segment, with a new
// init where it is another codec.
func TestChanges(t *testing.T) {
	for _, tt := range []struct {
		clip        string
		inits, segs int
	}{{"ts-new-size", 2, 1}, {"ts-new-rate", 2, 1}, {"ts-jump", 1, 2}, {"ts-jump-back", 1, 2}} {
		t.Run(tt.clip, func(t *testing.T) {
			clip := mediatest.ByName(t, tt.clip)
			streams, list := packets(t, clip)
			pieces := mux(t, streams, list)
			byInit := map[string][]*piece{}
			segs := map[uint32]bool{}
			end := time.Duration(-1)
			for _, p := range pieces {
				byInit[string(p.init)] = append(byInit[string(p.init)], p)
				segs[p.seg] = true
				if p.at < end-time.Millisecond {
					t.Errorf("segment at %v before the end of the last at %v", p.at, end)
				}
				end = p.at + p.dur
			}
			if len(byInit) != tt.inits || len(segs) != tt.segs {
				t.Errorf("%d inits and %d segs", len(byInit), len(segs))
			}
			total := 0
			for _, ps := range byInit {
				total += len(pictures(t, write(t, ps...)))
			}
			if total != len(clip.Frames) {
				t.Errorf("%d pictures, want %d", total, len(clip.Frames))
			}
		})
	}
}

// TestLengthLikeStartCode: the length of a NAL unit of 256 to 511 bytes begins with
// what is a start code elsewhere.
func TestLengthLikeStartCode(t *testing.T) {
	record := append([]byte{1, testSPS[1], testSPS[2], testSPS[3], 0xff, 0xe1, 0, byte(len(testSPS))}, testSPS...)
	record = append(append(record, 1, 0, byte(len(testPPS))), testPPS...)
	c := newCoder(&ingest.Stream{Kind: ingest.Video, Codec: "h264", Extra: record})
	for _, n := range []int{1, 2, 255, 256, 0x167, 511, 512, 70000} {
		nal := append([]byte{0x41}, bytes.Repeat([]byte{0xaa}, n-1)...)
		data := append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, nal...)
		for _, form := range [][]byte{data, startCoded(nal)} {
			got, changed, err := c.sample(form, false)
			if err != nil || changed || !bytes.Equal(got, data) {
				t.Errorf("NAL unit of %d bytes in %x…: %d bytes come out, configuration changed: %v, %v", n, form[:4], len(got), changed, err)
			}
		}
	}
}

func TestRotationIsTold(t *testing.T) {
	streams, list := packets(t, mediatest.ByName(t, "mp4-rotate-90"))
	if p := mux(t, streams, list)[0]; p.rotation != 90 || p.width != 96 || p.height != 128 {
		t.Errorf("%dx%d turned by %d", p.width, p.height, p.rotation)
	}
}

// A configuration for tests: 1920x1080, baseline.
var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	testPPS = []byte{0x68, 0xce, 0x38, 0x80}
)

func startCoded(nals ...[]byte) []byte {
	var b []byte
	for _, n := range nals {
		b = append(append(b, 0, 0, 0, 1), n...)
	}
	return b
}

func testStreams() []ingest.Stream {
	return []ingest.Stream{
		{Index: 0, Kind: ingest.Video, Codec: "h264", Extra: startCoded(testSPS, testPPS), Width: 1920, Height: 1080},
		{Index: 1, Kind: ingest.Audio, Codec: "opus", SampleRate: 48000, Channels: 2},
	}
}

// picture is a packet that says its number.
func picture(at time.Duration, seg uint32, key bool, number int) ingest.Packet {
	nal := []byte{0x41, byte(number >> 8), byte(number), 0x80}
	if key {
		nal[0] = 0x65
	}
	return ingest.Packet{Stream: 0, Seg: seg, PTS: at, DTS: at, Dur: 40 * time.Millisecond, Key: key, Data: startCoded(nal)}
}

// Of any order of packets, gaps and jumps, segments begin with keyframes and do
// not overlap, and no packet behind a keyframe of its Seg is missing.
func TestCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out []*segment
		m := muxer{waiting: true, emit: func(s *segment) error {
			out = append(out, s)
			return nil
		}}
		if err := m.setStreams(testStreams()); err != nil {
			t.Fatal(err)
		}
		var want []int
		var at time.Duration
		seg, waiting, number := uint32(0), true, 0
		last, heard := time.Duration(0), time.Duration(0)
		for range rapid.IntRange(1, 250).Draw(t, "pictures") {
			switch rapid.IntRange(0, 40).Draw(t, "what") {
			case 0:
				seg++
				waiting = true
			case 1:
				at += rapid.SampledFrom([]time.Duration{hole / 2, 2 * hole}).Draw(t, "hole")
			case 2:
				p := testStreams()[0]
				p.Extra = startCoded(append(slices.Clone(testSPS[:3]), append([]byte{byte(rapid.IntRange(40, 42).Draw(t, "level"))}, testSPS[4:]...)...), testPPS)
				pk := picture(at, seg, true, 0)
				pk.Changed = &p
				pk.Data = startCoded([]byte{0x65, 0xff, 0xff, 0x80})
				if err := m.push(&pk); err != nil {
					t.Fatal(err)
				}
				want = append(want, 0xffff)
				last = at
				at += 40 * time.Millisecond
				waiting = false
				continue
			}
			for ; heard < at; heard += 20 * time.Millisecond {
				pk := ingest.Packet{Stream: 1, Seg: seg, PTS: heard, DTS: ingest.NoTime, Dur: 20 * time.Millisecond, Data: []byte{0xfc, 1}}
				if err := m.push(&pk); err != nil {
					t.Fatal(err)
				}
			}
			key := rapid.IntRange(0, 12).Draw(t, "key") == 0
			if at > last+hole {
				waiting = true
			}
			number++
			pk := picture(at, seg, key, number)
			if err := m.push(&pk); err != nil {
				t.Fatal(err)
			}
			if waiting = waiting && !key; !waiting {
				want = append(want, number)
				last = at
			}
			at += 40 * time.Millisecond
		}
		if err := m.flush(); err != nil {
			t.Fatal(err)
		}
		var got []int
		end := time.Duration(-1)
		for i, seg := range out {
			if seg.first < end || seg.end < seg.first {
				t.Fatalf("segment %d from %v to %v, the one before ends at %v", i, seg.first, seg.end, end)
			}
			end = seg.end
			if v := seg.video.samples; !v[0].key || v[0].pts != seg.first {
				t.Fatalf("segment %d at %v begins with %+v", i, seg.first, v[0])
			}
			for _, l := range []lane{seg.video, seg.audio} {
				for k := 1; k < len(l.samples); k++ {
					if l.samples[k].dts <= l.samples[k-1].dts {
						t.Fatalf("segment %d: decoding falls from %v to %v", i, l.samples[k-1].dts, l.samples[k].dts)
					}
				}
			}
			for _, s := range seg.video.samples {
				nal := s.data[len(s.data)-3:]
				got = append(got, int(nal[0])<<8|int(nal[1]))
			}
			for _, s := range seg.audio.samples {
				if seg.next != ingest.NoTime && s.pts >= end { // a jump ends both as they are
					t.Fatalf("segment %d to %v has sound at %v", i, end, s.pts)
				}
			}
			if h := seg.heard; h != ingest.NoTime && h < end {
				t.Fatalf("segment %d to %v was finished with sound at %v", i, end, h)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pictures %v, want %v", got, want)
		}
	})
}

// No configuration and no packet makes the muxer panic or write what cannot be
// read again.
func FuzzMux(f *testing.F) {
	f.Add(byte(0), startCoded(testSPS, testPPS), startCoded([]byte{0x65, 1, 2, 3}), true)
	f.Add(byte(0), []byte{1, 0x42, 0xc0, 0x28, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x28, 1, 0, 4, 0x68, 0xce, 0x38, 0x80}, []byte{0, 0, 0, 2, 0x65, 1}, true)
	f.Add(byte(1), []byte{1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 60, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0xf, 1, 0xa0, 0, 1, 0, 4, 0x40, 1, 2, 3}, []byte{0, 0, 0, 2, 0x26, 1}, false)
	f.Add(byte(2), []byte{0x11, 0x90}, []byte{0x21, 1, 2}, true)
	f.Add(byte(2), []byte{}, []byte{0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, 1, 2}, true)
	f.Add(byte(3), []byte("OpusHead\x01\x02"), []byte{0xfc}, true)
	f.Fuzz(func(t *testing.T, which byte, extra, data []byte, key bool) {
		codec := []string{"h264", "hevc", "aac", "opus"}[which%4]
		s := ingest.Stream{Index: 0, Kind: ingest.Video, Codec: codec, Extra: extra, SampleRate: 48000, Channels: 2}
		if which%4 > 1 {
			s.Kind = ingest.Audio
		}
		m := muxer{waiting: true, emit: func(s *segment) error {
			p, err := s.piece()
			if err != nil {
				return err
			}
			var init fmp4.Init
			if err := init.Unmarshal(bytes.NewReader(p.init)); err != nil {
				return nil // mediacommon writes configurations that it does not read
			}
			var parts fmp4.Parts
			if err := parts.Unmarshal(p.data); err != nil {
				t.Errorf("segment: %v", err)
			}
			return nil
		}}
		_ = m.setStreams([]ingest.Stream{s})
		for i := range 4 {
			at := time.Duration(i) * 1500 * time.Millisecond
			p := ingest.Packet{PTS: at, DTS: at, Key: key || i == 0, Data: data}
			if err := m.push(&p); err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error of two lines: %v", err)
			}
		}
		_ = m.flush()
	})
}

func BenchmarkMux(b *testing.B) {
	m := muxer{waiting: true, emit: func(s *segment) error {
		_, err := s.piece()
		return err
	}}
	if err := m.setStreams(testStreams()); err != nil {
		b.Fatal(err)
	}
	data := startCoded(append([]byte{0x41}, bytes.Repeat([]byte{0xaa}, 8000)...))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p := picture(time.Duration(i)*40*time.Millisecond, 0, i%25 == 0, i)
		p.Data = data
		if err := m.push(&p); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

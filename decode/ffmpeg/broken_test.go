package ffmpeg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
)

// TestBroken flips bits in one packet of four, in the codecs people meet, and
// drops some: nothing ends the decoding, most of the media still comes, stamps
// still increase and sound does not run over itself.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ file, video, audio string }{
		{"a.mp4", "libx264", "aac"},
		{"mp4-hevc-aac", "", ""},
		{"c.webm", "libvpx-vp9", "libopus"},
		{"d.ts", "mpeg2video", "mp2"},
		{"e.mkv", "mjpeg", "flac"},
		{"f.avi", "mpeg4", "ac3"},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := filepath.Join(dir, c.file)
			if c.video == "" { // a codec that FFmpeg alone does not encode
				path = mediatest.ByName(t, c.file).File
			} else {
				ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=r=25:d=2:s=160x120", "-f", "lavfi", "-i", "sine=d=2:r=48000",
					"-pix_fmt", "yuv420p", "-strict", "-2", "-c:v", c.video, "-g", "10", "-c:a", c.audio, path)
			}
			for seed := range uint64(3) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				src := open(t, path)
				src.edit = func(p *ingest.Packet) bool {
					switch rnd.IntN(16) {
					case 0:
						return false
					case 1, 2, 3:
						for range 1 + rnd.IntN(8) {
							p.Data[rnd.IntN(len(p.Data))] ^= 1 << rnd.IntN(8)
						}
					case 4:
						p.Data = p.Data[:rnd.IntN(len(p.Data))]
					}
					return true
				}
				got := run(t, src, both, Options{})
				t.Logf("%+v", got.stats)
				if len(got.frames) < 20 || got.stats.Samples < 30000 {
					t.Errorf("seed %d: only %d frames and %d samples", seed, len(got.frames), got.stats.Samples)
				}
				checkOrder(t, got)
			}
		})
	}
}

// TestLost turns one stream into something that no decoder opens for, for a while:
// the other goes on, what does not decode is counted, and the stream comes back.
func TestLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.mkv")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=r=25:d=3:s=64x48", "-f", "lavfi", "-i", "sine=d=3:r=48000",
		"-pix_fmt", "yuv420p", "-c:v", "mjpeg", "-c:a", "pcm_s16le", path)
	for _, kind := range []ingest.Kind{ingest.Video, ingest.Audio} {
		for _, what := range []struct {
			name   string
			change func(*ingest.Stream)
		}{
			{"no such codec", func(st *ingest.Stream) { st.Codec = "nonesuch" }},
			{"not its kind", func(st *ingest.Stream) {
				st.Codec = map[ingest.Kind]string{ingest.Video: "aac", ingest.Audio: "h264"}[kind]
			}},
			{"will not open", func(st *ingest.Stream) {
				st.Codec, st.Channels, st.Width, st.Height = "adpcm_ima_wav", 99, 0, 0
				if kind == ingest.Video {
					st.Codec, st.Width, st.Height = "mjpeg", MaxSide+1, 16
				}
			}},
		} {
			t.Run(fmt.Sprintf("%v/%s", kind, what.name), func(t *testing.T) {
				src := open(t, path)
				var lost int64
				state := 0
				src.edit = func(p *ingest.Packet) bool {
					var st ingest.Stream
					for _, s := range src.streams {
						if s.Index == p.Stream {
							st = s
						}
					}
					if st.Kind != kind {
						return true
					}
					switch {
					case state == 0 && p.PTS >= time.Second:
						state = 1
						what.change(&st)
						p.Changed = &st
					case state == 1 && p.PTS >= 2*time.Second:
						state = 2
						p.Changed = &st
					}
					if state == 1 {
						lost++
					}
					return true
				}
				got := run(t, src, both, Options{})
				if got.stats.Errors != lost || lost == 0 {
					t.Errorf("%d errors for %d lost packets", got.stats.Errors, lost)
				}
				frames, second := 75, 0.0
				if kind == ingest.Video {
					frames = 50
				} else {
					second = 1
				}
				if len(got.frames) != frames {
					t.Errorf("%d frames, want %d", len(got.frames), frames)
				}
				if want := 48000 * (3 - second); math.Abs(float64(got.stats.Samples)-want) > 5000 {
					t.Errorf("%d samples, want about %v", got.stats.Samples, want)
				}
				if gap := got.stats.AudioGaps.Seconds(); math.Abs(gap-second) > 0.1 {
					t.Errorf("%v s of sound are missing, want about %v", gap, second)
				}
				checkOrder(t, got)
			})
		}
	}
}

// checkOrder holds the promises that every consumer builds on.
func checkOrder(t testing.TB, got *decoded) {
	t.Helper()
	for i := 1; i < len(got.frames); i++ {
		if !got.frames[i-1].Before(got.frames[i].Stamp) {
			t.Errorf("frame %d at %+v after %+v", i, got.frames[i].Stamp, got.frames[i-1].Stamp)
		}
	}
	for _, bs := range got.blocks {
		var end ingest.Stamp
		for i, b := range bs {
			if i > 0 && b.Seg == end.Seg && b.At < end.At-time.Microsecond*100 {
				t.Errorf("block %d at %v, %v before the end of the last", i, b.At, end.At-b.At)
			}
			end = ingest.Stamp{At: b.At + ingest.SampleTime(int64(len(b.data)/b.channels), b.rate), Seg: b.Seg}
		}
	}
}

// FuzzDecode feeds arbitrary bytes, cut into packets, to every kind of decoder
// that clips of the wild use.
func FuzzDecode(f *testing.F) {
	codecs := []ingest.Stream{
		{Kind: ingest.Video, Codec: "h264"},
		{Kind: ingest.Video, Codec: "hevc"},
		{Kind: ingest.Video, Codec: "vp9"},
		{Kind: ingest.Video, Codec: "mpeg2video"},
		{Kind: ingest.Video, Codec: "mjpeg"},
		{Kind: ingest.Video, Codec: "rawvideo", Width: 16, Height: 9, Format: 0},
		{Kind: ingest.Audio, Codec: "aac"},
		{Kind: ingest.Audio, Codec: "mp3"},
		{Kind: ingest.Audio, Codec: "ac3"},
		{Kind: ingest.Audio, Codec: "opus", SampleRate: 48000, Channels: 2},
		{Kind: ingest.Audio, Codec: "pcm_s16le", SampleRate: 8000, Channels: 1, BlockAlign: 2},
		{Kind: ingest.Audio, Codec: "flac"},
	}
	for i := range codecs {
		f.Add(byte(i), uint16(64), []byte("\x00\x00\x00\x01\x67\x42\x00\x0a\xf8\x41\xa2\xff\xf1\x50\x80\x00\x1f\xfc"))
	}
	f.Fuzz(func(t *testing.T, which byte, size uint16, data []byte) {
		st := codecs[int(which)%len(codecs)]
		if st.Format == 0 && st.Codec != "rawvideo" {
			st.Format = -1
		}
		before := Handles()
		d, err := New([]ingest.Stream{st}, both, Options{MaxPixels: 1 << 18, Threads: 1})
		if err != nil {
			t.Skip("no codec opens with these settings, so there is nothing to feed")
		}
		got := &decoded{blocks: make([][]block, 1)}
		take := func(p *ingest.Packet) {
			units, err := d.Decode(nil, p)
			if err != nil {
				t.Logf("%v", err)
			}
			for _, u := range units {
				if u.Frame != nil {
					got.frames = append(got.frames, &decode.Frame{Stamp: u.Frame.Stamp})
				}
				if u.Block != nil {
					got.blocks[0] = append(got.blocks[0], block{Stamp: u.Block.Stamp, rate: 22050, channels: 1, data: make([]float32, len(u.Block.PCM.Data))})
				}
				u.Release()
			}
		}
		n := int(size)%4096 + 1
		for i := 0; len(data) > 0 && i < 64; i++ {
			k := min(n, len(data))
			p := ingest.Packet{PTS: time.Duration(data[0]) * 10 * time.Millisecond, DTS: ingest.NoTime, Seg: uint32(i) / 8, Key: i == 0, Data: data[:k:k]}
			if data[0] == 255 {
				p.PTS = ingest.NoTime
			}
			if k > 10 && data[1] == 7 {
				p.Side = []ingest.SideData{{Type: 11, Data: data[:10]}, {Type: int(data[2]) % 40, Data: data[:k]}}
			}
			take(&p)
			data = data[k:]
		}
		take(nil)
		checkOrder(t, got)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if d.Held() != 0 || Handles() != before {
			t.Errorf("%d held, %d handles", d.Held(), Handles()-before)
		}
	})
}

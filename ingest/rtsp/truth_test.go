package rtsp_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/rtsp"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
)

func open(t *testing.T, address string, opt rtsp.Options) *rtsp.Source {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	src, err := rtsp.Open(ctx, address, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

// Each codec comes as the decoders take it, with its sound where it belongs.
func TestTruth(t *testing.T) {
	for _, c := range []struct {
		clip      string
		transport rtsp.Transport
		inBand    bool
	}{
		{"mp4-h264-aac", rtsp.TCP, false},
		{"mp4-h264-aac", rtsp.UDP, true},
		{"ts-hevc-aac", rtsp.TCP, true},
		{"webm-vp8-opus", rtsp.TCP, false},
		{"webm-vp9-opus", rtsp.TCP, false},
		{"mp4-av1-aac", rtsp.TCP, false},
		{"avi-mpeg4-pcm", rtsp.TCP, false},
		{"avi-mpeg4-pcm", rtsp.TCP, true},
		{"mov-pcm", rtsp.UDP, false},
		{"mp4-h264-mp3", rtsp.TCP, false},
		{"ts-ac3-late", rtsp.TCP, false},
		{"mp4-fragmented", rtsp.TCP, true},
	} {
		name := c.clip
		if c.inBand {
			name += " in band"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clip := mediatest.ByName(t, c.clip)
			checkTruth(t, clip, rtsptest.Load(t, clip.File), c.transport, c.inBand)
		})
	}
}

// Codecs that cameras have and files of today don't.
func TestOldCodecs(t *testing.T) {
	for name, args := range map[string]string{
		"mjpeg and mulaw": "-c:v mjpeg -huffman default -q:v 3 -pix_fmt yuvj420p -c:a pcm_mulaw -ar 16000 -ac 1",
		"mjpeg and alaw":  "-c:v mjpeg -huffman default -q:v 3 -pix_fmt yuvj420p -c:a pcm_alaw -ar 16000 -ac 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clip, m := encoded(t, args)
			checkTruth(t, clip, m, rtsp.TCP, false)
		})
	}
	t.Run("latm", func(t *testing.T) {
		t.Parallel()
		clip := mediatest.ByName(t, "mp4-h264-aac")
		m := rtsptest.Load(t, clip.File)
		for i := range m.Streams {
			if m.Streams[i].Codec == "aac" {
				m.Streams[i].Codec = "aac_latm"
			}
		}
		checkTruth(t, clip, m, rtsp.TCP, false)
	})
}

// encoded returns a clip encoded anew, which is as true as before.
func encoded(t *testing.T, args string) (mediatest.Clip, *rtsptest.Media) {
	t.Helper()
	ffmpeg, err := mediatest.FFmpeg()
	if err != nil {
		t.Fatal(err)
	}
	clip := mediatest.ByName(t, "mov-pcm")
	out := filepath.Join(t.TempDir(), "clip.mov")
	all := append(append([]string{"-v", "error", "-nostdin", "-i", clip.File}, strings.Fields(args)...), out)
	if b, err := exec.CommandContext(t.Context(), ffmpeg, all...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	m := rtsptest.Load(t, out)
	for _, s := range m.Streams {
		switch s.Kind {
		case ingest.Video:
			clip.Video = &mediatest.Video{W: clip.Video.W, H: clip.Video.H, Codec: s.Codec}
		case ingest.Audio:
			a := *clip.Audio
			a.Rate, a.Channels = s.SampleRate, s.Channels
			clip.Audio = &a
		}
	}
	return clip, m
}

// checkTruth plays m, which is as true as clip, and reads it over RTSP.
func checkTruth(t *testing.T, clip mediatest.Clip, m *rtsptest.Media, transport rtsp.Transport, inBand bool) {
	t.Helper()
	s := rtsptest.Start(t, m, rtsptest.Options{Speed: 8, UDP: transport == rtsp.UDP, InBand: inBand, SoundLate: 300 * ms})
	src := open(t, s.URL(), rtsp.Options{Transport: transport})
	kinds := map[ingest.Kind]bool{}
	for _, st := range src.Streams() {
		kinds[st.Kind] = true
		t.Logf("%s %dx%d %d Hz %d channels", st.Codec, st.Width, st.Height, st.SampleRate, st.Channels)
		if st.Kind == ingest.Video && (st.Width != clip.Video.W || st.Height != clip.Video.H || st.Codec != clip.Video.Codec) {
			t.Errorf("picture is %s %dx%d, want %+v", st.Codec, st.Width, st.Height, clip.Video)
		}
		if st.Kind == ingest.Audio && (st.SampleRate != clip.Audio.Rate || st.Channels != clip.Audio.Channels) {
			t.Errorf("sound is %s, %d Hz, %d channels, want %+v", st.Codec, st.SampleRate, st.Channels, clip.Audio)
		}
	}
	if !kinds[ingest.Video] || !kinds[ingest.Audio] {
		t.Fatalf("streams %v", kinds)
	}
	begin := time.Now()
	got := watch(t, src, func(m *media) bool {
		n := len(m.frames)
		return n > 0 && m.frames[n-1].At > 5*time.Second
	})
	took := time.Since(begin)
	bad := 0
	for _, f := range got.frames {
		if f.index < 0 {
			bad++
		}
	}
	if bad > 0 || got.stats.Errors > 0 {
		t.Errorf("%d of %d pictures can't be read, %d packets did not decode", bad, len(got.frames), got.stats.Errors)
	}
	t.Logf("%v, segs %v, %+v, %+v", took, got.segs(), src.Sync(), src.Damage())
	last := got.frames[len(got.frames)-1].Seg
	checkApart(t, got.apart(clip, func(seg uint32) bool { return seg != last }), 2)
	// The wall clock is the server's.
	for _, f := range got.frames {
		if w, exact := src.Wall(f.Stamp); f.Seg == last && (!exact || w.IsZero()) {
			t.Errorf("picture at %v happened at %v, exact %v", f.Stamp, w, exact)
		}
	}
}

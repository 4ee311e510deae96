package rtsp_test

import (
	"context"
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
			s := rtsptest.Start(t, rtsptest.Load(t, clip.File), rtsptest.Options{
				Speed: 8, UDP: c.transport == rtsp.UDP, InBand: c.inBand, SoundLate: 300 * ms,
			})
			src := open(t, s.URL(), rtsp.Options{Transport: c.transport})
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
			m := watch(t, src, func(m *media) bool {
				n := len(m.frames)
				return n > 0 && m.frames[n-1].At > 5*time.Second
			})
			took := time.Since(begin)
			bad := 0
			for _, f := range m.frames {
				if f.index < 0 {
					bad++
				}
			}
			if bad > 0 || m.stats.Errors > 0 {
				t.Errorf("%d of %d pictures can't be read, %d packets did not decode", bad, len(m.frames), m.stats.Errors)
			}
			t.Logf("%v, segs %v, %+v, %+v", took, m.segs(), src.Sync(), src.Damage())
			last := m.frames[len(m.frames)-1].Seg
			checkApart(t, m.apart(clip, func(seg uint32) bool { return seg != last }), 2)
			// The wall clock is the server's.
			for _, f := range m.frames {
				if w, exact := src.Wall(f.Stamp); f.Seg == last && (!exact || w.IsZero()) {
					t.Errorf("picture at %v happened at %v, exact %v", f.Stamp, w, exact)
				}
			}
		})
	}
}

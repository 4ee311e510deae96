package truthtest

import (
	"path/filepath"
	"testing"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
)

// Every real clip gives what was written down for it beforehand.
func TestShared(t *testing.T) {
	dir, want := mediatest.Shared(t)
	if dir == "" {
		t.Skip("the real clips are not beside this checkout")
	}
	for _, e := range want {
		t.Run(e.File, func(t *testing.T) { checkShared(t, filepath.Join(dir, e.File), e) })
	}
}

func checkShared(t *testing.T, path string, e mediatest.Expected) {
	m, err := read(t, path, [2]int{64, 64})
	failed := err != nil || len(m.frames) == 0 && len(m.sounds[own]) == 0
	if failed != (e.Exit == 3) {
		t.Fatalf("failed %v (%v), want exit code %d", failed, err, e.Exit)
	}
	if failed {
		return
	}
	if v := e.Video; v != nil {
		s := stream(t, m, ingest.Video, v.Stream)
		if s.Rotation != v.Rotation || s.Codec != v.Codec {
			t.Errorf("video is %s turned by %d, want %s, %d", s.Codec, s.Rotation, v.Codec, v.Rotation)
		}
		if int64(len(m.frames)) != v.Frames || m.stats.Frames != v.Frames {
			t.Fatalf("%d pictures, %d counted, want %d", len(m.frames), m.stats.Frames, v.Frames)
		}
		f := m.frames[0]
		if !near(f.At, v.StartNS, 1) || f.srcW != v.W || f.srcH != v.H {
			t.Errorf("first picture at %d ns, %dx%d, want %d, %dx%d", f.At, f.srcW, f.srcH, v.StartNS, v.W, v.H)
		}
	} else if len(m.frames) > 0 {
		t.Error("pictures from a clip without")
	}
	if a := e.Audio; a != nil {
		s := stream(t, m, ingest.Audio, a.Stream)
		if s.Codec != a.Codec || s.SampleRate != a.Rate || s.Channels != a.Channels {
			t.Errorf("audio is %s, %d Hz, %d channels, want %+v", s.Codec, s.SampleRate, s.Channels, a)
		}
		if d := m.stats.Samples - a.Samples; d < -1 || d > 1 {
			t.Errorf("%d samples, want %d", m.stats.Samples, a.Samples)
		}
		if at := m.sounds[own][0].At; !near(at, a.StartNS, 1) {
			t.Errorf("sound starts at %d ns, want %d", at, a.StartNS)
		}
		if !near(m.stats.AudioGaps, a.MissingNS, 1e6) {
			t.Errorf("%v of sound missing, want %d ns", m.stats.AudioGaps, a.MissingNS)
		}
	} else if len(m.sounds[own]) > 0 {
		t.Error("sound from a clip without")
	}
}

func stream(t *testing.T, m *media, kind ingest.Kind, index int) ingest.Stream {
	t.Helper()
	for _, s := range m.streams {
		if s.Kind == kind {
			if s.Index != index {
				t.Errorf("%s is stream %d, want %d", kind, s.Index, index)
			}
			return s
		}
	}
	t.Fatalf("no %s stream", kind)
	return ingest.Stream{}
}

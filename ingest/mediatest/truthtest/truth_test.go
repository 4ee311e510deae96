package truthtest

import (
	"math"
	"testing"
	"time"

	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/ingest/mediatest"
)

// Every clip gives the right picture at every stamp and every click at its
// sample.
func TestTruth(t *testing.T) {
	for _, c := range mediatest.Clips(t) {
		t.Run(c.Name, func(t *testing.T) {
			var size [2]int
			if c.Video != nil {
				size = [2]int{c.Video.W, c.Video.H}
			}
			m, err := read(t, c.File, size)
			if err != nil {
				t.Fatal(err)
			}
			checkStreams(t, c, m)
			checkFrames(t, c, m)
			if c.Audio != nil {
				checkSound(t, c, m)
				checkClicks(t, c, m)
			} else if len(m.sounds[own]) > 0 {
				t.Error("sound from a clip without")
			}
		})
	}
	if n, k := av.Handles(), ffmpeg.Handles(); n != 0 || k != 0 {
		t.Errorf("%d demuxers and %d codecs are alive", n, k)
	}
}

func near(got time.Duration, want, tol int64) bool {
	d := int64(got) - want
	return d >= -tol && d <= tol
}

func checkStreams(t *testing.T, c mediatest.Clip, m *media) {
	t.Helper()
	seen := 0
	for _, s := range m.streams {
		switch s.Kind {
		case ingest.Video:
			seen++
			if c.Video == nil || s.Codec != c.Video.Codec || s.Rotation != c.Video.Rotation {
				t.Errorf("video stream is %s, turned by %d, want %+v", s.Codec, s.Rotation, c.Video)
			}
		case ingest.Audio:
			seen++
			if a := c.Audio; a == nil || s.Codec != a.Codec || s.SampleRate != a.Rate || s.Channels != a.Channels {
				t.Errorf("audio stream is %s, %d Hz, %d channels, want %+v", s.Codec, s.SampleRate, s.Channels, c.Audio)
			}
		}
	}
	want := 0
	if c.Video != nil {
		want++
	}
	if c.Audio != nil {
		want++
	}
	if seen != want {
		t.Errorf("%d streams, want %d", seen, want)
	}
	segs := max(len(c.Segs), 1)
	for kind, n := range m.ends {
		if n != segs {
			t.Errorf("%d ends of %s, want %d", n, kind, segs)
		}
	}
}

func checkFrames(t *testing.T, c mediatest.Clip, m *media) {
	t.Helper()
	got := m.frames
	if c.Video != nil && c.Video.Partial >= 0 && len(got) == len(c.Frames)+1 {
		got = got[:len(got)-1]
	}
	if len(got) != len(c.Frames) {
		t.Errorf("%d pictures, want %d", len(got), len(c.Frames))
		return
	}
	bad := 0
	for i, f := range c.Frames {
		g := got[i]
		at := g.At
		if f.Seg > 0 {
			at -= m.zero(uint32(f.Seg))
		}
		if g.index != f.Index || int(g.Seg) != f.Seg || !near(at, f.PTS, 1) {
			if bad++; bad < 5 {
				t.Errorf("picture %d shows %d at %d ns of seg %d, want %d at %d of %d", i, g.index, at, g.Seg, f.Index, f.PTS, f.Seg)
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d pictures are wrong", bad, len(got))
	}
	if v := c.Video; v != nil {
		last := [2]int{v.W, v.H}
		if n := len(v.Sizes); n > 0 {
			last = v.Sizes[n-1]
		}
		for g, want := range map[shown][2]int{got[0]: {v.W, v.H}, got[len(got)-1]: last} {
			if g.srcW != want[0] || g.srcH != want[1] {
				t.Errorf("picture at %v was %dx%d, want %v", g.At, g.srcW, g.srcH, want)
			}
		}
		if n := int64(len(m.frames)); m.stats.Frames != n {
			t.Errorf("%d frames counted, %d delivered", m.stats.Frames, n)
		}
	}
}

func checkSound(t *testing.T, c mediatest.Clip, m *media) {
	t.Helper()
	a := c.Audio
	var total int64
	for _, h := range m.sounds[own] {
		total += int64(len(h.samples))
	}
	if d := total - a.Samples; d < -1 || d > 1 {
		t.Errorf("%d samples, want %d", total, a.Samples)
	}
	if d := m.stats.Samples - a.Samples; d < -1 || d > 1 {
		t.Errorf("%d samples counted, want %d", m.stats.Samples, a.Samples)
	}
	if len(m.sounds[own]) == 0 || len(m.sounds[mono]) == 0 {
		t.Fatal("no sound")
	}
	for _, list := range m.sounds {
		if at := list[0].At; !near(at, a.StartNS, 1+a.StartTolNS) {
			t.Errorf("sound starts at %d ns, want %d", at, a.StartNS)
		}
	}
	// The length of the resampled sound is that of the source, stretch by stretch.
	if len(m.sounds[own]) == len(m.sounds[mono]) {
		for i, h := range m.sounds[own] {
			want := float64(len(h.samples)) * monoRate / float64(h.rate)
			if got := float64(len(m.sounds[mono][i].samples)); math.Abs(got-want) > 1 {
				t.Errorf("stretch %d has %v samples at %d Hz, want %v", i, got, monoRate, want)
			}
		}
	} else {
		t.Errorf("%d stretches of sound, resampled %d", len(m.sounds[own]), len(m.sounds[mono]))
	}
	var missing int64
	for _, h := range a.Holes {
		missing += h.DurNS
	}
	// A hole's place is known to the container's tick, at worst a millisecond.
	if !near(m.stats.AudioGaps, missing, 1e6) {
		t.Errorf("%v of sound missing, want %v", m.stats.AudioGaps, time.Duration(missing))
	}
	if got, want := len(m.sounds[own]), 1+len(a.Holes)+max(len(c.Segs)-1, 0); got != want {
		for _, h := range m.sounds[own] {
			t.Logf("sound from %v to %v", h.Stamp, h.end())
		}
		t.Errorf("%d stretches of sound, want %d", got, want)
	}
}

func checkClicks(t *testing.T, c mediatest.Clip, m *media) {
	t.Helper()
	for i, k := range c.Clicks {
		if !ownClick(c, m, k) {
			t.Errorf("click %d is not at sample %d of seg %d, %d ns", i, k.Sample, k.Seg, k.T)
		}
		if got, ok := monoClick(c, m, k); !ok || math.Abs(got) > 1 {
			t.Errorf("click %d is %.2f samples off at %d Hz (%v)", i, got, monoRate, ok)
		}
		if k.Frame < 0 {
			continue
		}
		// The picture at the click, by the stamps that came out.
		index := -1
		for _, f := range m.frames {
			at := f.At
			if k.Seg > 0 {
				at -= m.zero(f.Seg)
			}
			if int(f.Seg) == k.Seg && int64(at) <= k.T {
				index = f.index
			}
		}
		if index != k.Frame {
			t.Errorf("click %d at %d ns falls on picture %d, want %d", i, k.T, index, k.Frame)
		}
	}
}

// ownClick reports whether the click is at its sample, at its time.
func ownClick(c mediatest.Clip, m *media, k mediatest.Click) bool {
	var before int64
	for _, h := range m.sounds[own] {
		n := k.Sample - before
		before += int64(len(h.samples))
		if n < 0 || n >= int64(len(h.samples)) {
			continue
		}
		at := h.At + ingest.SampleTime(n, h.rate)
		if k.Seg > 0 {
			at -= m.zero(h.Seg)
		}
		if int(h.Seg) != k.Seg || h.rate != k.Rate || !near(at, k.T, int64(ingest.SampleTime(1, k.Rate))+c.Audio.StartTolNS+1) {
			return false
		}
		if c.Audio.Lossless {
			return math.Abs(float64(h.samples[n])-mediatest.Amplitude) < 0.01
		}
		d := mediatest.Locate(h.samples, mediatest.Pulse(k.Rate), int(n), k.Rate/50) - int(n)
		return d >= -1 && d <= 1
	}
	return false
}

// monoClick returns how far from its true time the click lies in the resampled
// sound, in samples.
func monoClick(c mediatest.Clip, m *media, k mediatest.Click) (float64, bool) {
	for _, h := range m.sounds[mono] {
		base := h.At
		if k.Seg > 0 {
			base -= m.zero(h.Seg)
		}
		if int(h.Seg) != k.Seg {
			continue
		}
		// A container that rounds the start says so; within the sound counts.
		if base == h.At && c.Audio.StartTolNS > 0 {
			base += time.Duration(c.Audio.StartNS) - m.sounds[mono][0].At
		}
		want := float64(k.T-int64(base)) * monoRate / 1e9
		n := int(math.Round(want))
		if n < 0 || n >= len(h.samples) {
			continue
		}
		if !c.Audio.Lossless {
			return float64(mediatest.Locate(h.samples, mediatest.Pulse(monoRate), n, monoRate/50)) - want, true
		}
		best := n
		for i := max(n-monoRate/50, 0); i < min(n+monoRate/50, len(h.samples)); i++ {
			if math.Abs(float64(h.samples[i])) > math.Abs(float64(h.samples[best])) {
				best = i
			}
		}
		return float64(best) - want, true
	}
	return 0, false
}

package av

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
)

// Every packet of every selected stream is what ffprobe shows of it, and its place
// on the clock is ffprobe's stamp less the earliest start.
func TestAgreesWithFFprobe(t *testing.T) {
	for name := range recipes {
		t.Run(name, func(t *testing.T) { agree(t, clip(t, name)) })
	}
}

func TestSharedMediaAgreesWithFFprobe(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "media")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Skip("no shared clips here")
	}
	for _, f := range files {
		if f.Name() == "README.md" || f.Name() == "chunk_out_of_range.mp4" {
			continue // not media, and not readable: see TestErrors
		}
		t.Run(f.Name(), func(t *testing.T) { agree(t, filepath.Join(dir, f.Name())) })
	}
}

func agree(t *testing.T, path string) {
	s := open(t, path, DefaultOptions())
	got := all(t, s)
	want := ffprobe(t, path)

	zero, timebase := ingest.NoTime, map[int]string{}
	for _, st := range want.Streams {
		timebase[st.Index] = st.Timebase
		if (st.Kind == "video" || st.Kind == "audio") && st.Start != nil && st.Disposition.Cover == 0 {
			start := *st.Start
			if rate, err := strconv.Atoi(st.SampleRate); err == nil && st.Codec == "opus" && strings.HasPrefix(s.Format(), "matroska") {
				// In whole ticks of a millisecond, as the container has it.
				start += int64(math.Round(float64(st.Priming) / float64(rate) * 1000))
			}
			if at := nanoseconds(t, start, st.Timebase); zero == ingest.NoTime || at < zero {
				zero = at
			}
		}
	}
	if zero == ingest.NoTime {
		zero = 0
	}
	reads := map[int]bool{}
	for _, st := range s.Streams() {
		reads[st.Index] = true
		w := want.Streams[st.Index]
		if st.Kind.String() != w.Kind || st.Codec != w.Codec || st.Width != w.Width || st.Height != w.Height || len(st.Extra) != w.ExtraSize {
			t.Errorf("stream %d is %s %s %d×%d with %d bytes extra, want %+v", st.Index, st.Kind, st.Codec, st.Width, st.Height, len(st.Extra), w)
		}
		if st.Kind == ingest.Audio && (strconv.Itoa(st.SampleRate) != w.SampleRate || st.Channels != w.Channels) {
			t.Errorf("stream %d has %d channels at %d Hz, want %d at %s", st.Index, st.Channels, st.SampleRate, w.Channels, w.SampleRate)
		}
		rotation := 0
		for _, sd := range w.Side {
			if sd.Rotation != nil {
				rotation = ((int(-*sd.Rotation) % 360) + 360) % 360
			}
		}
		if st.Rotation != rotation {
			t.Errorf("stream %d is turned by %d, want %d", st.Index, st.Rotation, rotation)
		}
	}

	i := 0
	for _, w := range want.Packets {
		if !reads[w.Stream] {
			continue
		}
		if i == len(got) {
			t.Fatalf("only %d packets came", i)
		}
		p := got[i]
		place := func(ticks *int64) time.Duration {
			if ticks == nil {
				return ingest.NoTime
			}
			return nanoseconds(t, *ticks, timebase[w.Stream]) - zero
		}
		pts, dts := place(w.PTS), place(w.DTS)
		if w.PTS == nil && w.DTS == nil {
			dts = p.DTS // the clock has put it where it is expected
		}
		if p.Stream != w.Stream || p.PTS != pts || p.DTS != dts || strconv.Itoa(len(p.Data)) != w.Size {
			t.Fatalf("packet %d: stream %d at %v, %v, %d bytes; want stream %d at %v, %v, %s bytes", i, p.Stream, p.PTS, p.DTS, len(p.Data), w.Stream, pts, dts, w.Size)
		}
		if w.Duration != nil && p.Dur != nanoseconds(t, *w.Duration, timebase[w.Stream]) {
			t.Errorf("packet %d lasts %v, want %d ticks of %s", i, p.Dur, *w.Duration, timebase[w.Stream])
		}
		if p.Key != strings.Contains(w.Flags, "K") || p.Corrupt != strings.Contains(w.Flags, "C") || p.Discard != strings.Contains(w.Flags, "D") {
			t.Errorf("packet %d: key %v, corrupt %v, discard %v; want %q", i, p.Key, p.Corrupt, p.Discard, w.Flags)
		}
		if len(p.Side) != len(w.Side) {
			t.Errorf("packet %d has %d pieces of side data, want %v", i, len(p.Side), w.Side)
		}
		if p.Seg != 0 {
			t.Errorf("packet %d is in Seg %d", i, p.Seg)
		}
		i++
	}
	if i != len(got) {
		t.Fatalf("%d packets came, want %d", len(got), i)
	}
}

func TestStreamsInFull(t *testing.T) {
	s := open(t, clip(t, "ntsc.mov"), DefaultOptions())
	st := s.Streams()
	if len(st) != 2 {
		t.Fatalf("%d streams", len(st))
	}
	v, a := st[0], st[1]
	if v.FrameRate != (ingest.Timebase{Num: 30000, Den: 1001}) || v.Timebase.Num != 1 || v.Reorder == 0 || len(v.Extra) == 0 || v.Tag == 0 || v.Profile <= 0 {
		t.Errorf("%+v", v)
	}
	if a.Codec != "pcm_s16le" || a.ChannelMask != 4 || a.BitsPerCodedSample != 16 || a.SampleRate != 44100 {
		t.Errorf("%+v", a)
	}
	if a := open(t, clip(t, "tone.wav"), DefaultOptions()).Streams()[0]; a.BlockAlign != 2 || a.BitsPerCodedSample != 16 {
		t.Errorf("%+v", a)
	}
	if d := s.Duration(); d < 1990*time.Millisecond || d > 2010*time.Millisecond {
		t.Errorf("duration %v", d)
	}
	if !strings.HasPrefix(s.Format(), "mov") || s.Live() {
		t.Errorf("%s, live %v", s.Format(), s.Live())
	}
}

// An edit list that begins inside a group of pictures: what lies before it is
// marked, and the first picture that is shown is at zero.
func TestEditListInsideGroup(t *testing.T) {
	marked, first := 0, ingest.NoTime
	for _, p := range all(t, open(t, clip(t, "cut.mp4"), DefaultOptions())) {
		switch {
		case p.Stream != 0:
		case p.Discard:
			marked++
		case first == ingest.NoTime || p.PTS < first:
			first = p.PTS
		}
	}
	if marked == 0 || first != 0 {
		t.Fatalf("%d packets are marked, the first picture is at %v", marked, first)
	}
}

// The side data of an AAC track in MP4 and of Opus say how much to skip.
func TestSkipSamples(t *testing.T) {
	const skipSamples = 11 // AV_PKT_DATA_SKIP_SAMPLES
	for name, want := range map[string]uint32{"bframes.mp4": 1024, "opus.ogg": 312} {
		opt := DefaultOptions()
		opt.VideoStream = None
		p := all(t, open(t, clip(t, name), opt))[0]
		if len(p.Side) != 1 || p.Side[0].Type != skipSamples {
			t.Fatalf("%s: side data %v", name, p.Side)
		}
		b := p.Side[0].Data
		if n := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24; n != want {
			t.Errorf("%s: skip %d, want %d", name, n, want)
		}
		if p.PTS >= 0 && name == "bframes.mp4" {
			t.Errorf("%s: priming at %v", name, p.PTS)
		}
	}
}

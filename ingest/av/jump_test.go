package av

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
)

// offset makes an MPEG-TS whose stamps begin so many seconds later.
func offset(t *testing.T, name, seconds string) []byte {
	t.Helper()
	ffmpeg(t, "-v", "error", "-nostdin", "-y", "-i", clip(t, "mpeg2.ts"), "-c", "copy", "-output_ts_offset", seconds, name)
	return read(t, filepath.Join(clipDir, name))
}

// span is what a Seg presents of one stream.
type span struct {
	packets    int
	start, end time.Duration
}

func spans(packets []ingest.Packet) map[int][]span {
	out := map[int][]span{}
	for _, p := range packets {
		for len(out[p.Stream]) <= int(p.Seg) {
			out[p.Stream] = append(out[p.Stream], span{start: 1 << 62})
		}
		s := &out[p.Stream][p.Seg]
		s.packets++
		s.start, s.end = min(s.start, p.PTS), max(s.end, p.PTS+p.Dur)
	}
	return out
}

// Recordings joined end to end: the stamps jump forwards, then backwards. Each
// recording is a Seg with the same inner times, laid behind the one before.
func TestJumps(t *testing.T) {
	var b []byte
	for i, seconds := range []string{"100", "5000", "10"} {
		b = append(b, offset(t, "jump"+string(rune('a'+i))+".ts", seconds)...)
	}
	path := filepath.Join(t.TempDir(), "jumps.ts")
	write(t, path, b)
	alone := spans(all(t, open(t, clip(t, "mpeg2.ts"), DefaultOptions())))
	end := max(alone[0][0].end, alone[1][0].end)
	got := spans(all(t, open(t, path, DefaultOptions())))
	for stream, one := range alone {
		if len(got[stream]) != 3 {
			t.Fatalf("stream %d has %d Segs", stream, len(got[stream]))
		}
		for seg, s := range got[stream] {
			shift := time.Duration(seg) * end
			// The last packet of a recording may lack the parser's duration.
			if s.packets < one[0].packets-1 || s.packets > one[0].packets {
				t.Errorf("stream %d, Seg %d: %d packets, want %d", stream, seg, s.packets, one[0].packets)
			}
			if d := s.start - shift - one[0].start; d < -time.Millisecond || d > time.Millisecond {
				t.Errorf("stream %d, Seg %d begins at %v, want %v", stream, seg, s.start, shift+one[0].start)
			}
		}
	}
}

// A recording across the wrap of 33 bits is one Seg with the times that it has
// elsewhere.
func TestWrap(t *testing.T) {
	b := offset(t, "wrap.ts", "95441.3") // 2^33/90000 is 95443.7; the muxer adds 1.4
	path := filepath.Join(t.TempDir(), "wrap.ts")
	write(t, path, b)
	before, after := false, false // libavformat counts from the wrap
	for _, p := range ffprobe(t, path).Packets {
		before = before || p.PTS != nil && *p.PTS < 0
		after = after || p.PTS != nil && *p.PTS >= 0
	}
	if !before || !after {
		t.Fatal("this clip does not wrap")
	}
	want := all(t, open(t, clip(t, "mpeg2.ts"), DefaultOptions()))
	got := all(t, open(t, path, DefaultOptions()))
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i, p := range got {
		w := want[i]
		if d := p.PTS - w.PTS; p.Seg != 0 || d < -20*time.Microsecond || d > 20*time.Microsecond {
			t.Fatalf("packet %d: Seg %d at %v, want 0 at %v", i, p.Seg, p.PTS, w.PTS)
		}
	}
}

// A second recording with other pictures follows in the same FLV: its codec
// configuration comes with the first of its packets.
func TestNewConfiguration(t *testing.T) {
	const newExtradata = 1 // AV_PKT_DATA_NEW_EXTRADATA
	ffmpeg(t, append(strings.Fields("-v error -nostdin -y -f lavfi -i testsrc2=size=160x128:rate=25:duration=2 "+tone44+bframes+" -c:a aac"), "larger.flv")...)
	first, second := read(t, clip(t, "h264.flv")), read(t, filepath.Join(clipDir, "larger.flv"))
	path := filepath.Join(t.TempDir(), "both.flv")
	write(t, path, append(bytes.Clone(first), second[9+4:]...)) // without its header
	var at []uint32
	for _, p := range all(t, open(t, path, DefaultOptions())) {
		for _, sd := range p.Side {
			if sd.Type == newExtradata && p.Stream == 0 {
				at = append(at, p.Seg)
				if !p.Key || len(sd.Data) == 0 {
					t.Errorf("key %v, %d bytes", p.Key, len(sd.Data))
				}
			}
		}
	}
	if len(at) != 1 || at[0] != 1 {
		t.Fatalf("new configurations in the Segs %v, want one in Seg 1", at)
	}
}

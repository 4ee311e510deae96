package av

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
)

// Whatever the bytes are, opening and reading them ends, gives packets of known
// streams in order, and leaves nothing behind.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{"tone.flac", "opus.ogg", "vp9.webm", "video.mp4", "raw.h264"} {
		b := read(f, clip(f, name))
		f.Add(b[:min(len(b), 6000)], name[strings.LastIndexByte(name, '.'):])
	}
	f.Add([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"), ".m3u8")
	f.Add([]byte("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x44\xac\x00\x00\x88\x58\x01\x00\x02\x00\x10\x00data\x00\x00\x00\x00"), ".wav")
	f.Fuzz(func(t *testing.T, b []byte, ext string) {
		opt := DefaultOptions()
		opt.Reader = bytes.NewReader(b)
		opt.ReadTimeout = 5 * time.Second
		opt.MaxPixels = 1 << 20
		before := Handles()
		s, err := Open(t.Context(), "fuzz"+ext, opt)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than a line: %v", err)
			}
		} else {
			known := map[int]bool{}
			for _, st := range s.Streams() {
				known[st.Index] = true
			}
			seg := map[int]uint32{}
			for range 100_000 {
				var p ingest.Packet
				if p, err = s.Read(t.Context()); err != nil {
					break
				}
				if !known[p.Stream] || p.Seg < seg[p.Stream] {
					t.Fatalf("stream %d, Seg %d after %d", p.Stream, p.Seg, seg[p.Stream])
				}
				seg[p.Stream] = p.Seg
			}
			if err != nil && !errors.Is(err, io.EOF) && strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than a line: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if n := Handles(); n != before {
			t.Fatalf("%d C handles are left", n-before)
		}
	})
}

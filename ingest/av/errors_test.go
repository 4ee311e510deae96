package av

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seehear/seehear/ingest"
)

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("empty.mp4"), nil)
	write(t, path("text.txt"), []byte("Some prose that is not media.\n"))
	write(t, path("text.mp4"), []byte(strings.Repeat("Some prose that is not media.\n", 100)))
	random := make([]byte, 10000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	write(t, path("random.bin"), random)
	long := read(t, clip(t, "moovlast.mp4"))
	write(t, path("noindex.mp4"), long[:len(long)/2])
	write(t, path("list.ffconcat"), []byte("ffconcat version 1.0\nfile /etc/passwd\n"))

	tests := []struct {
		input, want string
		is          error
	}{
		{path("missing.mp4"), "ingest: open " + path("missing.mp4") + ": no such file", fs.ErrNotExist},
		{path("missing/x.mp4"), "no such file", fs.ErrNotExist},
		{path("text.txt") + "/x.mp4", "not a directory", nil},
		{dir, "it is a folder, not a file", nil},
		{path("empty.mp4"), "empty, zero bytes", nil},
		{path("text.txt"), "not a media file that FFmpeg can read", nil},
		{path("text.mp4"), "not a media file that FFmpeg can read", nil},
		{path("random.bin"), "not a media file that FFmpeg can read", nil},
		{path("list.ffconcat"), "not a media file that FFmpeg can read (it looks like concat)", nil},
		{path("noindex.mp4"), "damaged: FFmpeg can't read it as mov", nil},
		{"/dev/null", "empty", nil},
		{path("line\nand \x1b[31mcolour.mp4"), `line\nand \x1b[31mcolour.mp4: no such file`, fs.ErrNotExist},
	}
	for _, tt := range tests {
		_, err := Open(t.Context(), tt.input, DefaultOptions())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", tt.input, err, tt.want)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v is not %v", tt.input, err, tt.is)
		}
	}
	// Root may read everything, so the error is made by hand.
	err := plainError(&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission})
	if err.Error() != "no permission to read it" || !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

func TestStreamSelection(t *testing.T) {
	cover := filepath.Join(clipDir, "cover.m4a")
	ffmpeg(t, strings.Fields("-v error -nostdin -y "+tone+" -f lavfi -i testsrc2=size=64x64:rate=1:duration=1 -map 0 -map 1 -c:a aac -c:v mjpeg -pix_fmt yuvj420p -disposition:v attached_pic -f mp4 "+cover)...)
	three := clip(t, "three.mkv") // 0 video, 1 audio, 2 larger video, 3 audio
	tests := []struct {
		input        string
		video, audio int
		want         []int
		err          string
	}{
		{three, Best, Best, []int{0, 1}, ""},
		{three, 0, 3, []int{0, 3}, ""},
		{three, None, 3, []int{3}, ""},
		{three, 2, None, []int{2}, ""},
		{three, 1, Best, nil, "stream 1 is not video, it is audio"},
		{three, Best, 0, nil, "stream 0 is not audio, it is video"},
		{three, 4, Best, nil, "no stream 4: it has streams 0 to 3"},
		{three, Best, -3, nil, "no stream -3"},
		{three, None, None, nil, "neither video nor audio is wanted"},
		{cover, Best, Best, []int{0}, ""},
		{cover, 1, Best, nil, "it is a cover picture"},
		{cover, Best, None, nil, "holds no audio or video: no video stream"},
		{clip(t, "video.mp4"), None, Best, nil, "holds no audio or video: no audio stream"},
		{clip(t, "video.mp4"), Best, Best, []int{0}, ""},
	}
	for _, tt := range tests {
		opt := DefaultOptions()
		opt.VideoStream, opt.AudioStream = tt.video, tt.audio
		s, err := Open(t.Context(), tt.input, opt)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s %d %d: %v, want %q", tt.input, tt.video, tt.audio, err, tt.err)
			}
			if strings.Contains(tt.err, "holds no") && !errors.Is(err, ingest.ErrNoMedia) {
				t.Errorf("%v is not ErrNoMedia", err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		var got []int
		for _, st := range s.Streams() {
			got = append(got, st.Index)
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s %d %d: streams %v, want %v", tt.input, tt.video, tt.audio, got, tt.want)
		}
		for i := range count(all(t, s)) {
			if !strings.Contains(fmt.Sprint(tt.want), fmt.Sprint(i)) {
				t.Errorf("a packet of stream %d came", i)
			}
		}
		_ = s.Close()
	}
}

// A header that declares a picture 65,536 pixels wide is refused as it stands:
// the packets say otherwise, so nothing was decoded to find out.
func TestHugePicture(t *testing.T) {
	b := bytes.Clone(read(t, clip(t, "mpeg4.avi")))
	at := bytes.Index(b, []byte("strf"))
	if at < 0 || binary.LittleEndian.Uint32(b[at+12:]) != 96 {
		t.Fatal("this is not where the width lies")
	}
	for width, want := range map[uint32]string{65536: "65536×64", 96: ""} {
		binary.LittleEndian.PutUint32(b[at+12:], width)
		path := filepath.Join(t.TempDir(), "huge.avi")
		write(t, path, b)
		err := readAll(t, path, DefaultOptions())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d wide: %v", width, err)
		}
	}
	opt := DefaultOptions()
	opt.MaxPixels = 96*64 - 1
	if err := readAll(t, clip(t, "video.mp4"), opt); err == nil || !strings.Contains(err.Error(), "96×64") {
		t.Errorf("%v", err)
	}
	opt = DefaultOptions()
	opt.MaxStreams = 2
	if err := readAll(t, clip(t, "three.mkv"), opt); err == nil || !strings.Contains(err.Error(), "more than 2 streams") {
		t.Errorf("four streams and a limit of two: %v", err)
	}
}

// A file that was cut gives the packets that are there and then ends; that the
// tail is missing is known.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"long.mp4", "tone.wav", "tone.flac", "mpeg4.avi", "flac.mkv", "h264.ts", "mpeg2.ts", "opus.ogg", "h264.flv", "frag.mp4"} {
		t.Run(name, func(t *testing.T) {
			b := read(t, clip(t, name))
			whole := open(t, clip(t, name), DefaultOptions())
			full := all(t, whole)
			if d := whole.Damage(); d.Truncated || d.Places != 0 {
				t.Errorf("the whole file: %+v", d)
			}
			path := filepath.Join(t.TempDir(), name)
			write(t, path, b[:len(b)*6/10])
			s := open(t, path, DefaultOptions())
			got := all(t, s)
			if n := len(got); n < len(full)*4/10 || n >= len(full) {
				t.Errorf("%d of %d packets", n, len(full))
			}
			for i, p := range got[:len(got)-8] {
				if f := full[i]; p.Stream != f.Stream || p.PTS != f.PTS || !bytes.Equal(p.Data, f.Data) {
					t.Fatalf("packet %d differs from that of the whole file", i)
				}
			}
			d := s.Damage()
			t.Logf("%d of %d packets, %+v", len(got), len(full), d)
			switch name {
			case "tone.wav", "mpeg4.avi": // these count bytes, not time
				if !d.Truncated {
					t.Errorf("%+v", d)
				}
			case "long.mp4", "tone.flac", "flac.mkv":
				want := whole.Duration() - whole.Duration()*6/10
				if !d.Truncated || d.Missing < want/2 || d.Missing > want*3/2 {
					t.Errorf("%+v, want about %v missing", d, want)
				}
			}
		})
	}
}

// Damage in the middle costs what it hits, and no more: at least as much comes as
// ffprobe gets.
func TestCorruptMiddle(t *testing.T) {
	for _, name := range []string{"long.mp4", "flac.mkv", "h264.ts", "mpeg4.avi", "mpeg1.mpg", "tone.flac", "opus.ogg"} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(read(t, clip(t, name)))
			full := all(t, open(t, clip(t, name), DefaultOptions()))
			rng := rand.New(rand.NewPCG(3, 4))
			for i := len(b) * 45 / 100; i < len(b)*50/100; i++ {
				b[i] = byte(rng.Uint32())
			}
			path := filepath.Join(t.TempDir(), name)
			write(t, path, b)
			s := open(t, path, DefaultOptions())
			got := all(t, s)
			if want := len(ffprobe(t, path).Packets); len(got) < want {
				t.Errorf("%d packets, ffprobe gets %d", len(got), want)
			}
			t.Logf("%d of %d packets, %+v", len(got), len(full), s.Damage())
		})
	}
}

type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

// An error of reading is not the end of the file.
func TestReadError(t *testing.T) {
	broken := errors.New("the disk is broken")
	for _, name := range []string{"h264.ts", "flac.mkv", "long.mp4", "tone.wav"} {
		b := read(t, clip(t, name))
		opt := DefaultOptions()
		opt.ProbeSize = int64(len(b) / 4)
		opt.Reader = &failing{bytes.NewReader(b[:len(b)/2]), broken}
		s := open(t, name, opt)
		n := 0
		for {
			_, err := s.Read(t.Context())
			if err == nil {
				n++
				continue
			}
			if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "ingest: read "+name+": ") {
				t.Errorf("%s: %v", name, err)
			}
			break
		}
		if n == 0 {
			t.Errorf("%s: no packet came before the error", name)
		}
	}
	opt := DefaultOptions()
	opt.Reader = &failing{bytes.NewReader(nil), broken}
	if _, err := Open(t.Context(), "x", opt); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestReadAfterClose(t *testing.T) {
	s, err := Open(t.Context(), clip(t, "tone.wav"), DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Read(t.Context()); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
}

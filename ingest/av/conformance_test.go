package av

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/sourcetest"
)

func TestConformance(t *testing.T) {
	for _, name := range []string{"bframes.mp4", "vp8.webm", "h264.ts", "mpeg4.avi", "tone.wav", "raw.h264", "list.m3u8", "secret.m3u8"} {
		t.Run(name, func(t *testing.T) {
			path := clip(t, name)
			sourcetest.Run(t, func(t testing.TB) ingest.Source { return opened(t, path, DefaultOptions()) })
		})
	}
	server := files(t)
	for _, name := range []string{"moovlast.mp4", "flac.mkv", "list.m3u8", "single.m3u8", "secret.m3u8"} {
		t.Run("http "+name, func(t *testing.T) {
			clip(t, name)
			sourcetest.Run(t, func(t testing.TB) ingest.Source { return opened(t, server.URL+"/"+name, DefaultOptions()) })
		})
	}
	t.Run("stdin", func(t *testing.T) {
		b := read(t, clip(t, "flac.mkv"))
		sourcetest.Run(t, func(t testing.TB) ingest.Source {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = w.Write(b); _ = w.Close() }()
			t.Cleanup(func() { _ = r.Close() })
			opt := DefaultOptions()
			opt.stdin = int(r.Fd())
			return opened(t, "-", opt)
		})
	})
	t.Run("reader", func(t *testing.T) {
		path := clip(t, "h264.ts")
		sourcetest.Run(t, func(t testing.TB) ingest.Source {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			opt := DefaultOptions()
			opt.Reader = f
			return opened(t, "clip.ts", opt)
		})
	})
}

// opened opens an input for the suite, which closes it.
func opened(t testing.TB, input string, opt Options) ingest.Source {
	t.Helper()
	s, err := Open(t.Context(), input, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files serves the clips.
func files(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.FileServer(http.Dir(clipDir)))
	t.Cleanup(s.Close)
	return s
}

// Inputs that stall: a pipe, a server and a reader that give the beginning and
// then nothing.
func TestBlocked(t *testing.T) {
	b := read(t, clip(t, "h264.ts"))
	part := b[:len(b)*3/4]
	opt := DefaultOptions()
	opt.ProbeSize = int64(len(part) / 2)

	t.Run("pipe", func(t *testing.T) {
		sourcetest.Blocked(t, func(t testing.TB) ingest.Source {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() { defer close(done); _, _ = w.Write(part) }()
			t.Cleanup(func() { _ = r.Close(); _ = w.Close(); <-done })
			o := opt
			o.stdin = int(r.Fd())
			return opened(t, "-", o)
		})
	})
	t.Run("http", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000000")
			_, _ = w.Write(part)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}))
		t.Cleanup(server.Close)
		sourcetest.Blocked(t, func(t testing.TB) ingest.Source { return opened(t, server.URL, opt) })
	})
	t.Run("reader", func(t *testing.T) {
		sourcetest.Blocked(t, func(t testing.TB) ingest.Source {
			r, w, err := os.Pipe() // of Go's os: it is closed to end it
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() { defer close(done); _, _ = w.Write(part) }()
			t.Cleanup(func() { _ = w.Close(); <-done })
			o := opt
			o.Reader = r
			return opened(t, "reader.ts", o)
		})
	})
	t.Run("named pipe", func(t *testing.T) {
		sourcetest.Blocked(t, func(t testing.TB) ingest.Source {
			path := filepath.Join(t.TempDir(), "pipe")
			w := fifo(t, path)
			done := make(chan struct{})
			go func() { defer close(done); _, _ = w.Write(part) }()
			t.Cleanup(func() { _ = w.Close(); <-done })
			return opened(t, path, opt)
		})
	})
}

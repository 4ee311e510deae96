package av

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// serve starts a server that a test ends.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet()
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// The same packets come over HTTP as from the file: with ranges, without, and
// over connections that break.
func TestHTTPGivesWhatTheFileGives(t *testing.T) {
	last, first := read(t, clip(t, "moovlast.mp4")), read(t, clip(t, "long.mp4"))
	content := func(w http.ResponseWriter, r *http.Request, b []byte) {
		http.ServeContent(w, r, "a.mp4", time.Time{}, bytes.NewReader(b))
	}
	tests := map[string]struct {
		file    string
		handler http.HandlerFunc
	}{
		"ranges, index at the end": {"moovlast.mp4", func(w http.ResponseWriter, r *http.Request) { content(w, r, last) }},
		"no ranges": {"long.mp4", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(first)))
			_, _ = w.Write(first)
		}},
		"no length": {"long.mp4", func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(first); i += 10000 {
				_, _ = w.Write(first[i:min(i+10000, len(first))])
				w.(http.Flusher).Flush()
			}
		}},
		"connections that break": {"long.mp4", func(w http.ResponseWriter, r *http.Request) {
			content(&breaking{ResponseWriter: w, left: 50_000}, r, first)
		}},
		"an error now and then": {"long.mp4", func() http.HandlerFunc {
			var n atomic.Int64
			return func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1)%3 == 2 {
					panic(http.ErrAbortHandler)
				}
				content(&breaking{ResponseWriter: w, left: 200_000}, r, first)
			}
		}()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t, tt.handler)
			want := all(t, open(t, clip(t, tt.file), DefaultOptions()))
			got := all(t, open(t, server.URL+"/a.mp4", DefaultOptions()))
			if len(got) != len(want) {
				t.Fatalf("%d packets, want %d", len(got), len(want))
			}
			for i, p := range got {
				if w := want[i]; p.Stream != w.Stream || p.PTS != w.PTS || p.DTS != w.DTS || !bytes.Equal(p.Data, w.Data) {
					t.Fatalf("packet %d differs", i)
				}
			}
		})
	}
}

// breaking is a connection that breaks after some bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) >= b.left {
		_, _ = b.ResponseWriter.Write(p[:b.left])
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

func TestHTTPErrors(t *testing.T) {
	b := read(t, clip(t, "long.mp4"))
	tests := map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"404":     {http.NotFound, "the server answered 404 Not Found"},
		"403":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, "the server answered 403 Forbidden"},
		"500":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "the server answered 500"},
		"a page":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) }, "not a media file"},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, "empty"},
		"circle":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "too many redirects"},
		"breaks for good": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			(&breaking{ResponseWriter: w, left: len(b) / 2}).Write(b)
		}, "the connection ended after " + strconv.Itoa(len(b)/2) + " of " + strconv.Itoa(len(b)) + " bytes"},
		"gone halfway": {func() http.HandlerFunc {
			var n atomic.Int64
			return func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) > 1 {
					w.WriteHeader(http.StatusGone)
					return
				}
				http.ServeContent(&breaking{ResponseWriter: w, left: len(b) / 2}, r, "a.mp4", time.Time{}, bytes.NewReader(b))
			}
		}(), "the server answered 410 Gone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t, tt.handler)
			err := readAll(t, server.URL+"/a.mp4", DefaultOptions())
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("the error is %v, want %q in it", err, tt.want)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		if err := readAll(t, server.URL, DefaultOptions()); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Fatal(err)
		}
	})
}

// A server that stalls is given up after the deadline, wherever it stalls.
func TestDeadlines(t *testing.T) {
	b := read(t, clip(t, "h264.ts"))
	opt := DefaultOptions()
	opt.ReadTimeout = 200 * time.Millisecond
	opt.ProbeSize = int64(len(b) / 4)
	for name, h := range map[string]http.HandlerFunc{
		"before the header": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"at the beginning": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(b[:1000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"in the middle": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(b[:len(b)*3/4])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"drop by drop": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(b[:len(b)*3/4])
			for r.Context().Err() == nil {
				_, _ = w.Write(b[:1])
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, h)
			start := time.Now()
			err := readAll(t, server.URL+"/a.ts", opt)
			if !errors.Is(err, os.ErrDeadlineExceeded) && (err == nil || !strings.Contains(err.Error(), "timeout")) {
				t.Fatalf("the error is %v", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Fatalf("it took %v", d)
			}
		})
	}
	t.Run("Open ends with its context", func(t *testing.T) {
		server := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := Open(ctx, server.URL, DefaultOptions()); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

// A consumer may be slow: the deadline is of each Read, and is gone in between.
func TestDeadlineIsNotLeftArmed(t *testing.T) {
	b := read(t, clip(t, "h264.ts"))
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(b) })
	opt := DefaultOptions()
	opt.ReadTimeout = 150 * time.Millisecond
	s := open(t, server.URL+"/a.ts", opt)
	for range 3 {
		time.Sleep(2 * opt.ReadTimeout)
		if _, err := s.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	all(t, s)
}

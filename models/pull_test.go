package models

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is what the servers below serve.
var content = func() []byte {
	b := make([]byte, 300<<10)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(b)
	return b
}()

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// step answers one request; a server takes its steps in order and repeats the
// last.
type step func(w http.ResponseWriter, r *http.Request)

// server counts requests and keeps their headers.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	asked []http.Header
}

func serve(t testing.TB, steps ...step) *server {
	s := &server{}
	s.Server = httptest.NewServer(s.handler(steps))
	t.Cleanup(s.Close)
	return s
}

func (s *server) handler(steps []step) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := len(s.asked)
		s.asked = append(s.asked, r.Header.Clone())
		s.mu.Unlock()
		steps[min(n, len(steps)-1)](w, r)
	})
}

func (s *server) requests() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]http.Header(nil), s.asked...)
}

// honest serves data as a good server does, Range and If-Range included.
func honest(data []byte, etag string) step {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "model.onnx", time.Time{}, bytes.NewReader(data))
	}
}

// noRange serves all of data whatever is asked.
func noRange(data []byte) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"a"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	}
}

// breaks passes n bytes of the body of another step on and drops the line.
func breaks(n int, s step) step {
	return func(w http.ResponseWriter, r *http.Request) { s(&cutter{w, n}, r) }
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; c.left == 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func status(code int) step {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hasty is a puller that does not wait, and asserts all the time that nothing
// has the final name before it is whole.
func hasty(t testing.TB, final string) *Puller {
	return &Puller{
		Pause: time.Millisecond, Stall: 10 * time.Second,
		Progress: func(string, int64, int64) {
			if b, err := os.ReadFile(final); err == nil && !bytes.Equal(b, content) {
				t.Errorf("%d bytes already have the final name", len(b))
			}
		},
	}
}

func source(url string) Source {
	return Source{Path: "model.onnx", URL: url, Size: int64(len(content)), SHA256: sumOf(content), Basis: "a test"}
}

func entry(s Source) *Entry { return &Entry{Name: "m", Family: "faces", Files: []Source{s}} }

func wantFile(t testing.TB, dir string, data []byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	if err != nil || !bytes.Equal(b, data) {
		t.Fatalf("%d bytes, %v; want %d others", len(b), err, len(data))
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(dir, lockName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock is left behind: %v", err)
	}
}

// wantError wants one line, and no file under the final name.
func wantError(t testing.TB, dir string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("%v, want %q", err, want)
	}
	if _, serr := os.Stat(filepath.Join(dir, "model.onnx")); !errors.Is(serr, fs.ErrNotExist) {
		t.Errorf("a file has the final name: %v", serr)
	}
}

func TestPullSurvives(t *testing.T) {
	other := bytes.Repeat([]byte("other"), len(content)/5+1)[:len(content)]
	rude := func(etag string) step { // goes on with another file
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				honest(content, `"b"`)(w, r)
				return
			}
			r.Header.Del("If-Range")
			honest(content, etag)(w, r)
		}
	}
	for name, c := range map[string]struct {
		steps    []step
		requests int
	}{
		"nothing":                 {[]step{honest(content, `"a"`)}, 1},
		"a line that breaks":      {[]step{breaks(100<<10, honest(content, `"a"`)), honest(content, `"a"`)}, 2},
		"two lines that break":    {[]step{breaks(100<<10, honest(content, `"a"`)), breaks(9, honest(content, `"a"`)), honest(content, `"a"`)}, 3},
		"no Range":                {[]step{breaks(100<<10, noRange(content)), noRange(content)}, 2},
		"no validator":            {[]step{breaks(100<<10, honest(content, "")), honest(content, "")}, 2},
		"a weak ETag":             {[]step{breaks(100<<10, honest(content, `W/"a"`)), honest(content, `W/"a"`)}, 2},
		"another ETag":            {[]step{breaks(100<<10, honest(other, `"a"`)), honest(content, `"b"`)}, 2},
		"another ETag, rudely":    {[]step{breaks(100<<10, honest(other, `"a"`)), rude(`"b"`), honest(content, `"b"`)}, 3},
		"another file, secretly":  {[]step{breaks(100<<10, honest(other, `"a"`)), rude(""), honest(content, `"b"`)}, 3},
		"another file, same ETag": {[]step{breaks(100<<10, honest(other, `"a"`)), honest(content, `"a"`), honest(content, `"a"`)}, 3},
		"an overloaded server":    {[]step{status(503), status(429), honest(content, `"a"`)}, 3},
		"416":                     {[]step{breaks(100<<10, honest(content, `"a"`)), status(416), honest(content, `"a"`)}, 3},
		"a 206 from the wrong place": {[]step{breaks(100<<10, honest(content, `"a"`)), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"a"`)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 5-%d/%d", len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(content[5:])
		}, honest(content, `"a"`)}, 3},
		"an end that comes too soon": {[]step{func(w http.ResponseWriter, _ *http.Request) { // chunked, and ends well
			w.Header().Set("ETag", `"a"`)
			_, _ = w.Write(content[:100<<10])
			_ = http.NewResponseController(w).Flush()
		}, honest(content, `"a"`)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := serve(t, c.steps...), t.TempDir()
			p := hasty(t, filepath.Join(dir, "model.onnx"))
			out, err := p.Pull(t.Context(), entry(source(s.URL)), dir)
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, dir, content)
			if f := out.Files[0]; f.Size != int64(len(content)) || f.SHA256 != sumOf(content) || f.Checked != "sha256" || f.Kept || out.Pack {
				t.Errorf("%+v", out)
			}
			if n := len(s.requests()); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

func TestPullGoesOnWhereTheLineBroke(t *testing.T) {
	s, dir := serve(t, breaks(100<<10, honest(content, `"a"`)), honest(content, `"a"`)), t.TempDir()
	if _, err := hasty(t, filepath.Join(dir, "model.onnx")).Pull(t.Context(), entry(source(s.URL)), dir); err != nil {
		t.Fatal(err)
	}
	h := s.requests()[1]
	var from int
	if _, err := fmt.Sscanf(h.Get("Range"), "bytes=%d-", &from); err != nil || from < 1 || from > 100<<10 || h.Get("If-Range") != `"a"` {
		t.Errorf("Range %q, If-Range %q, %v", h.Get("Range"), h.Get("If-Range"), err)
	}
}

// A later pull goes on from what an earlier one left, and one that finds the
// file asks for nothing.
func TestSecondPullResumes(t *testing.T) {
	s, dir := serve(t, breaks(200<<10, honest(content, `"a"`)), honest(content, `"a"`)), t.TempDir()
	p := hasty(t, filepath.Join(dir, "model.onnx"))
	p.Tries = 1
	_, err := p.Pull(t.Context(), entry(source(s.URL)), dir)
	wantError(t, dir, err, "the same command goes on from here")
	st, err := os.Stat(filepath.Join(dir, "model.onnx.part"))
	if err != nil || st.Size() == 0 || st.Size() > 200<<10 {
		t.Fatal(st, err)
	}
	if _, err = p.Pull(t.Context(), entry(source(s.URL)), dir); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, content)
	if got, want := s.requests()[1].Get("Range"), fmt.Sprintf("bytes=%d-", st.Size()); got != want {
		t.Errorf("Range %q, want %q", got, want)
	}
	out, err := p.Pull(t.Context(), entry(source(s.URL)), dir)
	if err != nil || !out.Files[0].Kept || len(s.requests()) != 2 {
		t.Errorf("%+v, %v, %d requests", out, err, len(s.requests()))
	}
	// One that was damaged is fetched again.
	if err = os.WriteFile(filepath.Join(dir, "model.onnx"), content[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	p.Progress = nil
	if out, err = p.Pull(t.Context(), entry(source(s.URL)), dir); err != nil || out.Files[0].Kept {
		t.Errorf("%+v, %v", out, err)
	}
	wantFile(t, dir, content)
}

// A part of another address is not gone on with.
func TestPartOfAnotherAddress(t *testing.T) {
	other := bytes.Repeat([]byte{1}, len(content))
	s, dir := serve(t, breaks(200<<10, honest(other, `"a"`)), honest(content, `"a"`)), t.TempDir()
	p := hasty(t, filepath.Join(dir, "model.onnx"))
	p.Tries = 1
	_, err := p.Pull(t.Context(), entry(source(s.URL+"/old")), dir)
	wantError(t, dir, err, "goes on from here")
	if _, err := p.Pull(t.Context(), entry(source(s.URL+"/new")), dir); err != nil {
		t.Fatal(err)
	}
	if r := s.requests()[1].Get("Range"); r != "" {
		t.Errorf("Range %q", r)
	}
}

func TestPullRefuses(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(content); err != nil {
				return
			}
		}
	}
	wrong := bytes.Clone(content)
	wrong[len(wrong)/2] ^= 1
	claims := func(n int) step {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(n))
			_, _ = w.Write(content[:min(n, len(content))])
		}
	}
	rounded := func(s Source) Source { s.About, s.Size = s.Size, 0; return s }
	unknown := func(s Source) Source { s.Size = 0; return s }
	for name, c := range map[string]struct {
		step     step
		edit     func(Source) Source
		requests int
		want     string
		part     bool // something is kept to go on from
	}{
		"a wrong checksum":             {honest(wrong, `"a"`), nil, 1, "it has sha256 " + sumOf(wrong) + ", and the catalogue says " + sumOf(content), false},
		"too short a length":           {claims(1000), nil, 1, "the server says model.onnx has 1000 bytes, and the catalogue says 307200", true},
		"too great a length":           {claims(len(content) + 1), nil, 1, "has 307201 bytes", true},
		"a length that is not kept":    {breaks(1000, claims(len(content))), nil, 3, "unexpected EOF (3 tries", true},
		"a length far from rounded":    {claims(1000), rounded, 1, "the catalogue says about 307200", true},
		"a length above the bound":     {claims(2 << 20), unknown, 1, "at most 1048576 are taken", true},
		"endless data":                 {endless, nil, 1, "the server sends more than 307200 bytes", false},
		"endless data, rounded size":   {endless, rounded, 1, "sends more than 310272 bytes", false},
		"endless data, unknown size":   {endless, unknown, 1, "sends more than 1048576 bytes", false},
		"an empty file":                {func(http.ResponseWriter, *http.Request) {}, unknown, 1, "empty", true},
		"never more than a half":       {breaks(150<<10, noRange(content)), nil, 3, "unexpected EOF (3 tries", true},
		"not found":                    {status(404), nil, 1, "404 Not Found", true},
		"forbidden":                    {status(403), nil, 1, "403 Forbidden", true},
		"down":                         {status(502), nil, 3, "502 Bad Gateway (3 tries", true},
		"a part that nobody asked for": {status(206), nil, 1, "206", true},
		"packed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(content)
		}, nil, 1, `encoded as "gzip"`, true},
		"redirects in a ring": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, nil, 10, "more than 10 redirects", true},
		"a redirect to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, nil, 1, "refusing a redirect from http to file", true},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := serve(t, c.step), t.TempDir()
			p := hasty(t, filepath.Join(dir, "model.onnx"))
			p.Tries, p.Most = 3, 1<<20
			src := source(s.URL)
			if c.edit != nil {
				src = c.edit(src)
			}
			_, err := p.Pull(t.Context(), entry(src), dir)
			wantError(t, dir, err, c.want)
			if n := len(s.requests()); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			if _, err := os.Stat(filepath.Join(dir, "model.onnx.part")); (err == nil) != c.part {
				t.Errorf("part: %v", err)
			}
		})
	}
}

func TestPullEndsStalls(t *testing.T) {
	begin := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Header().Set("ETag", `"a"`)
		_, _ = w.Write(content[:100<<10])
		_ = http.NewResponseController(w).Flush()
	}
	for name, stall := range map[string]step{
		"before the head": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"in the body":     func(w http.ResponseWriter, r *http.Request) { begin(w); <-r.Context().Done() },
		"in drops": func(w http.ResponseWriter, r *http.Request) {
			begin(w)
			for i := 100 << 10; r.Context().Err() == nil; i++ {
				_, _ = w.Write(content[i : i+1])
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := serve(t, stall), t.TempDir()
			p := hasty(t, filepath.Join(dir, "model.onnx"))
			p.Stall, p.Tries = 100*time.Millisecond, 2
			_, err := p.Pull(t.Context(), entry(source(s.URL)), dir)
			wantError(t, dir, err, "the server sent nothing for too long (100ms) (2 tries")
			if !errors.Is(err, errStalled) {
				t.Errorf("%v is not a stall", err)
			}
			good := serve(t, stall, honest(content, `"a"`))
			if _, err := p.Pull(t.Context(), entry(source(good.URL)), dir); err != nil {
				t.Fatal(err)
			}
			wantFile(t, dir, content)
		})
	}
}

func TestPullEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, dir := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(content[:1000])
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	}), t.TempDir()
	_, err := hasty(t, filepath.Join(dir, "model.onnx")).Pull(ctx, entry(source(s.URL)), dir)
	wantError(t, dir, err, "context canceled")
	if !errors.Is(err, context.Canceled) || len(s.requests()) != 1 {
		t.Errorf("%v after %d requests", err, len(s.requests()))
	}
}

func TestRedirects(t *testing.T) {
	open := serve(t, honest(content, `"a"`))
	tls := &server{}
	tls.Server = httptest.NewTLSServer(tls.handler([]step{func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/file" {
			honest(content, `"a"`)(w, r)
			return
		}
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}}))
	t.Cleanup(tls.Close)
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	for name, c := range map[string]struct{ from, to, want string }{
		"https to http":  {tls.URL, open.URL, "refusing a redirect from https to http://127.0.0.1"},
		"https to https": {tls.URL, tls.URL + "/file", ""},
		"http to http":   {plain.URL, open.URL, ""},
		"http to https":  {plain.URL, tls.URL + "/file", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, before := t.TempDir(), len(open.requests())
			p := hasty(t, filepath.Join(dir, "model.onnx"))
			p.Client = tls.Client()
			_, err := p.Pull(t.Context(), entry(source(c.from+"/x?token=s3cret&to="+c.to)), dir)
			if c.want != "" {
				wantError(t, dir, err, c.want)
				if len(open.requests()) != before {
					t.Error("it was followed all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, dir, content)
		})
	}
	for _, h := range append(open.requests(), tls.requests()...) {
		if h.Get("Referer") != "" {
			t.Errorf("Referer %q", h.Get("Referer"))
		}
	}
}

func TestNoCredentialsInMessages(t *testing.T) {
	s, dir := serve(t, breaks(1000, honest(content, `"a"`))), t.TempDir()
	address := strings.Replace(s.URL, "://", "://me:hunter2@", 1) + "/model.onnx?token=hunter2"
	var said strings.Builder
	p := &Puller{Pause: time.Millisecond, Tries: 2, Log: func(l string) { said.WriteString(l + "\n") }}
	_, err := p.PullURL(t.Context(), address, dir, sumOf(content))
	wantError(t, dir, err, "REDACTED")
	said.WriteString(err.Error())
	s.Close()
	_, err = p.PullURL(t.Context(), address, dir, sumOf(content)) // refused connection
	wantError(t, dir, err, "connect")
	said.WriteString(err.Error())
	_, err = p.PullURL(t.Context(), "https://me:hunter2@example.org/?key=hunter2", dir, sumOf(content))
	said.WriteString(err.Error())
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, stateSuffix) {
			said.Write(b)
		}
	}
	if strings.Contains(said.String(), "hunter2") {
		t.Errorf("it says %s", said.String())
	}
}

func TestConcurrentPulls(t *testing.T) {
	s, dir := serve(t, breaks(100<<10, honest(content, `"a"`)), honest(content, `"a"`)), t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := hasty(t, filepath.Join(dir, "model.onnx")).Pull(t.Context(), entry(source(s.URL)), dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantFile(t, dir, content)
	if n := len(s.requests()); n != 2 {
		t.Errorf("%d requests, want those of one pull", n)
	}
}

func TestWaitingForALockEnds(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(t.Context(), filepath.Join(dir, lockName), func() { t.Error("waits for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	p := &Puller{Log: func(string) { cancel() }}
	if _, err := p.Pull(ctx, entry(source("http://127.0.0.1:1")), dir); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// An address of which nothing is known: the checksum is printed, nothing is
// installed, and what came needs no second download once it is vouched for.
func TestPullURL(t *testing.T) {
	s, dir := serve(t, honest(content, `"a"`)), t.TempDir()
	p := hasty(t, filepath.Join(dir, "model.onnx"))
	_, err := p.PullURL(t.Context(), s.URL+"/a/model.onnx", dir)
	wantError(t, dir, err, "it has sha256 "+sumOf(content))
	if !errors.Is(err, ErrUnvouched) {
		t.Error(err)
	}
	out, err := p.PullURL(t.Context(), s.URL+"/a/model.onnx", dir, sumOf(content))
	if err != nil || out.Files[0].Checked != "vouched" || out.Pack || len(s.requests()) != 1 {
		t.Fatalf("%+v, %v, %d requests", out, err, len(s.requests()))
	}
	wantFile(t, dir, content)

	_, err = p.PullURL(t.Context(), s.URL+"/a/model.onnx", t.TempDir(), sumOf(nil))
	wantError(t, t.TempDir(), err, "which is not what you gave")
	for _, bad := range []string{"", "model.onnx", "ftp://h/model.onnx", "file:///model.onnx", "http://h/", "http://h/..", "http://h/pack.yaml", "http://h/a.part", "https:///x.onnx", "http://h/a%2F..%2Fb%00.onnx"} {
		if _, err = p.PullURL(t.Context(), bad, dir); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	_, err = p.PullURL(t.Context(), s.URL+"/model.onnx", t.TempDir(), "ABC")
	wantError(t, t.TempDir(), err, "not a sha256")
}

func TestPartialChecksums(t *testing.T) {
	s := serve(t, honest(content, `"a"`))
	sum := sumOf(content)
	for _, c := range []struct{ partial, want string }{
		{sum[:12] + "..." + sum[60:], ""},
		{"0" + sum[1:12] + "..." + sum[60:], "not installed"},
		{sum[:12] + "...0000", "not installed"},
	} {
		dir := t.TempDir()
		src := source(s.URL)
		src.SHA256, src.Partial, src.About, src.Size = "", c.partial, src.Size+1000, 0
		out, err := hasty(t, filepath.Join(dir, "model.onnx")).Pull(t.Context(), entry(src), dir)
		if c.want != "" {
			wantError(t, dir, err, c.want)
			continue
		}
		if err != nil || out.Files[0].Checked != "sha256_partial" || out.Files[0].SHA256 != sum {
			t.Errorf("%+v, %v", out, err)
		}
		if list := entry(src).Mismatches(dir); len(list) != 0 || !entry(src).In(dir) {
			t.Error(list)
		}
		_, err = hasty(t, "").Pull(t.Context(), entry(src), t.TempDir(), sum)
		wantError(t, t.TempDir(), err, "none to vouch for")
	}
}

// graph is the speech gate of the fixture without the mark of a test graph: the
// fields of a ModelProto are copied but for the metadata.
func graph(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("fixture/speech.onnx")
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for at := 0; at < len(data); {
		key, n := binary.Uvarint(data[at:])
		v, m := binary.Uvarint(data[at+n:])
		end := at + n + m
		if key&7 == 2 {
			end += int(v)
		}
		if key>>3 != 14 {
			out = append(out, data[at:end]...)
		}
		at = end
	}
	return out
}

func packEntry(t testing.TB, url string, data []byte, contract string) *Entry {
	t.Helper()
	e := &Entry{
		Name: "gate", Family: "speech", Version: "1", License: "MIT", Note: "a gate", Page: "https://example.org",
		Files: []Source{{Path: "in/model.onnx", URL: url, Size: int64(len(data)), SHA256: sumOf(data)}},
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(contract), &doc); err != nil {
		t.Fatal(err)
	}
	e.Contract = *doc.Content[0]
	return e
}

const gateContract = `
graphs: {gate: {path: in/model.onnx}}
audio: {rate: 16000, window: 0.032, hop: 512, context: 64}
gate: {enter: 0.5, leave: 0.35}
`

func TestPullMakesAPack(t *testing.T) {
	data := graph(t)
	s := serve(t, honest(data, `"a"`))
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	e := packEntry(t, s.URL, data, gateContract)
	dir, err := DataFolder(e.Name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := (&Puller{}).Pull(t.Context(), e, dir)
	if err != nil || !out.Pack || out.Dir != dir || !e.In(dir) {
		t.Fatal(out, err)
	}
	found, _ := Find("gate")
	if found != dir {
		t.Fatalf("found %q", found)
	}
	p, err := Load(found)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil {
		t.Error(err)
	}
	m, ok := p.Model("speech")
	if !ok || m.Name != "gate" || m.License != "MIT" || m.Graphs["gate"].SHA256 != sumOf(data) || m.Audio.Context != 64 || m.Gate.Leave != 0.35 {
		t.Errorf("%+v", m)
	}
	if list := p.Mismatches(); len(list) != 0 {
		t.Error(list)
	}
	if err := os.WriteFile(filepath.Join(dir, "in", "model.onnx"), append(data, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if list := p.Mismatches(); len(list) != 1 || !strings.Contains(list[0].Error(), "in/model.onnx has sha256") {
		t.Error(list)
	}
	if list := e.Mismatches(dir); len(list) != 1 {
		t.Error(list)
	}
	installed := Installed()
	if last := installed[len(installed)-1]; last.Dir != dir || last.From != "data folder" {
		t.Errorf("%+v", installed)
	}

	// Another model does not go into the folder of this one.
	other := packEntry(t, s.URL, data, gateContract)
	other.Name = "other"
	if _, err := (&Puller{}).Pull(t.Context(), other, dir); err == nil || !strings.Contains(err.Error(), "holds the pack gate") {
		t.Error(err)
	}
}

// Files that are right but do not fit the contract make no pack.
func TestPullChecksTheContract(t *testing.T) {
	data := graph(t)
	s := serve(t, honest(data, `"a"`))
	for contract, want := range map[string]string{
		strings.Replace(gateContract, "gate: {path", "gates: {path", 1):                                "graphs.gate",
		strings.Replace(gateContract, "in/model.onnx}", "in/model.onnx, inputs: {input: nothing}}", 1): "input nothing is missing",
		strings.Replace(gateContract, "in/model.onnx", "other.onnx", 1):                                `"other.onnx" is none of the files`,
		strings.Replace(gateContract, "rate: 16000", "rate: 16000.5", 1):                               "16000.5",
	} {
		dir := t.TempDir()
		_, err := (&Puller{}).Pull(t.Context(), packEntry(t, s.URL, data, contract), dir)
		wantError(t, dir, err, want)
		if found, _ := filepath.Glob(filepath.Join(dir, Manifest+"*")); len(found) != 0 {
			t.Errorf("there is %q", found)
		}
	}
}

// Whatever a server does, a file under the final name is the right one, and a
// server that comes to its senses is enough to get it.
func TestPullProperty(t *testing.T) {
	data := content[:100<<10]
	other := bytes.Repeat([]byte{3}, len(data))
	rapid.Check(t, func(rt *rapid.T) {
		etag := rapid.SampledFrom([]string{`"a"`, `"b"`, `W/"a"`, ""})
		var steps []step
		for range rapid.IntRange(0, 6).Draw(rt, "steps") {
			body := rapid.SampledFrom([][]byte{data, data, other, data[:len(data)/2]}).Draw(rt, "body")
			s := honest(body, etag.Draw(rt, "etag"))
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0:
				s = noRange(body)
			case 1:
				s = status(rapid.SampledFrom([]int{416, 404, 500, 206, 204}).Draw(rt, "status"))
			case 2, 3:
				s = breaks(rapid.IntRange(1, len(data)).Draw(rt, "cut"), s)
			}
			steps = append(steps, s)
		}
		srv := &server{}
		srv.Server = httptest.NewServer(srv.handler(append(steps, honest(data, `"last"`))))
		defer srv.Close()
		dir, err := os.MkdirTemp("", "pull")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		src := Source{Path: "model.onnx", URL: srv.URL, Size: int64(len(data)), SHA256: sumOf(data)}
		p := &Puller{Pause: time.Microsecond, Tries: 2}
		for try := 0; ; try++ {
			_, err := p.Pull(context.Background(), entry(src), dir)
			b, rerr := os.ReadFile(filepath.Join(dir, "model.onnx"))
			if (err == nil) != (rerr == nil) || (err == nil && !bytes.Equal(b, data)) {
				rt.Fatalf("%v, %v, %d bytes", err, rerr, len(b))
			}
			if err == nil {
				return
			}
			if try > len(steps)+2 {
				rt.Fatalf("never: %v", err)
			}
		}
	})
}

// The proxy of the environment is read once per process, so a process of its own
// is asked.
func TestProxy(t *testing.T) {
	if dir := os.Getenv("SEEHEAR_TEST_PROXY"); dir != "" {
		if _, err := (&Puller{}).Pull(t.Context(), entry(source("http://models.invalid/model.onnx")), dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	var host string
	s, dir := serve(t, func(w http.ResponseWriter, r *http.Request) { host = r.URL.Host; honest(content, `"a"`)(w, r) }), t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestProxy$")
	c.Env = append(os.Environ(), "SEEHEAR_TEST_PROXY="+dir, "HTTP_PROXY="+s.URL, "NO_PROXY=")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wantFile(t, dir, content)
	if host != "models.invalid" {
		t.Errorf("the proxy was asked for %q", host)
	}
}

// A pull that is killed leaves a part to go on from, and no lock.
func TestKilledPull(t *testing.T) {
	if dir := os.Getenv("SEEHEAR_TEST_KILLED"); dir != "" {
		_, err := (&Puller{}).Pull(t.Context(), entry(source(os.Getenv("SEEHEAR_TEST_ADDRESS"))), dir)
		t.Fatal("it came to an end: ", err)
	}
	begun := make(chan struct{})
	s, dir := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"a"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:100<<10])
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-r.Context().Done()
	}, honest(content, `"a"`)), t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestKilledPull$")
	c.Env = append(os.Environ(), "SEEHEAR_TEST_KILLED="+dir, "SEEHEAR_TEST_ADDRESS="+s.URL)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-begun:
	case <-time.After(20 * time.Second):
		t.Fatal(c.Process.Kill(), c.Wait())
	}
	part := filepath.Join(dir, "model.onnx.part")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if st, err := os.Stat(part); err == nil && st.Size() == 100<<10 {
			break
		}
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil {
		t.Fatal("it was not killed")
	}
	if _, err := os.Stat(filepath.Join(dir, "model.onnx")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file has the final name: %v", err)
	}
	p := hasty(t, filepath.Join(dir, "model.onnx"))
	p.Log = func(line string) { t.Errorf("it says %s", line) }
	if _, err := p.Pull(t.Context(), entry(source(s.URL)), dir); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, content)
	if got := s.requests()[1].Get("Range"); got != "bytes=102400-" {
		t.Errorf("Range %q", got)
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 5-9/10", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "5-9/10", "bytes 5-99999999999999999999/1", ""} {
		f.Add(s, int64(5))
	}
	f.Fuzz(func(t *testing.T, s string, have int64) {
		d := &download{have: have}
		total, err := d.continues(&http.Response{Header: http.Header{"Content-Range": {s}}})
		if err == nil && (!strings.HasPrefix(s, fmt.Sprintf("bytes %d-", have)) && !strings.HasPrefix(s, "bytes +") && !strings.HasPrefix(s, "bytes 0") || total == 0) {
			t.Errorf("%q after %d bytes: %d", s, have, total)
		}
	})
}

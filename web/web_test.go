package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/seehear/seehear/docs"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks/sinktest"
	"github.com/seehear/seehear/web/hub"
	"github.com/seehear/seehear/web/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	viewToken    = "view-token-0123"
	publishToken = "publish-token-0123"
)

var page = fstest.MapFS{
	"index.html": {Data: []byte("<!doctype html><title>seehear</title>")},
	"app.js":     {Data: []byte("export {}")},
	"viewer.go":  {Data: []byte("package viewer")},
}

// echo stands at the end of the checks.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			fail(w, http.StatusRequestEntityTooLarge, err.Error())
			return
		}
		fmt.Fprintf(w, "%s %s %s %d", name, r.PathValue("name"), r.PathValue("session"), len(b))
	})
}

type shelf struct{ http.Handler }

func (shelf) Span(name string) (from, to time.Duration, ok bool) {
	return time.Second, 2500 * time.Millisecond, name == "door"
}

func (shelf) Stats(name string) (ring.Stats, bool) {
	return ring.Stats{Bytes: 1234, Dropped: 5, Failed: 6}, name == "door"
}

// door is a hub with one source that has said something.
func door(t testing.TB) (*hub.Hub, *hub.Source) {
	h := hub.New(hub.Options{})
	s := h.Source("door", nil)
	if err := s.Begin(t.Context(), sinktest.Header()); err != nil {
		t.Fatal(err)
	}
	return h, s
}

func put(t testing.TB, s *hub.Source, at time.Duration) {
	t.Helper()
	if err := s.Write(t.Context(), infer.Event{Stamp: ingest.Stamp{At: at}, Payload: &infer.Cut{Strength: 1}}); err != nil {
		t.Fatal(err)
	}
}

func newServer(t testing.TB, opt Options) *Server {
	t.Helper()
	if opt.Hub == nil {
		opt.Hub, _ = door(t)
	}
	opt.Viewer = page
	opt.Ring, opt.WHEP, opt.WHIP = shelf{echo("ring")}, echo("whep"), echo("whip")
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(t testing.TB, s *Server) *httptest.Server {
	ts := httptest.NewServer(s.Handler())
	t.Cleanup(ts.Close)
	return ts
}

// do asks the handler itself, from 192.0.2.1 to a server on loopback.
func do(s *Server, method, target string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "localhost:8080"
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) {
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	}
}

// Who may do what, for every route, token and kind of access.
func TestAuthMatrix(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	lines := "# who may\n\nview alice " + viewToken + "\npublish obs " + publishToken + "\n"
	if err := os.WriteFile(users, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	type row struct{ open, none, view, publish, bad int }
	views := []string{
		"GET /api/sources", "GET /api/sources/door", "GET /api/sources/door/results", "HEAD /api/sources/door/events",
		"GET /metrics", "GET /ring/door/index.json", "POST /whep/door", "PATCH /whep/door/x", "DELETE /whep/door/x",
	}
	publishes := []string{"POST /whip/door", "PATCH /whip/door/x", "DELETE /whip/door/x"}
	opens := []string{"GET /", "GET /viewer/app.js", "GET /healthz"}
	for name, access := range map[string]Access{
		"tokens": {View: []string{"another-view-token", viewToken}, Publish: []string{publishToken}},
		"users":  {Users: users},
		"view":   {View: []string{viewToken}},
		"public": {Publish: []string{publishToken}},
		"open":   {},
	} {
		s := newServer(t, Options{Access: access, Limits: Limits{Failures: 1e6}})
		check := func(routes []string, token string, want int) {
			t.Helper()
			for _, route := range routes {
				method, target, _ := strings.Cut(route, " ")
				w := do(s, method, target, bearer(token))
				if w.Code != want {
					t.Errorf("%s: %s with %q: %d, want %d", name, route, token, w.Code, want)
				}
				if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
					t.Errorf("%s: %s with %q: challenge %q", name, route, token, w.Header().Get("WWW-Authenticate"))
				}
			}
		}
		for _, token := range []string{"", viewToken, publishToken, "never-seen-token"} {
			check(opens, token, 200)
		}
		var v, p row
		switch name {
		case "tokens", "users":
			v, p = row{none: 401, view: 200, publish: 403, bad: 401}, row{none: 401, view: 403, publish: 200, bad: 401}
		case "view":
			v, p = row{none: 401, view: 200, publish: 401, bad: 401}, row{none: 401, view: 403, publish: 401, bad: 401}
		case "public":
			v, p = row{none: 200, view: 200, publish: 200, bad: 200}, row{none: 401, view: 401, publish: 200, bad: 401}
		case "open":
			v, p = row{none: 200, view: 200, publish: 200, bad: 200}, row{none: 200, view: 200, publish: 200, bad: 200}
		}
		for _, c := range []struct {
			routes []string
			row    row
		}{{views, v}, {publishes, p}} {
			check(c.routes, "", c.row.none)
			check(c.routes, viewToken, c.row.view)
			check(c.routes, publishToken, c.row.publish)
			check(c.routes, "never-seen-token", c.row.bad)
			check(c.routes, viewToken+"x", c.row.bad)
		}
	}
}

func TestOddTokens(t *testing.T) {
	s := newServer(t, Options{Access: Access{View: []string{viewToken}}, Limits: Limits{Failures: 1e6}})
	for _, values := range [][]string{
		{viewToken},
		{"Basic " + viewToken},
		{"Bearer"},
		{"Bearer "},
		{"Bearer " + viewToken + " x"},
		{"Bearer " + viewToken, "Bearer " + viewToken},
		{"Bearer sha256:"},
	} {
		w := do(s, "GET", "/api/sources", func(r *http.Request) { r.Header["Authorization"] = values })
		if w.Code != 401 {
			t.Errorf("%q: %d", values, w.Code)
		}
	}
	for _, target := range []string{"/api/sources?token=" + viewToken, "/api/sources?access_token=" + viewToken} {
		if w := do(s, "GET", target, nil); w.Code != 401 {
			t.Errorf("a token in the address is taken: %d", w.Code)
		}
	}
	if w := do(s, "GET", "/api/sources", func(r *http.Request) { r.Header.Set("Authorization", "bearer  "+viewToken) }); w.Code != 200 {
		t.Errorf("a scheme in small letters: %d", w.Code)
	}
}

func TestHashedToken(t *testing.T) {
	// printf view-token-0123 | sha256sum
	const hash = "sha256:52fe3326cf289ab1a1e7dec09ecc3afba9b7e073d4e13a6966bc3ab642cb1a05"
	s := newServer(t, Options{Access: Access{View: []string{hash}}})
	if w := do(s, "GET", "/api/sources", bearer(viewToken)); w.Code != 200 {
		t.Errorf("the token of a hash: %d", w.Code)
	}
	if w := do(s, "GET", "/api/sources", bearer(hash)); w.Code != 401 {
		t.Errorf("the hash as a token: %d", w.Code)
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	h := hub.New(hub.Options{})
	for _, tt := range []struct {
		opt  Options
		want string
	}{
		{Options{}, "no hub"},
		{Options{Hub: h, Access: Access{View: []string{"short"}}}, "5 characters"},
		{Options{Hub: h, Access: Access{View: []string{"with blank"}}}, "no header can carry"},
		{Options{Hub: h, Access: Access{View: []string{"sha256:12"}}}, "64 hex digits"},
		{Options{Hub: h, Access: Access{View: []string{viewToken}, Publish: []string{viewToken}}}, "must differ"},
		{Options{Hub: h, Access: Access{Users: filepath.Join(dir, "none")}}, "no such file"},
		{Options{Hub: h, Access: Access{Users: file("all", "view a "+viewToken+"\n", 0o604)}}, "everybody"},
		{Options{Hub: h, Access: Access{Users: file("role", "admin a "+viewToken+"\n", 0o600)}}, "line 1"},
		{Options{Hub: h, Access: Access{Users: file("words", "# x\nview "+viewToken+"\n", 0o600)}}, "line 2"},
		{Options{Hub: h, Hosts: []string{"http://x"}}, `host "http://x"`},
		{Options{Hub: h, Origins: []string{"example.org"}}, "origin"},
		{Options{Hub: h, Origins: []string{"https://example.org/"}}, "origin"},
		{Options{Hub: h, Origins: []string{"null"}}, "origin"},
		{Options{Hub: h, Viewer: fstest.MapFS{}}, "no index.html"},
		{Options{Hub: h, TLS: TLS{Cert: "x"}}, "certificate and its key"},
		{Options{Hub: h, TLS: TLS{Cert: filepath.Join(dir, "c"), Key: filepath.Join(dir, "k")}}, "no such file"},
	} {
		_, err := New(tt.opt)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), viewToken) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// Host and Origin: DNS rebinding, pages elsewhere, proxies.
func TestHostAndOrigin(t *testing.T) {
	loop, far := net.IPv4(127, 0, 0, 1), net.IPv4(192, 0, 2, 7)
	s := newServer(t, Options{Hosts: []string{"Cam.example.org", "2001:db8::5"}, Origins: []string{"https://wall.example.net"}})
	for _, tt := range []struct {
		local  net.IP
		host   string
		header map[string]string
		want   int
	}{
		{loop, "localhost:8080", nil, 200},
		{loop, "LOCALHOST", nil, 200},
		{loop, "127.0.0.1:8080", nil, 200},
		{loop, "127.8.8.8", nil, 200},
		{loop, "[::1]:8080", nil, 200},
		{loop, "cam.example.org", nil, 200},
		{loop, "cam.example.org.:443", nil, 200},
		{loop, "[2001:db8::5]:8080", nil, 200},
		{loop, "evil.example.com:8080", nil, 421}, // rebound to 127.0.0.1
		{loop, "localhost.evil.example.com", nil, 421},
		{loop, "192.0.2.7", nil, 421},
		{loop, "", nil, 421},
		{far, "192.0.2.7:8080", nil, 200},
		{far, "[2001:db8::9]", nil, 200},
		{far, "evil.example.com", nil, 421}, // rebound to 192.0.2.7
		{loop, "localhost:8080", map[string]string{"Origin": "http://localhost:8080"}, 200},
		{loop, "localhost:8080", map[string]string{"Origin": "https://localhost:8080"}, 200},
		{loop, "localhost:8080", map[string]string{"Origin": "http://localhost:9090"}, 403},
		{loop, "localhost:8080", map[string]string{"Origin": "http://evil.example.com"}, 403},
		{loop, "localhost:8080", map[string]string{"Origin": "null"}, 403},
		{loop, "localhost:8080", map[string]string{"Origin": "ftp://localhost:8080"}, 403},
		{loop, "localhost:8080", map[string]string{"Origin": "https://wall.example.net"}, 200},
		{loop, "localhost:8080", map[string]string{"Origin": "https://wall.example.net.evil.com"}, 403},
		{loop, "localhost:8080", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{loop, "localhost:8080", map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200},
		{loop, "localhost:8080", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200},
		{loop, "localhost:8080", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		{loop, "localhost:8080", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403},
	} {
		w := do(s, "GET", "/api/sources", func(r *http.Request) {
			r.Host = tt.host
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: tt.local}))
		})
		if w.Code != tt.want {
			t.Errorf("%q at %v with %v: %d, want %d", tt.host, tt.local, tt.header, w.Code, tt.want)
		}
		if got := w.Header().Get("Access-Control-Allow-Origin"); (got != "") != (tt.want == 200 && strings.Contains(tt.header["Origin"], "wall")) {
			t.Errorf("%q with %v: allows origin %q", tt.host, tt.header, got)
		}
	}
	any := newServer(t, Options{Hosts: []string{"*"}})
	if w := do(any, "GET", "/api/sources", func(r *http.Request) { r.Host = "whatever" }); w.Code != 200 {
		t.Errorf("any host: %d", w.Code)
	}
}

func TestPreflight(t *testing.T) {
	s := newServer(t, Options{Access: Access{View: []string{viewToken}}, Origins: []string{"https://wall.example.net"}})
	ask := func(origin string) *httptest.ResponseRecorder {
		return do(s, "OPTIONS", "/whep/door", func(r *http.Request) {
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
		})
	}
	w := ask("https://wall.example.net")
	if w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != "https://wall.example.net" ||
		!strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") ||
		!strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "PATCH") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask("https://evil.example.com"); w.Code != 403 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("evil: %d %v", w.Code, w.Header())
	}
}

func TestLimits(t *testing.T) {
	now := time.Unix(1e9, 0)
	h, _ := door(t)
	s := newServer(t, Options{
		Hub: h, Access: Access{View: []string{viewToken}}, Now: func() time.Time { return now },
		Limits: Limits{Requests: 2, Failures: 0.1, Body: 100, Clients: 8},
	})
	from := func(addr string) func(*http.Request) {
		return func(r *http.Request) {
			r.RemoteAddr = addr
			r.Header.Set("Authorization", "Bearer "+viewToken)
		}
	}
	for i := range 11 {
		want := 200
		if i == 10 { // the burst is five seconds' worth
			want = 429
		}
		if w := do(s, "GET", "/api/sources", from("198.51.100.1:99")); w.Code != want {
			t.Fatalf("request %d: %d", i, w.Code)
		}
	}
	if w := do(s, "GET", "/api/sources", from("198.51.100.2:99")); w.Code != 200 {
		t.Errorf("another address: %d", w.Code)
	}
	// All of an IPv6 network is one client.
	for i := range 11 {
		w := do(s, "GET", "/api/sources", from(fmt.Sprintf("[2001:db8:0:1::%x]:99", i+1)))
		if want := map[bool]int{true: 429, false: 200}[i == 10]; w.Code != want {
			t.Fatalf("IPv6 request %d: %d", i, w.Code)
		}
	}
	now = now.Add(time.Second)
	if w := do(s, "GET", "/api/sources", from("198.51.100.1:99")); w.Code != 200 {
		t.Errorf("a second later: %d", w.Code)
	}
	// Guessing tokens ends, even with the right one, until time has passed.
	guess := func(token string) int {
		return do(s, "GET", "/api/sources", func(r *http.Request) {
			r.RemoteAddr = "198.51.100.3:99"
			r.Header.Set("Authorization", "Bearer "+token)
		}).Code
	}
	for i := range 10 {
		now = now.Add(time.Second / 2) // which is one request, and a twentieth of a failure
		if c := guess("wrong-token-0"); c != 401 {
			t.Fatalf("guess %d: %d", i, c)
		}
	}
	if c := guess(viewToken); c != 429 {
		t.Errorf("the right token after many wrong ones: %d", c)
	}
	now = now.Add(time.Minute)
	if c := guess(viewToken); c != 200 {
		t.Errorf("a minute later: %d", c)
	}
	// Bodies, with their length said and not.
	for _, n := range []int{100, 101} {
		for _, said := range []bool{true, false} {
			w := do(s, "POST", "/whep/door", func(r *http.Request) {
				from("198.51.100.4:99")(r)
				r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", n)))
				r.ContentLength = -1
				if said {
					r.ContentLength = int64(n)
				}
			})
			if want := map[int]int{100: 200, 101: 413}[n]; w.Code != want {
				t.Errorf("body of %d (said: %v): %d", n, said, w.Code)
			}
		}
	}
	// Addresses are forgotten, those with sessions are not.
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "203.0.113.1:1"
	leave, ok := s.clients.enter(r)
	if !ok {
		t.Fatal("no session")
	}
	for i := range 100 {
		do(s, "GET", "/healthz", from(fmt.Sprintf("203.0.113.%d:1", i+2)))
	}
	if n := len(s.clients.byAddr); n > 8 || s.clients.byAddr[address("203.0.113.1:1")] == nil || s.clients.recent.Len() != n {
		t.Errorf("%d addresses are kept", n)
	}
	leave()
	leave()
	if n := s.clients.sessions(); n != 0 {
		t.Errorf("%d sessions after leaving twice", n)
	}
}

// What is handed in sees which source and session it is asked for.
func TestHandlersGetTheirNames(t *testing.T) {
	s := newServer(t, Options{})
	for target, want := range map[string]string{"/whep/door": "whep door  0", "/whep/door/abc": "whep door abc 0", "/whip/d/x": "whip d x 0"} {
		if w := do(s, "POST", target, nil); w.Body.String() != want {
			t.Errorf("%s: %q, want %q", target, w.Body, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := newServer(t, Options{})
	for _, target := range []string{"/", "/viewer/app.js", "/api/sources", "/nowhere", "/metrics"} {
		w := do(s, "GET", target, nil)
		for k, want := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		} {
			if !strings.Contains(w.Header().Get(k), want) {
				t.Errorf("%s: %s is %q", target, k, w.Header().Get(k))
			}
		}
	}
}

func TestPages(t *testing.T) {
	s := newServer(t, Options{})
	for _, tt := range []struct {
		method, target string
		code           int
		typ            string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8"},
		{"GET", "/viewer/app.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/viewer/index.html", 200, "text/html; charset=utf-8"},
		{"GET", "/viewer/viewer.go", 404, "application/json"},
		{"GET", "/viewer/", 404, "application/json"},
		{"GET", "/viewer/..%2f..%2fetc/passwd", 404, "application/json"},
		{"GET", "/nowhere", 404, "application/json"},
		{"POST", "/api/sources", 405, "application/json"},
		{"DELETE", "/", 405, "application/json"},
		{"POST", "/nowhere", 404, "application/json"},
		{"GET", "/api/sources/none", 404, "application/json"},
		{"GET", "/api/sources/none/events", 404, "application/json"},
		{"GET", "/api/sources/none/results", 404, "application/json"},
		{"GET", "/api/sources/..%2f/results", 404, "application/json"},
		{"GET", "/api/sources/door/results?from=x", 400, "application/json"},
		{"GET", "/api/sources/door/events?last=-1", 400, "application/json"},
		{"GET", "/api/sources/door/results?from=1&to=2", 200, "application/jsonl"},
	} {
		w := do(s, tt.method, tt.target, nil)
		if w.Code != tt.code || w.Header().Get("Content-Type") != tt.typ {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, w.Code, w.Header().Get("Content-Type"))
		}
		var body struct{ Error string }
		if tt.code >= 400 && (json.Unmarshal(w.Body.Bytes(), &body) != nil || body.Error == "") {
			t.Errorf("%s %s: %s", tt.method, tt.target, w.Body)
		}
	}
	tag := do(s, "GET", "/viewer/app.js", nil).Header().Get("ETag")
	if w := do(s, "GET", "/viewer/app.js", func(r *http.Request) { r.Header.Set("If-None-Match", tag) }); tag == "" || w.Code != 304 {
		t.Errorf("with the tag %s: %d", tag, w.Code)
	}
}

func TestSources(t *testing.T) {
	h, src := door(t)
	s := newServer(t, Options{Hub: h})
	src.SetTitle("Front door rtsp://u:secret@cam/")
	src.Status(hub.Status{State: hub.Waiting, Since: time.Unix(0, 0), Cause: "refused by rtsp://u:secret@cam/", Reconnects: 2, FPS: 25, Lag: 40 * time.Millisecond})
	src.Media(hub.Media{Video: "h264"})
	put(t, src, 1500*time.Millisecond)
	h.Source("attic", nil)
	want := `{"sources":[{"name":"attic","title":"attic","state":"connecting","reconnects":0,"fps":0,"lag":0.000000,"video":null,"audio":null,"media":null,` +
		`"viewers":0,"whep":"/whep/attic","events":"/api/sources/attic/events","results":null,"ring":null},` +
		`{"name":"door","title":"Front door rtsp://REDACTED@cam/","state":"waiting","cause":"refused by rtsp://REDACTED@cam/","since":"1970-01-01T00:00:00Z",` +
		`"reconnects":2,"fps":25,"lag":0.040000,"video":{"codec":"h264","width":320,"height":180,"fps":25},"audio":{"codec":"aac","sample_rate":48000,"channels":2},` +
		`"media":{"video":"h264","transcoded":false},"viewers":0,"whep":"/whep/door","events":"/api/sources/door/events",` +
		`"results":{"from":1.500000,"to":1.500000},"ring":{"from":1.000000,"to":2.500000}}]}` + "\n"
	if got := do(s, "GET", "/api/sources", nil).Body.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	one := do(s, "GET", "/api/sources/door", nil).Body.String()
	if !strings.Contains(want, strings.TrimSpace(one)) {
		t.Errorf("got %s", one)
	}
	_, section, _ := strings.Cut(docs.Protocol, "## HTTP")
	var members map[string]any
	if err := json.Unmarshal([]byte(one), &members); err != nil {
		t.Fatal(err)
	}
	for k := range members {
		if !strings.Contains(section, "`"+k+"`") {
			t.Errorf("member %s is not described", k)
		}
	}
}

func TestResults(t *testing.T) {
	h, src := door(t)
	s := newServer(t, Options{Hub: h})
	for i := range 10 {
		put(t, src, time.Duration(i)*time.Second)
	}
	lines := strings.Split(do(s, "GET", "/api/sources/door/results?from=2.5&to=6", nil).Body.String(), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], `"t":3.000000`) || !strings.Contains(lines[2], `"t":5.000000`) || lines[3] != "" {
		t.Errorf("%q", lines)
	}
	if n := strings.Count(do(s, "GET", "/api/sources/door/results", nil).Body.String(), "\n"); n != 10 {
		t.Errorf("%d of all", n)
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"", "from=1&to=2.5", "from=-0.000000001", "to=9223372036", "from=1&from=2", "a=b", "from=%zz", "from=1e3", "from=.5", "to=NaN", "from=5&to=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		from, to, err := parseSpan(query)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("error of two lines: %q", err)
			}
			return
		}
		if from > to {
			t.Fatalf("%q is %v to %v", query, from, to)
		}
		again := fmt.Sprintf("from=%d.%09d", int64(from)/1e9, abs(int64(from)%1e9))
		if from < 0 && from > -time.Second {
			again = fmt.Sprintf("from=-0.%09d", -int64(from))
		}
		if got, _, err := parseSpan(again); strings.Contains(query, "from=") && (err != nil || got != from) {
			t.Fatalf("%q is %v, %q is %v (%v)", query, from, again, got, err)
		}
	})
}

func abs(v int64) int64 { return max(v, -v) }

// FuzzAPI: whatever an address says, the answer is an orderly one and no file of
// the machine.
func FuzzAPI(f *testing.F) {
	for _, s := range []string{"/", "/api/sources/door?x", "/viewer/../../etc/passwd", "/ring/door/../../x", "/api/sources/%00/results?from=1", "//", "/whep/%2e%2e/x", "/api/sources/door/events?last=99999999999999999999"} {
		f.Add("GET", s, "localhost", "")
	}
	f.Add("POST", "/whip/door", "evil", "null")
	h, _ := door(f)
	s, err := New(Options{Hub: h, Viewer: page, Ring: shelf{echo("ring")}, Limits: Limits{Requests: 1e9}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, host, origin string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil || strings.HasSuffix(r.URL.Path, "/events") {
			return
		}
		r.Host, r.RemoteAddr = host, "127.0.0.1:1"
		if origin != "" {
			r.Header["Origin"] = []string{origin}
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code < 200 || w.Code >= 500 {
			t.Fatalf("%s %q: %d", method, target, w.Code)
		}
		if strings.Contains(w.Body.String(), "root:") {
			t.Fatalf("%q reads a file", target)
		}
	})
}

// reader reads Server-Sent Events.
type sseEvent struct{ typ, id, data string }

func readSSE(t *testing.T, r *bufio.Reader) (ev sseEvent, comment bool) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("stream ends: %v", err)
		}
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch k {
		case "event":
			ev.typ = v
		case "id":
			ev.id = v
		case "data":
			ev.data = v
		case ":":
			comment = true
		case "":
			return ev, comment
		default:
			t.Fatalf("line %q", line)
		}
	}
}

func openSSE(t *testing.T, url string, header map[string]string) (*bufio.Reader, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	end := func() {
		cancel()
		res.Body.Close()
	}
	if res.StatusCode != 200 {
		end()
		t.Fatalf("%s: %s", url, res.Status)
	}
	return bufio.NewReader(res.Body), end
}

func TestEvents(t *testing.T) {
	h, src := door(t)
	s := newServer(t, Options{Hub: h, Access: Access{View: []string{viewToken}}, Limits: Limits{Sessions: 2}})
	ts := start(t, s)
	auth := map[string]string{"Authorization": "Bearer " + viewToken}
	url := ts.URL + "/api/sources/door/events"
	r, end := openSSE(t, url, auth)
	if ev, _ := readSSE(t, r); ev.typ != "hello" || ev.id != "" {
		t.Fatalf("first %+v", ev)
	}
	var last sseEvent
	for i := range 5 {
		put(t, src, time.Duration(i)*time.Second)
		ev, _ := readSSE(t, r)
		if ev.typ != "result" || ev.id == "" || !strings.Contains(ev.data, fmt.Sprintf(`"t":%d.0`, i)) {
			t.Fatalf("result %d is %+v", i, ev)
		}
		if i == 2 {
			last = ev
		}
	}
	// A third session of the same address is one too many.
	_, end2 := openSSE(t, url, auth)
	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("Authorization", auth["Authorization"])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Fatalf("third session: %s", res.Status)
	}
	end()
	end2()
	// Back after the third result: the fourth and fifth are there, then the new.
	for _, how := range []struct{ header, query string }{{header: last.id}, {query: "?last=" + last.id}} {
		waitFor(t, func() bool { return s.clients.sessions() == 0 })
		r, end = openSSE(t, url+how.query, map[string]string{"Authorization": auth["Authorization"], "Last-Event-ID": how.header})
		readSSE(t, r) // hello
		for i := 3; i < 5; i++ {
			if ev, _ := readSSE(t, r); !strings.Contains(ev.data, fmt.Sprintf(`"t":%d.0`, i)) {
				t.Fatalf("after coming back: %+v", ev)
			}
		}
		end()
	}
}

// waitFor waits for what another goroutine is about to do.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("never happened")
		}
	}
}

// A quiet stream is kept up by comments.
func TestEventsPing(t *testing.T) {
	s := newServer(t, Options{})
	s.ping = time.Millisecond
	r, end := openSSE(t, start(t, s).URL+"/api/sources/door/events", nil)
	defer end()
	readSSE(t, r)
	if ev, comment := readSSE(t, r); !comment || ev != (sseEvent{}) {
		t.Errorf("got %+v", ev)
	}
}

// A reader that takes nothing is cut off and costs the source nothing.
func TestEventsStall(t *testing.T) {
	h, src := door(t)
	s := newServer(t, Options{Hub: h})
	s.stall = 50 * time.Millisecond
	ts := start(t, s)
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET /api/sources/door/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	waitFor(t, func() bool { return src.Info().Viewers == 1 })
	long := infer.Event{Payload: &infer.Caption{Text: strings.Repeat("x", 100_000)}}
	waitFor(t, func() bool {
		if err := src.Write(t.Context(), long); err != nil {
			t.Fatal(err)
		}
		return src.Info().Viewers == 0
	})
	waitFor(t, func() bool { return s.clients.sessions() == 0 })
}

// 200 readers come and go; what the source does not notice, and nothing is left.
func TestManyReaders(t *testing.T) {
	h, src := door(t)
	s := newServer(t, Options{Hub: h, Limits: Limits{Sessions: 200, Requests: 1e4}})
	ts := start(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			ev := infer.Event{Stamp: ingest.Stamp{At: time.Duration(i) * time.Millisecond}, Payload: &infer.Cut{}}
			if err := src.Write(context.Background(), ev); err != nil {
				t.Error(err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for i := range 200 {
		readers.Go(func() {
			res, err := client.Get(ts.URL + "/api/sources/door/events")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("reader %d: %s", i, res.Status)
				return
			}
			sc := bufio.NewScanner(res.Body)
			for n, last := 0, ""; n < i%20 && sc.Scan(); {
				if id, ok := strings.CutPrefix(sc.Text(), "id: "); ok {
					if n++; id <= last { // of one length
						t.Errorf("reader %d: %s behind %s", i, id, last)
					}
					last = id
				}
			}
		})
	}
	readers.Wait()
	waitFor(t, func() bool { return src.Info().Viewers == 0 && s.clients.sessions() == 0 })
	cancel()
	writer.Wait()
}

func listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve runs s until the returned function is called, which returns its error.
func serve(t testing.TB, s *Server, ln net.Listener) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

func TestServeAndStop(t *testing.T) {
	var log strings.Builder
	ready := errors.New("rtsp://u:secret@cam/ not there")
	h, _ := door(t)
	s := newServer(t, Options{Hub: h, Ready: func() error { return ready }, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if w := do(s, "GET", "/readyz", nil); w.Code != 503 {
		t.Errorf("ready before Serve: %d", w.Code)
	}
	ln := listen(t, "127.0.0.1:0")
	url := "http://" + ln.Addr().String()
	stop := serve(t, s, ln)
	get := func(path string) (int, string) {
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	waitFor(t, func() bool { return s.ready.Load() })
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "REDACTED@cam") {
		t.Errorf("not ready: %d %s", code, body)
	}
	ready = nil
	if code, _ := get("/readyz"); code != 200 {
		t.Errorf("ready: %d", code)
	}
	r, end := openSSE(t, url+"/api/sources/door/events?from=rtsp://u:secret@x", nil)
	defer end()
	readSSE(t, r)
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if ev, _ := readSSE(t, r); ev.typ != "bye" || !strings.Contains(ev.data, "the server stops") {
		t.Errorf("at the end: %+v", ev)
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the bye: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	if strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), "path=/readyz") {
		t.Errorf("log is %s", log.String())
	}
}

// Off loopback a token is needed.
func TestServeRefusesOpen(t *testing.T) {
	for _, tt := range []struct {
		addr     string
		access   Access
		insecure bool
		ok       bool
	}{
		{"127.0.0.1:0", Access{}, false, true},
		{"0.0.0.0:0", Access{}, false, false},
		{"0.0.0.0:0", Access{Publish: []string{publishToken}}, false, false},
		{"0.0.0.0:0", Access{View: []string{viewToken}}, false, true},
		{"0.0.0.0:0", Access{}, true, true},
	} {
		h, _ := door(t)
		s := newServer(t, Options{Hub: h, Access: tt.access, Insecure: tt.insecure})
		ln := listen(t, tt.addr)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := s.Serve(ctx, ln)
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "--insecure") {
			t.Errorf("%s with %+v: %v", tt.addr, tt.access, err)
		}
		if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			c.Close()
			t.Errorf("%s is still open", tt.addr)
		}
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	clock := func() time.Time { return now }
	h, _ := door(t)
	s := newServer(t, Options{Hub: h, Hosts: []string{"cam.example.org"}, TLS: TLS{SelfSigned: true, Dir: dir}, Now: clock})
	st, err := os.Stat(filepath.Join(dir, selfSignedName))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", st, err)
	}
	again := newServer(t, Options{Hosts: []string{"cam.example.org"}, TLS: TLS{SelfSigned: true, Dir: dir}, Now: clock})
	if again.Fingerprint() != s.Fingerprint() || len(s.Fingerprint()) != 64 {
		t.Error("the certificate is made anew")
	}
	if other := newServer(t, Options{Hosts: []string{"other.example.org"}, TLS: TLS{SelfSigned: true, Dir: dir}, Now: clock}); other.Fingerprint() == s.Fingerprint() {
		t.Error("the certificate stays for another host")
	}
	late := newServer(t, Options{Hosts: []string{"other.example.org"}, TLS: TLS{SelfSigned: true, Dir: dir}, Now: func() time.Time { return now.Add(selfSignedLife) }})
	if late.Fingerprint() == again.Fingerprint() {
		t.Error("the certificate stays for ever")
	}
	ln := listen(t, "127.0.0.1:0")
	stop := serve(t, s, ln)
	roots := x509.NewCertPool()
	roots.AddCert(mustLeaf(t, s.tls.Certificates[0]))
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "cam.example.org"}, ForceAttemptHTTP2: true}
	res, err := (&http.Client{Transport: tr}).Get("https://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Errorf("speaks %s", res.Proto)
	}
	tr.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func mustLeaf(t *testing.T, c tls.Certificate) *x509.Certificate {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// Certificates on disk are read again when they change; a damaged one is not.
func TestCertificateRenewed(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	name := filepath.Join(dir, "both.pem")
	write := func(host string, age time.Duration) {
		b, err := makeCertificate([]string{host}, now)
		if host == "" {
			b = []byte("damaged")
		}
		if err == nil {
			err = os.WriteFile(name, b, 0o600)
		}
		if err == nil {
			err = os.Chtimes(name, now.Add(age), now.Add(age))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("one.example.org", 0)
	s := newServer(t, Options{TLS: TLS{Cert: name, Key: name}, Now: func() time.Time { return now }})
	if w := do(s, "GET", "/healthz", func(r *http.Request) { r.Host = "one.example.org" }); w.Code != 200 {
		t.Errorf("by the name in the certificate: %d", w.Code)
	}
	valid := func(host string) bool {
		c, err := s.tls.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return mustLeaf(t, *c).VerifyHostname(host) == nil
	}
	write("two.example.org", time.Minute)
	if !valid("one.example.org") {
		t.Error("looked at once more within ten seconds")
	}
	now = now.Add(lookEvery)
	if !valid("two.example.org") {
		t.Error("the new one is not taken")
	}
	write("", 2*time.Minute)
	now = now.Add(lookEvery)
	if !valid("two.example.org") {
		t.Error("a damaged one is taken")
	}
}

func TestMetrics(t *testing.T) {
	h, src := door(t)
	s := newServer(t, Options{Hub: h, Handles: func() map[string]int { return map[string]int{"frame": 3} }})
	src.Status(hub.Status{
		State: hub.Running, FPS: 24.5, Lag: 40 * time.Millisecond, LagP: 90 * time.Millisecond, Reconnects: 2,
		Missing: []ingest.Kind{ingest.Audio},
		Drops:   map[string]uint64{"moments": 7}, Sync: &hub.Sync{Reported: true, Offset: 5 * time.Millisecond, DriftPPM: 12, Error: time.Millisecond},
	})
	v := src.Join(hub.JoinOptions{})
	defer v.Close()
	for i := range 300 {
		put(t, src, time.Duration(i))
	}
	s.Metrics().Inference("net", 30*time.Millisecond)
	do(s, "GET", "/api/sources", nil)
	src.SetStreams([]ingest.Stream{{Kind: ingest.Video}, {Kind: ingest.Audio}})
	body := do(s, "GET", "/metrics", nil).Body.String()
	for _, want := range []string{
		`seehear_source_state{source="door",state="running"} 1`, `seehear_source_state{source="door",state="waiting"} 0`,
		`seehear_source_fps{source="door"} 24.5`, `seehear_source_lag_seconds{source="door"} 0.04`, `seehear_source_lag_p95_seconds{source="door"} 0.09`,
		`seehear_source_av_offset_seconds{source="door"} 0.005`, `seehear_source_drift_ppm{source="door"} 12`,
		`seehear_source_alignment_error_seconds{source="door"} 0.001`, `seehear_source_reconnects_total{source="door"} 2`,
		`seehear_source_stream_missing{kind="audio",source="door"} 1`, `seehear_source_stream_missing{kind="video",source="door"} 0`,
		`seehear_source_dropped_total{source="door",stage="moments"} 7`, `seehear_source_dropped_total{source="door",stage="viewer"} 44`,
		`seehear_ring_bytes{source="door"} 1234`, `seehear_ring_failed_segments_total{source="door"} 6`,
		`seehear_source_dropped_total{source="door",stage="ring"} 5`,
		`seehear_source_viewers{source="door"} 1`, `seehear_c_handles{kind="frame"} 3`,
		`seehear_inference_seconds_bucket{model="net",le="0.05"} 1`, `seehear_inference_seconds_count{model="net"} 1`,
		`seehear_http_requests_total{code="200",route="GET /api/sources"} 1`, "go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
	if err := s.Metrics().Register(&sources{h, nil, nil}); err == nil {
		t.Error("the same metrics twice")
	}
}

func TestPanicIsAnswered(t *testing.T) {
	h, _ := door(t)
	s, err := New(Options{Hub: h, WHEP: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") })})
	if err != nil {
		t.Fatal(err)
	}
	if w := do(s, "POST", "/whep/door", nil); w.Code != 500 {
		t.Errorf("%d", w.Code)
	}
}

func TestLoggable(t *testing.T) {
	for target, want := range map[string]string{
		"/whep/door/0123456789": "/whep/door/REDACTED", "/whip/door/x/y": "/whip/door/REDACTED", "/whep/door": "/whep/door",
		"/api/sources?token=abc": "/api/sources?token=REDACTED",
	} {
		if got := loggable(httptest.NewRequest("GET", target, nil)); got != want {
			t.Errorf("%s is logged as %s", target, got)
		}
	}
}

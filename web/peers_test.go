package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// sessions opens and closes sessions as WHEP does, and nothing else.
type sessions struct {
	mu   sync.Mutex
	next int
	open map[string]bool
}

func (s *sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, id := r.PathValue("name"), r.PathValue("session")
	switch {
	case r.Method == http.MethodPost && name == "none":
		http.Error(w, "no such source", http.StatusNotFound)
	case r.Method == http.MethodPost:
		s.next++
		id = fmt.Sprint(s.next)
		s.open[name+"/"+id] = true
		w.Header().Set("Location", r.URL.EscapedPath()+"/"+id)
		w.WriteHeader(http.StatusCreated)
	case !s.open[name+"/"+id]:
		http.Error(w, "no such session", http.StatusNotFound)
	case r.Method == http.MethodDelete:
		delete(s.open, name+"/"+id)
	default:
		http.Error(w, "the body must be a fragment", http.StatusUnsupportedMediaType)
	}
}

// WebRTC sessions count against the limit of their address until they are over,
// whether they are deleted or simply gone.
func TestPeersAreCounted(t *testing.T) {
	h, _ := door(t)
	whep := &sessions{open: map[string]bool{}}
	s, err := New(Options{Hub: h, WHEP: whep, WHIP: whep, Limits: Limits{Sessions: 3, Requests: 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, target, from string) *httptest.ResponseRecorder {
		return do(s, method, target, func(r *http.Request) { r.RemoteAddr = from + ":5" })
	}
	const a, b = "198.51.100.1", "198.51.100.2"
	expect := func(want int, method, target, from string) {
		t.Helper()
		if w := ask(method, target, from); w.Code != want {
			t.Fatalf("%s %s from %s: %d, want %d", method, target, from, w.Code, want)
		}
	}
	expect(201, "POST", "/whep/door", a)
	expect(404, "POST", "/whep/none", a) // counts for nothing
	expect(201, "POST", "/whip/cam", a)
	expect(201, "POST", "/whep/door", a)
	expect(429, "POST", "/whep/door", a)
	expect(429, "POST", "/whip/cam", a)
	expect(429, "GET", "/api/sources/door/events", a)
	expect(201, "POST", "/whep/door", b)
	expect(200, "DELETE", "/whep/door/1", a)
	expect(201, "POST", "/whep/door", a)
	expect(429, "POST", "/whep/door", a)
	whep.mu.Lock()
	clear(whep.open) // all networks fail
	whep.mu.Unlock()
	for range 3 {
		expect(201, "POST", "/whep/door", a)
	}
	expect(429, "POST", "/whep/door", a)
	// Whoever went is let go by and by, whoever else comes.
	whep.mu.Lock()
	clear(whep.open)
	whep.mu.Unlock()
	for i := range 50 {
		expect(201, "POST", "/whep/door", fmt.Sprintf("203.0.113.%d", i))
	}
	whep.mu.Lock()
	open := len(whep.open)
	whep.mu.Unlock()
	if n := s.clients.sessions(); n != open || len(s.peers.list) != open {
		t.Errorf("%d sessions and %d peers, %d are open", n, len(s.peers.list), open)
	}
}

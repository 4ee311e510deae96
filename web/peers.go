package web

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// peers are the WebRTC sessions that were opened through the server, so that they
// count against the limit of their address. What becomes of a peer is known to
// the handler alone, which says so in the way of WHEP and WHIP: a session that is
// over is not found any more. A few are asked for with each that is opened, and
// all of an address when it has too many.
type peers struct {
	mu   sync.Mutex
	list []*peer // who was asked for longest ago is first
}

type peer struct {
	handler       http.Handler
	path          string // of the session
	name, session string
	addr          netip.Prefix
	leave         func()
}

// askWith is how many are asked for with each that is opened.
const askWith = 4

// enter opens a session of the client of r, which leave ends, or answers that it
// has too many.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) (leave func(), ok bool) {
	if leave, ok = s.clients.enter(r); ok {
		return leave, true
	}
	addr := address(r.RemoteAddr)
	s.peers.ask(r.Context(), s.opt.Limits.Sessions, func(p *peer) bool { return p.addr == addr })
	if leave, ok = s.clients.enter(r); !ok {
		tooMany(w, "too many open sessions from this address")
	}
	return leave, ok
}

// counted lets h open no more sessions than the address of a request may have.
func (s *Server) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			h.ServeHTTP(w, r)
			return
		}
		s.peers.ask(r.Context(), askWith, func(*peer) bool { return true })
		leave, ok := s.enter(w, r)
		if !ok {
			return
		}
		kept := false
		defer func() {
			if !kept {
				leave()
			}
		}()
		rec := &recorder{ResponseWriter: w}
		h.ServeHTTP(rec, r)
		if rec.code != http.StatusCreated {
			return
		}
		path := w.Header().Get("Location")
		session, ok := strings.CutPrefix(path, strings.TrimSuffix(r.URL.EscapedPath(), "/")+"/")
		if !ok || session == "" || strings.Contains(session, "/") {
			return // it cannot be asked for
		}
		kept = true
		s.peers.add(&peer{h, path, r.PathValue("name"), session, address(r.RemoteAddr), leave})
	})
}

func (ps *peers) add(list ...*peer) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.list = append(ps.list, list...)
}

// ask asks for at most n of those that match, and lets go of those that are over.
func (ps *peers) ask(ctx context.Context, n int, match func(*peer) bool) {
	var asked, rest []*peer
	ps.mu.Lock()
	for _, p := range ps.list {
		if len(asked) < n && match(p) {
			asked = append(asked, p)
		} else {
			rest = append(rest, p)
		}
	}
	ps.list = rest
	ps.mu.Unlock()
	for _, p := range asked {
		if p.open(ctx) {
			ps.add(p)
		} else {
			p.leave()
		}
	}
}

// open reports whether the session is there. A PATCH without a body changes
// nothing.
func (p *peer) open(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPatch, p.path, http.NoBody)
	if err != nil {
		return false
	}
	r.SetPathValue("name", p.name)
	r.SetPathValue("session", p.session)
	rec := &recorder{ResponseWriter: unheard{}}
	p.handler.ServeHTTP(rec, r)
	return rec.code != http.StatusNotFound
}

// unheard is an answer that nobody reads.
type unheard struct{}

func (unheard) Header() http.Header         { return http.Header{} }
func (unheard) Write(b []byte) (int, error) { return len(b), nil }
func (unheard) WriteHeader(int)             {}

package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Bounds of what a peer may send.
const (
	maxOffer    = 128 << 10
	maxFragment = 32 << 10
)

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"
)

// problem is what a peer did wrong, with the status of HTTP that says so.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

// WHEP returns the handler of playback (draft-ietf-wish-whep). It is mounted, all
// methods, where {name} is the source and {session} one viewer:
//
//	mux.Handle("/whep/{name}", srv.WHEP())
//	mux.Handle("/whep/{name}/{session}", srv.WHEP())
//
// POST of an offer gives 201, the answer, and the session's address in Location.
// There PATCH takes candidates (204) or, with "If-Match: *", restarts ICE (200),
// and DELETE ends the session. PATCH needs If-Match, the ETag of the last answer
// of either kind otherwise. Unknown names and sessions are 404. A viewer whose
// offer has a data channel gets the channel [ChannelLabel] from the server.
func (s *Server) WHEP() http.Handler { return s.handler(kindView, s.view) }

// WHIP returns the handler of publishing (RFC 9725), mounted as that of WHEP. The
// name must have been given to [Server.Accept]. Whoever publishes under a name
// where somebody does already takes their place: a publisher that comes back after
// its network failed must not wait for its own ghost.
func (s *Server) WHIP() http.Handler { return s.handler(kindPublish, s.publish) }

type opener func(ctx context.Context, name, offer string) (x *session, answer string, err error)

func (s *Server) handler(k kind, open opener) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.cross(w, r)
		err := s.serve(w, r, k, open)
		if err == nil {
			return
		}
		status := http.StatusInternalServerError
		var p *problem
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			status, err = http.StatusRequestEntityTooLarge, fmt.Errorf("more than %d bytes", large.Limit)
		case errors.As(err, &p):
			status = p.status
		default:
			s.log.Error("rtc", "error", err)
		}
		http.Error(w, err.Error(), status)
	})
}

// cross lets pages of other sites that are allowed read the answer.
func (s *Server) cross(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || s.opt.Origin == nil || !s.opt.Origin(origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Location, Link, ETag, Accept-Post, Accept-Patch")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "POST, PATCH, DELETE, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Max-Age", "600")
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, k kind, open opener) error {
	name, id := r.PathValue("name"), r.PathValue("session")
	if id == "" {
		switch r.Method {
		case http.MethodPost:
			return s.post(w, r, name, open)
		case http.MethodOptions:
			w.Header().Set("Accept-Post", typeSDP)
			s.links(w)
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		w.Header().Set("Allow", "POST, OPTIONS")
		return &problem{http.StatusMethodNotAllowed, "only POST begins a session"}
	}
	switch r.Method {
	case http.MethodOptions:
		w.Header().Set("Accept-Patch", typeFragment)
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPatch, http.MethodDelete:
	default:
		w.Header().Set("Allow", "PATCH, DELETE, OPTIONS")
		return &problem{http.StatusMethodNotAllowed, "a session takes PATCH and DELETE"}
	}
	x := s.find(k, name, id)
	if x == nil {
		return &problem{http.StatusNotFound, "no such session"}
	}
	if r.Method == http.MethodDelete {
		x.close()
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return s.patch(w, r, x)
}

// body reads a request of that type and at most that size.
func body(w http.ResponseWriter, r *http.Request, want string, most int64) (string, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != want {
		return "", &problem{http.StatusUnsupportedMediaType, "the body must be " + want}
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	return string(b), err
}

func (s *Server) post(w http.ResponseWriter, r *http.Request, name string, open opener) error {
	offer, err := body(w, r, typeSDP, maxOffer)
	if err != nil {
		return err
	}
	x, answer, err := open(r.Context(), name, offer)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", typeSDP)
	h.Set("Location", strings.TrimSuffix(r.URL.EscapedPath(), "/")+"/"+x.id)
	h.Set("ETag", `"1"`)
	h.Set("Accept-Patch", typeFragment)
	h.Set("Cache-Control", "no-store")
	s.links(w)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // a peer that hangs up never connects
	return nil
}

func (s *Server) patch(w http.ResponseWriter, r *http.Request, x *session) error {
	text, err := body(w, r, typeFragment, maxFragment)
	if err != nil {
		return err
	}
	f, err := parseFragment(text)
	if err != nil {
		return &problem{http.StatusBadRequest, err.Error()}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch match := r.Header.Get("If-Match"); {
	case match == "":
		return &problem{http.StatusPreconditionRequired, "If-Match must name the ETag of the session"}
	case match == "*":
		switch {
		case f.ufrag == "" || f.pwd == "":
			return &problem{http.StatusBadRequest, "an ICE restart needs ice-ufrag and ice-pwd"}
		case f.ufrag == ufragOf(x.offer):
			return &problem{http.StatusBadRequest, "an ICE restart needs a new ice-ufrag"}
		}
		answer, err := x.restart(r.Context(), f)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", typeFragment)
		w.Header().Set("ETag", x.etag())
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, answer)
		return nil
	case match != x.etag():
		return &problem{http.StatusPreconditionFailed, "If-Match names another ICE session"}
	case f.ufrag != "" && f.ufrag != ufragOf(x.offer):
		return &problem{http.StatusBadRequest, "ice-ufrag is not that of the session"}
	}
	if err := x.trickle(f); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// links tells the peer of STUN and TURN servers.
func (s *Server) links(w http.ResponseWriter) {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for _, i := range s.opt.ICEServers {
		for _, u := range i.URLs {
			link := "<" + u + `>; rel="ice-server"`
			if i.Username != "" {
				link += `; username="` + quote.Replace(i.Username) + `"; credential="` + quote.Replace(i.Credential) + `"; credential-type="password"`
			}
			w.Header().Add("Link", link)
		}
	}
}

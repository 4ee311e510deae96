package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/web/hub"
	"github.com/seehear/seehear/web/ring"
)

// Times that bound a request; streams set their own.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 5 * time.Second // for answers that are under way when Serve ends
)

// Ring is the store of the last minutes of the media: package web/ring.
type Ring interface {
	http.Handler // of the addresses below /ring/
	// Span returns what of a source can be played.
	Span(source string) (from, to time.Duration, ok bool)
	Stats(source string) (ring.Stats, bool)
}

var _ Ring = (*ring.Store)(nil)

// Options say what is served and to whom.
type Options struct {
	Hub    *hub.Hub
	Ring   Ring  // nil: none
	Viewer fs.FS // the viewer's files with index.html; nil: none
	// WHEP and WHIP answer all methods of /whep/{name} and
	// /whep/{name}/{session}, and /whip/ likewise, behind all checks; CORS and
	// preflights are answered for them. A session that is over must answer 404: the
	// server asks with a PATCH that has no body. nil: there is none.
	WHEP, WHIP http.Handler

	Access   Access
	Insecure bool     // serve off the loopback address without a token too
	Hosts    []string // names by which the server is reached, beside localhost; "*" allows any
	Origins  []string // of pages elsewhere that may use it, https://host[:port]
	TLS      TLS
	Limits   Limits

	Handles func() map[string]int // open handles of C by kind, for the metrics; may be nil
	Ready   func() error          // why the program is not ready; may be nil
	Log     *slog.Logger          // discarded if nil
	Now     func() time.Time      // time.Now if nil
}

// Server serves one hub. New makes it, Serve runs it, once.
type Server struct {
	opt         Options
	keys        keys
	places      places
	clients     *clients
	peers       peers
	static      static
	metrics     *Metrics
	tls         *tls.Config
	fingerprint string
	handler     http.Handler
	ready       atomic.Bool

	ping, stall time.Duration // of Server-Sent Events
}

// New checks the options, reads the users' file and the certificate.
func New(opt Options) (*Server, error) {
	if opt.Hub == nil {
		return nil, errors.New("web: no hub")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Limits = opt.Limits.withDefaults()
	s := &Server{
		opt: opt, clients: newClients(opt.Limits, opt.Now), metrics: newMetrics(&opt),
		ping: ssePing, stall: sseStall,
	}
	var err error
	if s.keys, err = opt.Access.load(); err != nil {
		return nil, err
	}
	if s.places, err = newPlaces(opt.Hosts, opt.Origins); err != nil {
		return nil, err
	}
	if opt.Viewer != nil {
		if s.static, err = loadStatic(opt.Viewer); err != nil {
			return nil, err
		}
	}
	if s.tls, s.fingerprint, err = opt.TLS.config(s.places.hosts, opt.Now); err != nil {
		return nil, err
	}
	s.places.hosts = append(s.places.hosts, certificateNames(s.tls)...)
	s.handler = s.routes()
	return s, nil
}

// Metrics returns the server's metrics, to be fed.
func (s *Server) Metrics() *Metrics { return s.metrics }

// Fingerprint is the SHA-256 of the self-signed certificate in hex, "" without
// one.
func (s *Server) Fingerprint() string { return s.fingerprint }

// Handler returns the whole of the server, with all checks but the one that Serve
// makes of its address.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, h) }
	guarded := func(pattern string, need role, h http.Handler) { mux.Handle(pattern, s.allow(need, h)) }

	open("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") })
	open("GET /readyz", s.readyz)
	if s.static != nil {
		open("GET /{$}", func(w http.ResponseWriter, r *http.Request) { s.static.serve(w, r, "index.html") })
		open("GET /viewer/{file...}", func(w http.ResponseWriter, r *http.Request) { s.static.serve(w, r, r.PathValue("file")) })
	}
	guarded("GET /metrics", view, s.metrics.handler())
	guarded("GET /api/sources", view, http.HandlerFunc(s.listSources))
	guarded("GET /api/sources/{name}", view, http.HandlerFunc(s.oneSource))
	guarded("GET /api/sources/{name}/results", view, http.HandlerFunc(s.results))
	guarded("GET /api/sources/{name}/events", view, http.HandlerFunc(s.events))
	if s.opt.Ring != nil {
		guarded("GET /ring/", view, s.opt.Ring)
	}
	if s.opt.WHEP != nil {
		guarded("/whep/{name}", view, s.counted(s.opt.WHEP))
		guarded("/whep/{name}/{session}", view, s.opt.WHEP)
	}
	if s.opt.WHIP != nil {
		guarded("/whip/{name}", publish, s.counted(s.opt.WHIP))
		guarded("/whip/{name}/{session}", publish, s.opt.WHIP)
	}
	open("/", func(w http.ResponseWriter, r *http.Request) {
		get := r.Clone(r.Context())
		get.Method = http.MethodGet
		if _, route := mux.Handler(get); route != "/" {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "only GET and HEAD are answered here")
			return
		}
		fail(w, http.StatusNotFound, "no such page")
	})
	return s.log(mux, secure(s.limit(s.places.guard(mux))))
}

// limit holds requests to the budget of their client, and their bodies to size.
func (s *Server) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.clients.request(r) {
			tooMany(w, "too many requests from this address")
			return
		}
		if r.ContentLength > s.opt.Limits.Body {
			fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a request may have %d bytes", s.opt.Limits.Body))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.opt.Limits.Body)
		next.ServeHTTP(w, r)
	})
}

func tooMany(w http.ResponseWriter, cause string) {
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusTooManyRequests, cause)
}

// allow lets those through whose token is good for need.
func (s *Server) allow(need role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" && !s.clients.mayFail(r) {
			tooMany(w, "too many wrong tokens from this address")
			return
		}
		switch s.keys.check(r, need) {
		case granted:
			next.ServeHTTP(w, r)
		case missing:
			w.Header().Set("WWW-Authenticate", `Bearer realm="seehear"`)
			fail(w, http.StatusUnauthorized, "a token is needed")
		case unknown:
			s.clients.failed(r)
			w.Header().Set("WWW-Authenticate", `Bearer realm="seehear", error="invalid_token"`)
			fail(w, http.StatusUnauthorized, "the token is not known here")
		case wrong:
			fail(w, http.StatusForbidden, fmt.Sprintf("this needs a token for %s", need))
		}
	})
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		fail(w, http.StatusServiceUnavailable, "starting or stopping")
		return
	}
	if s.opt.Ready != nil {
		if err := s.opt.Ready(); err != nil {
			fail(w, http.StatusServiceUnavailable, ingest.Redact(err.Error()))
			return
		}
	}
	answer(w, http.StatusOK, "ready")
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	code  int
	bytes int64
}

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 || r.code < 200 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// log counts and logs each request, and answers for a handler that panics.
func (s *Server) log(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.opt.Now()
		rec := &recorder{ResponseWriter: w}
		_, route := mux.Handler(r)
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler { //nolint:errorlint // the value itself
				panic(p)
			}
			if p != nil {
				s.opt.Log.Error("request failed", "route", route, "panic", p)
				if rec.code == 0 {
					fail(rec, http.StatusInternalServerError, "something went wrong; the log says what")
				}
			}
			s.metrics.requests.WithLabelValues(route, strconv.Itoa(rec.code)).Inc()
			level := slog.LevelDebug
			if rec.code >= 400 {
				level = slog.LevelInfo
			}
			s.opt.Log.Log(r.Context(), level, "request", "method", r.Method, "path", loggable(r), "code", rec.code,
				"bytes", rec.bytes, "took", s.opt.Now().Sub(began).Round(time.Microsecond), "from", r.RemoteAddr)
		}()
		next.ServeHTTP(rec, r)
	})
}

// loggable is the address of a request without what gives power over a session.
func loggable(r *http.Request) string {
	p := r.URL.EscapedPath()
	if part := strings.SplitN(p, "/", 4); len(part) == 4 && (part[1] == "whep" || part[1] == "whip") {
		p = strings.Join(part[:3], "/") + "/" + ingest.Redacted
	}
	if r.URL.RawQuery != "" {
		p += "?" + r.URL.RawQuery
	}
	if len(p) > 300 {
		p = p[:300]
	}
	return ingest.Redact(p)
}

// check refuses what Note [Access] rules out.
func (s *Server) check(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); !ok || tcp.IP.IsLoopback() || s.keys.guarded() {
		return nil
	}
	if !s.opt.Insecure {
		return fmt.Errorf("web: %s can be reached from elsewhere: give a view token or a users file, listen on 127.0.0.1, or say --insecure", addr)
	}
	s.opt.Log.Warn("everybody who reaches this address may look", "address", addr.String())
	return nil
}

// Serve answers on ln until ctx ends. Then viewers get a bye, answers under way
// have five seconds, and all is closed, ln too. It returns nil after an orderly
// end.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := s.check(ln.Addr()); err != nil {
		ln.Close()
		return err
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && s.tls == nil && s.keys.guarded() {
		s.opt.Log.Warn("tokens travel in the clear without TLS", "address", ln.Addr().String())
	}
	base, cancelBase := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelBase()
	srv := &http.Server{
		BaseContext:       func(net.Listener) context.Context { return base },
		Handler:           s.handler,
		TLSConfig:         s.tls,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() {
		if s.tls != nil {
			ended <- srv.ServeTLS(ln, "", "")
		} else {
			ended <- srv.Serve(ln)
		}
	}()
	s.ready.Store(true)
	var err error
	select {
	case err = <-ended:
		err = fmt.Errorf("web: %w", err)
	case <-ctx.Done():
	}
	s.ready.Store(false)
	s.opt.Hub.Close("the server stops")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if serr := srv.Shutdown(stop); serr != nil {
		s.opt.Log.Warn("cut off answers that were under way", "cause", serr.Error())
		_ = srv.Close()
	}
	if err == nil {
		<-ended // http.ErrServerClosed
	}
	return err
}

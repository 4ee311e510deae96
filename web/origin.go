package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// places says by which names the server may be reached and which pages may use
// it. See Note [Access].
type places struct {
	hosts   []string // lower case, without port; "*" allows all
	origins []string // scheme://host[:port], lower case
}

func newPlaces(hosts, origins []string) (places, error) {
	var p places
	for _, h := range hosts {
		if h == "" || h != "*" && strings.ContainsAny(h, "/*@ ") {
			return p, fmt.Errorf("web: host %q is neither a name nor an address", h)
		}
		p.hosts = append(p.hosts, hostName(h))
	}
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
			return p, fmt.Errorf("web: origin %q is not of the form https://host or https://host:port", o)
		}
		p.origins = append(p.origins, strings.ToLower(o))
	}
	return p, nil
}

// hostName returns the name or address of a Host header, without port and
// brackets, in lower case.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// host reports whether r names this server. An address in place of a name cannot
// be pointed elsewhere, so any is this server's; but on loopback none other than
// a loopback address makes sense.
func (p *places) host(r *http.Request) bool {
	name := hostName(r.Host)
	if name == "localhost" || slices.Contains(p.hosts, name) || slices.Contains(p.hosts, "*") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && !local.IP.IsLoopback()
}

// origin judges the page that made the request, and returns its origin if it is
// another's that is allowed.
func (p *places) origin(r *http.Request) (foreign string, ok bool) {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		// A picture or a script of another page's: browsers say so without an
		// Origin. Following a link to the viewer is nobody's harm.
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "same-origin", "none":
			return "", true
		}
		return "", r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Method == http.MethodGet
	}
	origin := strings.ToLower(values[0])
	if len(values) > 1 {
		return "", false
	}
	if slices.Contains(p.origins, origin) {
		return values[0], true
	}
	scheme, host, found := strings.Cut(origin, "://")
	// A proxy in front may speak https for us.
	return "", found && (scheme == "http" || scheme == "https") && host == strings.ToLower(r.Host)
}

// The answer to a page of an allowed origin.
const (
	allowMethods  = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
	allowHeaders  = "Authorization, Content-Type, If-Match, Last-Event-ID, Range"
	exposeHeaders = "Location, Link, ETag, Accept-Patch, Accept-Post, Content-Range, Retry-After"
)

// guard lets only those requests through that name this server and come from a
// page that may use it, and answers preflights.
func (p *places) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.host(r) {
			fail(w, http.StatusMisdirectedRequest, fmt.Sprintf("this server is not known as %.100q: see --host", hostName(r.Host)))
			return
		}
		foreign, ok := p.origin(r)
		if !ok {
			fail(w, http.StatusForbidden, "pages of another origin may not use this server: see --origin")
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		if foreign != "" {
			h.Set("Access-Control-Allow-Origin", foreign)
			h.Set("Access-Control-Expose-Headers", exposeHeaders)
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			if foreign != "" {
				h.Set("Access-Control-Allow-Methods", allowMethods)
				h.Set("Access-Control-Allow-Headers", allowHeaders)
				h.Set("Access-Control-Max-Age", "600")
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

package ring

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seehear/seehear/sinks/jsonl"
)

// seconds is a time in the index.
type seconds time.Duration

// MarshalJSON writes six decimals.
func (s seconds) MarshalJSON() ([]byte, error) {
	return jsonl.AppendSeconds(nil, time.Duration(s)), nil
}

// Span returns what of the source of that name can be played.
func (s *Store) Span(name string) (from, to time.Duration, ok bool) {
	r := s.ring(name)
	if r == nil {
		return 0, 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.segments) == 0 {
		return 0, 0, false
	}
	last := r.segments[len(r.segments)-1]
	return time.Duration(r.segments[0].T), time.Duration(last.T + last.Dur), true
}

// ServeHTTP answers GET and HEAD of /ring/NAME/index.json, /ring/NAME/init-N.mp4
// and /ring/NAME/SEQ.m4s, with ranges. Only files that a ring has in its index
// are opened.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/ring/")
	name, file, ok2 := strings.Cut(rest, "/")
	ring := s.ring(name)
	if !ok || !ok2 || ring == nil {
		refuse(w, http.StatusNotFound, "no such source has a ring")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are answered here")
		return
	}
	if file == "index.json" {
		ring.serveIndex(w)
		return
	}
	ring.serveFile(w, r, file)
}

func refuse(w http.ResponseWriter, code int, cause string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"error\":%q}\n", cause)
}

func (r *Ring) serveIndex(w http.ResponseWriter) {
	r.mu.Lock()
	index := struct {
		Inits    []initFile    `json:"inits"`
		Segments []segmentFile `json:"segments"`
	}{slices.Clone(r.inits), slices.Clone(r.segments)}
	r.mu.Unlock()
	if len(index.Segments) == 0 {
		index.Inits, index.Segments = []initFile{}, []segmentFile{}
	}
	b, err := json.Marshal(index)
	if err != nil {
		panic("ring: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(b, '\n'))
}

// has reports whether the index has that file.
func (r *Ring) has(file string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.segments, func(s segmentFile) bool { return s.Name == file }) ||
		slices.ContainsFunc(r.inits, func(i initFile) bool { return i.Name == file })
}

func (r *Ring) serveFile(w http.ResponseWriter, req *http.Request, file string) {
	if !r.has(file) {
		refuse(w, http.StatusNotFound, "not in the ring, or no more")
		return
	}
	f, err := r.root.Open(file)
	if err != nil { // deleted meanwhile
		refuse(w, http.StatusNotFound, "no more in the ring")
		return
	}
	defer f.Close()
	typ := "video/iso.segment"
	if strings.HasSuffix(file, ".mp4") {
		typ = "video/mp4"
	}
	h := w.Header()
	h.Set("Content-Type", typ)
	h.Set("ETag", `"`+file+`"`)
	h.Set("Cache-Control", "private, max-age=600, immutable")
	http.ServeContent(w, req, "", time.Time{}, f)
}

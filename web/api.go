package web

import (
	"bufio"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks/jsonl"
	"github.com/seehear/seehear/web/hub"
)

// seconds is a time in an answer.
type seconds time.Duration

// MarshalJSON writes six decimals.
func (s seconds) MarshalJSON() ([]byte, error) {
	return jsonl.AppendSeconds(nil, time.Duration(s)), nil
}

// sourceJSON is a source as GET /api/sources says it.
type sourceJSON struct {
	Name       string     `json:"name"`
	Title      string     `json:"title"`
	State      hub.State  `json:"state"`
	Cause      string     `json:"cause,omitempty"`
	Since      *time.Time `json:"since,omitempty"`
	Reconnects int        `json:"reconnects"`
	Missing    []string   `json:"missing,omitempty"`
	FPS        float64    `json:"fps"`
	Lag        seconds    `json:"lag"`
	Video      *videoJSON `json:"video"`
	Audio      *audioJSON `json:"audio"`
	Media      *hub.Media `json:"media"`
	Viewers    int        `json:"viewers"`
	WHEP       string     `json:"whep,omitempty"`
	Events     string     `json:"events"`
	Results    *hub.Span  `json:"results"`
	Ring       *hub.Span  `json:"ring"`
}

type videoJSON struct {
	Codec  string  `json:"codec"`
	Width  int     `json:"width"` // upright
	Height int     `json:"height"`
	FPS    float64 `json:"fps,omitempty"` // as the container says
}

type audioJSON struct {
	Codec      string `json:"codec"`
	SampleRate int    `json:"sample_rate"`
	Channels   int    `json:"channels"`
}

func (s *Server) describe(src *hub.Source) sourceJSON {
	in := src.Info()
	st := &in.Status
	out := sourceJSON{
		Name: in.Name, Title: in.Title, State: st.State, Cause: st.Cause, Reconnects: st.Reconnects,
		FPS: finite(st.FPS), Lag: seconds(st.Lag), Media: in.Media, Viewers: in.Viewers,
		Events: "/api/sources/" + in.Name + "/events", Results: in.Results,
	}
	if out.State == "" {
		out.State = hub.Connecting // nothing was said yet
	}
	for _, k := range st.Missing {
		out.Missing = append(out.Missing, k.String())
	}
	if !st.Since.IsZero() {
		since := st.Since.UTC()
		out.Since = &since
	}
	if s.opt.WHEP != nil {
		out.WHEP = "/whep/" + in.Name
	}
	if s.opt.Ring != nil {
		if from, to, ok := s.opt.Ring.Span(in.Name); ok {
			out.Ring = &hub.Span{From: from, To: to}
		}
	}
	for i := range in.Streams {
		stream := &in.Streams[i]
		switch {
		case stream.Kind == ingest.Video && out.Video == nil:
			v := &videoJSON{Codec: stream.Codec, Width: stream.Width, Height: stream.Height}
			if stream.Rotation%180 != 0 {
				v.Width, v.Height = v.Height, v.Width
			}
			if r := stream.FrameRate; r.Num > 0 && r.Den > 0 {
				v.FPS = math.Round(float64(r.Num)/float64(r.Den)*1000) / 1000
			}
			out.Video = v
		case stream.Kind == ingest.Audio && out.Audio == nil:
			out.Audio = &audioJSON{stream.Codec, stream.SampleRate, stream.Channels}
		}
	}
	return out
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return math.Round(v*1000) / 1000
}

// source finds the source that the address names, or answers that there is none.
func (s *Server) source(w http.ResponseWriter, r *http.Request) (*hub.Source, bool) {
	name := r.PathValue("name")
	src, ok := s.opt.Hub.Lookup(name)
	if !ok {
		fail(w, http.StatusNotFound, fmt.Sprintf("no source %.80q", name))
	}
	return src, ok
}

func (s *Server) listSources(w http.ResponseWriter, _ *http.Request) {
	list := []sourceJSON{}
	for _, src := range s.opt.Hub.Sources() {
		list = append(list, s.describe(src))
	}
	answer(w, http.StatusOK, struct {
		Sources []sourceJSON `json:"sources"`
	}{list})
}

func (s *Server) oneSource(w http.ResponseWriter, r *http.Request) {
	if src, ok := s.source(w, r); ok {
		answer(w, http.StatusOK, s.describe(src))
	}
}

func (s *Server) results(w http.ResponseWriter, r *http.Request) {
	src, ok := s.source(w, r)
	if !ok {
		return
	}
	from, to, err := parseSpan(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/jsonl")
	h.Set("Cache-Control", "no-store")
	bw := bufio.NewWriterSize(w, 64<<10)
	for _, line := range src.Results(from, to) {
		_, _ = bw.Write(line)
		_ = bw.WriteByte('\n')
	}
	_ = bw.Flush() // a reader that has gone is no concern
}

// parseSpan reads "from=1.5&to=3"; what is left out is open.
func parseSpan(query string) (from, to time.Duration, err error) {
	from, to = math.MinInt64, math.MaxInt64
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, 0, fmt.Errorf("the query cannot be read")
	}
	for k, v := range values {
		dst := &from
		switch k {
		case "from":
		case "to":
			dst = &to
		default:
			return 0, 0, fmt.Errorf("unknown parameter %.40q; from and to are known", k)
		}
		if len(v) != 1 {
			return 0, 0, fmt.Errorf("%s is given %d times", k, len(v))
		}
		if *dst, err = parseSeconds(v[0]); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", k, err)
		}
	}
	if from > to {
		return 0, 0, fmt.Errorf("from lies behind to")
	}
	return from, to, nil
}

// parseSeconds reads a decimal exactly.
func parseSeconds(s string) (time.Duration, error) {
	whole, frac, point := strings.Cut(s, ".")
	digits, neg := strings.CutPrefix(whole, "-")
	bad := digits == "" || point && frac == "" || len(frac) > 9
	for _, c := range digits + frac {
		bad = bad || c < '0' || c > '9'
	}
	if bad {
		return 0, fmt.Errorf("%.40q is not a time in seconds with at most nine decimals", s)
	}
	sec, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || sec >= math.MaxInt64/int64(time.Second) {
		return 0, fmt.Errorf("%.40q is further than this clock goes", s)
	}
	ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a time in seconds", s)
	}
	d := time.Duration(sec)*time.Second + time.Duration(ns)
	if neg {
		d = -d
	}
	return d, nil
}

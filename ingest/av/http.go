package av

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxRedirects = 10
	// A seek forwards by less than this reads on instead of asking anew.
	nearSeek = 256 << 10
	// How often a connection that broke is made again without a byte coming.
	retries = 3
)

// client returns the HTTP client whose connections pass the gate.
func (g *gate) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           g.dial,
			TLSClientConfig:       &tls.Config{RootCAs: g.opt.roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   g.opt.ReadTimeout,
			ResponseHeaderTimeout: g.opt.ReadTimeout,
			DisableCompression:    true, // ranges count the bytes on the wire
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   2,
			IdleConnTimeout:       30 * time.Second,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= maxRedirects {
				return errors.New("too many redirects")
			}
			if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
				return &refusal{r.URL.String(), "a redirect may lead to http and https only"}
			}
			return nil
		},
	}
}

// httpStatus is an answer that is no success.
type httpStatus struct{ code int }

func (s *httpStatus) Error() string {
	return fmt.Sprintf("the server answered %d %s", s.code, http.StatusText(s.code))
}

// httpStream reads a URL from byte first to byte end (-1: all), seeking with
// ranges. Position 0 is byte first.
type httpStream struct {
	g     *gate
	ctx   context.Context
	url   *url.URL
	first int64
	end   int64

	pos    int64
	size   int64 // -1 if unknown
	ranges bool
	etag   string
	body   io.ReadCloser
	bodyAt int64
}

// get opens a URL.
func (g *gate) get(ctx context.Context, u *url.URL, first, end int64) (*resource, error) {
	s := &httpStream{g: g, ctx: ctx, url: u, first: first, end: end, size: -1}
	resp, err := s.request(0)
	if err != nil {
		return nil, err
	}
	final := *resp.Request.URL
	final.User = nil // FFmpeg need not know it
	r := &resource{stream: s, url: final.String(), location: final.String()}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil {
		r.mime = t
	}
	return r, nil
}

// request asks for the bytes from pos and makes the answer the stream's body.
func (s *httpStream) request(pos int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "seehear")
	req.Header.Set("Accept", "*/*")
	from := s.first + pos
	want := "bytes=" + strconv.FormatInt(from, 10) + "-"
	if s.end >= 0 {
		want += strconv.FormatInt(s.end-1, 10)
	}
	req.Header.Set("Range", want)
	if s.etag != "" {
		req.Header.Set("If-Range", s.etag)
	}
	if own := s.g.url; own != nil && own.User != nil && req.URL.User == nil &&
		req.URL.Scheme == own.Scheme && req.URL.Host == own.Host {
		// The password of the input holds for its own server.
		req.URL.User = own.User
	}
	resp, err := s.g.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // it would repeat the URL
		}
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		start, size, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || start != from {
			_ = resp.Body.Close()
			return nil, errors.New("the server answered with another range than the one asked for")
		}
		s.ranges = true
		if size >= 0 {
			s.size = size - s.first
		}
	case http.StatusRequestedRangeNotSatisfiable:
		_ = resp.Body.Close()
		resp.Body = http.NoBody
	case http.StatusOK:
		if from > 0 && s.bodyAt > 0 {
			_ = resp.Body.Close()
			return nil, errors.New("the server no longer gives ranges, or the file has changed")
		}
		if _, err := io.CopyN(io.Discard, resp.Body, from); err != nil && !errors.Is(err, io.EOF) {
			_ = resp.Body.Close()
			return nil, err
		}
		if resp.ContentLength >= 0 {
			s.size = resp.ContentLength - s.first
		}
	default:
		_ = resp.Body.Close()
		return nil, &httpStatus{resp.StatusCode}
	}
	if s.end >= 0 && (s.size < 0 || s.size > s.end-s.first) {
		s.size = s.end - s.first
	}
	if tag := resp.Header.Get("ETag"); !strings.HasPrefix(tag, "W/") {
		s.etag = tag
	}
	s.body, s.bodyAt = resp.Body, pos
	return resp, nil
}

// contentRange reads "bytes 5-9/10"; the size is -1 for "*".
func contentRange(s string) (start, size int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, total, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, false
	}
	a, _, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	start, err := strconv.ParseInt(a, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if size, err = strconv.ParseInt(total, 10, 64); err != nil {
		size = -1
	}
	return start, size, true
}

func (s *httpStream) Read(p []byte) (int, error) {
	if s.size >= 0 && s.pos >= s.size {
		return 0, io.EOF
	}
	if s.end >= 0 {
		if left := s.end - s.first - s.pos; int64(len(p)) > left {
			p = p[:max(left, 0)]
		}
	}
	var last error
	for try := 0; try <= retries; try++ {
		if err := s.ctx.Err(); err != nil {
			return 0, err
		}
		if s.body == nil || s.bodyAt != s.pos {
			if err := s.reach(); err != nil {
				var status *httpStatus
				var r *refusal
				if errors.As(err, &status) || errors.As(err, &r) || s.ctx.Err() != nil {
					return 0, err
				}
				last = err
				continue
			}
		}
		n, err := s.body.Read(p)
		s.pos += int64(n)
		s.bodyAt += int64(n)
		if n > 0 {
			return n, nil
		}
		if err == nil {
			continue
		}
		s.drop()
		if err == io.EOF && s.size < 0 {
			s.size = s.pos // now it is known
		}
		if err == io.EOF && s.pos >= s.size {
			return 0, io.EOF
		}
		last = err
		if !s.ranges {
			break
		}
	}
	if errors.Is(last, io.EOF) || errors.Is(last, io.ErrUnexpectedEOF) {
		last = fmt.Errorf("the connection ended after %d of %d bytes", s.pos, s.size)
	}
	return 0, last
}

// reach makes the body stand at pos.
func (s *httpStream) reach() error {
	if s.body != nil && s.pos > s.bodyAt && (s.pos-s.bodyAt < nearSeek || !s.ranges) {
		n, err := io.CopyN(io.Discard, s.body, s.pos-s.bodyAt)
		s.bodyAt += n
		if err == nil {
			return nil
		}
	}
	s.drop()
	_, err := s.request(s.pos)
	return err
}

func (s *httpStream) drop() {
	if s.body != nil {
		_ = s.body.Close()
		s.body = nil
	}
}

func (s *httpStream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.pos
	case io.SeekEnd:
		if s.size < 0 {
			return 0, errSeek
		}
		offset += s.size
	}
	if offset < 0 || !s.ranges && offset < s.bodyAt {
		return 0, errSeek
	}
	s.pos = offset
	return offset, nil
}

func (s *httpStream) Size() int64    { return s.size }
func (s *httpStream) Seekable() bool { return s.ranges }

func (s *httpStream) Close() error {
	s.drop()
	return nil
}

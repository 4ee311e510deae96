package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/seehear/seehear/web/hub"
)

// Times of Server-Sent Events.
const (
	ssePing  = 15 * time.Second // a comment keeps the connection
	sseStall = 30 * time.Second // who takes nothing for so long is cut off
)

// events streams the messages of a source.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	src, ok := s.source(w, r)
	if !ok {
		return
	}
	opt, ok := resume(r)
	if !ok {
		fail(w, http.StatusBadRequest, "Last-Event-ID is not the id of a result")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // for proxies
	if r.Method == http.MethodHead {
		return
	}
	leave, ok := s.enter(w, r)
	if !ok {
		return
	}
	defer leave()
	rc := http.NewResponseController(w)
	// The stream outlives the deadlines of a request.
	if err := rc.SetReadDeadline(time.Time{}); err != nil {
		fail(w, http.StatusInternalServerError, "this connection cannot stream")
		return
	}
	w.WriteHeader(http.StatusOK)

	v := src.Join(opt)
	defer v.Close()
	var buf []byte
	for {
		m, err := next(r.Context(), v, s.ping)
		switch {
		case err == nil:
			buf = appendSSE(buf[:0], &m)
		case errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil:
			buf = append(buf[:0], ":\n\n"...)
		default:
			return // the bye was sent, or the reader has gone
		}
		if rc.SetWriteDeadline(time.Now().Add(s.stall)) != nil {
			return
		}
		if _, err := w.Write(buf); err != nil {
			return
		}
		if rc.Flush() != nil {
			return
		}
	}
}

// next waits for a message for so long.
func next(ctx context.Context, v *hub.Viewer, wait time.Duration) (hub.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return v.Message(ctx)
}

// resume reads where a reader left off.
func resume(r *http.Request) (hub.JoinOptions, bool) {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.URL.Query().Get("last")
	}
	if id == "" {
		return hub.JoinOptions{}, true
	}
	n, err := strconv.ParseUint(id, 10, 63)
	return hub.JoinOptions{After: n}, err == nil
}

func appendSSE(b []byte, m *hub.Message) []byte {
	b = append(b, "event: "...)
	b = append(b, m.Type...)
	if m.ID != 0 {
		b = append(b, "\nid: "...)
		b = strconv.AppendUint(b, m.ID, 10)
	}
	b = append(b, "\ndata: "...) // JSON holds no line end
	b = append(b, m.JSON...)
	return append(b, "\n\n"...)
}

package hub

import (
	"time"

	"github.com/seehear/seehear/ingest"
)

// message is one result, made once and shared.
type message struct {
	id   uint64
	at   ingest.Stamp
	json []byte
}

// history is what a source found in the last while, bounded in time and bytes.
// It belongs to the source's lock.
type history struct {
	length   time.Duration
	maxBytes int

	list  []*message // list[head:] in the order of arrival
	head  int
	bytes int
	edge  time.Duration
}

func (h *history) live() []*message { return h.list[h.head:] }

func (h *history) add(m *message) {
	if len(h.live()) == 0 || m.at.At > h.edge {
		h.edge = m.at.At
	}
	h.list = append(h.list, m)
	h.bytes += len(m.json)
	for h.head < len(h.list) && (h.bytes > h.maxBytes || h.list[h.head].at.At < h.edge-h.length) {
		h.bytes -= len(h.list[h.head].json)
		h.list[h.head] = nil
		h.head++
	}
	if h.head > 64 && h.head > len(h.list)/2 {
		n := copy(h.list, h.live())
		clear(h.list[n:])
		h.list, h.head = h.list[:n], 0
	}
}

// span returns what is kept, nil for nothing.
func (h *history) span() *Span {
	live := h.live()
	if len(live) == 0 {
		return nil
	}
	return &Span{live[0].at.At, h.edge}
}

// after returns the results behind that ID, and how many of them have gone.
func (h *history) after(id uint64) (rest []*message, lost uint64) {
	live := h.live()
	if len(live) == 0 {
		return nil, 0
	}
	first := live[0].id
	if id < first {
		return append(rest, live...), first - id - 1
	}
	if n := id - first + 1; n < uint64(len(live)) {
		rest = append(rest, live[n:]...)
	}
	return rest, 0
}

// between returns the JSON of the results with from <= t < to.
func (h *history) between(from, to time.Duration) [][]byte {
	var list [][]byte
	for _, m := range h.live() {
		if m.at.At >= from && m.at.At < to {
			list = append(list, m.json)
		}
	}
	return list
}

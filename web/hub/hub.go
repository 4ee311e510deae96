package hub

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

// Options bound what the hub keeps. The zero value is what `seehear serve` uses.
type Options struct {
	// Queue and QueueBytes bound the results that wait for one viewer: 256 and
	// 1 MiB if zero.
	Queue, QueueBytes int
	// History and HistoryBytes bound the results that each source keeps: ten
	// minutes on the source's clock and 16 MiB of JSON if zero.
	History      time.Duration
	HistoryBytes int
	// Now is the wall clock, time.Now if nil.
	Now func() time.Time
}

// Hub holds the sources by name. All methods are safe for concurrent use.
type Hub struct {
	opt Options

	mu      sync.Mutex
	sources map[string]*Source
	closed  string // why, "" while open
}

// New returns a hub without sources.
func New(opt Options) *Hub {
	opt.Queue = cmp.Or(max(opt.Queue, 0), 256)
	opt.QueueBytes = cmp.Or(max(opt.QueueBytes, 0), 1<<20)
	opt.History = cmp.Or(max(opt.History, 0), 10*time.Minute)
	opt.HistoryBytes = cmp.Or(max(opt.HistoryBytes, 0), 16<<20)
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Hub{opt: opt, sources: map[string]*Source{}}
}

// CheckName says what is wrong with the name of a source. Names stand in
// addresses and in names of files: letters, digits, '.', '_' and '-', not first
// a '.' or '-', at most 64.
func CheckName(name string) error {
	if name == "" || len(name) > 64 {
		return fmt.Errorf("source name %.80q has %d characters: 1 to 64 are allowed", name, len(name))
	}
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		case i > 0 && (c == '.' || c == '-'):
		default:
			return fmt.Errorf("source name %q: letters, digits, '_', and behind the first '.' and '-' are allowed", name)
		}
	}
	return nil
}

// Source returns the source of that name, adding it if need be. A name that
// [CheckName] refuses is a bug of the caller and panics. rtp gives the RTP time
// at 90 kHz of a stamp, a pure function; nil is the one with base 0.
func (h *Hub) Source(name string, rtp func(ingest.Stamp) uint32) *Source {
	if err := CheckName(name); err != nil {
		panic("hub: " + err.Error())
	}
	if rtp == nil {
		rtp = func(s ingest.Stamp) uint32 { return ticks(s.At) }
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sources[name]; s != nil {
		s.setRTP(rtp)
		return s
	}
	s := newSource(name, rtp, h.opt)
	if h.closed != "" {
		s.end(h.closed)
	}
	h.sources[name] = s
	return s
}

// Lookup returns the source of that name.
func (h *Hub) Lookup(name string) (*Source, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.sources[name]
	return s, ok
}

// Sources returns all sources by name.
func (h *Hub) Sources() []*Source {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*Source, 0, len(h.sources))
	for _, s := range h.sources {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Source) int { return cmp.Compare(a.name, b.name) })
	return list
}

// Remove takes the source out of the hub and tells its viewers why. What is
// written to it later reaches nobody.
func (h *Hub) Remove(name, reason string) {
	h.mu.Lock()
	s := h.sources[name]
	delete(h.sources, name)
	h.mu.Unlock()
	if s != nil {
		s.end(reason)
	}
}

// Close tells all viewers of all sources why it ends. Those that join later are
// told at once; the sources can still be written to and looked up.
func (h *Hub) Close(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = reason
	for _, s := range h.sources {
		s.end(reason)
	}
}

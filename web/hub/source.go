package hub

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// statusPeriod is how often a status goes out while nothing happens.
const statusPeriod = time.Second

// Source is one source in the hub. As a sink it belongs to the pipeline, one run
// of it after another: Begin tells viewers the streams and models of the run, and
// Close leaves the source as it is, for the next run; [Hub.Remove] ends it. The
// other methods are safe for concurrent use. None waits for a viewer.
type Source struct {
	name string
	opt  Options

	scratch []byte // of Write

	mu      sync.Mutex
	title   string
	rtp     func(ingest.Stamp) uint32
	delay   time.Duration
	header  sinks.Header
	edge    ingest.Stamp
	status  Status
	media   Media
	stJSON  []byte // nil before the first
	meJSON  []byte
	told    time.Time // when stJSON was made
	version versions
	first   uint64 // ID of the first result
	next    uint64 // and of the one to come
	latest  map[kind]*message
	history history
	viewers map[*Viewer]struct{}
	lost    uint64 // results that viewers lost
	reason  string // why it ended, "" while it has not
}

var _ sinks.Sink = (*Source)(nil)

// versions count the changes of what is told by its newest state alone.
type versions struct{ hello, status, media uint64 }

// kind is what of the results the newest is kept for those who join.
type kind struct{ kind, model string }

func newSource(name string, rtp func(ingest.Stamp) uint32, opt Options) *Source {
	// The wall clock makes IDs that go on rising when the program restarts; in
	// microseconds they are exact in JavaScript.
	first := uint64(max(opt.Now().UnixMicro(), 1))
	return &Source{
		name: name, opt: opt, title: name, rtp: rtp,
		version: versions{hello: 1}, first: first, next: first,
		latest:  map[kind]*message{},
		history: history{length: opt.History, maxBytes: opt.HistoryBytes},
		viewers: map[*Viewer]struct{}{},
	}
}

// Name returns the name in addresses.
func (s *Source) Name() string { return s.name }

// SetTitle sets the name for people, redacted; it is the source's name at first.
func (s *Source) SetTitle(title string) {
	s.hello(func() { s.title = ingest.Redact(title) })
}

// SetSyncDelay tells viewers how long picture and sound are held back.
func (s *Source) SetSyncDelay(d time.Duration) {
	s.mu.Lock()
	same := s.delay == d
	s.mu.Unlock()
	if !same {
		s.hello(func() { s.delay = d })
	}
}

func (s *Source) setRTP(rtp func(ingest.Stamp) uint32) { s.hello(func() { s.rtp = rtp }) }

// SetStreams tells viewers the streams ahead of a run, or a change within it.
func (s *Source) SetStreams(streams []ingest.Stream) {
	streams = slices.Clone(streams)
	s.hello(func() { s.header.Streams = streams })
}

// hello makes a change that viewers are told in a hello.
func (s *Source) hello(change func()) {
	s.mu.Lock()
	change()
	s.version.hello++
	s.wake()
	s.mu.Unlock()
}

// Begin takes the streams and models of a run.
func (s *Source) Begin(ctx context.Context, h sinks.Header) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.Streams, h.Models = slices.Clone(h.Streams), slices.Clone(h.Models)
	s.hello(func() {
		s.header = h
		clear(s.latest) // models may have gone
	})
	return nil
}

// Write spreads one result. It takes microseconds, whatever viewers do; a face
// takes some milliseconds for its picture. An error says that the event cannot
// be said in the protocol.
func (s *Source) Write(ctx context.Context, ev infer.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	rtp := s.rtp
	s.mu.Unlock()
	var err error
	if s.scratch, err = appendResult(s.scratch[:0], &ev, rtp(ev.Stamp)); err != nil {
		return err
	}
	if len(s.scratch) > MaxMessage {
		return fmt.Errorf("hub: %s at %v has %d bytes, more than a message may have", ev.Payload.Kind(), ev.At, len(s.scratch))
	}
	m := &message{at: ev.Stamp, json: slices.Clone(s.scratch)}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != "" {
		return nil
	}
	m.id = s.next
	s.next++
	if s.edge.Before(ev.Stamp) {
		s.edge = ev.Stamp
	}
	switch ev.Payload.(type) {
	case *infer.Sound, *infer.Speech, *infer.Heatmap, *infer.Caption, *infer.Face:
		s.latest[kind{ev.Payload.Kind(), ev.Model}] = m
	}
	s.history.add(m)
	for v := range s.viewers {
		v.put(m)
	}
	return nil
}

// Close ends a run. Viewers stay for the next.
func (s *Source) Close(ctx context.Context, _ sinks.Summary) error { return ctx.Err() }

// Status tells viewers the condition of the source: at once if its state, its cause
// or what is missing have changed, else at most once a second; what is not told is kept for the
// next. It is meant to be called each second and at each change.
func (s *Source) Status(st Status) {
	st.Cause = ingest.Redact(st.Cause)
	st.Drops, st.Speed, st.Missing = maps.Clone(st.Drops), maps.Clone(st.Speed), slices.Clone(st.Missing)
	if st.Sync != nil {
		c := *st.Sync
		st.Sync = &c
	}
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.stJSON == nil || st.State != s.status.State || st.Cause != s.status.Cause || !slices.Equal(st.Missing, s.status.Missing)
	s.status = st
	if s.edge.Before(st.Edge) {
		s.edge = st.Edge
	}
	if since := now.Sub(s.told); !changed && since >= 0 && since < statusPeriod {
		return
	}
	s.told = now
	s.stJSON = st.message()
	s.version.status++
	s.wake()
}

// Media tells viewers what the tracks carry, if it has changed.
func (s *Source) Media(m Media) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meJSON != nil && s.media == m {
		return
	}
	s.media = m
	s.meJSON = m.message()
	s.version.media++
	s.wake()
}

// Results returns the messages of the results with from <= t < to that are kept,
// each one JSON object; the bytes are shared.
func (s *Source) Results(from, to time.Duration) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history.between(from, to)
}

// Info is what there is to say about a source now.
type Info struct {
	Name, Title string
	Streams     []ingest.Stream
	Models      []infer.Info
	Status      Status // zero before the first
	Media       *Media // nil before the first
	Results     *Span  // nil if there are none
	Viewers     int
	Lost        uint64 // results that viewers were too slow for, since the start
}

// Info returns a copy.
func (s *Source) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := Info{
		Name: s.name, Title: s.title, Streams: slices.Clone(s.header.Streams), Models: slices.Clone(s.header.Models),
		Status: s.status, Results: s.history.span(), Viewers: len(s.viewers), Lost: s.lost,
	}
	in.Status.Drops, in.Status.Speed, in.Status.Missing = maps.Clone(in.Status.Drops), maps.Clone(in.Status.Speed), slices.Clone(in.Status.Missing)
	if s.meJSON != nil {
		m := s.media
		in.Media = &m
	}
	return in
}

// wake is called with the source locked.
func (s *Source) wake() {
	for v := range s.viewers {
		v.signal()
	}
}

func (s *Source) end(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" {
		s.reason = cmp.Or(reason, "the source was removed")
		s.wake()
	}
}

// current returns the newest result of each kind, older ones first. It is called
// with the source locked.
func (s *Source) current() []*message {
	list := make([]*message, 0, len(s.latest))
	for _, m := range s.latest {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *message) int { return cmp.Compare(a.id, b.id) })
	return list
}

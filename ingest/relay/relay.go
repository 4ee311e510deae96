// Package relay lets a decoder follow a live source without holding it up.
//
// A [Relay] reads the source in a goroutine of its own, as fast as it comes, shows
// every packet to whoever takes encoded media (the viewers' feed, the ring on
// disk), and keeps it for the decoder, which reads the relay as its source. If the
// decoder falls behind, packets are not dropped one by one, which would spoil
// every picture up to the next keyframe: the relay lets go of all that waits and
// goes on with the next keyframe, in a new Seg. The command seehear puts one
// between ingest/live and decode. Packets and their bytes are shared by all who
// are shown them and must not be changed.
package relay

import (
	"context"
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

// Options say how far the decoder may fall behind; zero fields take the defaults.
type Options struct {
	// Show is called with each packet as it comes, from one goroutine; it must not
	// block and not change the packet.
	Show func(p *ingest.Packet)
	// Streams is called from the same goroutine before the first packet and
	// whenever the streams of the source have changed since.
	Streams func([]ingest.Stream)
	// Behind is how old the oldest packet that waits may become: 2 s.
	Behind time.Duration
	// Bytes bounds what waits: 64 MiB.
	Bytes int
}

// Relay implements [ingest.Source], and Damaged, Walled and Synced as far as its
// source does.
type Relay struct {
	src ingest.Source
	opt Options
	cut context.CancelFunc
	end chan struct{} // closed when the reading goroutine has ended

	mu       sync.Mutex
	streams  []ingest.Stream
	video    map[int]bool // streams whose packets are not all keyframes
	waiting  []ingest.Packet
	bytes    int
	skipping bool   // until the next keyframe
	restarts uint32 // Segs that were added
	added    []step // by which Seg of the source
	skipped  int64
	err      error
	closed   bool
	notify   chan struct{} // one token when there is news
}

// step says that from Seg from on, as given out, it is by added more than the
// source's.
type step struct{ from, added uint32 }

// New starts to read src, which the relay then owns.
func New(src ingest.Source, opt Options) *Relay {
	if opt.Behind <= 0 {
		opt.Behind = 2 * time.Second
	}
	if opt.Bytes <= 0 {
		opt.Bytes = 64 << 20
	}
	ctx, cut := context.WithCancel(context.Background())
	r := &Relay{src: src, opt: opt, cut: cut, end: make(chan struct{}), notify: make(chan struct{}, 1)}
	r.adopt(src.Streams())
	go r.run(ctx)
	return r
}

func (r *Relay) adopt(list []ingest.Stream) {
	video := map[int]bool{}
	for _, s := range list {
		video[s.Index] = s.Kind == ingest.Video
	}
	r.mu.Lock()
	r.streams, r.video = list, video
	r.mu.Unlock()
	if r.opt.Streams != nil {
		r.opt.Streams(list)
	}
}

func (r *Relay) run(ctx context.Context) {
	defer close(r.end)
	for {
		p, err := r.src.Read(ctx)
		if err != nil {
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
			r.signal()
			return
		}
		if p.Arrived.IsZero() {
			p.Arrived = time.Now()
		}
		if p.Changed != nil {
			r.adopt(r.src.Streams())
		}
		keep := r.place(&p)
		if r.opt.Show != nil {
			r.opt.Show(&p)
		}
		if keep {
			r.mu.Lock()
			r.waiting = append(r.waiting, p)
			r.bytes += len(p.Data)
			r.mu.Unlock()
			r.signal()
		}
	}
}

// place gives p its Seg and says whether it is for the decoder.
func (r *Relay) place(p *ingest.Packet) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 && (p.Arrived.Sub(r.waiting[0].Arrived) > r.opt.Behind || r.bytes > r.opt.Bytes) {
		r.flush()
	}
	if r.skipping && r.starts(p) {
		r.skipping = false
		r.restarts++
		r.added = append(r.added, step{p.Seg + r.restarts, r.restarts})
	}
	p.Seg += r.restarts
	if r.skipping {
		r.skipped++
	}
	return !r.skipping
}

// flush is called with r locked.
func (r *Relay) flush() {
	r.skipped += int64(len(r.waiting))
	clear(r.waiting)
	r.waiting, r.bytes, r.skipping = r.waiting[:0], 0, true
}

// starts reports whether decoding can begin with p: a keyframe, of the picture if
// there is any.
func (r *Relay) starts(p *ingest.Packet) bool {
	if r.video[p.Stream] {
		return p.Key
	}
	for _, v := range r.video {
		if v {
			return false
		}
	}
	return true
}

func (r *Relay) signal() {
	select {
	case r.notify <- struct{}{}:
	default:
	}
}

// Streams returns the streams as they were when the last packet came.
func (r *Relay) Streams() []ingest.Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams
}

// Live reports true.
func (r *Relay) Live() bool { return true }

// Skipped returns how many packets the decoder was too slow for.
func (r *Relay) Skipped() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skipped
}

// Read returns the next packet for the decoder; what was read before the source
// ended comes before its error.
func (r *Relay) Read(ctx context.Context) (ingest.Packet, error) {
	for {
		if err := ctx.Err(); err != nil {
			return ingest.Packet{}, err
		}
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			return ingest.Packet{}, context.Canceled
		}
		if len(r.waiting) > 0 {
			p := r.waiting[0]
			r.waiting[0] = ingest.Packet{}
			r.waiting = r.waiting[1:]
			r.bytes -= len(p.Data)
			r.mu.Unlock()
			return p, nil
		}
		err := r.err
		r.mu.Unlock()
		if err != nil {
			return ingest.Packet{}, err
		}
		select {
		case <-r.notify:
		case <-ctx.Done():
		}
	}
}

// Wall implements [ingest.Walled].
func (r *Relay) Wall(s ingest.Stamp) (time.Time, bool) {
	w, ok := r.src.(ingest.Walled)
	if !ok {
		return time.Time{}, false
	}
	r.mu.Lock()
	for i := len(r.added) - 1; i >= 0; i-- {
		if s.Seg >= r.added[i].from {
			s.Seg -= r.added[i].added
			break
		}
	}
	r.mu.Unlock()
	return w.Wall(s)
}

// Sync implements [ingest.Synced].
func (r *Relay) Sync() ingest.Sync {
	if s, ok := r.src.(ingest.Synced); ok {
		return s.Sync()
	}
	return ingest.Sync{}
}

// Damage implements [ingest.Damaged].
func (r *Relay) Damage() ingest.Damage {
	if d, ok := r.src.(ingest.Damaged); ok {
		return d.Damage()
	}
	return ingest.Damage{}
}

// Close closes the source and waits for the reading goroutine.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.signal()
	r.cut()
	err := r.src.Close()
	<-r.end
	return err
}

// Restart lets go of what waits and goes on with the next keyframe, in a new Seg:
// for a decoder that begins anew.
func (r *Relay) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
}

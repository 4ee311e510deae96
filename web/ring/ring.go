package ring

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/flow"
	"github.com/seehear/seehear/sinks"
)

// queued is how many packets may wait for the disk.
const queued = 1024

// item is a packet in the order in which it came.
type item struct {
	number  uint64
	streams *[]ingest.Stream // as they were then
	packet  ingest.Packet
}

// Ring keeps the last minutes of one source. Streams and Packet are called from
// one goroutine; they never wait for the disk.
type Ring struct {
	name string
	opt  Options
	root *os.Root // the folder of the source
	next uint64   // number of the next init or segment

	in      *flow.Queue[item]
	streams atomic.Pointer[[]ingest.Stream]
	number  uint64 // of packets, of the goroutine that calls Packet
	taken   atomic.Uint64
	done    chan struct{}

	mu       sync.Mutex
	inits    []initFile
	segments []segmentFile
	size     int64
	err      error // of the last segment; nil if it was written
	failed   uint64
}

// initFile is an init segment on disk.
type initFile struct {
	Name     string `json:"name"`
	Codecs   string `json:"codecs"`
	Width    int    `json:"width,omitempty"` // as coded, before Rotation
	Height   int    `json:"height,omitempty"`
	Rotation int    `json:"rotation,omitempty"` // degrees clockwise

	data []byte
}

// segmentFile is a segment on disk.
type segmentFile struct {
	Name  string  `json:"name"`
	Init  string  `json:"init"`
	T     seconds `json:"t"`
	Dur   seconds `json:"dur"`
	Seg   uint32  `json:"seg"`
	Start seconds `json:"start"` // of t on the MP4's own timeline
	Bytes int64   `json:"bytes"`
}

func newRing(name string, root *os.Root, opt Options) *Ring {
	r := &Ring{
		name: name, opt: opt, root: root,
		// Names are never used twice, by another run of the program either:
		// browsers keep the files.
		next: uint64(max(opt.Now().UnixMilli(), 1)),
		in:   flow.New[item](queued, flow.DropOldest, nil),
		done: make(chan struct{}),
	}
	r.streams.Store(&[]ingest.Stream{})
	go r.run()
	return r
}

// Streams says what the packets from now on are of.
func (r *Ring) Streams(streams []ingest.Stream) {
	streams = slices.Clone(streams)
	r.streams.Store(&streams)
}

// Packet takes a copy of p and keeps its Data. If the disk cannot keep up, the
// oldest packets are lost, and the ring goes on with a keyframe.
func (r *Ring) Packet(p *ingest.Packet) {
	it := item{number: r.number, streams: r.streams.Load(), packet: *p}
	r.number++
	_ = r.in.Put(context.Background(), it) // stopped: the source has gone
}

// Stats are figures for the metrics.
type Stats struct {
	Segments int
	Bytes    int64
	Packets  uint64 // that the writer has taken
	Dropped  uint64 // packets that the disk was too slow for
	Failed   uint64 // segments that could not be written
	Err      error  // why the last one was not; nil if it was
}

// Stats returns the figures of now.
func (r *Ring) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{len(r.segments), r.size, r.taken.Load(), r.in.Dropped(), r.failed, r.err}
}

// run owns the muxer.
func (r *Ring) run() {
	defer close(r.done)
	m := muxer{emit: r.write, waiting: true}
	var streams *[]ingest.Stream
	var number uint64
	for {
		it, err := r.in.Get(context.Background())
		if err != nil {
			return
		}
		switch {
		case it.streams != streams:
			streams = it.streams
			err = m.setStreams(*streams)
		case it.number != number:
			err = m.flush()
		}
		number = it.number + 1
		r.note(err)
		r.note(m.push(&it.packet))
		r.taken.Add(1)
	}
}

// note logs what went wrong.
func (r *Ring) note(err error) {
	if err != nil {
		r.opt.Log.Debug("ring", "source", r.name, "cause", err.Error())
	}
}

// write puts one segment on disk, and deletes what is too old or too much.
func (r *Ring) write(seg *segment) error {
	p, err := seg.piece()
	if err == nil {
		err = r.store(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.err
	r.err = err
	if err != nil {
		if r.failed++; before == nil {
			r.opt.Log.Warn("the ring cannot be written", "source", r.name, "cause", err.Error())
		}
		r.drop(1) // a full disk gets room
		return err
	}
	newest := r.segments[len(r.segments)-1]
	from := time.Duration(newest.T+newest.Dur) - r.opt.Span
	n, size := 0, r.size
	for n < len(r.segments)-1 {
		s := &r.segments[n]
		if time.Duration(s.T+s.Dur) > from && size <= r.opt.MaxBytes {
			break
		}
		size -= s.Bytes
		n++
	}
	r.drop(n)
	return nil
}

func (r *Ring) store(p *piece) error {
	r.mu.Lock()
	var head initFile
	if n := len(r.inits); n > 0 {
		head = r.inits[n-1]
	}
	r.mu.Unlock()
	fresh := !bytes.Equal(head.data, p.init)
	if fresh {
		head = initFile{fmt.Sprintf("init-%d.mp4", r.next), p.codecs, p.width, p.height, p.rotation, p.init}
		if err := r.file(head.Name, p.init); err != nil {
			return err
		}
		r.next++
	}
	seg := segmentFile{fmt.Sprintf("%d.m4s", r.next), head.Name, seconds(p.at), seconds(p.dur), p.seg, seconds(p.at + lead), int64(len(p.data))}
	if err := r.file(seg.Name, p.data); err != nil {
		if fresh {
			_ = r.root.Remove(head.Name)
		}
		return err
	}
	r.next++
	r.mu.Lock()
	defer r.mu.Unlock()
	if fresh {
		r.inits = append(r.inits, head)
		r.size += int64(len(head.data))
	}
	r.segments = append(r.segments, seg)
	r.size += seg.Bytes
	return nil
}

// file writes a whole file; it has its name only then.
func (r *Ring) file(name string, data []byte) error {
	part := name + sinks.PartSuffix
	err := r.root.WriteFile(part, data, 0o600)
	if err == nil {
		err = r.root.Rename(part, name)
	}
	if err != nil {
		_ = r.root.Remove(part)
		return sinks.FailedFile("write", name, err)
	}
	return nil
}

// drop deletes the n oldest segments, and the inits that nothing needs any more.
// It is called with the ring locked.
func (r *Ring) drop(n int) {
	n = min(n, len(r.segments))
	for _, s := range r.segments[:n] {
		_ = r.root.Remove(s.Name)
		r.size -= s.Bytes
	}
	r.segments = slices.Delete(r.segments, 0, n)
	for len(r.inits) > 1 && (len(r.segments) == 0 || r.segments[0].Init != r.inits[0].Name) {
		_ = r.root.Remove(r.inits[0].Name)
		r.size -= int64(len(r.inits[0].data))
		r.inits = slices.Delete(r.inits, 0, 1)
	}
}

// close stops the writer; what waits is not written, for it will be deleted.
func (r *Ring) close() {
	r.in.Stop()
	<-r.done
}

package decode

import (
	"time"

	"github.com/seehear/seehear/ingest"
)

// remembered is how many packets of a stream are known by their arrival: some ten
// seconds of picture, more than any window of sound.
const remembered = 512

// arrivals are when the latest packets of one kind of stream came.
type arrivals struct {
	list []arrival
	next int
}

type arrival struct {
	ingest.Stamp
	at time.Time
}

// note remembers when p came.
func (r *Reader) note(p *ingest.Packet) {
	if p.Arrived.IsZero() {
		return
	}
	r.newest = p.Arrived
	at := p.PTS
	if at == ingest.NoTime {
		at = p.DTS
	}
	if at == ingest.NoTime {
		return
	}
	kind, known := r.kinds[p.Stream]
	if !known {
		if r.kinds == nil {
			r.kinds = map[int]ingest.Kind{}
		}
		for _, s := range r.src.Streams() {
			r.kinds[s.Index] = s.Kind
		}
		kind = r.kinds[p.Stream]
		r.kinds[p.Stream] = kind
	}
	if kind == ingest.Video || kind == ingest.Audio {
		r.arrivals[kind-ingest.Video].add(arrival{ingest.Stamp{At: at, Seg: p.Seg}, p.Arrived})
	}
}

func (a *arrivals) add(x arrival) {
	if len(a.list) < remembered {
		a.list = append(a.list, x)
		return
	}
	a.list[a.next] = x
	a.next = (a.next + 1) % remembered
}

// Newest returns when the packet came that was read last; zero for files. Like
// Arrived it belongs to the goroutine that reads.
func (r *Reader) Newest() time.Time { return r.newest }

// Arrived returns when the packet of the kind came that shows what is seen or
// heard at the given stamp; zero if that is not known, or not any more.
func (r *Reader) Arrived(k ingest.Kind, at ingest.Stamp) time.Time {
	var best arrival
	for _, x := range r.arrivals[k-ingest.Video].list {
		if x.Seg == at.Seg && x.At <= at.At && (best.at.IsZero() || x.At >= best.At) {
			best = x
		}
	}
	return best.at
}

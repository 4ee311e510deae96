package rtsp

import (
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

const (
	wallSegs  = 64  // Segs of which the wall clock is remembered
	wallMarks = 256 // reports of each
)

// wallClock remembers what the wall clock showed, by what the sender said or by
// the arrival of the packets. at may be called from any goroutine.
type wallClock struct {
	mu   sync.Mutex
	segs []wallSeg // oldest first
}

type wallSeg struct {
	seg   uint32
	known bool
	soft  int64 // wall clock at At 0 by the packet that came soonest, ns since 1970
	marks []wallMark
}

// wallMark says that from At on, At 0 was at zero by the sender's clock.
type wallMark struct {
	from time.Duration
	zero int64
}

// begin opens a Seg, or begins the last one anew.
func (w *wallClock) begin(seg uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.segs); n > 0 && w.segs[n-1].seg == seg {
		w.segs = w.segs[:n-1]
	}
	if len(w.segs) == wallSegs {
		w.segs = append(w.segs[:0], w.segs[1:]...)
	}
	w.segs = append(w.segs, wallSeg{seg: seg})
}

// arrived notes that by a packet's arrival, At 0 was at zero or earlier.
func (w *wallClock) arrived(zero int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := &w.segs[len(w.segs)-1]; !s.known || zero < s.soft {
		s.known, s.soft = true, zero
	}
}

// reported notes that by the sender's clock, At 0 was at zero, as seen at from.
func (w *wallClock) reported(from time.Duration, zero int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.segs[len(w.segs)-1]
	if len(s.marks) == wallMarks {
		s.marks = append(s.marks[:0], s.marks[1:]...)
	}
	s.marks = append(s.marks, wallMark{from, zero})
}

// at returns the wall clock at s: by the last report before it in its Seg, else by
// the first one after it.
func (w *wallClock) at(s ingest.Stamp) (t time.Time, exact bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.segs) - 1; i >= 0; i-- {
		g := &w.segs[i]
		if g.seg != s.Seg {
			continue
		}
		for j := len(g.marks) - 1; j >= 0; j-- {
			if m := g.marks[j]; j == 0 || m.from <= s.At {
				return time.Unix(0, m.zero+int64(s.At)), true
			}
		}
		if g.known {
			return time.Unix(0, g.soft+int64(s.At)), false
		}
	}
	return time.Time{}, false
}

// regression fits a line through the distances of two clocks over time. ppm may be
// called from any goroutine.
type regression struct {
	mu sync.Mutex
	x  []float64 // seconds
	y  []time.Duration
}

// most is how many points are kept.
const most = 128

func (r *regression) add(x float64, y time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.x) == most {
		r.x = append(r.x[:0], r.x[1:]...)
		r.y = append(r.y[:0], r.y[1:]...)
	}
	r.x, r.y = append(r.x, x), append(r.y, y)
}

func (r *regression) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.x, r.y = r.x[:0], r.y[:0]
}

// ppm is the slope in millionths, 0 while there is none.
func (r *regression) ppm() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := float64(len(r.x))
	var mx, my float64
	for i := range r.x {
		mx += r.x[i] / n
		my += (r.y[i] - r.y[0]).Seconds() / n
	}
	var above, below float64
	for i := range r.x {
		d := r.x[i] - mx
		above += d * ((r.y[i] - r.y[0]).Seconds() - my)
		below += d * d
	}
	if below == 0 {
		return 0
	}
	return above / below * 1e6
}

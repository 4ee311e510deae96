package align

import (
	"slices"
	"time"

	"github.com/seehear/seehear/decode"
)

// shown is a frame with what the frames around it tell of it.
type shown struct {
	frame *decode.Frame
	until time.Duration // seen over [frame.At, until), once settled
	cut   float64
}

// show is the video of one Seg: the frames that some need may still look at.
// Frames have numbers from 0 in their order. Those below settled are certain.
type show struct {
	frames  queue[shown]
	base    int // number of the oldest frame held
	settled int

	started bool
	first   time.Duration // pts of the first frame
	newest  time.Duration // pts of the last
	lastDur time.Duration // what the source says of the last
	tick    time.Duration // how long the first frame is seen, for tolerances
	until   time.Duration // end of the last settled frame, at least the newest pts

	steps [31]time.Duration // the latest distances of frames
	nstep int
}

func (v *show) reset()           { *v = show{frames: queue[shown]{items: v.frames.items[:0]}} }
func (v *show) end() int         { return v.base + v.frames.len() }
func (v *show) get(n int) *shown { return v.frames.at(n - v.base) }

// trim releases the frames below number n.
func (v *show) trim(n int) {
	if n <= v.base {
		return
	}
	for i := v.base; i < n; i++ {
		v.get(i).frame.Release()
	}
	v.frames.drop(n - v.base)
	v.base = n
}

// median returns the median of the latest distances of frames, 0 if there is
// only one frame.
func (v *show) median() time.Duration {
	n := min(v.nstep, len(v.steps))
	if n == 0 {
		return 0
	}
	var sorted [len(v.steps)]time.Duration
	copy(sorted[:], v.steps[:n])
	slices.Sort(sorted[:n])
	return sorted[n/2]
}

// takeFrame adds a frame of this Seg. Its stamp must lie after the last one and
// the watermark; if not, the frame is dropped.
func (a *Aligner) takeFrame(f *decode.Frame) {
	v := &a.show
	if v.started && f.At <= v.newest || f.At < a.videoBound() {
		a.stats.LateFrames++
		f.Release()
		return
	}
	if v.started {
		step := f.At - v.newest
		a.findHole(step)
		if step < a.opt.MaxLag {
			v.steps[v.nstep%len(v.steps)] = step
			v.nstep++
		}
	} else {
		v.started, v.first, v.tick = true, f.At, a.frameDur(f.Dur)
	}
	if a.cut != nil {
		a.cut.add(v.end(), f)
	}
	v.newest, v.lastDur, v.until = f.At, max(0, f.Dur), max(v.until, f.At)
	v.frames.push(shown{frame: f})
	a.crowd()
	a.settle()
}

// findHole files a hole in the video in front of a frame that comes step after
// the one before. Two things must tell of it, because many a container gives
// frames a nominal duration that has nothing to do with their real distances:
// what the source says of the frame before, and the frames before that.
func (a *Aligner) findHole(step time.Duration) {
	v := &a.show
	rest := step - v.lastDur
	if v.lastDur <= 0 || rest <= max(v.lastDur/2, a.opt.Tolerance) || v.nstep < 3 || step <= v.median()*3/2 {
		return
	}
	a.addHole(videoGap, v.newest+v.lastDur, v.newest+step)
}

// frameDur is how long a frame is seen that has no successor and of which the
// source says d.
func (a *Aligner) frameDur(d time.Duration) time.Duration {
	if d <= 0 {
		d = a.show.median()
	}
	if d <= 0 && a.fps.Num > 0 && a.fps.Den > 0 {
		d = time.Duration(float64(time.Second) * float64(a.fps.Den) / float64(a.fps.Num))
	}
	if d <= 0 {
		d = 40 * time.Millisecond
	}
	return min(d, a.opt.MaxLag)
}

// settle makes frames certain whose successors are known. A frame is seen until
// the next one. The last one, or one with no other within MaxLag, is seen for as
// long as the source says, or the median distance of the frames before; never
// longer than MaxLag.
func (a *Aligner) settle() {
	v := &a.show
	ahead := 1
	if a.cut != nil {
		ahead = lookAhead
	}
	for v.settled < v.end() {
		e := v.get(v.settled)
		limit := e.frame.At + a.opt.MaxLag
		known := v.end() - 1 - v.settled
		if known < ahead && !a.video.ended && a.videoLow() < limit {
			return
		}
		switch {
		case known > 0 && v.get(v.settled+1).frame.At < limit:
			e.until = v.get(v.settled + 1).frame.At
		default:
			e.until = e.frame.At + a.frameDur(e.frame.Dur)
		}
		v.until = max(v.until, e.until)
		if v.settled == 0 {
			e.cut = 1
		} else if a.cut != nil {
			e.cut = a.cut.strength(v.settled, min(v.end()-1, v.settled+lookAhead), limit)
		}
		v.settled++
	}
}

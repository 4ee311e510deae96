package align

import (
	"time"

	"github.com/seehear/seehear/ingest"
)

const (
	videoGap = ingest.Video
	audioGap = ingest.Audio
)

// absence is a gap of this Seg.
type absence struct {
	from, to time.Duration
	gap      Gap
}

// gaps holds the absences of this Seg that some need has not taken, in the order
// of their ends.
type gaps struct {
	list   queue[absence]
	base   int  // number of the oldest
	starts bool // the jump is filed
	late   bool // late starts are filed
}

func (g *gaps) reset() { *g = gaps{list: queue[absence]{items: g.list.items[:0]}} }

// add files an absence; equal ends are in the order of start, then of kind, so
// that the order does not depend on which was found first.
func (g *gaps) add(x absence) {
	i := g.list.len()
	for ; i > 0; i-- {
		y := g.list.at(i - 1)
		if y.to < x.to || y.to == x.to && (y.from < x.from || y.from == x.from && y.gap.Kind <= x.gap.Kind) {
			break
		}
	}
	g.list.insert(i)
	*g.list.at(i) = x
}

func (a *Aligner) addHole(k ingest.Kind, from, to time.Duration) {
	if a.gap {
		a.gaps.add(absence{from, to, Gap{k, Hole}})
	}
}

// findStarts files the jump in front of this Seg and the late start of a stream,
// once it is certain where the Seg begins.
func (a *Aligner) findStarts() {
	if !a.gap || a.gaps.starts {
		return
	}
	from, _ := a.span()
	if from == never || !a.show.started && a.videoLow() <= from || a.audio.present && !a.heard() && a.audioLow(&a.sounds[0]) <= from {
		return
	}
	a.gaps.starts = true
	if a.jumped {
		a.gaps.add(absence{from, from, Gap{0, Jump}})
	}
}

// findLate files the late start of the video or of the sound.
func (a *Aligner) findLate() {
	if !a.gap || a.gaps.late || !a.show.started || !a.heard() {
		return
	}
	a.gaps.late = true
	v, s := a.show.first, a.sounds[0].origin
	slack := max(a.opt.Tolerance, a.show.tick)
	if v-s > slack {
		a.gaps.add(absence{s, v, Gap{videoGap, LateStart}})
	}
	if s-v > slack {
		a.gaps.add(absence{v, s, Gap{audioGap, LateStart}})
	}
}

// closeGaps files what is missing up to the end of this Seg.
func (a *Aligner) closeGaps() {
	if !a.gap || a.empty() {
		return
	}
	from, to := a.span()
	slack := max(a.opt.Tolerance, a.show.tick)
	if a.video.present {
		if !a.show.started {
			a.gaps.add(absence{from, to, Gap{videoGap, Absent}})
		} else if to-a.show.until > slack {
			a.gaps.add(absence{a.show.until, to, Gap{videoGap, EarlyEnd}})
		}
	}
	if a.audio.present {
		if !a.heard() {
			a.gaps.add(absence{from, to, Gap{audioGap, Absent}})
		} else if end := a.sounds[0].timeOf(a.sounds[0].end); to-end > slack {
			a.gaps.add(absence{end, to, Gap{audioGap, EarlyEnd}})
		}
	}
}

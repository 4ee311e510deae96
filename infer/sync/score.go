package sync

import (
	"math"
	"slices"
	"time"

	"github.com/seehear/seehear/infer"
)

// The constants of the correlation.
const (
	fewest = 5 // frames that tell anything

	// Added to the sums of squares, so that little motion and faint onsets do not
	// correlate: of the roots of levels, and of nepers times hops.
	littleMotion = 0.25
	littleSound  = 4.0
	// An onset is what exceeds usual times the second's median strength by this
	// many nepers.
	usual = 1.5
	faint = 0.15
	// A correlation has to hold as long as is remembered, though less closely.
	memory    = 3 * time.Second
	longFloor = 0.4
	longRange = 0.25
	chance    = 3.3 // deviations
	// lagCost is what is taken off a correlation at the greatest lag.
	lagCost = 0.35

	smooth = 4 // hops; half width of the triangle that makes room for jitter
)

// score is the workspace of one map.
type score struct {
	hops   []float64 // onset strength by hop
	sorted []float64
	origin time.Duration  // of the first hop
	sum    []float64      // running sum of hops, smoothed
	now    ear            // what is heard in the second
	past   ear            // and with what went before
	motion []float64      // of a cell, by frame
	value  [cells]float64 // strength of a cell, not cut off at 1
	corr   [cells]float64
}

// ear is what is heard between each two frames, at every lag.
type ear struct {
	first, end int             // numbers of the frames
	sound      [lags][]float64 // less the mean
	energy     [lags]float64
}

func root(v float32) float32 {
	if v <= 0 {
		return 0
	}
	return float32(math.Sqrt(float64(v)))
}

// heatmap correlates the frames in the second and in what is remembered round it.
func (c *score) heatmap(s *state, now, past span) *infer.Heatmap {
	hm := &infer.Heatmap{W: gridW, H: gridH, Grid: make([]byte, cells), Method: Method}
	if !c.listen(s, now, past) {
		hm.Gated = "silence"
		return hm
	}
	hm.Gated = "confidence"
	if !c.attend(&c.now, s, now) || !c.attend(&c.past, s, past) {
		return hm
	}
	best := 0
	for i := range cells {
		c.value[i], c.corr[i] = c.cell(s, i)
		if c.value[i] > c.value[best] || c.value[i] == c.value[best] && c.corr[i] > c.corr[best] {
			best = i
		}
	}
	hm.Peak = c.corr[best]
	for i, v := range c.value {
		hm.Grid[i] = byte(math.Round(255 * min(v, 1)))
	}
	if hm.Grid[best] > 0 {
		hm.Gated = ""
		hm.X, hm.Y = c.place(best)
	}
	return hm
}

// margin is by how much more is listened to than looked at.
const margin = reach + hole + smooth*hop

// listen gathers the onset strengths of the past and beyond it by the lags, and
// reports whether anything is heard in the second.
func (c *score) listen(s *state, now, past span) bool {
	from := int64((past.lo - margin) / hop)
	c.origin = time.Duration(from) * hop
	n := int((past.hi+margin)/hop) - int(from) + 1
	c.hops = c.hops[:0]
	heard := false
	c.sorted = c.sorted[:0]
	for k := from; k < from+int64(n); k++ {
		v, loud := s.onsetAt(k)
		if t := time.Duration(k) * hop; t >= past.lo && t <= past.hi {
			heard = heard || loud && t >= now.lo && t <= now.hi
			c.sorted = append(c.sorted, v)
		}
		c.hops = append(c.hops, v)
	}
	if !heard {
		return false
	}
	slices.Sort(c.sorted)
	base := usual*c.sorted[len(c.sorted)/2] + faint
	for i, v := range c.hops {
		c.hops[i] = max(0, v-base)
	}
	// The running sum of the smoothed strength; sum[i] is over the hops before i.
	c.sum = append(c.sum[:0], 0)
	total := 0.0
	for i := range c.hops {
		for d := -smooth + 1; d < smooth; d++ {
			if j := i + d; j >= 0 && j < len(c.hops) {
				total += c.hops[j] * float64(smooth-max(d, -d)) / (smooth * smooth)
			}
		}
		c.sum = append(c.sum, total)
	}
	return true
}

// attend fills in e for the frames of a stretch, and reports whether there are
// enough of them.
func (c *score) attend(e *ear, s *state, p span) bool {
	e.first, e.end = s.end, s.end
	for e.first > s.begin && s.ring[(e.first-1)%frames].at >= p.lo {
		e.first--
	}
	for e.end > e.first && s.ring[(e.end-1)%frames].at > p.hi {
		e.end--
	}
	for e.first < e.end && s.ring[e.first%frames].since == s.ring[e.first%frames].at {
		e.first++ // not compared
	}
	if e.end-e.first < fewest {
		return false
	}
	for l := range e.sound {
		lag := time.Duration(l)*lagStep - reach
		v := e.sound[l][:0]
		mean := 0.0
		for n := e.first; n < e.end; n++ {
			f := &s.ring[n%frames]
			x := c.before(f.at+lag) - c.before(f.since+lag)
			mean += x
			v = append(v, x)
		}
		mean /= float64(len(v))
		e.energy[l] = 0
		for i := range v {
			v[i] -= mean
			e.energy[l] += v[i] * v[i]
		}
		e.sound[l] = v
	}
	return true
}

// before is the sum of what is heard before t.
func (c *score) before(t time.Duration) float64 {
	x := min(max(float64(t-c.origin)/float64(hop), 0), float64(len(c.sum)-1))
	i := min(int(x), len(c.sum)-2)
	return c.sum[i] + (c.sum[i+1]-c.sum[i])*(x-float64(i))
}

// cell returns the strength of cell i and its highest correlation in the second.
func (c *score) cell(s *state, i int) (strength, correlation float64) {
	correlation, _ = c.correlate(&c.now, s, i)
	if correlation <= Floor {
		return 0, correlation
	}
	long, lag := c.correlate(&c.past, s, i)
	// Few frames correlate easily by chance.
	floor := max(longFloor, chance/math.Sqrt(float64(c.past.end-c.past.first)))
	strength = min((correlation-Floor)/(Ceiling-Floor), (long-floor)/longRange)
	if strength <= 0 {
		return 0, correlation
	}
	return strength * evidence(c.motion, c.past.sound[lag]), correlation
}

// correlate returns the highest correlation of cell i with what e hears, and its
// lag, and leaves the cell's motion in c.
func (c *score) correlate(e *ear, s *state, i int) (highest float64, at int) {
	u := c.motion[:0]
	mean := 0.0
	for n := e.first; n < e.end; n++ {
		v := float64(s.ring[n%frames].onset[i])
		mean += v
		u = append(u, v)
	}
	c.motion = u
	if mean == 0 {
		return 0, 0
	}
	mean /= float64(len(u))
	energy := 0.0
	for j := range u {
		u[j] -= mean
		energy += u[j] * u[j]
	}
	for l, sound := range e.sound {
		dot := 0.0
		for j, v := range sound {
			dot += v * u[j]
		}
		far := float64(l-lags/2) / float64(lags/2)
		if r := dot / math.Sqrt((energy+littleMotion)*(e.energy[l]+littleSound)) * (1 - lagCost*far*far); r > highest {
			highest, at = r, l
		}
	}
	return highest, at
}

// evidence says how far a correlation is to be believed by the number of onsets
// that it rests on: half for one, 0.8 for two, all but 1 for more.
func evidence(u, e []float64) float64 {
	sum, squares := 0.0, 0.0
	for j, v := range u {
		if p := v * e[j]; v > 0 && p > 0 {
			sum += p
			squares += p * p
		}
	}
	if squares == 0 {
		return 0
	}
	return 1 - 0.5*math.Exp2(-1.5*(sum*sum/squares-1))
}

// place returns where in the frame the strongest cell's heat is centred.
func (c *score) place(best int) (x, y float64) {
	bx, by := best%gridW, best/gridW
	total := 0.0
	for j := max(by-1, 0); j <= min(by+1, gridH-1); j++ {
		for i := max(bx-1, 0); i <= min(bx+1, gridW-1); i++ {
			v := c.value[j*gridW+i]
			total += v
			x += v * (float64(i) + 0.5)
			y += v * (float64(j) + 0.5)
		}
	}
	return x / total / gridW, y / total / gridH
}

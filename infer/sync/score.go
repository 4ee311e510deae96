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
	littleMotion = 1.0
	littleSound  = 4.0
	// An onset is what exceeds usual times the second's median strength by this
	// many nepers.
	usual  = 1.5
	faint  = 0.15
	smooth = 4 // hops; half width of the triangle that makes room for jitter
)

// score is the workspace of one map.
type score struct {
	hops   []float64 // onset strength by hop, then smoothed
	sorted []float64
	sum    []float64       // running sum of hops
	sound  [lags][]float64 // by frame
	energy [lags]float64   // of sound about its mean
	motion []float64       // of a cell, by frame
	value  [cells]float64  // strength of a cell, not cut off at 1
	corr   [cells]float64
}

func root(v float32) float32 {
	if v <= 0 {
		return 0
	}
	return float32(math.Sqrt(float64(v)))
}

// heatmap correlates the frames in [lo, hi].
func (c *score) heatmap(s *state, lo, hi time.Duration) *infer.Heatmap {
	hm := &infer.Heatmap{W: gridW, H: gridH, Grid: make([]byte, cells), Method: Method}
	first, end := s.end, s.end
	for first > s.begin && s.ring[(first-1)%frames].at >= lo {
		first--
	}
	for end > first && s.ring[(end-1)%frames].at > hi {
		end--
	}
	for first < end && s.ring[first%frames].since == s.ring[first%frames].at {
		first++ // not compared
	}
	if !c.listen(s, lo, hi) {
		hm.Gated = "silence"
		return hm
	}
	hm.Gated = "confidence"
	if end-first < fewest {
		return hm
	}
	c.envelopes(s, lo, first, end)
	best := 0
	for i := range cells {
		c.value[i], c.corr[i] = c.cell(s, i, first, end)
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

// listen gathers the onset strengths from lo to hi and beyond by the lags, and
// reports whether anything is heard from lo to hi.
func (c *score) listen(s *state, lo, hi time.Duration) bool {
	from := int64((lo - margin) / hop)
	n := int((hi+margin)/hop) - int(from) + 1
	c.hops = c.hops[:0]
	heard := false
	c.sorted = c.sorted[:0]
	for k := from; k < from+int64(n); k++ {
		v, loud := s.onsetAt(k)
		if t := time.Duration(k) * hop; t >= lo && t <= hi {
			heard = heard || loud
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

// envelopes fills in what is heard between each two frames, at every lag, less
// its mean.
func (c *score) envelopes(s *state, lo time.Duration, first, end int) {
	origin := time.Duration(int64((lo-margin)/hop)) * hop
	before := func(t time.Duration) float64 { // sum of what is heard before t
		x := min(max(float64(t-origin)/float64(hop), 0), float64(len(c.sum)-1))
		i := min(int(x), len(c.sum)-2)
		return c.sum[i] + (c.sum[i+1]-c.sum[i])*(x-float64(i))
	}
	for l := range c.sound {
		lag := time.Duration(l)*lagStep - reach
		e := c.sound[l][:0]
		mean := 0.0
		for n := first; n < end; n++ {
			p := &s.ring[n%frames]
			v := before(p.at+lag) - before(p.since+lag)
			mean += v
			e = append(e, v)
		}
		mean /= float64(len(e))
		c.energy[l] = 0
		for i := range e {
			e[i] -= mean
			c.energy[l] += e[i] * e[i]
		}
		c.sound[l] = e
	}
}

// cell returns the strength of cell i and its highest correlation.
func (c *score) cell(s *state, i, first, end int) (strength, correlation float64) {
	u := c.motion[:0]
	mean := 0.0
	for n := first; n < end; n++ {
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
	best := 0
	for l, e := range c.sound {
		dot := 0.0
		for j, v := range e {
			dot += v * u[j]
		}
		if r := dot / math.Sqrt((energy+littleMotion)*(c.energy[l]+littleSound)); r > correlation {
			correlation, best = r, l
		}
	}
	if correlation <= Floor {
		return 0, correlation
	}
	return (correlation - Floor) / (Ceiling - Floor) * evidence(u, c.sound[best]), correlation
}

// evidence says how far a correlation is to be believed by the number of onsets
// that it rests on: 0.4 for one, 0.8 for two, all but 1 for more.
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
	return 1 - 0.6*math.Exp2(-1.5*(sum*sum/squares-1))
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

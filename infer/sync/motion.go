package sync

import (
	"math"
	"slices"
)

// The constants of motion, in levels of luma (of 255) as a mean over a cell.
const (
	least  = 0.25 // what is never motion, beside the noise
	spread = 3.5  // deviations of the quiet cells that noise may reach
)

// motion takes the difference of two pictures per cell.
type motion struct {
	raw    [cells]float64
	sorted [cells]float64
}

// between fills dst with how much each cell has moved beyond what the whole
// picture did.
func (m *motion) between(dst *[cells]float32, was, now []uint8) {
	gain, offset := match(was, now)
	m.differences(was, now, gain, offset)
	// The median tells what noise and camera do to a cell, the deviations how
	// much that differs from cell to cell.
	copy(m.sorted[:], m.raw[:])
	slices.Sort(m.sorted[:])
	median := m.sorted[cells/2]
	for i, v := range m.raw {
		m.sorted[i] = math.Abs(v - median)
	}
	slices.Sort(m.sorted[:])
	floor := median + spread*1.4826*m.sorted[cells/2] + least
	for i, v := range m.raw {
		m.raw[i] = max(0, v-floor)
	}
	for i, v := range m.raw {
		dst[i] = float32(v)
	}
}

// match returns the change of contrast and brightness of the whole picture:
// now ≈ gain*was + offset. A small moving thing hardly shifts it, a fade or
// a lamp is what it is for.
func match(was, now []uint8) (gain, offset float64) {
	var sw, sn, sww, swn uint64
	for i, w := range was {
		a, b := uint64(w), uint64(now[i])
		sw += a
		sn += b
		sww += a * a
		swn += a * b
	}
	n := float64(len(was))
	mw, mn := float64(sw)/n, float64(sn)/n
	variance := float64(sww)/n - mw*mw
	gain = 1
	if variance > 4 {
		gain = min(max((float64(swn)/n-mw*mn)/variance, 0.5), 2)
	}
	return gain, mn - gain*mw
}

// differences fills raw with the mean absolute difference of each cell.
func (m *motion) differences(was, now []uint8, gain, offset float64) {
	var level [256]int32 // in 256ths
	for v := range level {
		level[v] = int32(math.Round(256 * (gain*float64(v) + offset)))
	}
	for y := range gridH {
		var sum [gridW]int32
		for row := y * side; row < (y+1)*side; row++ {
			a, b := was[row*imageW:][:imageW], now[row*imageW:][:imageW]
			for x := range sum {
				s := int32(0)
				p, q := a[x*side:][:side], b[x*side:][:side]
				for i, v := range p {
					d := int32(q[i])<<8 - level[v]
					if d < 0 {
						d = -d
					}
					s += d
				}
				sum[x] += s
			}
		}
		for x, s := range sum {
			m.raw[y*gridW+x] = float64(s) / (256 * side * side)
		}
	}
}

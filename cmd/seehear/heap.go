package main

import (
	"os"
	"runtime/debug"
)

// garbagePercent is how much garbage may gather, in percent of what lives, before
// it is collected. Almost all that lives here is pooled (pictures, windows of
// sound, tensors), and garbage is a trickle: copied packets, lines of results. By
// Go's default of 100 the heap would rest at twice its need, which that trickle
// takes some twenty minutes of media to fill; so it rests a little above, within
// the first minute, for less than 1 % of the CPU time.
const garbagePercent = 25

// boundGarbage sets that bound, unless GOGC in the environment sets another.
func boundGarbage() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(garbagePercent)
	}
}

//go:build race

package sync

// trials is how many of the benchmark's trials are made: under the race detector,
// which takes ten times as long, a part.
const trials = 12

//go:build race

package localize

const raceEnabled = true

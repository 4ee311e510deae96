//go:build !race

package sync

const trials = 200

package main

import (
	"os"
	"runtime/debug"
	"testing"
)

func TestBoundGarbage(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	t.Setenv("GOGC", "70") // to be restored
	boundGarbage()
	if p := debug.SetGCPercent(100); p != 100 {
		t.Errorf("GOGC stands in the environment, and the bound became %d %%", p)
	}
	os.Unsetenv("GOGC")
	boundGarbage()
	if p := debug.SetGCPercent(100); p != garbagePercent {
		t.Errorf("the bound is %d %%, want %d", p, garbagePercent)
	}
}

package av

import (
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

// resident returns the memory of this process in KiB.
func resident(t *testing.T) int {
	t.Helper()
	for line := range strings.Lines(string(read(t, "/proc/self/status"))) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("this system does not say how much memory a process has")
	return 0
}

// Opening, reading in part and closing a hundred times leaves no C object and no
// memory behind.
func TestOpenAndCloseLeaveNothing(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system does not say how much memory a process has")
	}
	if os.Getenv("MALLOC_ARENA_MAX") != "1" {
		// glibc keeps memory per thread, and Go's threads come and go: with one
		// arena, what is resident is what is in use.
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "MALLOC_ARENA_MAX=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	}
	server := files(t)
	bad := t.TempDir() + "/bad.mp4"
	write(t, bad, read(t, clip(t, "moovlast.mp4"))[:5000])
	inputs := []string{
		clip(t, "bframes.mp4"), clip(t, "h264.ts"), clip(t, "list.m3u8"), bad,
		server.URL + "/moovlast.mp4", server.URL + "/list.m3u8", server.URL + "/missing.mp4",
	}
	clip(t, "moovlast.mp4")
	before := Handles()
	round := func(n int) int {
		for range n {
			for _, input := range inputs {
				s, err := Open(t.Context(), input, DefaultOptions())
				if err != nil {
					continue
				}
				for range 20 {
					if _, err := s.Read(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if Handles() <= before {
					t.Fatal("an open source has no handle")
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		debug.FreeOSMemory()
		return resident(t)
	}
	first := round(60)
	last := round(100)
	if n := Handles(); n != before {
		t.Errorf("%d C handles are left", n-before)
	}
	// One buffer of 64 KiB for each of 700 sources would be 44 MiB. The race
	// detector takes a little for itself.
	if grown := last - first; grown > 6<<10 {
		t.Errorf("resident memory grew from %d to %d KiB", first, last)
	}
	t.Logf("resident memory: %d KiB after 60 rounds, %d KiB after 160", first, last)
}

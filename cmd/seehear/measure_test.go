//go:build bench || proof

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// usage is what a finished process cost.
type usage struct {
	cpu, wall time.Duration
	rss       int64 // peak, bytes
}

// measure runs a command to its end and accounts for it; its output is thrown
// away.
func measure(t testing.TB, name string, args ...string) usage {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	p := cmd.ProcessState
	return usage{p.UserTime() + p.SystemTime(), time.Since(began), p.SysUsage().(*syscall.Rusage).Maxrss * 1024}
}

// inTurns measures a and b alternately and returns the median of the ratio of
// their CPU time, pair by pair, so that a machine whose speed drifts does not
// favour either.
func inTurns(t testing.TB, n int, a, b func() usage) (ratio float64, as, bs []usage) {
	t.Helper()
	a()
	b()
	var ratios []float64
	for range n {
		ua, ub := a(), b()
		as, bs = append(as, ua), append(bs, ub)
		ratios = append(ratios, ua.cpu.Seconds()/ub.cpu.Seconds())
	}
	return median(ratios), as, bs
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func medianCPU(us []usage) float64 {
	var v []float64
	for _, u := range us {
		v = append(v, u.cpu.Seconds())
	}
	return median(v)
}

// binary is the program under measurement, built by make.
func binary(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/seehear")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal("build it first: make build")
	}
	return path
}

func fixturePack(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../models/fixture")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// synth makes a file with ffmpeg.
func synth(t testing.TB, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("ffmpeg", append(append([]string{"-v", "error", "-y"}, args...), path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return path
}

// clip1080 is 1080p30 H.264 with AAC, a moving picture with noise in it.
func clip1080(t testing.TB, seconds int) string {
	return synth(t, "clip1080.mp4",
		"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=1920x1080:rate=30:duration=%d", seconds),
		"-f", "lavfi", "-i", fmt.Sprintf("aevalsrc=0.3*sin(2*PI*t*(300+200*sin(t)))|0.2*random(0):s=48000:d=%d", seconds),
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", "6M", "-pix_fmt", "yuv420p", "-g", "60", "-c:a", "aac", "-b:a", "128k")
}

// looped is the file n times in a row, without encoding it again.
func looped(t testing.TB, path string, n int) string {
	return synth(t, fmt.Sprintf("x%d.mp4", n), "-stream_loop", fmt.Sprint(n-1), "-i", path, "-c", "copy")
}

// residentWhile runs a command and samples its resident memory at each line of
// its output for which at returns true.
func residentWhile(t testing.TB, at func(line []byte) (x float64, sample bool), name string, args ...string) (xs, rss []float64) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if x, ok := at(line); ok {
			if r, ok := resident(cmd.Process.Pid); ok {
				xs, rss = append(xs, x), append(rss, r)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, errs.String())
	}
	return xs, rss
}

// residentEvery runs a command and samples its resident memory at fixed times,
// which come back in seconds. At each sample it calls sampled.
func residentEvery(t testing.TB, every time.Duration, sampled func(), name string, args ...string) (xs, rss []float64) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-tick.C:
			if r, ok := resident(cmd.Process.Pid); ok {
				xs, rss = append(xs, time.Since(began).Seconds()), append(rss, r)
				sampled()
			}
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %v\n%s", cmd.Args, err, errs.String())
			}
			return xs, rss
		}
	}
}

// resident is the resident memory of a process in bytes.
func resident(pid int) (float64, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var size, pages float64
	if err == nil {
		_, err = fmt.Sscan(string(b), &size, &pages)
	}
	return pages * float64(os.Getpagesize()), err == nil && pages > 0
}

// slope is the least-squares slope of y over x.
func slope(x, y []float64) float64 {
	var mx, my float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(y))
	}
	var num, den float64
	for i := range x {
		num += (x[i] - mx) * (y[i] - my)
		den += (x[i] - mx) * (x[i] - mx)
	}
	return num / den
}

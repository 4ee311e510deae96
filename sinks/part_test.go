package sinks

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPartAppearsWhole(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a", "b.txt")
	p, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one\n", "two\n"} {
		if _, err := p.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Fatalf("final name is there before Commit: %v", err)
	}
	if b, _ := os.ReadFile(name + PartSuffix); string(b) != "one\ntwo\n" {
		t.Fatalf("part holds %q before Commit", b)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	p.Discard() // does nothing any more
	if b, _ := os.ReadFile(name); string(b) != "one\ntwo\n" {
		t.Fatalf("file holds %q", b)
	}
	if _, err := os.Stat(name + PartSuffix); !os.IsNotExist(err) {
		t.Fatalf("part is left after Commit: %v", err)
	}
}

func TestPartDiskFull(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.jsonl")
	if err := os.Symlink("/dev/full", name+PartSuffix); err != nil {
		t.Fatal(err)
	}
	p, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Write([]byte("line\n"))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	want := "sinks: write " + name + ": no space left on device"
	if err.Error() != want {
		t.Fatalf("error is %q, want %q", err, want)
	}
	if got := p.Commit(); got == nil || got.Error() != want {
		t.Fatalf("Commit after a failed Write: %v", got)
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Fatalf("final name appeared: %v", err)
	}
}

// A write that the file takes only half of (a limit of the file's size stands in
// for the disk) leaves whole lines.
func TestPartShortWrite(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.jsonl")
	p, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 99) + "\n")
	// The runtime ignores SIGXFSZ, so the write comes back short with EFBIG.
	small := old
	small.Cur = 4*100 + 50
	if err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	var n int
	for n = 0; n < 10 && err == nil; n++ {
		_, err = p.Write(line)
	}
	if rerr := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); rerr != nil {
		t.Fatal(rerr)
	}
	if err == nil || n != 5 {
		t.Fatalf("%d writes, then %v", n, err)
	}
	p.Abandon()
	b, _ := os.ReadFile(name + PartSuffix)
	if len(b) != 400 || b[399] != '\n' {
		t.Fatalf("part holds %d bytes", len(b))
	}
}

func TestCreateNamesTheCause(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Create(filepath.Join(file, "x"))
	if err == nil || !strings.HasSuffix(err.Error(), "x: not a directory") {
		t.Fatalf("got %v", err)
	}
}

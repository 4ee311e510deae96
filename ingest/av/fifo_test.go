package av

import (
	"os"
	"syscall"
	"testing"
)

// fifo makes a named pipe and opens its writing end.
func fifo(t testing.TB, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(path, os.O_RDWR, 0) // does not wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	return w
}

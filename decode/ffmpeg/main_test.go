package ffmpeg

import (
	"fmt"
	"os"
	"testing"

	astiav "github.com/asticode/go-astiav"
)

// TestMain keeps FFmpeg's own messages about broken media out of the output, and
// counts what is left at the end.
func TestMain(m *testing.M) {
	astiav.SetLogLevel(astiav.LogLevelFatal)
	code := m.Run()
	if n := Handles(); n != 0 {
		fmt.Fprintln(os.Stderr, n, "C objects are left")
		code = 1
	}
	os.Exit(code)
}

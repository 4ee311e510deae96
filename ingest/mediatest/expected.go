package mediatest

import (
	_ "embed"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

//go:embed expected.json
var expectedJSON []byte

// Expected is the outcome for one of the real clips of ../shared/media, written
// down beforehand by testdata/expected.py from what ffprobe says.
type Expected struct {
	File  string         `json:"file"`
	Exit  int            `json:"exit"` // of `seehear annotate FILE`: 0, or 3 as the only input fails
	Video *ExpectedVideo `json:"video"`
	Audio *ExpectedAudio `json:"audio"`
}

// ExpectedVideo is the picture of a real clip. W and H are the upright size.
type ExpectedVideo struct {
	Stream   int    `json:"stream"`
	Codec    string `json:"codec"`
	StartNS  int64  `json:"start_ns"`
	Frames   int64  `json:"frames"`
	W        int    `json:"w"`
	H        int    `json:"h"`
	Rotation int    `json:"rotation"`
}

// ExpectedAudio is the sound of a real clip. MissingNS is what is missing between
// its first and its last sample.
type ExpectedAudio struct {
	Stream    int    `json:"stream"`
	Codec     string `json:"codec"`
	StartNS   int64  `json:"start_ns"`
	Rate      int    `json:"rate"`
	Channels  int    `json:"channels"`
	Samples   int64  `json:"samples"`
	MissingNS int64  `json:"missing_ns"`
}

// Shared returns the folder of the real clips beside the checkout and what is
// expected of each. Where the folder is not there, dir is empty.
func Shared(tb testing.TB) (dir string, want []Expected) {
	tb.Helper()
	if err := json.Unmarshal(expectedJSON, &want); err != nil {
		tb.Fatalf("mediatest: expected.json: %v", err)
	}
	root, err := os.Getwd() // of a test: the folder of its package
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			tb.Fatal("mediatest: not in a checkout: no go.mod above the working folder")
		}
		root = filepath.Dir(root)
	}
	dir = filepath.Join(root, "..", "shared", "media")
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", want
	}
	return dir, want
}

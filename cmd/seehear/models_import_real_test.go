//go:build models

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seehear/seehear/infer/caption"
	"github.com/seehear/seehear/infer/localize"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/infer/soundnet"
	"github.com/seehear/seehear/infer/speech2face"
	"github.com/seehear/seehear/models"
)

// TestImportForReal imports a small checkpoint of every kind with the command and
// the Python that PYTHON names (make test-models), verifies the packs, and makes the
// family of each.
func TestImportForReal(t *testing.T) {
	dir := t.TempDir()
	list, err := exec.Command(os.Getenv("PYTHON"), "-W", "ignore", "../../models/train/published.py", dir).Output()
	if err != nil {
		t.Fatalf("PYTHON=%s: %v", os.Getenv("PYTHON"), err)
	}
	kinds := strings.Split(strings.TrimSpace(string(list)), "\n")
	if len(kinds) < 9 {
		t.Fatalf("%d imports: %q", len(kinds), kinds)
	}
	for _, line := range kinds {
		t.Run(strings.ReplaceAll(line, "\t", " "), func(t *testing.T) {
			args := strings.Split(line, "\t")
			for i := range args[1:] {
				args[i+1] = filepath.Join(dir, args[i+1])
			}
			out := filepath.Join(t.TempDir(), "pack")
			code, stdout, stderr := seehearRun(t, nil, append([]string{"models", "import", "-o", out}, args...)...)
			if code != exitOK || stderr != "" {
				t.Fatal(code, stdout, stderr)
			}
			if code, stdout, stderr = seehearRun(t, nil, "models", "verify", out); code != exitOK {
				t.Fatal(code, stdout, stderr)
			}
			makeFamily(t, out)
		})
	}
}

// makeFamily makes the family of a pack with one model.
func makeFamily(t *testing.T, dir string) {
	t.Helper()
	net := &network{}
	var err error
	if net.pack, err = models.Load(dir); err != nil {
		t.Fatal(err)
	}
	if net.runtime, err = ort.Open(ort.Options{}); err != nil {
		t.Fatal(err)
	}
	defer net.close()
	m := net.pack.Models[0]
	l, err := net.open(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	switch m.Family {
	case "soundnet":
		_, err = soundnet.New(soundnet.Config{Model: m, Info: l.info, Labels: l.labels, Sessions: l.sessions})
	case "localize":
		_, err = localize.New(localize.Config{Model: m, Info: l.info, Sessions: l.sessions})
	case "caption":
		_, err = caption.New(caption.Config{Model: m, Info: l.info, Vocabulary: l.vocabulary, Sessions: l.sessions})
	case "speech2face":
		_, err = speech2face.New(speech2face.Config{Model: m, Info: l.info, Sessions: l.sessions})
	default:
		t.Fatal(m.Family)
	}
	if err != nil {
		t.Error(err)
	}
}

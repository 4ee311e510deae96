package models

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}

	dir, looked := Find("fixture")
	if dir != filepath.Join(here, "fixture") {
		t.Errorf("found %q", dir)
	}
	var from []string
	for _, p := range looked {
		from = append(from, p.From)
	}
	if n := len(from); n < 4 || from[0] != "beside the binary" || from[n-2] != "checkout" || from[n-1] != "data folder" {
		t.Errorf("order %q", from)
	}

	dir, looked = Find("elsewhere")
	if dir != "" || looked[len(looked)-1] != (Place{From: "data folder", Dir: filepath.Join(data, "seehear", "models", "elsewhere")}) {
		t.Errorf("%q, %v", dir, looked)
	}
	want := filepath.Join(data, "seehear", "models", "elsewhere")
	if err := os.MkdirAll(want, 0o700); err != nil {
		t.Fatal(err)
	}
	if dir, _ := Find("elsewhere"); dir != "" {
		t.Errorf("%q is no pack", dir)
	}
	if err := os.WriteFile(filepath.Join(want, Manifest), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if dir, _ := Find("elsewhere"); dir != want {
		t.Errorf("found %q", dir)
	}
	// Every place of the first name comes before the second name.
	if dir, _ := Find("elsewhere", "fixture"); dir != want {
		t.Errorf("found %q", dir)
	}
	if dir, looked := Find("./fixture"); dir != "./fixture" || len(looked) != 1 {
		t.Errorf("found %q, %v", dir, looked)
	}
	t.Chdir(t.TempDir())
	if dir, _ := Find("fixture"); dir != "" {
		t.Errorf("outside of the checkout: %q", dir)
	}
}

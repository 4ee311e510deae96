package models

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLabels(t *testing.T) {
	for text, want := range map[string][]string{
		"tench\ngoldfish\n":          {"tench", "goldfish"},
		"tench\ngoldfish":            {"tench", "goldfish"},
		"tench\ngoldfish\n\n":        {"tench", "goldfish"},
		"tench\r\ngold fish, carp\n": {"tench", "gold fish, carp"},
		"\ufefftench\n":              {"tench"},
		"a\n\nb\n":                   {"a", "", "b"},
		"日本語\n":                      {"日本語"},
	} {
		path := filepath.Join(t.TempDir(), "labels.txt")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Labels(path); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                                    "empty",
		"\n":                                  "empty",
		"a\xff\n":                             "UTF-8",
		"a\x00b\n":                            "not a text",
		strings.Repeat("x", maxLabel+1):       "line 1 is longer",
		strings.Repeat("\n", maxLabelCount+1): "lines",
		strings.Repeat("xxxxxxx\n", 1<<21+1):  "larger",
	} {
		_, err := parseLabels([]byte(text))
		refused(t, text[:min(8, len(text))], err, want)
	}
	_, err := Labels(filepath.Join(t.TempDir(), "none"))
	refused(t, "a missing file", err, "models: labels: ")
}

func FuzzLabels(f *testing.F) {
	f.Add([]byte("a\nb\n"))
	f.Add([]byte("a\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		labels, err := parseLabels(data)
		if err != nil {
			return
		}
		for _, l := range labels {
			if strings.ContainsAny(l, "\n\x00") {
				t.Errorf("label %q", l)
			}
		}
		// Written out they are the same labels.
		again, err := parseLabels([]byte(strings.Join(labels, "\n") + "\n"))
		if err != nil || !slices.Equal(again, labels) {
			t.Errorf("%q, then %q, %v", labels, again, err)
		}
	})
}

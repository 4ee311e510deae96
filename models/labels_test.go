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

func TestCheckLists(t *testing.T) {
	pictures, embedding := &Model{Family: "pictures"}, &Model{Family: "embedding"}
	for _, c := range []struct {
		m     *Model
		lists map[string][]string
		want  string // "" for none
	}{
		{pictures, map[string][]string{"objects": {"dog", "cat"}, "scenes": {"street"}}, ""},
		{pictures, map[string][]string{"objects": {"dog", "cat"}, "imagenet": {"207", "281"}}, ""},
		{pictures, map[string][]string{"objects": {"dog", "cat"}, "imagenet": {"207"}}, "labels.imagenet: there are 1 of it for 2 objects"},
		{pictures, map[string][]string{"objects": {"dog", "cat"}, "imagenet": {"207", "207"}}, `line 2: "207" is not a number of one class alone`},
		{pictures, map[string][]string{"scenes": {"street"}, "places2": {"-1"}}, `labels.places2: line 1: "-1" is not`},
		{pictures, map[string][]string{"scenes": {"street"}, "places2": {""}}, `labels.places2: line 1: "" is not`},
		{embedding, map[string][]string{"vocabulary": {"<start>", "<end>", "<unk>", "dog"}}, ""},
		{embedding, map[string][]string{"vocabulary": {"dog"}}, "labels.vocabulary: there is no <unk> in it"},
	} {
		err := checkLists(c.m, c.lists)
		if c.want != "" {
			refused(t, c.want, err, c.want)
		} else if err != nil {
			t.Error(err)
		}
	}
}

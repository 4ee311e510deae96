//go:build eval

package main

import (
	"archive/tar"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Note [Held out]
//
// The networks of sound of the default pack were trained without fold 5 of ESC-10,
// fold 10 of UrbanSound8K, the instruments whose path's bytes add up to a multiple of
// five, and the actors of RAVDESS of such a number (the gate: those from 20 on, and two
// speakers of the digits); and without whatever shares a recording with these.
// models/train/audio/clips.py and voices.py have the same rules.

// The folds that were not trained with.
const (
	heldESC   = "5"
	heldUrban = "10"
)

// urban are the classes of UrbanSound8K by their number in its file names.
var urban = []string{
	"air conditioner", "car horn", "children playing", "dog barking", "drilling",
	"engine idling", "gun shot", "jackhammer", "siren", "street music",
}

// renamed are the names of classes that are not those of their set with spaces.
var renamed = map[string]string{
	"baby_cry": "baby crying", "clock_tick": "clock ticking", "dog_bark": "dog barking", "hi_hat": "hi-hat",
	"person_sneeze": "sneezing", "rooster": "rooster crowing", "violin_or_fiddle": "violin",
}

// clip is a recording of a set of sounds.
type clip struct {
	file  string // where it lies
	path  string // its name in the set
	set   string
	label string
	row   map[string]string // of labels.csv
}

// tarred unpacks the clips of a tar with a labels.csv that are wanted.
func (e *evaluation) tarred(name string, want func(row map[string]string) bool) []clip {
	e.Helper()
	f, err := os.Open(e.need(name))
	if err != nil {
		e.Fatal(err)
	}
	defer f.Close()
	dir := e.TempDir()
	var clips []clip
	place := map[string]int{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return clips
		}
		if err != nil {
			e.Fatalf("%s: %v", name, err)
		}
		if h.Name == "labels.csv" {
			rows, bad := csv.NewReader(r).ReadAll()
			if bad != nil || len(rows) == 0 {
				e.Fatalf("%s: labels.csv: %d rows: %v", name, len(rows), bad)
			}
			for _, line := range rows[1:] {
				row := map[string]string{}
				for i, key := range rows[0] {
					row[key] = line[i]
				}
				if want(row) {
					place[row["path"]] = len(clips)
					clips = append(clips, clip{path: row["path"], set: row["set"], label: label(row["class"]), row: row})
				}
			}
			continue
		}
		at, ok := place[h.Name]
		if !ok {
			continue
		}
		clips[at].file = filepath.Join(dir, strings.ReplaceAll(h.Name, "/", "-"))
		out, err := os.Create(clips[at].file)
		if err != nil {
			e.Fatal(err)
		}
		if _, err := io.Copy(out, r); err != nil {
			e.Fatal(err)
		}
		if err := out.Close(); err != nil {
			e.Fatal(err)
		}
	}
}

func label(class string) string {
	if l, ok := renamed[class]; ok {
		return l
	}
	return strings.ReplaceAll(class, "_", " ")
}

// sounds are the clips without speech that were not trained with, in the order of
// their paths.
func (e *evaluation) sounds() []clip {
	e.Helper()
	clips := e.tarred("sounds.tar", func(row map[string]string) bool {
		switch row["set"] {
		case "esc10":
			return row["fold"] == heldESC
		case "instruments":
			sum := 0
			for _, b := range []byte(row["path"]) {
				sum += int(b)
			}
			return sum%5 == 0
		}
		return false
	})
	files, err := filepath.Glob(filepath.Join(e.need("UrbanSound8K/audio/fold"+heldUrban), "*.wav"))
	if err != nil || len(files) == 0 {
		e.Fatalf("no clips in fold %s of UrbanSound8K: %v", heldUrban, err)
	}
	for _, f := range files {
		kind, err := strconv.Atoi(strings.Split(filepath.Base(f), "-")[1])
		if err != nil || kind >= len(urban) {
			e.Fatalf("%s: no class in its name", f)
		}
		rel, err := filepath.Rel(e.data, f)
		if err != nil {
			e.Fatal(err)
		}
		clips = append(clips, clip{file: f, path: filepath.ToSlash(rel), set: "urbansound8k", label: urban[kind]})
	}
	slices.SortFunc(clips, func(a, b clip) int { return strings.Compare(a.path, b.path) })
	return clips
}

// actors are the clips of RAVDESS whose actor's number is wanted.
func (e *evaluation) actors(want func(n int) bool) []clip {
	e.Helper()
	clips := e.tarred("voices.tar", func(row map[string]string) bool {
		n, err := strconv.Atoi(row["actor"])
		return err == nil && want(n)
	})
	for i := range clips {
		clips[i].set, clips[i].label = "ravdess", "speech"
	}
	return clips
}

//go:build eval

package main

import (
	"slices"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/soundnet"
)

// judgeSounds recomputes the figures of the events of the sound network: of each set
// the clips whose most likely class is theirs, by the mean of the posteriors of a clip's
// places; and of the places of all sets, those of which something is said, and of these
// the ones of which the right thing is said first. Of objects and scenes the right one is
// what the card says that the pictures which go with the sound are taken for.
func judgeSounds(e *evaluation) map[string]float64 {
	m := e.model
	show := m.Gate.Show
	m.Gate.Show = nil // all posteriors are wanted here
	labels := e.open.labels["events"]
	f, err := soundnet.New(soundnet.Config{Model: m, Info: e.open.info, Labels: e.open.labels, Sessions: e.open.sessions, Top: len(labels)})
	if err != nil {
		e.Fatal(err)
	}
	right, count := map[string]float64{}, map[string]float64{}
	places, shown, hits := 0.0, 0.0, 0.0
	seen := map[string]*association{"objects": e.association("objects"), "scenes": e.association("scenes")}
	clips := append(e.sounds(), e.actors(func(n int) bool { return n%5 == 0 })...)
	for _, c := range clips {
		mean, all := make([]float64, len(labels)), whole(e.heard(c.file, f))
		for _, s := range all {
			for _, p := range s.Events {
				mean[p.Index] += p.P
			}
			if len(s.Events) == 0 {
				continue
			}
			places++
			seen["objects"].count(c.label, s.Objects, show["objects"])
			seen["scenes"].count(c.label, s.Scenes, show["scenes"])
			if s.Events[0].P >= show["events"] {
				shown++
				if s.Events[0].Label == c.label {
					hits++
				}
			}
		}
		count[c.set]++
		if labels[most(mean, func(int) bool { return true })] == c.label {
			right[c.set]++
		}
		if c.set == "urbansound8k" {
			count["of its ten"]++
			if labels[most(mean, func(i int) bool { return slices.Contains(urban, labels[i]) })] == c.label {
				right["of its ten"]++
			}
		}
	}
	e.Logf("clips: %v", count)
	figures := map[string]float64{
		"urbansound8k":          right["of its ten"] / count["of its ten"],
		"urbansound8k_of_all":   right["urbansound8k"] / count["urbansound8k"],
		"esc10_of_all":          right["esc10"] / count["esc10"],
		"instruments_of_all":    right["instruments"] / count["instruments"],
		"ravdess_of_all":        right["ravdess"] / count["ravdess"],
		"places_shown":          shown / places,
		"places_shown_is_right": hits / shown,
	}
	for head, a := range seen {
		if a.places > 0 {
			figures[head+"_shown"], figures[head+"_shown_is_right"] = a.shown/a.places, a.right/a.shown
		}
	}
	return figures
}

// association counts how often what is said to be seen is what goes with the sound.
type association struct {
	with                 map[string]string // by sound
	places, shown, right float64
}

// association reads the card's table of what goes with each sound.
func (e *evaluation) association(head string) *association {
	e.Helper()
	a := &association{with: map[string]string{}}
	columns := []string{"sound", "objects", "scenes"}
	for _, row := range e.sheet("../../models/default/cards/sounds_seen.csv", columns...) {
		a.with[row[0]] = row[slices.Index(columns, head)]
	}
	return a
}

func (a *association) count(sound string, said []infer.Score, show float64) {
	want := a.with[sound]
	if want == "" || len(said) == 0 {
		return
	}
	a.places++
	if said[0].P >= show {
		a.shown++
		if said[0].Label == want {
			a.right++
		}
	}
}

// whole are the sounds of the places whose window was full, or, of a clip that is
// shorter than a window, the first.
func whole(events []infer.Event) (list []*infer.Sound) {
	for _, e := range events {
		if s, ok := e.Payload.(*infer.Sound); ok && !e.Short {
			list = append(list, s)
		}
	}
	if len(list) == 0 && len(events) > 0 {
		if s, ok := events[0].Payload.(*infer.Sound); ok {
			list = append(list, s)
		}
	}
	return list
}

// most is the index of the largest number of those that may be; of equal ones the first.
func most(p []float64, may func(int) bool) int {
	best := -1
	for i, v := range p {
		if may(i) && (best < 0 || v > p[best]) {
			best = i
		}
	}
	return best
}

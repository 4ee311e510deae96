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
// the ones of which the right thing is said first.
func judgeSounds(e *evaluation) map[string]float64 {
	m := e.model
	show := m.Gate.Show["events"]
	m.Gate.Show = nil // all posteriors are wanted here
	labels := e.open.labels["events"]
	f, err := soundnet.New(soundnet.Config{Model: m, Info: e.open.info, Labels: e.open.labels, Sessions: e.open.sessions, Top: len(labels)})
	if err != nil {
		e.Fatal(err)
	}
	right, count := map[string]float64{}, map[string]float64{}
	places, shown, hits := 0.0, 0.0, 0.0
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
			if s.Events[0].P >= show {
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
	return map[string]float64{
		"urbansound8k":          right["of its ten"] / count["of its ten"],
		"urbansound8k_of_all":   right["urbansound8k"] / count["urbansound8k"],
		"esc10_of_all":          right["esc10"] / count["esc10"],
		"instruments_of_all":    right["instruments"] / count["instruments"],
		"ravdess_of_all":        right["ravdess"] / count["ravdess"],
		"places_shown":          shown / places,
		"places_shown_is_right": hits / shown,
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

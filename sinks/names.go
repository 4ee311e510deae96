package sinks

import (
	"fmt"
	"time"

	"github.com/seehear/seehear/infer"
)

// TimeName is how a time appears in a file's name: seconds with milliseconds and
// leading zeros, so that names sort by time.
func TimeName(at time.Duration) string {
	sign := ""
	if at < 0 {
		sign, at = "-", -at
	}
	ms := (at + time.Millisecond/2) / time.Millisecond
	return fmt.Sprintf("%s%06d.%03ds", sign, ms/1000, ms%1000)
}

// FaceName is the name of the picture of a face, relative to the results, under
// which the overlay writes it and Face.File names it.
func FaceName(at time.Duration, voice int) string {
	return fmt.Sprintf("faces/voice-%d-%s.png", voice, TimeName(at))
}

// HeatmapName is the name of the picture of a heat map, relative to the results.
func HeatmapName(at time.Duration) string { return "heatmaps/heatmap-" + TimeName(at) + ".png" }

// Heard returns the classes of the head of s that people understand as sounds:
// sound events, or, of a network without that head, objects.
func Heard(s *infer.Sound) []infer.Score {
	if len(s.Events) > 0 {
		return s.Events
	}
	return s.Objects
}

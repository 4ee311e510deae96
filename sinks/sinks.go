// Package sinks takes results to where people and programs read them.
//
// A [Sink] (sinks/jsonl, webvtt, overlay, report) receives the events of
// one source in order, from one goroutine, and owns nothing but its output. The
// pipeline of package seehear calls it. Whatever a sink writes carries ".part"
// at the end of its name until it is whole.
package sinks

import (
	"context"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
)

// Sink receives the results of one source. Call order: Begin once, Write for
// each event, Close once, with the summary. After a failed Begin or Write only
// Close is called.
//
// Close flushes and gives the files their final names, also when the summary says
// that the run was stopped early: such a file is whole, and its summary says how
// far it goes. After a failed Write, or when the context of Close has ended, no
// file gets its final name: what is there stays behind as ".part". Close frees
// everything in every case.
//
// Payloads are immutable once written, so a sink may keep the pointers.
type Sink interface {
	Begin(context.Context, Header) error
	Write(context.Context, infer.Event) error
	Close(context.Context, Summary) error
}

// Header is what is known before the first result.
type Header struct {
	Source  string // redacted path or URL, as shown to people
	Streams []ingest.Stream
	Models  []infer.Info
	Live    bool
}

// Summary is the account of a whole run. It holds no wall-clock figure, so that
// it is the same every time.
type Summary struct {
	Complete     bool
	Error        string        // why not, "" if complete
	Duration     time.Duration // from zero to the end of the last frame or sample
	Segs         uint32
	Frames       int64 // decoded video frames
	Samples      int64 // decoded samples per channel at the source's rate
	Moments      int64 // moments that were looked at
	Events       int64
	MissingAudio time.Duration
	Errors       int64 // packets that did not decode
	Drops        int64 // moments and events dropped; 0 offline
	// Truncated says that the source ends early, by Missing less than its
	// container states, and Damaged how many places of it could not be read.
	Truncated bool
	Missing   time.Duration
	Damaged   int64
	// LateFrames and LateSamples (at the rate they were made for) were left out
	// because their stamps went back or lay far behind the other stream's.
	LateFrames, LateSamples int64
}

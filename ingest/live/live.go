// Package live makes inputs into sources that never end: [Keep] holds on to an
// input that may fail, [Loop] plays a file at its own speed, over and over.
//
// The command wraps what it opens, once per source:
//
//	src, err := live.Keep(ctx, func(ctx context.Context) (ingest.Source, error) {
//		return rtsp.Open(ctx, "rtsp://camera/stream", rtsp.Options{})
//	}, live.Options{OnState: show})
//	if err != nil { … } // ctx ended before anything could be opened
//	defer src.Close()
//
// Both are an [ingest.Source] whose clock runs on over every input that they open
// in turn (see Note [One clock over many inputs]). They start no goroutines: all
// work is done in Keep, Loop and Read, on the caller's goroutine. Packets go
// through untouched but for their stream, stamps and Seg, and belong to whoever
// receives them.
package live

import (
	"context"
	"time"

	"github.com/seehear/seehear/ingest"
)

// Opener opens an input anew. The context ends opening only. It is called from
// one goroutine at a time.
type Opener func(ctx context.Context) (ingest.Source, error)

// Phase is what a kept source is doing.
type Phase uint8

// The phases. A source begins connecting; Waiting is the time between an attempt
// that failed and the next.
const (
	Connecting Phase = iota + 1
	Running
	Waiting
	Closed
)

func (p Phase) String() string {
	switch p {
	case Connecting:
		return "connecting"
	case Running:
		return "running"
	case Waiting:
		return "waiting"
	case Closed:
		return "closed"
	}
	return "unknown"
}

// State is what a kept source is doing, and why.
type State struct {
	Phase Phase
	Since time.Time // when the phase began
	// Reconnects counts the times that the input was there again after a failure.
	Reconnects int
	// Cause is why the input failed last, one line without credentials; "" once
	// packets come again.
	Cause string
	// Next is how long the source waits before the next attempt, in Waiting.
	Next time.Duration
}

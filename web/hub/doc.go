// Package hub spreads the results of live sources to viewers.
//
// Each source has a [Source], the sinks.Sink that the pipeline of package seehear
// writes to. Transports join it: web/rtc for data channels (see [Viewer.Next]),
// package web for Server-Sent Events (see [Viewer.Message]). docs/protocol.md
// describes the messages; results are the objects of results.jsonl, made by the
// same code.
//
//	h := hub.New(hub.Options{})
//	door := h.Source("door", feed.RTPTime)  // a sink; Status and Media tell the rest
//	v := door.Join(hub.JoinOptions{})       // in the transport
//	defer v.Close()
//	for {
//		chunk, err := v.Next(ctx)           // io.EOF behind the "bye"
//		...
//	}
//
// Nothing here waits for a viewer. Each has a bounded queue of results that
// drops the oldest, counts and tells it; hello, status and media are not queued:
// the newest is delivered when the viewer comes to it, so that no viewer is ever
// wrong about them. A message is made once and shared by all viewers: nobody may
// write to its bytes.
package hub

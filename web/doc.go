// Package web serves the viewer, the results and the pictures of live sources
// over HTTP: docs/protocol.md says what there is.
//
// The command `seehear serve` makes one [Server]:
//
//	srv, err := web.New(web.Options{
//		Hub: h, Ring: store, Viewer: viewer.Files, WHEP: rtc.WHEP(), WHIP: rtc.WHIP(),
//		Access: web.Access{View: []string{token}},
//	})
//	ln, err := net.Listen("tcp", "127.0.0.1:8080")
//	err = srv.Serve(ctx, ln) // until ctx ends; viewers are told
//
// Results come from package web/hub, the last ten minutes of the media from
// web/ring; WebRTC is web/rtc's, which is handed in as handlers and answers
// behind the same checks as everything else. The server owns its goroutines:
// when Serve returns, none is left.
//
// # What guards it
//
// Note [Access]. Off the loopback address the server refuses to start without a
// token for viewers, unless told that it may be open. Tokens come in the
// Authorization header alone, never in an address, and are compared by their
// hashes in constant time. The Host header must name this server, on loopback
// too, because a page elsewhere may point its own name at 127.0.0.1 and would
// then be of the same origin; a request that a page of another origin makes is
// refused unless that origin is allowed. Each client address has a budget of
// requests, failed tokens and open sessions; an IPv6 client is its /64. Nothing
// of a request names a file: the viewer's are embedded, and the ring is read
// through an os.Root by names that it made itself.
package web

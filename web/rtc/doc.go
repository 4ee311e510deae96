// Package rtc brings live sources to browsers over WebRTC, and browsers' own
// cameras in.
//
// A [Feed] per source takes the encoded packets of the source as they come and
// fans them out to any number of viewers. H.264 without B-frames and with a
// keyframe at least every two seconds passes through untouched, and so does Opus;
// [Feed.Transcode] says what cannot, and a [Transcoder] makes it from decoded
// frames and blocks with encoders that are passed in (sinks/encode has them), once
// per source and codec, and only while somebody watches.
//
// A [Server] holds the network (one UDP port for all peers, TCP where UDP is
// blocked) and speaks WHEP for playback and WHIP for publishing. Package web
// mounts its handlers behind its own authentication:
//
//	feed := rtc.NewFeed(rtc.FeedOptions{})
//	srv, err := rtc.New(rtc.Options{UDP: ":8189", TCP: ":8189"})
//	srv.Add("door", rtc.Source{Feed: feed, Join: func() rtc.Messages { return door.Join(hub.JoinOptions{}) }})
//	mux.Handle("/whep/{name}", srv.WHEP())
//	mux.Handle("/whep/{name}/{session}", srv.WHEP())
//
// # Time
//
// Everything that leaves carries the source's own clock. The RTP time of a packet
// is [RTPTime] of its presentation time, a pure function that results use as well,
// so that a browser can match a result with the very frame it belongs to. Sender
// reports are made from media time for both tracks at once, so lips stay in sync
// however late either track is sent (see Note [Sender reports]).
//
// # Buffers and goroutines
//
// What goes into a Feed is shared by all peers and read-only. [Feed.Packet] and
// [Feed.Encoded] never wait: each viewer has a bounded queue and a goroutine of its
// own, and loses pictures up to the next keyframe when it is too slow. A Feed has
// one goroutine, which Close waits for; a Server waits for those of its peers.
package rtc

// Package ring keeps the last minutes of live sources as fragmented MP4 on disk,
// for a viewer that jumps back.
//
// The pipeline's tee gives each source's encoded packets to a [Ring]; package web
// serves the [Store] below /ring/ (docs/protocol.md says how it is played):
//
//	store, err := ring.Open(dir, ring.Options{})
//	r, err := store.Source("door")
//	r.Streams(src.Streams())
//	r.Packet(&p)            // never blocks; keeps p.Data, which nobody may change
//	store.Remove("door")    // with its files
//	store.Close()
//
// H.264, H.265, AAC and Opus go in as they are; a source with another video codec
// may give the packets of its transcoder instead. Other sound is left out.
//
// One goroutine per ring cuts segments at keyframes and writes them; a file has
// its name only once it is whole. The MP4 is written by mediacommon, which
// gortsplib brings along, is written for live streams by those who keep it, and
// needs no C.
//
// # Time
//
// Note [Timeline]. The MP4 timeline is the source's clock, plus one second so
// that decoding times in front of zero can be said, whatever the Seg. A segment
// is what was presented from its first keyframe up to the next segment's, of the
// Seg that it names; it waits a moment for sound that arrives behind its pictures.
package ring

// Package truthtest holds the whole way from a file to stamped pictures and sound
// (ingest/av, decode/ffmpeg, decode) against the ground truth of ingest/mediatest
// and against what was written down for the real clips. It has tests only.
package truthtest

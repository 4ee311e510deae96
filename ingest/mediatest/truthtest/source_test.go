package truthtest

import (
	"testing"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/sourcetest"
)

// The source of files keeps the promises of its interface with every container,
// and counts the jumps that are there.
func TestSource(t *testing.T) {
	for _, c := range mediatest.Clips(t) {
		t.Run(c.Name, func(t *testing.T) {
			sourcetest.Run(t, func(tb testing.TB) ingest.Source {
				src, err := av.Open(tb.Context(), c.File, av.DefaultOptions())
				if err != nil {
					tb.Fatal(err)
				}
				return src
			})
		})
	}
	if n := av.Handles(); n != 0 {
		t.Errorf("%d demuxers are alive", n)
	}
}

package truthtest

import (
	"context"
	"testing"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/mediatest/sourcetest"
)

// The source of files keeps the promises of its interface with every container.
func TestSource(t *testing.T) {
	for _, c := range mediatest.Clips(t) {
		t.Run(c.Name, func(t *testing.T) {
			sourcetest.Run(t, c, func(ctx context.Context, c mediatest.Clip) (ingest.Source, error) {
				return av.Open(ctx, c.File, av.DefaultOptions())
			})
		})
	}
	if n := av.Handles(); n != 0 {
		t.Errorf("%d demuxers are alive", n)
	}
}

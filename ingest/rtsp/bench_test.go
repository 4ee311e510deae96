package rtsp_test

import (
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/rtsp"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
)

// How much later than the others a packet of sound comes, at most, where one in
// twenty is lost and one in twenty out of order.
func BenchmarkLoss(b *testing.B) {
	clip := rtsptest.Load(b, mediatest.ByName(b, "webm-vp8-opus").File).Only(ingest.Audio)
	for range b.N {
		s := rtsptest.Start(b, clip, rtsptest.Options{UDP: true, Loss: 0.05, Reorder: 0.05})
		src, err := rtsp.Open(b.Context(), s.URL(), rtsp.Options{Transport: rtsp.UDP})
		if err != nil {
			b.Fatal(err)
		}
		var soonest, latest time.Duration
		var zero time.Time
		for range 200 {
			p, err := src.Read(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if zero.IsZero() {
				zero = p.Arrived
			}
			way := p.Arrived.Sub(zero) - p.PTS
			soonest, latest = min(soonest, way), max(latest, way)
		}
		b.ReportMetric(float64(latest-soonest)/1e6, "ms-late")
		if err := src.Close(); err != nil {
			b.Fatal(err)
		}
		s.Kill()
	}
}

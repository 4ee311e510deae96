package encode

import (
	"math/rand/v2"
	"testing"
	"time"
)

// What a 720p picture costs live, by codec and speed.
func BenchmarkLiveVideo(b *testing.B) {
	const w, h = 1280, 720
	frames := make([][]byte, 8)
	for i := range frames {
		frames[i] = picture(w, h, i*37)
		for range 200_000 { // some texture that moves
			frames[i][rand.IntN(len(frames[i]))] += byte(rand.IntN(40))
		}
	}
	for _, c := range []VideoOptions{{Codec: "h264", Preset: "ultrafast"}, {Codec: "h264", Preset: "superfast"}, {Codec: "h264", Preset: "veryfast"}, {Codec: "vp8"}} {
		b.Run(c.Codec+c.Preset, func(b *testing.B) {
			c.W, c.H = w, h
			v, err := NewVideo(c)
			if err != nil {
				b.Fatal(err)
			}
			defer v.Close()
			n := 0
			for i := 0; b.Loop(); i++ {
				err := v.Encode(time.Duration(i)*40*time.Millisecond, frames[i%len(frames)], false, func(_ time.Duration, _ bool, data []byte) { n += len(data) })
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/float64(b.N)*8*25/1e6, "Mbit/s")
		})
	}
}

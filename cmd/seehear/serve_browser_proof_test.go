//go:build proof

package main

import (
	"math"
	"testing"
	"time"
)

// opensWithin is how long after the page was opened a picture moves in it and shows
// results.
const opensWithin = 5 * time.Second

// proveOpening: what `make serve` shows, from the moment at which the page is opened.
func proveOpening(t *testing.T) {
	s := serveProcess(t, "--models", "../../models/default", "../../docs/demo/demo.mp4")
	for visit := range 5 {
		p := s.browse(t, "")
		var w watched
		shown := func() (moving, found float64) {
			for n, f := range w.Seen {
				if n == 1 { // the second one: it moves
					moving = f.At
				}
				if found == 0 && len(f.Heat) > 0 {
					found = f.At
				}
			}
			return moving, found
		}
		s.until("a heat map on the picture", func() bool {
			more := p.take()
			w.Seen = append(w.Seen, more.Seen...)
			moving, found := shown()
			return moving > 0 && found > 0
		})
		opened := p.value("performance.timeOrigin")
		moving, found := shown()
		t.Logf("visit %d: the picture moves after %.0f ms, a heat map is on it after %.0f ms", visit+1, moving-opened, found-opened)
		if most := float64(opensWithin / time.Millisecond); moving-opened > most || found-opened > most {
			t.Errorf("visit %d: more than %v", visit+1, opensWithin)
		}
		p.until("the button for sound", `document.querySelector(".sound")?.checkVisibility()`)
		p.close()
	}
}

// proveOverlay: with the delay that is found by itself, frames that have a heat map
// are drawn with it, on their own barcode; and picture and sound are together as
// they are seen and heard in the browser.
func proveOverlay(t *testing.T) {
	s := serve(t, "--models", fixturePack(t), "--localize", "both", "--caption-every", "200ms", "--sync-delay", "auto", barcodes(t))
	p := s.browse(t, "", withEar)
	p.unmute()
	p.listen()
	s.until("a delay", func() bool { return p.delay() > 0 })
	time.Sleep(15 * time.Second) // it moves by a tenth of the time that passes
	p.take()
	time.Sleep(60 * time.Second)
	w := p.take()
	barcode, heat := s.captions("barcodes")
	var have, drawn, compared, own int
	var at [barcodeCount][]float64 // when each picture was shown
	for _, f := range w.Seen {
		n, ok := f.index()
		if ok && n < barcodeCount {
			at[n] = append(at[n], f.At)
		}
		if !heat[f.RTP] {
			continue
		}
		have++
		with := false
		for _, h := range f.Heat {
			with = with || h.Own && h.RTP == f.RTP
		}
		if !with {
			continue
		}
		drawn++
		if c, known := barcode[f.RTP]; known && ok {
			compared++
			if c == n {
				own++
			}
		}
	}
	var skews []float64
	for _, heard := range w.Clicks {
		best := math.Inf(1)
		for n := 0; n < barcodeCount; n += barcodeRate {
			for _, shown := range at[n] {
				if d := heard - shown; math.Abs(d) < math.Abs(best) {
					best = d
				}
			}
		}
		if math.Abs(best) < 400 { // else its picture was not shown
			skews = append(skews, best)
		}
	}
	signed := percentile(skews, .5)
	for i, d := range skews {
		skews[i] = math.Abs(d)
	}
	t.Logf("delay %.0f ms; of %d frames with a heat map %d were drawn with it (%.1f %%), of %d compared %d on their own barcode; %d clicks of %d, sound after picture: median %+.0f ms, |.| p95 %.0f ms",
		1e3*p.delay(), have, drawn, 100*float64(drawn)/float64(have), compared, own, len(skews), len(w.Clicks), signed, percentile(skews, .95))
	if have < 100 || drawn*100 < have*95 {
		t.Errorf("%d of %d frames with a heat map were drawn with it", drawn, have)
	}
	if compared < 100 || own*100 < compared*99 {
		t.Errorf("%d of %d frames with their heat map show the barcode that the network read", own, compared)
	}
	if d := percentile(skews, .95); len(skews) < 30 || !(d <= 40) {
		t.Errorf("of %d clicks, sound and picture are %.0f ms apart", len(skews), d)
	}
}

// proveBrowserLatency: from the arrival of the last packet that a result needs to
// the result in the browser it takes the network's time and 150 ms; a picture is
// seen 300 ms after it was sent, without a delay.
func proveBrowserLatency(t *testing.T) {
	s := serve(t, "--models", fixturePack(t), "--localize", "both", "--sync-delay", "0", "--source", "cam="+camera720(t).URL())
	w := s.watch(t, "cam", false)
	p := s.browse(t, "")
	time.Sleep(5 * time.Second)
	p.take()
	time.Sleep(30 * time.Second)
	results, pictures := p.take().after(w.clock())
	slow := w.slowest()
	t.Logf("from the camera to the browser: %d heat maps p50 %.0f ms, p95 %.0f ms; %d pictures p50 %.0f ms, p95 %.0f ms; slowest network %.1f ms",
		len(results), percentile(results, .5), percentile(results, .95), len(pictures), percentile(pictures, .5), percentile(pictures, .95), slow)
	if d := percentile(results, .95); len(results) < 100 || !(d <= slow+150) {
		t.Errorf("results are in the browser after %.0f ms, inference takes %.0f ms", d, slow)
	}
	if d := percentile(pictures, .95); len(pictures) < 300 || !(d <= 300) {
		t.Errorf("pictures are seen after %.0f ms", d)
	}
}

// delay is the sync delay that the page was told, in seconds.
func (p *openPage) delay() float64 {
	p.t.Helper()
	return p.value("watched.delay ?? 0")
}

// clock tells when the picture of an RTP time was sent, in milliseconds since
// 1970, by the camera's own reports.
func (w *peer) clock() func(rtp uint32) float64 {
	w.t.Helper()
	for _, r := range w.copy() {
		if r.Kind != "heatmap" || r.Wall == "" {
			continue
		}
		wall, err := time.Parse(time.RFC3339Nano, r.Wall)
		if err != nil {
			w.t.Fatal(err)
		}
		return func(rtp uint32) float64 {
			return float64(wall.UnixNano())/1e6 + float64(int32(rtp-r.RTP))/90
		}
	}
	w.t.Fatal("no result with a wall clock")
	return nil
}

// slowest is the time of the slowest network, in milliseconds.
func (w *peer) slowest() (ms float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	speed, _ := w.status["speed"].(map[string]any)
	for _, v := range speed {
		ms = max(ms, v.(float64))
	}
	return ms
}

// after returns how long after their picture was sent heat maps came and pictures
// were seen, in milliseconds.
func (w watched) after(sent func(uint32) float64) (results, pictures []float64) {
	for _, r := range w.Results {
		if r.Kind == "heatmap" {
			results = append(results, r.At-sent(r.RTP))
		}
	}
	for _, f := range w.Seen {
		pictures = append(pictures, f.At-sent(f.RTP))
	}
	return results, pictures
}

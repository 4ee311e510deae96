package main

import (
	"context"
	"encoding/json"
	"math/bits"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// readFrames reads the barcode of each frame that the viewer draws, off its own
// canvas, together with what the viewer says it drew it with.
const readFrames = `(() => {
	const c = new OffscreenCanvas(160, 120), g = c.getContext("2d", {willReadFrequently: true});
	window.seen = [];
	addEventListener("seehear:frame", (e) => {
		g.drawImage(e.target, 0, 0, 160, 120);
		let word = 0;
		for (let n = 0; n < 16; n++) {
			const px = g.getImageData((n % 4) * 40 + 10, (n >> 2) * 30 + 8, 20, 14).data;
			let sum = 0;
			for (let i = 0; i < px.length; i += 4) sum += px[i] + px[i+1] + px[i+2];
			word = word * 2 + (sum / (px.length / 4) > 3 * 128 ? 1 : 0);
		}
		window.seen.push({word, at: performance.now(), ...e.detail});
	});
})()`

// seenFrame is a frame as it was drawn.
type seenFrame struct {
	Word  int
	At    float64 // milliseconds since the page was opened
	RTP   uint32
	Exact bool
	T     float64
	Heat  []struct {
		Method string
		RTP    uint32
		Own    bool
	}
}

// index is the number of the barcode; not ok if it cannot be read.
func (f seenFrame) index() (n int, ok bool) {
	n = f.Word & 0xfff
	return n, f.Word>>14 == 2 && f.Word>>12&3 == bits.OnesCount(uint(n))&3
}

// browser is headless Chromium.
func browser(t *testing.T) context.Context {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is missing: Debian's package of that name, which `make deps` installs")
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), []chromedp.ExecAllocatorOption{
		chromedp.NoFirstRun, chromedp.Headless, chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns"), chromedp.Flag("allow-loopback-in-peer-connection", true),
	}...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// A browser that opens the page sees the picture move, and what is drawn on it
// belongs to it: each frame on the canvas is the one in which the network that
// captioned its RTP time read the barcode.
func TestServeChromium(t *testing.T) {
	ctx := browser(t)
	s := serve(t, "--models", pack, "--localize", "sync", "--caption-every", "frame", barcodes(t))
	s.until("results", func() bool {
		_, b := s.get("api/sources/barcodes/results")
		return strings.Contains(string(b), "heatmap")
	})
	const length = 8 * time.Second
	ask := func(what string, err error) {
		if err != nil {
			text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
			t.Fatalf("%s: %v; the page says %q; %s", what, err, text, s.log())
		}
	}
	ask("open the page", chromedp.Do(ctx, chromedp.Navigate(s.url)))
	_, err := chromedp.Run(ctx, chromedp.Evaluate[any](readFrames))
	ask("watch the frames", err)
	first, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = chromedp.Run(first, chromedp.Poll[bool]("window.seen.length > 0", chromedp.WithPollingInterval(50*time.Millisecond)))
	ask("the first picture", err)
	time.Sleep(length)
	seen, err := chromedp.Run(ctx, chromedp.Evaluate[[]seenFrame]("window.seen"))
	ask("what was seen", err)
	captions := map[uint32]int{}
	_, b := s.get("api/sources/barcodes/results")
	for line := range strings.Lines(string(b)) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Kind == "caption" {
			if n, err := captionIndex(r.Caption.Text); err == nil {
				captions[r.RTP] = n
			}
		}
	}
	var read, exact, compared, same, heat, own int
	rtps := map[uint32]bool{}
	for _, f := range seen {
		n, ok := f.index()
		if !ok {
			continue
		}
		read++
		rtps[f.RTP] = true
		if f.Exact {
			exact++
		}
		if c, ok := captions[f.RTP]; ok && f.Exact {
			compared++
			if c == n {
				same++
			}
		}
		for _, h := range f.Heat {
			heat++
			if h.RTP == f.RTP {
				own++
				if !h.Own {
					t.Errorf("the heat map of frame %d is drawn on it, but not as its own", f.RTP)
				}
			}
		}
	}
	t.Logf("the first picture came %.0f ms after the page was opened; %d pictures, %d of them read, %d exact, %d of %d compared are the same; %d heat maps, %d on their own frame",
		seen[0].At, len(seen), read, exact, same, compared, heat, own)
	if len(rtps) < 25 {
		t.Errorf("%d different pictures in %v", len(rtps), length)
	}
	if read*10 < len(seen)*9 {
		t.Errorf("the barcodes of %d of %d pictures could be read", read, len(seen))
	}
	if compared < 10 || same*100 < compared*99 {
		t.Errorf("%d of %d pictures are those in which the network read the same barcode", same, compared)
	}
	if heat == 0 || own == 0 {
		t.Errorf("%d heat maps were drawn, %d of them on their own frame", heat, own)
	}
}

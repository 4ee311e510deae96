package main

import (
	"context"
	"fmt"
	"math/bits"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// watchPage runs in front of the viewer's own scripts and notes, on the clock of
// this machine in milliseconds: each result when its message is there, and each
// frame when the viewer has drawn it, with the barcode read off the viewer's own
// canvas and with what the viewer says it drew it with. listen notes the onset of
// each click in the sound that is played.
const watchPage = `(() => {
	const seen = [], results = [], clicks = [], began = Date.now();
	window.watched = { began, take: () => ({ seen: seen.splice(0), results: results.splice(0), clicks: clicks.splice(0) }) };
	const pieces = [];
	const message = (e) => {
		const at = Date.now(), v = new DataView(e.data), index = v.getUint16(8), count = v.getUint16(10);
		pieces.length = index;
		pieces.push(new Uint8Array(e.data, 12));
		if (pieces.length < count) return;
		const m = JSON.parse(pieces.map((p) => new TextDecoder().decode(p)).join(""));
		if (m.type === "hello") watched.delay = m.sync_delay;
		if (m.type === "result") results.push({ kind: m.kind, rtp: m.rtp, lag: m.lag ?? 0, at });
	};
	const Peer = RTCPeerConnection;
	window.RTCPeerConnection = class extends Peer {
		constructor(...a) {
			super(...a);
			watched.peer = this;
			this.addEventListener("datachannel", (e) => {
				if (e.channel.label === "seehear.v1") e.channel.addEventListener("message", message);
			});
		}
	};
	const c = new OffscreenCanvas(160, 120), g = c.getContext("2d", { willReadFrequently: true });
	addEventListener("seehear:frame", (e) => {
		const at = Date.now();
		g.drawImage(e.target, 0, 0, 160, 120);
		let word = 0;
		for (let n = 0; n < 16; n++) {
			const px = g.getImageData((n % 4) * 40 + 10, (n >> 2) * 30 + 8, 20, 14).data;
			let sum = 0;
			for (let i = 0; i < px.length; i += 4) sum += px[i] + px[i + 1] + px[i + 2];
			word = word * 2 + (sum / (px.length / 4) > 3 * 128 ? 1 : 0);
		}
		seen.push({ word, at, ...e.detail });
	});
	const onsets = URL.createObjectURL(new Blob([` + "`" + `registerProcessor("onsets", class extends AudioWorkletProcessor {
		quiet = 0;
		process([[pcm]]) {
			for (let i = 0; i < (pcm?.length ?? 0); i++, this.quiet++) {
				if (Math.abs(pcm[i]) < 0.15) continue;
				if (this.quiet > sampleRate / 4) this.port.postMessage(currentTime + i / sampleRate);
				this.quiet = 0;
			}
			return true;
		}
	})` + "`" + `], { type: "text/javascript" }));
	watched.listen = async () => {
		const stream = document.querySelector("video").srcObject, a = new AudioContext({ latencyHint: "interactive" });
		await a.audioWorklet.addModule(onsets);
		const ear = new AudioWorkletNode(a, "onsets");
		ear.port.onmessage = (e) => {
			// A sample is heard when the clock of what is put out has come to its time.
			const { performanceTime, contextTime } = a.getOutputTimestamp();
			clicks.push(performance.timeOrigin + performanceTime + 1000 * (e.data - contextTime));
		};
		a.createMediaStreamSource(new MediaStream(stream.getAudioTracks())).connect(ear).connect(a.destination);
		watched.audio = a;
		await a.resume();
	};
})()`

// seenFrame is a frame as it was drawn.
type seenFrame struct {
	Word  int
	At    float64 // milliseconds since 1970
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

// watched is what happened in the page since it was last asked.
type watched struct {
	Seen    []seenFrame
	Results []struct {
		Kind string
		RTP  uint32
		Lag  float64
		At   float64
	}
	Clicks []float64
}

// openPage is the viewer in headless Chromium, on the source.
type openPage struct {
	t     *testing.T
	s     *served
	ctx   context.Context
	close func() // ends the browser
}

// browse opens the viewer at the address behind the server's, after some first steps,
// and waits for the first picture.
func (s *served) browse(t *testing.T, path string, first ...chromedp.Action[chromedp.Void]) *openPage {
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
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	p := &openPage{t, s, ctx, func() { end(); cancel() }}
	p.do("watch the page", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchPage})
		return err
	}))
	if len(first) > 0 {
		p.do("prepare the page", first...)
	}
	p.do("open the page", chromedp.Navigate(s.url+path))
	p.until("the first picture", "document.querySelector('.view.moving') !== null")
	return p
}

func (p *openPage) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.fatal(what, err)
	}
}

func (p *openPage) fatal(what string, err error) {
	p.t.Helper()
	text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	p.t.Fatalf("%s: %v; the page says %q; %s", what, err, text, p.s.log())
}

// until waits for an expression of the page to be true.
func (p *openPage) until(what, expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		p.fatal(what, err)
	}
}

// says waits until the page shows a text in an element of that selector.
func (p *openPage) says(selector, text string) {
	p.t.Helper()
	p.until(text, fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.checkVisibility() && e.innerText.includes(%q))`, selector, text))
}

// take returns what happened since it was last called.
func (p *openPage) take() watched {
	p.t.Helper()
	w, err := chromedp.Run(p.ctx, chromedp.Evaluate[watched]("watched.take()"))
	if err != nil {
		p.fatal("what was seen", err)
	}
	return w
}

// sound tells how many packets of the sound the browser got and threw away, and what
// share of what it played it made up.
func (p *openPage) sound() (received, discarded int, concealed float64) {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[[3]float64](`(async () => {
		for (const s of (await watched.peer.getStats()).values())
			if (s.type === "inbound-rtp" && s.kind === "audio") return [s.packetsReceived, s.packetsDiscarded, s.concealedSamples / s.totalSamplesReceived];
		return [0, 0, 0];
	})()`, chromedp.EvalAwaitPromise))
	if err != nil {
		p.fatal("statistics of the sound", err)
	}
	return int(v[0]), int(v[1]), v[2]
}

// value is a number of the page.
func (p *openPage) value(expression string) float64 {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[float64](expression))
	if err != nil {
		p.fatal(expression, err)
	}
	return v
}

// withEar lets the test's own script for the sound into a page that lets in none but
// its own.
var withEar = chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
	_, err := cdp.Call(ctx, target, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true})
	return err
})

// unmute clicks on what the page shows for it.
func (p *openPage) unmute() {
	p.t.Helper()
	p.until("the button for sound", `document.querySelector(".sound")?.checkVisibility()`)
	p.do("the click on it", chromedp.Click(chromedp.CSS(".sound")))
	p.until("sound", `!document.querySelector("video").muted && !document.querySelector("video").paused`)
}

// listen begins to note the clicks of a page that was opened withEar.
func (p *openPage) listen() {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[any]("watched.listen()", chromedp.EvalAwaitPromise)); err != nil {
		p.fatal("listen", err)
	}
}

package viewer_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/seehear/seehear/ingest/mediatest"
)

var barcoded struct {
	sync.Once
	clip *clip
}

// barcodes is a clip whose frames carry their index.
func barcodes(t *testing.T) *clip {
	t.Helper()
	barcoded.Do(func() { barcoded.clip = makeBarcodes(t) })
	if barcoded.clip == nil {
		t.Fatal("there is no clip with barcodes")
	}
	return barcoded.clip
}

func makeBarcodes(t *testing.T) *clip {
	t.Helper()
	const w, h, length = 320, 240, 10
	var raw bytes.Buffer
	for n := range length * fps {
		cells := mediatest.Encode(n)
		for y := range h {
			for x := range w {
				v := byte(24)
				if cells[y*4/h*4+x*4/w] {
					v = 232
				}
				raw.WriteByte(v)
			}
		}
	}
	return newClip(t, w, h, length, &raw, "-f", "rawvideo", "-pix_fmt", "gray", "-s", fmt.Sprintf("%dx%d", w, h), "-r", fmt.Sprint(fps), "-i", "-",
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
}

// evil is a label that would do harm if it were ever read as markup.
const evil = `<img src=x onerror="document.title='owned'">`

// testResults puts a heat map on every fifth frame, a sound on every tenth and
// a caption on every fiftieth.
func testResults(n int) []map[string]any {
	var out []map[string]any
	if n%5 == 0 {
		// In a corner, where no barcode is read.
		out = append(out, map[string]any{"kind": "heatmap", "heatmap": map[string]any{"w": 28, "h": 28, "grid": grid(0, 0, 0.02, 255), "peak": 0.7, "x": 0.01, "y": 0.01, "method": "sync"}})
	}
	if n%10 == 0 {
		out = append(out, map[string]any{"kind": "sound", "model": "ears", "sound": map[string]any{"rms": 0.1, "events": []any{
			map[string]any{"index": 0, "label": evil, "p": 0.8}, map[string]any{"index": 1, "label": "rain", "p": 0.1 + 0.05*math.Sin(float64(n))},
		}}})
	}
	if n%50 == 0 {
		out = append(out, map[string]any{"kind": "caption", "model": "words", "caption": map[string]any{
			"text": evil, "logp": -2, "attention_w": 28, "attention_h": 28,
			"words": []any{map[string]any{"text": evil, "p": 0.5, "attention": grid(0.5, 0.5, 0.1, 255)}},
		}})
	}
	return out
}

// chromium returns a browser, and whatever it complains of.
func chromium(t *testing.T, options ...chromedp.ExecAllocatorOption) (context.Context, func() []string) {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is missing: Debian's package of that name, which `make deps` installs")
	}
	all := append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(binary), chromedp.NoFirstRun, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		// Both peers are on this machine: no name that only mDNS knows, and loopback.
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns"), chromedp.Flag("allow-loopback-in-peer-connection", true),
	}, options...)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), all...)
	t.Cleanup(cancel)
	said := make(chan string, 1000)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			said <- fmt.Sprint(e.ExceptionDetails)
		case *log.EventEntryAdded:
			// Requests that fail are what these tests are about.
			if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
				said <- e.Entry.Text
			}
		}
	}))
	t.Cleanup(cancel)
	run(t, ctx)
	return ctx, func() []string {
		var out []string
		for {
			select {
			case s := <-said:
				out = append(out, s)
			default:
				return out
			}
		}
	}
}

func run(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// value returns what an expression of the page is.
func value[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// do runs a statement of the page.
func do(statement string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Evaluate[any](statement)(ctx, target)
		return err
	})
}

// until waits for an expression of the page to be true.
func until(t *testing.T, ctx context.Context, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		t.Fatalf("%s: %v: %v", what, expression, err)
	}
}

// watchFrames collects what each frame on the canvas was drawn with, and the
// barcode that can be read off it.
const watchFrames = `(() => {
	window.seen = [];
	const small = document.createElement("canvas");
	small.width = 320; small.height = 240;
	const g = small.getContext("2d", {willReadFrequently: true});
	addEventListener("seehear:frame", (e) => {
		g.drawImage(e.target, 0, 0, 320, 240);
		let word = 0;
		for (let n = 0; n < 16; n++) {
			const px = g.getImageData((n % 4) * 80 + 20, (n >> 2) * 60 + 15, 40, 30).data;
			let sum = 0;
			for (let i = 0; i < px.length; i += 4) sum += px[i];
			word = word * 2 + (sum / (px.length / 4) > 128 ? 1 : 0);
		}
		seen.push({word, ...e.detail});
	});
})()`

type drawn struct {
	Word  int
	RTP   uint32
	Exact bool
	T     float64
	Heat  []struct {
		Method string
		RTP    uint32
		Own    bool
	}
}

// index reads a barcode word; -1 for none.
func (d drawn) index() int {
	n := d.Word & 0xfff
	for i, c := range mediatest.Encode(n) {
		if c != (d.Word>>(15-i)&1 == 1) {
			return -1
		}
	}
	return n
}

// Every frame on the canvas is the one its RTP time says, and carries the heat
// map of that time, over the wrap of RTP time too. What came late is nowhere.
func TestHeatMapsStandOnTheirFrames(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]*clip{"door": barcodes(t)}, testResults)
	ctx, said := chromium(t)
	run(t, ctx, chromedp.Navigate(p.URL), do(watchFrames))
	until(t, ctx, "frames", `seen.length >= 120`)
	seen := value[[]drawn](t, ctx, `seen`)
	var own, held, read, wrapped int
	for _, d := range seen {
		n := int(int32(d.RTP-base)) / ticks
		if !d.Exact {
			t.Fatal("Chromium tells which frame it shows, and the page says it does not")
		}
		if got := d.index(); got >= 0 {
			read++
			if want := n % (10 * fps); got != want {
				t.Errorf("the frame with RTP time %d shows barcode %d, want %d", d.RTP, got, want)
			}
		}
		if d.RTP < base {
			wrapped++
		}
		for _, h := range d.Heat {
			of := int(int32(h.RTP-base)) / ticks
			switch {
			case h.Own && of != n, of > n, n-of > 9:
				t.Errorf("frame %d is drawn with the heat map of frame %d", n, of)
			case of/5%lateth == 0:
				t.Errorf("the heat map of frame %d came late and is drawn", of)
			case h.Own:
				own++
			default:
				held++
			}
		}
	}
	if read < len(seen)*9/10 || own < len(seen)/8 || held == 0 || wrapped == 0 {
		t.Errorf("of %d frames %d were read, %d had a heat map of their own, %d one held, %d came after the wrap", len(seen), read, own, held, wrapped)
	}
	until(t, ctx, "late results are counted", `/too late for their frame\s*[1-9]/.test(document.querySelector(".facts").innerText)`)
	facts := value[string](t, ctx, `document.querySelector(".facts").innerText`)
	if !strings.Contains(facts, "data channel") {
		t.Errorf("results should come by the data channel:\n%s", facts)
	}
	t.Logf("%d frames: %d read, %d with a heat map of their own, %d with one held", len(seen), read, own, held)
	quiet(t, ctx, said)
}

// quiet checks that nothing of what was shown was taken for markup, and that
// the browser complained of nothing, its policy included.
func quiet(t *testing.T, ctx context.Context, said func() []string) {
	t.Helper()
	title, images := value[string](t, ctx, `document.title`), value[int](t, ctx, `document.querySelectorAll("main img").length`)
	if strings.Contains(title, "owned") || images > 0 {
		t.Error("a label was read as markup")
	}
	for _, s := range said() {
		t.Error(s)
	}
}

// A click on the timeline shows a recorded frame with its own heat map, and a
// key brings the page back to live.
func TestGoingBack(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]*clip{"door": barcodes(t)}, testResults)
	ctx, said := chromium(t)
	run(t, ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(p.URL), do(watchFrames))
	until(t, ctx, "live frames", `seen.length > 25`)
	until(t, ctx, "the results of the past", `document.querySelector(".timeline canvas").getAttribute("aria-valuenow") === "0" && document.querySelector(".timeline output").textContent === "10 min"`)
	// The middle of the line is five minutes ago.
	run(t, ctx, chromedp.Click(chromedp.CSS(".timeline canvas")), do(`seen.length = 0`))
	until(t, ctx, "recorded frames", `seen.filter(f => f.heat.length).length > 30`)
	seen, pill := value[[]drawn](t, ctx, `seen`), value[string](t, ctx, `document.querySelector(".pill").innerText`)
	read := 0
	for _, d := range seen {
		n := int(math.Round(d.T * fps))
		if back := seconds(p.frame()) - d.T; d.T > 0 && (back < 280 || back > 320) {
			t.Errorf("%.2f s back, want about 300", back)
		}
		if got := d.index(); got >= 0 {
			read++
			if got != n%(10*fps) {
				t.Errorf("the frame of %.2f s shows barcode %d, want %d", d.T, got, n%(10*fps))
			}
		}
		for _, h := range d.Heat {
			of := int(int32(h.RTP-base)) / ticks
			if of > n || n-of > 9 || h.Own != (of == n) {
				t.Errorf("recorded frame %d is drawn with the heat map of frame %d", n, of)
			}
		}
	}
	if read < len(seen)*9/10 {
		t.Errorf("of %d frames %d were read", len(seen), read)
	}
	if !strings.Contains(pill, "back to live") {
		t.Errorf("the page says %q", pill)
	}
	run(t, ctx, chromedp.KeyEvent("l"), do(`seen.length = 0`))
	until(t, ctx, "live again", `seen.length > 25`)
	seen = value[[]drawn](t, ctx, `seen`)
	if back := seconds(p.frame()) - seen[len(seen)-1].T; back > 3 {
		t.Errorf("after L the picture is %.1f s behind", back)
	}
	run(t, ctx, chromedp.KeyEvent(" "))
	until(t, ctx, "stopped", `document.querySelector(".pill").innerText.includes("stopped") && (seen.length = 0, true)`)
	run(t, ctx, chromedp.KeyEvent(" "))
	until(t, ctx, "going on", `seen.length > 5`)
	quiet(t, ctx, said)
}

// Whatever goes wrong is named on the page, and the page comes back by itself.
func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]*clip{"door": barcodes(t)}, testResults)
	p.token = "secret"
	p.models = []map[string]any{{"family": "sound", "name": "ears", "version": "1", "sha256": "00", "fixture": true}}
	ctx, said := chromium(t)
	shows := func(what, selector, text string) {
		t.Helper()
		until(t, ctx, what, fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.checkVisibility() && e.innerText.includes(%q))`, selector, text))
	}
	run(t, ctx, chromedp.Navigate(p.URL))
	shows("no token", "#ask", "asks for a token")
	run(t, ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(p.URL+"/#token=wrong"))
	shows("a wrong token", "#ask", "asks for a token")
	run(t, ctx, chromedp.SendKeys(chromedp.CSS("#token"), "secret\r"))
	until(t, ctx, "a picture", `document.querySelector(".view.moving")`)
	shows("fixtures", "#notice", "Test fixtures, not models")
	shows("the unmute button", ".sound", "Sound on")
	run(t, ctx, chromedp.Click(chromedp.CSS(".sound")))
	until(t, ctx, "sound", `!document.querySelector("video").muted && !document.querySelector("video").paused && !document.querySelector(".sound").checkVisibility()`)

	p.state.Store("waiting")
	shows("the source waits", ".state", "Waiting for the source")
	shows("and why", ".state", "connection refused; next try in 1.8 s")
	p.state.Store("running")
	// A browser as Firefox is.
	run(t, ctx, do(`(() => {
		const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
		HTMLVideoElement.prototype.requestVideoFrameCallback = function (f) { return ask.call(this, (now, {rtpTimestamp, ...meta}) => f(now, meta)); };
	})()`))
	shows("overlays are approximate", ".badge", "approximate")
	until(t, ctx, "running", `!document.querySelector(".state").checkVisibility()`)

	p.blind.Store(true)
	shows("no picture", ".badge", "No picture comes from the server")
	p.blind.Store(false)

	p.drop()
	p.refuse.Store(true)
	shows("too many", ".state", "Too many viewers from here")
	p.deaf.Store(true)
	p.refuse.Store(false)
	shows("no way", ".state", "picture and sound failed (ICE)")
	p.deaf.Store(false)
	until(t, ctx, "back", `!document.querySelector(".state").checkVisibility()`)
	run(t, ctx, do(watchFrames))
	until(t, ctx, "frames again", `seen.length > 10`)

	// Without a data channel results come by Server-Sent Events.
	p.noChannel.Store(true)
	p.drop()
	until(t, ctx, "events", `document.querySelector(".facts").innerText.includes("server-sent events")`)
	run(t, ctx, do(`seen.length = 0`))
	until(t, ctx, "heat maps by events", `seen.filter(f => f.heat.some(h => h.own)).length > 3`)

	// Leaving is told to the server.
	p.mu.Lock()
	left := p.left
	p.mu.Unlock()
	run(t, ctx, chromedp.Navigate("about:blank"))
	for end := time.Now().Add(10 * time.Second); ; {
		p.mu.Lock()
		now := p.left
		p.mu.Unlock()
		if now > left {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the viewer left and did not say so")
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, s := range said() {
		t.Error(s)
	}
}

// With SEEHEAR_SCREENSHOTS set to a folder: how the page looks.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SEEHEAR_SCREENSHOTS")
	if dir == "" {
		t.Skip("SEEHEAR_SCREENSHOTS names no folder")
	}
	p := newPeer(t, looks(t), lifelike)
	p.models = []map[string]any{
		{"family": "sound", "name": "clap-events", "version": "1.2", "sha256": "a1"},
		{"family": "caption", "name": "vit-caption", "version": "0.9", "sha256": "b2", "fixture": os.Getenv("SEEHEAR_FIXTURE") != ""},
	}
	ctx, said := chromium(t)
	shot := func(name string) chromedp.Action[chromedp.Void] {
		return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			b, err := chromedp.FullScreenshot(100)(ctx, target)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644)
		})
	}
	scheme := func(s string) chromedp.Action[chromedp.Void] {
		return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s}}})
			return err
		})
	}
	run(t, ctx, scheme("light"), chromedp.EmulateViewport(1440, 1000), chromedp.Navigate(p.URL))
	until(t, ctx, "pictures", `document.querySelectorAll(".view.moving").length >= 2`)
	run(t, ctx, chromedp.Sleep(3*time.Second), shot("wall-light"), scheme("dark"), chromedp.Sleep(time.Second), shot("wall-dark"))
	run(t, ctx, chromedp.Navigate(p.URL+"/#source=yard"))
	until(t, ctx, "a picture", `document.querySelector(".source .view.moving")`)
	wait := 12 * time.Second
	run(t, ctx, chromedp.Sleep(wait), shot("source-dark"), scheme("light"), chromedp.Sleep(time.Second), shot("source-light"))
	run(t, ctx, do(`document.querySelectorAll(".looks")[3]?.click()`), chromedp.Sleep(500*time.Millisecond), shot("attention-light"))
	run(t, ctx, scheme("dark"), chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile), chromedp.Sleep(2*time.Second), shot("phone-dark"),
		do(`scrollTo(0, 700)`), chromedp.Sleep(time.Second), shot("phone-dark-2"),
		do(`scrollTo(0, 2000)`), scheme("light"), chromedp.Sleep(time.Second), shot("phone-light-3"))
	run(t, ctx, do(`scrollTo(0, 0)`), chromedp.EmulateViewport(1440, 1000), chromedp.Sleep(time.Second),
		chromedp.Click(chromedp.CSS(".timeline canvas")), chromedp.Sleep(3*time.Second), shot("back-light"), chromedp.KeyEvent("l"), chromedp.Sleep(time.Second))
	p.state.Store("waiting")
	run(t, ctx, chromedp.Sleep(2*time.Second), shot("waiting-light"), chromedp.KeyEvent("?"), chromedp.Sleep(500*time.Millisecond), shot("help-light"))
	for _, s := range said() {
		t.Error(s)
	}
}

// looks are sources that are worth a look.
func looks(t *testing.T) map[string]*clip {
	demo := newClip(t, 640, 360, 20, nil, "-i", "../../docs/demo/demo.mp4")
	return map[string]*clip{"yard": demo, "frontdoor": demo, "workshop": demo}
}

// lifelike is a day in the yard.
func lifelike(n int) []map[string]any {
	var out []map[string]any
	t := seconds(n)
	wave := func(period, phase, sharp float64) float64 {
		return math.Pow(0.5+0.5*math.Sin(2*math.Pi*(t/period+phase)), sharp)
	}
	if n%5 == 0 {
		x, y := 0.3+0.06*math.Sin(t/2), 0.45+0.05*math.Cos(t/3)
		out = append(out, map[string]any{"kind": "heatmap", "heatmap": map[string]any{"w": 28, "h": 28, "grid": grid(x, y, 0.075, 120+120*wave(17, 0.2, 1)), "peak": 0.62, "x": x, "y": y, "method": "sync"}})
	}
	if n%10 == 0 {
		all := []struct {
			label string
			p     float64
		}{
			{"dog barking", 0.95 * wave(23, 0.1, 3)},
			{"speech", 0.9 * wave(41, 0.5, 4)},
			{"footsteps", 0.6 * wave(9, 0.3, 6)},
			{"wind", 0.3 + 0.2*wave(60, 0, 1)},
			{"car passing by", 0.85 * wave(53, 0.7, 12)},
			{"bird song", 0.7 * wave(31, 0.9, 5)},
			{"door", 0.9 * wave(67, 0.4, 40)},
			{"rain", 0.08},
		}
		var events []any
		for len(events) < 5 {
			best := 0
			for i := range all {
				if all[i].p > all[best].p {
					best = i
				}
			}
			events = append(events, map[string]any{"index": best, "label": all[best].label, "p": all[best].p})
			all[best].p = -1
		}
		out = append(out, map[string]any{"kind": "sound", "model": "clap-events", "dur": 1.0, "sound": map[string]any{
			"rms": 0.004 + 0.2*wave(23, 0.1, 3)*(0.6+0.4*wave(1.7, 0, 1)), "events": events,
			"scenes": []any{map[string]any{"index": 0, "label": "garden", "p": 0.55 + 0.2*wave(90, 0, 1)}, map[string]any{"index": 1, "label": "residential street", "p": 0.2}},
		}})
		if p := wave(41, 0.5, 4); p > 0.4 {
			out = append(out, map[string]any{"kind": "speech", "dur": 0.4, "speech": map[string]any{"p": p, "voice": 1 + int(t/41)%2}})
		}
	}
	if n%150 == 0 {
		text := []string{"a dog stands on the grass beside a red post box", "a husky barks at a post box", "a dog and a letter box under a blue sky"}[n/150%3]
		var words []any
		for i, w := range strings.Fields(text) {
			words = append(words, map[string]any{"text": w, "p": 0.4 + 0.05*float64(i), "attention": grid(0.25+0.06*float64(i), 0.5, 0.12, 255)})
		}
		out = append(out, map[string]any{"kind": "caption", "model": "vit-caption", "caption": map[string]any{"text": text, "logp": -4.2, "attention_w": 28, "attention_h": 28, "words": words}})
	}
	if n%700 == 0 {
		var face bytes.Buffer
		img := image.NewGray(image.Rect(0, 0, 64, 64))
		for y := range 64 {
			for x := range 64 {
				img.SetGray(x, y, color.Gray{Y: uint8(220 - 3*math.Hypot(float64(x-32), float64(y-30)*0.8))})
			}
		}
		if jpeg.Encode(&face, img, nil) == nil {
			out = append(out, map[string]any{
				"kind": "face", "jpeg": base64.StdEncoding.EncodeToString(face.Bytes()),
				"face": map[string]any{"w": 64, "h": 64, "voice": 2, "used": 6.0, "notice": "statistical illustration, not a likeness of anybody"},
			})
		}
	}
	if n%500 == 0 {
		out = append(out, map[string]any{"kind": "cut", "cut": map[string]any{"strength": 0.9}})
	}
	if n%6000 == 0 {
		out = append(out, map[string]any{"kind": "gap", "dur": 3.2, "gap": map[string]any{"stream": "audio", "reason": "packets lost"}})
	}
	return out
}

package ring

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
)

// player plays each ring as docs/protocol.md says, goes to the times that it is
// given, and sends what it shows there.
const player = `<!doctype html><title>ring</title><video id="v" muted></video><script type="module">
const v = document.getElementById("v"), json = async (p) => (await fetch(p)).json();
const event = (o, e) => new Promise((yes, no) => { o.addEventListener(e, yes, { once: true }); o.addEventListener("error", () => no(new Error(v.error?.message ?? "error")), { once: true }); });
const post = (p, body) => fetch(p, { method: "POST", body });
try {
	for (const [name, times] of Object.entries(await json("/plan"))) {
		const { inits, segments } = await json("/ring/" + name + "/index.json");
		const type = (name) => 'video/mp4; codecs="' + inits.find((i) => i.name === name).codecs + '"';
		const media = new MediaSource();
		v.src = URL.createObjectURL(media);
		await event(media, "sourceopen");
		const buffer = media.addSourceBuffer(type(segments[0].init));
		const append = async (file) => { buffer.appendBuffer(await (await fetch("/ring/" + name + "/" + file)).arrayBuffer()); await event(buffer, "updateend"); };
		let init = "";
		for (const s of segments) {
			if (s.init !== init) {
				if (init) buffer.changeType(type(s.init));
				await append(init = s.init);
			}
			buffer.timestampOffset = s.t - s.start;
			await append(s.name);
		}
		media.endOfStream();
		for (const t of times) {
			const shown = new Promise((yes) => v.requestVideoFrameCallback(yes));
			v.currentTime = t;
			await event(v, "seeked");
			await shown;
			const c = new OffscreenCanvas(v.videoWidth, v.videoHeight), g = c.getContext("2d");
			g.drawImage(v, 0, 0);
			await post("/frame?" + new URLSearchParams({ name, t, w: c.width, h: c.height }), g.getImageData(0, 0, c.width, c.height).data);
		}
		v.currentTime = times[0];
		await event(v, "seeked");
		await v.play();
		while (v.currentTime < times[0] + 0.3) await event(v, "timeupdate");
		v.pause();
	}
	await post("/done", "");
} catch (e) {
	await post("/done", String(e));
}
</script>`

// Chromium plays what the ring keeps, and at each time on the source's clock it
// shows the frame of that time.
func TestChromiumPlays(t *testing.T) {
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium: Debian's package of that name has it")
	}
	s := open(t, t.TempDir(), Options{})
	plan := map[string][]float64{}
	truth := map[string]map[string]int{} // clip, time, frame
	sizes := map[string]bool{}
	for _, name := range []string{"mp4-h264-aac", "mp4-vfr", "ts-new-size", "mp4-aac-5.1"} {
		clip := mediatest.ByName(t, name)
		r := ringOf(t, s, name)
		streams, list := packets(t, clip)
		r.Streams(streams)
		for i := range list {
			r.Packet(&list[i])
		}
		end := ingest.Packet{Stream: list[0].Stream, Seg: 9, PTS: time.Minute, DTS: time.Minute, Data: []byte{1}}
		r.Packet(&end) // what is pending is written
		settle(t, r)
		truth[name] = map[string]int{}
		for i := 1; i < len(clip.Frames); i += 9 {
			f := clip.Frames[i]
			at := (time.Duration(f.PTS) + time.Duration(f.Dur)/2).Seconds()
			plan[name] = append(plan[name], at)
			truth[name][strconv.FormatFloat(at, 'f', -1, 64)] = f.Index
		}
	}
	frames, done := 0, make(chan string, 1)
	mux := http.NewServeMux()
	mux.Handle("/ring/", s)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, player)
	})
	mux.HandleFunc("GET /plan", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(plan) })
	mux.HandleFunc("POST /frame", func(_ http.ResponseWriter, r *http.Request) {
		name, at := r.FormValue("name"), r.FormValue("t")
		w, _ := strconv.Atoi(r.FormValue("w"))
		h, _ := strconv.Atoi(r.FormValue("h"))
		rgba, _ := io.ReadAll(r.Body)
		rgb := make([]byte, 0, 3*len(rgba)/4)
		for i := 0; i+3 < len(rgba); i += 4 {
			rgb = append(rgb, rgba[i:i+3]...)
		}
		frames++
		sizes[fmt.Sprintf("%s %dx%d", name, w, h)] = true
		want, asked := truth[name][at]
		if got, ok := mediatest.ReadRGB(w, h, rgb); !ok || !asked || got != want {
			t.Errorf("%s at %s s shows frame %d (%v), want %d", name, at, got, ok, want)
		}
	})
	mux.HandleFunc("POST /done", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		done <- string(b)
	})
	ts := httptest.NewServer(mux)
	defer ts.Close()
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.CommandContext(t.Context(), binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
		"--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", "--user-data-dir="+t.TempDir(), ts.URL)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case fault := <-done:
		if fault != "" {
			t.Error(fault)
		}
	case <-time.After(60 * time.Second):
		b, _ := os.ReadFile(log)
		t.Errorf("Chromium does not come to an end: %s", b)
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its children
	_ = cmd.Wait()
	ts.CloseClientConnections()
	total := 0
	for _, times := range plan {
		total += len(times)
	}
	if frames != total {
		t.Errorf("%d of %d frames", frames, total)
	}
	if !sizes["ts-new-size 128x96"] || !sizes["ts-new-size 192x128"] {
		t.Errorf("sizes %v", sizes)
	}
}

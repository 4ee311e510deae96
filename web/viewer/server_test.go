package viewer_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"

	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/web/viewer"
)

const (
	fps   = 25
	ticks = 90000 / fps
	// The server has run this many frames when it starts, so that there are ten
	// minutes to go back to.
	begin = 620 * fps
	// Results go out this many frames before their frame, as with a sync delay,
	// but for each lateth, which goes out behind it, by more than a browser ever
	// buffers.
	ahead  = 8
	behind = 50
	lateth = 10
	// Seconds in a segment of the recording.
	segment = 2
)

// base lets RTP time wrap two seconds after the start.
var base = uint32(math.MaxUint32 - (begin+2*fps)*ticks)

// A clip is looped as a source: H.264 without B-frames and Opus for the
// connection, fragmented MP4 for the recording, with a sound that has no
// priming, so that its times are those of its frames.
type clip struct {
	w, h   int
	frames [][]byte // Access units in Annex B; each fps-th is a keyframe.
	sound  [][]byte // Packets of Opus, 20 ms each.
	init   []byte
	parts  [][]byte // Of segment seconds.
}

// peer is what the viewer talks to: it serves the page, and speaks
// docs/protocol.md with results made by a formula, so that it is known what
// must be on the screen.
type peer struct {
	*httptest.Server
	clips   map[string]*clip
	results func(n int) []map[string]any
	models  []map[string]any
	token   string
	// What a test switches.
	noChannel atomic.Bool
	refuse    atomic.Bool
	deaf      atomic.Bool  // No way leads to it.
	blind     atomic.Bool  // It sends no picture.
	state     atomic.Value // string; of every source

	started time.Time
	api     *webrtc.API
	ctx     context.Context
	wg      sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]context.CancelFunc
	opened   int
	left     int // Sessions that were deleted by their viewer.
}

func newPeer(t *testing.T, clips map[string]*clip, results func(n int) []map[string]any) *peer {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	ctx, cancel := context.WithCancel(context.Background())
	p := &peer{
		clips: clips, results: results, started: time.Now(), ctx: ctx, sessions: map[string]context.CancelFunc{},
		api: webrtc.NewAPI(webrtc.WithSettingEngine(settings)),
	}
	p.state.Store("running")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.page)
	mux.HandleFunc("GET /viewer/{file}", p.page)
	mux.HandleFunc("GET /api/sources", p.guard(p.list))
	mux.HandleFunc("GET /api/sources/{name}/events", p.guard(p.events))
	mux.HandleFunc("GET /api/sources/{name}/results", p.guard(p.history))
	mux.HandleFunc("GET /ring/{name}/{file}", p.guard(p.ring))
	mux.HandleFunc("POST /whep/{name}", p.guard(p.whep))
	mux.HandleFunc("DELETE /whep/{name}/{id}", p.guard(p.leave))
	p.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		p.CloseClientConnections()
		p.Close()
		p.wg.Wait()
	})
	return p
}

func (p *peer) page(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if name == "" {
		name = "index.html"
	}
	w.Header().Set("Content-Security-Policy", viewer.Policy)
	http.ServeFileFS(w, r, viewer.Files(), name)
}

func (p *peer) guard(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case p.refuse.Load():
			http.Error(w, `{"error":"no more viewers from this address"}`, http.StatusTooManyRequests)
		case p.token != "" && r.Header.Get("Authorization") != "Bearer "+p.token:
			http.Error(w, `{"error":"a token that may view is needed"}`, http.StatusUnauthorized)
		default:
			h(w, r)
		}
	}
}

// frame returns the index of the frame that is live now.
func (p *peer) frame() int { return begin + int(time.Since(p.started)*fps/time.Second) }

func seconds(n int) float64 { return float64(n) / fps }

func rtpOf(n int) uint32 { return base + uint32(n)*ticks }

func (p *peer) status() (state, cause string) {
	state, _ = p.state.Load().(string)
	if state != "running" {
		cause = "rtsp://camera.example: connection refused; next try in 1.8 s"
	}
	return state, cause
}

func (p *peer) list(w http.ResponseWriter, _ *http.Request) {
	var out []map[string]any
	state, cause := p.status()
	for _, name := range slices.Sorted(maps.Keys(p.clips)) {
		c := p.clips[name]
		out = append(out, map[string]any{
			"name": name, "title": strings.ToUpper(name[:1]) + name[1:], "state": state, "cause": cause, "since": p.started.UTC().Format(time.RFC3339Nano),
			"video": map[string]any{"codec": "h264", "width": c.w, "height": c.h}, "audio": map[string]any{"codec": "opus", "sample_rate": 48000, "channels": 2},
			"viewers": 1, "whep": "/whep/" + name, "ring": map[string]any{"from": seconds(p.frame()) - 600, "to": seconds(p.frame()) - 1},
		})
	}
	writeJSON(w, map[string]any{"sources": out})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// result returns the messages of frame n.
func (p *peer) result(n int) []map[string]any {
	var out []map[string]any
	for _, e := range p.results(n) {
		m := map[string]any{
			"type": "result", "t": seconds(n), "rtp": rtpOf(n), "seg": 0, "lag": 0.31, "dur": 0.04,
			"wall": p.started.Add(time.Duration(n-begin) * time.Second / fps).UTC().Format(time.RFC3339Nano),
		}
		maps.Copy(m, e)
		out = append(out, m)
	}
	return out
}

func (p *peer) hello(name string) map[string]any {
	c := p.clips[name]
	return map[string]any{
		"type": "hello", "seehear": 1, "source": name, "title": name, "clock": 90000, "rtp_base": base, "sync_delay": float64(ahead) / fps, "t": seconds(p.frame()), "seg": 0,
		"streams": []any{
			map[string]any{"index": 0, "kind": "video", "codec": "h264", "width": c.w, "height": c.h},
			map[string]any{"index": 1, "kind": "audio", "codec": "aac", "sample_rate": 44100, "channels": 1},
		},
		"models": p.models,
	}
}

func (p *peer) statusMessage() map[string]any {
	state, cause := p.status()
	return map[string]any{
		"type": "status", "state": state, "cause": cause, "since": p.started.UTC().Format(time.RFC3339), "reconnects": 2, "t": seconds(p.frame()), "fps": 25.0,
		"lag": 0.28 + 0.03*math.Sin(float64(p.frame())/40), "lag_p95": 0.36, "drops": map[string]any{"moments": 3, "events": 0},
		"sync":  map[string]any{"offset_ms": -7.2 + 3*math.Sin(float64(p.frame())/90), "drift_ppm": 4.1, "error_ms": 1.8},
		"speed": map[string]any{"clap-events": 41.0, "gradsync": 12.5, "vit-caption": 180.0},
	}
}

func (p *peer) history(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.ParseFloat(r.FormValue("from"), 64)
	to, _ := strconv.ParseFloat(r.FormValue("to"), 64)
	w.Header().Set("Content-Type", "application/jsonl")
	out := json.NewEncoder(w)
	for n := max(begin-600*fps, int(math.Ceil(from*fps))); n < min(int(to*fps), p.frame()); n++ {
		for _, m := range p.result(n) {
			_ = out.Encode(m)
		}
	}
}

func (p *peer) ring(w http.ResponseWriter, r *http.Request) {
	c, file := p.clips[r.PathValue("name")], r.PathValue("file")
	var at int
	switch {
	case c == nil:
		http.NotFound(w, r)
	case file == "index.json":
		var segments []map[string]any
		for n := begin/fps - 600; n+segment <= p.frame()/fps; n += segment {
			k := n / segment % len(c.parts)
			segments = append(segments, map[string]any{"name": fmt.Sprintf("%d.m4s", n), "init": "init-0.mp4", "t": n, "dur": segment, "seg": 0, "start": k * segment})
		}
		writeJSON(w, map[string]any{"inits": []any{map[string]any{"name": "init-0.mp4", "codecs": "avc1.42c01e,flac"}}, "segments": segments})
	case file == "init-0.mp4":
		_, _ = w.Write(c.init)
	default:
		if _, err := fmt.Sscanf(file, "%d.m4s", &at); err != nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(c.parts[at/segment%len(c.parts)])
	}
}

// messages calls send with what a viewer is to be told when frame n is sent.
func (p *peer) messages(n int, send func(map[string]any)) {
	for _, m := range p.result(n + ahead) {
		if (n+ahead)/5%lateth != 0 {
			send(m)
		}
	}
	for _, m := range p.result(n - behind) {
		if (n-behind)/5%lateth == 0 {
			send(m)
		}
	}
	if n%fps == 0 {
		send(p.statusMessage())
	}
}

func (p *peer) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	send := func(m map[string]any) {
		b, _ := json.Marshal(m)
		_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", m["type"], b)
	}
	send(p.hello(r.PathValue("name")))
	p.pace(r.Context(), func(n int) bool {
		p.messages(n, send)
		return out.Flush() == nil
	})
}

// pace calls each with every frame when it is due.
func (p *peer) pace(ctx context.Context, each func(n int) bool) {
	tick := time.NewTicker(time.Second / fps / 4)
	defer tick.Stop()
	for n := p.frame(); ; {
		select {
		case <-ctx.Done():
			return
		case <-p.ctx.Done():
			return
		case <-tick.C:
		}
		for ; n <= p.frame(); n++ {
			if !each(n) {
				return
			}
		}
	}
}

func (p *peer) whep(w http.ResponseWriter, r *http.Request) {
	c := p.clips[r.PathValue("name")]
	offer, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if c == nil || err != nil {
		http.NotFound(w, r)
		return
	}
	pc, err := p.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer, run, err := p.answer(pc, r.PathValue("name"), string(offer))
	if err != nil {
		_ = pc.Close()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	p.mu.Lock()
	p.opened++
	id := strconv.Itoa(p.opened)
	p.sessions[id] = cancel
	p.mu.Unlock()
	p.wg.Go(func() {
		run(ctx)
		_ = pc.Close()
	})
	w.Header().Set("Location", r.URL.Path+"/"+id)
	w.Header().Set("Content-Type", "application/sdp")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

func (p *peer) leave(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cancel := p.sessions[r.PathValue("id")]
	if cancel == nil {
		http.NotFound(w, r)
		return
	}
	delete(p.sessions, r.PathValue("id"))
	p.left++
	cancel()
}

// drop ends every session without a word, as a server that dies.
func (p *peer) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, cancel := range p.sessions {
		delete(p.sessions, id)
		cancel()
	}
}

func (p *peer) answer(pc *webrtc.PeerConnection, name, offer string) (string, func(context.Context), error) {
	c := p.clips[name]
	video, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}, "video", name)
	if err != nil {
		return "", nil, err
	}
	sound, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", name)
	if err != nil {
		return "", nil, err
	}
	for _, track := range []webrtc.TrackLocal{video, sound} {
		sender, e := pc.AddTrack(track)
		if e != nil {
			return "", nil, e
		}
		p.wg.Go(func() {
			// Reports are read so that interceptors see them.
			buf := make([]byte, 1500)
			for {
				if _, _, e := sender.Read(buf); e != nil {
					return
				}
			}
		})
	}
	connected, dead := make(chan struct{}), make(chan struct{})
	var once, end sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			once.Do(func() { close(connected) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			end.Do(func() { close(dead) })
		}
	})
	var results *webrtc.DataChannel
	if !p.noChannel.Load() {
		if results, err = pc.CreateDataChannel("seehear.v1", nil); err != nil {
			return "", nil, err
		}
	}
	if p.deaf.Load() {
		offer = candidates.ReplaceAllString(offer, "")
	}
	if err = pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", nil, err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", nil, err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err = pc.SetLocalDescription(answer); err != nil {
		return "", nil, err
	}
	<-gathered
	run := func(ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var number uint32
		send := func(m map[string]any) {
			if results != nil && results.ReadyState() == webrtc.DataChannelStateOpen {
				number++
				for _, b := range chunks(number, m) {
					_ = results.Send(b)
				}
			}
		}
		select {
		case <-connected:
		case <-dead:
			return
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Second):
			return
		}
		p.wg.Go(func() {
			select {
			case <-dead:
				cancel()
			case <-ctx.Done():
			}
		})
		picture := rtp.NewPacketizer(1200, 0, 0, &codecs.H264Payloader{}, rtp.NewRandomSequencer(), 90000)
		tone := rtp.NewPacketizer(1200, 0, 0, &codecs.OpusPayloader{}, rtp.NewRandomSequencer(), 48000)
		first, greeted, spoken := -1, false, 0
		p.pace(ctx, func(n int) bool {
			if first < 0 {
				// A joiner gets the whole group of pictures it comes into.
				first = n - n%fps
				spoken = first * 2
				for k := first; k < n; k++ {
					write(video, picture, c.frames[k%len(c.frames)], rtpOf(k))
				}
			}
			if !p.blind.Load() {
				write(video, picture, c.frames[n%len(c.frames)], rtpOf(n))
			}
			for ; spoken < n*2 && len(c.sound) > 0; spoken++ {
				write(sound, tone, c.sound[spoken%len(c.sound)], uint32(spoken)*960)
			}
			if results != nil && !greeted && results.ReadyState() == webrtc.DataChannelStateOpen {
				greeted = true
				send(p.hello(name))
				send(p.statusMessage())
				send(map[string]any{"type": "media", "video": "h264", "audio": "opus", "transcoded": false})
			}
			if greeted {
				p.messages(n, send)
			}
			return true
		})
	}
	if p.deaf.Load() {
		return candidates.ReplaceAllString(pc.LocalDescription().SDP, ""), run, nil
	}
	return pc.LocalDescription().SDP, run, nil
}

// candidates are the lines that say where a peer can be reached.
var candidates = regexp.MustCompile(`(?m)^a=(candidate|end-of-candidates).*\r?\n`)

func write(track *webrtc.TrackLocalStaticRTP, p rtp.Packetizer, data []byte, stamp uint32) {
	for _, packet := range p.Packetize(data, 0) {
		packet.Timestamp = stamp
		_ = track.WriteRTP(packet)
	}
}

// chunks cuts a message as docs/protocol.md says.
func chunks(number uint32, m map[string]any) [][]byte {
	const room = 15<<10 - 12
	body, _ := json.Marshal(m)
	count := (len(body) + room - 1) / room
	var out [][]byte
	for i := range count {
		head := []byte{'S', 'H', 1, 0}
		head = binary.BigEndian.AppendUint32(head, number)
		head = binary.BigEndian.AppendUint16(head, uint16(i))
		head = binary.BigEndian.AppendUint16(head, uint16(count))
		out = append(out, append(head, body[i*room:min(len(body), (i+1)*room)]...))
	}
	return out
}

// newClip encodes what ffmpeg reads with in, seconds long, w by h.
func newClip(t *testing.T, w, h, length int, stdin io.Reader, in ...string) *clip {
	t.Helper()
	ffmpeg, err := mediatest.FFmpeg()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whole := filepath.Join(dir, "clip.mp4")
	run := func(stdin io.Reader, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), ffmpeg, append([]string{"-v", "error", "-y"}, args...)...)
		cmd.Stdin = stdin
		if out, e := cmd.CombinedOutput(); e != nil {
			t.Fatalf("ffmpeg: %v\n%s", e, out)
		}
	}
	run(stdin, append(in, "-t", strconv.Itoa(length), "-vf", fmt.Sprintf("scale=%d:%d,fps=%d,format=yuv420p", w, h, fps),
		"-c:v", "libx264", "-profile:v", "baseline", "-preset", "veryfast", "-crf", "23", "-bf", "0", "-g", strconv.Itoa(fps), "-sc_threshold", "0",
		"-x264-params", "slices=1", "-c:a", "flac", "-sample_fmt", "s16", "-ac", "2", "-ar", "48000", "-movflags", "empty_moov+default_base_moof+frag_keyframe", "-frag_duration", "0",
		"-strict", "-2", whole)...)
	run(nil, "-i", whole, "-c", "copy", "-an", "-bsf:v", "h264_mp4toannexb", "-f", "h264", filepath.Join(dir, "v"))
	run(nil, "-i", whole, "-vn", "-c:a", "libopus", "-page_duration", "20000", "-f", "ogg", filepath.Join(dir, "a"))
	c := &clip{w: w, h: h}
	b, err := os.ReadFile(filepath.Join(dir, "v"))
	if err != nil {
		t.Fatal(err)
	}
	// A picture is one slice here, and what stands before it goes with it.
	var unit []byte
	for _, nal := range bytes.Split(b, []byte{0, 0, 1})[1:] {
		nal = bytes.TrimRight(nal, "\x00")
		unit = append(append(unit, 0, 0, 0, 1), nal...)
		if kind := nal[0] & 31; kind == 1 || kind == 5 {
			c.frames = append(c.frames, unit)
			unit = nil
		}
	}
	if len(c.frames) != length*fps {
		t.Fatalf("%d frames, want %d", len(c.frames), length*fps)
	}
	c.readSound(t, filepath.Join(dir, "a"))
	c.readParts(t, whole, length)
	return c
}

func (c *clip) readSound(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, _, err := oggreader.NewWith(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		payload, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(payload, []byte("OpusTags")) {
			c.sound = append(c.sound, payload)
		}
	}
}

// readParts cuts a fragmented MP4 into its head and segments of so many
// fragments, of which each holds a second.
func (c *clip) readParts(t *testing.T, name string, length int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var fragments [][]byte
	for at := 0; at+8 <= len(b); {
		size, kind := int(binary.BigEndian.Uint32(b[at:])), string(b[at+4:at+8])
		switch kind {
		case "ftyp", "moov":
			c.init = append(c.init, b[at:at+size]...)
		case "moof":
			fragments = append(fragments, bytes.Clone(b[at:at+size]))
		case "mdat":
			fragments[len(fragments)-1] = append(fragments[len(fragments)-1], b[at:at+size]...)
		}
		at += size
	}
	if len(fragments) < length {
		t.Fatalf("%d fragments in %d s", len(fragments), length)
	}
	for k := 0; k+segment <= length; k += segment {
		c.parts = append(c.parts, bytes.Join(fragments[k:k+segment], nil))
	}
}

// grid is a map of 28 by 28 whose peak is at x, y.
func grid(x, y, width float64, top float64) string {
	const side = 28
	cells := make([]byte, side*side)
	for i := range cells {
		dx, dy := (float64(i%side)+0.5)/side-x, (float64(i/side)+0.5)/side-y
		cells[i] = byte(top * math.Exp(-(dx*dx+dy*dy)/(2*width*width)))
	}
	return base64.StdEncoding.EncodeToString(cells)
}

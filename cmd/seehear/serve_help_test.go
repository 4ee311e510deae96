package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/web/hub"
)

// patience is how long a test waits for what must come, on a busy machine.
const patience = 60 * time.Second

// served is a `seehear serve`, in this process if pid is 0.
type served struct {
	t    *testing.T
	url  string // ends with a slash
	stop func() // and checks how it ends
	pid  int

	mu  sync.Mutex
	out bytes.Buffer
	err bytes.Buffer
}

// lockedWriter lets the command write while a test reads.
type lockedWriter struct {
	s   *served
	b   *bytes.Buffer
	say chan string // the address, once
}

var address = regexp.MustCompile(`open (https?://\S+)`)

func (w lockedWriter) Write(b []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	n, err := w.b.Write(b)
	if m := address.FindSubmatch(w.b.Bytes()); m != nil && w.say != nil {
		select {
		case w.say <- string(m[1]):
		default:
		}
	}
	return n, err
}

// serve starts the command on free ports; the end of the test stops it and checks
// that it ends well and leaves nothing behind.
func serve(t *testing.T, args ...string) *served {
	t.Helper()
	s := &served{t: t}
	say, end, code := make(chan string, 1), make(chan struct{}), make(chan int, 1)
	args = append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)
	go func() {
		code <- run(context.Background(), args, streams{strings.NewReader(""), lockedWriter{s, &s.out, say}, lockedWriter{s, &s.err, nil}}, end)
	}()
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			close(end)
			select {
			case c := <-code:
				if c != exitOK {
					t.Errorf("serve ended with %d: %s", c, s.log())
				}
			case <-time.After(patience):
				t.Errorf("serve does not end: %s", s.log())
			}
			http.DefaultClient.CloseIdleConnections()
			noHandles(t)
		})
	}
	t.Cleanup(s.stop)
	select {
	case s.url = <-say:
	case c := <-code:
		code <- c
		t.Fatalf("serve ended with %d: %s", c, s.log())
	case <-time.After(patience):
		t.Fatalf("serve does not begin: %s", s.log())
	}
	return s
}

func (s *served) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String() + s.err.String()
}

// get returns what is at a path, and its status.
func (s *served) get(path string, header ...string) (int, []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return w.StatusCode, b
}

// sourceInfo is what the tests look at of a source.
type sourceInfo struct {
	Name, Title, State, Cause string
	Reconnects                int
	Missing                   []string
	FPS                       float64
	Video                     *struct{ Codec string }
	Audio                     *struct{ Codec string }
}

func (s *served) sources() map[string]sourceInfo {
	s.t.Helper()
	var list struct{ Sources []sourceInfo }
	code, b := s.get("api/sources")
	if err := json.Unmarshal(b, &list); code != 200 || err != nil {
		s.t.Fatalf("sources: %d %s, %v", code, b, err)
	}
	all := map[string]sourceInfo{}
	for _, x := range list.Sources {
		all[x.Name] = x
	}
	return all
}

// until waits for what must come.
func (s *served) until(what string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("in vain for %s; %s", what, s.log())
		}
	}
}

// metric returns a sample of the metrics, of the line that begins so.
func (s *served) metric(line string) (v float64, ok bool) {
	s.t.Helper()
	_, b := s.get("metrics")
	for l := range strings.Lines(string(b)) {
		if rest, found := strings.CutPrefix(l, line+" "); found {
			_, err := fmt.Sscan(rest, &v)
			return v, err == nil
		}
	}
	return 0, false
}

// metrics returns all samples by name and labels.
func (s *served) metrics() map[string]float64 {
	s.t.Helper()
	all := map[string]float64{}
	_, b := s.get("metrics")
	for l := range strings.Lines(string(b)) {
		if i := strings.LastIndexByte(l, ' '); i > 0 && l[0] != '#' {
			if v, err := strconv.ParseFloat(strings.TrimSpace(l[i:]), 64); err == nil {
				all[l[:i]] = v
			}
		}
	}
	return all
}

// result is a result message.
type result struct {
	Type    string
	Kind    string
	T       float64
	Dur     float64
	Seg     uint32
	RTP     uint32
	Lag     float64
	Wall    string
	Caption *struct{ Text string }
	Sound   *struct {
		Silent          bool
		Objects, Scenes []struct{ Label string }
	}
	came time.Time
}

// peer is a peer of pion's that watches a source.
type peer struct {
	t  *testing.T
	pc *webrtc.PeerConnection

	mu      sync.Mutex
	frames  map[uint32]time.Time // RTP time of a picture, and when its last packet came
	last    *rtp.Packet
	sound   int
	results []result
	hello   map[string]any
	status  map[string]any
	media   map[string]any
	bye     string
	lost    uint64
}

// watch joins a source; with stuck, the data channel is never read.
func (s *served) watch(t *testing.T, source string, stuck bool) *peer {
	t.Helper()
	w := &peer{t: t, frames: map[uint32]time.Time{}}
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	e := webrtc.SettingEngine{}
	e.SetIncludeLoopbackCandidate(true)
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if stuck {
		e.DetachDataChannels()
	}
	var err error
	w.pc, err = webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(e), webrtc.WithInterceptorRegistry(&interceptor.Registry{})).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	w.pc.OnTrack(w.track)
	w.pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		if stuck {
			return
		}
		var d hub.Decoder
		dc.OnMessage(func(msg webrtc.DataChannelMessage) { w.message(&d, msg.Data) })
	})
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err = w.pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = w.pc.CreateDataChannel("probe", nil); err != nil { // asks for the transport
		t.Fatal(err)
	}
	offer, err := w.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(w.pc)
	if err = w.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"whep/"+source, strings.NewReader(w.pc.LocalDescription().SDP))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/sdp")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if a.StatusCode != http.StatusCreated || err != nil {
		t.Fatalf("whep: %d %s, %v", a.StatusCode, b, err)
	}
	if err = w.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(b)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// close ends the session; what came stays, the connection is let go.
func (w *peer) close() {
	if w.pc == nil {
		return
	}
	if err := w.pc.GracefulClose(); err != nil {
		w.t.Error(err)
	}
	w.pc = nil
}

func (w *peer) track(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		w.mu.Lock()
		if t.Kind() == webrtc.RTPCodecTypeVideo {
			w.frames[p.Timestamp], w.last = time.Now(), p
		} else {
			w.sound++
		}
		w.mu.Unlock()
	}
}

func (w *peer) message(d *hub.Decoder, chunk []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	msg, _, err := d.Push(chunk)
	if err != nil {
		w.t.Errorf("chunk: %v", err)
	}
	w.lost = d.Lost()
	if msg == nil {
		return
	}
	var any map[string]any
	if err := json.Unmarshal(msg, &any); err != nil {
		w.t.Errorf("message %s: %v", msg, err)
		return
	}
	switch any["type"] {
	case "hello":
		w.hello = any
	case "status":
		w.status = any
	case "media":
		w.media = any
	case "bye":
		w.bye, _ = any["reason"].(string)
	case "result":
		var r result
		if err := json.Unmarshal(msg, &r); err != nil {
			w.t.Errorf("result %s: %v", msg, err)
		}
		r.came = time.Now()
		w.results = append(w.results, r)
	}
}

// count returns how many results of a kind and how many pictures came.
func (w *peer) count(kind string) (results, frames int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.results {
		if r.Kind == kind {
			results++
		}
	}
	return results, len(w.frames)
}

const (
	barcodeRate  = 25
	barcodeCount = 6 * barcodeRate
)

var barcodeClip struct {
	sync.Once
	name string
	err  error
}

// barcodes is a film whose pictures carry their index, with a click in each
// second: H.264 that a browser plays as it is, a keyframe each second.
func barcodes(t *testing.T) string {
	t.Helper()
	barcodeClip.Do(func() {
		const w, h = 160, 120
		var raw bytes.Buffer
		for n := range barcodeCount {
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
		dir, err := os.MkdirTemp("", "seehear-barcodes-")
		if err != nil {
			barcodeClip.err = err
			return
		}
		barcodeClip.name = filepath.Join(dir, "barcodes.mp4")
		ffmpeg := os.Getenv("FFMPEG")
		if ffmpeg == "" {
			ffmpeg = "ffmpeg"
		}
		cmd := exec.Command(ffmpeg, "-v", "error", "-y",
			"-f", "rawvideo", "-pix_fmt", "gray", "-s", fmt.Sprintf("%dx%d", w, h), "-r", fmt.Sprint(barcodeRate), "-i", "-",
			"-f", "lavfi", "-i", "aevalsrc='0.6*sin(2*PI*1000*t)*lt(mod(t,1),0.02)+0.02*sin(2*PI*200*t)':s=48000:d="+fmt.Sprint(barcodeCount/barcodeRate),
			"-c:v", "libx264", "-preset", "ultrafast", "-crf", "22", "-g", fmt.Sprint(barcodeRate), "-bf", "0", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-profile:v", "baseline",
			"-c:a", "aac", "-shortest", barcodeClip.name)
		cmd.Stdin = &raw
		if out, err := cmd.CombinedOutput(); err != nil {
			barcodeClip.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if barcodeClip.err != nil {
		t.Fatal(barcodeClip.err)
	}
	return barcodeClip.name
}

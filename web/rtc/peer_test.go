package rtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/seehear/seehear/ingest"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// A real SPS (1920x1080, Baseline) and PPS, and the heads of slices that refer to
// them.
var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	testPPS = []byte{0x68, 0xce, 0x3c, 0x80}
	sliceI  = []byte{0x65, 0x88}
	sliceP  = []byte{0x41, 0x9a}
	sliceBi = []byte{0x01, 0x9e}
)

func startCodes(nalus ...[]byte) (au []byte) {
	for _, n := range nalus {
		au = append(append(au, 0, 0, 0, 1), n...)
	}
	return au
}

func lengths(nalus ...[]byte) (au []byte) {
	for _, n := range nalus {
		au = append(binary.BigEndian.AppendUint32(au, uint32(len(n))), n...)
	}
	return au
}

// avcExtra is the configuration record of the test stream.
func avcExtra() []byte {
	b := []byte{1, testSPS[1], testSPS[2], testSPS[3], 0xff, 0xe1, 0, byte(len(testSPS))}
	b = append(b, testSPS...)
	b = append(b, 1, 0, byte(len(testPPS)))
	return append(b, testPPS...)
}

var (
	videoStream = ingest.Stream{Index: 0, Kind: ingest.Video, Codec: "h264", Extra: avcExtra(), Width: 1920, Height: 1080, Default: true}
	audioStream = ingest.Stream{Index: 1, Kind: ingest.Audio, Codec: "opus", SampleRate: 48000, Channels: 2, Default: true}
)

// clip makes the packets of a source: 25 pictures a second with a keyframe every
// key of them, and 20 ms of Opus each.
type clip struct {
	key  int
	n    int
	m    int
	size int
}

func (c *clip) picture() *ingest.Packet {
	p := &ingest.Packet{Stream: 0, PTS: time.Duration(c.n) * 40 * time.Millisecond, Key: c.n%c.key == 0}
	p.DTS = p.PTS
	body := bytes.Repeat([]byte{0xab}, c.size)
	// As in any real slice, no two zeros in a row: they would be a start code.
	binary.BigEndian.PutUint32(body, uint32(c.n)|0x80800000)
	if p.Key {
		p.Data = lengths(append(bytes.Clone(sliceI), body...))
	} else {
		p.Data = lengths(append(bytes.Clone(sliceP), body...))
	}
	c.n++
	return p
}

func (c *clip) sound() *ingest.Packet {
	p := &ingest.Packet{Stream: 1, PTS: time.Duration(c.m) * 20 * time.Millisecond, Dur: 20 * time.Millisecond, Key: true}
	p.Data = []byte{0xfc, byte(c.m >> 8), byte(c.m), 1, 2, 3}
	c.m++
	return p
}

// fixture is a server with a feed on loopback.
type fixture struct {
	t    *testing.T
	srv  *Server
	feed *Feed
	web  *httptest.Server
}

func newFixture(t *testing.T, opt Options, join func() Messages) *fixture {
	t.Helper()
	if opt.UDP == "" {
		opt.UDP = "127.0.0.1:0"
	}
	srv, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, srv: srv, feed: NewFeed(FeedOptions{})}
	f.feed.Streams([]ingest.Stream{videoStream, audioStream})
	srv.Add("door", Source{Feed: f.feed, Join: join})
	mux := http.NewServeMux()
	mux.Handle("/whep/{name}", srv.WHEP())
	mux.Handle("/whep/{name}/{session}", srv.WHEP())
	mux.Handle("/whip/{name}", srv.WHIP())
	mux.Handle("/whip/{name}/{session}", srv.WHIP())
	f.web = httptest.NewServer(mux)
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		f.feed.Close()
		f.web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return f
}

// request sends one request and returns the answer with its body.
func (f *fixture) request(method, path, typ, body string, header ...string) (*http.Response, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.web.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if typ != "" {
		r.Header.Set("Content-Type", typ)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return w, string(b)
}

// client is a peer of pion's, as a browser would be.
type client struct {
	t     *testing.T
	pc    *webrtc.PeerConnection
	udp   ice.UDPMux
	path  string // of the session
	etag  string
	state chan webrtc.PeerConnectionState

	mu      sync.Mutex
	video   []*rtp.Packet
	audio   []*rtp.Packet
	reports map[uint32][]*rtcp.SenderReport
	ssrc    map[ingest.Kind]uint32
	codec   string
	changed chan struct{}
	stopped bool // reads no more
	channel chan *webrtc.DataChannel
	local   string
}

// clientOptions say what a client offers.
type clientOptions struct {
	codecs   []string // of video, H264 if empty
	data     bool
	tcp      bool // no UDP candidate
	onData   func([]byte)
	noVideo  bool
	readOnce bool
}

func newClient(t *testing.T, opt clientOptions) *client {
	t.Helper()
	c := &client{
		t: t, state: make(chan webrtc.PeerConnectionState, 16), changed: make(chan struct{}, 1),
		reports: map[uint32][]*rtcp.SenderReport{}, ssrc: map[ingest.Kind]uint32{}, channel: make(chan *webrtc.DataChannel, 1),
	}
	m := &webrtc.MediaEngine{}
	if len(opt.codecs) == 0 {
		opt.codecs = []string{webrtc.MimeTypeH264}
	}
	for i, name := range opt.codecs {
		line := ""
		if name == webrtc.MimeTypeH264 {
			line = h264Line
		}
		if err := m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(102 + i), RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: name, ClockRate: VideoRate, SDPFmtpLine: line, RTCPFeedback: feedback,
		}}, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: Opus.capability()}, webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	e := webrtc.SettingEngine{}
	e.SetIncludeLoopbackCandidate(true)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetIPFilter(ipLoopback)
	if opt.tcp {
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	} else {
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	}
	r := &interceptor.Registry{}
	g, err := nack.NewGeneratorInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	r.Add(g)
	c.pc, err = webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(e), webrtc.WithInterceptorRegistry(r)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		select {
		case c.state <- s:
		default:
		}
	})
	c.pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		if opt.onData != nil {
			dc.OnMessage(func(m webrtc.DataChannelMessage) { opt.onData(m.Data) })
		}
		c.channel <- dc
	})
	c.pc.OnTrack(c.read)
	t.Cleanup(func() { c.close() })
	return c
}

func (c *client) close() {
	if err := c.pc.GracefulClose(); err != nil {
		c.t.Error(err)
	}
}

// read keeps everything that comes.
func (c *client) read(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	kind := ingest.Video
	if t.Kind() == webrtc.RTPCodecTypeAudio {
		kind = ingest.Audio
	}
	c.mu.Lock()
	c.ssrc[kind] = uint32(t.SSRC())
	if kind == ingest.Video {
		c.codec = t.Codec().MimeType
	}
	c.mu.Unlock()
	go func() {
		for {
			pkts, _, err := r.ReadRTCP()
			if err != nil {
				return
			}
			c.mu.Lock()
			for _, p := range pkts {
				if sr, ok := p.(*rtcp.SenderReport); ok {
					c.reports[sr.SSRC] = append(c.reports[sr.SSRC], sr)
				}
			}
			c.mu.Unlock()
			c.signal()
		}
	}()
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		c.mu.Lock()
		if kind == ingest.Video {
			c.video = append(c.video, p)
		} else {
			c.audio = append(c.audio, p)
		}
		c.mu.Unlock()
		c.signal()
	}
}

func (c *client) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// until waits for done, which is called with the client locked.
func (c *client) until(what string, done func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		c.mu.Lock()
		ok := done()
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			c.t.Fatalf("in vain for %s", what)
		}
	}
}

func (c *client) wait(want webrtc.PeerConnectionState) {
	c.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case s := <-c.state:
			if s == want {
				return
			}
		case <-timer.C:
			c.t.Fatalf("the connection never became %s", want)
		}
	}
}

// offer makes a description with all candidates.
func (c *client) offer(o *webrtc.OfferOptions) string {
	c.t.Helper()
	d, err := c.pc.CreateOffer(o)
	if err != nil {
		c.t.Fatal(err)
	}
	done := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(d); err != nil {
		c.t.Fatal(err)
	}
	<-done
	return c.pc.LocalDescription().SDP
}

// play opens a session and returns once it is connected.
func (f *fixture) play(opt clientOptions) *client {
	f.t.Helper()
	c := f.begin(opt)
	c.wait(webrtc.PeerConnectionStateConnected)
	return c
}

// begin opens a session.
func (f *fixture) begin(opt clientOptions) *client {
	f.t.Helper()
	c := newClient(f.t, opt)
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := c.pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			f.t.Fatal(err)
		}
	}
	if opt.data {
		if _, err := c.pc.CreateDataChannel("offer", nil); err != nil {
			f.t.Fatal(err)
		}
	}
	w, body := f.request("POST", "/whep/door", typeSDP, c.offer(nil))
	if w.StatusCode != http.StatusCreated {
		f.t.Fatalf("POST: %s: %s", w.Status, body)
	}
	c.path, c.etag, c.local = w.Header.Get("Location"), w.Header.Get("ETag"), body
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body}); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// nalus returns the types of the NAL units of the packets with one RTP time.
func nalus(pkts []*rtp.Packet, ts uint32) (types []byte) {
	for _, p := range pkts {
		if p.Timestamp != ts || len(p.Payload) < 2 {
			continue
		}
		switch t := p.Payload[0] & 0x1f; t {
		case 28: // FU-A
			if p.Payload[1]&0x80 != 0 {
				types = append(types, p.Payload[1]&0x1f)
			}
		default:
			types = append(types, t)
		}
	}
	return types
}

package rtc

import (
	"bytes"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/seehear/seehear/ingest"
)

// ends counts the pictures that are there whole: the marker is on the last packet
// of each.
func ends(pkts []*rtp.Packet) (n int) {
	for _, p := range pkts {
		if p.Marker {
			n++
		}
	}
	return n
}

func ipLoopback(ip net.IP) bool { return ip.IsLoopback() }

// A viewer that joins in the middle of a GOP gets a whole picture at once, every
// packet with the RTP time of its stamp, over UDP and over TCP alike.
func TestPlay(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		name := map[bool]string{false: "udp", true: "tcp"}[tcp]
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, Options{TCP: "127.0.0.1:0"}, nil)
			c := &clip{key: 25, size: 3000}
			for range 10 {
				f.feed.Packet(c.picture())
			}
			v := f.play(clientOptions{tcp: tcp})
			v.until("the pictures of the cache", func() bool { return ends(v.video) >= 10 })
			for range 5 {
				f.feed.Packet(c.picture())
				f.feed.Packet(c.sound())
			}
			v.until("five more", func() bool { return ends(v.video) >= 15 && len(v.audio) >= 5 })
			v.mu.Lock()
			defer v.mu.Unlock()
			if got := nalus(v.video, f.feed.Base()); !bytes.Equal(got, []byte{nalSPS, nalPPS, nalIDR}) {
				t.Errorf("the first picture has NAL units %v", got)
			}
			want := map[uint32]bool{}
			for n := range 15 {
				want[RTPTime(f.feed.Base(), VideoRate, time.Duration(n)*40*time.Millisecond)] = true
			}
			for i, p := range v.video {
				if !want[p.Timestamp] {
					t.Errorf("RTP time %d is that of no picture", p.Timestamp)
				}
				if i > 0 && p.SequenceNumber != v.video[i-1].SequenceNumber+1 {
					t.Errorf("sequence number %d after %d", p.SequenceNumber, v.video[i-1].SequenceNumber)
				}
			}
			if n := ends(v.video); n != 15 || !v.video[len(v.video)-1].Marker {
				t.Errorf("%d pictures end within %d packets, 15 were sent", n, len(v.video))
			}
			for i, p := range v.audio[:5] {
				at := time.Duration(i) * 20 * time.Millisecond
				if got, want := p.Timestamp, f.feed.rtpTime(Opus, at); got != want {
					t.Errorf("sound %d has RTP time %d, not %d", i, got, want)
				}
			}
		})
	}
}

// The reports of both tracks put picture and sound on one clock.
func TestReports(t *testing.T) {
	f := newFixture(t, Options{}, nil)
	c := &clip{key: 25, size: 100}
	v := f.play(clientOptions{})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	both := func() bool {
		return len(v.reports[v.ssrc[ingest.Video]]) >= 2 && len(v.reports[v.ssrc[ingest.Audio]]) >= 2
	}
	deadline := time.Now().Add(patience)
	for done := false; !done; {
		if time.Now().After(deadline) {
			t.Fatal("in vain for reports")
		}
		<-tick.C
		f.feed.Packet(c.picture())
		f.feed.Packet(c.sound())
		f.feed.Packet(c.sound())
		v.mu.Lock()
		done = both()
		v.mu.Unlock()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	// place returns what media time a report gives to a moment of the wall clock.
	place := func(ntp uint64, rtp, base uint32, rate float64, at uint64) float64 {
		return float64(int32(rtp-base))/rate + float64(int64(at-ntp))/(1<<32)
	}
	for _, rv := range v.reports[v.ssrc[ingest.Video]] {
		for _, ra := range v.reports[v.ssrc[ingest.Audio]] {
			pv := place(rv.NTPTime, rv.RTPTime, f.feed.base, VideoRate, rv.NTPTime)
			pa := place(ra.NTPTime, ra.RTPTime, f.feed.abase, AudioRate, rv.NTPTime)
			// Between two reports the epoch may have followed the clock.
			if rv.NTPTime == ra.NTPTime && (pv-pa > 0.001 || pa-pv > 0.001) {
				t.Errorf("one moment is %f s of the picture and %f s of the sound", pv, pa)
			}
		}
		if rv.PacketCount == 0 || rv.OctetCount == 0 {
			t.Error("a report counts nothing")
		}
	}
}

func TestRestart(t *testing.T) {
	f := newFixture(t, Options{}, nil)
	c := &clip{key: 25, size: 100}
	f.feed.Packet(c.picture())
	v := f.play(clientOptions{})
	offer := v.offer(&webrtc.OfferOptions{ICERestart: true})
	frag := fragmentOf(offer)
	if w, _ := f.request("PATCH", v.path, typeFragment, frag); w.StatusCode != http.StatusPreconditionRequired {
		t.Errorf("without If-Match: %s", w.Status)
	}
	if w, _ := f.request("PATCH", v.path, typeFragment, frag, "If-Match", v.etag); w.StatusCode != http.StatusBadRequest {
		t.Errorf("with the credentials of no session: %s", w.Status)
	}
	w, body := f.request("PATCH", v.path, typeFragment, frag, "If-Match", "*")
	if w.StatusCode != http.StatusOK || w.Header.Get("Content-Type") != typeFragment || w.Header.Get("ETag") == v.etag {
		t.Fatalf("restart: %s, %v: %s", w.Status, w.Header, body)
	}
	if w, _ = f.request("PATCH", v.path, typeFragment, frag, "If-Match", v.etag); w.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("with the old ETag: %s", w.Status)
	}
	parsed, err := parseFragment(body)
	if err != nil || parsed.ufrag == "" || parsed.pwd == "" || len(parsed.candidates) == 0 {
		t.Fatalf("the fragment %q: %v", body, err)
	}
	answer := parsed.apply(v.local)
	if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	if w, b := f.request("PATCH", v.path, typeFragment, frag, "If-Match", `"2"`); w.StatusCode != http.StatusNoContent {
		t.Errorf("trickle after the restart: %s %s", w.Status, b)
	}
	// Media goes on over the new pair.
	v.mu.Lock()
	before := len(v.video)
	v.mu.Unlock()
	ticks := 0
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		<-tick.C
		f.feed.Packet(c.picture())
		v.mu.Lock()
		n := len(v.video)
		v.mu.Unlock()
		if n > before+10 {
			break
		}
		if ticks++; ticks > 500 {
			t.Fatal("no picture after the restart")
		}
	}
}

func TestTrickle(t *testing.T) {
	f := newFixture(t, Options{}, nil)
	cl := newClient(t, clientOptions{})
	if _, err := cl.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	full := cl.offer(nil)
	bare := fragment{ufrag: ufragOf(full), pwd: field(full, "a=ice-pwd:")}.apply(full)
	w, body := f.request("POST", "/whep/door", typeSDP, bare)
	if w.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", w.Status, body)
	}
	path := w.Header.Get("Location")
	w, body = f.request("PATCH", path, typeFragment, fragmentOf(full), "If-Match", w.Header.Get("ETag"))
	if w.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: %s", w.Status, body)
	}
	for _, bad := range []string{"nonsense", "a=ice-ufrag:x\r\n", "a=candidate:1 1 udp\r\n", "a=ice-ufrag:aaaa\r\na=ice-ufrag:bbbb\r\n"} {
		if w, _ = f.request("PATCH", path, typeFragment, bad, "If-Match", `"1"`); w.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", bad, w.Status)
		}
	}
}

func field(sdp, name string) string {
	_, rest, _ := bytes.Cut([]byte(sdp), []byte(name))
	v, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(v)
}

func TestMethods(t *testing.T) {
	f := newFixture(t, Options{
		Origin:     func(o string) bool { return o == "https://good.example" },
		ICEServers: []ICEServer{{URLs: []string{"stun:127.0.0.1:9"}}, {URLs: []string{"turn:127.0.0.1:9"}, Username: `a"b`, Credential: "c"}},
	}, nil)
	v := newClient(t, clientOptions{})
	if _, err := v.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	offer := v.offer(nil)
	large := offer + "a=x:" + string(bytes.Repeat([]byte{'x'}, maxOffer)) + "\r\n"
	for _, c := range []struct {
		method, path, typ, body string
		want                    int
	}{
		{"GET", "/whep/door", "", "", 405},
		{"POST", "/whep/door", "text/plain", offer, 415},
		{"POST", "/whep/door", typeSDP, "nonsense", 400},
		{"POST", "/whep/door", typeSDP, "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", 406},
		{"POST", "/whep/door", typeSDP, large, 413},
		{"POST", "/whep/window", typeSDP, offer, 404},
		{"POST", "/whip/door", typeSDP, offer, 404},
		{"PATCH", "/whep/door/0123", typeFragment, "", 404},
		{"DELETE", "/whep/door/0123", "", "", 404},
		{"GET", "/whep/door/0123", "", "", 405},
		{"OPTIONS", "/whep/door/0123", "", "", 204},
		{"OPTIONS", "/whep/door", "", "", 204},
	} {
		if w, body := f.request(c.method, c.path, c.typ, c.body); w.StatusCode != c.want {
			t.Errorf("%s %s: %s: %s", c.method, c.path, w.Status, body)
		}
	}
	w, _ := f.request("OPTIONS", "/whep/door", "", "", "Origin", "https://good.example")
	if h := w.Header; h.Get("Access-Control-Allow-Origin") != "https://good.example" || h.Get("Accept-Post") != typeSDP {
		t.Errorf("OPTIONS of an allowed site: %v", h)
	}
	if w, _ = f.request("OPTIONS", "/whep/door", "", "", "Origin", "https://bad.example"); w.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a site that is not allowed is")
	}
	if links := w.Header.Values("Link"); len(links) != 2 || links[1] != `<turn:127.0.0.1:9>; rel="ice-server"; username="a\"b"; credential="c"; credential-type="password"` {
		t.Errorf("links: %q", links)
	}
}

// DELETE frees everything; so does a peer that goes away, and so does Remove.
func TestGone(t *testing.T) {
	f := newFixture(t, Options{MaxSessions: 1}, nil)
	v := f.play(clientOptions{})
	if n, _ := f.srv.Sessions("door"); n != 1 {
		t.Errorf("%d viewers", n)
	}
	if w, _ := f.request("POST", "/whep/door", typeSDP, v.pc.LocalDescription().SDP); w.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many: %s", w.Status)
	}
	if w, _ := f.request("DELETE", v.path, "", ""); w.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %s", w.Status)
	}
	if n, _ := f.srv.Sessions("door"); n != 0 || f.feed.Viewers() != 0 {
		t.Errorf("%d sessions and %d viewers are left", n, f.feed.Viewers())
	}
	if w, _ := f.request("DELETE", v.path, "", ""); w.StatusCode != http.StatusNotFound {
		t.Errorf("the second DELETE: %s", w.Status)
	}
	f.play(clientOptions{})
	f.srv.Remove("door")
	if n, _ := f.srv.Sessions("door"); n != 0 {
		t.Errorf("%d sessions of a source that is gone", n)
	}
}

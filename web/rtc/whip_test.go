package rtc

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/seehear/seehear/ingest"
)

// sendTo publishes H.264 and Opus and returns the tracks.
func (f *fixture) sendTo(name string) (c *client, video, audio *webrtc.TrackLocalStaticRTP) {
	f.t.Helper()
	c = newClient(f.t, clientOptions{})
	var tracks []*webrtc.TrackLocalStaticRTP
	for _, codec := range []Codec{H264, Opus} {
		track, err := webrtc.NewTrackLocalStaticRTP(codec.capability(), string(codec), "cam")
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := c.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
			f.t.Fatal(err)
		}
		tracks = append(tracks, track)
	}
	w, body := f.request("POST", "/whip/"+name, typeSDP, c.offer(nil))
	if w.StatusCode != http.StatusCreated {
		f.t.Fatalf("POST: %s: %s", w.Status, body)
	}
	c.path = w.Header.Get("Location")
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body}); err != nil {
		f.t.Fatal(err)
	}
	c.wait(webrtc.PeerConnectionStateConnected)
	return c, tracks[0], tracks[1]
}

// What is published comes out as packets on one clock, picture and sound where the
// sender's reports put them.
func TestPublish(t *testing.T) {
	f := newFixture(t, Options{}, nil)
	f.srv.Accept("cam")
	c, video, audio := f.sendTo("cam")
	var ssrc [2]uint32
	for i, s := range c.pc.GetSenders() {
		ssrc[i] = uint32(s.GetParameters().Encodings[0].SSRC)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	sent := startCodes(testSPS, testPPS, append(bytes.Clone(sliceI), bytes.Repeat([]byte{9}, 5000)...))
	const ahead = 300 * time.Millisecond // how far the stamps of the sound are off what arrives
	go func() {
		defer close(stopped)
		p := H264.payloader()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		vseq, aseq := uint16(65530), uint16(10)
		vts, ats := uint32(1<<32-9000), uint32(77)
		wall := time.Now()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			payloads := p.Payload(mtu, sent)
			for i, b := range payloads {
				_ = video.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: vseq, Timestamp: vts, Marker: i == len(payloads)-1}, Payload: b})
				vseq++
			}
			_ = audio.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: aseq, Timestamp: ats}, Payload: []byte{0xfc, 1, 2}})
			aseq++
			at := wall.Add(time.Duration(n) * 20 * time.Millisecond)
			if n > 20 && n%10 == 0 {
				_ = c.pc.WriteRTCP([]rtcp.Packet{
					&rtcp.SenderReport{SSRC: ssrc[0], NTPTime: ntpTime(at), RTPTime: vts},
					&rtcp.SenderReport{SSRC: ssrc[1], NTPTime: ntpTime(at.Add(ahead)), RTPTime: ats},
				})
			}
			vts, ats = vts+1800, ats+960
		}
	}()
	defer func() { close(stop); <-stopped }()
	src, err := f.srv.Open(t.Context(), "cam")
	if err != nil {
		t.Fatal(err)
	}
	ss := src.Streams()
	if len(ss) != 2 || ss[0].Codec != "h264" || ss[0].Width != 1920 || ss[0].Height != 1080 || ss[1].Codec != "opus" || !src.Live() {
		t.Fatalf("streams %+v", ss)
	}
	last := [2]time.Duration{-1, -1}
	var seen [2]int
	var moved bool
	for seen[0] < 100 || seen[1] < 100 || !moved {
		p, readErr := src.Read(t.Context())
		if readErr != nil {
			t.Fatal(readErr)
		}
		if p.PTS < last[p.Stream] || p.Arrived.IsZero() || p.Seg != 0 {
			t.Fatalf("%+v behind %v", p, last[p.Stream])
		}
		if d := p.PTS - last[p.Stream]; seen[p.Stream] > 0 && d != 20*time.Millisecond {
			if p.Stream == 1 && (d-ahead-20*time.Millisecond).Abs() < 150*time.Millisecond && !moved {
				moved = true
			} else {
				t.Fatalf("stream %d steps by %v", p.Stream, d)
			}
		}
		last[p.Stream] = p.PTS
		seen[p.Stream]++
		if p.Stream == 0 && (!p.Key || !bytes.Equal(p.Data, sent)) {
			t.Fatal("the picture has changed")
		}
	}
	// Both were sent together, ahead apart by the sender's clock.
	if d := last[1] - last[0] - ahead; d.Abs() > 60*time.Millisecond {
		t.Errorf("the sound is %v off", d)
	}
	if s := src.(ingest.Synced).Sync(); s.Reports == 0 || s.Offset == 0 {
		t.Errorf("sync %+v", s)
	}
	if _, exact := src.(ingest.Walled).Wall(ingest.Stamp{At: last[0]}); !exact {
		t.Error("the sender's clock is not known")
	}
	// Another publisher takes the place, and it takes nothing else.
	f.sendTo("cam")
	for err == nil {
		_, err = src.Read(t.Context())
	}
	if !errors.Is(err, ErrLeft) {
		t.Errorf("the replaced publisher ends with %v", err)
	}
	if _, n := f.srv.Sessions("cam"); n != 1 {
		t.Errorf("%d publishers", n)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	f.srv.Refuse("cam")
	if _, err := f.srv.Open(t.Context(), "cam"); err == nil {
		t.Error("a name that is refused was opened")
	}
}

// A track that says nothing at first joins when it does.
func TestPublishLate(t *testing.T) {
	f := newFixture(t, Options{}, nil)
	f.srv.Accept("cam")
	_, video, audio := f.sendTo("cam")
	var sounds atomic.Bool
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		p := H264.payloader()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		seq := uint16(0)
		for n := uint16(0); ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			payloads := p.Payload(mtu, startCodes(testSPS, testPPS, sliceI))
			for i, b := range payloads {
				_ = video.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: 1800 * uint32(n), Marker: i == len(payloads)-1}, Payload: b})
				seq++
			}
			if sounds.Load() {
				_ = audio.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: 960 * uint32(n)}, Payload: []byte{0xfc, 1, 2}})
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	src, err := f.srv.Open(ctx, "cam")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if ss := src.Streams(); len(ss) != 1 || ss[0].Kind != ingest.Video {
		t.Fatalf("streams %+v", ss)
	}
	sounds.Store(true)
	for first := true; ; {
		p, err := src.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if p.Stream == 0 {
			continue
		}
		if first != (p.Changed != nil) {
			t.Fatalf("%+v", p)
		}
		if !first {
			break
		}
		first = false
	}
	if ss := src.Streams(); len(ss) != 2 || ss[1].Codec != "opus" {
		t.Errorf("streams %+v", ss)
	}
}

func FuzzDepacketize(f *testing.F) {
	f.Add([]byte{0x67, 0x42, 0xc0}, []byte{0x7c, 0x85, 1}, true)
	f.Add([]byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0, 0, 0, 0}, []byte{0x90}, false)
	f.Fuzz(func(_ *testing.T, a, b []byte, marker bool) {
		for _, c := range published {
			d := newDepacketizer(c, 0)
			for i, p := range [][]byte{a, b, a} {
				if len(p) > 0 {
					d.unit(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(i), Marker: marker}, Payload: p})
				}
			}
		}
	})
}

// FuzzOffer asks that no offer does harm: it is answered or refused.
func FuzzOffer(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11\r\na=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n")
	f.Add("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\na=sctp-port:5000\r\n")
	srv, err := New(Options{UDP: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	feed := NewFeed(FeedOptions{})
	srv.Add("door", Source{Feed: feed})
	srv.Accept("cam")
	f.Cleanup(func() {
		_ = srv.Close()
		feed.Close()
	})
	f.Fuzz(func(t *testing.T, offer string) {
		if x, _, err := srv.view(t.Context(), "door", offer); err == nil {
			x.close()
		}
		if x, _, err := srv.publish(t.Context(), "cam", offer); err == nil {
			x.close()
		}
	})
}

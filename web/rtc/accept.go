package rtc

import (
	"context"
	"fmt"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/seehear/seehear/ingest"
)

// vp9 is taken from publishers; viewers get it transcoded.
const vp9 Codec = "vp9"

// published are the codecs that a publisher may send, the first that it knows being
// asked for: H.264 reaches viewers as it is.
var published = []Codec{H264, VP8, vp9, Opus}

// point is a name under which somebody may publish. Server.mu guards it.
type point struct {
	current *publisher // not yet opened, or being read
	wake    chan struct{}
	closed  bool
}

func (p *point) signal() {
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *point) close() {
	p.closed = true
	p.signal()
}

// Accept allows publishing under name until Refuse.
func (s *Server) Accept(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.points[name] == nil {
		s.points[name] = &point{wake: make(chan struct{})}
	}
}

// Refuse ends publishing under name: sessions end, and so does a waiting Open.
func (s *Server) Refuse(name string) {
	s.mu.Lock()
	if p := s.points[name]; p != nil {
		delete(s.points, name)
		p.close()
	}
	gone := s.of(kindPublish, name)
	s.mu.Unlock()
	closeAll(gone)
}

// Open waits until somebody publishes under name and it is known what, and returns
// their media. Each publisher is given out once. Open fails when ctx ends, when name
// is not accepted (any more), and when the server closes.
func (s *Server) Open(ctx context.Context, name string) (ingest.Source, error) {
	for {
		s.mu.Lock()
		p := s.points[name]
		if p == nil || p.closed || s.closed {
			s.mu.Unlock()
			return nil, fmt.Errorf("rtc: nobody may publish as %s", name)
		}
		wake := p.wake
		if c := p.current; c != nil && c.ready && !c.taken {
			c.taken = true
			s.mu.Unlock()
			return c, nil
		}
		s.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, fmt.Errorf("rtc: nobody publishes as %s: %w", name, ctx.Err())
		}
	}
}

// publish begins the session of a publisher.
func (s *Server) publish(ctx context.Context, name, offer string) (_ *session, answer string, err error) {
	s.mu.Lock()
	pt := s.points[name]
	s.mu.Unlock()
	if pt == nil {
		return nil, "", &problem{404, "nothing is published under this name"}
	}
	kinds, err := offered(offer)
	if err != nil {
		return nil, "", err
	}
	if err = s.reserve(); err != nil {
		return nil, "", err
	}
	x, err := s.newSession(s.api("", published), kindPublish, name)
	if err != nil {
		_ = s.join(nil)
		return nil, "", err
	}
	p := newPublisher(x, pt, kinds)
	defer func() {
		if err != nil {
			_ = s.join(nil)
			x.close()
		}
	}()
	if err = p.receive(kinds); err != nil {
		return nil, "", err
	}
	if answer, err = x.answer(ctx, offer); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	old := pt.current
	pt.current = p
	s.mu.Unlock()
	if old != nil {
		s.log.Info("a publisher takes the place of another", "source", name)
		old.end()
	}
	if err = s.join(x); err != nil {
		x.close()
		return nil, "", nil
	}
	return x, answer, nil
}

// offered returns the kinds of media that an offer sends, one track of each at most.
func offered(text string) (kinds []ingest.Kind, err error) {
	var d sdp.SessionDescription
	if err = d.UnmarshalString(text); err != nil {
		return nil, &problem{400, "the offer is no SDP: " + err.Error()}
	}
	have := map[ingest.Kind]bool{}
	for _, m := range d.MediaDescriptions {
		kind := ingest.Video
		switch m.MediaName.Media {
		case "video":
		case "audio":
			kind = ingest.Audio
		default:
			continue
		}
		_, recvonly := m.Attribute("recvonly")
		_, inactive := m.Attribute("inactive")
		switch {
		case recvonly, inactive:
		case have[kind]:
			return nil, &problem{422, "the offer has two tracks of " + kind.String()}
		default:
			have[kind] = true
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return nil, &problem{422, "the offer sends nothing"}
	}
	return kinds, nil
}

// receive makes the transceivers of a publisher, in the order of its offer.
func (p *publisher) receive(kinds []ingest.Kind) error {
	for _, k := range kinds {
		t := webrtc.RTPCodecTypeVideo
		if k == ingest.Audio {
			t = webrtc.RTPCodecTypeAudio
		}
		if _, err := p.pc.AddTransceiverFromKind(t, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return err
		}
	}
	return nil
}

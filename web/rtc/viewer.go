package rtc

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// sender is one track to one viewer.
type sender struct {
	codec           Codec
	track           *webrtc.TrackLocalStaticRTP
	rtp             *webrtc.RTPSender
	ssrc            uint32
	seq             uint16
	packets, octets uint32
}

// viewer is a session that plays a source.
type viewer struct {
	*session
	src        Source
	sub        *subscription
	senders    []*sender
	reports    int
	lastReport time.Time
	burst      int
}

// view begins the session of one viewer.
func (s *Server) view(ctx context.Context, name, offer string) (_ *session, answer string, err error) {
	s.mu.Lock()
	src, ok := s.sources[name]
	s.mu.Unlock()
	if !ok {
		return nil, "", &problem{404, "no such source"}
	}
	want, err := readOffer(offer)
	if err != nil {
		return nil, "", err
	}
	if err = s.reserve(); err != nil {
		return nil, "", err
	}
	x, err := s.newSession(s.api(want.video, nil), kindView, name)
	if err != nil {
		_ = s.join(nil)
		return nil, "", err
	}
	v := &viewer{session: x, src: src}
	x.connected = v.play
	defer func() {
		if err != nil {
			x.close()
		}
	}()
	for _, c := range []Codec{want.video, want.audio} {
		if c == "" {
			continue
		}
		if err = v.add(c); err != nil {
			_ = s.join(nil)
			return nil, "", err
		}
	}
	if want.data && src.Join != nil {
		if err = v.openChannel(); err != nil {
			_ = s.join(nil)
			return nil, "", err
		}
	}
	if answer, err = x.answer(ctx, offer); err != nil {
		_ = s.join(nil)
		return nil, "", err
	}
	return x, answer, s.join(x)
}

// add gives the viewer a track. Both have the same stream, so that browsers keep
// them in sync.
func (v *viewer) add(c Codec) error {
	t, err := webrtc.NewTrackLocalStaticRTP(c.capability(), c.Kind().String(), "seehear")
	if err != nil {
		return err
	}
	r, err := v.pc.AddTrack(t)
	if err != nil {
		return err
	}
	p := r.GetParameters()
	s := &sender{codec: c, track: t, rtp: r, ssrc: uint32(p.Encodings[0].SSRC), seq: uint16(p.Encodings[0].SSRC)}
	v.senders = append(v.senders, s)
	// Reading is what makes the connection answer requests for lost packets.
	v.spawn(func() { v.feedback(s) })
	return nil
}

// feedback reads what the viewer reports of a track, until the connection closes.
func (v *viewer) feedback(s *sender) {
	for {
		pkts, _, err := s.rtp.ReadRTCP()
		if err != nil {
			if v.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
				return
			}
			continue // a damaged packet
		}
		for _, p := range pkts {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				v.src.Feed.requestKey(s.codec)
			}
		}
	}
}

// play begins to send, once the connection is there.
func (v *viewer) play() {
	var video, audio Codec
	for _, s := range v.senders {
		if s.codec == Opus {
			audio = s.codec
		} else {
			video = s.codec
		}
	}
	v.spawn(func() {
		v.sub = v.src.Feed.subscribe(video, audio)
		defer v.src.Feed.unsubscribe(v.sub)
		for {
			u, waiting, err := v.sub.next(v.ctx)
			if err != nil {
				return
			}
			for _, s := range v.senders {
				if s.codec == u.codec {
					v.send(s, u, waiting)
				}
			}
		}
	})
}

// What waits is sent at this pace: a join's whole GOP at once would overflow the
// buffers on its way.
const (
	burstBytes = 32 << 10
	burstPause = 2 * time.Millisecond
)

// send writes one unit. What cannot be sent is lost, as on any network.
func (v *viewer) send(s *sender, u *unit, waiting int) {
	first := s.packets == 0
	for i, payload := range u.payloads {
		p := rtp.Packet{
			Header: rtp.Header{
				Version: 2, SequenceNumber: s.seq, Timestamp: u.ts,
				// The last packet of a picture.
				Marker: u.codec != Opus && i == len(u.payloads)-1,
			},
			Payload: payload,
		}
		s.seq++
		if s.track.WriteRTP(&p) != nil {
			continue
		}
		s.packets++
		s.octets += uint32(len(payload))
		if v.burst += len(payload); v.burst > burstBytes && waiting > 0 {
			v.burst = 0
			pause(v.ctx, burstPause)
		}
	}
	if waiting == 0 {
		v.burst = 0
	}
	v.report(first)
}

// report sends both tracks' sender reports, see Note [Sender reports]. Browsers
// need two to begin with.
func (v *viewer) report(now bool) {
	every := time.Second
	if v.reports < 2 {
		every = 200 * time.Millisecond
	}
	if !now && time.Since(v.lastReport) < every {
		return
	}
	at, ntp, ok := v.src.Feed.report()
	if !ok {
		return
	}
	var list []rtcp.Packet
	for _, s := range v.senders {
		if s.packets > 0 {
			list = append(list, &rtcp.SenderReport{
				SSRC: s.ssrc, NTPTime: ntp, RTPTime: v.src.Feed.rtpTime(s.codec, at),
				PacketCount: s.packets, OctetCount: s.octets,
			})
		}
	}
	v.reports++
	v.lastReport = time.Now()
	_ = v.pc.WriteRTCP(list) // lost as any other packet
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Package rtsp opens RTSP and RTSPS addresses as a live [ingest.Source], through
// gortsplib.
//
// The command wraps [Open] in live.Keep, which opens anew whatever fails:
//
//	src, err := live.Keep(ctx, func(ctx context.Context) (ingest.Source, error) {
//		return rtsp.Open(ctx, "rtsp://user:password@camera/stream", rtsp.Options{})
//	}, live.Options{})
//
// Packets come whole, as decode/ffmpeg takes them, and belong to whoever receives
// them: H.264 and H.265 as Annex B, with the parameter sets as Stream.Extra; AAC
// without headers, with its AudioSpecificConfig; the others as their codec says.
// Sound and picture are on one clock (see Note [The clock of RTP]). Pictures in
// front of the first that can be decoded are left out. No goroutine outlives Close.
package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
)

// Transport is how the media come.
type Transport uint8

// TCP goes through the connection of RTSP itself and every firewall; UDP may lose
// packets and is reordered; Auto tries UDP first, and TCP if nothing comes.
const (
	TCP Transport = iota
	UDP
	Auto
)

// Options say how to open an address; the zero value is right for most.
type Options struct {
	Transport Transport
	// ReadTimeout bounds every Read and every answer of the server: 10 s.
	ReadTimeout time.Duration
	// TLS is for rtsps; nil checks the certificate against the system's roots.
	TLS *tls.Config
}

// undescribed is how long a stream may keep Open waiting after the others are
// known.
const undescribed = 2 * time.Second

// Open connects, plays, and returns once it is known what the streams are: at once
// if the SDP says so, else with their first key frame. The context ends opening
// only. Errors are one line that names the address, without credentials, and the
// cause.
func Open(ctx context.Context, address string, opt Options) (*Source, error) {
	if opt.ReadTimeout <= 0 {
		opt.ReadTimeout = 10 * time.Second
	}
	s := &Source{name: ingest.Redact(address), opt: opt, notify: make(chan struct{}, 1), done: make(chan struct{})}
	if err := s.open(ctx, address); err != nil {
		if cause := ctx.Err(); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("ingest: open %s: %w", s.name, s.redacted(err))
	}
	return s, nil
}

func (s *Source) open(ctx context.Context, address string) error {
	u, err := base.ParseURL(address)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err // without the address
		}
		return err
	}
	if u.Host == "" {
		return errors.New("no host in the address")
	}
	if u.User != nil {
		if pass, ok := u.User.Password(); ok {
			s.secrets = append(s.secrets, pass, url.QueryEscape(pass), url.PathEscape(pass))
		}
	}
	c := &gortsplib.Client{
		Scheme: u.Scheme, Host: u.Host,
		ReadTimeout: s.opt.ReadTimeout, WriteTimeout: s.opt.ReadTimeout,
		TLSConfig:         s.opt.TLS,
		UserAgent:         "seehear",
		OnPacketsLost:     s.onLost,
		OnDecodeError:     func(error) { s.onDamage() },
		OnTransportSwitch: func(error) {},
		ListenPacket:      listenPacket(u.Scheme == "rtsps"),
	}
	switch s.opt.Transport {
	case TCP:
		c.Protocol = new(gortsplib.Protocol)
		*c.Protocol = gortsplib.ProtocolTCP
	case UDP:
		c.Protocol = new(gortsplib.Protocol)
		*c.Protocol = gortsplib.ProtocolUDP
	case Auto:
	}
	if err := c.Start(); err != nil {
		return err
	}
	s.client = c
	// From here on, the client has goroutines, and watch ends with them.
	go s.watch()
	unlink := context.AfterFunc(ctx, c.Close)
	defer unlink()
	if err := s.play(ctx, u); err != nil {
		c.Close()
		<-s.done
		return err
	}
	if !unlink() {
		<-s.done // the context closed the client
		return ctx.Err()
	}
	return nil
}

// listenPacket asks for a larger buffer than usual, as key frames come in bursts
// (the system gives what it allows), and puts the packets in order unless they are
// encrypted.
func listenPacket(encrypted bool) func(network, address string) (net.PacketConn, error) {
	return func(network, address string) (net.PacketConn, error) {
		c, err := net.ListenPacket(network, address)
		u, ok := c.(*net.UDPConn)
		if err != nil || !ok {
			return c, err
		}
		_ = u.SetReadBuffer(4 << 20)
		if encrypted {
			return u, nil
		}
		return newGapConn(u), nil
	}
}

// watch waits for the end of the client.
func (s *Source) watch() {
	defer close(s.done)
	err := s.client.Wait()
	if errors.As(err, new(liberrors.ErrClientTCPTimeout)) || errors.As(err, new(liberrors.ErrClientUDPTimeout)) {
		err = errTimeout // whose clock sees it first must not show
	}
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.wake()
}

// play describes, sets up, plays and waits until the streams are known.
func (s *Source) play(ctx context.Context, u *base.URL) error {
	desc, _, err := s.client.Describe(u)
	if err != nil {
		return err
	}
	tracks, err := choose(desc)
	if err != nil {
		return err
	}
	s.tracks = tracks
	for _, t := range tracks {
		if _, err = s.client.Setup(desc.BaseURL, t.media, 0, 0); err != nil {
			return err
		}
		s.client.OnPacketRTP(t.media, t.format, func(p *rtp.Packet) { s.onRTP(t, p) })
		s.client.OnPacketRTCP(t.media, func(p rtcp.Packet) { s.onRTCP(t, p) })
	}
	res, err := s.client.Play(nil)
	if err != nil {
		return err
	}
	if err := s.describe(ctx); err != nil {
		return err
	}
	s.begin(hints(res, s.tracks))
	return nil
}

// choose returns the first picture and the first sound that can be read.
func choose(desc *description.Session) ([]*track, error) {
	var tracks []*track
	var failed error
	var codecs []string
	seen := map[ingest.Kind]bool{}
	for i, m := range desc.Medias {
		if m.IsBackChannel {
			continue
		}
		t, err := newTrack(m)
		switch {
		case err != nil:
			failed = err
		case t == nil:
			for _, f := range m.Formats {
				codecs = append(codecs, f.Codec())
			}
		case !seen[t.stream.Kind]:
			seen[t.stream.Kind] = true
			t.stream.Index = i
			tracks = append(tracks, t)
		}
	}
	switch {
	case len(tracks) > 0:
		return tracks, nil
	case failed != nil:
		return nil, failed
	case len(codecs) > 0:
		return nil, fmt.Errorf("%w: %s", ingest.ErrNoMedia, strings.Join(codecs, ", "))
	}
	return nil, ingest.ErrNoMedia
}

// describe waits until the streams are known. One that stays unknown for a while
// after the others is not waited for.
func (s *Source) describe(ctx context.Context) error {
	timer := time.NewTimer(s.opt.ReadTimeout)
	defer timer.Stop()
	short := false
	for {
		known, err := s.known()
		switch {
		case err != nil:
			return err
		case known == len(s.tracks):
			return nil
		case known > 0 && !short:
			short = true
			timer.Reset(min(undescribed, s.opt.ReadTimeout))
		}
		select {
		case <-s.notify:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return s.giveUp()
		}
	}
}

// known counts the streams that are described.
func (s *Source) known() (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tracks {
		if t.ready {
			n++
		}
	}
	return n, s.err
}

// giveUp goes on without the streams of which nothing is known yet.
func (s *Source) giveUp() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := false
	for _, t := range s.tracks {
		t.late = !t.ready
		known = known || t.ready
	}
	if !known {
		return errNothing
	}
	return nil
}

// hints returns for each track the tick that RTP-Info gives for the moment of PLAY.
func hints(res *base.Response, tracks []*track) []*uint32 {
	out := make([]*uint32, len(tracks))
	var info headers.RTPInfo
	if info.Unmarshal(res.Header["RTP-Info"]) != nil {
		return out
	}
	for i, t := range tracks {
		for _, e := range info {
			if e.Timestamp != nil && t.media.Control != "" && strings.HasSuffix(e.URL, t.media.Control) {
				out[i] = e.Timestamp
			}
		}
	}
	return out
}

// redacted is err without credentials, whatever it quotes.
func (s *Source) redacted(err error) error {
	text := strings.ReplaceAll(ingest.Redact(err.Error()), "\n", " ")
	for _, secret := range s.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, ingest.Redacted)
		}
	}
	if text == err.Error() {
		return err
	}
	return &redactedError{text, err}
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

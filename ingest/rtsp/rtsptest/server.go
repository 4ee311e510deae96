// Package rtsptest is an RTSP server for tests, in the process and on the
// loopback: it plays clips whose truth is known and fails as told.
//
// Tests call [Start] with a [Media], which [Load] reads from a file, and do to the
// [Server] what networks, cameras and their clocks do. The server plays all the
// time, whether anybody watches or not, as a camera does; Options.Speed lets time
// run faster, for the server's clock as well.
package rtsptest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/bluenviron/gortsplib/v5/pkg/ntp"
	"github.com/pion/rtcp"

	"github.com/seehear/seehear/ingest"
)

// Options are the settings of a server; the zero value plays in real time over TCP
// and sends a report every half second.
type Options struct {
	Speed float64 // 1
	// Reports is the time between the sender reports of a stream; negative sends
	// none.
	Reports time.Duration
	// SoundLate sends the sound this much later than the picture, so that arrival
	// lies about what belongs together.
	SoundLate time.Duration
	InBand    bool // the SDP has no parameter sets

	UDP     bool
	Loss    float64 // of packets, over UDP
	Reorder float64 // of packets, over UDP

	TLS            *tls.Config
	User, Password string
	Digest         bool // else Basic
}

// Server is a running server.
type Server struct {
	tb   testing.TB
	opt  Options
	addr string
	udp  [2]string
	net  network

	// Begun at Start; time and wall clock of the server go by it.
	begun time.Time

	mu     sync.Mutex
	media  *Media
	up     *instance
	step   time.Duration // of the ticks and the wall clock
	wall   time.Duration // of the wall clock alone
	muted  map[ingest.Kind]bool
	played int
}

// instance is the server between Restart and Kill.
type instance struct {
	server *gortsplib.Server
	stream *gortsplib.ServerStream
	quit   chan struct{}
	done   chan struct{}
}

// Start starts a server, which the end of the test closes.
func Start(tb testing.TB, m *Media, opt Options) *Server {
	tb.Helper()
	if opt.Speed == 0 {
		opt.Speed = 1
	}
	if opt.Reports == 0 {
		opt.Reports = time.Second / 2
	}
	s := &Server{tb: tb, opt: opt, addr: "127.0.0.1:0", media: m, begun: time.Now(), muted: map[ingest.Kind]bool{}}
	s.net.loss, s.net.reorder = opt.Loss, opt.Reorder
	s.Restart()
	tb.Cleanup(s.Kill)
	return s
}

// URL is the address to open, with user and password if there are any.
func (s *Server) URL() string {
	scheme, user := "rtsp", ""
	if s.opt.TLS != nil {
		scheme = "rtsps"
	}
	if s.opt.User != "" {
		user = s.opt.User + ":" + s.opt.Password + "@"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return scheme + "://" + user + s.addr + "/clip"
}

// Restart starts the server again, on its old address.
func (s *Server) Restart() {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up != nil {
		return
	}
	s.net.freeze(false)
	var err error
	for range 50 {
		if s.up, err = s.start(); err == nil {
			return
		}
	}
	s.tb.Fatal(err)
}

// start makes an instance. The caller holds mu.
func (s *Server) start() (*instance, error) {
	in := &instance{quit: make(chan struct{}), done: make(chan struct{})}
	in.server = &gortsplib.Server{
		Handler: &handler{s}, RTSPAddress: s.addr, TLSConfig: s.opt.TLS,
		WriteQueueSize: 1 << 12, DisableRTCPSenderReports: true,
		Listen: s.net.listen, ListenPacket: s.net.listenPacket,
		AuthMethods: []auth.VerifyMethod{auth.VerifyMethodBasic},
	}
	if s.opt.Digest {
		in.server.AuthMethods = []auth.VerifyMethod{auth.VerifyMethodDigestMD5}
	}
	if s.opt.UDP {
		if s.udp[0] == "" {
			port := 20000 + 2*rand.IntN(20000)
			in.server.UDPRTPAddress, in.server.UDPRTCPAddress = fmt.Sprint("127.0.0.1:", port), fmt.Sprint("127.0.0.1:", port+1)
		} else {
			in.server.UDPRTPAddress, in.server.UDPRTCPAddress = s.udp[0], s.udp[1]
		}
	}
	if err := in.server.Start(); err != nil {
		return nil, err
	}
	s.udp = [2]string{in.server.UDPRTPAddress, in.server.UDPRTCPAddress}
	s.addr = in.server.NetListener().Addr().String()
	p, err := s.describe(in, s.media)
	if err != nil {
		in.server.Close()
		return nil, err
	}
	go p.run()
	return in, nil
}

// describe makes the stream of an instance and its player.
func (s *Server) describe(in *instance, m *Media) (*player, error) {
	p := &player{s: s, in: in, media: m}
	desc := &description.Session{}
	for i, st := range m.Streams {
		sender, err := NewSender(st, uint8(96+i), s.opt.InBand)
		if err != nil {
			return nil, err
		}
		kind := description.MediaTypeVideo
		if st.Kind == ingest.Audio {
			kind = description.MediaTypeAudio
		}
		medi := &description.Media{Type: kind, Formats: []format.Format{sender.Format}}
		desc.Medias = append(desc.Medias, medi)
		p.outs = append(p.outs, out{sender: sender, media: medi, kind: st.Kind, base: rand.Uint32(), seq: uint16(rand.Uint32())})
	}
	in.stream = &gortsplib.ServerStream{Server: in.server, Desc: desc}
	p.stream = in.stream
	return p, in.stream.Initialize()
}

// Kill closes every connection and the server. Connections to its address are
// refused until Restart.
func (s *Server) Kill() {
	s.mu.Lock()
	in := s.up
	s.up = nil
	s.mu.Unlock()
	if in == nil {
		return
	}
	close(in.quit)
	<-in.done
	in.server.Close()
}

// Freeze makes the server fall silent without closing anything, as a machine does
// that lost its power; new connections are accepted and not answered. Restart
// after Kill ends it.
func (s *Server) Freeze() { s.net.freeze(true) }

// StepClock sets the clock of the server, and the ticks of its streams with it.
func (s *Server) StepClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step += d
}

// StepWall sets only the wall clock, of which the reports speak.
func (s *Server) StepWall(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wall += d
}

// Mute stops sending the streams of a kind, or begins again.
func (s *Server) Mute(kind ingest.Kind, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted[kind] = on
}

// Play goes on with other media from their beginning, within the session and
// without a word: the streams must be of the same codecs.
func (s *Server) Play(m *Media) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.media = m
}

// Switch ends all sessions and goes on with other media.
func (s *Server) Switch(m *Media) {
	s.tb.Helper()
	s.Kill()
	s.Play(m)
	s.Restart()
}

// Sessions returns how many sessions were played so far.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.played
}

// wallAt returns the server's wall clock when a time of its stream was presented.
func (s *Server) wallAt(at time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun.Add(at + s.step + s.wall)
}

// now is the server's own time: since Start, at its speed.
func (s *Server) now() time.Duration {
	return time.Duration(float64(time.Since(s.begun)) * s.opt.Speed)
}

// handler answers requests.
type handler struct{ s *Server }

func (h *handler) allowed(c *gortsplib.ServerConn, r *base.Request) bool {
	return h.s.opt.User == "" || c.VerifyCredentials(r, h.s.opt.User, h.s.opt.Password)
}

func (h *handler) current() *gortsplib.ServerStream {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.up == nil {
		return nil
	}
	return h.s.up.stream
}

func (h *handler) answer(c *gortsplib.ServerConn, r *base.Request) (*base.Response, *gortsplib.ServerStream, error) {
	if !h.allowed(c, r) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	st := h.current()
	if st == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, st, nil
}

func (h *handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return h.answer(ctx.Conn, ctx.Request)
}

func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return h.answer(ctx.Conn, ctx.Request)
}

func (h *handler) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	h.s.played++
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnStreamWriteError keeps gortsplib from printing: a frozen reader is no news.
func (h *handler) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}

// player sends the packets of an instance when they are due.
type player struct {
	s      *Server
	in     *instance
	stream *gortsplib.ServerStream
	media  *Media
	outs   []out
}

type out struct {
	sender *Sender
	media  *description.Media
	kind   ingest.Kind
	base   uint32
	seq    uint16
	report time.Duration // when the next one is due
}

var errQuit = errors.New("over")

func (p *player) run() {
	defer close(p.in.done)
	for start := p.s.now(); ; {
		media, err := p.round(start)
		if err != nil {
			return
		}
		start += media.Length
	}
}

// round plays the media once; it ends early where others are to be played.
func (p *player) round(start time.Duration) (*Media, error) {
	p.s.mu.Lock()
	if next := p.s.media; next != p.media && len(next.Streams) == len(p.outs) {
		p.media = next
		for i, st := range next.Streams {
			if sender, err := NewSender(st, p.outs[i].sender.Format.PayloadType(), p.s.opt.InBand); err == nil {
				p.outs[i].sender.Encode = sender.Encode
			}
		}
	}
	m := p.media
	p.s.mu.Unlock()
	place := map[int]int{}
	for i, st := range m.Streams {
		place[st.Index] = i
	}
	// By the time at which they are sent, if the sound goes late.
	var late []ingest.Packet
	send := func(pkt *ingest.Packet) error { return p.send(&p.outs[place[pkt.Stream]], pkt, start) }
	for i := range m.Packets {
		pkt := &m.Packets[i]
		for len(late) > 0 && due(&late[0])+p.s.opt.SoundLate <= due(pkt) {
			if err := p.wait(start + due(&late[0]) + p.s.opt.SoundLate); err != nil {
				return m, err
			}
			if err := send(&late[0]); err != nil {
				return m, err
			}
			late = late[1:]
		}
		if p.s.opt.SoundLate > 0 && p.outs[place[pkt.Stream]].kind == ingest.Audio {
			late = append(late, *pkt)
			continue
		}
		if err := p.wait(start + due(pkt)); err != nil {
			return m, err
		}
		if err := send(pkt); err != nil {
			return m, err
		}
	}
	for i := range late {
		if err := send(&late[i]); err != nil {
			return m, err
		}
	}
	return m, p.wait(start + m.Length)
}

// wait waits until the server's time is at.
func (p *player) wait(at time.Duration) error {
	d := time.Duration(float64(at-p.s.now()) / p.s.opt.Speed)
	if d <= 0 {
		select {
		case <-p.in.quit:
			return errQuit
		default:
			return nil
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.in.quit:
		return errQuit
	}
}

// send sends an access unit, and a report if one is due.
func (p *player) send(o *out, pkt *ingest.Packet, start time.Duration) error {
	at := start + pkt.PTS
	tb := ingest.Timebase{Num: 1, Den: int32(o.sender.Rate)}
	p.s.mu.Lock()
	step, muted := p.s.step, p.s.muted[o.kind]
	p.s.mu.Unlock()
	if muted {
		return nil
	}
	tick := o.base + uint32(tb.Ticks(at+step))
	list, err := o.sender.Encode(pkt)
	if err != nil {
		p.s.tb.Errorf("rtsptest: %v", err)
		return err
	}
	wall := p.s.wallAt(at)
	if p.s.opt.Reports > 0 && at >= o.report {
		o.report = at + p.s.opt.Reports
		sr := &rtcp.SenderReport{SSRC: 1, NTPTime: ntp.Encode(wall), RTPTime: tick}
		if err := p.stream.WritePacketRTCP(o.media, sr); err != nil {
			return err
		}
	}
	for _, r := range list {
		r.Timestamp += tick
		r.SequenceNumber = o.seq
		o.seq++
		if err := p.stream.WritePacketRTPWithNTP(o.media, r, wall); err != nil {
			return err
		}
	}
	return nil
}

package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/webrtc/v4"
)

// ICEServer is a STUN or TURN server.
type ICEServer struct {
	URLs                 []string // such as "stun:stun.example.org:3478" or "turn:…?transport=udp"
	Username, Credential string   // of TURN
}

// Options configure a [Server].
type Options struct {
	// UDP is the address of the one UDP port for all peers, such as ":8189". With
	// no host, every address that the machine has now is used, and port 0 picks a
	// free one.
	UDP string
	// TCP is the address where peers come in whose network blocks UDP; empty means
	// nowhere.
	TCP string
	// PublicIPs are told to peers besides the machine's own addresses, for a
	// machine behind a translator that forwards the ports.
	PublicIPs []string
	// ICEServers are used by the server itself and told to peers in Link headers.
	ICEServers []ICEServer
	// Loopback offers the loopback addresses as well. It is implied where UDP or
	// TCP names one.
	Loopback bool
	// Origin says whether a page of that origin may use the handlers from another
	// site. Nil allows none.
	Origin func(origin string) bool
	// MaxSessions bounds the peers of both kinds, 0 means 1000.
	MaxSessions int
	Log         *slog.Logger // nil discards
}

// Source is what viewers of one name get.
type Source struct {
	Feed *Feed
	// Join returns what goes to one viewer on the data channel; nil, or a nil
	// result, is a source without.
	Join func() Messages
}

// Server holds the peers of all sources.
type Server struct {
	opt      Options
	log      *slog.Logger
	udp      ice.UDPMux
	tcp      ice.TCPMux
	settings webrtc.SettingEngine
	wg       sync.WaitGroup // goroutines that close a session

	mu       sync.Mutex
	closed   bool
	sources  map[string]Source
	points   map[string]*point
	sessions map[string]*session
	opening  int // sessions that are being negotiated
}

// ErrClosed says that the server was closed.
var ErrClosed = errors.New("rtc: the server is closed")

// New listens.
func New(opt Options) (_ *Server, err error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.MaxSessions <= 0 {
		opt.MaxSessions = 1000
	}
	s := &Server{
		opt: opt, log: opt.Log,
		sources: map[string]Source{}, points: map[string]*point{}, sessions: map[string]*session{},
	}
	defer func() {
		if err != nil {
			s.closeMuxes()
			err = fmt.Errorf("rtc: %w", err)
		}
	}()
	loopback := opt.Loopback || isLoopback(opt.UDP) || isLoopback(opt.TCP)
	if s.udp, err = listenUDP(opt.UDP, loopback, logs{s.log}); err != nil {
		return nil, err
	}
	networks := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	e := &s.settings
	if opt.TCP != "" {
		l, listenErr := net.Listen("tcp", opt.TCP)
		if listenErr != nil {
			return nil, listenErr
		}
		s.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: l, Logger: logs{s.log}.NewLogger("tcp"),
			ReadBufferSize: 64, WriteBufferSize: queueBytes, // what doesn't fit is dropped: nobody waits for a dead peer
			FirstStunBindTimeout: 10 * time.Second, AliveDurationForConnFromStun: 10 * time.Second,
		})
		e.SetICETCPMux(s.tcp)
		networks = append(networks, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
	}
	e.SetICEUDPMux(s.udp)
	e.SetNetworkTypes(networks)
	e.DisableActiveTCP(true)
	e.SetIncludeLoopbackCandidate(loopback)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetICETimeouts(disconnectedAfter, failedAfter, 2*time.Second)
	e.SetSTUNGatherTimeout(gatherTimeout)
	e.LoggerFactory = logs{s.log}
	if len(opt.PublicIPs) > 0 {
		for _, ip := range opt.PublicIPs {
			if net.ParseIP(ip) == nil {
				return nil, fmt.Errorf("public IP %q: not an address", ip)
			}
		}
		if err = e.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External: opt.PublicIPs, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteAppend,
		}); err != nil {
			return nil, err
		}
	}
	// A bad server address must not wait for the first viewer to be noticed.
	pc, err := s.api("", nil).NewPeerConnection(s.configuration())
	if err != nil {
		return nil, err
	}
	return s, pc.Close()
}

const (
	disconnectedAfter = 5 * time.Second
	failedAfter       = 10 * time.Second // after that
	connectWithin     = 30 * time.Second
	gatherTimeout     = 3 * time.Second
)

func isLoopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// socketBuffer is asked of the kernel for the one port; it may give less.
const socketBuffer = 4 << 20

func listenUDP(addr string, loopback bool, l logs) (ice.UDPMux, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("UDP address %q: %w", addr, err)
	}
	if host != "" {
		udp, resolveErr := net.ResolveUDPAddr("udp", addr)
		if resolveErr != nil {
			return nil, fmt.Errorf("UDP address %q: %w", addr, resolveErr)
		}
		conn, listenErr := net.ListenUDP("udp", udp)
		if listenErr != nil {
			return nil, listenErr
		}
		_ = conn.SetReadBuffer(socketBuffer)
		_ = conn.SetWriteBuffer(socketBuffer)
		return ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: l.NewLogger("udp")}), nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("UDP address %q: the port is no number", addr)
	}
	if port == 0 {
		conn, listenErr := net.ListenUDP("udp", nil)
		if listenErr != nil {
			return nil, listenErr
		}
		port = uint64(conn.LocalAddr().(*net.UDPAddr).Port)
		_ = conn.Close()
	}
	opts := []ice.UDPMuxFromPortOption{
		ice.UDPMuxFromPortWithReadBufferSize(socketBuffer), ice.UDPMuxFromPortWithWriteBufferSize(socketBuffer),
		ice.UDPMuxFromPortWithLogger(l.NewLogger("udp")),
	}
	if loopback {
		opts = append(opts, ice.UDPMuxFromPortWithLoopback())
	}
	// One socket per address, so that answers leave from where the question came.
	return ice.NewMultiUDPMuxFromPort(int(port), opts...)
}

// api returns what makes the peer connections of one kind: those that may send
// video (and Opus), or those that publish any of several.
func (s *Server) api(video Codec, publish []Codec) *webrtc.API {
	m := &webrtc.MediaEngine{}
	pt := webrtc.PayloadType(96)
	register := func(c webrtc.RTPCodecCapability, kind webrtc.RTPCodecType) {
		// Only a payload type that is taken is refused.
		_ = m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: pt}, kind)
		pt++
		if kind == webrtc.RTPCodecTypeVideo {
			_ = m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: VideoRate, SDPFmtpLine: "apt=" + strconv.Itoa(int(pt-1)),
			}}, kind)
			pt++
		}
	}
	codecs := publish
	if codecs == nil {
		codecs = []Codec{video, Opus}
	}
	for _, c := range codecs {
		switch c {
		case H264:
			for _, profile := range []string{"42e01f", "42001f", "4d001f", "64001f"} {
				h := c.capability()
				h.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + profile
				register(h, webrtc.RTPCodecTypeVideo)
			}
		case VP8:
			register(c.capability(), webrtc.RTPCodecTypeVideo)
		case vp9:
			register(webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeVP9, ClockRate: VideoRate, SDPFmtpLine: "profile-id=0", RTCPFeedback: feedback,
			}, webrtc.RTPCodecTypeVideo)
		case Opus:
			register(c.capability(), webrtc.RTPCodecTypeAudio)
		}
	}
	// Reports are ours in both directions: of the sender from media time, of the
	// receiver by what reorders the packets. Lost packets are sent again, and a
	// publisher is told what arrived (TWCC).
	r := &interceptor.Registry{}
	responder, err := nack.NewResponderInterceptor(nack.ResponderSize(512))
	if err == nil {
		r.Add(responder)
	}
	if publish != nil {
		if g, err := nack.NewGeneratorInterceptor(); err == nil {
			r.Add(g)
		}
		_ = webrtc.ConfigureTWCCSender(m, r)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(r), webrtc.WithSettingEngine(s.settings))
}

func (s *Server) configuration() webrtc.Configuration {
	c := webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}
	for _, i := range s.opt.ICEServers {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{URLs: i.URLs, Username: i.Username, Credential: i.Credential})
	}
	return c
}

// Add offers a source to viewers, in place of one of that name.
func (s *Server) Add(name string, src Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources[name] = src
}

// Remove takes a source away and ends its viewers' sessions. What their
// [Messages] still hold is sent first if it ends with io.EOF within a second.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	delete(s.sources, name)
	gone := s.of(kindView, name)
	s.mu.Unlock()
	closeAll(gone)
}

// Sessions returns how many viewers and publishers of that name there are.
func (s *Server) Sessions(name string) (viewers, publishers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.of(kindView, name)), len(s.of(kindPublish, name))
}

// of returns the sessions of one kind and name. s is locked.
func (s *Server) of(k kind, name string) (list []*session) {
	for _, x := range s.sessions {
		if x.kind == k && x.name == name {
			list = append(list, x)
		}
	}
	return list
}

func closeAll(list []*session) {
	var wg sync.WaitGroup
	for _, x := range list {
		wg.Go(x.end)
	}
	wg.Wait()
}

// Close ends every session and frees the ports.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	var all []*session
	for _, x := range s.sessions {
		all = append(all, x)
	}
	for _, p := range s.points {
		p.close()
	}
	s.mu.Unlock()
	closeAll(all)
	s.wg.Wait()
	return s.closeMuxes()
}

func (s *Server) closeMuxes() (err error) {
	if s.udp != nil {
		err = s.udp.Close()
	}
	if s.tcp != nil {
		err = errors.Join(err, s.tcp.Close())
	}
	return err
}

// reserve takes a place for a session that is being negotiated.
func (s *Server) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return &problem{503, "the server is closing"}
	case len(s.sessions)+s.opening >= s.opt.MaxSessions:
		return &problem{503, "too many sessions"}
	}
	s.opening++
	return nil
}

// join makes a reserved place a session, or gives it back if x is nil.
func (s *Server) join(x *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening--
	if x == nil {
		return nil
	}
	if s.closed {
		return &problem{503, "the server is closing"}
	}
	s.sessions[x.id] = x
	return nil
}

// find returns a session by its place.
func (s *Server) find(k kind, name, id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.sessions[id]; x != nil && x.kind == k && x.name == name {
		return x
	}
	return nil
}

// gathered waits until the candidates are known, as there is no way to send any
// later, but not for a STUN server that doesn't answer.
func gathered(ctx context.Context, done <-chan struct{}) {
	t := time.NewTimer(gatherTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}

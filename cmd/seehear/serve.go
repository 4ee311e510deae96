package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seehear/seehear"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/sinks/encode"
	"github.com/seehear/seehear/web"
	"github.com/seehear/seehear/web/hub"
	"github.com/seehear/seehear/web/ring"
	"github.com/seehear/seehear/web/rtc"
	"github.com/seehear/seehear/web/viewer"
)

// serveCmd watches live sources and shows them to browsers. Each flag is a key of
// the configuration file and an environment variable as well, see serveConfig.
type serveCmd struct {
	Inputs []string `arg:"" optional:"" name:"input" help:"Files, which are played at their own speed, over and over, and URLs; each is named after itself."`
	Source []string `name:"source" sep:"none" placeholder:"NAME=URL" help:"A source under a name of yours; repeatable. publish: is one that browsers and OBS send to."`
	Config string   `placeholder:"FILE" help:"The configuration; seehear.yaml, if it is there. Sources that are added, changed or removed in it are taken up at once."`

	Listen        string   `default:"127.0.0.1:8555" placeholder:"HOST:PORT" help:"Where to serve (${default})."`
	Host          []string `placeholder:"NAME" help:"Names by which browsers reach this server."`
	Origin        []string `placeholder:"URL" help:"Pages elsewhere that may use this server."`
	Token         []string `placeholder:"TOKEN" help:"Tokens of those who may look."`
	PublishToken  []string `name:"publish-token" placeholder:"TOKEN" help:"Tokens of those who may publish."`
	Users         string   `placeholder:"FILE" help:"A file with a line per user: view NAME TOKEN, or publish NAME TOKEN."`
	Insecure      bool     `help:"Serve off the loopback address without a token too."`
	TLSCert       string   `name:"tls-cert" placeholder:"FILE" help:"Certificate (PEM)."`
	TLSKey        string   `name:"tls-key" placeholder:"FILE" help:"Its key (PEM)."`
	TLSSelfSigned bool     `name:"tls-self-signed" help:"Make a certificate."`

	UDPPort      int      `name:"udp-port" default:"0" placeholder:"PORT" help:"The one UDP port of all viewers; 0 is the number of the port of --listen."`
	TCPPort      int      `name:"tcp-port" default:"0" placeholder:"PORT" help:"Port for viewers whose network blocks UDP; 0 is the one after that of --listen, and none on the loopback address; -1 is none."`
	PublicIP     []string `name:"public-ip" placeholder:"IP" help:"Addresses under which this machine is reached from outside."`
	STUN         []string `name:"stun" placeholder:"HOST:PORT" help:"STUN servers."`
	TURN         []string `name:"turn" placeholder:"HOST:PORT" help:"TURN servers."`
	TURNUser     string   `name:"turn-user" placeholder:"NAME" help:"Name at the TURN servers."`
	TURNPassword string   `name:"turn-password" placeholder:"WORD" help:"Password at the TURN servers."`

	SyncDelay string        `name:"sync-delay" default:"auto" placeholder:"auto|0|500ms" help:"How long picture and sound are held back so that results come in time: auto is as long as 95 % of them take, at most 1 s."`
	Slots     int           `default:"0" placeholder:"N" help:"Networks that run at once over all sources; 0 is twice the number of processors."`
	MaxLag    time.Duration `name:"max-lag" default:"1s" help:"How long one stream of a source may lag behind the other before it is left behind (${default})."`

	Record      string        `placeholder:"DIR" help:"Write the results there: a folder per source, a file per hour."`
	RecordSize  int64         `name:"record-size" default:"64" placeholder:"MB" help:"Largest file of results (${default} MB)."`
	RecordAge   time.Duration `name:"record-age" default:"1h" help:"Longest file of results (${default})."`
	RecordFiles int           `name:"record-files" default:"200" placeholder:"N" help:"Files of results that are kept of each source (${default})."`
	Ring        string        `placeholder:"DIR" help:"Folder of the last minutes of each source, for jumping back; by default a temporary one, none for none."`
	RingLength  time.Duration `name:"ring-length" default:"10m" help:"How much is kept (${default})."`
	RingSize    int64         `name:"ring-size" default:"512" placeholder:"MB" help:"And how much at most of each source (${default} MB)."`

	familyFlags

	file configured // as it was read at the start
}

// serving is what a serve run shares between its sources.
type serving struct {
	cmd   *serveCmd
	log   *slog.Logger
	net   *network
	fair  *seehear.Fair
	hub   *hub.Hub
	rtc   *rtc.Server
	store *ring.Store // nil without
	web   *web.Server

	delay atomic.Pointer[string] // sync-delay

	mu       sync.Mutex
	stations map[string]*station
}

// Run is called by kong.
func (c *serveCmd) Run(ctx context.Context, g *cli, s streams, stop softStop) (err error) {
	if err = c.check(); err != nil {
		return &exitError{exitUsage, fmt.Errorf("serve: %w", err)}
	}
	wanted, err := c.sources(c.file.configFile)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("serve: %w", err)}
	}
	if len(wanted) == 0 && c.Config == "" {
		return &exitError{exitUsage, errors.New("serve: no source: name a file or a URL, or put sources into seehear.yaml")}
	}
	level := g.LogLevel
	if level == "off" {
		level = "warn" // what goes wrong while it serves is nowhere else
	}
	l := &serving{cmd: c, log: newLogger(s.err, level), stations: map[string]*station{}}
	l.delay.Store(&c.SyncDelay)
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	closers := []func() error{func() error { _ = ln.Close(); return nil }} // Serve has closed it
	defer func() {
		for _, f := range slices.Backward(closers) {
			err = errors.Join(err, f())
		}
	}()
	if l.net, err = c.load(g.ONNXRuntime, true); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	closers = append(closers, l.net.close)
	if l.net.pack != nil && l.net.pack.Fixture {
		fmt.Fprintf(s.err, "seehear: the models of %s are test fixtures; their results mean nothing\n", l.net.pack.Name)
	}
	slots := c.Slots
	if slots == 0 {
		slots = 2 * runtime.GOMAXPROCS(0)
	}
	l.fair = seehear.NewFair(slots)
	l.hub = hub.New(hub.Options{})
	if l.rtc, err = rtc.New(c.rtc(ln.Addr().(*net.TCPAddr), l.log)); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	closers = append(closers, l.rtc.Close)
	shut, err := l.openRing()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	closers = append(closers, shut)
	if l.web, err = web.New(l.webOptions()); err != nil {
		return fmt.Errorf("serve: %w", err)
	}

	ctx, end := stop.within(ctx)
	defer end()
	closers = append(closers, l.stopAll)
	if err = l.apply(ctx, wanted); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		l.watch(ctx)
	}()
	c.greet(s, ln.Addr().(*net.TCPAddr), l.web.Fingerprint())
	err = l.web.Serve(ctx, ln)
	end()
	<-watched
	return err
}

// greet says where to look.
func (c *serveCmd) greet(s streams, addr *net.TCPAddr, fingerprint string) {
	scheme, host := "http", addr.IP.String()
	if c.TLSCert != "" || c.TLSSelfSigned {
		scheme = "https"
	}
	switch {
	case len(c.Host) > 0 && c.Host[0] != "*":
		host = c.Host[0]
	case addr.IP.IsUnspecified():
		host = "localhost"
	}
	fmt.Fprintf(s.out, "open %s://%s/\n", scheme, net.JoinHostPort(host, strconv.Itoa(addr.Port)))
	if fingerprint != "" {
		fmt.Fprintf(s.out, "its certificate has the SHA-256 %s\n", fingerprint)
	}
}

// rtc says where peers come in.
func (c *serveCmd) rtc(addr *net.TCPAddr, log *slog.Logger) rtc.Options {
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = ""
	}
	at := func(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
	o := rtc.Options{PublicIPs: c.PublicIP, Log: log}
	switch {
	case c.UDPPort > 0:
		o.UDP = at(c.UDPPort)
	case c.listenPort() == 0:
		o.UDP = at(0)
	default:
		o.UDP = at(addr.Port)
	}
	switch {
	case c.TCPPort > 0:
		o.TCP = at(c.TCPPort)
	case c.TCPPort < 0 || addr.IP.IsLoopback(): // nothing blocks UDP there
	case c.listenPort() == 0:
		o.TCP = at(0)
	default:
		o.TCP = at(addr.Port + 1)
	}
	for _, u := range c.STUN {
		o.ICEServers = append(o.ICEServers, rtc.ICEServer{URLs: []string{"stun:" + u}})
	}
	for _, u := range c.TURN {
		o.ICEServers = append(o.ICEServers, rtc.ICEServer{URLs: []string{"turn:" + u}, Username: c.TURNUser, Credential: c.TURNPassword})
	}
	return o
}

func (c *serveCmd) listenPort() int {
	_, port, _ := net.SplitHostPort(c.Listen)
	n, _ := strconv.Atoi(port)
	return n
}

// openRing makes the store of the last minutes; shut closes and, if it is a
// temporary one, removes it.
func (l *serving) openRing() (shut func() error, err error) {
	c, dir := l.cmd, l.cmd.Ring
	if dir == "none" {
		return func() error { return nil }, nil
	}
	remove := func() error { return nil }
	if dir == "" {
		if dir, err = os.MkdirTemp("", "seehear-ring-"); err != nil {
			return nil, err
		}
		remove = func() error { return os.RemoveAll(dir) }
	}
	l.store, err = ring.Open(dir, ring.Options{Span: c.RingLength, MaxBytes: c.RingSize << 20, Log: l.log})
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return func() error { return errors.Join(l.store.Close(), remove()) }, nil
}

func (l *serving) webOptions() web.Options {
	c := l.cmd
	o := web.Options{
		Hub: l.hub, Viewer: viewer.Files(),
		WHEP: l.rtc.WHEP(), WHIP: l.rtc.WHIP(),
		Access:   web.Access{View: c.Token, Publish: c.PublishToken, Users: c.Users},
		Insecure: c.Insecure, Hosts: c.Host, Origins: c.Origin,
		TLS: web.TLS{Cert: c.TLSCert, Key: c.TLSKey, SelfSigned: c.TLSSelfSigned},
		Log: l.log,
		Handles: func() map[string]int {
			return map[string]int{"demuxing": int(av.Handles()), "decoding": int(ffmpeg.Handles()), "inference": int(ort.Handles()), "encoding": int(encode.Handles())}
		},
	}
	if l.store != nil {
		o.Ring = l.store
	}
	if c.TLSSelfSigned {
		if dir, err := os.UserCacheDir(); err == nil {
			o.TLS.Dir = filepath.Join(dir, "seehear", "tls")
		}
	}
	return o
}

// stopAll stops every source.
func (l *serving) stopAll() error {
	l.mu.Lock()
	all := l.stations
	l.stations = map[string]*station{}
	l.mu.Unlock()
	for _, st := range all {
		st.cancel()
	}
	for _, st := range all {
		<-st.ended
	}
	return nil
}

package rtsptest

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// network is what lies between the server and its clients.
type network struct {
	frozen        atomic.Bool
	loss, reorder float64
	lost          atomic.Int64
}

func (n *network) freeze(on bool) { n.frozen.Store(on) }

func (n *network) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &listener{l, n}, nil
}

type listener struct {
	net.Listener
	n *network
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{c, l.n}, nil
}

// conn swallows everything once the network is frozen.
type conn struct {
	net.Conn
	n *network
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.n.frozen.Load() {
			return n, err
		}
	}
}

func (c *conn) Write(b []byte) (int, error) {
	if c.n.frozen.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (n *network) listenPacket(network, address string) (net.PacketConn, error) {
	c, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	return &packetConn{UDPConn: c.(*net.UDPConn), n: n}, nil
}

// packetConn loses packets and changes their order.
type packetConn struct {
	*net.UDPConn
	n *network

	mu   sync.Mutex
	held []byte
	to   net.Addr // of what is held
}

func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.n.frozen.Load():
		return len(b), nil
	case c.n.loss > 0 && rand.Float64() < c.n.loss:
		c.n.lost.Add(1)
		return len(b), nil
	case c.held == nil && c.n.reorder > 0 && rand.Float64() < c.n.reorder:
		c.held, c.to = slices.Clone(b), to
		return len(b), nil
	}
	n, err := c.UDPConn.WriteTo(b, to)
	if c.held != nil && err == nil {
		_, err = c.UDPConn.WriteTo(c.held, c.to)
		c.held = nil
	}
	return n, err
}

// Lost returns how many packets the network has lost.
func (s *Server) Lost() int { return int(s.net.lost.Load()) }

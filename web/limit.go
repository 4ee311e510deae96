package web

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound what one client address may take: an IPv4 address, or an IPv6
// network of 64 bits. Zero values are the defaults.
type Limits struct {
	Sessions int     // open at a time, Server-Sent Events and WebRTC together: 256
	Requests float64 // a second, with bursts of five times as many: 100
	Failures float64 // requests with a wrong token a second, with bursts of ten: 0.5
	Body     int64   // bytes of a request's body: 128 KiB
	Clients  int     // addresses that are kept in mind: 4096
}

const failureBurst = 10

func (l Limits) withDefaults() Limits {
	or := func(v *float64, d float64) {
		if *v <= 0 {
			*v = d
		}
	}
	or(&l.Requests, 100)
	or(&l.Failures, 0.5)
	if l.Sessions <= 0 {
		l.Sessions = 256
	}
	if l.Body <= 0 {
		l.Body = 128 << 10
	}
	if l.Clients <= 0 {
		l.Clients = 4096
	}
	return l
}

// client is what is known of one address.
type client struct {
	addr     netip.Prefix
	requests *rate.Limiter
	failures *rate.Limiter
	sessions int
	place    *list.Element
}

// clients are the addresses seen last.
type clients struct {
	limits Limits
	now    func() time.Time

	mu     sync.Mutex
	byAddr map[netip.Prefix]*client
	recent *list.List // of *client, the last seen in front
	open   int        // sessions of all
}

func newClients(l Limits, now func() time.Time) *clients {
	return &clients{limits: l, now: now, byAddr: map[netip.Prefix]*client{}, recent: list.New()}
}

// address returns what counts as one client; what is no address, such as the
// peer of a Unix socket, counts as one.
func address(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// get returns the client of that address. It is called with c locked. The one not
// seen for longest makes room, unless it has sessions open.
func (c *clients) get(a netip.Prefix) *client {
	if cl := c.byAddr[a]; cl != nil {
		c.recent.MoveToFront(cl.place)
		return cl
	}
	for e := c.recent.Back(); e != nil && c.recent.Len() >= c.limits.Clients; {
		cl, _ := e.Value.(*client)
		before := e.Prev()
		if cl.sessions == 0 {
			c.recent.Remove(e)
			delete(c.byAddr, cl.addr)
		}
		e = before
	}
	l := c.limits
	cl := &client{
		addr:     a,
		requests: rate.NewLimiter(rate.Limit(l.Requests), max(1, int(5*l.Requests))),
		failures: rate.NewLimiter(rate.Limit(l.Failures), failureBurst),
	}
	cl.place = c.recent.PushFront(cl)
	c.byAddr[a] = cl
	return cl
}

// request takes one request of the client's budget.
func (c *clients) request(r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.get(address(r.RemoteAddr)).requests.AllowN(c.now(), 1)
}

// mayFail reports whether the client may still show wrong tokens.
func (c *clients) mayFail(r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.get(address(r.RemoteAddr)).failures.TokensAt(c.now()) >= 1
}

func (c *clients) failed(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.get(address(r.RemoteAddr)).failures.AllowN(c.now(), 1)
}

// enter opens a session; leave must be called once when it ends.
func (c *clients) enter(r *http.Request) (leave func(), ok bool) {
	a := address(r.RemoteAddr)
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.get(a)
	if cl.sessions >= c.limits.Sessions {
		return nil, false
	}
	cl.sessions++
	c.open++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		cl.sessions--
		c.open--
	}), true
}

func (c *clients) sessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

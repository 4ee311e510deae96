package rtsp

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

/*
Note [A lost packet is not waited for]

gortsplib puts UDP packets in order by holding what follows a missing one until 64
more have come, whatever time that takes: with 50 packets of sound a second, one
loss delays the sound by 1.3 s, and at a loss in 20 it is never in time again. So
the packets are put in order here, below gortsplib, and a missing one is waited for
no longer than patience. Then an empty packet with its number is passed on instead:
gortsplib goes on, and onRTP counts the loss and hides the empty packet from the
decoders, which see the hole in the numbers. Encrypted packets can't be made up, so streams over SRTP go without this.
*/

const (
	patience = 100 * time.Millisecond
	// ahead is how far beyond a gap a packet may lie; what lies further is a
	// sender that began anew.
	ahead = 1 << 10
	// rtpHeader is the least that a packet of RTP has.
	rtpHeader = 12
)

// gapConn puts the packets of RTP that it receives in order (see Note [A lost
// packet is not waited for]). One goroutine reads.
type gapConn struct {
	*net.UDPConn

	begun bool
	next  uint16 // sequence number to pass on
	held  map[uint16]heldPacket
	buf   []byte
	empty [rtpHeader]byte // header of the last packet, for those made up

	mu       sync.Mutex
	deadline time.Time // as the caller set it
}

type heldPacket struct {
	data []byte
	from net.Addr
	came time.Time
}

func newGapConn(c *net.UDPConn) *gapConn {
	return &gapConn{UDPConn: c, held: map[uint16]heldPacket{}, buf: make([]byte, 1<<16)}
}

// SetReadDeadline is net.PacketConn's.
func (c *gapConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.UDPConn.SetReadDeadline(t)
}

// wait sets the deadline of the next read: the caller's, or t if that is earlier.
func (c *gapConn) wait(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() || !c.deadline.IsZero() && c.deadline.Before(t) {
		t = c.deadline
	}
	return c.UDPConn.SetReadDeadline(t)
}

// over reports whether the caller's deadline has passed.
func (c *gapConn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.deadline.IsZero() && !time.Now().Before(c.deadline)
}

// ReadFrom returns the next packet in order, or one that stands for a lost one.
func (c *gapConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if h, ok := c.held[c.next]; ok {
			delete(c.held, c.next)
			return c.pass(b, h.data, h.from)
		}
		oldest := c.oldest()
		if !oldest.came.IsZero() && time.Since(oldest.came) >= patience {
			binary.BigEndian.PutUint16(c.empty[2:], c.next)
			return c.pass(b, c.empty[:], oldest.from)
		}
		until := time.Time{}
		if !oldest.came.IsZero() {
			until = oldest.came.Add(patience)
		}
		if err := c.wait(until); err != nil {
			return 0, nil, err
		}
		n, from, err := c.UDPConn.ReadFrom(c.buf)
		if err != nil {
			if !until.IsZero() && errors.Is(err, os.ErrDeadlineExceeded) && !c.over() {
				continue
			}
			return 0, nil, err
		}
		p := c.buf[:n]
		if n < rtpHeader || p[0]>>6 != 2 || p[1] >= 192 && p[1] <= 223 {
			return copy(b, p), from, nil // no RTP; RFC 5761 tells RTCP from it
		}
		seq := binary.BigEndian.Uint16(p[2:])
		switch d := int16(seq - c.next); {
		case !c.begun, d >= ahead, d < -ahead:
			// The first, or the first of a new sender.
			clear(c.held)
			c.begun = true
			c.next = seq
			return c.pass(b, p, from)
		case d == 0:
			return c.pass(b, p, from)
		case d > 0:
			c.held[seq] = heldPacket{append([]byte(nil), p...), from, time.Now()}
		} // else it is there twice, or came too late
	}
}

// pass hands a packet on as the next.
func (c *gapConn) pass(b, p []byte, from net.Addr) (int, net.Addr, error) {
	c.next++
	copy(c.empty[:], p[:rtpHeader])
	c.empty[0] = 2 << 6 // no padding, no extension, no sources
	c.empty[1] &^= 0x80 // no marker
	return copy(b, p), from, nil
}

// oldest returns the packet that has been held for the longest time.
func (c *gapConn) oldest() (oldest heldPacket) {
	for _, h := range c.held {
		if oldest.came.IsZero() || h.came.Before(oldest.came) {
			oldest = h
		}
	}
	return oldest
}

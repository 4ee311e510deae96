package rtsp

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// passed sends packets with these numbers and returns the numbers that are passed
// on, negative for those that were made up.
func passed(t *testing.T, n int, numbers ...uint16) (got []int) {
	t.Helper()
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newGapConn(in.(*net.UDPConn))
	defer c.Close()
	out, err := net.Dial("udp", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, seq := range numbers {
		b := append(make([]byte, rtpHeader), 1, 2, 3)
		b[0], b[1] = 2<<6, 96
		binary.BigEndian.PutUint16(b[2:], seq)
		if _, err := out.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 1500)
	for range n {
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		size, from, err := c.ReadFrom(b)
		if err != nil || from.String() != out.LocalAddr().String() {
			t.Fatalf("after %v: %v, %v", got, from, err)
		}
		seq := int(binary.BigEndian.Uint16(b[2:]))
		if size == rtpHeader {
			seq = -seq
		}
		got = append(got, seq)
	}
	// Nothing is left, and the caller's deadline holds.
	if err := c.SetReadDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %v: %v", got, err)
	}
	return got
}

func TestGaps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent []uint16
		want []int
	}{
		"in order":      {[]uint16{1, 2, 3}, []int{1, 2, 3}},
		"out of order":  {[]uint16{1, 3, 2, 4, 4, 2}, []int{1, 2, 3, 4}},
		"lost":          {[]uint16{1, 4, 3, 5}, []int{1, -2, 3, 4, 5}},
		"wrap":          {[]uint16{65534, 1, 65535}, []int{65534, 65535, 0, 1}},
		"a new sender":  {[]uint16{1, 2, 30000, 30001}, []int{1, 2, 30000, 30001}},
		"several holes": {[]uint16{10, 12, 15, 16}, []int{10, -11, 12, -13, -14, 15, 16}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := passed(t, len(c.want), c.sent...); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

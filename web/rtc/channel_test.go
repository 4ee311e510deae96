package rtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counter gives out numbered messages for as long as anybody takes them.
type counter struct {
	n      uint32
	end    uint32 // 0: never
	taken  *atomic.Int64
	closed *atomic.Int64
}

func (c *counter) Next(ctx context.Context) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if c.end > 0 && c.n == c.end {
		return nil, io.EOF
	}
	msg := bytes.Repeat([]byte{7}, 15<<10)
	binary.BigEndian.PutUint32(msg, c.n)
	c.n++
	c.taken.Add(1)
	return msg, nil
}

func (c *counter) Close() { c.closed.Add(1) }

// receive waits for c to be closed.
func receive(t *testing.T, c <-chan struct{}) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c:
	case <-timer.C:
		t.Fatal("in vain")
	}
}

// Messages arrive in order, on a channel that the server made, and all of them
// before a session ends.
func TestChannel(t *testing.T) {
	var taken, closed atomic.Int64
	const n = 20
	f := newFixture(t, Options{}, func() Messages { return &counter{end: n, taken: &taken, closed: &closed} })
	var mu sync.Mutex
	var next uint32
	done := make(chan struct{})
	v := f.play(clientOptions{data: true, onData: func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		if got := binary.BigEndian.Uint32(b); got != next || len(b) != 15<<10 {
			t.Errorf("message %d of %d bytes instead of %d", got, len(b), next)
		}
		if next++; next == n {
			close(done)
		}
	}})
	if dc := <-v.channel; dc.Label() != ChannelLabel || !dc.Ordered() {
		t.Errorf("channel %q", dc.Label())
	}
	f.srv.Remove("door")
	receive(t, done)
	if closed.Load() != 1 {
		t.Errorf("the queue was closed %d times", closed.Load())
	}
}

// A viewer that stops reading stops being written to; another's messages go on.
func TestStuckChannel(t *testing.T) {
	var taken [2]atomic.Int64
	var closed atomic.Int64
	var joined atomic.Int64
	f := newFixture(t, Options{}, func() Messages {
		return &counter{taken: &taken[joined.Add(1)-1], closed: &closed}
	})
	gate := make(chan struct{})
	defer close(gate)
	f.play(clientOptions{data: true, onData: func([]byte) { <-gate }})
	var got atomic.Int64
	enough := make(chan struct{})
	f.play(clientOptions{data: true, onData: func([]byte) {
		if got.Add(1) == 300 {
			close(enough)
		}
	}})
	receive(t, enough)
	// What the first took is bounded by what its own buffers hold.
	if a := taken[0].Load(); a > 200 {
		t.Errorf("%d messages of 15 KiB went to who reads none", a)
	}
}

// Viewers come and go, and nothing of them stays.
func TestCrowd(t *testing.T) {
	var taken, closed atomic.Int64
	f := newFixture(t, Options{}, func() Messages { return &counter{end: 3, taken: &taken, closed: &closed} })
	c := &clip{key: 25, size: 1000}
	f.feed.Packet(c.picture())
	once := func() {
		heard := make(chan struct{})
		var told sync.Once
		v := f.play(clientOptions{data: true, onData: func([]byte) { told.Do(func() { close(heard) }) }})
		receive(t, heard)
		v.until("a picture", func() bool { return len(v.video) > 0 })
		if w, _ := f.request("DELETE", v.path, "", ""); w.StatusCode != 200 {
			t.Errorf("DELETE: %s", w.Status)
		}
		v.close()
	}
	once()
	before := runtime.NumGoroutine()
	var m0, m1 runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m0)
	for range 5 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(once)
		}
		wg.Wait()
	}
	if n, _ := f.srv.Sessions("door"); n != 0 || f.feed.Viewers() != 0 {
		t.Errorf("%d sessions, %d viewers are left", n, f.feed.Viewers())
	}
	runtime.GC()
	runtime.ReadMemStats(&m1)
	if grown := int64(m1.HeapAlloc) - int64(m0.HeapAlloc); grown > 8<<20 {
		t.Errorf("20 viewers left %d bytes", grown)
	}
	if n := runtime.NumGoroutine(); n > before+20 { // those of net/http that are idle
		t.Errorf("%d goroutines, %d before", n, before)
	}
	if closed.Load() != 21 {
		t.Errorf("%d queues were closed", closed.Load())
	}
}

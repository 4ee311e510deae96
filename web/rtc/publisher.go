package rtc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/rtpreceiver"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/seehear/seehear/ingest"
)

const (
	// settle is how long a publisher may take to show what it has, from its first
	// packet on. A track that is still silent then joins the source later, with
	// Changed of its first packet.
	settle = 2 * time.Second
	// askKey is how old the last keyframe may get before another is asked for, so
	// that there is one every two seconds. Browsers send none of themselves.
	askKey = 1500 * time.Millisecond
	// A reader that is this far behind loses everything up to the next keyframe.
	publishedUnits = 2048
	publishedBytes = 32 << 20
)

// ErrLeft says that a publisher ended its session, failed, or was replaced.
var ErrLeft = errors.New("rtc: the publisher left")

// publisher is a session that sends us media: an [ingest.Source].
//
// Stamps come from RTP time. The first packet that arrives is zero; the other track
// is laid beside it by arrival, until sender reports of both say how they really
// belong together: then the sound moves, at once, if it is off by more than a few
// milliseconds.
type publisher struct {
	*session
	point *point
	clock *rtpClock
	ready bool // Server.mu
	taken bool // Server.mu
	wake  chan struct{}

	mu      sync.Mutex
	tracks  []*incoming // one per kind
	silent  []*incoming // those of which nothing was known when it settled
	settled bool
	first   time.Time // the first packet came
	queue   []ingest.Packet
	bytes   int
	needKey bool
	damage  ingest.Damage
	left    bool
}

// incoming is one track of a publisher.
type incoming struct {
	kind    ingest.Kind
	index   int
	depack  depacketizer // of the goroutine that reads the track
	clock   *trackClock
	stream  ingest.Stream
	known   bool // stream is
	lastKey time.Time
	ssrc    uint32
}

func newPublisher(x *session, pt *point, kinds []ingest.Kind) *publisher {
	p := &publisher{session: x, point: pt, clock: &rtpClock{}, wake: make(chan struct{}, 1)}
	for i, k := range kinds {
		p.tracks = append(p.tracks, &incoming{kind: k, index: i})
	}
	x.pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { p.take(t, r) })
	x.connected = func() { p.spawn(p.keyframes) }
	x.onGone = p.leave
	return p
}

// leave takes the publisher from its point and ends its reader.
func (p *publisher) leave() {
	p.srv.mu.Lock()
	if p.point.current == p {
		p.point.current = nil
	}
	p.srv.mu.Unlock()
	p.mu.Lock()
	p.left = true
	p.mu.Unlock()
	p.signal()
}

func (p *publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take reads a track until the connection closes.
func (p *publisher) take(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	kind := ingest.Video
	if t.Kind() == webrtc.RTPCodecTypeAudio {
		kind = ingest.Audio
	}
	_, name, _ := strings.Cut(strings.ToLower(t.Codec().MimeType), "/")
	p.mu.Lock()
	var in *incoming
	for _, x := range slices.Concat(p.tracks, p.silent) {
		if x.kind == kind && x.depack == nil {
			in = x
		}
	}
	if in == nil {
		p.mu.Unlock()
		return // a second track of a kind
	}
	in.depack = newDepacketizer(Codec(name), in.index)
	in.clock = p.clock.track(kind, int64(t.Codec().ClockRate))
	in.ssrc = uint32(t.SSRC())
	p.mu.Unlock()
	rr := &rtpreceiver.Receiver{
		ClockRate: int(t.Codec().ClockRate), LocalSSRC: in.ssrc + 1, UnrealiableTransport: true, Period: time.Second,
		WritePacketRTCP: func(report rtcp.Packet) { _ = p.pc.WriteRTCP([]rtcp.Packet{report}) },
	}
	if rr.Initialize() != nil {
		return
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			pkts, _, err := r.ReadRTCP()
			if err != nil {
				return
			}
			now := time.Now()
			for _, pkt := range pkts {
				if sr, ok := pkt.(*rtcp.SenderReport); ok && sr.SSRC == in.ssrc {
					rr.ProcessSenderReport(sr, now)
					p.clock.report(in.clock, sr.NTPTime, sr.RTPTime)
				}
			}
		}
	})
	p.spawn(func() {
		defer rr.Close()
		defer reading.Wait()
		for {
			pkt, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			now := time.Now()
			ordered, lost := rr.ProcessPacket2(pkt, now, true)
			if lost > 0 {
				p.lose(int(lost))
			}
			for _, q := range ordered {
				if len(q.Payload) == 0 {
					continue // padding
				}
				if m := in.depack.unit(q); m.data != nil {
					p.put(in, m, now)
				}
			}
		}
	})
}

// lose counts packets that never came.
func (p *publisher) lose(n int) {
	p.mu.Lock()
	p.damage.Lost += n
	p.mu.Unlock()
}

// put queues one unit.
func (p *publisher) put(in *incoming, m media, now time.Time) {
	at := p.clock.at(in.clock, m.ts, now)
	p.mu.Lock()
	if p.first.IsZero() {
		p.first = now
	}
	pkt := ingest.Packet{Stream: in.index, PTS: at, DTS: at, Dur: m.dur, Key: m.key, Data: m.data, Arrived: now}
	if m.stream != nil {
		if p.settled {
			pkt.Changed = m.stream
			if i := slices.Index(p.silent, in); i >= 0 {
				p.silent = slices.Delete(p.silent, i, i+1)
				p.tracks = append(p.tracks, in)
			}
		}
		in.stream, in.known = *m.stream, true
	}
	if m.key {
		in.lastKey = now
	}
	keep := in.known && (!p.settled || p.selected(in))
	if len(p.queue) >= publishedUnits || p.bytes+len(m.data) > publishedBytes {
		p.damage.Lost += len(p.queue)
		p.queue, p.bytes, p.needKey = nil, 0, p.has(ingest.Video)
	}
	if in.kind == ingest.Video && p.needKey {
		keep = keep && m.key
		p.needKey = !keep
	}
	if keep {
		p.queue = append(p.queue, pkt)
		p.bytes += len(m.data)
	}
	ready := p.settle(now)
	p.mu.Unlock()
	if ready {
		p.srv.mu.Lock()
		p.ready = true
		p.point.signal()
		p.srv.mu.Unlock()
	}
	p.signal()
}

func (p *publisher) has(k ingest.Kind) bool {
	for _, t := range p.tracks {
		if t.kind == k && t.known {
			return true
		}
	}
	return false
}

// selected reports whether in is one of Streams.
func (p *publisher) selected(in *incoming) bool {
	for _, t := range p.tracks {
		if t == in {
			return true
		}
	}
	return false
}

// settle decides what the source has, once everything was seen or time is up, and
// reports whether that happened now.
func (p *publisher) settle(now time.Time) bool {
	if p.settled {
		return false
	}
	var known, silent []*incoming
	for _, t := range p.tracks {
		if t.known {
			known = append(known, t)
		} else {
			silent = append(silent, t)
		}
	}
	if len(known) == 0 || len(known) < len(p.tracks) && now.Sub(p.first) < settle {
		return false
	}
	p.settled = true
	p.tracks, p.silent = known, silent
	return true
}

// keyframes asks for one when the last is old.
func (p *publisher) keyframes() {
	tick := time.NewTicker(askKey / 5)
	defer tick.Stop()
	var asked time.Time
	for {
		select {
		case <-p.ctx.Done():
			return
		case now := <-tick.C:
			p.mu.Lock()
			var ask []rtcp.Packet
			for _, t := range p.tracks {
				if t.kind == ingest.Video && t.ssrc != 0 && now.Sub(t.lastKey) >= askKey && now.Sub(asked) >= askKey/3 {
					ask = append(ask, &rtcp.PictureLossIndication{SenderSSRC: t.ssrc + 1, MediaSSRC: t.ssrc})
					asked = now
				}
			}
			p.mu.Unlock()
			if ask != nil {
				_ = p.pc.WriteRTCP(ask) // asked again if it is lost
			}
		}
	}
}

// Streams implements ingest.Source.
func (p *publisher) Streams() (ss []ingest.Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tracks {
		ss = append(ss, t.stream)
	}
	return ss
}

// Live implements ingest.Source.
func (p *publisher) Live() bool { return true }

// Read implements ingest.Source. It returns [ErrLeft] when the publisher is gone
// and everything of it was read.
func (p *publisher) Read(ctx context.Context) (ingest.Packet, error) {
	for {
		p.mu.Lock()
		if len(p.queue) > 0 {
			pkt := p.queue[0]
			p.queue[0] = ingest.Packet{}
			p.queue = p.queue[1:]
			p.bytes -= len(pkt.Data)
			settled := p.settled
			p.mu.Unlock()
			if settled && p.picked(pkt.Stream) {
				return pkt, nil
			}
			continue
		}
		left := p.left
		p.mu.Unlock()
		if left {
			return ingest.Packet{}, ErrLeft
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return ingest.Packet{}, ctx.Err()
		}
	}
}

func (p *publisher) picked(index int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tracks {
		if t.index == index {
			return true
		}
	}
	return false
}

// Close implements ingest.Source: it ends the session.
func (p *publisher) Close() error {
	p.end()
	return nil
}

// Damage implements ingest.Damaged.
func (p *publisher) Damage() ingest.Damage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.damage
}

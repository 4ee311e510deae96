package rtc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

type kind uint8

const (
	kindView kind = iota + 1
	kindPublish
)

// session is one peer, of either kind: its connection, and what ends with it.
type session struct {
	srv  *Server
	kind kind
	name string
	id   string
	pc   *webrtc.PeerConnection

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // of the session's goroutines
	once   sync.Once
	onGone func() // after everything else
	// farewell is closed once the peer was told all; nil if there is nothing to tell.
	farewell <-chan struct{}

	connected func() // called once, when media can flow
	start     sync.Once
	deadline  *time.Timer

	mu         sync.Mutex // held over an exchange of descriptions
	generation int        // of ICE: a restart begins the next
	offer      string     // the peer's description
}

// newSession makes a connection. It frees itself when the connection fails, and
// when it isn't there within connectWithin.
func (s *Server) newSession(api *webrtc.API, k kind, name string) (*session, error) {
	pc, err := api.NewPeerConnection(s.configuration())
	if err != nil {
		return nil, fmt.Errorf("rtc: %w", err)
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	x := &session{srv: s, kind: k, name: name, id: hex.EncodeToString(b[:]), pc: pc, generation: 1}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	x.deadline = time.AfterFunc(connectWithin, x.abandon)
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		x.srv.log.Debug("peer", "source", name, "session", x.id[:8], "state", state.String())
		switch state {
		case webrtc.PeerConnectionStateConnected:
			x.deadline.Stop()
			x.start.Do(func() {
				if x.connected != nil {
					x.connected()
				}
			})
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			x.abandon()
		}
	})
	return x, nil
}

// spawn runs f as the session's own until it returns; close waits for it. f must
// return once the session's context ends and the connection is closed.
func (x *session) spawn(f func()) { x.wg.Go(f) }

// abandon closes the session without waiting, for callbacks of the connection.
func (x *session) abandon() {
	if x.ctx.Err() != nil {
		return
	}
	x.srv.wg.Go(x.close)
}

// close frees the session and waits for all of it. It may be called again, from
// any goroutine but the session's own.
func (x *session) close() {
	x.once.Do(func() {
		x.srv.mu.Lock()
		delete(x.srv.sessions, x.id)
		x.srv.mu.Unlock()
		x.deadline.Stop()
		x.cancel()
		_ = x.pc.GracefulClose() // what it says of a peer that is gone is of no use
		x.wg.Wait()
		if x.onGone != nil {
			x.onGone()
		}
	})
}

// end closes the session once the peer was told all, or didn't listen.
func (x *session) end() {
	if x.farewell != nil {
		t := time.NewTimer(goodbye)
		defer t.Stop()
		select {
		case <-x.farewell:
		case <-t.C:
		}
	}
	x.close()
}

// answer takes the peer's description and returns ours, with every candidate.
func (x *session) answer(ctx context.Context, offer string) (string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.exchange(ctx, offer)
}

func (x *session) exchange(ctx context.Context, offer string) (string, error) {
	if err := x.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", &problem{400, "the offer: " + err.Error()}
	}
	answer, err := x.pc.CreateAnswer(nil)
	if err != nil {
		return "", &problem{422, "no answer to this offer: " + err.Error()}
	}
	done := webrtc.GatheringCompletePromise(x.pc)
	if err = x.pc.SetLocalDescription(answer); err != nil {
		return "", &problem{422, "no answer to this offer: " + err.Error()}
	}
	gathered(ctx, done)
	x.offer = offer
	return x.pc.LocalDescription().SDP, nil
}

// etag names the ICE session. x.mu is held, or nobody else knows x yet.
func (x *session) etag() string { return `"` + strconv.Itoa(x.generation) + `"` }

// trickle takes candidates of the peer that were found after its offer.
func (x *session) trickle(f fragment) error {
	for _, c := range f.candidates {
		init := webrtc.ICECandidateInit{Candidate: c.line}
		if c.mid != "" {
			init.SDPMid = &c.mid
		}
		if err := x.pc.AddICECandidate(init); err != nil {
			return &problem{400, "a candidate: " + err.Error()}
		}
	}
	return nil
}

// restart begins another ICE session with the peer's new credentials and returns
// ours.
func (x *session) restart(ctx context.Context, f fragment) (string, error) {
	answer, err := x.exchange(ctx, f.apply(x.offer))
	if err != nil {
		return "", &problem{422, "ICE restart: " + err.Error()}
	}
	x.generation++
	return fragmentOf(answer), nil
}

package rtc

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/pion/webrtc/v4"
)

// ChannelLabel is the label of the data channel that carries results, and the
// version of its protocol (docs/protocol.md).
const ChannelLabel = "seehear.v1"

// Messages is one viewer's queue of results. Next waits for the next message, at
// most 15 KiB, valid until the next call, and returns io.EOF when there will be
// none. Close is called once, when the viewer is gone. The queue itself bounds what
// waits there: a viewer that doesn't read loses the oldest.
type Messages interface {
	Next(context.Context) ([]byte, error)
	Close()
}

// As much as this may be on its way; below bufferLow more is taken from the queue.
// Little, so that what is dropped is dropped in the queue, which counts it, and
// what is delivered is new.
const (
	bufferHigh = 64 << 10
	bufferLow  = 16 << 10
)

// goodbye is how long the last message may take before the session ends.
const goodbye = time.Second

// openChannel announces the data channel in the answer.
func (v *viewer) openChannel() error {
	dc, err := v.pc.CreateDataChannel(ChannelLabel, nil) // ordered, reliable
	if err != nil {
		return err
	}
	low := make(chan struct{}, 1)
	dc.SetBufferedAmountLowThreshold(bufferLow)
	dc.OnBufferedAmountLow(func() {
		select {
		case low <- struct{}{}:
		default:
		}
	})
	opened := make(chan struct{}, 1)
	dc.OnOpen(func() {
		select {
		case opened <- struct{}{}:
		default:
		}
	})
	dc.OnClose(func() {
		select {
		case low <- struct{}{}:
		default:
		}
	})
	talked := make(chan struct{})
	v.farewell = talked
	v.spawn(func() {
		defer close(talked)
		select {
		case <-opened:
			v.talk(dc, low)
		case <-v.ctx.Done():
		}
	})
	return nil
}

// talk sends messages until there are no more, or the viewer is gone.
func (v *viewer) talk(dc *webrtc.DataChannel, low <-chan struct{}) {
	messages := v.src.Join()
	if messages == nil {
		return
	}
	defer messages.Close()
	drain := func(ctx context.Context, most uint64) {
		for dc.BufferedAmount() > most && dc.ReadyState() == webrtc.DataChannelStateOpen {
			select {
			case <-low:
			case <-ctx.Done():
				return
			}
		}
	}
	for {
		msg, err := messages.Next(v.ctx)
		if err != nil {
			if errors.Is(err, io.EOF) {
				ctx, cancel := context.WithTimeout(v.ctx, goodbye)
				dc.SetBufferedAmountLowThreshold(0)
				drain(ctx, 0)
				cancel()
			}
			return
		}
		if dc.Send(msg) != nil { // it copies
			return
		}
		if dc.BufferedAmount() > bufferHigh {
			drain(v.ctx, bufferLow)
		}
	}
}

package ffmpeg

import (
	"bytes"
	"errors"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// stream is what video and audio have in common: a codec fed with packets, and
// the Seg that the frames coming out of it have reached.
//
// The codec is not flushed where the Seg changes. A jump in the stamps need not
// fall on a key frame, and a flush would throw away the references that the
// frames behind it are made from. The Seg travels through the codec with each
// packet instead, so the change shows where it belongs in the order of display.
type stream struct {
	dec     *Decoder
	st      ingest.Stream
	codec   *codec
	seg     uint32
	started bool // seg has yielded a unit
	lost    bool // no decoder opens for what the stream has become
}

// failuresPerPacket bounds what one packet may make go wrong, lest a decoder that
// keeps failing without consuming anything turn into a hang.
const failuresPerPacket = 64

// decode sends p (nil drains) and calls frame for each frame that is ready.
func (s *stream) decode(p *ingest.Packet, frame func() error) error {
	if p != nil && len(p.Data) == 0 && len(p.Side) == 0 {
		return nil // FFmpeg would take it for the end
	}
	if p != nil && s.lost {
		s.dec.stats.Errors++
		return nil
	}
	failed := 0
	for {
		err := s.codec.send(p)
		again := errors.Is(err, errAgain)
		switch {
		case err == nil || again || errors.Is(err, errEOF):
		case isFatal(err):
			return err
		default:
			s.dec.stats.Errors++
			failed++
		}
		for failed < failuresPerPacket {
			err := s.codec.receive()
			if errors.Is(err, errAgain) || errors.Is(err, errEOF) {
				break
			}
			if err != nil {
				if isFatal(err) {
					return err
				}
				s.dec.stats.Errors++
				failed++
				continue
			}
			if err := frame(); err != nil {
				return err
			}
		}
		if !again || failed >= failuresPerPacket {
			return nil
		}
		failed++
	}
}

// reopen replaces the codec if the stream's new parameters need one, after the
// old one has delivered what it holds. If none opens for them, the stream's packets
// count as errors until it changes again, and the other stream goes on.
func (s *stream) reopen(next *ingest.Stream, frame func() error) error {
	now := &s.st
	same := next.Codec == now.Codec && bytes.Equal(next.Extra, now.Extra) &&
		next.SampleRate == now.SampleRate && next.Channels == now.Channels &&
		next.BitsPerCodedSample == now.BitsPerCodedSample && next.BlockAlign == now.BlockAlign
	index := now.Index
	*now = *next
	now.Index = index
	if same {
		return nil
	}
	if err := s.decode(nil, frame); err != nil {
		return err
	}
	c, err := openCodec(now, s.dec.options)
	if s.lost = err != nil; s.lost {
		return nil
	}
	s.codec.close()
	s.codec = c
	return nil
}

func (s *stream) end(dst []decode.Unit, at ingest.Stamp) []decode.Unit {
	s.started = false
	return append(dst, decode.Unit{End: &decode.End{Stamp: at, Kind: s.st.Kind}})
}

package rtc

/*
Note [Sound that passes through]

A jitter buffer throws away an Opus packet that claims to begin a single tick before
the end of the last (sinks/encode, Note [Steps of the sound]), and the stamps of a
source are rounded to a nanosecond and corrected as its sender reports come: their RTP
times step by a tick more or less than a packet is long, time and again. What is coded
already cannot be stretched to fit, so it is the RTP time that steps by whole packets,
whatever the stamps say, until it is off by more than stepSlack. Then it jumps to them:
a sender that is 50 ppm off costs one packet in three minutes.
*/

const (
	// opusGrid is what the length of any Opus packet is a multiple of (RFC 6716,
	// section 3.1), in ticks: 2.5 ms.
	opusGrid = AudioRate / 400
	// stepSlack is how far RTP time may be from the stamps, in ticks: 10 ms, which
	// nobody sees on lips.
	stepSlack = AudioRate / 100
)

// steps turns the RTP times of Opus packets into ones that follow each other without
// a break, see Note [Sound that passes through]. The zero value is ready.
type steps struct {
	begun bool
	in    uint32 // the last that came
	out   uint32 // and what was made of it
}

func (s *steps) next(ts uint32) uint32 {
	step := int32(ts - s.in)
	half := int32(opusGrid / 2)
	if step < 0 {
		half = -half
	}
	out := s.out + uint32((step+half)/opusGrid*opusGrid)
	if off := int32(ts - out); !s.begun || off > stepSlack || off < -stepSlack {
		out = ts
	}
	*s = steps{true, ts, out}
	return out
}

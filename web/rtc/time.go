package rtc

import "time"

// Clock rates of the two tracks, in Hz.
const (
	VideoRate = 90000
	AudioRate = 48000
)

// RTPTime returns the RTP time of what is presented at at, on a clock of rate Hz
// that shows base at zero: base + floor(at*rate/1s), modulo 2^32, exact for every
// at. Because a live source's time never steps back, neither does RTP time, but
// for its wrap.
func RTPTime(base, rate uint32, at time.Duration) uint32 {
	s, ns := int64(at/time.Second), int64(at%time.Second)
	if ns < 0 {
		s, ns = s-1, ns+int64(time.Second)
	}
	// Whole seconds are whole ticks, so they may wrap; the rest stays below 2^62.
	return base + uint32(uint64(s)*uint64(rate)) + uint32(uint64(ns)*uint64(rate)/uint64(time.Second))
}

// ntpTime returns t in the 64-bit format of RTCP: seconds since 1900 and their
// fraction.
func ntpTime(t time.Time) uint64 {
	const since1900 = 2208988800
	frac := (uint64(t.Nanosecond())<<32 + uint64(time.Second)/2) / uint64(time.Second)
	return uint64(t.Unix()+since1900)<<32 + frac
}

package ingest

import (
	"math/bits"
	"time"
)

// Timebase is an exact rational, as in FFmpeg's AVRational: seconds per tick for
// a time base. Den is never negative; a zero Den means unknown.
type Timebase struct{ Num, Den int32 }

// Duration converts ticks of b to nanoseconds, rounded to the nearest (halves
// away from zero, as av_rescale_q does). The intermediate product has 128 bits,
// so it is exact for every result that fits a time.Duration; beyond that range
// it saturates. An unknown or zero timebase gives 0.
func (b Timebase) Duration(ticks int64) time.Duration {
	if b.Num <= 0 || b.Den <= 0 {
		return 0
	}
	return time.Duration(rescale(ticks, uint64(b.Num)*uint64(time.Second), uint64(b.Den)))
}

// Ticks converts d to ticks of b, rounded to the nearest, halves away from zero.
func (b Timebase) Ticks(d time.Duration) int64 {
	if b.Num <= 0 || b.Den <= 0 {
		return 0
	}
	return rescale(int64(d), uint64(b.Den), uint64(b.Num)*uint64(time.Second))
}

// Samples returns how many samples at rate Hz last for d, rounded to the nearest.
func Samples(d time.Duration, rate int) int64 {
	return Timebase{1, int32(rate)}.Ticks(d)
}

// SampleTime returns how long n samples at rate Hz last, rounded to the nearest
// nanosecond.
func SampleTime(n int64, rate int) time.Duration {
	return Timebase{1, int32(rate)}.Duration(n)
}

// rescale returns v*num/den rounded to the nearest, halves away from zero.
func rescale(v int64, num, den uint64) int64 {
	neg := v < 0
	u := uint64(v)
	if neg {
		u = -u
	}
	hi, lo := bits.Mul64(u, num)
	lo, carry := bits.Add64(lo, den/2, 0)
	hi += carry
	const most = 1<<63 - 1
	q := uint64(most)
	if hi < den {
		q, _ = bits.Div64(hi, lo, den)
		q = min(q, most)
	}
	if neg {
		return -int64(q)
	}
	return int64(q)
}

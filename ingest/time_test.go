package ingest

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// exact is v*num/den rounded to the nearest, halves away from zero, limited to
// ±MaxInt64, in numbers of any size.
func exact(v, num, den int64) int64 {
	r := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(v), big.NewInt(num)), big.NewInt(den))
	neg := r.Sign() < 0
	r.Abs(r).Add(r, big.NewRat(1, 2))
	q := new(big.Int).Div(r.Num(), r.Denom())
	if most := big.NewInt(math.MaxInt64); q.Cmp(most) > 0 {
		q = most
	}
	if neg {
		q.Neg(q)
	}
	return q.Int64()
}

func drawTimebase(t *rapid.T) Timebase {
	common := []Timebase{{1, 90000}, {1, 48000}, {1, 44100}, {1001, 30000}, {1, 1000}, {1, 12800}, {1, 1}, {1, 14112000}}
	if rapid.Bool().Draw(t, "common") {
		return rapid.SampledFrom(common).Draw(t, "timebase")
	}
	return Timebase{rapid.Int32Range(1, math.MaxInt32).Draw(t, "num"), rapid.Int32Range(1, math.MaxInt32).Draw(t, "den")}
}

func TestTimebaseIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawTimebase(t)
		v := rapid.Int64().Draw(t, "v")
		if got, want := int64(b.Duration(v)), exactTicks(v, b); got != want {
			t.Fatalf("%v.Duration(%d) = %d, want %d", b, v, got, want)
		}
		num := new(big.Int).Mul(big.NewInt(int64(b.Num)), big.NewInt(int64(time.Second)))
		want := exactBig(v, big.NewInt(int64(b.Den)), num)
		if got := b.Ticks(time.Duration(v)); got != want {
			t.Fatalf("%v.Ticks(%d) = %d, want %d", b, v, got, want)
		}
	})
}

func exactTicks(v int64, b Timebase) int64 {
	return exactBig(v, new(big.Int).Mul(big.NewInt(int64(b.Num)), big.NewInt(int64(time.Second))), big.NewInt(int64(b.Den)))
}

// exactBig is exact for factors beyond 64 bits.
func exactBig(v int64, num, den *big.Int) int64 {
	if num.IsInt64() && den.IsInt64() {
		return exact(v, num.Int64(), den.Int64())
	}
	r := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(v), num), den)
	neg := r.Sign() < 0
	r.Abs(r).Add(r, big.NewRat(1, 2))
	q := new(big.Int).Div(r.Num(), r.Denom())
	if most := big.NewInt(math.MaxInt64); q.Cmp(most) > 0 {
		q = most
	}
	if neg {
		q.Neg(q)
	}
	return q.Int64()
}

func TestTimebaseIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawTimebase(t)
		v, w := rapid.Int64().Draw(t, "v"), rapid.Int64().Draw(t, "w")
		if v > w {
			v, w = w, v
		}
		if b.Duration(v) > b.Duration(w) {
			t.Fatalf("%v: %d is later than %d", b, v, w)
		}
	})
}

// What is coarser than a nanosecond survives the way there and back.
func TestTicksRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Timebase{rapid.Int32Range(1, 1<<20).Draw(t, "num"), rapid.Int32Range(1, 400_000_000).Draw(t, "den")}
		v := rapid.Int64Range(-1<<31, 1<<31).Draw(t, "v")
		if s := float64(v) * float64(b.Num) / float64(b.Den); s > 9e9 || s < -9e9 {
			t.Skip("beyond what a time.Duration holds")
		}
		if got := b.Ticks(b.Duration(v)); got != v {
			t.Fatalf("%v: %d came back as %d", b, v, got)
		}
	})
}

func TestTimebaseByHand(t *testing.T) {
	tests := []struct {
		b     Timebase
		ticks int64
		want  time.Duration
	}{
		{Timebase{1, 90000}, 90000, time.Second},
		{Timebase{1, 90000}, 1, 11111},
		{Timebase{1, 90000}, 5, 55556}, // 55555.56
		{Timebase{1001, 30000}, 1, 33366667},
		{Timebase{1001, 30000}, -1, -33366667},
		{Timebase{1, 2_000_000_000}, 1, 1}, // half a nanosecond, away from zero
		{Timebase{1, 2_000_000_000}, -1, -1},
		{Timebase{1, 1}, math.MaxInt64, math.MaxInt64},
		{Timebase{1, 1}, math.MinInt64, -math.MaxInt64},
		{Timebase{}, 5, 0},
		{Timebase{1, 0}, 5, 0},
	}
	for _, tt := range tests {
		if got := tt.b.Duration(tt.ticks); got != tt.want {
			t.Errorf("%v.Duration(%d) = %d, want %d", tt.b, tt.ticks, got, tt.want)
		}
	}
	if n := Samples(time.Second/3, 48000); n != 16000 {
		t.Errorf("%d samples", n)
	}
	if d := SampleTime(16000, 48000); d != 333333333 {
		t.Errorf("%d ns", d)
	}
}

func FuzzTimebase(f *testing.F) {
	f.Add(int64(1), int32(1), int32(90000))
	f.Add(int64(math.MinInt64), int32(math.MaxInt32), int32(1))
	f.Fuzz(func(t *testing.T, v int64, num, den int32) {
		b := Timebase{num, den}
		if num <= 0 || den <= 0 {
			if b.Duration(v) != 0 || b.Ticks(time.Duration(v)) != 0 {
				t.Fatal("an unknown timebase gave a time")
			}
			return
		}
		if got, want := int64(b.Duration(v)), exactTicks(v, b); got != want {
			t.Fatalf("%v.Duration(%d) = %d, want %d", b, v, got, want)
		}
	})
}

package align

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// push returns what each of the units brings.
func push(t testing.TB, a *Aligner, units ...decode.Unit) []string {
	t.Helper()
	var out []string
	for _, u := range units {
		for _, x := range a.Push(nil, u) {
			out = append(out, describe(x))
			x.Release()
		}
	}
	return out
}

func TestRefusesNonsense(t *testing.T) {
	for want, n := range map[string]Need{
		"unknown cadence":    {Image: -1, Sound: -1},
		"period 0s":          {Cadence: EveryPeriod, Image: -1, Sound: -1},
		"is negative":        {Cadence: EveryCut, Period: -1, Image: -1, Sound: -1},
		"hop 0":              {Cadence: EveryHop, Window: 5, Image: -1},
		"image 1 of 1":       {Cadence: EveryFrame, Image: 1, Sound: -1},
		"sound 3 of 1":       {Cadence: EveryFrame, Image: -1, Sound: 3},
		"window -1":          {Cadence: EveryFrame, Image: -1, Window: -1},
		"at least 9 samples": {Cadence: EveryFrame, Image: -1, Window: 5, MinWindow: 9},
		"without a sound":    {Cadence: EveryFrame, Image: -1, Sound: -1, Window: 5},
		"unknown place":      {Cadence: EveryFrame, Image: -1, Sound: -1, Place: 2},
	} {
		if _, err := New(oneSound, bothStreams, []Need{n}, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", n, err, want)
		}
	}
}

// Frames that go back or repeat, overlapping sound, units of a Seg that is over
// and of forms nobody ordered are dropped and counted.
func TestLate(t *testing.T) {
	m := new(media)
	a, err := New(oneSound, bothStreams, []Need{{Cadence: EveryFrame, Image: 0, Sound: 0, Window: 80}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	n += len(push(t, a, m.frame(0, 0, 40*ms, 1), m.frame(0, 40*ms, 40*ms, 2), m.frame(0, 40*ms, 40*ms, 3), m.frame(0, 20*ms, 40*ms, 4), m.frame(0, 80*ms, 40*ms, 5)))
	n += len(push(t, a, m.block(0, 0, 8000, 0, 800), m.block(0, 0, 8000, 50*ms, 800), m.block(0, 0, 8000, 60*ms, 80), m.block(0, 0, 16000, 150*ms, 30), m.block(0, 5, 8000, 0, 10)))
	n += len(push(t, a, end(0, ingest.Video, 120*ms), m.frame(0, 200*ms, 40*ms, 6), end(0, ingest.Audio, 150*ms), m.block(0, 0, 8000, 150*ms, 80)))
	for _, x := range a.Flush(nil) {
		n++
		x.Release()
	}
	if n != 3 {
		t.Errorf("%d moments", n)
	}
	got := a.Stats()
	want := Stats{Segs: 1, Moments: 3, End: 150 * ms, LateFrames: 3, LateSamples: 400 + 80 + 30 + 80, Foreign: 1}
	if got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	if m.pool.Held() != 0 {
		t.Errorf("%d held", m.pool.Held())
	}
}

// A stream that falls silent without saying so is waited for as long as MaxLag,
// and memory stays bounded.
func TestLagIsBounded(t *testing.T) {
	const lag = 2 * time.Second
	window := 800
	needs := []Need{
		{Cadence: EveryFrame, Image: 0, Sound: 0, Window: window},
		{Cadence: EveryHop, Sound: 0, Window: window, Hop: window, Image: -1},
		{Cadence: EveryGap, Image: -1, Sound: -1},
		{Cadence: EveryPeriod, Period: 100 * ms, Image: 0, Sound: -1},
		{Cadence: EveryCut, Image: 0, Sound: -1},
	}
	for _, silent := range []ingest.Kind{ingest.Audio, ingest.Video} {
		for _, before := range []int{0, 25} { // units of it that come first
			t.Run(fmt.Sprint(silent, before), func(t *testing.T) {
				m := new(media)
				a, err := New(oneSound, bothStreams, needs, Options{MaxLag: lag})
				if err != nil {
					t.Fatal(err)
				}
				most := int64(0)
				for i := range 1000 {
					at := time.Duration(i) * 40 * ms
					var us []decode.Unit
					if silent != ingest.Video || i < before {
						us = append(us, m.frame(0, at, 40*ms, 1))
					}
					if silent != ingest.Audio || i < before {
						us = append(us, m.block(0, 0, 8000, at, 320))
					}
					push(t, a, us...)
					most = max(most, m.pool.Held())
				}
				// Two lags of frames until the first sample, one of either
				// afterwards, and a window.
				if limit := int64((2*lag+200*ms)/(40*ms)) + 10; most > limit {
					t.Errorf("%d units held, want at most %d", most, limit)
				}
				for _, x := range a.Flush(nil) {
					x.Release()
				}
				st := a.Stats()
				if st.LateFrames != 0 || st.LateSamples != 0 {
					t.Errorf("dropped %+v", st)
				}
				wantEnd := 40 * time.Second
				if st.End != wantEnd {
					t.Errorf("end %v", st.End)
				}
				if m.pool.Held() != 0 {
					t.Errorf("%d held", m.pool.Held())
				}
			})
		}
	}
}

// Sound that comes later than MaxLag is dropped, counted, and the rest still
// lies where it belongs.
func TestTooLate(t *testing.T) {
	m := new(media)
	a, err := New(oneSound, bothStreams, []Need{{Cadence: EveryHop, Sound: 0, Window: 800, Hop: 800, Image: -1}}, Options{MaxLag: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	push(t, a, m.frame(0, 0, 40*ms, 1), m.frame(0, 3*time.Second, 40*ms, 1))
	var got []string
	got = append(got, push(t, a, m.block(0, 0, 8000, 0, 8000), m.block(0, 0, 8000, time.Second, 16000), end(0, ingest.Audio, 0))...)
	for _, x := range a.Flush(nil) {
		if x.Wave.PCM.Data[0] != float32(ingest.Samples(x.Wave.At, 8000)+1) {
			t.Errorf("window at %v begins with sample %g", x.Wave.At, x.Wave.PCM.Data[0])
		}
		got = append(got, describe(x))
		x.Release()
	}
	if st := a.Stats(); st.LateSamples != 16000 || len(got) != 10 {
		t.Errorf("%+v, %d moments", st, len(got))
	}
}

// A stream of the next Seg does not wait for ever for the other one's end.
func TestSegWithoutEnd(t *testing.T) {
	m := new(media)
	a, err := New(oneSound, bothStreams, []Need{{Cadence: EveryFrame, Image: 0, Sound: -1}}, Options{MaxLag: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	push(t, a, m.block(0, 0, 8000, 0, 320), m.frame(0, 0, 40*ms, 1))
	most := int64(0)
	var got []string
	for i := range 200 {
		got = append(got, push(t, a, m.frame(1, time.Duration(i)*40*ms, 40*ms, 1))...)
		most = max(most, m.pool.Held())
	}
	if most > 60 || len(got) < 100 {
		t.Errorf("%d held, %d moments", most, len(got))
	}
	a.Close()
	if m.pool.Held() != 0 {
		t.Errorf("%d held", m.pool.Held())
	}
}

// A source that jumps with every frame is followed in bounded memory, too.
func TestManySegs(t *testing.T) {
	m := new(media)
	a, err := New(oneSound, bothStreams, []Need{{Cadence: EveryFrame, Image: 0, Sound: -1}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range uint32(500) {
		got = append(got, push(t, a, m.frame(i*3, 0, 40*ms, 1))...)
		if n := m.pool.Held(); n > maxSegs+4 {
			t.Fatalf("%d held", n)
		}
	}
	for _, x := range a.Flush(nil) {
		got = append(got, describe(x))
		x.Release()
	}
	if len(got) != 500 || a.Stats().Segs != 500 {
		t.Errorf("%d moments, %+v", len(got), a.Stats())
	}
}

// Sound in which the source's own form is asked for may change with the Seg.
func TestOwnForm(t *testing.T) {
	m := new(media)
	out := decode.Outputs{Sounds: []decode.Sound{{}}}
	var rates []int
	units := []decode.Unit{m.block(0, 0, 8000, 0, 800), end(0, ingest.Audio, 0), m.block(1, 0, 48000, 0, 4800), end(1, ingest.Audio, 0)}
	collect(t, m, out, bothStreams[1:], []Need{{Cadence: EveryPeriod, Period: 50 * ms, Sound: 0, Window: 100, Image: -1}}, Options{}, units, func(x *Moment) {
		rates = append(rates, x.Wave.PCM.Format.SampleRate)
	})
	if !slices.Equal(rates, []int{8000, 8000, 48000, 48000}) {
		t.Errorf("rates %v", rates)
	}
}

// The picture may go before the rest does, and goes once only.
func TestReleaseFrame(t *testing.T) {
	m := new(media)
	collect(t, m, oneSound, bothStreams[:1], []Need{{Cadence: EveryFrame, Image: 0, Sound: -1}}, Options{}, m.frames(0, 0, 40*ms, 3), func(x *Moment) {
		f := x.Frame
		f.Retain()
		before := x.Stamp
		for range 2 {
			if x.ReleaseFrame(); x.Frame != nil || x.Image.Pix != nil || x.Stamp != before {
				t.Errorf("left: %+v", x)
			}
		}
		f.Release()
	})
}

func TestReleasedTwice(t *testing.T) {
	m := new(media)
	var x *Moment
	collect(t, m, oneSound, bothStreams[:1], []Need{{Cadence: EveryFrame, Image: 0, Sound: -1}}, Options{}, m.frames(0, 0, 40*ms, 1), func(y *Moment) { x = y })
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	x.Release()
}

// benchmark is a minute of ordinary media over and over: 30 frames a second,
// blocks of 1024 samples at 22,050 Hz.
func benchmark(b *testing.B, needs []Need) {
	m := new(media)
	out := decode.Outputs{Sizes: []decode.Size{{W: 224, H: 224}}, Sounds: []decode.Sound{{Rate: 22050, Channels: 1}}}
	a, err := New(out, bothStreams, needs, Options{})
	if err != nil {
		b.Fatal(err)
	}
	var buf []*Moment
	at, samples, sounds := time.Duration(0), int64(0), time.Duration(0)
	sizes := [][2]int{{224, 224}}
	b.ReportAllocs()
	b.ResetTimer()
	moments := 0
	for i := range b.N {
		f := m.pool.Frame(sizes)
		f.Stamp, f.Dur = ingest.Stamp{At: at}, 33_333_333
		f.Images[0].Pix[0] = byte(i)
		buf = a.Push(buf[:0], decode.Unit{Frame: f})
		at = time.Duration(i+1) * time.Second / 30
		for sounds < at {
			x := m.pool.Block(22050, 1, 1024)
			x.Stamp = ingest.Stamp{At: sounds}
			buf = a.Push(buf, decode.Unit{Block: x})
			samples += 1024
			sounds = ingest.SampleTime(samples, 22050)
		}
		moments += len(buf)
		for _, x := range buf {
			x.Release()
		}
	}
	b.StopTimer()
	a.Close()
	b.ReportMetric(float64(moments)/float64(b.N), "moments/frame")
}

func BenchmarkFrames(b *testing.B) {
	benchmark(b, []Need{{Cadence: EveryFrame, Image: 0, Sound: 0, Window: 22050}})
}

func BenchmarkCuts(b *testing.B) {
	benchmark(b, []Need{{Cadence: EveryCut, Image: 0, Sound: -1}})
}

func BenchmarkAll(b *testing.B) {
	benchmark(b, []Need{
		{Cadence: EveryGap, Image: -1, Sound: -1},
		{Cadence: EveryCut, Image: 0, Sound: -1},
		{Cadence: EveryHop, Image: -1, Sound: 0, Window: 22050 * 5, Hop: 22050},
		{Cadence: EveryHop, Image: -1, Sound: 0, Window: 706, Hop: 706},
		{Cadence: EveryPeriod, Period: 200 * ms, Image: 0, Sound: 0, Window: 22050 * 3},
	})
}

// A damaged file may claim that years lie between two packets. The hole is one
// hole, whatever the cadence, and costs no more than a short one.
func TestYearsOfNothing(t *testing.T) {
	const years = 100 * 365 * 24 * time.Hour
	needs := []Need{
		{Cadence: EveryPeriod, Period: 10 * ms, Image: -1, Sound: 0, Window: 80},
		{Cadence: EveryHop, Hop: 40, Image: -1, Sound: 0, Window: 80},
		{Cadence: EveryHop, Hop: 160, Image: -1, Sound: 0, Window: 80, MinWindow: 80},
		{Cadence: EveryFrame, Image: 0, Sound: 0, Window: 80},
		{Cadence: EveryGap, Image: -1, Sound: -1},
	}
	for name, units := range map[string]func(m *media) []decode.Unit{
		"sound": func(m *media) []decode.Unit {
			return []decode.Unit{m.block(0, 0, 8000, 0, 800), m.block(0, 0, 8000, years, 800)}
		},
		"picture": func(m *media) []decode.Unit {
			return []decode.Unit{m.frame(0, 0, 40*ms, 1), m.block(0, 0, 8000, 0, 800), m.frame(0, years, 40*ms, 2), m.frame(0, years+40*ms, 40*ms, 3)}
		},
		"both": func(m *media) []decode.Unit {
			return []decode.Unit{
				m.frame(0, 0, 40*ms, 1), m.block(0, 0, 8000, 0, 800), m.frame(0, years, 40*ms, 2), m.block(0, 0, 8000, years, 800),
				m.frame(0, 2*years, 40*ms, 3), m.block(0, 0, 8000, 2*years, 800),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := new(media)
			a, err := New(oneSound, bothStreams, needs, Options{})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			got := push(t, a, units(m)...)
			for _, x := range a.Flush(nil) {
				got = append(got, describe(x))
				x.Release()
			}
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("took %v", d)
			}
			if n := len(got); n < 10 || n > 200 {
				t.Errorf("%d moments", n)
			}
			if m.pool.Held() != 0 || a.Held() != 0 {
				t.Errorf("%d units and %d moments held", m.pool.Held(), a.Held())
			}
		})
	}
}

// Stamps that crowd a whole film into the time that one stream may lag do not
// make the aligner hold the film.
func TestCrowd(t *testing.T) {
	for _, sound := range []bool{false, true} {
		m := new(media)
		needs := []Need{
			{Cadence: EveryFrame, Image: 0, Sound: 0, Window: 8000},
			{Cadence: EveryPeriod, Period: 10 * ms, Image: 0, Sound: 0, Window: 80},
			{Cadence: EveryCut, Image: 0, Sound: -1},
			{Cadence: EveryGap, Image: -1, Sound: -1},
		}
		a, err := New(oneSound, bothStreams, needs, Options{})
		if err != nil {
			t.Fatal(err)
		}
		n, most := 0, int64(0)
		if sound {
			n += len(push(t, a, m.block(0, 0, 8000, 0, 80)))
		}
		for i := range 5000 {
			n += len(push(t, a, m.frame(0, time.Duration(i)*100*time.Microsecond, 0, byte(i))))
			most = max(most, m.pool.Held())
		}
		n += len(push(t, a, m.block(0, 0, 8000, 10*ms, 800), m.block(0, 0, 8000, 40*time.Second, 800)))
		for i := range 5000 { // of the next Seg, while the sound owes the end of this one
			n += len(push(t, a, m.frame(1, 50*time.Second+time.Duration(i)*100*time.Microsecond, 0, byte(i))))
			most = max(most, m.pool.Held())
		}
		for _, x := range a.Flush(nil) {
			n++
			x.Release()
		}
		if most > maxFrames+10 {
			t.Errorf("sound %t: %d units held", sound, most)
		}
		if n < 10000 || a.Stats().LateFrames != 0 {
			t.Errorf("sound %t: %d moments, %+v", sound, n, a.Stats())
		}
		if m.pool.Held() != 0 || a.Held() != 0 {
			t.Errorf("sound %t: %d units and %d moments held", sound, m.pool.Held(), a.Held())
		}
	}
}

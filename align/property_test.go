package align

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// drawPlot makes media with everything that happens to media: late starts, early
// ends, holes, odd steps, unknown durations, absent streams and jumps.
func drawPlot(t *rapid.T) *plot {
	p := &plot{video: rapid.IntRange(0, 9).Draw(t, "video") > 0, audio: true}
	if p.video {
		p.audio = rapid.IntRange(0, 9).Draw(t, "audio") > 0
	}
	n := rapid.IntRange(1, 3).Draw(t, "segs")
	for range n {
		var s scene
		base := time.Duration(rapid.IntRange(0, 2000).Draw(t, "base")) * ms
		if p.video {
			at := base + time.Duration(rapid.IntRange(0, 900_000).Draw(t, "start"))*time.Microsecond
			for range rapid.IntRange(0, 25).Draw(t, "frames") {
				step := rapid.SampledFrom([]time.Duration{33_366_667, 40 * ms, 40 * ms, 17 * ms, 100 * ms, 700 * ms, 2500 * ms}).Draw(t, "step")
				dur := rapid.SampledFrom([]time.Duration{0, step, step, 40 * ms}).Draw(t, "dur")
				s.frames = append(s.frames, framePlot{at, dur})
				at += step
			}
		}
		if p.audio {
			at := base + time.Duration(rapid.IntRange(0, 900_000).Draw(t, "start"))*time.Microsecond
			for range rapid.IntRange(0, 40).Draw(t, "blocks") {
				long := rapid.SampledFrom([]int{20, 20, 20, 23, 64, 1}).Draw(t, "block")
				s.blocks = append(s.blocks, blockPlot{at, long})
				at += time.Duration(long) * ms
				at += rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 0, 0, 7 * ms, 300 * ms, 2200 * ms}).Draw(t, "hole")
			}
		}
		p.segs = append(p.segs, s)
	}
	return p
}

func drawNeeds(t *rapid.T) []Need {
	var needs []Need
	for range rapid.IntRange(1, 5).Draw(t, "needs") {
		n := Need{
			Cadence: rapid.SampledFrom([]Cadence{EveryFrame, EveryCut, EveryPeriod, EveryHop, EveryGap}).Draw(t, "cadence"),
			Image:   rapid.IntRange(-1, 0).Draw(t, "image"),
			Sound:   rapid.IntRange(-1, 1).Draw(t, "sound"),
			Place:   Place(rapid.IntRange(0, 1).Draw(t, "place")),
		}
		if n.Sound >= 0 && n.Cadence != EveryGap {
			n.Window = rapid.SampledFrom([]int{0, 1, 160, 801, 4000}).Draw(t, "window")
		}
		switch n.Cadence {
		case EveryPeriod:
			n.Period = rapid.SampledFrom([]time.Duration{100 * ms, 500 * ms, 33_366_667}).Draw(t, "period")
		case EveryCut, EveryFrame:
			n.Period = rapid.SampledFrom([]time.Duration{0, 250 * ms}).Draw(t, "period")
		case EveryHop:
			n.Sound, n.Window = max(0, n.Sound), max(160, n.Window)
			n.Hop = rapid.SampledFrom([]int{80, 512, 4000, 9000}).Draw(t, "hop")
			n.MinWindow = rapid.SampledFrom([]int{0, 1, n.Window / 2, n.Window}).Draw(t, "least")
		}
		needs = append(needs, n)
	}
	return needs
}

// shuffle draws an arrival: each stream keeps its order, and neither runs more
// than lag ahead of what the other still has to deliver (0: no matter).
func shuffle(t *rapid.T, video, audio []decode.Unit, lag time.Duration) []decode.Unit {
	var out []decode.Unit
	for len(video) > 0 || len(audio) > 0 {
		v := len(video) > 0 && (len(audio) == 0 || rapid.Bool().Draw(t, "video next"))
		if lag > 0 && len(video) > 0 && len(audio) > 0 {
			v = v && mayGo(video[0], audio[0], lag) || !mayGo(audio[0], video[0], lag)
		}
		if v {
			out, video = append(out, video[0]), video[1:]
		} else {
			out, audio = append(out, audio[0]), audio[1:]
		}
	}
	return out
}

// mayGo reports whether u may arrive before the other stream's next unit.
func mayGo(u, other decode.Unit, lag time.Duration) bool {
	a, b := stampOf(u), stampOf(other)
	if a.Seg != b.Seg {
		return a.Seg < b.Seg
	}
	if u.End != nil || other.End != nil {
		return u.End == nil || other.End != nil // ends come last here
	}
	newest := a.At
	if u.Block != nil {
		newest += time.Duration(samples(u.Block)) * time.Second / time.Duration(u.Block.PCM.Format.SampleRate)
	}
	return newest-lag <= b.At
}

// What comes out is what the rules say, however the streams arrive.
func TestAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, needs := drawPlot(t), drawNeeds(t)
		opt := Options{MaxLag: rapid.SampledFrom([]time.Duration{time.Hour, 1500 * ms}).Draw(t, "lag"), Tolerance: 50 * ms}
		m := new(media)
		video, audio := p.units(m)
		lag := opt.MaxLag
		if lag == time.Hour {
			lag = 0
		}
		want := p.expect(needs, opt)
		var got []string
		st := gather(t, m, p, needs, opt, shuffle(t, video, audio, lag), func(x *Moment) {
			got = append(got, tell(x, needs))
			if n := needs[x.Need]; n.Window > 0 {
				half := time.Second / time.Duration(2*plotOutputs.Sounds[n.Sound].Rate)
				if x.Skew > half || x.Skew < -half {
					t.Fatalf("skew %v", x.Skew)
				}
			}
		})
		if !slices.Equal(got, want) {
			for i := range max(len(got), len(want)) {
				g, w := "nothing", "nothing"
				if i < len(got) {
					g = got[i]
				}
				if i < len(want) {
					w = want[i]
				}
				if g != w {
					t.Fatalf("moment %d\n got  %s\n want %s\n needs %+v\n plot %+v", i, g, w, needs, p)
				}
			}
		}
		if st.LateFrames != 0 || st.LateSamples != 0 || st.Foreign != 0 {
			t.Fatalf("dropped: %+v", st)
		}
		if st.Moments != int64(len(want)) {
			t.Fatalf("%d moments counted, %d made", st.Moments, len(want))
		}
		var missing, last time.Duration
		for _, s := range p.segs {
			v, a := s.end(opt)
			last = max(last, v, a)
			if !p.audio || len(s.frames)+len(s.blocks) == 0 {
				continue
			}
			from, to := never, max(v, a)
			if len(s.frames) > 0 {
				from = s.frames[0].at
			}
			for _, b := range s.blocks {
				from = min(from, b.at)
				missing -= time.Duration(b.ms) * ms
			}
			missing += to - from
		}
		if st.MissingAudio != missing || st.End != last {
			t.Fatalf("missing %v, end %v; want %v, %v", st.MissingAudio, st.End, missing, last)
		}
	})
}

// gather is collect without the fixed streams, for rapid.
func gather(t *rapid.T, m *media, p *plot, needs []Need, opt Options, units []decode.Unit, see func(*Moment)) Stats {
	a, err := New(plotOutputs, p.streams(), needs, opt)
	if err != nil {
		t.Fatal(err)
	}
	var buf []*Moment
	for _, u := range units {
		buf = a.Push(buf, u)
	}
	buf = a.Flush(buf)
	for _, x := range buf {
		see(x)
		x.Release()
	}
	if a.Held() != 0 || m.pool.Held() != 0 {
		t.Fatalf("%d moments, %d frames and blocks held", a.Held(), m.pool.Held())
	}
	return a.Stats()
}

// Any units in any order, with any stamps, give moments in order, lose no memory
// and never panic.
func TestNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := new(media)
		needs := drawNeeds(t)
		p := &plot{video: rapid.Bool().Draw(t, "video"), audio: rapid.Bool().Draw(t, "audio")}
		var units []decode.Unit
		for range rapid.IntRange(0, 60).Draw(t, "units") {
			seg := rapid.SampledFrom([]uint32{0, 0, 0, 1, 1, 2, 40, 1 << 31, 1<<32 - 1}).Draw(t, "seg")
			at := time.Duration(rapid.Int64Range(-int64(time.Second), int64(20*time.Second)).Draw(t, "at"))
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0, 1:
				units = append(units, m.frame(seg, at, time.Duration(rapid.Int64Range(-5, int64(time.Minute)).Draw(t, "dur")), byte(at)))
			case 2, 3:
				units = append(units, m.block(seg, rapid.IntRange(0, 2).Draw(t, "sound"), rapid.SampledFrom([]int{8000, 16000, 1, 0}).Draw(t, "rate"), at, rapid.IntRange(0, 5000).Draw(t, "n")))
			default:
				units = append(units, end(seg, ingest.Kind(rapid.IntRange(1, 2).Draw(t, "of")), at))
			}
		}
		last := make(map[int]uint32)
		flush := rapid.Bool().Draw(t, "flush")
		a, err := New(plotOutputs, p.streams(), needs, Options{MaxLag: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		var buf []*Moment
		for _, u := range units {
			buf = a.Push(buf, u)
		}
		if flush {
			buf = a.Flush(buf)
		}
		a.Close()
		for _, x := range buf {
			if x.Seg < last[0] {
				t.Fatalf("seg %d after %d", x.Seg, last[0])
			}
			last[0] = x.Seg
			x.Release()
		}
		if a.Held() != 0 || m.pool.Held() != 0 {
			t.Fatalf("%d moments, %d frames and blocks held", a.Held(), m.pool.Held())
		}
	})
}

// Apart changes when a moment comes, and its order among those of other needs,
// and nothing else: each need gets the same ones, none of them later.
func TestApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, needs := drawPlot(t), drawNeeds(t)
		opt := Options{MaxLag: 1500 * ms, Tolerance: 50 * ms}
		m := new(media)
		video, audio := p.units(m)
		arrival := shuffle(t, video, audio, opt.MaxLag)
		var isVideo []bool
		for _, u := range arrival {
			isVideo = append(isVideo, u.Frame != nil || u.End != nil && u.End.Kind == ingest.Video)
		}
		// What each need has got after each unit.
		gather := func(units []decode.Unit, opt Options) (told [][]string, counts [][]int) {
			told = make([][]string, len(needs))
			a, err := New(plotOutputs, p.streams(), needs, opt)
			if err != nil {
				t.Fatal(err)
			}
			take := func(ms []*Moment) {
				for _, x := range ms {
					told[x.Need] = append(told[x.Need], tell(x, needs))
					x.Release()
				}
				var n []int
				for _, l := range told {
					n = append(n, len(l))
				}
				counts = append(counts, n)
			}
			for _, u := range units {
				take(a.Push(nil, u))
			}
			take(a.Flush(nil))
			if a.Held() != 0 {
				t.Fatalf("%d moments held", a.Held())
			}
			return told, counts
		}
		want, before := gather(arrival, opt)
		video, audio = p.units(m)
		again := make([]decode.Unit, 0, len(isVideo))
		for _, v := range isVideo {
			if v {
				again, video = append(again, video[0]), video[1:]
			} else {
				again, audio = append(again, audio[0]), audio[1:]
			}
		}
		opt.Apart = true
		got, counts := gather(again, opt)
		for i := range needs {
			if !slices.Equal(got[i], want[i]) {
				t.Fatalf("need %+v\n got  %q\n want %q", needs[i], got[i], want[i])
			}
			for k := range counts {
				if counts[k][i] < before[k][i] {
					t.Fatalf("need %+v has %d moments after unit %d, and %d without Apart", needs[i], counts[k][i], k, before[k][i])
				}
			}
		}
		if m.pool.Held() != 0 {
			t.Fatalf("%d frames and blocks held", m.pool.Held())
		}
	})
}

// A frame does not wait for a long window of sound that another need has asked for.
func TestApartDoesNotWait(t *testing.T) {
	for _, apart := range []bool{false, true} {
		m := new(media)
		p := &plot{video: true, audio: true}
		a, err := New(plotOutputs, p.streams(), []Need{
			{Cadence: EveryFrame, Image: 0, Sound: 0, Window: 160, Place: End},
			{Cadence: EveryHop, Image: -1, Sound: 0, Window: 5 * plotOutputs.Sounds[0].Rate, Hop: plotOutputs.Sounds[0].Rate},
		}, Options{Apart: apart})
		if err != nil {
			t.Fatal(err)
		}
		worst := time.Duration(0)
		for i := range 250 {
			at := time.Duration(i) * 40 * ms
			us := []decode.Unit{m.frame(0, at, 40*ms, byte(i))}
			for s, o := range plotOutputs.Sounds {
				us = append(us, m.block(0, s, o.Rate, at, o.Rate/25))
			}
			for _, u := range us {
				for _, x := range a.Push(nil, u) {
					if x.Need == 0 {
						worst = max(worst, at-x.At)
					}
					x.Release()
				}
			}
		}
		a.Close()
		if apart && worst > 40*ms {
			t.Errorf("a frame came %v after it was certain", worst)
		}
		if !apart && worst < time.Second {
			t.Errorf("in order, a frame came after %v: this test proves nothing", worst)
		}
	}
}

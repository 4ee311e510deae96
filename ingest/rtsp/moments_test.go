package rtsp_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/rtsp"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
)

// What the networks would see, through a kill and a step of the clock: each moment's
// picture against the click in the moment's own window.
func TestMoments(t *testing.T) {
	t.Parallel()
	clip := mediatest.ByName(t, "mp4-h264-aac")
	for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
		t.Run([]string{"tcp", "udp"}[transport], func(t *testing.T) {
			t.Parallel()
			s := rtsptest.Start(t, rtsptest.Load(t, clip.File), rtsptest.Options{Speed: 8, UDP: transport == rtsp.UDP, SoundLate: 200 * ms})
			k, _ := keep(t, s, rtsp.Options{Transport: transport}, 5*time.Second)
			out := decode.Outputs{Sizes: []decode.Size{{W: 64, H: 64}}, Sounds: []decode.Sound{{Rate: rate, Channels: 1}}}
			dec, err := ffmpeg.New(k.Streams(), out, ffmpeg.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer dec.Close()
			a, err := align.New(out, k.Streams(), []align.Need{{Cadence: align.EveryFrame, Window: rate}}, align.Options{MaxLag: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()

			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			r := decode.NewReader(k, dec)
			errs := map[uint32][]time.Duration{}
			steps := []func(){func() { s.Kill(); s.Restart() }, func() { s.StepClock(time.Hour) }}
			var from, now uint32
			var chosen []uint32
			for {
				units, err := r.Read(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				var list []*align.Moment
				for _, u := range units {
					if u.Frame != nil {
						now = u.Frame.Seg
					}
					list = append(list, a.Push(nil, u)...)
				}
				for _, m := range list {
					if e, ok := clicked(clip, m); ok {
						errs[m.Seg] = append(errs[m.Seg], e)
					}
					m.Release()
				}
				if now < from || len(errs[now]) < 6 {
					continue
				}
				chosen = append(chosen, now)
				if len(steps) == 0 {
					break
				}
				steps[0]()
				steps = steps[1:]
				from = now + 1
			}
			var all []time.Duration
			for _, seg := range chosen {
				all = append(all, errs[seg]...)
			}
			slices.SortFunc(all, func(a, b time.Duration) int { return int(a.Abs() - b.Abs()) })
			t.Logf("segs %v", chosen)
			checkApart(t, all, 3*6)
		})
	}
}

// clicked returns how much too late the click comes that sounds during the moment's
// picture.
func clicked(clip mediatest.Clip, m *align.Moment) (time.Duration, bool) {
	if m.Frame == nil || m.Wave.PCM == nil {
		return 0, false
	}
	index, ok := mediatest.ReadRGB(m.Image.W, m.Image.H, m.Image.Pix)
	if !ok {
		return 0, false
	}
	for _, k := range clip.Clicks {
		if k.Frame != index {
			continue
		}
		f := clip.Frames[slices.IndexFunc(clip.Frames, func(f mediatest.Frame) bool { return f.Index == index })]
		at := m.At + time.Duration(k.T-f.PTS) - m.Wave.At
		found := mediatest.Locate(m.Wave.PCM.Data, mediatest.Pulse(rate), int(ingest.Samples(at, rate)), rate*3/20)
		if loud(m.Wave.PCM.Data, found) < 0.25 {
			return 0, false
		}
		return ingest.SampleTime(int64(found), rate) - at, true
	}
	return 0, false
}

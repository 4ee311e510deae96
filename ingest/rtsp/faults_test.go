package rtsp_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/live"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/rtsp"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
)

// states collects what a kept source says of itself.
type states struct {
	failed chan struct{} // one token for each failure, up to its room
	mu     sync.Mutex
	list   []live.State
}

func (s *states) add(st live.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, st)
	if st.Phase == live.Waiting {
		select {
		case s.failed <- struct{}{}:
		default:
		}
	}
}

// causes are why the source failed.
func (s *states) causes() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.list {
		if st.Phase == live.Waiting {
			list = append(list, st.Cause)
		}
	}
	return list
}

// keep keeps the server's address, impatiently.
func keep(t *testing.T, s *rtsptest.Server, opt rtsp.Options, silence time.Duration) (*live.Kept, *states) {
	t.Helper()
	st := &states{failed: make(chan struct{}, 1)}
	k, err := live.Keep(t.Context(), func(ctx context.Context) (ingest.Source, error) {
		return rtsp.Open(ctx, s.URL(), opt)
	}, live.Options{Silence: silence, Backoff: live.Backoff{First: 10 * ms, Most: 50 * ms}, OnState: st.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k, st
}

// until is enough once pictures for so long came in the last Seg, at least seg.
func until(seg uint32, long time.Duration) func(*media) bool {
	return func(m *media) bool {
		n := len(m.frames)
		if n == 0 || m.frames[n-1].Seg < seg {
			return false
		}
		first := slices.IndexFunc(m.frames, func(f shown) bool { return f.Seg == m.frames[n-1].Seg })
		return m.frames[n-1].At-m.frames[first].At >= long
	}
}

// longest is the Seg of most pictures from seg on.
func (m *media) longest(seg uint32) uint32 {
	count := map[uint32]int{}
	best := seg
	for _, f := range m.frames {
		if count[f.Seg]++; f.Seg >= seg && count[f.Seg] > count[best] {
			best = f.Seg
		}
	}
	return best
}

func not(seg uint32) func(uint32) bool { return func(s uint32) bool { return s != seg } }

// A server that is killed and comes back costs the dead time, and nothing else.
func TestReconnect(t *testing.T) {
	t.Parallel()
	clip := mediatest.ByName(t, "mp4-h264-aac")
	for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
		t.Run([]string{"tcp", "udp"}[transport], func(t *testing.T) {
			t.Parallel()
			s := rtsptest.Start(t, rtsptest.Load(t, clip.File), rtsptest.Options{Speed: 8, UDP: transport == rtsp.UDP, SoundLate: 200 * ms})
			k, st := keep(t, s, rtsp.Options{Transport: transport}, 5*time.Second)
			const kills = 3
			killed, from := 0, uint32(0)
			m := watch(t, k, func(m *media) bool {
				if !until(from, 1500*ms)(m) {
					return false
				}
				if killed == kills {
					return until(from, 4*time.Second)(m)
				}
				killed++
				from = m.frames[len(m.frames)-1].Seg + 1
				s.Kill()
				s.Restart()
				return false
			})
			if n := k.State().Reconnects; n != kills || s.Sessions() < kills+1 {
				t.Errorf("%d reconnects, %d sessions, want %d", n, s.Sessions(), kills)
			}
			t.Logf("segs %v, %q", m.segs(), st.causes())
			checkApart(t, m.apart(clip, not(m.longest(from))), 4)
		})
	}
}

// A machine that loses its power says nothing: silence is found, and what comes
// back is taken up.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	clip := mediatest.ByName(t, "mp4-h264-aac")
	for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
		t.Run([]string{"tcp", "udp"}[transport], func(t *testing.T) {
			t.Parallel()
			s := rtsptest.Start(t, rtsptest.Load(t, clip.File), rtsptest.Options{Speed: 8, UDP: transport == rtsp.UDP})
			const silence = time.Second
			k, st := keep(t, s, rtsp.Options{Transport: transport}, silence)
			watch(t, k, until(0, time.Second))
			s.Freeze()
			frozen := time.Now()
			found := make(chan time.Duration, 1)
			go func() {
				<-st.failed
				found <- time.Since(frozen)
				s.Kill()
				s.Restart()
				close(found)
			}()
			var err error
			for err == nil && k.State().Reconnects == 0 {
				_, err = k.Read(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := <-found; d > silence+5*time.Second {
				t.Errorf("silence was found after %v", d)
			}
			<-found // closed
			if c := st.causes()[0]; c != "no packet for 1s" {
				t.Errorf("cause %q", c)
			}
		})
	}
}

// A step in the sender's clock moves sound and picture alike.
func TestClockStep(t *testing.T) {
	t.Parallel()
	clip := mediatest.ByName(t, "mp4-h264-aac")
	for name, c := range map[string]struct {
		step    time.Duration
		reports time.Duration
	}{
		"an hour ahead":               {time.Hour, 0},
		"ten minutes back":            {-10 * time.Minute, 0},
		"three seconds ahead":         {3 * time.Second, 0},
		"half a second back":          {-500 * ms, 0},
		"an hour, reports every 30 s": {time.Hour, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt, long := rtsptest.Options{Speed: 4, SoundLate: 200 * ms}, 3500*ms
			if c.reports > 0 {
				opt, long = rtsptest.Options{Reports: c.reports}, 1500*ms
			}
			s := rtsptest.Start(t, rtsptest.Load(t, clip.File), opt)
			src := open(t, s.URL(), rtsp.Options{})
			from := uint32(0)
			var before time.Time
			m := watch(t, src, func(m *media) bool {
				if from == 0 && until(1, 500*ms)(m) || from == 0 && c.reports > 0 && until(0, 1200*ms)(m) {
					last := m.frames[len(m.frames)-1]
					from = last.Seg + 1
					before, _ = src.Wall(last.Stamp)
					s.StepClock(c.step)
				}
				return from > 0 && until(from, long)(m)
			})
			last := m.longest(from)
			t.Logf("segs %v, %+v", m.segs(), src.Sync())
			if c.reports == 0 {
				checkApart(t, m.apart(clip, not(last)), 4)
				end := m.frames[len(m.frames)-1]
				after, exact := src.Wall(end.Stamp)
				if d := after.Sub(before) - c.step; !exact || d < 0 || d > 15*time.Second {
					t.Errorf("the sender's clock went from %v to %v (%v)", before, after, exact)
				}
				return
			}
			// Nothing says how far they are apart, but the step changed nothing.
			errs := m.apart(clip, not(last))
			old := m.apart(clip, func(seg uint32) bool { return seg >= from })
			if len(errs) < 2 || len(old) < 1 {
				t.Fatalf("%d clicks before the step, %d after it", len(old), len(errs))
			}
			if (errs[0] - old[0]).Abs() > 2*ms {
				t.Errorf("sound and picture were %v apart, and are %v after the step", old[0], errs[0])
			}
		})
	}
}

// A step in the wall clock alone moves Wall, and nothing else.
func TestWallStep(t *testing.T) {
	t.Parallel()
	clip := mediatest.ByName(t, "mp4-h264-aac")
	s := rtsptest.Start(t, rtsptest.Load(t, clip.File), rtsptest.Options{Speed: 8, SoundLate: 200 * ms})
	src := open(t, s.URL(), rtsp.Options{})
	stepped := 0
	m := watch(t, src, func(m *media) bool {
		if stepped == 0 && until(1, time.Second)(m) {
			stepped = len(m.frames) - 1
			s.StepWall(time.Hour)
		}
		return stepped > 0 && until(1, 6*time.Second)(m)
	})
	// The sound and its reports come later than the picture.
	first, last := m.frames[stepped-12], m.frames[len(m.frames)-1]
	if last.Seg != first.Seg {
		t.Errorf("a new seg at a step of the wall clock: %v", m.segs())
	}
	from, _ := src.Wall(first.Stamp)
	to, exact := src.Wall(last.Stamp)
	if d := to.Sub(from) - (last.At - first.At) - time.Hour; !exact || d.Abs() > ms {
		t.Errorf("from %v at %v to %v at %v (%v)", from, first.At, to, last.At, exact)
	}
	checkApart(t, m.apart(clip, not(last.Seg)), 4)
}

// Packets that are lost or out of order cost pictures, never the place of the
// others.
func TestLoss(t *testing.T) {
	t.Parallel()
	// Every picture and every packet of sound stands alone: what does come is right.
	clip, m0 := encoded(t, "-c:v libx264 -preset ultrafast -g 1 -pix_fmt yuv420p -c:a pcm_alaw -ar 16000 -ac 1")
	s := rtsptest.Start(t, m0, rtsptest.Options{Speed: 8, UDP: true, Loss: 0.05, Reorder: 0.05, SoundLate: 200 * ms})
	src := open(t, s.URL(), rtsp.Options{Transport: rtsp.UDP})
	m := watch(t, src, func(m *media) bool { return len(m.frames) > 0 && m.frames[len(m.frames)-1].At > 24*time.Second })
	d := src.Damage()
	// The machine may lose some as well, and the server lost some unseen.
	if lost := s.Lost(); d.Lost < lost/2 || lost == 0 {
		t.Errorf("%+v, %d were lost", d, lost)
	}
	t.Logf("segs %v, %d of %d lost, %d pictures, %+v", m.segs(), d.Lost, s.Lost(), len(m.frames), m.stats)
	checkApart(t, m.apart(clip, not(m.longest(0))), 4)
}

// The picture changes its size in mid-stream.
func TestNewSize(t *testing.T) {
	t.Parallel()
	clip := mediatest.ByName(t, "ts-new-size")
	s := rtsptest.Start(t, rtsptest.Load(t, clip.File), rtsptest.Options{Speed: 8})
	src := open(t, s.URL(), rtsp.Options{})
	m := watch(t, src, func(m *media) bool { return len(m.frames) > 0 && m.frames[len(m.frames)-1].At > 7*time.Second })
	sizes := map[[2]int]bool{}
	for _, f := range m.frames {
		want := [2]int{128, 96}
		if f.index >= 50 {
			want = [2]int{192, 128}
		}
		if got := [2]int{f.w, f.h}; got != want || f.index < 0 {
			t.Errorf("picture %d at %v is %v, want %v", f.index, f.At, got, want)
		}
		sizes[want] = true
	}
	if len(sizes) != 2 {
		t.Errorf("sizes %v", sizes)
	}
}

// The camera is set to another codec, then without sound, then with it again.
func TestSwitch(t *testing.T) {
	t.Parallel()
	h264, vp8 := mediatest.ByName(t, "mp4-h264-aac"), mediatest.ByName(t, "webm-vp8-opus")
	first, second := rtsptest.Load(t, h264.File), rtsptest.Load(t, vp8.File)
	s := rtsptest.Start(t, first, rtsptest.Options{Speed: 8, SoundLate: 200 * ms})
	k, st := keep(t, s, rtsp.Options{}, 5*time.Second)
	steps := []*rtsptest.Media{second, first.Only(ingest.Video), first}
	from := uint32(0)
	var begun []uint32
	m := watch(t, k, func(m *media) bool {
		if !until(from, 4*time.Second)(m) {
			return false
		}
		if len(steps) == 0 {
			return true
		}
		from = m.frames[len(m.frames)-1].Seg + 1
		begun = append(begun, from)
		s.Switch(steps[0])
		steps = steps[1:]
		return false
	})
	t.Logf("segs %v, %q, %+v", m.segs(), st.causes(), m.stats)
	between := func(lo, hi uint32) uint32 {
		return (&media{frames: slices.DeleteFunc(slices.Clone(m.frames), func(f shown) bool { return f.Seg >= hi })}).longest(lo)
	}
	checkApart(t, m.apart(h264, not(between(0, begun[0]))), 3)
	checkApart(t, m.apart(vp8, not(between(begun[0], begun[1]))), 3)
	checkApart(t, m.apart(h264, not(between(begun[2], 1<<31))), 3)
	for _, h := range m.sounds {
		if h.Seg >= begun[1] && h.Seg < begun[2] {
			t.Errorf("sound at %v, while there was none", h.Stamp)
		}
	}
}

// The sound stops for a while within a session.
func TestMute(t *testing.T) {
	t.Parallel()
	clip := mediatest.ByName(t, "mp4-h264-aac")
	s := rtsptest.Start(t, rtsptest.Load(t, clip.File), rtsptest.Options{SoundLate: 200 * ms})
	src := open(t, s.URL(), rtsp.Options{})
	muted, unmuted := time.Duration(0), time.Duration(0)
	m := watch(t, src, func(m *media) bool {
		if len(m.frames) == 0 {
			return false
		}
		at := m.frames[len(m.frames)-1].At
		switch {
		case muted == 0 && at > 700*ms:
			muted = at
			s.Mute(ingest.Audio, true)
		case muted > 0 && unmuted == 0 && at > muted+time.Second:
			unmuted = at
			s.Mute(ingest.Audio, false)
		}
		return unmuted > 0 && at > unmuted+2*time.Second
	})
	if segs := m.segs(); len(segs) > 2 {
		t.Errorf("segs %v", segs)
	}
	if m.stats.AudioGaps < 700*ms {
		t.Errorf("%v of sound missing", m.stats.AudioGaps)
	}
	checkApart(t, m.apart(clip, not(m.longest(0))), 2)
}

// Names, passwords and encryption.
func TestAccess(t *testing.T) {
	t.Parallel()
	clip := rtsptest.Load(t, mediatest.ByName(t, "mp4-h264-aac").File)
	for name, c := range map[string]struct {
		opt       rtsptest.Options
		transport rtsp.Transport
	}{
		"basic":   {rtsptest.Options{}, rtsp.TCP},
		"digest":  {rtsptest.Options{Digest: true}, rtsp.TCP},
		"tls":     {rtsptest.Options{TLS: certificate(t)}, rtsp.TCP},
		"tls udp": {rtsptest.Options{TLS: certificate(t), UDP: true}, rtsp.UDP},
		"auto":    {rtsptest.Options{UDP: true}, rtsp.Auto},
	} {
		t.Run(name, func(t *testing.T) {
			c.opt.Speed, c.opt.User, c.opt.Password = 8, "admin", "S3cr3t!$"
			s := rtsptest.Start(t, clip, c.opt)
			opt := rtsp.Options{Transport: c.transport, TLS: trusting()}
			src := open(t, s.URL(), opt)
			for range 50 {
				if _, err := src.Read(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			_, err := rtsp.Open(t.Context(), strings.Replace(s.URL(), "S3cr3t", "Wr0ng", 1), opt)
			if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "Wr0ng") || strings.Contains(err.Error(), "\n") {
				t.Errorf("a wrong password: %v", err)
			}
			s.Kill()
			for err = nil; err == nil; {
				_, err = src.Read(t.Context())
			}
			if strings.Contains(err.Error(), "S3cr3t") || !strings.Contains(err.Error(), "rtsp") {
				t.Errorf("the end: %v", err)
			}
		})
	}
}

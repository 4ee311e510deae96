package relay

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// film yields a picture and a block of sound every 40 ms, a keyframe every n
// pictures, a new Seg where jumps says so, and ends after so many pictures.
type film struct {
	key, count int
	jumps      []int
	sound      bool

	began  time.Time
	n      int
	closed chan struct{}
}

var errFilm = errors.New("connection reset")

func (f *film) Streams() []ingest.Stream {
	list := []ingest.Stream{{Index: 3, Kind: ingest.Video}}
	if f.sound {
		list = append(list, ingest.Stream{Index: 5, Kind: ingest.Audio})
	}
	return list
}
func (f *film) Live() bool { return true }

func (f *film) Read(ctx context.Context) (ingest.Packet, error) {
	per := 1
	if f.sound {
		per = 2
	}
	i := f.n / per
	if i == f.count {
		return ingest.Packet{}, errFilm
	}
	at := time.Duration(i) * 40 * time.Millisecond
	select {
	case <-time.After(time.Until(f.began.Add(at))):
	case <-ctx.Done():
		return ingest.Packet{}, ctx.Err()
	case <-f.closed:
		return ingest.Packet{}, io.ErrClosedPipe
	}
	p := ingest.Packet{Stream: 3, PTS: at, DTS: at, Key: i%f.key == 0, Data: make([]byte, 10), Arrived: time.Now()}
	if f.n%per == 1 {
		p.Stream, p.Key = 5, true
	}
	for _, j := range f.jumps {
		if i >= j {
			p.Seg++
		}
	}
	f.n++
	return p, nil
}

func (f *film) Close() error { close(f.closed); return nil }

func (f *film) Wall(s ingest.Stamp) (time.Time, bool) {
	return time.Unix(int64(s.Seg), 0).Add(s.At), true
}

// Whatever the decoder's pace and wherever the source jumps: who is shown the
// packets sees all of them at once; the decoder gets a run of them at a time,
// each beginning with a keyframe in a Seg of its own, and what it gets and what is
// counted as skipped is everything.
func TestRestarts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := &film{
			key: rapid.IntRange(1, 60).Draw(rt, "key"), count: rapid.IntRange(1, 400).Draw(rt, "count"),
			jumps: rapid.SliceOfN(rapid.IntRange(1, 400), 0, 3).Draw(rt, "jumps"),
			sound: rapid.Bool().Draw(rt, "sound"),
		}
		pauses := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 40).Draw(rt, "pauses")
		synctest.Test(t, func(*testing.T) {
			f.began, f.closed = time.Now(), make(chan struct{})
			var shown []ingest.Packet
			r := New(f, Options{Behind: time.Second, Show: func(p *ingest.Packet) {
				if d := time.Since(f.began) - p.PTS; d != 0 {
					rt.Errorf("packet at %v was shown %v late", p.PTS, d)
				}
				shown = append(shown, *p)
			}})
			var got []ingest.Packet
			for i := 0; ; i++ {
				p, err := r.Read(context.Background())
				if err != nil {
					if !errors.Is(err, errFilm) {
						rt.Errorf("error %v", err)
					}
					break
				}
				r.mu.Lock()
				if n := len(r.waiting); n > 0 && r.waiting[n-1].Arrived.Sub(p.Arrived) > time.Second {
					rt.Errorf("%v of media wait behind the packet at %v", r.waiting[n-1].Arrived.Sub(p.Arrived), p.PTS)
				}
				r.mu.Unlock()
				got = append(got, p)
				time.Sleep(time.Duration(pauses[i%len(pauses)]) * time.Millisecond)
			}
			if err := r.Close(); err != nil {
				rt.Error(err)
			}
			if int64(len(got))+r.Skipped() != int64(len(shown)) || len(shown) != f.n {
				rt.Errorf("%d read, %d skipped, %d shown, %d sent", len(got), r.Skipped(), len(shown), f.n)
			}
			at := 0
			for i := range got {
				p := &got[i]
				j := at
				for shown[j].PTS != p.PTS || shown[j].Stream != p.Stream {
					j++
				}
				if shown[j].Seg != p.Seg {
					rt.Errorf("packet at %v is in Seg %d for one and %d for the other", p.PTS, shown[j].Seg, p.Seg)
				}
				if j != at && (p.Stream != 3 || !p.Key || i > 0 && p.Seg <= got[i-1].Seg) {
					rt.Errorf("behind a hole comes %+v", p)
				}
				at = j + 1
				want := time.Duration(0)
				for _, n := range f.jumps {
					if p.PTS >= time.Duration(n)*40*time.Millisecond {
						want += time.Second
					}
				}
				if w, _ := r.Wall(ingest.Stamp{At: p.PTS, Seg: p.Seg}); w.Sub(time.Unix(0, 0)) != want+p.PTS {
					rt.Errorf("wall clock of %v in Seg %d is %v", p.PTS, p.Seg, w)
				}
			}
		})
	})
}

// Close ends a Read that waits, and the reading of the source.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(&film{key: 1, count: 1 << 30, began: time.Now().Add(time.Hour), closed: make(chan struct{})}, Options{})
		end := make(chan error)
		go func() { _, err := r.Read(t.Context()); end <- err }()
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-end; err == nil {
			t.Fatal("a Read got something")
		}
	})
}

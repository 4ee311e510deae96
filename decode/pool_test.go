package decode

import (
	"sync"
	"testing"
)

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestFrameHolders(t *testing.T) {
	var p Pool
	f := p.Frame([][2]int{{4, 2}, {0, 0}, {2, 3}})
	if len(f.Images) != 3 || len(f.Images[0].Pix) != 24 || f.Images[1].Pix != nil || len(f.Images[2].Pix) != 18 {
		t.Fatalf("images %+v", f.Images)
	}
	f.Retain()
	f.Release()
	if p.Held() != 1 {
		t.Errorf("%d held, want 1", p.Held())
	}
	f.Release()
	if p.Held() != 0 {
		t.Errorf("%d held, want 0", p.Held())
	}
	if !panics(f.Release) {
		t.Error("releasing too often went unnoticed")
	}
}

func TestRetainAfterRelease(t *testing.T) {
	var p Pool
	b := p.Block(16000, 1, 10)
	b.Release()
	if !panics(b.Retain) {
		t.Error("retaining after the last release went unnoticed")
	}
}

// TestBlockShape reuses a block for a larger and a smaller one.
func TestBlockShape(t *testing.T) {
	var p Pool
	for _, c := range []struct{ rate, channels, n int }{{16000, 1, 10}, {48000, 2, 500}, {8000, 1, 3}, {8000, 6, 0}} {
		b := p.Block(c.rate, c.channels, c.n)
		if len(b.PCM.Data) != c.n*c.channels || b.PCM.Format.SampleRate != c.rate || b.PCM.Format.NumChannels != c.channels {
			t.Errorf("%+v: %d values, %+v", c, len(b.PCM.Data), b.PCM.Format)
		}
		if b.At != 0 || b.Seg != 0 || b.Sound != 0 {
			t.Errorf("%+v: old stamps %+v", c, b.Stamp)
		}
		b.At, b.Seg, b.Sound = 5, 5, 5
		b.Release()
	}
}

// TestFrameShape reuses a frame with other sizes, more and fewer of them.
func TestFrameShape(t *testing.T) {
	var p Pool
	for _, sizes := range [][][2]int{{{2, 2}}, {{8, 8}, {3, 5}}, {}, {{1, 1}, {2, 2}, {3, 3}}, {{16, 16}}} {
		f := p.Frame(sizes)
		if len(f.Images) != len(sizes) {
			t.Fatalf("%d images for %v", len(f.Images), sizes)
		}
		for i, im := range f.Images {
			if im.W != sizes[i][0] || im.H != sizes[i][1] || len(im.Pix) != 3*im.W*im.H {
				t.Errorf("%v: image %d is %dx%d with %d bytes", sizes, i, im.W, im.H, len(im.Pix))
			}
		}
		if f.At != 0 || f.Key || f.Dur != 0 {
			t.Errorf("old stamp %+v", f.Stamp)
		}
		f.At, f.Key, f.Dur = 7, true, 7
		f.Release()
	}
}

// TestHoldersTogether retains and releases from many goroutines.
func TestHoldersTogether(t *testing.T) {
	var p Pool
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				f := p.Frame([][2]int{{8, 8}})
				f.Retain()
				f.Images[0].Pix[0]++
				done := make(chan struct{})
				go func() { f.Release(); close(done) }()
				f.Release()
				<-done
			}
		})
	}
	wg.Wait()
	if p.Held() != 0 {
		t.Errorf("%d held", p.Held())
	}
}

// TestPoolAllocates holds the pool to its purpose.
func TestPoolAllocates(t *testing.T) {
	var p Pool
	sizes := [][2]int{{224, 224}}
	n := testing.AllocsPerRun(100, func() {
		f := p.Frame(sizes)
		b := p.Block(22050, 1, 512)
		f.Release()
		b.Release()
	})
	if n > 1 && !raceEnabled { // sync.Pool drops at random under the race detector
		t.Errorf("%v allocations per frame and block", n)
	}
}

func TestUnitRelease(t *testing.T) {
	var p Pool
	for _, u := range []Unit{{}, {End: &End{}}, {Frame: p.Frame(nil)}, {Block: p.Block(1, 1, 1)}} {
		u.Release()
	}
	if p.Held() != 0 {
		t.Errorf("%d held", p.Held())
	}
}

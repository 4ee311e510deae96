package decode

import (
	"sync"
	"sync/atomic"

	"github.com/go-audio/audio"
)

// ref counts the holders of pooled memory. Releasing more often than retaining
// is a bug that would hand memory in use to somebody else, so it panics.
type ref struct {
	n    atomic.Int32
	pool *Pool
}

func (r *ref) retain() {
	if r.n.Add(1) <= 1 {
		panic("decode: retained after release")
	}
}

// drop reports whether the last holder is gone.
func (r *ref) drop() bool {
	n := r.n.Add(-1)
	if n < 0 {
		panic("decode: released too often")
	}
	return n == 0
}

// Retain adds a holder.
func (f *Frame) Retain() { f.ref.retain() }

// Release drops a holder; the last one gives the pictures back to the pool.
func (f *Frame) Release() {
	if f.ref.drop() {
		f.ref.pool.held.Add(-1)
		f.ref.pool.frames.Put(f)
	}
}

// Retain adds a holder.
func (b *Block) Retain() { b.ref.retain() }

// Release drops a holder; the last one gives the samples back to the pool.
func (b *Block) Release() {
	if b.ref.drop() {
		b.ref.pool.held.Add(-1)
		b.ref.pool.blocks.Put(b)
	}
}

// Pool recycles frames and blocks. It is safe for concurrent use; the zero value
// is ready.
type Pool struct {
	frames, blocks sync.Pool
	held           atomic.Int64
}

// Frame returns a frame with one holder whose images have the given sizes and
// undefined contents.
func (p *Pool) Frame(sizes [][2]int) *Frame {
	f, _ := p.frames.Get().(*Frame)
	if f == nil {
		f = new(Frame)
	}
	images := f.Images
	if cap(images) < len(sizes) {
		images = append(images[:cap(images)], make([]Image, len(sizes)-cap(images))...)
	}
	images = images[:len(sizes)]
	for i, s := range sizes {
		n := 3 * s[0] * s[1]
		if cap(images[i].Pix) < n {
			images[i].Pix = make([]byte, n)
		}
		images[i] = Image{W: s[0], H: s[1], Pix: images[i].Pix[:n]}
	}
	*f = Frame{Images: images}
	f.ref.pool = p
	f.ref.n.Store(1)
	p.held.Add(1)
	return f
}

// Block returns a block of n samples per channel with one holder and undefined
// contents.
func (p *Pool) Block(rate, channels, n int) *Block {
	b, _ := p.blocks.Get().(*Block)
	if b == nil {
		b = &Block{PCM: &audio.Float32Buffer{Format: new(audio.Format)}}
	}
	pcm := b.PCM
	pcm.Format.SampleRate, pcm.Format.NumChannels = rate, channels
	if cap(pcm.Data) < n*channels {
		pcm.Data = make([]float32, n*channels)
	}
	pcm.Data = pcm.Data[:n*channels]
	*b = Block{PCM: pcm}
	b.ref.pool = p
	b.ref.n.Store(1)
	p.held.Add(1)
	return b
}

// Held returns how many frames and blocks are not yet released: zero once a
// pipeline has ended.
func (p *Pool) Held() int64 { return p.held.Load() }

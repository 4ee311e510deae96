package localize

import (
	"bytes"
	"sync"
)

// cached is how many pictures the family remembers: enough for a few sources
// that show a still or are asked for the same frame twice.
const cached = 4

// embedding is what the image encoder made of one picture.
type embedding struct {
	pix []byte // the picture itself
	dims
	cells  []float32 // depth x rows x columns
	object []float32 // rows x columns, nil without objectness
	mean   []float32 // over the cells, to tell one scene from another
	refs   int       // guarded by the cache
}

// cache keeps the embeddings of the last pictures. A picture is known by its
// content, so that the same frame is found again whoever asks, and one that
// merely reuses the memory of another is not taken for it. A reader holds a
// reference; embeddings nobody holds are used again.
type cache struct {
	mu   sync.Mutex
	last []*embedding // the newest at the end
	free []*embedding
}

// get returns the embedding of pix with a reference, or nil.
func (c *cache) get(pix []byte) *embedding {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.last {
		if bytes.Equal(e.pix, pix) {
			e.refs++
			copy(c.last[i:], c.last[i+1:])
			c.last[len(c.last)-1] = e
			return e
		}
	}
	return nil
}

// take returns an embedding to be filled, with one reference.
func (c *cache) take() *embedding {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.free); n > 0 {
		e := c.free[n-1]
		c.free = c.free[:n-1]
		e.refs = 1
		return e
	}
	return &embedding{refs: 1}
}

// keep makes e, of which pix is the picture, known to get.
func (c *cache) keep(e *embedding, pix []byte) {
	e.pix = append(e.pix[:0], pix...)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.refs++
	if len(c.last) == cached {
		old := c.last[0]
		copy(c.last, c.last[1:])
		c.last = c.last[:cached-1]
		c.drop(old)
	}
	c.last = append(c.last, e)
}

// release gives a reference back.
func (c *cache) release(e *embedding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(e)
}

func (c *cache) drop(e *embedding) {
	if e.refs--; e.refs == 0 && len(c.free) < 2*cached {
		c.free = append(c.free, e)
	}
}

package overlay

import (
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/sinks"
)

// This file holds what marks carry, in a form of fixed size, and how it comes back.

// mostHeard is how many sounds are shown at a time.
const mostHeard = 4

// heard is what is shown of a sound.
type heard struct {
	top    []infer.Score // at most mostHeard
	scene  infer.Score
	silent bool
}

func hearing(p *infer.Sound) heard {
	h := heard{silent: p.Silent}
	for i, s := range sinks.Heard(p) {
		if i == mostHeard || i > 0 && percent(s.P) == 0 {
			break
		}
		h.top = append(h.top, s)
	}
	if len(p.Scenes) > 0 {
		h.scene = p.Scenes[0]
	}
	return h
}

// heardAs is a heard in a mark: names stand for labels.
type heardAs struct {
	Top    [mostHeard]scoreAs
	N      uint8 // of Top
	Scene  scoreAs
	Silent bool
}

type scoreAs struct {
	Name int32
	P    float64
}

// same reports whether h and o look the same.
func (h heardAs) same(o heardAs) bool {
	like := func(a, b scoreAs) bool { return a.Name == b.Name && percent(a.P) == percent(b.P) }
	for i := range h.Top {
		if !like(h.Top[i], o.Top[i]) {
			return false
		}
	}
	return h.N == o.N && h.Silent == o.Silent && like(h.Scene, o.Scene)
}

// names numbers labels. There are as many as the networks have classes.
type names struct {
	number map[string]int32
	label  []string
}

func (n *names) of(label string) int32 {
	if k, ok := n.number[label]; ok {
		return k
	}
	if n.number == nil {
		n.number = map[string]int32{}
	}
	k := int32(len(n.label))
	n.number[label], n.label = k, append(n.label, label)
	return k
}

func (n *names) pack(h heard) heardAs {
	as := func(s infer.Score) scoreAs { return scoreAs{n.of(s.Label), s.P} }
	a := heardAs{N: uint8(len(h.top)), Scene: as(h.scene), Silent: h.silent}
	for i, s := range h.top {
		a.Top[i] = as(s)
	}
	return a
}

func (n *names) unpack(a heardAs) *heard {
	score := func(s scoreAs) infer.Score { return infer.Score{Label: n.label[s.Name], P: s.P} }
	h := &heard{silent: a.Silent, scene: score(a.Scene)}
	for _, s := range a.Top[:a.N] {
		h.top = append(h.top, score(s))
	}
	return h
}

// text is where a text lies in the spool.
type text struct {
	At   int64
	Size int32
}

func keepText(s *sinks.Spool, t string) (text, error) {
	if t == "" {
		return text{}, nil
	}
	at, err := s.Add([]byte(t))
	return text{at, int32(len(t))}, err
}

func (t text) load(s *sinks.Spool) (string, error) {
	if t.Size == 0 {
		return "", nil
	}
	b := make([]byte, t.Size)
	err := s.Load(b, t.At)
	return string(b), err
}

// likeness is where a face lies in the spool.
type likeness struct {
	At     int64
	W, H   int32
	Notice text
}

// drawable reports whether f is a picture.
func drawable(f *infer.Face) bool { return f.W > 0 && f.H > 0 && len(f.Pix) == 3*f.W*f.H }

func keepFace(s *sinks.Spool, f *infer.Face) (l likeness, err error) {
	l.W, l.H = int32(f.W), int32(f.H)
	if l.At, err = s.Add(f.Pix); err == nil {
		l.Notice, err = keepText(s, f.Notice)
	}
	return l, err
}

// load returns the face as far as it is drawn.
func (l likeness) load(s *sinks.Spool) (f *infer.Face, err error) {
	f = &infer.Face{W: int(l.W), H: int(l.H), Pix: make([]byte, 3*int(l.W)*int(l.H))}
	if err = s.Load(f.Pix, l.At); err == nil {
		f.Notice, err = l.Notice.load(s)
	}
	return f, err
}

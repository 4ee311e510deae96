package seehear

import (
	"github.com/seehear/seehear/decode"
)

// Tap takes a further form of the one decode of a source, such as for encoding
// it anew for viewers. Its functions are called from one goroutine, in the order
// of decoding, and hold up everything behind them, so they must return at once;
// what they are given is theirs until they return, or longer if they Retain it.
// A function that is nil, or a form that is zero, takes nothing.
type Tap struct {
	Size  decode.Size
	Sound decode.Sound
	Frame func(f *decode.Frame, im decode.Image)
	Block func(b *decode.Block)

	image, sound int // indices into the outputs, -1 for none
}

// fold adds what the tap needs to out.
func (t *Tap) fold(out *decode.Outputs) {
	t.image = index(&out.Sizes, t.Size, t.Frame != nil && t.Size != decode.Size{})
	t.sound = index(&out.Sounds, t.Sound, t.Block != nil && t.Sound != decode.Sound{})
}

// take shows the tap a unit that is about to be aligned.
func (t *Tap) take(u decode.Unit) {
	switch {
	case t == nil:
	case u.Frame != nil && t.image >= 0 && t.image < len(u.Frame.Images):
		t.Frame(u.Frame, u.Frame.Images[t.image])
	case u.Block != nil && u.Block.Sound == t.sound:
		t.Block(u.Block)
	}
}

package seehear

import "github.com/seehear/seehear/decode"

// Tap takes further forms of the one decode of a source, such as for encoding it
// anew for viewers. Size and Sound, where they are not zero, are added to what is
// decoded; decode.Outputs, which Pipeline.Open is given, says at which places.
type Tap struct {
	Size  decode.Size
	Sound decode.Sound
	// Unit is called with each frame and block, from one goroutine and in the
	// order of decoding. It holds up everything behind it, so it must return at
	// once; what it is given is valid until then, or longer with a Retain.
	Unit func(decode.Unit)
}

// fold adds what the tap needs to out.
func (t *Tap) fold(out *decode.Outputs) {
	index(&out.Sizes, t.Size, t.Size != decode.Size{})
	index(&out.Sounds, t.Sound, t.Sound != decode.Sound{})
}

// take shows the tap a unit that is about to be aligned.
func (t *Tap) take(u decode.Unit) {
	if t != nil && (u.Frame != nil || u.Block != nil) {
		t.Unit(u)
	}
}

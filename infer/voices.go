package infer

import "context"

// Voices tells voices apart in what a speech gate lets through, and may show
// something of each. infer/speech2face implements it, infer/speech calls it, so
// that the gate runs once however many families depend on it.
type Voices interface {
	Models() []Info
	// Rate is the sample rate that a Listener takes.
	Rate() int
	// Open makes the memory for one source and Seg; it is used by one goroutine.
	Open() Listener
}

// Listener hears the speech of one source and Seg, one stretch after another.
type Listener interface {
	// Speech takes the next samples, in [-1, 1], of the stretch and their
	// posterior of speech, and returns the turns that are over. The samples may
	// be read until it returns.
	Speech(ctx context.Context, pcm []float32, p float64) ([]Turn, error)
	// End says that the stretch is over and returns the rest of its turns. The
	// turns of a stretch have as many samples as it.
	End(ctx context.Context) ([]Turn, error)
}

// Turn is a part of a stretch of speech with one voice.
type Turn struct {
	Samples int64
	P       float64 // mean posterior of speech
	Voice   int     // 0 if unknown
	Face    *Face   // nil if there is none
	// Short says that the face is made from less speech than the network is
	// made for.
	Short bool
}

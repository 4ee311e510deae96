// Package infer runs networks on moments and says what they found.
//
// A [Family] (infer/soundnet, speech2face, localize, caption) knows one kind of
// network: which moments it needs, how they become tensors, and how the
// network's answer becomes an [Event]. It calls a [Session] (infer/ort), which
// it shares with every source. The pipeline of package seehear calls families.
// Tensors belong to the family that made them; an event owns its memory.
package infer

import (
	"context"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// Need is what a family needs of a source, in terms that do not depend on what
// other families need; the pipeline folds equal sizes and rates of all families
// into one decode.Outputs and makes align.Needs from it.
type Need struct {
	Cadence   align.Cadence
	Period    time.Duration
	Hop       int
	Image     decode.Size  // zero: none
	Sound     decode.Sound // zero: none
	Window    int          // samples per channel
	MinWindow int
	Place     align.Place
	// Partial asks for moments that lack what Image or Window name as well: times
	// of a period at which nothing is shown, frames of a source without sound.
	// Without it the family is only called when both are there.
	Partial bool
}

// Info names the model behind an event, for the header of the results.
type Info struct {
	Family  string `json:"family"`
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	// Fixture marks a test graph whose output means nothing.
	Fixture bool   `json:"fixture,omitempty"`
	License string `json:"license,omitempty"`
}

// Output is what a family's Infer hands to its own Resolve; nobody else looks
// into it.
type Output any

// State is what a family remembers of one source within one Seg: a gate's hidden
// state, a smoothed heat map, the sound of a stretch of speech.
type State any

// Family runs one kind of network. All methods are safe for concurrent use by
// several sources; what they remember lives in State.
//
// For each moment the pipeline calls Infer, concurrently and in any order, and
// then Resolve in the order of the moments; Finish once when the Seg is over.
// The picture (Frame and Image) is for Infer alone: results wait for their turn by
// the dozen, and pictures are large. The rest of the moment may be read until
// Resolve returns; nothing of it may be kept.
type Family interface {
	Models() []Info
	Need() Need
	// Open makes the State for one source and Seg.
	Open() State
	// Infer does the heavy part that depends on the moment alone.
	Infer(ctx context.Context, m *align.Moment) (Output, error)
	// Resolve does what depends on the moments before and returns the events
	// that are final. The moment has no picture any more. Events carry no Source; the pipeline sets it.
	Resolve(ctx context.Context, st State, m *align.Moment, out Output) ([]Event, error)
	// Finish returns the events that State still owes.
	Finish(ctx context.Context, st State) ([]Event, error)
}

// Event is one result on the source's clock.
type Event struct {
	ingest.Stamp
	Dur     time.Duration
	Source  string
	Model   string // Info.Name, "" for what needs no model
	Fixture bool
	// Short says that the window was not full: less sound than the network is
	// made for, at a start, an end or a gap.
	Short bool
	// Wall is the sender's wall-clock time of At, and Lag how far behind the live
	// edge the result was made. Zero where they are not known: files have neither.
	Wall    time.Time
	Lag     time.Duration
	Payload Payload
}

// Payload is what was found: one of the types below.
type Payload interface{ Kind() string }

// Score is a class with its posterior probability in 0..1.
type Score struct {
	Index int     `json:"index"`
	Label string  `json:"label"`
	P     float64 `json:"p"`
}

// Sound is what a stretch of sound is likely to be: the best classes of each
// head of the network, highest first. A head that the model lacks is empty.
type Sound struct {
	Events  []Score `json:"events,omitempty"`  // sound classes
	Objects []Score `json:"objects,omitempty"` // ImageNet
	Scenes  []Score `json:"scenes,omitempty"`  // Places
	Silent  bool    `json:"silent,omitempty"`  // below the silence gate: no class is given
	RMS     float64 `json:"rms"`               // of the samples in [-1, 1], over the receptive field
}

// Speech is a stretch of one voice.
type Speech struct {
	P     float64 `json:"p"`     // mean posterior of speech
	Voice int     `json:"voice"` // same number, same voice, as far as the embedding tells; 0 if unknown
}

// Heatmap is where in the picture the sound seems to come from, as a grid over
// the whole upright frame. Values are on the model's calibrated scale, never
// stretched to fill it: 0 is at or below the floor.
type Heatmap struct {
	W      int     `json:"w"`
	H      int     `json:"h"`
	Grid   []byte  `json:"grid"`            // row by row, base64 in JSON
	Peak   float64 `json:"peak"`            // highest cosine, or correlation, before scaling
	X      float64 `json:"x"`               // place of the peak, 0..1 from the left
	Y      float64 `json:"y"`               // and from the top
	Gated  string  `json:"gated,omitempty"` // "silence" or "confidence": the grid is all zero
	Method string  `json:"method"`          // "semantic" or "sync"
}

// Word is one word of a caption and where the network looked for it.
type Word struct {
	Text      string  `json:"text"`
	P         float64 `json:"p"`
	Attention []byte  `json:"attention,omitempty"` // AttentionW x AttentionH grid, base64 in JSON; 255 is the caption's strongest
}

// Caption is a sentence about one frame.
type Caption struct {
	Text       string  `json:"text"`
	LogP       float64 `json:"logp"` // sum over the words
	Words      []Word  `json:"words,omitempty"`
	AttentionW int     `json:"attention_w,omitempty"`
	AttentionH int     `json:"attention_h,omitempty"`
}

// FaceNotice must be shown wherever a face is.
const FaceNotice = "statistical illustration of a voice, not a likeness of anybody"

// Face is an illustration of a voice.
type Face struct {
	W      int     `json:"w"`
	H      int     `json:"h"`
	Pix    []byte  `json:"-"` // RGB24
	Voice  int     `json:"voice"`
	Used   float64 `json:"used"` // seconds of speech it is made from
	Notice string  `json:"notice"`
	File   string  `json:"file,omitempty"` // of the PNG, relative to the results
}

// Cut is a scene cut, or the first frame of a Seg.
type Cut struct {
	Strength float64 `json:"strength"`
}

// Gap is something that the source lacks.
type Gap struct {
	Stream string `json:"stream"` // "audio", "video" or "source"
	Reason string `json:"reason"`
}

// Kind returns the kind of the event in the results.
func (*Sound) Kind() string { return "sound" }

// Kind returns the kind of the event in the results.
func (*Speech) Kind() string { return "speech" }

// Kind returns the kind of the event in the results.
func (*Heatmap) Kind() string { return "heatmap" }

// Kind returns the kind of the event in the results.
func (*Caption) Kind() string { return "caption" }

// Kind returns the kind of the event in the results.
func (*Face) Kind() string { return "face" }

// Kind returns the kind of the event in the results.
func (*Cut) Kind() string { return "cut" }

// Kind returns the kind of the event in the results.
func (*Gap) Kind() string { return "gap" }

// Package speech finds the stretches of speech in a source, by a gate on the
// contract of Silero VAD.
//
// The command makes one [Family] per model of the pack, with or without voices,
// and the pipeline of package seehear calls it:
//
//	f, err := speech.New(speech.Config{
//		Model:    model, // of the pack: graph "gate"
//		Info:     info,
//		Sessions: map[string]infer.Session{"gate": session},
//		Voices:   faces, // of infer/speech2face, if they were asked for
//	})
//
// Each stretch yields an event with an [infer.Speech] when it is over (see Note
// [Stretches]); with voices, each turn of one voice does, followed by its
// [infer.Face] if there is one. The gate remembers, so it runs in Resolve, step by
// step; nothing is done in Infer. How the source is cut into windows does not
// change the results.
//
// Samples handed to the voices may be read until the call returns; events own
// their memory.
package speech

import (
	"context"
	"fmt"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
)

// Config is what New needs. The zero value of an option is its default.
type Config struct {
	Model    models.Model
	Info     infer.Info
	Labels   map[string][]string      // not used: there is one class
	Sessions map[string]infer.Session // "gate"; it stays the caller's
	Voices   infer.Voices             // nil: stretches are not told apart

	MinSpeech time.Duration // shorter stretches are dropped; 250 ms
	MinPause  time.Duration // shorter pauses do not end a stretch; 500 ms
	Pad       time.Duration // added at both ends of a stretch; 30 ms, negative for none
	Steps     int           // of the gate in one window of sound; 32
}

const (
	defaultEnter     = 0.5
	defaultHollow    = 0.15 // leave lies so far below enter
	defaultMinSpeech = 250 * time.Millisecond
	defaultMinPause  = 500 * time.Millisecond
	defaultPad       = 30 * time.Millisecond
	defaultSteps     = 32

	maxSteps = 1 << 12
	// longestHole is how much of a hole in the source the gate hears as silence;
	// after a longer one it starts afresh.
	longestHole = time.Minute
)

// Family finds speech with one gate.
type Family struct {
	info   infer.Info
	need   infer.Need
	gate   *gateGraph
	packer *infer.WavePacker
	limits limits
	voices infer.Voices
	face   infer.Info // of the voices
}

// New makes the family of a gate, and refuses one whose manifest or graph does
// not fit the contract.
func New(c Config) (infer.Family, error) {
	f, err := build(c)
	if err != nil {
		return nil, fmt.Errorf("speech: model %s: %w", c.Model.Name, err)
	}
	return f, nil
}

func build(c Config) (*Family, error) {
	m := c.Model
	f := &Family{info: c.Info, voices: c.Voices}
	session := c.Sessions["gate"]
	if session == nil {
		return nil, fmt.Errorf("no session for its gate")
	}
	var err error
	if f.gate, err = newGate(m, session); err != nil {
		return nil, err
	}
	// Scale is the gate's own; voices get samples in [-1, 1].
	if f.packer, err = infer.NewWavePacker(models.Audio{Pad: "silence"}); err != nil {
		return nil, err
	}
	if f.voices != nil {
		if r := f.voices.Rate(); r != f.gate.rate {
			return nil, fmt.Errorf("gate hears %d Hz and the voices %d Hz", f.gate.rate, r)
		}
		if v := f.voices.Models(); len(v) > 0 {
			f.face = v[0]
		}
	}
	if f.limits, err = limitsOf(c, f.gate.rate); err != nil {
		return nil, err
	}
	steps := c.Steps
	if steps == 0 {
		steps = defaultSteps
	}
	if steps < 1 || steps > maxSteps {
		return nil, fmt.Errorf("%d steps in a window", steps)
	}
	f.need = infer.Need{
		Cadence:   align.EveryHop,
		Hop:       steps * f.gate.step,
		Sound:     decode.Sound{Rate: f.gate.rate, Channels: 1},
		Window:    steps * f.gate.step,
		MinWindow: 1,
	}
	return f, nil
}

func limitsOf(c Config, rate int) (limits, error) {
	l := limits{enter: c.Model.Gate.Enter, leave: c.Model.Gate.Leave}
	if l.enter == 0 {
		l.enter = defaultEnter
	}
	if l.leave == 0 {
		l.leave = l.enter - defaultHollow
	}
	if !(l.leave > 0 && l.leave <= l.enter && l.enter <= 1) {
		return l, fmt.Errorf("gate that opens at %v and closes at %v", l.enter, l.leave)
	}
	speech, pause, pad := c.MinSpeech, c.MinPause, c.Pad
	if speech == 0 {
		speech = defaultMinSpeech
	}
	if pause == 0 {
		pause = defaultMinPause
	}
	if pad == 0 {
		pad = defaultPad
	}
	const most = time.Minute
	if speech < 0 || pause < 0 || speech > most || pause > most || pad > pause/2 {
		return l, fmt.Errorf("stretches of at least %v between pauses of %v, with %v added", speech, pause, pad)
	}
	l.minSpeech, l.minPause = ingest.Samples(speech, rate), ingest.Samples(pause, rate)
	l.pad = ingest.Samples(max(0, pad), rate)
	return l, nil
}

// Models names the gate and the voices' networks.
func (f *Family) Models() []infer.Info {
	list := []infer.Info{f.info}
	if f.voices != nil {
		list = append(list, f.voices.Models()...)
	}
	return list
}

// Need asks for the whole sound, window after window.
func (f *Family) Need() infer.Need { return f.need }

// state is what is remembered of one source within one Seg.
type state struct {
	begun  bool
	seg    uint32
	origin time.Duration // of the Seg's first sample
	hidden *hidden
	cut    segmenter
	window []float32
	// rest are the samples of the last window from the step in which the sound
	// seems to end, and real how many of them are sound: the end of the Seg, or a
	// gap that the next window goes on with.
	rest []float32
	real int
}

// Open makes the memory for one source and Seg.
func (f *Family) Open() infer.State {
	s := &state{
		hidden: f.gate.open(),
		cut:    segmenter{limits: f.limits, listener: &one{}},
		window: make([]float32, f.need.Window),
	}
	if f.voices != nil {
		s.cut.listener = f.voices.Open()
	}
	return s
}

// Infer does nothing: the gate depends on what it heard before.
func (f *Family) Infer(context.Context, *align.Moment) (infer.Output, error) { return nil, nil }

// Resolve runs the gate over the window and returns the stretches, or turns, that
// are over.
func (f *Family) Resolve(ctx context.Context, st infer.State, m *align.Moment, _ infer.Output) ([]infer.Event, error) {
	if m.Wave.PCM == nil {
		return nil, nil
	}
	s := st.(*state)
	if !s.begun {
		s.begun, s.seg, s.origin = true, m.Wave.Seg, m.Wave.At
	}
	if err := f.hear(ctx, s, m); err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	return f.events(s), nil
}

// hear runs the gate over the steps of a window.
func (f *Family) hear(ctx context.Context, s *state, m *align.Moment) error {
	start := ingest.Samples(m.Wave.At-s.origin, f.gate.rate)
	if err := f.reach(ctx, s, start); err != nil {
		return err
	}
	_, real, err := f.packer.Pack(s.window, m.Wave)
	if err != nil {
		return err
	}
	whole := real
	if real < len(s.window) {
		whole -= real % f.gate.step
	}
	s.rest = append(s.rest[:0], s.window[whole:]...)
	s.real = real - whole
	return f.steps(ctx, s, s.window[:whole])
}

// reach takes the gate from what it heard last to sample start, where the next
// window begins: mostly there already. Otherwise the source had a hole, in which
// windows were not worth a moment, or, live, moments were dropped.
func (f *Family) reach(ctx context.Context, s *state, start int64) error {
	hole := start - s.cut.end - int64(len(s.rest))
	if hole >= 0 { // what seemed to be the end of the source was none
		if err := f.steps(ctx, s, s.rest); err != nil {
			return err
		}
		s.rest, s.real = s.rest[:0], 0
	}
	if hole >= 0 && hole <= int64(longestHole/time.Second)*int64(f.gate.rate) {
		return f.silence(ctx, s, hole)
	}
	// Enough of it to end a stretch and to open the next with its pad.
	if hole > 0 {
		if err := f.silence(ctx, s, f.limits.minPause+int64(f.gate.step)); err != nil {
			return err
		}
		start -= f.limits.pad
	}
	if err := f.end(ctx, s); err != nil {
		return err
	}
	s.hidden = f.gate.open()
	s.cut.jump(start)
	if hole > 0 {
		return f.silence(ctx, s, f.limits.pad)
	}
	return nil
}

// silence lets the gate hear n samples of silence.
func (f *Family) silence(ctx context.Context, s *state, n int64) error {
	clear(s.window)
	for n > 0 {
		part := s.window[:min(n, int64(len(s.window)))]
		if err := f.steps(ctx, s, part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// steps runs the gate over pcm, whose last step may be short.
func (f *Family) steps(ctx context.Context, s *state, pcm []float32) error {
	for len(pcm) > 0 {
		n := min(len(pcm), f.gate.step)
		p, err := f.gate.run(ctx, s.hidden, pcm[:n])
		if err != nil {
			return err
		}
		if err := s.cut.push(ctx, pcm[:n], p); err != nil {
			return err
		}
		pcm = pcm[n:]
	}
	return nil
}

// end hears the last samples and ends the stretch that they cut off.
func (f *Family) end(ctx context.Context, s *state) error {
	rest := s.rest[:s.real]
	s.rest, s.real = s.rest[:0], 0
	if err := f.steps(ctx, s, rest); err != nil {
		return err
	}
	return s.cut.finish(ctx)
}

// events takes the turns that are over.
func (f *Family) events(s *state) []infer.Event {
	var list []infer.Event
	for _, t := range s.cut.over {
		from := s.origin + ingest.SampleTime(t.from, f.gate.rate)
		e := infer.Event{
			Stamp:   ingest.Stamp{At: from, Seg: s.seg},
			Dur:     s.origin + ingest.SampleTime(t.from+t.Samples, f.gate.rate) - from,
			Model:   f.info.Name,
			Fixture: f.info.Fixture,
			Payload: &infer.Speech{P: t.P, Voice: t.Voice},
		}
		list = append(list, e)
		if t.Face != nil {
			e.Model, e.Fixture, e.Short, e.Payload = f.face.Name, f.face.Fixture, t.Short, t.Face
			list = append(list, e)
		}
	}
	s.cut.over = s.cut.over[:0]
	return list
}

// Finish ends the stretch that the end of the Seg cuts off.
func (f *Family) Finish(ctx context.Context, st infer.State) ([]infer.Event, error) {
	s := st.(*state)
	if !s.begun {
		return nil, nil
	}
	if err := f.end(ctx, s); err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	return f.events(s), nil
}

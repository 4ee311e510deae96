package speech

import (
	"context"

	"github.com/seehear/seehear/infer"
)

// Note [Stretches]
//
// The gate says for each step (32 ms) how likely it is speech. A stretch opens
// with a step at or above enter. A step below leave begins a pause, which a step
// at or above enter ends; once the pause is minPause long the stretch is over and
// ended where the pause began. (These are the rules of Silero's own segmenter,
// but for the longer pause: speech between pauses of at least 0.5 s is one
// stretch.) A stretch whose steps outside pauses last less than minSpeech is
// dropped, so that clicks do not add up to speech. Pad is added at both ends, as
// far as the Seg reaches and no stretch before does.
//
// What is heard goes on to the listener as soon as it is certain to belong to a
// stretch: until minSpeech is reached and while a pause lasts it is held back.
// That bounds the memory, whatever the source: a stretch not yet certain has less
// than minSpeech of speech, no step of it followed by minPause of none.

// limits are the thresholds of a segmenter; lengths are in samples.
type limits struct {
	enter, leave             float64
	minSpeech, minPause, pad int64
}

// segmenter cuts the steps of one Seg into stretches.
type segmenter struct {
	limits
	listener infer.Listener

	// What may still have to be delivered: samples base … end of the Seg.
	pcm       []float32
	steps     []step
	base, end int64

	open   bool
	sure   bool  // minSpeech is reached
	from   int64 // start of the stretch, pad included; later what is not yet delivered
	voiced int64 // samples of speech outside pauses
	pause  int64 // where the pause began, -1 outside of one
	closed int64 // where the stretch before ended

	turn int64  // where the next turn begins
	over []span // turns that are over, for the family to take
}

// step is a number of samples with one posterior.
type step struct {
	p float64
	n int
}

// span is a turn with its place, in samples of the Seg.
type span struct {
	infer.Turn
	from int64
}

func (s *segmenter) add(turns []infer.Turn) {
	for _, t := range turns {
		s.over = append(s.over, span{t, s.turn})
		s.turn += t.Samples
	}
}

// push takes the next samples of the Seg with their posterior.
func (s *segmenter) push(ctx context.Context, pcm []float32, p float64) error {
	at := s.end
	s.pcm = append(s.pcm, pcm...)
	s.steps = append(s.steps, step{p, len(pcm)})
	s.end += int64(len(pcm))
	switch {
	case !s.open:
		if p >= s.enter {
			s.open, s.sure, s.pause = true, false, -1
			s.from = max(at-s.pad, s.base, s.closed)
			s.voiced = int64(len(pcm))
		}
	case s.pause >= 0 && p >= s.enter, s.pause < 0 && p >= s.leave:
		s.pause = -1
		s.voiced += int64(len(pcm))
	case s.pause < 0:
		s.pause = at
	}
	if s.open && s.pause >= 0 && s.end-s.pause >= s.minPause {
		return s.close(ctx, s.pause+s.pad)
	}
	if s.open && s.voiced >= s.minSpeech {
		if !s.sure {
			s.sure = true
			s.turn = s.from
		}
		to := s.end
		if s.pause >= 0 {
			to = s.pause
		}
		if err := s.deliver(ctx, to); err != nil {
			return err
		}
	}
	s.trim()
	return nil
}

// finish ends the stretch that the end of the Seg cuts off.
func (s *segmenter) finish(ctx context.Context) error {
	if !s.open {
		return nil
	}
	to := s.end
	if s.pause >= 0 {
		to = s.pause + s.pad
	}
	return s.close(ctx, to)
}

// jump goes on at another sample of the Seg, after finish.
func (s *segmenter) jump(at int64) {
	s.pcm, s.steps = s.pcm[:0], s.steps[:0]
	s.base, s.end, s.closed, s.open = at, at, at, false
}

// close ends the stretch before sample to, or drops it.
func (s *segmenter) close(ctx context.Context, to int64) error {
	s.open = false
	if s.sure {
		to = min(to, s.end)
		if err := s.deliver(ctx, to); err != nil {
			return err
		}
		turns, err := s.listener.End(ctx)
		if err != nil {
			return err
		}
		s.add(turns)
		s.closed = to
	}
	s.trim()
	return nil
}

// deliver hands the samples up to to on, step by step.
func (s *segmenter) deliver(ctx context.Context, to int64) error {
	at := s.base
	for _, st := range s.steps {
		next := at + int64(st.n)
		a, b := max(at, s.from), min(next, to)
		if a < b {
			turns, err := s.listener.Speech(ctx, s.pcm[a-s.base:b-s.base], st.p)
			if err != nil {
				return err
			}
			s.add(turns)
		}
		at = next
	}
	s.from = max(s.from, to)
	return nil
}

// trim forgets the steps that nobody can ask for.
func (s *segmenter) trim() {
	keep := s.end - s.pad
	if s.open {
		keep = s.from
	}
	n := 0
	at := s.base
	for n < len(s.steps) && at+int64(s.steps[n].n) <= keep {
		at += int64(s.steps[n].n)
		n++
	}
	if n == 0 {
		return
	}
	s.steps = append(s.steps[:0], s.steps[n:]...)
	s.pcm = append(s.pcm[:0], s.pcm[at-s.base:]...)
	s.base = at
}

// one is the listener that knows no voices: every stretch is one turn.
type one struct {
	n   int64
	sum float64
}

func (o *one) Speech(_ context.Context, pcm []float32, p float64) ([]infer.Turn, error) {
	o.n += int64(len(pcm))
	o.sum += p * float64(len(pcm))
	return nil, nil
}

func (o *one) End(context.Context) ([]infer.Turn, error) {
	t := infer.Turn{Samples: o.n}
	if o.n > 0 {
		t.P = o.sum / float64(o.n)
	}
	*o = one{}
	return []infer.Turn{t}, nil
}

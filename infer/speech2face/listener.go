package speech2face

import (
	"context"
	"fmt"
	"math"

	"github.com/seehear/seehear/infer"
)

// Note [Turns]
//
// Within a stretch of speech the encoder hears one piece of 3 s (min_samples)
// after another. A piece whose feature has a cosine below same_voice with the
// mean of the turn's pieces so far begins a new turn; what is left at the end of
// the stretch, less than a piece, belongs to the last turn. So a change of voice is
// found at the border of the piece that hears more of the new voice.
//
// When a turn is over, its voice is the known one whose mean it is nearest to, if
// that is at or above same_voice, and otherwise a new one. Means are of features
// of unit length; what a voice said before counts as much as what it says now.
// Voices are numbered from 1 in the order in which they are first heard. A manifest
// without same_voice tells no voices apart: number 0.
//
// The face is drawn from the feature of the turn's first 6 s (the window) or of
// all it has. A turn shorter than MinSpeech gets neither face nor number.

// listener hears one source and Seg. It implements infer.Listener.
type listener struct {
	f *Family

	piece []float32 // speech not yet heard by the encoder
	p     float64   // sum of posteriors over its samples

	turn struct {
		samples int64
		p       float64
		pieces  int
		mean    []float64 // sum of unit features
		sound   []float32 // what the face is made from
		feature []float32 // of the first piece
	}
	feature []float32
	voices  []voice
	count   int // voices ever
	clock   int // turns ever
}

// voice is the sum of a voice's unit features.
type voice struct {
	number, heard int
	mean          []float64
}

// Open makes the memory for one source and Seg.
func (f *Family) Open() infer.Listener { return &listener{f: f} }

// Speech takes the next samples of a stretch.
func (l *listener) Speech(ctx context.Context, pcm []float32, p float64) ([]infer.Turn, error) {
	var over []infer.Turn
	for len(pcm) > 0 {
		n := min(len(pcm), l.f.piece-len(l.piece))
		l.piece = append(l.piece, pcm[:n]...)
		l.p += p * float64(n)
		pcm = pcm[n:]
		if len(l.piece) < l.f.piece {
			break
		}
		t, ok, err := l.hear(ctx)
		if err != nil {
			return nil, fmt.Errorf("speech2face: %w", err)
		}
		if ok {
			over = append(over, t)
		}
	}
	return over, nil
}

// End ends the stretch and its last turn.
func (l *listener) End(ctx context.Context) ([]infer.Turn, error) {
	t, err := l.end(ctx)
	if err != nil {
		return nil, fmt.Errorf("speech2face: %w", err)
	}
	return []infer.Turn{t}, nil
}

func (l *listener) end(ctx context.Context) (infer.Turn, error) {
	if l.turn.pieces == 0 && len(l.piece) > 0 && int64(len(l.piece)) >= l.f.minSpeech {
		var err error
		if l.feature, err = l.f.encode(ctx, l.feature, l.piece); err != nil {
			return infer.Turn{}, err
		}
		l.know()
	}
	l.take()
	return l.over(ctx)
}

// hear lets the encoder hear a whole piece, which belongs to the turn or ends it.
func (l *listener) hear(ctx context.Context) (t infer.Turn, ended bool, err error) {
	if l.feature, err = l.f.encode(ctx, l.feature, l.piece); err != nil {
		return t, false, err
	}
	if l.turn.pieces > 0 && len(l.feature) != len(l.turn.mean) {
		return t, false, fmt.Errorf("face feature of %d values after one of %d", len(l.feature), len(l.turn.mean))
	}
	if l.turn.pieces > 0 && l.f.sameVoice > 0 && cosine(l.turn.mean, l.feature) < l.f.sameVoice {
		if t, err = l.over(ctx); err != nil {
			return t, false, err
		}
		ended = true
	}
	l.know()
	l.take()
	return t, ended, nil
}

// know adds the piece's feature to the turn's.
func (l *listener) know() {
	t := &l.turn
	if t.pieces == 0 {
		t.mean = append(t.mean[:0], make([]float64, len(l.feature))...)
		t.feature = append(t.feature[:0], l.feature...)
	}
	t.pieces++
	if n := norm(l.feature); n > 0 {
		for i, v := range l.feature {
			t.mean[i] += float64(v) / n
		}
	}
}

// take moves the piece's samples to the turn.
func (l *listener) take() {
	t := &l.turn
	t.samples += int64(len(l.piece))
	t.p += l.p
	t.sound = append(t.sound, l.piece[:min(len(l.piece), l.f.most-len(t.sound))]...)
	l.piece, l.p = l.piece[:0], 0
}

// over ends the turn.
func (l *listener) over(ctx context.Context) (infer.Turn, error) {
	t := &l.turn
	out := infer.Turn{Samples: t.samples}
	if t.samples > 0 {
		out.P = t.p / float64(t.samples)
	}
	if t.pieces > 0 {
		if l.f.sameVoice > 0 {
			out.Voice = l.recognize()
		}
		if t.samples >= l.f.minSpeech {
			if len(t.sound) > l.f.piece {
				var err error
				if t.feature, err = l.f.encode(ctx, t.feature, t.sound); err != nil {
					return out, err
				}
			}
			face, err := l.f.draw(ctx, t.feature)
			if err != nil {
				return out, err
			}
			face.Voice = out.Voice
			face.Used = float64(len(t.sound)) / float64(l.f.rate)
			out.Face = face
			out.Short = len(t.sound) < l.f.piece
		}
	}
	t.samples, t.p, t.pieces, t.sound = 0, 0, 0, t.sound[:0]
	return out, nil
}

// recognize returns the number of the turn's voice, new or known, and remembers
// how it sounded.
func (l *listener) recognize() int {
	l.clock++
	best, most := -1, l.f.sameVoice
	for i := range l.voices {
		if c := cosine(l.voices[i].mean, l.turn.mean); c >= most {
			best, most = i, c
		}
	}
	if best < 0 {
		l.count++
		v := voice{number: l.count, heard: l.clock, mean: append([]float64(nil), l.turn.mean...)}
		if len(l.voices) < l.f.maxVoices {
			l.voices = append(l.voices, v)
			return v.number
		}
		oldest := 0
		for i := range l.voices {
			if l.voices[i].heard < l.voices[oldest].heard {
				oldest = i
			}
		}
		l.voices[oldest] = v
		return v.number
	}
	v := &l.voices[best]
	v.heard = l.clock
	for i, x := range l.turn.mean {
		v.mean[i] += x
	}
	return v.number
}

// number is either width of float.
type number interface{ float32 | float64 }

func norm[T number](a []T) float64 {
	var sum float64
	for _, v := range a {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// cosine is 0 where a vector has no direction, or where they have not the same
// length.
func cosine[T number](a []float64, b []T) float64 {
	if len(a) != len(b) {
		return 0
	}
	var dot float64
	for i, v := range b {
		dot += a[i] * float64(v)
	}
	n := norm(a) * norm(b)
	if n == 0 {
		return 0
	}
	return dot / n
}

// Package webvtt writes captions.vtt and sounds.vtt: what is seen and what is
// heard, as subtitles that players and browsers load.
//
// The pipeline of package seehear calls the [Sink]. A cue is written as soon as
// its end is known, so a sink holds one cue per file, however long the source is.
package webvtt

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/sinks"
)

// Names of the files in the folder of the results.
const (
	CaptionsName = "captions.vtt"
	SoundsName   = "sounds.vtt"
)

// Options tune what becomes a cue. The zero value is ready.
type Options struct {
	// MinP is the probability below which a sound is not shown; 0 means 0.2.
	MinP float64
}

// join is how far apart two cues may be and still be one, or follow each other
// without a gap: stamps are whole samples or frames, so ends and starts meet
// within a frame or so.
const join = 100 * time.Millisecond

// Sink writes both files.
type Sink struct {
	dir              string
	opt              Options
	captions, sounds *file
	err              error
}

var _ sinks.Sink = (*Sink)(nil)

// New returns a sink that writes into dir.
func New(dir string, opt Options) *Sink {
	if opt.MinP == 0 {
		opt.MinP = 0.2
	}
	return &Sink{dir: dir, opt: opt}
}

// Begin creates the files.
func (s *Sink) Begin(ctx context.Context, h sinks.Header) error {
	if s.err = ctx.Err(); s.err != nil {
		return s.err
	}
	fixture := false
	for _, m := range h.Models {
		fixture = fixture || m.Fixture
	}
	if s.captions, s.err = create(filepath.Join(s.dir, CaptionsName), fixture); s.err == nil {
		s.sounds, s.err = create(filepath.Join(s.dir, SoundsName), fixture)
	}
	return s.err
}

// Write takes captions and sounds; other kinds have no place here.
func (s *Sink) Write(ctx context.Context, ev infer.Event) error {
	if s.err != nil {
		return s.err
	}
	if s.err = ctx.Err(); s.err != nil {
		return s.err
	}
	switch p := ev.Payload.(type) {
	case *infer.Caption:
		s.err = s.captions.add(ev, p.Text, 0, false)
	case *infer.Sound:
		text, prob := s.top(p)
		s.err = s.sounds.add(ev, text, prob, true)
	}
	return s.err
}

// top returns the sound that a cue names, "" for none.
func (s *Sink) top(p *infer.Sound) (string, float64) {
	heard := sinks.Heard(p)
	if p.Silent || len(heard) == 0 || !(heard[0].P >= s.opt.MinP) {
		return "", 0
	}
	return heard[0].Label, heard[0].P
}

// Close writes the last cues and gives the files their final names.
func (s *Sink) Close(ctx context.Context, sum sinks.Summary) error {
	if s.err == nil && s.captions != nil {
		s.err = ctx.Err()
	}
	err := s.err
	for _, f := range []*file{s.captions, s.sounds} {
		if f == nil {
			continue
		}
		ferr := s.err
		if ferr == nil {
			ferr = f.flush(sum.Duration)
		}
		if ferr = f.part.End(ferr); !errors.Is(err, ferr) {
			err = sinks.Join(err, ferr)
		}
	}
	return err
}

// file is one WebVTT file with the cue whose end is not yet known.
type file struct {
	part *sinks.Part
	buf  []byte
	text string
	from time.Duration
	to   time.Duration // the farthest that the cue may last; open if endless
	seg  uint32
	p    float64
	last int64 // start of the latest cue written, in ms
}

const endless = time.Duration(math.MaxInt64)

func create(name string, fixture bool) (*file, error) {
	part, err := sinks.Create(name)
	if err != nil {
		return nil, err
	}
	f := &file{part: part, last: math.MinInt64}
	f.buf = append(f.buf, "WEBVTT\n"...)
	if fixture {
		f.buf = append(f.buf, "\nNOTE\nFIXTURE MODELS: these results come from test graphs and mean nothing.\n"...)
	}
	_, err = part.Write(f.buf)
	return f, err
}

// add ends the cue before and begins one with text at ev; no text is no cue. An
// event without a duration lasts until the next. With merge, a cue goes on for
// as long as the text stays the same, and shows its highest probability.
func (f *file) add(ev infer.Event, text string, p float64, merge bool) error {
	to := endless
	if ev.Dur > 0 {
		to = ev.At + ev.Dur
	}
	if merge && text != "" && text == f.text && ev.Seg == f.seg && (f.to == endless || ev.At <= f.to+join) {
		f.to = max(f.to, to)
		f.p = max(f.p, p)
		return nil
	}
	err := f.flush(ev.At)
	f.text, f.p, f.from, f.to, f.seg = text, p, ev.At, to, ev.Seg
	return err
}

// flush writes the held cue, which ends at next at the latest.
func (f *file) flush(next time.Duration) error {
	if f.text == "" {
		return nil
	}
	to := f.to
	if to > next && next > f.from {
		to = next
	}
	text := f.text
	f.text = ""
	from, end := millis(f.from), int64(0)
	if to == endless { // nothing says when it ends: the source jumped back
		end = from + 1000
	} else {
		end = millis(to)
	}
	// Cues stand in the order of their starts, and each lasts.
	from = max(from, f.last, 0)
	end = max(end, from+1)
	f.last = from
	b := append(f.buf[:0], '\n')
	b = appendStamp(b, from)
	b = append(b, " --> "...)
	b = appendStamp(b, end)
	b = append(b, '\n')
	n := len(b)
	if b = appendText(b, text); len(b) == n {
		return nil // nothing but space
	}
	if f.p > 0 {
		b = append(b, " ("...)
		b = strconv.AppendInt(b, int64(math.Round(100*min(f.p, 1))), 10)
		b = append(b, "%)"...)
	}
	f.buf = append(b, '\n')
	_, err := f.part.Write(f.buf)
	return err
}

func millis(d time.Duration) int64 { return int64(d.Round(time.Millisecond) / time.Millisecond) }

// appendStamp writes hh:mm:ss.mmm; hours take more digits as they need.
func appendStamp(b []byte, ms int64) []byte {
	pad := func(v int64, width int) {
		for w := int64(10); width > 1; width, w = width-1, w*10 {
			if v < w {
				for range width - 1 {
					b = append(b, '0')
				}
				break
			}
		}
		b = strconv.AppendInt(b, v, 10)
	}
	pad(ms/3600000, 2)
	b = append(b, ':')
	pad(ms/60000%60, 2)
	b = append(b, ':')
	pad(ms/1000%60, 2)
	b = append(b, '.')
	pad(ms%1000, 3)
	return b
}

// appendText writes s as the text of a cue: on one line, since an empty line ends
// a cue, and with the markup characters escaped, which rules out "-->" too.
func appendText(b []byte, s string) []byte {
	space, begun := false, false
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r <= ' ' || r == 0x7f || unicode.IsSpace(r) {
			space = begun
			i += n
			continue
		}
		if space {
			b = append(b, ' ')
			space = false
		}
		begun = true
		switch r {
		case '&':
			b = append(b, "&amp;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		default:
			b = utf8.AppendRune(b, r)
		}
		i += n
	}
	return b
}

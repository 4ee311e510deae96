package report

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// laneBuffer is how much of a lane is gathered before it goes to the spool.
const laneBuffer = 16 << 10

// lane is one array of the page's data as JSON: its elements lie in the spool but
// for the last few.
type lane struct {
	begun  bool
	pieces []piece
	buf    []byte
}

// piece is a stretch of the spool.
type piece struct {
	at   int64
	size int
}

// add appends an element.
func (l *lane) add(s *sinks.Spool, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if l.begun {
		l.buf = append(l.buf, ',')
	}
	l.begun = true
	l.buf = append(l.buf, b...)
	if len(l.buf) < laneBuffer {
		return nil
	}
	at, err := s.Add(l.buf)
	if err != nil {
		return err
	}
	l.pieces = append(l.pieces, piece{at, len(l.buf)})
	l.buf = l.buf[:0]
	return nil
}

// write writes the array. As everywhere here, errors of w wait for its Flush.
func (l *lane) write(w *bufio.Writer, s *sinks.Spool) error {
	w.WriteByte('[')
	for _, p := range l.pieces {
		if err := p.copy(w, s); err != nil {
			return err
		}
	}
	w.Write(l.buf)
	w.WriteByte(']')
	return nil
}

// copy copies p from the spool to w.
func (p piece) copy(w *bufio.Writer, s *sinks.Spool) error {
	b := make([]byte, p.size)
	if err := s.Load(b, p.at); err != nil {
		return err
	}
	w.Write(b)
	return nil
}

// caption is where a caption is seen and where its text lies in the spool. Its
// length and its picture are known at the end.
type caption struct {
	ingest.Stamp
	dur  time.Duration
	text piece // an object of JSON
}

// keepCaption keeps what p says, and each word with its attention.
func (s *Sink) keepCaption(e infer.Event, p *infer.Caption) error {
	words := make([][3]any, len(p.Words)) // text, probability, attention in base64
	for i, w := range p.Words {
		words[i] = [3]any{w.Text, round(w.P), base64.StdEncoding.EncodeToString(w.Attention)}
	}
	b, err := json.Marshal(struct {
		Text  string   `json:"text"`
		LogP  float64  `json:"logp"`
		Words [][3]any `json:"words"`
		W     int      `json:"w"`
		H     int      `json:"h"`
	}{p.Text, p.LogP, words, p.AttentionW, p.AttentionH})
	if err != nil {
		return err
	}
	at, err := s.spool.Add(b)
	if err != nil {
		return err
	}
	s.captions = append(s.captions, caption{e.Stamp, e.Dur, piece{at, len(b)}})
	return nil
}

// writeCaptions writes the captions by their time. Each holds until the next one.
func (s *Sink) writeCaptions(w *bufio.Writer, media Media) error {
	slices.SortStableFunc(s.captions, func(a, b caption) int { return cmp.Compare(a.At, b.At) })
	w.WriteByte('[')
	for i, c := range s.captions {
		end := s.facts.Duration
		if i+1 < len(s.captions) {
			end = s.captions[i+1].At.Seconds()
		}
		about := struct {
			span
			Thumb string `json:"thumb"` // data URI
		}{span: span{c.At.Seconds(), max(c.dur.Seconds(), end-c.At.Seconds())}}
		if media.Thumb != nil {
			jpeg, err := media.Thumb(c.Stamp)
			if err != nil {
				return err
			}
			if len(jpeg) > 0 {
				about.Thumb = "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(jpeg)
			}
		}
		if i > 0 {
			w.WriteByte(',')
		}
		if err := open(w, about); err != nil {
			return err
		}
		// The object that was kept goes on where this one is open.
		w.WriteByte(',')
		if err := (piece{c.text.at + 1, c.text.size - 1}).copy(w, s.spool); err != nil {
			return err
		}
	}
	w.WriteByte(']')
	return nil
}

// writeData writes the object that the page's script reads. Like all that package
// json makes, it holds no <, > or &.
func (s *Sink) writeData(w *bufio.Writer, media Media) error {
	if err := open(w, &s.facts); err != nil {
		return err
	}
	for i := range s.lanes {
		w.WriteString(`,"` + laneNames[i] + `":`)
		if err := s.lanes[i].write(w, s.spool); err != nil {
			return err
		}
	}
	w.WriteString(`,"captions":`)
	if err := s.writeCaptions(w, media); err != nil {
		return err
	}
	w.WriteString(`,"heat":[`)
	for i := range s.heat {
		m := &s.heat[i]
		if i > 0 {
			w.WriteByte(',')
		}
		name := struct {
			Method string `json:"method"`
		}{m.name}
		if err := open(w, name); err != nil {
			return err
		}
		w.WriteString(`,"maps":`)
		if err := m.maps.write(w, s.spool); err != nil {
			return err
		}
		w.WriteByte('}')
	}
	w.WriteString("]}")
	return nil
}

// open writes v as an object of JSON without its last brace.
func open(w *bufio.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Write(b[:len(b)-1])
	return nil
}

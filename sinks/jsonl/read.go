package jsonl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// maxLine bounds the memory that a file can make the reader take.
const maxLine = 16 << 20

// Reader reads the results of one source. It is the inverse of [Sink], as far as
// the file goes: times come back in microseconds, numbers with their decimals,
// faces without their pixels.
type Reader struct {
	r         *bufio.Reader
	line      int
	buf       []byte
	header    sinks.Header
	summary   *sinks.Summary
	truncated bool
}

// NewReader reads the header.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	b, err := d.next()
	if errors.Is(err, io.EOF) {
		if d.truncated {
			return nil, errors.New("jsonl: line 1: cut off")
		}
		return nil, errors.New("jsonl: empty")
	}
	if err != nil {
		return nil, err
	}
	if err := d.parseHeader(b); err != nil {
		return nil, fmt.Errorf("jsonl: line 1: %w", err)
	}
	return d, nil
}

// Header returns the first line.
func (d *Reader) Header() sinks.Header { return d.header }

// Summary returns the last line, once Next has returned io.EOF; without one, the
// run was killed.
func (d *Reader) Summary() (sinks.Summary, bool) {
	if d.summary == nil {
		return sinks.Summary{}, false
	}
	return *d.summary, true
}

// Truncated reports that the last line has no end, once Next has returned io.EOF.
// Such a line is not interpreted.
func (d *Reader) Truncated() bool { return d.truncated }

// Next returns the next event, and io.EOF behind the last. An event owns its
// memory.
func (d *Reader) Next() (infer.Event, error) {
	b, err := d.next()
	if err != nil {
		return infer.Event{}, err
	}
	if d.summary != nil {
		return infer.Event{}, fmt.Errorf("jsonl: line %d: behind the summary", d.line)
	}
	ev, sum, err := parseLine(b)
	if err != nil {
		return infer.Event{}, fmt.Errorf("jsonl: line %d: %w", d.line, err)
	}
	if sum != nil {
		d.summary = sum
		return d.Next()
	}
	ev.Source = d.header.Source
	return ev, nil
}

// Events yields the events that are left; an error is the last that it yields.
func (d *Reader) Events() iter.Seq2[infer.Event, error] {
	return func(yield func(infer.Event, error) bool) {
		for {
			ev, err := d.Next()
			if errors.Is(err, io.EOF) || !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// next returns the next line without its end; it is valid until the next call.
func (d *Reader) next() ([]byte, error) {
	d.buf = d.buf[:0]
	for {
		b, err := d.r.ReadSlice('\n')
		if len(d.buf)+len(b) > maxLine {
			return nil, fmt.Errorf("jsonl: line %d: longer than %d bytes", d.line+1, maxLine)
		}
		d.buf = append(d.buf, b...)
		switch {
		case err == nil:
			d.line++
			return d.buf[:len(d.buf)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			d.truncated = len(d.buf) > 0
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("jsonl: line %d: %w", d.line+1, err)
		}
	}
}

// seconds is a time in the file.
type seconds time.Duration

// UnmarshalJSON reads a decimal without going through floating point.
func (s *seconds) UnmarshalJSON(b []byte) error {
	whole, frac, _ := strings.Cut(string(b), ".")
	neg := strings.HasPrefix(whole, "-")
	whole = strings.TrimPrefix(whole, "-")
	sec, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || sec > math.MaxInt64/uint64(time.Second)-1 || len(frac) > 9 {
		return fmt.Errorf("%q is not a time in seconds", b)
	}
	ns := uint64(0)
	if frac != "" {
		if ns, err = strconv.ParseUint((frac + "00000000")[:9], 10, 63); err != nil {
			return fmt.Errorf("%q is not a time in seconds", b)
		}
	}
	v := int64(sec)*int64(time.Second) + int64(ns)
	if neg {
		v = -v
	}
	*s = seconds(v)
	return nil
}

func (d *Reader) parseHeader(b []byte) error {
	var h struct {
		Seehear int    `json:"seehear"`
		Source  string `json:"source"`
		Live    bool   `json:"live"`
		Streams []struct {
			Index      int     `json:"index"`
			Kind       string  `json:"kind"`
			Codec      string  `json:"codec"`
			Width      int     `json:"width"`
			Height     int     `json:"height"`
			Rotation   int     `json:"rotation"`
			FrameRate  string  `json:"frame_rate"`
			SampleRate int     `json:"sample_rate"`
			Channels   int     `json:"channels"`
			Duration   seconds `json:"duration"`
		} `json:"streams"`
		Models []infer.Info `json:"models"`
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return err
	}
	if h.Seehear != Version {
		return fmt.Errorf("version %d of the results; this program reads version %d", h.Seehear, Version)
	}
	d.header = sinks.Header{Source: h.Source, Live: h.Live, Models: h.Models}
	for _, s := range h.Streams {
		st := ingest.Stream{
			Index: s.Index, Codec: s.Codec, Width: s.Width, Height: s.Height, Rotation: s.Rotation,
			SampleRate: s.SampleRate, Channels: s.Channels, Duration: time.Duration(s.Duration),
		}
		switch s.Kind {
		case ingest.Video.String():
			st.Kind = ingest.Video
		case ingest.Audio.String():
			st.Kind = ingest.Audio
		default:
			return fmt.Errorf("unknown kind of stream %q", s.Kind)
		}
		if s.FrameRate != "" {
			num, den, ok := strings.Cut(s.FrameRate, "/")
			n, err1 := strconv.ParseInt(num, 10, 32)
			m, err2 := strconv.ParseInt(den, 10, 32)
			if !ok || err1 != nil || err2 != nil || n <= 0 || m <= 0 {
				return fmt.Errorf("frame rate %q", s.FrameRate)
			}
			st.FrameRate = ingest.Timebase{Num: int32(n), Den: int32(m)}
		}
		d.header.Streams = append(d.header.Streams, st)
	}
	return nil
}

func parseLine(b []byte) (infer.Event, *sinks.Summary, error) {
	var l struct {
		T       *seconds        `json:"t"`
		Dur     seconds         `json:"dur"`
		Seg     uint32          `json:"seg"`
		Kind    string          `json:"kind"`
		Model   string          `json:"model"`
		Fixture bool            `json:"fixture"`
		Short   bool            `json:"short"`
		Wall    time.Time       `json:"wall"`
		Lag     seconds         `json:"lag"`
		Sound   *infer.Sound    `json:"sound"`
		Speech  *infer.Speech   `json:"speech"`
		Heatmap *infer.Heatmap  `json:"heatmap"`
		Caption *infer.Caption  `json:"caption"`
		Face    *infer.Face     `json:"face"`
		Cut     *infer.Cut      `json:"cut"`
		Gap     *infer.Gap      `json:"gap"`
		Summary json.RawMessage `json:"summary"`
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return infer.Event{}, nil, err
	}
	if l.Summary != nil && !bytes.Equal(l.Summary, []byte("null")) {
		sum, err := parseSummary(l.Summary)
		return infer.Event{}, sum, err
	}
	if l.T == nil {
		return infer.Event{}, nil, errors.New(`neither an event (no "t") nor a summary`)
	}
	ev := infer.Event{
		Stamp: ingest.Stamp{At: time.Duration(*l.T), Seg: l.Seg}, Dur: time.Duration(l.Dur),
		Model: l.Model, Fixture: l.Fixture, Short: l.Short,
		Wall: l.Wall, Lag: time.Duration(l.Lag),
	}
	switch {
	case l.Kind == "sound" && l.Sound != nil:
		ev.Payload = l.Sound
	case l.Kind == "speech" && l.Speech != nil:
		ev.Payload = l.Speech
	case l.Kind == "heatmap" && l.Heatmap != nil:
		if h := l.Heatmap; h.W < 0 || h.H < 0 || h.W > 1<<15 || h.H > 1<<15 || len(h.Grid) != h.W*h.H {
			return ev, nil, fmt.Errorf("heat map of %dx%d with %d values", h.W, h.H, len(h.Grid))
		}
		ev.Payload = l.Heatmap
	case l.Kind == "caption" && l.Caption != nil:
		ev.Payload = l.Caption
	case l.Kind == "face" && l.Face != nil:
		ev.Payload = l.Face
	case l.Kind == "cut" && l.Cut != nil:
		ev.Payload = l.Cut
	case l.Kind == "gap" && l.Gap != nil:
		ev.Payload = l.Gap
	default:
		return ev, nil, fmt.Errorf("kind %q without a payload of that kind", l.Kind)
	}
	return ev, nil, nil
}

func parseSummary(b []byte) (*sinks.Summary, error) {
	var s struct {
		Complete     bool    `json:"complete"`
		Error        string  `json:"error"`
		Duration     seconds `json:"duration"`
		Segs         uint32  `json:"segs"`
		Frames       int64   `json:"frames"`
		Samples      int64   `json:"samples"`
		Moments      int64   `json:"moments"`
		Events       int64   `json:"events"`
		MissingAudio seconds `json:"missing_audio"`
		Errors       int64   `json:"errors"`
		Drops        int64   `json:"drops"`
		Truncated    bool    `json:"truncated"`
		Missing      seconds `json:"missing"`
		Damaged      int64   `json:"damaged"`
		LateFrames   int64   `json:"late_frames"`
		LateSamples  int64   `json:"late_samples"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	return &sinks.Summary{
		Complete: s.Complete, Error: s.Error, Duration: time.Duration(s.Duration), Segs: s.Segs,
		Frames: s.Frames, Samples: s.Samples, Moments: s.Moments, Events: s.Events,
		MissingAudio: time.Duration(s.MissingAudio), Errors: s.Errors, Drops: s.Drops,
		Truncated: s.Truncated, Missing: time.Duration(s.Missing), Damaged: s.Damaged,
		LateFrames: s.LateFrames, LateSamples: s.LateSamples,
	}, nil
}

// Results is a whole file in memory.
type Results struct {
	Header    sinks.Header
	Events    []infer.Event
	Summary   sinks.Summary
	Ended     bool // there is a summary
	Truncated bool // the last line was cut off
}

// Read reads a whole file. With an error it returns what came before it.
func Read(r io.Reader) (Results, error) {
	d, err := NewReader(r)
	if err != nil {
		return Results{}, err
	}
	res := Results{Header: d.header}
	for ev, err := range d.Events() {
		if err != nil {
			return res, err
		}
		res.Events = append(res.Events, ev)
	}
	res.Summary, res.Ended = d.Summary()
	res.Truncated = d.truncated
	return res, nil
}

// Package overlay draws the results onto the pictures they are about.
//
// The [Sink] keeps what it will draw while the source is analysed, and makes a
// second pass over the input in Close: annotated.mp4 with heat map, caption, top
// sounds, speech and the original sound; heat maps as PNG over their frames; and
// thumbnails for the report, which closes after this sink and asks for
// [Sink.Result] and [Sink.Thumb]; who made the sink lets go of them with
// [Sink.Release]. Faces are written as PNG as they come. The pipeline of package
// seehear calls the sink; the pictures of the second pass come from
// [Config].Open, which opens the very input again.
//
// A sink that writes the usual files:
//
//	overlay.New(overlay.Config{
//		Dir:      dir,
//		Open:     open,
//		Videos:   []overlay.Video{{Name: "annotated.mp4", MaxHeight: 1080}},
//		Heatmaps: overlay.AtCuts,
//		Faces:    true,
//	})
//
// What comes with the source and is needed again in the second pass (marks of what
// is heard, where a heat map lies and its grid, texts, thumbnails) goes to a
// nameless file, and pictures live for one frame, so that memory does not grow with
// the source.
package overlay

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// Names of the usual videos in the folder of the results.
const (
	VideoName      = "annotated.mp4"
	SmallVideoName = "annotated-480.mp4"
)

// Pictures says which heat maps become PNG files.
type Pictures uint8

// The choices of heat maps.
const (
	NoPictures Pictures = iota
	AtCuts              // one for each cut and caption that has a heat map
	Every               // one for each heat map that is not gated
)

// Video is one annotated video.
type Video struct {
	Name string // in Config.Dir
	// MaxHeight bounds the picture, which keeps its shape, to 16:9 of that
	// height; 0 means 1080.
	MaxHeight int
}

// Config says what to draw.
type Config struct {
	Dir string
	// Open opens the input again. The sink closes the reader. It is called in
	// Close alone, and not at all if nothing needs a second pass.
	Open func(context.Context, decode.Outputs) (*decode.Reader, error)
	// Videos are made in one pass. For a source without picture they show a card
	// with what is heard.
	Videos   []Video
	Heatmaps Pictures
	Faces    bool // write faces/*.png
	// ThumbWidth makes a thumbnail of that many pixels across of the frame at each
	// caption. 0 makes none.
	ThumbWidth int
	// Threads bounds those of the video encoder; 0 lets it choose.
	Threads int
	// Progress, if set, is called as the second pass begins (done is 0), every
	// second of media, and at its end, on the goroutine of Close.
	Progress func(done, total time.Duration)
}

// Thumb is a small picture, JPEG, for [Sink.Thumb] to load.
type Thumb struct {
	ingest.Stamp // of its caption
	W, H         int
	at           int64 // in the spool
	size         int
}

// Picture is a PNG file that was written.
type Picture struct {
	ingest.Stamp        // of its event
	Name         string // relative to Config.Dir
	W, H         int
}

// Made is a video that was written. Name differs from Asked where the source is
// too small for the two videos to differ: the other one then serves for both.
type Made struct {
	Asked, Name string // in Config.Dir
	W, H        int
}

// Result is what Close has made.
type Result struct {
	Videos   []Made
	Heatmaps []Picture
	Faces    []Picture
	Thumbs   []Thumb // in the order of their stamps
}

// Video returns the name of the file that shows the video asked for by that name,
// "" if there is none.
func (r Result) Video(asked string) string {
	for _, v := range r.Videos {
		if v.Asked == asked {
			return v.Name
		}
	}
	return ""
}

// Sink draws the results of one source.
type Sink struct {
	cfg    Config
	header sinks.Header
	begun  bool
	err    error

	spool    *sinks.Spool // marks and what they point to, then thumbnails
	heats    [layers]tape[heat]
	captions tape[text]
	sounds   tape[heardAs]
	names    names         // of the sounds
	centre   ingest.Stamp  // of the latest sound
	hop      time.Duration // the longest of any sound
	speech   tape[int32]   // voices
	faces    tape[likeness]
	cuts     tape[struct{}]

	result Result
}

var _ sinks.Sink = (*Sink)(nil)

// New returns a sink.
func New(cfg Config) *Sink {
	cfg.Videos = slices.Clone(cfg.Videos)
	for i := range cfg.Videos {
		if cfg.Videos[i].MaxHeight <= 0 {
			cfg.Videos[i].MaxHeight = 1080
		}
	}
	return &Sink{cfg: cfg, spool: sinks.NewSpool(cfg.Dir)}
}

// Result returns what was made, once Close has returned.
func (s *Sink) Result() Result { return s.result }

// Thumb loads the JPEG of a thumbnail of Result.
func (s *Sink) Thumb(t Thumb) ([]byte, error) {
	b := make([]byte, t.size)
	if err := s.spool.Load(b, t.at); err != nil {
		return nil, err
	}
	return b, nil
}

// Release lets go of the thumbnails: none can be loaded afterwards.
func (s *Sink) Release() { s.spool.Close() }

// Begin keeps the header.
func (s *Sink) Begin(ctx context.Context, h sinks.Header) error {
	s.header, s.begun = h, true
	s.err = ctx.Err()
	return s.err
}

// Write keeps what is to be drawn, and writes the PNG of a face.
func (s *Sink) Write(ctx context.Context, ev infer.Event) error {
	if s.err != nil {
		return s.err
	}
	if s.err = ctx.Err(); s.err != nil {
		return s.err
	}
	if p, ok := ev.Payload.(*infer.Face); ok && drawable(p) {
		s.err = s.writeFace(ev, p)
	}
	if s.err == nil && s.cfg.Open != nil {
		s.err = s.keep(ev)
	}
	return s.err
}

// keep keeps what the second pass needs of an event.
func (s *Sink) keep(ev infer.Event) error {
	switch p := ev.Payload.(type) {
	case *infer.Heatmap:
		return s.keepHeat(ev, p)
	case *infer.Caption:
		t, err := keepText(s.spool, p.Text)
		if err != nil {
			return err
		}
		return s.captions.add(s.spool, markOf(ev, 0, t))
	case *infer.Sound:
		return s.keepSound(ev, hearing(p))
	case *infer.Speech:
		return s.speech.add(s.spool, markOf(ev, time.Second, int32(p.Voice)))
	case *infer.Face:
		if !drawable(p) {
			return nil
		}
		l, err := keepFace(s.spool, p)
		if err != nil {
			return err
		}
		return s.faces.add(s.spool, markOf(ev, 4*time.Second, l))
	case *infer.Cut:
		return s.cuts.add(s.spool, mark[struct{}]{Stamp: ev.Stamp})
	}
	return nil
}

// Close makes the second pass. Of a run that was stopped it draws as much as was
// analysed.
func (s *Sink) Close(ctx context.Context, sum sinks.Summary) error {
	if !s.begun {
		return nil
	}
	defer func() {
		if len(s.result.Thumbs) == 0 {
			s.spool.Close()
		}
	}()
	if s.err == nil {
		s.err = ctx.Err()
	}
	if s.err != nil || !s.needsPass() {
		return s.err
	}
	p, err := newPass(s, sum)
	if err != nil {
		s.err = err
		return err
	}
	s.err = p.run(ctx)
	return s.err
}

func (s *Sink) needsPass() bool {
	return s.cfg.Open != nil &&
		(len(s.cfg.Videos) > 0 || s.cfg.ThumbWidth > 0 || s.cfg.Heatmaps != NoPictures && s.heated())
}

// heated reports whether there are heat maps of any kind.
func (s *Sink) heated() bool {
	return slices.ContainsFunc(s.heats[:], func(t tape[heat]) bool { return !t.empty() })
}

// keepHeat keeps a heat map if anything is to be drawn with it.
func (s *Sink) keepHeat(ev infer.Event, p *infer.Heatmap) error {
	if p.W <= 0 || p.H <= 0 || len(p.Grid) != p.W*p.H {
		return nil
	}
	h := heat{W: int32(p.W), H: int32(p.H), X: float32(p.X), Y: float32(p.Y)}
	for _, v := range p.Grid {
		h.Most = max(h.Most, v)
	}
	if p.Gated != "" {
		h.Most = 0
	}
	if h.Most > 0 {
		var err error
		if h.At, err = s.spool.Add(p.Grid); err != nil {
			return err
		}
	}
	return s.heats[layerOf(p.Method)].add(s.spool, markOf(ev, time.Second, h))
}

// keepSound keeps what is heard. It stands at the centre of what it was made from,
// and is shown where no other centre is nearer, at most a hop away, as in the
// report. What shows the same as the mark before it is joined to that.
func (s *Sink) keepSound(ev infer.Event, h heard) error {
	dur := ev.Dur
	if dur <= 0 {
		dur = time.Second
	}
	s.hop = max(s.hop, dur) // the end of the source cuts the last one short
	m := mark[heardAs]{ingest.Stamp{At: ev.At - s.hop, Seg: ev.Seg}, ev.At + s.hop, s.names.pack(h)}
	if last := s.sounds.last(); last != nil && s.centre.Seg == ev.Seg {
		middle := s.centre.At + (ev.At-s.centre.At)/2
		m.At, last.Until = max(m.At, middle), min(last.Until, middle)
		if m.At == last.Until && last.Value.same(m.Value) {
			last.Until, s.centre = m.Until, ev.Stamp
			return nil
		}
	}
	s.centre = ev.Stamp
	return s.sounds.add(s.spool, m)
}

// fixture reports whether any model was a test graph.
func (s *Sink) fixture() bool {
	return slices.ContainsFunc(s.header.Models, func(m infer.Info) bool { return m.Fixture })
}

func (s *Sink) writeFace(ev infer.Event, f *infer.Face) error {
	if !s.cfg.Faces {
		return nil
	}
	name := f.File
	if name == "" {
		name = sinks.FaceName(ev.At, f.Voice)
	}
	img, err := facePicture(f, ev.Fixture)
	if err != nil {
		return err
	}
	b := img.Bounds()
	s.result.Faces = append(s.result.Faces, Picture{Stamp: ev.Stamp, Name: name, W: b.Dx(), H: b.Dy()})
	return writePNG(s.cfg.Dir, name, img)
}

var errNoPass = errors.New("overlay: the input gave neither picture nor sound the second time")

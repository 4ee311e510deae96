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
// Everything that is kept in memory over the whole source is small (a caption's
// text, five labels, where a heat map lies); the grids of heat maps and thumbnails
// go to a nameless file, and pictures live for one frame.
package overlay

import (
	"cmp"
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

	spool    *sinks.Spool // grids, then thumbnails
	heats    [layers][]mark[heat]
	captions []mark[string]
	sounds   []mark[heard]
	centre   ingest.Stamp  // of the latest sound
	hop      time.Duration // the longest of any sound
	speech   []mark[int]
	faces    []mark[*infer.Face]
	cuts     []ingest.Stamp

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
	switch p := ev.Payload.(type) {
	case *infer.Heatmap:
		s.err = s.keepHeat(ev, p)
	case *infer.Caption:
		s.captions = append(s.captions, markOf(ev, 0, p.Text))
	case *infer.Sound:
		s.keepSound(ev, hearing(p))
	case *infer.Speech:
		s.speech = append(s.speech, markOf(ev, time.Second, p.Voice))
	case *infer.Face:
		if p.W > 0 && p.H > 0 && len(p.Pix) == 3*p.W*p.H {
			s.faces = append(s.faces, markOf(ev, 4*time.Second, p))
			s.err = s.writeFace(ev, p)
		}
	case *infer.Cut:
		s.cuts = append(s.cuts, ev.Stamp)
	}
	return s.err
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
	for _, m := range s.heats {
		sortMarks(m)
	}
	sortMarks(s.captions)
	sortMarks(s.sounds)
	sortMarks(s.speech)
	sortMarks(s.faces)
	slices.SortStableFunc(s.cuts, compare)
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
	return slices.ContainsFunc(s.heats[:], func(m []mark[heat]) bool { return len(m) > 0 })
}

// keepHeat keeps a heat map if anything is to be drawn with it.
func (s *Sink) keepHeat(ev infer.Event, p *infer.Heatmap) error {
	if p.W <= 0 || p.H <= 0 || len(p.Grid) != p.W*p.H || s.cfg.Open == nil {
		return nil
	}
	h := heat{w: int32(p.W), h: int32(p.H), x: float32(p.X), y: float32(p.Y)}
	for _, v := range p.Grid {
		h.most = max(h.most, v)
	}
	if p.Gated != "" {
		h.most = 0
	}
	if h.most > 0 {
		var err error
		if h.at, err = s.spool.Add(p.Grid); err != nil {
			return err
		}
	}
	l := layerOf(p.Method)
	s.heats[l] = append(s.heats[l], markOf(ev, time.Second, h))
	return nil
}

// keepSound keeps what is heard. It stands at the centre of what it was made from,
// and is shown where no other centre is nearer, at most a hop away, as in the
// report. What shows the same as the mark before it is joined to that.
func (s *Sink) keepSound(ev infer.Event, h heard) {
	dur := ev.Dur
	if dur <= 0 {
		dur = time.Second
	}
	s.hop = max(s.hop, dur) // the end of the source cuts the last one short
	m := mark[heard]{ingest.Stamp{At: ev.At - s.hop, Seg: ev.Seg}, ev.At + s.hop, h}
	if n := len(s.sounds); n > 0 && s.centre.Seg == ev.Seg {
		last, middle := &s.sounds[n-1], s.centre.At+(ev.At-s.centre.At)/2
		m.At, last.until = max(m.At, middle), min(last.until, middle)
		if m.At == last.until && last.value.same(h) {
			last.until, s.centre = m.until, ev.Stamp
			return
		}
	}
	s.sounds, s.centre = append(s.sounds, m), ev.Stamp
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

// heard is what is shown of a sound.
type heard struct {
	top    []infer.Score // at most four
	scene  infer.Score
	silent bool
}

func hearing(p *infer.Sound) heard {
	h := heard{silent: p.Silent}
	for i, s := range sinks.Heard(p) {
		if i == 4 || i > 0 && percent(s.P) == 0 {
			break
		}
		h.top = append(h.top, s)
	}
	if len(p.Scenes) > 0 {
		h.scene = p.Scenes[0]
	}
	return h
}

// same reports whether h and o look the same.
func (h heard) same(o heard) bool {
	like := func(a, b infer.Score) bool { return a.Label == b.Label && percent(a.P) == percent(b.P) }
	return h.silent == o.silent && like(h.scene, o.scene) && slices.EqualFunc(h.top, o.top, like)
}

// mark is a value that holds from its stamp until a time of the same segment.
type mark[T any] struct {
	ingest.Stamp
	until time.Duration // 0: until the next mark
	value T
}

// markOf gives an event without a duration the one that is given.
func markOf[T any](ev infer.Event, dur time.Duration, v T) mark[T] {
	m := mark[T]{Stamp: ev.Stamp, value: v}
	if ev.Dur > 0 {
		dur = ev.Dur
	}
	if dur > 0 {
		m.until = ev.At + dur
	}
	return m
}

func compare(a, b ingest.Stamp) int {
	return cmp.Or(cmp.Compare(a.Seg, b.Seg), cmp.Compare(a.At, b.At))
}

func sortMarks[T any](m []mark[T]) {
	slices.SortStableFunc(m, func(a, b mark[T]) int { return compare(a.Stamp, b.Stamp) })
}

// cursor walks marks forward with the frames.
type cursor[T any] struct {
	marks []mark[T]
	next  int
}

// at returns the latest mark that holds at s, which must not go back.
func (c *cursor[T]) at(s ingest.Stamp) *mark[T] {
	for c.next < len(c.marks) && !s.Before(c.marks[c.next].Stamp) {
		c.next++
	}
	if c.next == 0 {
		return nil
	}
	m := &c.marks[c.next-1]
	if m.Seg != s.Seg || m.until != 0 && s.At >= m.until {
		return nil
	}
	return m
}

// due returns the stamps that came up to s since the last call.
func due(stamps *[]ingest.Stamp, s ingest.Stamp) []ingest.Stamp {
	n := 0
	for n < len(*stamps) && !s.Before((*stamps)[n]) {
		n++
	}
	d := (*stamps)[:n]
	*stamps = (*stamps)[n:]
	return d
}

var errNoPass = errors.New("overlay: the input gave neither picture nor sound the second time")

package overlay

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/image/draw"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/encode"
)

// While it is not known whether a picture or a sound will come, units wait: so
// many frames, because they are large, and so many blocks.
const (
	waitFrames = 8
	waitBlocks = 4000
)

// soundLag is how far the sound may be behind the picture before the source
// counts as silent there; the container needs both to go on.
const soundLag = 10 * time.Second

// pass is the second run over the input.
type pass struct {
	s     *Sink
	sum   sinks.Summary
	sizes []decode.Size
	full  int // index of the size for PNG, and of the one for thumbnails
	thumb int

	heats    [layers]*cursor[heat]
	captions *cursor[text]
	sounds   *cursor[heardAs]
	speech   *cursor[int32]
	faces    *cursor[likeness]
	thumbs   *cursor[text] // what gets a thumbnail
	pngs     []stepper     // what gets a PNG, if a heat map holds there

	// What is seen, read once from the spool.
	heat    [layers]loaded
	caption seen[text, string]
	heard   seen[heardAs, *heard]
	face    seen[likeness, *infer.Face]

	waiting   []decode.Unit
	frames    int // waiting
	decided   bool
	picture   bool // the streams that are still to be expected
	sound     bool
	rate      int
	channels  int
	outs      []*output
	soundEnd  time.Duration // on the output's time
	meter     meter
	nextCard  int64
	lastShown time.Duration
	names     map[string]int // of PNG files, against two in one millisecond
	full3     []byte         // buffer of the PNG
	full4     *image.RGBA
	fullPaint *painter
}

// output is one video in the making.
type output struct {
	size   int // index into the frame's images
	twin   int // 1 + the index of an earlier video that is the same; 0 for none
	ended  bool
	writer *encode.Writer
	paint  *painter
	card   *card
	rgb    []byte
	w, h   int
}

// stepper is a cursor over marks of any kind.
type stepper interface {
	step(ingest.Stamp) (at ingest.Stamp, passed bool, err error)
}

// seen is what was made of the value of a mark.
type seen[K comparable, V any] struct {
	key K
	v   V
	is  bool
}

// of returns what is made of key, anew only if it is another.
func (s *seen[K, V]) of(key K, load func(K) (V, error)) (V, error) {
	if s.is && s.key == key {
		return s.v, nil
	}
	v, err := load(key)
	s.key, s.v, s.is = key, v, err == nil
	return v, err
}

func newPass(s *Sink, sum sinks.Summary) (p *pass, err error) {
	p = &pass{s: s, sum: sum, names: map[string]int{}, full: -1, thumb: -1}
	if err = p.rewind(); err != nil {
		return nil, err
	}
	for _, v := range s.cfg.Videos {
		w := v.MaxHeight * 16 / 9 &^ 1
		p.outs = append(p.outs, &output{size: p.addSize(w, v.MaxHeight)})
	}
	if s.cfg.Heatmaps != NoPictures && s.heated() {
		p.full = p.addSize(p.sourceSize())
	}
	if s.cfg.ThumbWidth > 0 {
		if len(p.sizes) == 0 {
			p.addSize(854, 480)
		}
		for i, size := range p.sizes {
			if p.thumb < 0 || size.W < p.sizes[p.thumb].W {
				p.thumb = i
			}
		}
	}
	return p, nil
}

// rewind puts all cursors before the first mark.
func (p *pass) rewind() error {
	s := p.s
	var errs []error
	for l := range s.heats {
		p.heats[l] = start(&errs, s, &s.heats[l])
	}
	p.captions, p.sounds = start(&errs, s, &s.captions), start(&errs, s, &s.sounds)
	p.speech, p.faces = start(&errs, s, &s.speech), start(&errs, s, &s.faces)
	p.thumbs = start(&errs, s, &s.captions)
	switch s.cfg.Heatmaps {
	case AtCuts:
		p.pngs = []stepper{start(&errs, s, &s.captions), start(&errs, s, &s.cuts)}
	case Every:
		for l := range s.heats {
			p.pngs = append(p.pngs, start(&errs, s, &s.heats[l]))
		}
	}
	return sinks.Join(errs...)
}

// start returns a cursor of t, and adds its error to errs.
func start[T any](errs *[]error, s *Sink, t *tape[T]) *cursor[T] {
	c, err := t.cursor(s.spool)
	*errs = append(*errs, err)
	return c
}

// sourceSize returns a box that holds the source's whole picture.
func (p *pass) sourceSize() (w, h int) {
	for _, st := range p.s.header.Streams {
		if st.Kind == ingest.Video && st.Width > 0 && st.Height > 0 {
			side := max(st.Width, st.Height)
			if side <= 1080 {
				break // any box of a video holds it
			}
			if side = min(2*side, 1<<14); side > 0 {
				return side, side // twice: pixels may be wider than high
			}
		}
	}
	return 1920, 1080
}

// addSize asks for a size once.
func (p *pass) addSize(w, h int) int {
	size := decode.Size{W: w, H: h, Fit: decode.Within}
	for i, have := range p.sizes {
		if have == size {
			return i
		}
	}
	p.sizes = append(p.sizes, size)
	return len(p.sizes) - 1
}

func (p *pass) run(ctx context.Context) (err error) {
	want := decode.Outputs{Sizes: p.sizes}
	if len(p.outs) > 0 {
		want.Sounds = []decode.Sound{{Rate: p.soundRate()}}
	}
	r, err := p.s.cfg.Open(ctx, want)
	if err != nil {
		return fmt.Errorf("overlay: second pass: %w", err)
	}
	for _, st := range r.Streams() {
		switch st.Kind {
		case ingest.Video:
			p.picture = true
		case ingest.Audio:
			p.sound = len(p.outs) > 0
		}
	}
	defer func() {
		for _, u := range p.waiting {
			u.Release()
		}
		p.waiting = nil
		for _, o := range p.outs {
			if o.writer != nil {
				o.writer.Abandon()
			}
		}
		err = sinks.Join(err, r.Close())
	}()
	if f := p.s.cfg.Progress; f != nil {
		f(0, p.sum.Duration)
	}
	if err := p.read(ctx, r); err != nil {
		return err
	}
	return p.finish()
}

// soundRate returns the rate to ask for: the source's own, named, so that it
// stays the same if the source changes on the way.
func (p *pass) soundRate() int {
	for _, st := range p.s.header.Streams {
		if st.Kind == ingest.Audio {
			return st.SampleRate
		}
	}
	return 0
}

func (p *pass) read(ctx context.Context, r *decode.Reader) error {
	var units []decode.Unit
	for {
		var rerr error
		units, rerr = r.Read(ctx, units[:0])
		for i, u := range units {
			if err := p.take(u); err != nil {
				for _, u := range units[i+1:] {
					u.Release()
				}
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(rerr, io.EOF) || rerr == nil && p.past() {
			return nil
		}
		if rerr != nil {
			if !p.sum.Complete {
				return nil // the analysis ended there too
			}
			return fmt.Errorf("overlay: second pass: %w", rerr)
		}
	}
}

// limit is where the analysis stopped, if it did not get to the end.
func (p *pass) limit() (time.Duration, bool) { return p.sum.Duration, !p.sum.Complete }

// past reports that everything that was analysed has been drawn.
func (p *pass) past() bool {
	end, limited := p.limit()
	return limited && p.lastShown > end+2*time.Second
}

// take handles one unit, or lets it wait, and owns it either way.
func (p *pass) take(u decode.Unit) error {
	if p.decided {
		return p.handle(u)
	}
	p.waiting = append(p.waiting, u)
	switch {
	case u.Frame != nil:
		p.frames++
	case u.End != nil && u.End.Kind == ingest.Video:
		p.picture = p.picture && p.frames > 0
	case u.End != nil && u.End.Kind == ingest.Audio:
		p.sound = p.sound && p.firstBlock() != nil
	}
	if (p.picture && p.frames == 0 || p.sound && p.firstBlock() == nil) && p.frames < waitFrames && len(p.waiting) < waitBlocks {
		return nil
	}
	return p.decide()
}

func (p *pass) firstFrame() *decode.Frame {
	for _, u := range p.waiting {
		if u.Frame != nil {
			return u.Frame
		}
	}
	return nil
}

func (p *pass) firstBlock() *decode.Block {
	for _, u := range p.waiting {
		if u.Block != nil {
			return u.Block
		}
	}
	return nil
}

// decide opens the outputs, now that it is known what comes, and handles what
// has waited.
func (p *pass) decide() error {
	p.decided = true
	frame, block := p.firstFrame(), p.firstBlock()
	p.picture = frame != nil
	if block != nil {
		p.rate, p.channels = block.PCM.Format.SampleRate, block.PCM.Format.NumChannels
	} else if p.sound {
		for _, st := range p.s.header.Streams {
			if st.Kind == ingest.Audio {
				p.rate, p.channels = st.SampleRate, st.Channels
			}
		}
	}
	p.sound = p.rate > 0 && p.channels > 0
	for i, o := range p.outs {
		if err := p.open(i, o, frame); err != nil {
			return err
		}
	}
	waiting := p.waiting
	for i, u := range waiting {
		if err := p.handle(u); err != nil {
			p.waiting = waiting[i+1:]
			return err
		}
	}
	p.waiting = nil
	return nil
}

// open begins video i. One that would be the same as an earlier one, because the
// source is small, is not made twice.
func (p *pass) open(i int, o *output, frame *decode.Frame) (err error) {
	v := p.s.cfg.Videos[i]
	rate := 0.0
	if frame != nil {
		o.w, o.h = frame.Images[o.size].W, frame.Images[o.size].H
		if o.paint, err = newPainter(o.w, o.h, 1, p.s.fixture()); err != nil {
			return err
		}
		for _, st := range p.s.header.Streams {
			if st.Kind == ingest.Video && st.FrameRate.Den > 0 {
				rate = float64(st.FrameRate.Num) / float64(st.FrameRate.Den)
			}
		}
	} else {
		if o.card, err = newCard(v.MaxHeight, p.s.header.Source, p.s.fixture()); err != nil {
			return err
		}
		o.w, o.h, rate = o.card.w, o.card.h, cardRate
	}
	for k, other := range p.outs[:i] {
		if other.w == o.w && other.h == o.h {
			o.twin, o.paint, o.card = k+1, nil, nil
			return nil
		}
	}
	// x264 wants even sides; a picture of one row or column is doubled.
	w, h := (o.w+1)&^1, (o.h+1)&^1
	o.rgb = make([]byte, 3*w*h)
	opt := encode.Options{W: w, H: h, FrameRate: rate, Threads: p.s.cfg.Threads}
	if p.sound {
		opt.Rate, opt.Channels = p.rate, p.channels
	}
	o.writer, err = encode.Create(filepath.Join(p.s.cfg.Dir, v.Name), opt)
	return err
}

func (p *pass) handle(u decode.Unit) error {
	defer u.Release()
	switch {
	case u.Frame != nil:
		return p.frame(u.Frame)
	case u.Block != nil:
		return p.block(u.Block)
	}
	return nil
}

func (p *pass) frame(f *decode.Frame) error {
	at := f.At // the clock lays segments one behind the other
	p.progress(at)
	if end, limited := p.limit(); limited && at >= end {
		return nil
	}
	s, err := p.scene(f.Stamp)
	if err != nil {
		return err
	}
	if err := p.pictures(f, s); err != nil {
		return err
	}
	for _, o := range p.outs {
		if o.paint == nil {
			continue // a twin, or a card whose first picture came long after the sound
		}
		img := f.Images[o.size]
		o.load(img)
		o.paint.paint(o.rgb, s)
		if err := o.writer.WriteFrame(at, f.Dur, o.rgb); err != nil {
			return err
		}
		if p.sound && at-p.soundEnd > soundLag {
			if err := o.writer.Silence(at - soundLag); err != nil {
				return err
			}
		}
	}
	return nil
}

// load copies a picture into the buffer; one of another size, after a change of
// the source in mid-stream, is fitted in.
func (o *output) load(img decode.Image) {
	if 3*img.W*img.H == len(o.rgb) && img.W == o.w {
		copy(o.rgb, img.Pix)
		return
	}
	w, h := (o.w+1)&^1, (o.h+1)&^1
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	scale := min(float64(w)/float64(img.W), float64(h)/float64(img.H))
	fw, fh := int(float64(img.W)*scale+0.5), int(float64(img.H)*scale+0.5)
	r := image.Rect((w-fw)/2, (h-fh)/2, (w-fw)/2+fw, (h-fh)/2+fh)
	draw.ApproxBiLinear.Scale(dst, r, rgbImage(img.Pix, img.W, img.H), image.Rect(0, 0, img.W, img.H), draw.Src, nil)
	for i := range w * h {
		copy(o.rgb[3*i:3*i+3], dst.Pix[4*i:])
	}
}

// scene gathers what holds at a stamp.
func (p *pass) scene(at ingest.Stamp) (*scene, error) {
	s := &scene{at: at.At, voice: -1}
	for l := range p.heats {
		m, err := p.heats[l].at(at)
		if err != nil {
			return nil, err
		}
		if m == nil || m.Value.Most == 0 {
			continue
		}
		h := &p.heat[l]
		s.heats[l] = h
		if h.grid == nil || h.At != m.Value.At {
			if err := h.load(p.s.spool, m.Value); err != nil {
				return nil, err
			}
		}
	}
	if err := hold(&s.caption, p.captions, at, &p.caption, p.loadText); err != nil {
		return nil, err
	}
	if err := hold(&s.sound, p.sounds, at, &p.heard, p.loadHeard); err != nil {
		return nil, err
	}
	if err := hold(&s.face, p.faces, at, &p.face, p.loadFace); err != nil {
		return nil, err
	}
	m, err := p.speech.at(at)
	if m != nil {
		s.voice = int(m.Value)
	}
	return s, err
}

// hold sets v to what is seen of the mark that holds at a stamp, if one does.
func hold[K comparable, V any](v *V, c *cursor[K], at ingest.Stamp, last *seen[K, V], load func(K) (V, error)) error {
	m, err := c.at(at)
	if m != nil {
		*v, err = last.of(m.Value, load)
	}
	return err
}

func (p *pass) loadText(t text) (string, error)          { return t.load(p.s.spool) }
func (p *pass) loadFace(l likeness) (*infer.Face, error) { return l.load(p.s.spool) }

func (p *pass) loadHeard(a heardAs) (*heard, error) { return p.s.names.unpack(a), nil }

func (p *pass) block(b *decode.Block) error {
	f := b.PCM.Format
	at := b.At
	if !p.sound || f.SampleRate != p.rate || len(p.outs) == 0 {
		return nil
	}
	pcm := b.PCM.Data
	if f.NumChannels != p.channels {
		pcm = remix(pcm, f.NumChannels, p.channels)
	}
	if end, limited := p.limit(); limited {
		keep := ingest.Samples(end-at, p.rate)
		pcm = pcm[:min(int64(len(pcm)), max(keep, 0)*int64(p.channels))]
		if len(pcm) == 0 {
			p.progress(at)
			return nil
		}
	}
	p.soundEnd = at + ingest.SampleTime(int64(len(pcm)/p.channels), p.rate)
	for _, o := range p.outs {
		if o.writer == nil {
			continue
		}
		if err := o.writer.WriteSamples(at, pcm); err != nil {
			return err
		}
	}
	if p.picture {
		return nil
	}
	p.progress(at)
	if next := int64(at / cardStep); time.Duration(next-p.nextCard)*cardStep > longPause {
		// Nothing is heard for long: the last card stays.
		p.nextCard, p.meter = next, meter{first: next}
	}
	p.meter.add(at, pcm, p.rate, p.channels)
	return p.cards(p.soundEnd, b.Stamp, at)
}

// longPause is how long cards go on where there is no sound to draw.
const longPause = 10 * time.Second

// cards draws the pictures of a source without one, up to end. The stamp and its
// place tell what holds then.
func (p *pass) cards(end time.Duration, st ingest.Stamp, at time.Duration) error {
	for ; time.Duration(p.nextCard+1)*cardStep <= end; p.nextCard++ {
		now := time.Duration(p.nextCard) * cardStep
		s, err := p.scene(ingest.Stamp{At: st.At + now - at, Seg: st.Seg})
		if err != nil {
			return err
		}
		level := p.meter.take(p.nextCard)
		for _, o := range p.outs {
			if o.card == nil {
				continue
			}
			o.card.paint(o.rgb, s, level)
			if err := o.writer.WriteFrame(now, cardStep, o.rgb); err != nil {
				return err
			}
		}
	}
	return nil
}

// remix changes the number of channels, for a source that changes it on the way:
// one becomes many by copying, many become few by leaving out or averaging.
func remix(pcm []float32, from, to int) []float32 {
	n := len(pcm) / from
	out := make([]float32, n*to)
	for i := range n {
		in := pcm[i*from:][:from]
		if to == 1 {
			sum := float32(0)
			for _, v := range in {
				sum += v
			}
			out[i] = sum / float32(from)
			continue
		}
		for c := range to {
			out[i*to+c] = in[min(c, from-1)]
		}
	}
	return out
}

// finish ends the videos.
func (p *pass) finish() error {
	if !p.decided {
		if len(p.waiting) == 0 {
			if p.sum.Frames > 0 || p.sum.Samples > 0 {
				return errNoPass
			}
			return nil
		}
		if err := p.decide(); err != nil {
			return err
		}
	}
	var errs []error
	for i, o := range p.outs {
		if o.twin > 0 && p.outs[o.twin-1].ended {
			p.made(i, o.twin-1)
		}
		if o.writer == nil {
			continue
		}
		w := o.writer
		o.writer = nil
		if err := w.Close(); err != nil {
			errs = append(errs, err)
			continue
		}
		p.made(i, i)
	}
	if f := p.s.cfg.Progress; f != nil && len(errs) == 0 {
		f(p.sum.Duration, p.sum.Duration)
	}
	return sinks.Join(errs...)
}

// made notes that video i was asked for and that file k is it.
func (p *pass) made(i, k int) {
	o := p.outs[k]
	o.ended = true
	p.s.result.Videos = append(p.s.result.Videos, Made{
		Asked: p.s.cfg.Videos[i].Name, Name: p.s.cfg.Videos[k].Name, W: (o.w + 1) &^ 1, H: (o.h + 1) &^ 1,
	})
}

func (p *pass) progress(at time.Duration) {
	if f := p.s.cfg.Progress; f != nil && at/time.Second != p.lastShown/time.Second {
		f(min(at, p.sum.Duration), p.sum.Duration)
	}
	p.lastShown = max(p.lastShown, at)
}

// pictures makes the PNG files and thumbnails that are due at this frame.
func (p *pass) pictures(f *decode.Frame, s *scene) error {
	if p.full >= 0 {
		st, due, err := p.latest(f.Stamp)
		if err == nil && due && s.hot() {
			err = p.png(f.Images[p.full], st, s)
		}
		if err != nil {
			return err
		}
	}
	if p.thumb < 0 {
		return nil
	}
	img := f.Images[p.thumb]
	for {
		st, due, err := p.thumbs.step(f.Stamp)
		if err != nil || !due {
			return err
		}
		if made := p.s.result.Thumbs; len(made) > 0 && made[len(made)-1].Stamp == st {
			continue
		}
		jpeg, w, h, err := thumbnail(img.Pix, img.W, img.H, p.s.cfg.ThumbWidth)
		if err != nil {
			return err
		}
		at, err := p.s.spool.Add(jpeg)
		if err != nil {
			return err
		}
		p.s.result.Thumbs = append(p.s.result.Thumbs, Thumb{Stamp: st, W: w, H: h, at: at, size: len(jpeg)})
	}
}

// latest returns the latest of the marks for PNG files that came up to s since the
// last call.
func (p *pass) latest(s ingest.Stamp) (last ingest.Stamp, due bool, err error) {
	for _, c := range p.pngs {
		for {
			at, passed, err := c.step(s)
			if err != nil {
				return last, due, err
			}
			if !passed {
				break
			}
			if !due || last.Before(at) {
				last, due = at, true
			}
		}
	}
	return last, due, nil
}

// png writes the heat map over its whole frame.
func (p *pass) png(img decode.Image, st ingest.Stamp, s *scene) (err error) {
	if pt := p.fullPaint; pt == nil || pt.w != img.W || pt.h != img.H {
		if p.fullPaint, err = newPainter(img.W, img.H, 1, p.s.fixture()); err != nil {
			return err
		}
		p.full3 = make([]byte, 3*img.W*img.H)
		p.full4 = image.NewRGBA(image.Rect(0, 0, img.W, img.H))
	}
	copy(p.full3, img.Pix)
	p.fullPaint.paintHeat(p.full3, s)
	p.fullPaint.put(p.full3, p.fullPaint.band)
	fillRGBA(p.full4.Pix, p.full3)
	name := sinks.HeatmapName(st.At)
	p.names[name]++
	if n := p.names[name]; n > 1 {
		ext := filepath.Ext(name)
		name = fmt.Sprintf("%s-%d%s", name[:len(name)-len(ext)], n, ext)
	}
	if err := writePNG(p.s.cfg.Dir, name, p.full4); err != nil {
		return err
	}
	p.s.result.Heatmaps = append(p.s.result.Heatmaps, Picture{Stamp: st, Name: name, W: img.W, H: img.H})
	return nil
}

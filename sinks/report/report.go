// Package report writes report.html: the annotated video over a timeline of what
// was found, in one page that opens from disk, needs no server and fetches
// nothing.
//
// The command makes it and closes it after the overlay, whose video and
// thumbnails it embeds:
//
//	report.New(report.Config{Path: "out/clip/report.html", Media: media})
//
// What the page shows (scores, captions, faces, of a heat map only its strongest
// place) is kept in a nameless file until Close, and copied into the page from
// there, so that memory does not grow with the source.
package report

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// EmbedLimit is the largest video that is put into the page itself; a larger one
// is named by its relative path.
const EmbedLimit = 50 << 20

// Media is what the second pass made for the page.
type Media struct {
	// Embed is the path of a small video to put into the page, "" for none.
	Embed string
	// Beside is the name of the full video relative to the page, "" for none.
	Beside string
	// Thumb returns the frame at a caption as JPEG, nothing if there is none. It is
	// called for one caption after the other.
	Thumb func(ingest.Stamp) ([]byte, error)
}

// Config says where the page goes and where its pictures come from.
type Config struct {
	Path string
	// Media is called once, at Close; nil for a page without video.
	Media func() Media
}

// Sink collects events and writes the page at Close.
type Sink struct {
	cfg   Config
	head  sinks.Header
	begun bool
	err   error

	spool    *sinks.Spool
	facts    page
	lanes    [lanes]lane
	heat     []method // in the order of their first events
	captions []caption
}

var _ sinks.Sink = (*Sink)(nil)

// New returns a sink that writes cfg.Path.
func New(cfg Config) *Sink {
	return &Sink{cfg: cfg, spool: sinks.NewSpool(filepath.Dir(cfg.Path))}
}

// The arrays of the page's data that grow with the source.
const (
	sounds = iota
	objects
	scenes
	speeches
	faces
	cuts
	gaps
	lanes
)

var laneNames = [lanes]string{"sounds", "objects", "scenes", "speech", "faces", "cuts", "gaps"}

// page is what the page's script reads besides the lanes, the heat maps and the
// captions; times are seconds.
type page struct {
	Source   string      `json:"source"`
	Duration float64     `json:"duration"`
	Complete bool        `json:"complete"`
	Error    string      `json:"error,omitempty"`
	Fixture  bool        `json:"fixture"`
	Streams  []string    `json:"streams"`
	Models   []model     `json:"models"`
	Facts    [][2]string `json:"facts"`
	Video    string      `json:"video"` // "" none, "embedded", or a relative path
}

type model struct {
	Family  string `json:"family"`
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	License string `json:"license"`
	Fixture bool   `json:"fixture,omitempty"`
}

type span struct {
	T float64 `json:"t"`
	D float64 `json:"d"`
}

type scores struct {
	span
	Silent bool     `json:"silent,omitempty"`
	Short  bool     `json:"short,omitempty"`
	Top    [][2]any `json:"top"` // label, posterior
}

type speech struct {
	span
	P     float64 `json:"p"`
	Voice int     `json:"voice"`
}

// method is one way of finding what sounds, with its maps: t, dur, strength 0..1,
// x, y.
type method struct {
	name string
	maps lane
}

type face struct {
	span
	Voice  int     `json:"voice"`
	Used   float64 `json:"used"`
	Notice string  `json:"notice"`
	Image  string  `json:"image"` // data URI
}

type gap struct {
	span
	Stream string `json:"stream"`
	Reason string `json:"reason"`
}

// Begin keeps the header.
func (s *Sink) Begin(ctx context.Context, h sinks.Header) error {
	s.head, s.begun, s.err = h, true, ctx.Err()
	return s.err
}

// Write keeps what the page shows of e.
func (s *Sink) Write(ctx context.Context, e infer.Event) error {
	if s.err == nil {
		s.err = ctx.Err()
	}
	if s.err == nil {
		if err := s.keep(e); err != nil {
			s.err = fmt.Errorf("report: %w", err)
		}
	}
	return s.err
}

func (s *Sink) keep(e infer.Event) error {
	s.facts.Fixture = s.facts.Fixture || e.Fixture
	at := span{e.At.Seconds(), e.Dur.Seconds()}
	add := func(to int, v any) error { return s.lanes[to].add(s.spool, v) }
	switch p := e.Payload.(type) {
	case *infer.Sound:
		for i, of := range [][]infer.Score{sounds: p.Events, objects: p.Objects, scenes: p.Scenes} {
			if len(of) > 0 || p.Silent {
				if err := add(i, scores{at, p.Silent, e.Short, top(of)}); err != nil {
					return err
				}
			}
		}
	case *infer.Speech:
		return add(speeches, speech{at, p.P, p.Voice})
	case *infer.Caption:
		return s.keepCaption(e, p)
	case *infer.Heatmap:
		strength := 0.0
		if len(p.Grid) > 0 {
			strength = float64(slices.Max(p.Grid)) / 255
		}
		i := slices.IndexFunc(s.heat, func(m method) bool { return m.name == p.Method })
		if i < 0 {
			i = len(s.heat)
			s.heat = append(s.heat, method{name: p.Method})
		}
		return s.heat[i].maps.add(s.spool, [5]float64{at.T, at.D, round(strength), round(p.X), round(p.Y)})
	case *infer.Face:
		uri, err := pngURI(p)
		if err != nil {
			return fmt.Errorf("face at %s: %w", e.At, err)
		}
		return add(faces, face{at, p.Voice, p.Used, infer.FaceNotice, uri})
	case *infer.Cut:
		return add(cuts, at.T)
	case *infer.Gap:
		return add(gaps, gap{at, p.Stream, p.Reason})
	}
	return nil
}

func top(of []infer.Score) [][2]any {
	out := make([][2]any, len(of))
	for i, s := range of {
		out[i] = [2]any{s.Label, round(s.P)}
	}
	return out
}

// round keeps four decimals, which is more than a screen shows.
func round(v float64) float64 { return float64(int64(v*1e4+0.5)) / 1e4 }

func pngURI(f *infer.Face) (string, error) {
	if len(f.Pix) != 3*f.W*f.H || f.W <= 0 || f.H <= 0 {
		return "", fmt.Errorf("%d bytes for a picture of %dx%d", len(f.Pix), f.W, f.H)
	}
	img := image.NewNRGBA(image.Rect(0, 0, f.W, f.H))
	for i := range f.W * f.H {
		copy(img.Pix[4*i:], f.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var pageTemplate = template.Must(template.New("report").Parse(pageHTML))

// Close writes the page. An incomplete run gets a page that says so.
func (s *Sink) Close(ctx context.Context, sum sinks.Summary) error {
	defer s.spool.Close()
	if !s.begun {
		return nil
	}
	if s.err == nil {
		s.err = ctx.Err()
	}
	if s.err == nil {
		s.err = s.write(sum)
	}
	return s.err
}

func (s *Sink) write(sum sinks.Summary) error {
	var media Media
	if s.cfg.Media != nil {
		media = s.cfg.Media()
	}
	embed, err := s.fill(media, sum)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	out, err := sinks.Create(s.cfg.Path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	w := bufio.NewWriterSize(out, 1<<16)
	err = s.render(w, media, embed)
	if err == nil {
		err = w.Flush()
	}
	if err = out.End(err); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// These stand where the data and the video go, which are streamed into the file
// and never held as one string.
const (
	dataMark  = "/*data*/"
	videoMark = "<!--video-->"
)

func (s *Sink) render(w *bufio.Writer, media Media, embed string) error {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, map[string]any{
		"Title": s.facts.Source,
		"CSS":   template.CSS(pageCSS),
		"JS":    template.JS(pageJS),
		"Data":  template.JS(dataMark),
		"Video": template.HTML(videoMark),
	})
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(b.Bytes(), []byte(dataMark))
	between, after, found2 := bytes.Cut(rest, []byte(videoMark))
	if !found || !found2 {
		return errors.New("the template lost its marks")
	}
	w.Write(before) // errors of w wait for its Flush
	if err = s.writeData(w, media); err != nil {
		return err
	}
	w.Write(between)
	if embed != "" {
		if err = inline(w, embed); err != nil {
			return err
		}
	}
	w.Write(after)
	return nil
}

func inline(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = io.WriteString(w, `<script type="text/plain" id="video-data">`); err != nil {
		return err
	}
	enc := base64.NewEncoder(base64.StdEncoding, w)
	if _, err = io.Copy(enc, f); err != nil {
		return err
	}
	if err = enc.Close(); err != nil {
		return err
	}
	_, err = io.WriteString(w, "</script>")
	return err
}

// fill completes the page's facts and returns the path of the video to embed.
func (s *Sink) fill(media Media, sum sinks.Summary) (embed string, err error) {
	d := &s.facts
	d.Source, d.Duration, d.Complete, d.Error = s.head.Source, sum.Duration.Seconds(), sum.Complete, sum.Error
	for _, st := range s.head.Streams {
		d.Streams = append(d.Streams, describe(st))
	}
	for _, m := range s.head.Models {
		d.Fixture = d.Fixture || m.Fixture
		d.Models = append(d.Models, model{m.Family, m.Name, m.Version, m.SHA256, m.License, m.Fixture})
	}
	d.Facts = [][2]string{
		{"Length", clock(sum.Duration)},
		{"Frames", fmt.Sprint(sum.Frames)},
		{"Samples", fmt.Sprint(sum.Samples)},
		{"Moments looked at", fmt.Sprint(sum.Moments)},
		{"Sound missing", fmt.Sprintf("%.3f s", sum.MissingAudio.Seconds())},
		{"Packets that did not decode", fmt.Sprint(sum.Errors)},
		{"Jumps of the source", fmt.Sprint(max(0, int64(sum.Segs)-1))},
	}
	d.Video = media.Beside
	if media.Embed != "" {
		info, err := os.Stat(media.Embed)
		if err != nil {
			return "", err
		}
		if info.Size() <= EmbedLimit {
			d.Video, embed = "embedded", media.Embed
		}
	}
	return embed, nil
}

func describe(st ingest.Stream) string {
	switch st.Kind {
	case ingest.Video:
		s := fmt.Sprintf("video %d: %s %d×%d", st.Index, st.Codec, st.Width, st.Height)
		if r := st.FrameRate; r.Num > 0 && r.Den > 0 {
			s += fmt.Sprintf(", %.4g fps", float64(r.Num)/float64(r.Den))
		}
		if st.Rotation != 0 {
			s += fmt.Sprintf(", turned by %d°", st.Rotation)
		}
		return s
	case ingest.Audio:
		return fmt.Sprintf("audio %d: %s %d Hz, %d channels", st.Index, st.Codec, st.SampleRate, st.Channels)
	}
	return fmt.Sprintf("stream %d: %s", st.Index, st.Codec)
}

func clock(d time.Duration) string {
	ms := d.Round(time.Millisecond).Milliseconds()
	return fmt.Sprintf("%d:%02d:%02d.%03d", ms/3600000, ms/60000%60, ms/1000%60, ms%1000)
}

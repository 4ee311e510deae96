// Package report writes report.html: the annotated video over a timeline of what
// was found, in one page that opens from disk, needs no server and fetches
// nothing.
//
// The command makes it and closes it after the overlay, whose video and
// thumbnails it embeds:
//
//	report.New(report.Config{Path: "out/clip/report.html", Media: overlay.Media})
//
// The sink keeps what it draws until Close: scores, captions and faces, but of a
// heat map only its strongest place.
package report

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"io"
	"os"
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
	// Thumbs are JPEG pictures of the frames at captions.
	Thumbs map[ingest.Stamp][]byte
}

// Config says where the page goes and where its pictures come from.
type Config struct {
	Path string
	// Media is called once, at Close; nil for a page without video.
	Media func() Media
}

// Sink collects events and writes the page at Close.
type Sink struct {
	cfg  Config
	head sinks.Header
	data page
}

// New returns a sink that writes cfg.Path.
func New(cfg Config) *Sink { return &Sink{cfg: cfg} }

// The page's data as its script reads them; times are seconds.
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
	Sounds   []scores    `json:"sounds"`
	Objects  []scores    `json:"objects"`
	Scenes   []scores    `json:"scenes"`
	Speech   []speech    `json:"speech"`
	Captions []caption   `json:"captions"`
	Heat     []heat      `json:"heat"` // one lane per method, in the order of their first events
	Faces    []face      `json:"faces"`
	Cuts     []float64   `json:"cuts"`
	Gaps     []gap       `json:"gaps"`
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

type caption struct {
	span
	Text  string   `json:"text"`
	LogP  float64  `json:"logp"`
	Words [][3]any `json:"words"` // text, probability, attention in base64
	W     int      `json:"w"`
	H     int      `json:"h"`
	Thumb string   `json:"thumb"` // data URI
	at    ingest.Stamp
}

// heat is where one method finds what sounds.
type heat struct {
	Method string       `json:"method"`
	Maps   [][5]float64 `json:"maps"` // t, dur, strength 0..1, x, y
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
func (s *Sink) Begin(_ context.Context, h sinks.Header) error {
	s.head = h
	return nil
}

// Write keeps what the page shows of e.
func (s *Sink) Write(_ context.Context, e infer.Event) error {
	d := &s.data
	d.Fixture = d.Fixture || e.Fixture
	at := span{e.At.Seconds(), e.Dur.Seconds()}
	switch p := e.Payload.(type) {
	case *infer.Sound:
		add := func(to *[]scores, of []infer.Score) {
			if len(of) > 0 || p.Silent {
				*to = append(*to, scores{at, p.Silent, e.Short, top(of)})
			}
		}
		add(&d.Sounds, p.Events)
		add(&d.Objects, p.Objects)
		add(&d.Scenes, p.Scenes)
	case *infer.Speech:
		d.Speech = append(d.Speech, speech{at, p.P, p.Voice})
	case *infer.Caption:
		c := caption{span: at, Text: p.Text, LogP: p.LogP, W: p.AttentionW, H: p.AttentionH, at: e.Stamp}
		for _, w := range p.Words {
			c.Words = append(c.Words, [3]any{w.Text, round(w.P), base64.StdEncoding.EncodeToString(w.Attention)})
		}
		d.Captions = append(d.Captions, c)
	case *infer.Heatmap:
		strength := 0.0
		if len(p.Grid) > 0 {
			strength = float64(slices.Max(p.Grid)) / 255
		}
		lane := slices.IndexFunc(d.Heat, func(h heat) bool { return h.Method == p.Method })
		if lane < 0 {
			lane = len(d.Heat)
			d.Heat = append(d.Heat, heat{Method: p.Method})
		}
		d.Heat[lane].Maps = append(d.Heat[lane].Maps, [5]float64{at.T, at.D, round(strength), round(p.X), round(p.Y)})
	case *infer.Face:
		uri, err := pngURI(p)
		if err != nil {
			return fmt.Errorf("report: face at %s: %w", e.At, err)
		}
		d.Faces = append(d.Faces, face{at, p.Voice, p.Used, infer.FaceNotice, uri})
	case *infer.Cut:
		d.Cuts = append(d.Cuts, at.T)
	case *infer.Gap:
		d.Gaps = append(d.Gaps, gap{at, p.Stream, p.Reason})
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
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var media Media
	if s.cfg.Media != nil {
		media = s.cfg.Media()
	}
	embed, err := s.fill(media, sum)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	data, err := json.Marshal(&s.data)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	out, err := sinks.Create(s.cfg.Path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	w := bufio.NewWriterSize(out, 1<<16)
	err = s.render(w, data, embed)
	if err == nil {
		err = w.Flush()
	}
	if err = out.End(err); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// videoMark stands where the video's bytes go, so that they are streamed into the
// file and never held as one string.
const videoMark = "<!--video-->"

func (s *Sink) render(w io.Writer, data []byte, embed string) error {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, map[string]any{
		"Title": s.data.Source,
		"CSS":   template.CSS(pageCSS),
		"JS":    template.JS(pageJS),
		"Data":  template.JS(data), // json.Marshal escapes <, > and &
		"Video": template.HTML(videoMark),
	})
	if err != nil {
		return err
	}
	before, after, found := bytes.Cut(b.Bytes(), []byte(videoMark))
	if _, err = w.Write(before); err != nil {
		return err
	}
	if !found {
		return nil
	}
	if embed != "" {
		if err = inline(w, embed); err != nil {
			return err
		}
	}
	_, err = w.Write(after)
	return err
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

// fill completes the page's data and returns the path of the video to embed.
func (s *Sink) fill(media Media, sum sinks.Summary) (embed string, err error) {
	d := &s.data
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
	slices.SortStableFunc(d.Captions, func(a, b caption) int { return int(a.at.At - b.at.At) })
	for i := range d.Captions {
		c := &d.Captions[i]
		if jpeg := media.Thumbs[c.at]; len(jpeg) > 0 {
			c.Thumb = "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(jpeg)
		}
		// A caption holds until the next one.
		end := d.Duration
		if i+1 < len(d.Captions) {
			end = d.Captions[i+1].T
		}
		c.D = max(c.D, end-c.T)
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

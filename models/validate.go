package models

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Format is the version of the manifest that this package reads.
const Format = 1

// fixturePrefix begins the names of test models, and of no others.
const fixturePrefix = "fixture-"

// roles are the graphs of each family.
var roles = map[string][]string{
	"soundnet":    {"graph"},
	"speech":      {"gate"},
	"speech2face": {"encoder", "decoder"},
	"localize":    {"image", "audio"},
	"caption":     {"encoder", "decoder"},
	"pictures":    {"graph"},
	"embedding":   {"picture", "sentence"},
}

// labelled are the outputs that a family has labels for, and what else a family
// lists by the line: a vocabulary, or the classes' numbers elsewhere.
var labelled = map[string][]string{
	"soundnet":  {"objects", "scenes", "events"},
	"caption":   {"vocabulary"},
	"pictures":  {"objects", "scenes", "imagenet", "places2"},
	"embedding": {"vocabulary"},
}

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checker keeps the first error, so that a check reads as a list of rules.
type checker struct{ err error }

func (c *checker) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%s: %w", field, fmt.Errorf(format, args...))
	}
}

// number wants lo <= x <= hi, which nothing that is not a number satisfies.
func (c *checker) number(field string, x, lo, hi float64) {
	if !(x >= lo && x <= hi) {
		c.fail(field, "%v is not between %v and %v", x, lo, hi)
	}
}

func (c *checker) count(field string, x, lo, hi int) {
	if x < lo || x > hi {
		c.fail(field, "%d is not between %d and %d", x, lo, hi)
	}
}

func (c *checker) oneOf(field, x string, allowed ...string) {
	if !slices.Contains(allowed, x) {
		c.fail(field, "%q is none of %s", x, strings.Join(slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" }), ", "))
	}
}

func (c *checker) name(field, x string) {
	if !nameForm.MatchString(x) {
		c.fail(field, "%q is not a name (letters, digits and ._+-)", x)
	}
}

// text is something that is shown, in one line.
func (c *checker) text(field, x string) {
	if x == "" {
		c.fail(field, "is missing")
	}
	if len(x) > 4096 || strings.ContainsFunc(x, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.fail(field, "is too long or holds control characters")
	}
}

func (c *checker) path(field, x string) {
	if err := inside(x); err != nil {
		c.fail(field, "%w", err)
	}
}

func (c *checker) file(field string, f File) {
	c.path(field+".path", f.Path)
	if !hashForm.MatchString(f.SHA256) {
		c.fail(field+".sha256", "%q is not 64 lower-case hexadecimal digits", f.SHA256)
	}
}

func (p *Pack) validate() error {
	c := &checker{}
	if p.Seehear != Format {
		c.fail("seehear", "format %d, and this program reads %d", p.Seehear, Format)
	}
	c.name("name", p.Name)
	c.text("version", p.Version)
	c.text("license", p.License)
	if len(p.Models) == 0 {
		c.fail("models", "there is none")
	}
	if c.err != nil {
		return c.err
	}
	names, families := map[string]bool{}, map[string]bool{}
	for i := range p.Models {
		m := &p.Models[i]
		c.name(fmt.Sprintf("models[%d].name", i), m.Name)
		if c.err != nil {
			return c.err
		}
		err := m.validate()
		switch {
		case err != nil:
		case names[m.Name]:
			err = errors.New("name: there are two of it")
		case families[m.Family]:
			err = fmt.Errorf("family: the pack has a model for %s before it", m.Family)
		case p.Fixture != strings.HasPrefix(m.Name, fixturePrefix):
			err = fmt.Errorf("name: models of a pack marked fixture, and only those, have names that begin with %q", fixturePrefix)
		}
		if err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
		names[m.Name], families[m.Family] = true, true
	}
	return nil
}

func (m *Model) validate() error {
	c := &checker{}
	want, ok := roles[m.Family]
	if !ok {
		c.fail("family", "%q is none of %s", m.Family, strings.Join(sortedKeys(roles), ", "))
		return c.err
	}
	c.text("version", m.Version)
	c.text("license", m.License)
	if m.Card != "" {
		c.path("card", m.Card)
	}
	m.validateFiles(c, want)
	switch m.Family {
	case "soundnet":
		m.Audio.validate(c)
		c.number("audio.window", m.Audio.Window, 0.01, 3600)
		c.count("audio.hop", m.Audio.Hop, 1, 1<<30)
		c.count("audio.stride", m.Audio.Stride, 1, 1<<30)
		c.count("audio.field", m.Audio.Field, 1, 1<<30)
		for _, name := range sortedKeys(m.Gate.Show) {
			if _, ok := m.Labels[name]; !ok {
				c.fail("gate.show."+name, "the model has no labels for that")
			}
			c.number("gate.show."+name, m.Gate.Show[name], 0, 1)
		}
	case "speech":
		m.Audio.validate(c)
		c.number("gate.enter", m.Gate.Enter, 0, 1)
		c.number("gate.leave", m.Gate.Leave, 0, 1)
		if m.Gate.Leave > m.Gate.Enter {
			c.fail("gate.leave", "%v is above gate.enter, %v", m.Gate.Leave, m.Gate.Enter)
		}
	case "speech2face":
		m.Audio.validate(c)
		m.Audio.STFT.validate(c)
		c.number("gate.same_voice", m.Gate.SameVoice, -1, 1)
	case "localize":
		m.Audio.validate(c)
		c.number("audio.window", m.Audio.Window, 0.01, 3600)
		m.Audio.STFT.validate(c)
		m.Image.validate(c)
		c.number("gate.floor", m.Gate.Floor, -1, 1)
		c.number("gate.ceiling", m.Gate.Ceiling, -1, 1)
		if !(m.Gate.Floor < m.Gate.Ceiling) {
			c.fail("gate.floor", "%v is not below gate.ceiling, %v", m.Gate.Floor, m.Gate.Ceiling)
		}
		m.Heat.validate(c)
	case "caption":
		m.Image.validate(c)
		m.Decode.validate(c)
		if _, ok := m.Labels["vocabulary"]; !ok {
			c.fail("labels.vocabulary", "is missing")
		}
	case "pictures":
		m.Image.validate(c)
	case "embedding":
		m.Image.validate(c)
		c.oneOf("decode.tokenizer", m.Decode.Tokenizer, "words")
		c.count("decode.max", m.Decode.Max, 1, 4096)
		if _, ok := m.Labels["vocabulary"]; !ok {
			c.fail("labels.vocabulary", "is missing")
		}
	}
	c.number("gate.rms", m.Gate.RMS, -200, 0)
	return c.err
}

func (m *Model) validateFiles(c *checker, want []string) {
	for _, role := range want {
		if _, ok := m.Graphs[role]; !ok {
			c.fail("graphs."+role, "is missing")
		}
	}
	for _, role := range sortedKeys(m.Graphs) {
		g := m.Graphs[role]
		field := "graphs." + role
		if !slices.Contains(want, role) {
			c.fail(field, "a model of family %s has no such graph, only %s", m.Family, strings.Join(want, ", "))
		}
		c.file(field, g.File)
		for i, d := range g.Data {
			c.file(fmt.Sprintf("%s.data[%d]", field, i), d)
		}
		for _, renamed := range []map[string]string{g.Inputs, g.Outputs} {
			for k, v := range renamed {
				if k == "" || v == "" {
					c.fail(field, "a tensor name is empty")
				}
			}
		}
	}
	for _, name := range sortedKeys(m.Labels) {
		if !slices.Contains(labelled[m.Family], name) {
			c.fail("labels."+name, "a model of family %s has no labels for that", m.Family)
		}
		c.file("labels."+name, m.Labels[name])
	}
}

func (a Audio) validate(c *checker) {
	c.count("audio.rate", a.Rate, 1000, 768000)
	c.number("audio.window", a.Window, 0, 3600)
	c.number("audio.scale", a.Scale, 0, 1<<31)
	c.count("audio.hop", a.Hop, 0, 1<<30)
	c.count("audio.min_samples", a.MinSamples, 0, 1<<30)
	c.oneOf("audio.pad", a.Pad, "", "tile", "silence")
	c.count("audio.context", a.Context, 0, 1<<20)
	c.number("audio.centre", a.Centre, -(1 << 30), 1<<30)
	c.count("audio.stride", a.Stride, 0, 1<<30)
	c.count("audio.field", a.Field, 0, 1<<30)
}

func (s STFT) validate(c *checker) {
	c.oneOf("audio.stft.kind", s.Kind, "power-law", "log-psd")
	c.oneOf("audio.stft.window", s.Window, "hann", "tukey")
	c.number("audio.stft.tukey", s.Tukey, 0, 1)
	c.count("audio.stft.length", s.Length, 2, 1<<20)
	c.count("audio.stft.hop", s.Hop, 1, 1<<20)
	c.count("audio.stft.fft", s.FFT, s.Length, 1<<20)
	c.number("audio.stft.power", s.Power, 0, 10)
	c.number("audio.stft.floor", s.Floor, 0, 1)
	c.number("audio.stft.divide", s.Divide, 0, 1e6)
	c.number("audio.stft.mean", s.Mean, -1e6, 1e6)
	c.number("audio.stft.std", s.Std, 0, 1e6)
	switch s.Kind {
	case "power-law":
		if s.Power == 0 {
			c.fail("audio.stft.power", "is missing")
		}
	case "log-psd":
		if s.Floor == 0 {
			c.fail("audio.stft.floor", "is missing")
		}
	}
}

func (im Image) validate(c *checker) {
	c.count("image.width", im.W, 1, 4096)
	c.count("image.height", im.H, 1, 4096)
	c.oneOf("image.fit", im.Fit, "", "squash", "crop")
	c.oneOf("image.filter", im.Filter, "", "bilinear", "bicubic", "lanczos")
	c.oneOf("image.order", im.Order, "", "rgb", "bgr")
	for i := range im.Mean {
		c.number("image.mean", im.Mean[i], -1000, 1000)
		c.number("image.std", im.Std[i], 0, 1000)
	}
}

func (d Decode) validate(c *checker) {
	c.oneOf("decode.layout", d.Layout, "step", "optimum")
	c.oneOf("decode.tokenizer", d.Tokenizer, "words", "bpe", "wordpiece")
	c.count("decode.max", d.Max, 1, 4096)
	c.count("decode.beam", d.Beam, 1, 64)
	c.number("decode.length_penalty", d.LengthPenalty, -10, 10)
	// Show, Attend and Tell starts from token -1, the zero word.
	c.number("decode.start", float64(d.Start), -1, math.MaxInt32)
	c.number("decode.stop", float64(d.Stop), 0, math.MaxInt32)
	if d.Layout == "optimum" {
		c.count("decode.layers", d.Layers, 1, 256)
		c.count("decode.heads", d.Heads, 1, 1024)
		c.count("decode.head_dim", d.HeadDim, 1, 65536)
	}
	for _, n := range d.State {
		c.count("decode.state", n, 1, 1<<20)
	}
	if len(d.Grid) != 0 && len(d.Grid) != 2 {
		c.fail("decode.grid", "has %d numbers where width and height are wanted", len(d.Grid))
	}
	for _, n := range d.Grid {
		c.count("decode.grid", n, 1, 4096)
	}
}

func (h Heat) validate(c *checker) {
	c.oneOf("heat.method", h.Method, "", "semantic", "sync")
	c.number("heat.alpha", h.Alpha, 0, 1)
	c.number("heat.object_floor", h.ObjectFloor, -1e9, 1e9)
	c.number("heat.object_ceiling", h.ObjectCeiling, -1e9, 1e9)
}

package overlay

import (
	"image"
	"image/color"
	"image/draw"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// fonts parses the Go fonts once; a parsed font is safe for concurrent use.
var fonts = sync.OnceValues(func() (f [2]*opentype.Font, err error) {
	if f[0], err = opentype.Parse(goregular.TTF); err == nil {
		f[1], err = opentype.Parse(gobold.TTF)
	}
	return f, err
})

// letters draws text in one font and size. It is used by one goroutine.
type letters struct {
	face    font.Face
	ascent  int
	descent int
	line    int // from one baseline to the next
}

func newLetters(bold bool, size float64) (*letters, error) {
	f, err := fonts()
	if err != nil {
		return nil, err
	}
	i := 0
	if bold {
		i = 1
	}
	face, err := opentype.NewFace(f[i], &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		return nil, err
	}
	m := face.Metrics()
	return &letters{face: face, ascent: m.Ascent.Ceil(), descent: m.Descent.Ceil(), line: (m.Height * 11 / 10).Ceil()}, nil
}

func (l *letters) height() int { return l.ascent + l.descent }

func (l *letters) width(s string) int { return font.MeasureString(l.face, s).Ceil() }

// draw writes s with its top left corner at x, y.
func (l *letters) draw(dst draw.Image, x, y int, s string, c color.Color) {
	d := font.Drawer{Dst: dst, Src: image.NewUniform(c), Face: l.face, Dot: fixed.P(x, y+l.ascent)}
	d.DrawString(s)
}

// clean makes one line of printable text of s.
func clean(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// cut shortens s with an ellipsis until it is at most width wide.
func (l *letters) cut(s string, width int) string {
	if l.width(s) <= width {
		return s
	}
	r := []rune(s)
	for len(r) > 0 {
		r = r[:len(r)-1]
		if t := strings.TrimRight(string(r), " ") + "…"; l.width(t) <= width {
			return t
		}
	}
	return ""
}

// wrap breaks s into at most most lines of at most width, the last one cut; lines
// come out about equally long.
func (l *letters) wrap(s string, width, most int) []string {
	lines := l.fill(s, width)
	if len(lines) > 1 && len(lines) <= most {
		// The narrowest width that needs no further line balances them.
		lo, hi := width/2, width
		for lo < hi {
			mid := (lo + hi) / 2
			if len(l.fill(s, mid)) <= len(lines) {
				hi = mid
			} else {
				lo = mid + 1
			}
		}
		lines = l.fill(s, hi)
	}
	if len(lines) > most {
		rest := strings.Join(lines[most-1:], " ")
		lines = append(lines[:most-1:most-1], l.cut(rest, width))
	}
	return lines
}

// fill puts as many words on each line as fit; a word that is too long alone is
// broken.
func (l *letters) fill(s string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(s) {
		for {
			next := word
			if line != "" {
				next = line + " " + word
			}
			if l.width(next) <= width {
				line = next
				break
			}
			if line != "" {
				lines = append(lines, line)
				line = ""
				continue
			}
			r := []rune(word)
			n := len(r)
			for n > 1 && l.width(string(r[:n])) > width {
				n--
			}
			if n == len(r) { // one rune, too wide
				line = word
				break
			}
			lines = append(lines, string(r[:n]))
			word = string(r[n:])
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

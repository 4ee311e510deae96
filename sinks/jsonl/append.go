package jsonl

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// Decimals of the numbers in the results: enough for what they mean, and always
// the same number of them, so that files compare line by line.
const (
	decimals     = 4 // probabilities, places, cosines
	fineDecimals = 6 // root mean squares, which are small
)

// AppendSeconds writes d in seconds with six decimals, rounded half away from
// zero, by integer arithmetic.
func AppendSeconds(b []byte, d time.Duration) []byte {
	u := uint64(d)
	if d < 0 {
		u = -u
	}
	us := (u + 500) / 1000
	if d < 0 && us > 0 {
		b = append(b, '-')
	}
	b = strconv.AppendUint(b, us/1e6, 10)
	frac := us % 1e6
	b = append(b, '.')
	for div := uint64(1e5); div > 0; div /= 10 {
		b = append(b, byte('0'+frac/div%10))
	}
	return b
}

// appendFloat writes v with n decimals. JSON knows no NaN and no infinity: they
// become null, which says that the network gave no number.
func appendFloat(b []byte, v float64, n int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	if math.Abs(v) >= 1e15 {
		return strconv.AppendFloat(b, v, 'e', 6, 64)
	}
	start := len(b)
	b = strconv.AppendFloat(b, v, 'f', n, 64)
	if b[start] == '-' { // no negative zero
		for _, c := range b[start+1:] {
			if c != '0' && c != '.' {
				return b
			}
		}
		b = append(b[:start], b[start+1:]...)
	}
	return b
}

const hex = "0123456789abcdef"

// appendString writes s quoted. What is no UTF-8 becomes U+FFFD; the line and
// paragraph separators are escaped because JavaScript once ended lines at them.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r == '\u2028' || r == '\u2029' {
			b = append(b, s[from:i]...)
			b = append(b, '\\', 'u')
			for shift := 12; shift >= 0; shift -= 4 {
				b = append(b, hex[r>>shift&15])
			}
			from = i + n
		}
		i += n
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// object writes the members of one JSON object into b.
type object struct{ b []byte }

func (o *object) open() { o.b = append(o.b, '{') }
func (o *object) end()  { o.b = append(o.b, '}') }

func (o *object) key(k string) {
	switch o.b[len(o.b)-1] {
	case '{', '[':
	default:
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, k...)
	o.b = append(o.b, '"', ':')
}

func (o *object) seconds(k string, d time.Duration)  { o.key(k); o.b = AppendSeconds(o.b, d) }
func (o *object) str(k, v string)                    { o.key(k); o.b = appendString(o.b, v) }
func (o *object) num(k string, v int64)              { o.key(k); o.b = strconv.AppendInt(o.b, v, 10) }
func (o *object) float(k string, v float64, dec int) { o.key(k); o.b = appendFloat(o.b, v, dec) }

func (o *object) bytes(k string, v []byte) {
	o.key(k)
	o.b = append(o.b, '"')
	o.b = base64.StdEncoding.AppendEncode(o.b, v)
	o.b = append(o.b, '"')
}

// wall writes t in UTC to the nanosecond, unless it is zero or lies in a year
// that RFC 3339 cannot say.
func (o *object) wall(k string, t time.Time) {
	t = t.UTC()
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return
	}
	o.key(k)
	o.b = append(o.b, '"')
	o.b = t.AppendFormat(o.b, time.RFC3339Nano)
	o.b = append(o.b, '"')
}

func (o *object) boolean(k string, v bool) {
	o.key(k)
	o.b = strconv.AppendBool(o.b, v)
}

// flag writes k only when it is true.
func (o *object) flag(k string, v bool) {
	if v {
		o.boolean(k, v)
	}
}

// strIf writes k only when it is not empty.
func (o *object) strIf(k, v string) {
	if v != "" {
		o.str(k, v)
	}
}

// numIf writes k only when it is not zero.
func (o *object) numIf(k string, v int64) {
	if v != 0 {
		o.num(k, v)
	}
}

func (o *object) scores(k string, s []infer.Score) {
	if len(s) == 0 {
		return
	}
	o.key(k)
	o.b = append(o.b, '[')
	for i := range s {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.open()
		o.num("index", int64(s[i].Index))
		o.str("label", s[i].Label)
		o.float("p", s[i].P, decimals)
		o.end()
	}
	o.b = append(o.b, ']')
}

// appendHeader writes the first line.
func appendHeader(b []byte, h *sinks.Header) []byte {
	o := object{b}
	o.open()
	o.num("seehear", Version)
	o.str("source", h.Source)
	o.flag("live", h.Live)
	o.key("streams")
	o.b = AppendStreams(o.b, h.Streams)
	o.key("models")
	o.b = AppendModels(o.b, h.Models)
	o.end()
	return append(o.b, '\n')
}

// AppendStreams writes the header's array of streams.
func AppendStreams(b []byte, streams []ingest.Stream) []byte {
	o := object{append(b, '[')}
	for i := range streams {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.stream(&streams[i])
	}
	return append(o.b, ']')
}

// AppendModels writes the header's array of models.
func AppendModels(b []byte, models []infer.Info) []byte {
	o := object{append(b, '[')}
	for i := range models {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		m := &models[i]
		o.open()
		o.str("name", m.Name)
		o.str("version", m.Version)
		o.str("sha256", m.SHA256)
		o.str("family", m.Family)
		o.flag("fixture", m.Fixture)
		o.strIf("license", m.License)
		o.end()
	}
	return append(o.b, ']')
}

func (o *object) stream(s *ingest.Stream) {
	o.open()
	o.num("index", int64(s.Index))
	o.str("kind", s.Kind.String())
	o.str("codec", s.Codec)
	switch s.Kind {
	case ingest.Video:
		o.num("width", int64(s.Width))
		o.num("height", int64(s.Height))
		o.numIf("rotation", int64(s.Rotation))
		if s.FrameRate.Num > 0 && s.FrameRate.Den > 0 {
			o.key("frame_rate")
			o.b = append(o.b, '"')
			o.b = strconv.AppendInt(o.b, int64(s.FrameRate.Num), 10)
			o.b = append(o.b, '/')
			o.b = strconv.AppendInt(o.b, int64(s.FrameRate.Den), 10)
			o.b = append(o.b, '"')
		}
	case ingest.Audio:
		o.num("sample_rate", int64(s.SampleRate))
		o.num("channels", int64(s.Channels))
	}
	if s.Duration > 0 {
		o.seconds("duration", s.Duration)
	}
	o.end()
}

// AppendEvent writes the line of one event, without the end of the line. The
// error says that the payload is of a type that this package does not know; b is
// then unchanged.
func AppendEvent(b []byte, ev *infer.Event) ([]byte, error) {
	line, err := AppendMembers(append(b, '{'), ev)
	if err != nil {
		return b, err
	}
	return append(line, '}'), nil
}

// AppendMembers writes what stands between the braces of an event's line, for
// objects that hold more than the line does; b ends with the brace, or with a
// member. The error is that of [AppendEvent].
func AppendMembers(b []byte, ev *infer.Event) ([]byte, error) {
	o := object{b}
	o.seconds("t", ev.At)
	o.seconds("dur", ev.Dur)
	o.num("seg", int64(ev.Seg))
	if ev.Payload == nil {
		return b, fmt.Errorf("sinks: event at %v has no payload", ev.At)
	}
	o.str("kind", ev.Payload.Kind())
	o.strIf("model", ev.Model)
	o.flag("fixture", ev.Fixture)
	o.flag("short", ev.Short)
	o.wall("wall", ev.Wall)
	if ev.Lag != 0 {
		o.seconds("lag", ev.Lag)
	}
	o.key(ev.Payload.Kind())
	o.open()
	switch p := ev.Payload.(type) {
	case *infer.Sound:
		o.scores("events", p.Events)
		o.scores("objects", p.Objects)
		o.scores("scenes", p.Scenes)
		o.flag("silent", p.Silent)
		o.float("rms", p.RMS, fineDecimals)
	case *infer.Speech:
		o.float("p", p.P, decimals)
		o.num("voice", int64(p.Voice))
	case *infer.Heatmap:
		o.num("w", int64(p.W))
		o.num("h", int64(p.H))
		o.bytes("grid", p.Grid)
		o.float("peak", p.Peak, decimals)
		o.float("x", p.X, decimals)
		o.float("y", p.Y, decimals)
		o.strIf("gated", p.Gated)
		o.str("method", p.Method)
	case *infer.Caption:
		o.caption(p)
	case *infer.Face:
		o.num("w", int64(p.W))
		o.num("h", int64(p.H))
		o.num("voice", int64(p.Voice))
		o.float("used", p.Used, decimals)
		notice := p.Notice
		if notice == "" {
			notice = infer.FaceNotice // a face never goes without
		}
		o.str("notice", notice)
		o.strIf("file", p.File)
	case *infer.Cut:
		o.float("strength", p.Strength, decimals)
	case *infer.Gap:
		o.str("stream", p.Stream)
		o.str("reason", p.Reason)
	default:
		return b, fmt.Errorf("sinks: event at %v has a payload of unknown type %T", ev.At, p)
	}
	o.end()
	return o.b, nil
}

func (o *object) caption(p *infer.Caption) {
	o.str("text", p.Text)
	o.float("logp", p.LogP, decimals)
	if len(p.Words) > 0 {
		o.key("words")
		o.b = append(o.b, '[')
		for i := range p.Words {
			if i > 0 {
				o.b = append(o.b, ',')
			}
			w := &p.Words[i]
			o.open()
			o.str("text", w.Text)
			o.float("p", w.P, decimals)
			if len(w.Attention) > 0 {
				o.bytes("attention", w.Attention)
			}
			o.end()
		}
		o.b = append(o.b, ']')
	}
	o.numIf("attention_w", int64(p.AttentionW))
	o.numIf("attention_h", int64(p.AttentionH))
}

// appendSummary writes the last line.
func appendSummary(b []byte, s *sinks.Summary) []byte {
	o := object{b}
	o.open()
	o.key("summary")
	o.open()
	o.boolean("complete", s.Complete)
	o.strIf("error", s.Error)
	o.seconds("duration", s.Duration)
	o.num("segs", int64(s.Segs))
	o.num("frames", s.Frames)
	o.num("samples", s.Samples)
	o.num("moments", s.Moments)
	o.num("events", s.Events)
	o.seconds("missing_audio", s.MissingAudio)
	o.num("errors", s.Errors)
	o.num("drops", s.Drops)
	o.flag("truncated", s.Truncated)
	if s.Missing != 0 {
		o.seconds("missing", s.Missing)
	}
	o.numIf("damaged", s.Damaged)
	o.numIf("late_frames", s.LateFrames)
	o.numIf("late_samples", s.LateSamples)
	o.end()
	o.end()
	return append(o.b, '\n')
}

package hub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks/jsonl"
)

// Types of messages.
const (
	TypeHello   = "hello"
	TypeResult  = "result"
	TypeStatus  = "status"
	TypeMedia   = "media"
	TypeDropped = "dropped"
	TypeBye     = "bye"
)

// Clock is the rate of the RTP times in the messages.
const Clock = 90000

// State is what a source is doing.
type State string

// The states of a source.
const (
	Connecting State = "connecting"
	Running    State = "running"
	Waiting    State = "waiting" // for the next try to connect
	Failed     State = "failed"  // for good
)

// Status is the condition of a source, as far as it is known.
type Status struct {
	State      State
	Since      time.Time
	Cause      string // why it is not running; redacted by the hub
	Reconnects int
	Missing    []ingest.Kind // streams that it has and of which nothing comes, while it runs
	Edge       ingest.Stamp  // the newest stamp that was read
	FPS        float64       // frames decoded per second
	Lag, LagP  time.Duration // of the newest result, and the 95th percentile
	Drops      map[string]uint64
	Sync       *Sync
	Speed      map[string]time.Duration // mean inference time by model
}

// Sync is how sound lies to picture.
type Sync struct {
	Reported bool          // the sender reports how they lie
	Offset   time.Duration // as it does
	DriftPPM float64
	Error    time.Duration // of alignment
}

// Media is what the tracks of picture and sound carry.
type Media struct {
	Video      string `json:"video,omitempty"` // codec
	Audio      string `json:"audio,omitempty"`
	Transcoded bool   `json:"transcoded"`
	Note       string `json:"note,omitempty"`
}

// Span is a stretch of a source's clock.
type Span struct{ From, To time.Duration }

// MarshalJSON writes seconds.
func (s Span) MarshalJSON() ([]byte, error) {
	b := append([]byte(nil), `{"from":`...)
	b = jsonl.AppendSeconds(b, s.From)
	b = append(b, `,"to":`...)
	b = jsonl.AppendSeconds(b, s.To)
	return append(b, '}'), nil
}

// seconds is a time in a message.
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	return jsonl.AppendSeconds(nil, time.Duration(s)), nil
}

// real is a number that JSON may not know: then it is null.
type real float64

func (r real) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(r)) || math.IsInf(float64(r), 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(r), 'f', 3, 64), nil
}

func milliseconds(d time.Duration) real { return real(float64(d) / float64(time.Millisecond)) }

// marshal is for values that cannot fail.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("hub: " + err.Error())
	}
	return b
}

func (s *Status) message() []byte {
	type sync struct {
		Offset real `json:"offset_ms"`
		Drift  real `json:"drift_ppm"`
		Error  real `json:"error_ms"`
	}
	m := struct {
		Type       string            `json:"type"`
		State      State             `json:"state"`
		Since      time.Time         `json:"since"`
		Cause      string            `json:"cause,omitempty"`
		Reconnects int               `json:"reconnects"`
		Missing    []string          `json:"missing,omitempty"`
		T          seconds           `json:"t"`
		Seg        uint32            `json:"seg"`
		FPS        real              `json:"fps"`
		Lag        seconds           `json:"lag"`
		LagP       seconds           `json:"lag_p95"`
		Drops      map[string]uint64 `json:"drops"`
		Sync       *sync             `json:"sync,omitempty"`
		Speed      map[string]real   `json:"speed"`
	}{
		TypeStatus, s.State, s.Since.UTC(), s.Cause, s.Reconnects, nil, seconds(s.Edge.At), s.Edge.Seg,
		real(s.FPS), seconds(s.Lag), seconds(s.LagP), s.Drops, nil,
		map[string]real{},
	}
	for _, k := range s.Missing {
		m.Missing = append(m.Missing, k.String())
	}
	if m.Drops == nil {
		m.Drops = map[string]uint64{}
	}
	if s.Sync != nil {
		m.Sync = &sync{real(math.NaN()), real(math.NaN()), milliseconds(s.Sync.Error)}
		if s.Sync.Reported {
			m.Sync.Offset, m.Sync.Drift = milliseconds(s.Sync.Offset), real(s.Sync.DriftPPM)
		}
	}
	for model, d := range s.Speed {
		m.Speed[model] = milliseconds(d)
	}
	return marshal(m)
}

func (m *Media) message() []byte {
	return marshal(struct {
		Type string `json:"type"`
		*Media
	}{TypeMedia, m})
}

// hello is called with the source locked.
func (s *Source) helloMessage() []byte {
	m := struct {
		Type    string          `json:"type"`
		Version int             `json:"seehear"`
		Source  string          `json:"source"`
		Title   string          `json:"title"`
		Streams json.RawMessage `json:"streams"`
		Models  json.RawMessage `json:"models"`
		Base    uint32          `json:"rtp_base"`
		Clock   int             `json:"clock"`
		Delay   seconds         `json:"sync_delay"`
		T       seconds         `json:"t"`
		Seg     uint32          `json:"seg"`
		Results *Span           `json:"results,omitempty"`
	}{
		TypeHello, jsonl.Version, s.name, s.title,
		jsonl.AppendStreams(nil, s.header.Streams), jsonl.AppendModels(nil, s.header.Models),
		s.rtp(ingest.Stamp{}), Clock, seconds(s.delay), seconds(s.edge.At), s.edge.Seg, s.history.span(),
	}
	return marshal(m)
}

func droppedMessage(count, total uint64) []byte {
	return fmt.Appendf(nil, `{"type":"dropped","count":%d,"total":%d}`, count, total)
}

func byeMessage(reason string) []byte {
	return marshal(struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	}{TypeBye, reason})
}

// appendResult writes the message of one event.
func appendResult(b []byte, ev *infer.Event, rtp uint32) ([]byte, error) {
	b = append(b, `{"type":"result","rtp":`...)
	b = strconv.AppendUint(b, uint64(rtp), 10)
	b, err := jsonl.AppendMembers(b, ev)
	if err != nil {
		return b, err
	}
	if f, ok := ev.Payload.(*infer.Face); ok {
		if b, err = appendPicture(b, f); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// appendPicture adds the picture of a face, which a line of results leaves out.
func appendPicture(b []byte, f *infer.Face) ([]byte, error) {
	if f.W < 1 || f.H < 1 || len(f.Pix) != 3*f.W*f.H {
		return b, nil
	}
	im := image.NewRGBA(image.Rect(0, 0, f.W, f.H))
	for i := range f.W * f.H {
		copy(im.Pix[4*i:], f.Pix[3*i:3*i+3])
		im.Pix[4*i+3] = 0xff
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, im, &jpeg.Options{Quality: 85}); err != nil {
		return b, fmt.Errorf("hub: face at %v: %w", f.Used, err)
	}
	b = append(b, `,"jpeg":"`...)
	b = base64.StdEncoding.AppendEncode(b, file.Bytes())
	return append(b, '"'), nil
}

// ticks is floor(at * 90000) modulo 2^32, exact.
func ticks(at time.Duration) uint32 {
	u := uint64(at)
	if at < 0 {
		u = -u
	}
	hi, lo := bits.Mul64(u, Clock)
	q, rem := bits.Div64(hi, lo, uint64(time.Second)) // hi < 1e9, because u < 2^63+1
	if at < 0 {
		if rem > 0 {
			q++
		}
		return -uint32(q)
	}
	return uint32(q)
}

package hub

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"math"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/seehear/seehear/docs"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/jsonl"
	"github.com/seehear/seehear/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func cut(at time.Duration) infer.Event {
	return infer.Event{Stamp: ingest.Stamp{At: at}, Payload: &infer.Cut{Strength: 1}}
}

func write(t testing.TB, s *Source, evs ...infer.Event) {
	t.Helper()
	for _, ev := range evs {
		if err := s.Write(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
}

// drain returns what is there for v without waiting for more.
func drain(t testing.TB, v *Viewer) []Message {
	t.Helper()
	var list []Message
	for {
		m, err := v.take()
		if errors.Is(err, io.EOF) || err == nil && m.JSON == nil {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
}

func typesOf(list []Message) string {
	var b strings.Builder
	for i, m := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(m.Type)
	}
	return b.String()
}

// A result is the line of results.jsonl, byte for byte, with what only viewers
// need in front and behind.
func TestResultIsTheLine(t *testing.T) {
	s := New(Options{}).Source("door", nil)
	if err := s.Begin(t.Context(), sinktest.Header()); err != nil {
		t.Fatal(err)
	}
	v := s.Join(JoinOptions{})
	defer v.Close()
	drain(t, v)
	for _, ev := range sinktest.Events() {
		ev.Wall, ev.Lag = time.Unix(1764096000, 5), 3*time.Millisecond
		write(t, s, ev)
		got := drain(t, v)
		if len(got) != 1 {
			t.Fatalf("%d messages for a result", len(got))
		}
		line, err := jsonl.AppendEvent(nil, &ev)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"type":"result","rtp":%d,%s`, ticks(ev.At), line[1:len(line)-1])
		rest, ok := strings.CutPrefix(string(got[0].JSON), want)
		if !ok {
			t.Fatalf("got\n%s\nwant\n%s", got[0].JSON, want)
		}
		face, isFace := ev.Payload.(*infer.Face)
		if !isFace {
			if rest != "}" {
				t.Fatalf("%s goes on with %s", ev.Payload.Kind(), rest)
			}
			continue
		}
		var m struct{ JPEG []byte }
		if err = json.Unmarshal(got[0].JSON, &m); err != nil {
			t.Fatal(err)
		}
		im, err := jpeg.Decode(bytes.NewReader(m.JPEG))
		if err != nil {
			t.Fatal(err)
		}
		if sz := im.Bounds().Size(); sz.X != face.W || sz.Y != face.H {
			t.Fatalf("picture of %v for a face of %dx%d", sz, face.W, face.H)
		}
	}
}

// The worked example of the protocol is what the code makes, both ways.
func TestExampleOfTheProtocol(t *testing.T) {
	_, rest, ok := strings.Cut(docs.Protocol, "```json\n")
	object, rest, ok2 := strings.Cut(rest, "\n```")
	_, rest, ok3 := strings.Cut(rest, "```hex\n")
	digits, _, ok4 := strings.Cut(rest, "```")
	if !ok || !ok2 || !ok3 || !ok4 {
		t.Fatal("docs/protocol.md has no example")
	}
	chunk, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(docs.Protocol, fmt.Sprintf("one chunk of %d bytes", len(chunk))) {
		t.Errorf("the example has %d bytes, which the text does not say", len(chunk))
	}
	var d Decoder
	msg, number, err := d.Push(chunk)
	if err != nil || number != 5 || string(msg) != object {
		t.Fatalf("message %d: %s, %v", number, msg, err)
	}
	ev := cut(1500 * time.Millisecond)
	ev.Dur, ev.Lag = 40*time.Millisecond, 120*time.Millisecond
	made, err := appendResult(nil, &ev, 1000+ticks(ev.At))
	if err != nil {
		t.Fatal(err)
	}
	if again := AppendChunk(nil, made, 5, 0); !bytes.Equal(again, chunk) {
		t.Fatalf("made %q\nwant %q", again, chunk)
	}
	for _, typ := range []string{TypeHello, TypeResult, TypeStatus, TypeMedia, TypeDropped, TypeBye} {
		if !strings.Contains(docs.Protocol, "### `"+typ+"`") {
			t.Errorf("the protocol does not describe %s", typ)
		}
	}
}

// Every member that a message can have is described.
func TestMembersAreDescribed(t *testing.T) {
	h := New(Options{})
	s := h.Source("door", nil)
	if err := s.Begin(t.Context(), sinktest.Header()); err != nil {
		t.Fatal(err)
	}
	s.Media(Media{Video: "h264", Audio: "opus", Note: "n"})
	s.Status(Status{
		State: Waiting, Cause: "rtsp://u:p@camera is gone", Since: time.Unix(5, 0), Drops: map[string]uint64{"moments": 3},
		Sync: &Sync{Reported: true, Offset: time.Millisecond, DriftPPM: math.Inf(1)}, Speed: map[string]time.Duration{"net": 1500 * time.Microsecond},
		FPS: 25, Lag: 20 * time.Millisecond, Missing: []ingest.Kind{ingest.Audio},
	})
	write(t, s, cut(time.Second))
	v := s.Join(JoinOptions{})
	defer v.Close()
	h.Remove("door", "over")
	list := drain(t, v)
	if got := typesOf(list); got != "hello media status bye" {
		t.Fatalf("got %s", got)
	}
	for _, m := range list {
		_, section, _ := strings.Cut(docs.Protocol, "### `"+m.Type+"`")
		section, _, _ = strings.Cut(section, "\n##")
		var members map[string]any
		if err := json.Unmarshal(m.JSON, &members); err != nil {
			t.Fatalf("%s: %v", m.JSON, err)
		}
		if members["type"] != m.Type {
			t.Errorf("%s says type %v", m.Type, members["type"])
		}
		for k := range members {
			if k != "type" && !strings.Contains(section, "`"+k+"`") {
				t.Errorf("member %s of %s is not described", k, m.Type)
			}
		}
	}
	want := `{"type":"status","state":"waiting","since":"1970-01-01T00:00:05Z","cause":"rtsp://REDACTED@camera is gone","reconnects":0,"missing":["audio"],` +
		`"t":0.000000,"seg":0,"fps":25.000,"lag":0.020000,"lag_p95":0.000000,"drops":{"moments":3},` +
		`"sync":{"offset_ms":1.000,"drift_ppm":null,"error_ms":0.000},"speed":{"net":1.500}}`
	if string(list[2].JSON) != want {
		t.Errorf("status is\n%s\nwant\n%s", list[2].JSON, want)
	}
}

// A joiner gets hello, media, status and the newest of each kind, oldest first.
func TestJoinerGetsTheState(t *testing.T) {
	s := New(Options{}).Source("door", nil)
	caption := func(at time.Duration, text string) infer.Event {
		return infer.Event{Stamp: ingest.Stamp{At: at}, Model: "c", Payload: &infer.Caption{Text: text}}
	}
	heat := func(at time.Duration, model string) infer.Event {
		return infer.Event{Stamp: ingest.Stamp{At: at}, Model: model, Payload: &infer.Heatmap{Method: "sync"}}
	}
	write(t, s, caption(1, "old"), heat(2, ""), caption(3, "new"), cut(4), heat(5, "lvs"), heat(6, ""))
	s.Status(Status{State: Running})
	v := s.Join(JoinOptions{})
	defer v.Close()
	list := drain(t, v)
	if got := typesOf(list); got != "hello status result result result" {
		t.Fatalf("got %s", got)
	}
	for i, want := range []string{`"text":"new"`, `"model":"lvs"`, `"kind":"heatmap","heatmap"`} {
		if m := list[2+i]; !strings.Contains(string(m.JSON), want) || m.ID != 0 {
			t.Errorf("result %d with ID %d is %s, want %s", i, m.ID, m.JSON, want)
		}
	}
	write(t, s, cut(7))
	if next := drain(t, v); len(next) != 1 || next[0].ID == 0 || next[0].Number != 6 {
		t.Errorf("then %+v", next)
	}
}

// A status goes out once a second, and at once when the state changes; the
// newest waits for those who join.
func TestStatusRate(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := New(Options{Now: func() time.Time { return now }}).Source("door", nil)
	v := s.Join(JoinOptions{})
	defer v.Close()
	drain(t, v)
	for i := range 31 {
		s.Status(Status{State: Running, Reconnects: i})
		now = now.Add(100 * time.Millisecond)
		want := 0
		if i%10 == 0 {
			want = 1
		}
		if got := len(drain(t, v)); got != want {
			t.Fatalf("%d messages for call %d", got, i)
		}
	}
	for _, st := range []Status{{State: Waiting}, {State: Waiting, Cause: "refused"}, {State: Running}} {
		s.Status(st)
		if got := drain(t, v); len(got) != 1 || !strings.Contains(string(got[0].JSON), string(st.State)) {
			t.Fatalf("a change to %v sent %v", st, got)
		}
	}
	// A viewer that does not look gets the newest alone.
	for i := range 50 {
		now = now.Add(time.Second)
		s.Status(Status{State: Running, Reconnects: 100 + i})
	}
	if got := drain(t, v); len(got) != 1 || !strings.Contains(string(got[0].JSON), `"reconnects":149`) {
		t.Fatalf("late viewer got %v", got)
	}
}

func TestMediaOnlyWhenItChanges(t *testing.T) {
	s := New(Options{}).Source("door", nil)
	v := s.Join(JoinOptions{})
	defer v.Close()
	s.Media(Media{})
	if got := typesOf(drain(t, v)); got != "hello media" {
		t.Fatal(got)
	}
	s.Media(Media{})
	if got := drain(t, v); len(got) != 0 {
		t.Fatalf("told again: %v", got)
	}
}

// What a viewer missed comes back with the ID of the last result it saw.
func TestResume(t *testing.T) {
	now := time.UnixMicro(1_000_000)
	s := New(Options{History: 10 * time.Second, Now: func() time.Time { return now }}).Source("door", nil)
	for i := range 20 {
		write(t, s, cut(time.Duration(i)*time.Second))
	}
	// IDs 1000000 .. 1000019; the history holds 9 s .. 19 s.
	for _, tt := range []struct {
		after   uint64
		dropped int
		first   uint64
		count   int
	}{
		{1_000_019, 0, 0, 0},
		{1_000_018, 0, 1_000_019, 1},
		{1_000_010, 0, 1_000_011, 9},
		{1_000_008, 0, 1_000_009, 11},
		{1_000_000, 8, 1_000_009, 11},
		{999_999, 0, 1_000_009, 11}, // from before a restart
		{5_000_000, 0, 0, 0},        // of another clock
	} {
		v := s.Join(JoinOptions{After: tt.after})
		list := drain(t, v)[1:]
		v.Close()
		if tt.dropped > 0 {
			want := fmt.Sprintf(`{"type":"dropped","count":%d,"total":%d}`, tt.dropped, tt.dropped)
			if string(list[0].JSON) != want {
				t.Errorf("after %d: %s", tt.after, list[0].JSON)
			}
			if int(list[0].Number) != 2+tt.dropped {
				t.Errorf("after %d: number %d", tt.after, list[0].Number)
			}
			list = list[1:]
		}
		if len(list) != tt.count {
			t.Fatalf("after %d: %d results", tt.after, len(list))
		}
		for i, m := range list {
			if m.ID != tt.first+uint64(i) {
				t.Errorf("after %d: result %d has ID %d", tt.after, i, m.ID)
			}
		}
	}
}

func TestHistory(t *testing.T) {
	s := New(Options{History: time.Minute, HistoryBytes: 50_000}).Source("door", nil)
	if s.Info().Results != nil {
		t.Fatal("results before the first")
	}
	for i := range 2000 {
		write(t, s, cut(time.Duration(i)*time.Second/10))
		if s.history.bytes > 50_000 || len(s.history.list) > 2*len(s.history.live())+65 {
			t.Fatalf("%d bytes, %d of %d", s.history.bytes, len(s.history.live()), len(s.history.list))
		}
	}
	span := *s.Info().Results
	if span.To != 1999*time.Second/10 || span.From < span.To-time.Minute || span.From > span.To-40*time.Second {
		t.Fatalf("holds %v", span)
	}
	got := s.Results(190*time.Second, 191*time.Second)
	if len(got) != 10 || !bytes.Contains(got[0], []byte(`"t":190.000000`)) || !bytes.Contains(got[9], []byte(`"t":190.900000`)) {
		t.Fatalf("%d results: %s", len(got), got)
	}
}

// The times of the protocol agree with exact arithmetic.
func TestTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64().Draw(t, "at")
		n := new(big.Int).Mul(big.NewInt(at), big.NewInt(Clock))
		n.Div(n, big.NewInt(int64(time.Second))) // Euclidean: floor for a positive divisor
		want := uint32(n.Mod(n, big.NewInt(1<<32)).Uint64())
		if got := ticks(time.Duration(at)); got != want {
			t.Fatalf("%d ns is %d, want %d", at, got, want)
		}
	})
}

// Whatever viewers and sources do, each viewer's numbers have no gap but the
// ones that it is told, results come in order, and nothing is lost otherwise.
func TestInterleavings(t *testing.T) {
	type watcher struct {
		v        *Viewer
		number   uint32
		told     uint64
		results  uint64 // received as they came
		expected uint64 // written while it was there
		last     uint64
		hello    bool
	}
	rapid.Check(t, func(t *rapid.T) {
		queue := rapid.IntRange(1, 5).Draw(t, "queue")
		s := New(Options{Queue: queue, QueueBytes: rapid.SampledFrom([]int{1, 200, 1 << 20}).Draw(t, "bytes")}).Source("door", nil)
		var list []*watcher
		defer func() {
			for _, w := range list {
				w.v.Close()
			}
		}()
		read := func(w *watcher) bool {
			m, err := w.v.take()
			if err != nil {
				t.Fatal(err)
			}
			if m.JSON == nil {
				return false
			}
			var body struct {
				Type         string
				Count, Total uint64
			}
			if err := json.Unmarshal(m.JSON, &body); err != nil || body.Type != m.Type {
				t.Fatalf("%s: %v", m.JSON, err)
			}
			gap := m.Number - w.number - 1
			if gap != 0 && m.Type != TypeDropped || m.Type == TypeDropped && uint64(gap) != body.Count {
				t.Fatalf("%s %d after %d: %s", m.Type, m.Number, w.number, m.JSON)
			}
			w.number = m.Number
			if !w.hello && m.Type != TypeHello {
				t.Fatalf("%s before hello", m.Type)
			}
			switch m.Type {
			case TypeHello:
				w.hello = true
			case TypeDropped:
				if w.told += body.Count; body.Total != w.told || body.Count == 0 {
					t.Fatalf("%s after %d were lost", m.JSON, w.told-body.Count)
				}
			case TypeResult:
				if m.ID == 0 {
					break
				}
				if m.ID <= w.last {
					t.Fatalf("result %d behind %d", m.ID, w.last)
				}
				w.last = m.ID
				w.results++
			}
			return true
		}
		at := time.Duration(0)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(t, "n") {
					at += time.Millisecond
					ev := cut(at)
					if rapid.Bool().Draw(t, "caption") {
						ev.Payload = &infer.Caption{Text: strings.Repeat("x", rapid.IntRange(0, 300).Draw(t, "len"))}
					}
					if err := s.Write(context.Background(), ev); err != nil {
						t.Fatal(err)
					}
					for _, w := range list {
						w.expected++
					}
				}
			},
			"status": func(*rapid.T) { s.Status(Status{State: Running, Cause: at.String()}) },
			"hello":  func(*rapid.T) { s.SetTitle(at.String()) },
			"join": func(*rapid.T) {
				if len(list) < 6 {
					list = append(list, &watcher{v: s.Join(JoinOptions{})})
				}
			},
			"leave": func(t *rapid.T) {
				if len(list) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(list)-1).Draw(t, "i")
				list[i].v.Close()
				if _, err := list[i].v.take(); !errors.Is(err, io.EOF) {
					t.Fatalf("after Close: %v", err)
				}
				list = append(list[:i], list[i+1:]...)
			},
			"read": func(t *rapid.T) {
				if len(list) == 0 {
					t.Skip()
				}
				w := list[rapid.IntRange(0, len(list)-1).Draw(t, "i")]
				for range rapid.IntRange(1, 6).Draw(t, "n") {
					read(w)
				}
			},
			"": func(t *rapid.T) {
				for _, w := range list {
					if w.v.n > queue {
						t.Fatalf("%d queued", w.v.n)
					}
				}
			},
		})
		for _, w := range list {
			for read(w) {
			}
			if w.results+w.told != w.expected || w.v.Dropped() != w.told {
				t.Fatalf("%d results and %d told of %d, Dropped says %d", w.results, w.told, w.expected, w.v.Dropped())
			}
		}
	})
}

// 200 viewers join, read at their own speed or not at all, and leave, while the
// source writes; chunks and numbers fit, and nothing is left behind.
func TestManyViewers(t *testing.T) {
	h := New(Options{Queue: 16})
	s := h.Source("door", nil)
	if err := s.Begin(t.Context(), sinktest.Header()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writer, viewers sync.WaitGroup
	writer.Go(func() {
		big := infer.Event{Payload: &infer.Caption{Text: strings.Repeat("long ", 10_000)}} // four chunks
		for i := 0; ctx.Err() == nil; i++ {
			ev := cut(time.Duration(i) * time.Millisecond)
			if i%100 == 0 {
				ev.Payload = big.Payload
			}
			if err := s.Write(context.Background(), ev); err != nil {
				t.Error(err)
				return
			}
			s.Status(Status{State: Running, Cause: fmt.Sprint(i)})
		}
	})
	for i := range 200 {
		viewers.Go(func() {
			v := s.Join(JoinOptions{})
			defer v.Close()
			if i%10 == 0 {
				return // never reads
			}
			var d Decoder
			var told uint64
			for n := range 20 + i {
				chunk, err := v.Next(ctx)
				if err != nil {
					t.Errorf("viewer %d: %v", i, err)
					return
				}
				if len(chunk) > MaxChunk {
					t.Errorf("chunk of %d bytes", len(chunk))
				}
				msg, number, err := d.Push(chunk)
				if err != nil {
					t.Errorf("viewer %d: %v", i, err)
					return
				}
				if n == 0 && (number != 1 || !bytes.HasPrefix(msg, []byte(`{"type":"hello"`))) {
					t.Errorf("viewer %d begins with message %d: %s", i, number, msg)
				}
				var m struct{ Count uint64 }
				if bytes.HasPrefix(msg, []byte(`{"type":"dropped"`)) {
					if err := json.Unmarshal(msg, &m); err != nil {
						t.Error(err)
					}
					told += m.Count
				}
				if d.Lost() != told {
					t.Errorf("viewer %d: numbers lost %d, told %d", i, d.Lost(), told)
					return
				}
			}
		})
	}
	viewers.Wait()
	cancel()
	writer.Wait()
	if in := s.Info(); in.Viewers != 0 {
		t.Errorf("%d viewers are left", in.Viewers)
	}
}

func TestByeAndEnd(t *testing.T) {
	h := New(Options{})
	s := h.Source("door", nil)
	v := s.Join(JoinOptions{})
	defer v.Close()
	write(t, s, cut(1))
	h.Close("the server stops")
	late := s.Join(JoinOptions{})
	defer late.Close()
	write(t, s, cut(2)) // reaches nobody
	for _, c := range []struct {
		v    *Viewer
		want string
	}{{v, "hello result bye"}, {late, "hello bye"}} {
		list := drain(t, c.v)
		if got := typesOf(list); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		if got := string(list[len(list)-1].JSON); got != `{"type":"bye","reason":"the server stops"}` {
			t.Errorf("bye is %s", got)
		}
		if _, err := c.v.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("behind the bye: %v", err)
		}
	}
	added := h.Source("new", nil).Join(JoinOptions{})
	defer added.Close()
	if got := typesOf(drain(t, added)); got != "hello bye" {
		t.Errorf("a source added to a closed hub: %s", got)
	}
	h.Remove("door", "gone")
	if _, ok := h.Lookup("door"); ok || len(h.Sources()) != 1 {
		t.Error("a removed source is there")
	}
	if again := h.Source("door", nil); again == s {
		t.Error("a removed source came back")
	}
}

// A waiting viewer wakes for a message, for Close and for its context.
func TestWaitingEnds(t *testing.T) {
	s := New(Options{}).Source("door", nil)
	v := s.Join(JoinOptions{})
	drain(t, v)
	got := make(chan error)
	next := func(ctx context.Context) {
		_, err := v.Message(ctx)
		got <- err
	}
	go next(t.Context())
	write(t, s, cut(1))
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go next(ctx)
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go next(t.Context())
	v.Close()
	v.Close()
	if err := <-got; !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"door": true, "Door-2.front_x": true, "_": true, "9": true,
		"": false, ".": false, "..": false, "-x": false, "a/b": false, `a\b`: false, "ü": false, "a b": false, "a\x00": false,
		strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	s := New(Options{}).Source("door", nil)
	for _, ev := range []infer.Event{
		{},
		{Payload: &infer.Caption{Text: strings.Repeat("x", MaxMessage)}},
	} {
		if err := s.Write(t.Context(), ev); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%T: %v", ev.Payload, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Write(ctx, cut(1)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := s.Begin(ctx, sinks.Header{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkWrite200Viewers(b *testing.B) {
	s := New(Options{}).Source("door", nil)
	for range 200 {
		defer s.Join(JoinOptions{}).Close()
	}
	ev := infer.Event{Model: "localize", Payload: &infer.Heatmap{W: 20, H: 20, Grid: make([]byte, 400), Method: "semantic"}}
	b.ReportAllocs()
	for b.Loop() {
		ev.At += 40 * time.Millisecond
		if err := s.Write(context.Background(), ev); err != nil {
			b.Fatal(err)
		}
	}
}

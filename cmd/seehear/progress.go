package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress draws a bar per running input on a terminal, and nothing anywhere
// else: logs and pipes stay clean.
type progress struct{ p *mpb.Progress }

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{mpb.New(mpb.WithOutput(f), mpb.WithWidth(32), mpb.WithRefreshRate(200*time.Millisecond))}
}

// line prints a line without tearing the bars.
func (p *progress) line(w io.Writer, s string) {
	if p.p != nil {
		w = p.p
	}
	fmt.Fprintln(w, s)
}

func (p *progress) wait() {
	if p.p != nil {
		p.p.Wait()
	}
}

// bar follows one input: the speed in media seconds per second, and the time that
// is left where the length is known. A nil *bar does nothing.
type bar struct {
	b     *mpb.Bar
	began time.Time
	mu    sync.Mutex
	at    time.Duration
	stage string
}

func (p *progress) bar(name string) *bar {
	if p.p == nil {
		return nil
	}
	b := &bar{began: time.Now(), stage: "reading"}
	b.b = p.p.New(0, mpb.BarStyle().Rbound("|").Lbound("|"),
		mpb.PrependDecorators(decor.Name(name, decor.WC{W: 24, C: decor.DindentRight})),
		mpb.AppendDecorators(
			decor.Any(func(decor.Statistics) string { return b.speed() }),
			decor.Any(func(s decor.Statistics) string { return b.left(s) }),
		),
		mpb.BarRemoveOnComplete())
	return b
}

func (b *bar) speed() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf(" %s %.1fx", b.stage, b.at.Seconds()/max(0.001, time.Since(b.began).Seconds()))
}

func (b *bar) left(s decor.Statistics) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.Total <= 0 || b.at <= 0 {
		return fmt.Sprintf(" at %s", b.at.Truncate(time.Second))
	}
	left := time.Duration(float64(time.Since(b.began)) * float64(s.Total-int64(b.at)) / float64(b.at))
	return fmt.Sprintf(" %s left", max(0, left).Truncate(time.Second))
}

// next begins a stage over media of the given length, 0 if unknown.
func (b *bar) next(stage string, length time.Duration) {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.stage, b.began, b.at = stage, time.Now(), 0
	b.mu.Unlock()
	b.b.SetTotal(int64(length), false)
	b.b.SetCurrent(0)
}

// reached says how far in the media the stage is.
func (b *bar) reached(at time.Duration) {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.at = at
	b.mu.Unlock()
	b.b.SetCurrent(int64(at))
}

func (b *bar) done() {
	if b != nil {
		b.b.Abort(true)
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// softStop is closed when the person asks to stop: what is decoded is finished
// and every file is ended properly.
type softStop <-chan struct{}

func (s softStop) asked() bool {
	select {
	case <-s:
		return true
	default:
		return false
	}
}

// listen turns the first interrupt into a soft stop, says so on w, and turns the
// second into an exit at once. Its goroutine lives as long as the process.
func listen(w io.Writer) <-chan struct{} {
	stop := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		close(stop)
		fmt.Fprintln(w, "seehear: stopping: what was read is being finished; interrupt again to quit at once")
		<-signals
		os.Exit(exitInterrupted)
	}()
	return stop
}

func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if level == "off" || l.UnmarshalText([]byte(level)) != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

// within returns a context that a soft stop ends as well; end frees it and waits
// for its goroutine.
func (s softStop) within(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-s:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-ended }
}

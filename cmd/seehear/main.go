// Command seehear annotates video with what its picture and its sound show.
//
// It only wires: flags to options, adapters to the pipeline of package seehear,
// signals to a soft and a hard stop, and outcomes to exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	_ "github.com/seehear/seehear/decode/ffmpeg/onearena" // memory stays flat over hours
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
)

// The exit codes, as the README lists them.
const (
	exitOK          = 0
	exitUsage       = 1
	exitSome        = 2 // some inputs failed
	exitAll         = 3 // all inputs failed
	exitInterrupted = 130
)

// version is set at link time by a release build.
var version = "dev"

// cli is the command line.
type cli struct {
	Annotate annotateCmd `cmd:"" help:"Annotate files, folders, globs, URLs or - (standard input)."`
	Serve    serveCmd    `cmd:"" help:"Watch live sources, and show them with what is seen and heard to browsers."`
	Probe    probeCmd    `cmd:"" help:"Print what the networks would see, a line per moment, without any model."`
	Doctor   doctorCmd   `cmd:"" help:"Check FFmpeg, ONNX Runtime and the model pack, and say how to mend what is wrong."`
	Models   modelsCmd   `cmd:"" help:"List, describe, verify and download model packs."`

	ONNXRuntime string           `name:"onnxruntime" placeholder:"PATH" help:"ONNX Runtime's shared library (also SEEHEAR_ONNXRUNTIME)."`
	LogLevel    string           `name:"log-level" enum:"off,error,warn,info,debug" default:"off" help:"Log on standard error, FFmpeg's messages included: ${enum}."`
	Version     kong.VersionFlag `help:"Print the version."`
}

// streams are the process's own, replaced in tests.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exitError carries an exit code; its cause has been printed unless err is set.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() {
	boundGarbage()
	stop := listen(os.Stderr)
	os.Exit(run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, stop))
}

// run parses args and runs the command; stop is closed to ask for a soft stop.
func run(ctx context.Context, args []string, s streams, stop <-chan struct{}) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("seehear"),
		kong.Description("Watches and listens: time-aligned audio-visual annotation of files and streams."),
		kong.Vars{"version": version},
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { exited = code }),
		kong.Bind(s),
	)
	if err != nil {
		fmt.Fprintln(s.err, "seehear:", oneLine(ingest.Redact(err.Error())))
		return exitUsage
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help, --version
		return exited
	}
	if err != nil {
		fmt.Fprintln(s.err, "seehear:", oneLine(ingest.Redact(err.Error())))
		return exitUsage
	}
	logger := newLogger(s.err, c.LogLevel)
	av.BridgeLog(logger)
	k.BindTo(ctx, (*context.Context)(nil))
	err = k.Run(&c, s, softStop(stop))
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintln(s.err, "seehear:", oneLine(e.err.Error()))
		}
		return e.code
	default:
		fmt.Fprintln(s.err, "seehear:", oneLine(ingest.Redact(err.Error())))
		return exitAll
	}
}

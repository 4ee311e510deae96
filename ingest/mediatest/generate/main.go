// Command generate writes the ground-truth clips of mediatest into a folder:
//
//	go run ./ingest/mediatest/generate -o DIR
//
// With -kept it makes those that only a full ffmpeg can encode, as they lie in
// ingest/mediatest/testdata/clips:
//
//	go run ./ingest/mediatest/generate -kept -ffmpeg /usr/bin/ffmpeg -o ingest/mediatest/testdata/clips
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/seehear/seehear/ingest/mediatest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	dir := flags.String("o", "", "folder to write to")
	kept := flags.Bool("kept", false, "make the clips that are kept in git")
	ffmpeg := flags.String("ffmpeg", "", "the ffmpeg to use (default: FFMPEG, else on the PATH)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return fmt.Errorf("generate: -o DIR is missing")
	}
	if *ffmpeg == "" {
		var err error
		if *ffmpeg, err = mediatest.FFmpeg(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	return mediatest.Generate(ctx, *ffmpeg, *dir, *kept)
}

package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/models"
)

// doctorCmd says what the program runs with and what is wrong with it.
type doctorCmd struct {
	Models string `default:"default" placeholder:"DIR" help:"The model pack to check, or none."`
}

// What people meet, and what our own outputs need.
var (
	wantDecoders = []string{"h264", "hevc", "libdav1d", "vp8", "vp9", "mpeg2video", "mpeg4", "mjpeg", "aac", "mp3", "opus", "vorbis", "flac", "ac3", "pcm_s16le"}
	wantEncoders = []string{"libx264", "aac"}
)

// Run is called by kong. Every problem is an error with its remedy; nothing is
// skipped quietly.
func (c *doctorCmd) Run(g *cli, s streams) error {
	var problems []string
	row := func(name, format string, a ...any) { fmt.Fprintf(s.out, "%-16s %s\n", name, fmt.Sprintf(format, a...)) }
	wrong := func(name string, err error) {
		problems = append(problems, name)
		row(name, "PROBLEM: %v", err)
	}

	row("seehear", "%s, %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)

	f := ffmpeg.Loaded()
	row("FFmpeg", "%s (libavcodec %s, libavformat %s), %s", f.Version, f.Codec, f.Format, f.License)
	row("", "%s", f.Path)
	row("go-astiav", "%s", moduleVersion("github.com/asticode/go-astiav"))
	if err := f.Matches(); err != nil {
		wrong("FFmpeg", err)
	}
	codecs := func(name string, want []string, has func(string) bool) {
		var missing []string
		for _, n := range want {
			if !has(n) {
				missing = append(missing, n)
			}
		}
		if missing != nil {
			wrong(name, fmt.Errorf("this FFmpeg lacks %s; build with the FFmpeg of `make deps`", strings.Join(missing, ", ")))
			return
		}
		row(name, "%s", strings.Join(want, " "))
	}
	codecs("decoders", wantDecoders, ffmpeg.HasDecoder)
	codecs("encoders", wantEncoders, ffmpeg.HasEncoder)

	row("onnxruntime_go", "%s, made for ONNX Runtime %s", moduleVersion("github.com/yalue/onnxruntime_go"), ort.Version)
	for _, p := range ort.Search(g.ONNXRuntime) {
		state := "not there"
		switch {
		case p.Err != nil:
			state = p.Err.Error()
		case p.Found:
			state = "found"
		}
		row("", "%s: %s: %s", p.From, p.Path, state)
	}
	rt, err := ort.Open(ort.Options{Library: g.ONNXRuntime})
	if err != nil {
		wrong("ONNX Runtime", err)
	} else {
		row("ONNX Runtime", "%s from %s", rt.Version(), rt.Library())
		row("providers", "%s", strings.Join(rt.Providers(), " "))
		if err := rt.Close(); err != nil {
			wrong("ONNX Runtime", err)
		}
	}
	if c.Models != "none" {
		if err := c.pack(row); err != nil {
			wrong("models", err)
		}
	}
	if problems != nil {
		return &exitError{exitSome, fmt.Errorf("doctor: %d problem(s): %s", len(problems), strings.Join(problems, ", "))}
	}
	return nil
}

// pack checks the model pack against its checksums.
func (c *doctorCmd) pack(row func(string, string, ...any)) error {
	dir, err := findPack(c.Models)
	if err != nil {
		return err
	}
	p, err := models.Load(dir)
	if err != nil {
		return err
	}
	kind := ""
	if p.Fixture {
		kind = ", TEST FIXTURES: results mean nothing"
	}
	row("models", "%s %s in %s, %s%s", p.Name, p.Version, p.Dir, p.License, kind)
	for _, m := range p.Models {
		row("", "%s: %s %s", m.Family, m.Name, m.Version)
	}
	if err := p.Verify(); err != nil {
		return err
	}
	row("", "all checksums agree")
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// moduleVersion returns the version of a module that the binary was built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, d := range info.Deps {
		if d.Path == path {
			return d.Version
		}
	}
	return "unknown"
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seehear/seehear/ingest"
)

// annotateCmd annotates inputs into one folder each.
type annotateCmd struct {
	Inputs  []string `arg:"" name:"input" help:"Files, folders, globs, URLs, or - for standard input."`
	Out     string   `short:"o" name:"out" default:"out" placeholder:"DIR" help:"Where to write: one folder per input (${default})."`
	Outputs []string `default:"jsonl,vtt,png,mp4,report" enum:"jsonl,vtt,png,mp4,report" help:"What to write: any of ${enum}."`
	Jobs    int      `short:"j" default:"1" placeholder:"N" help:"Inputs at a time."`
	Force   bool     `help:"Redo inputs that are already done."`
	JSON    bool     `name:"json" help:"Print one summary object on standard output."`
	familyFlags
	HeatmapFrames string `name:"heatmap-frames" default:"cuts" enum:"cuts,all,none" help:"Which heat maps become PNG files over their frame: ${enum} (cuts: at cuts and captions)."`
	sourceFlags
}

// outcome is what became of one input.
type outcome struct {
	Source  string  `json:"source"`
	Folder  string  `json:"folder,omitempty"`
	Outcome string  `json:"outcome"` // done, skipped, interrupted, failed
	Error   string  `json:"error,omitempty"`
	Media   float64 `json:"media_seconds,omitempty"`
	Wall    float64 `json:"wall_seconds,omitempty"`
	Speed   float64 `json:"speed,omitempty"` // media seconds per wall second
	Events  int64   `json:"events,omitempty"`
	Lacks   string  `json:"lacks,omitempty"` // what the input turned out to lack
	report  string
}

// Run is called by kong.
func (c *annotateCmd) Run(ctx context.Context, g *cli, s streams, stop softStop) (err error) {
	if c.Jobs < 1 {
		return &exitError{exitUsage, errors.New("annotate: -j takes 1 or more")}
	}
	inputs := expand(c.Inputs)
	names := folderNames(inputs)
	if n := slices.IndexFunc(inputs, func(in input) bool { return in.name == "-" }); n >= 0 && c.Jobs > 1 {
		c.Jobs = 1 // one standard input
	}
	net, err := c.load(g.ONNXRuntime, false)
	if err != nil {
		code := exitAll
		if e := (*exitError)(nil); errors.As(err, &e) {
			code = e.code
		}
		return &exitError{code, fmt.Errorf("annotate: %w", err)}
	}
	defer func() { err = errors.Join(err, net.close()) }()
	if net.pack != nil && net.pack.Fixture {
		fmt.Fprintf(s.err, "seehear: the models of %s are test fixtures; their results mean nothing\n", net.pack.Name)
	}

	bars := newProgress(s.err)
	began := time.Now()
	results := make([]outcome, len(inputs))
	slots := make(chan struct{}, c.Jobs)
	var wg sync.WaitGroup
	for i, in := range inputs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			j := job{cmd: c, net: net, in: in, dir: filepath.Join(c.Out, names[i]), stdin: s.in, stop: stop}
			results[i] = j.run(ctx, bars)
			if r := results[i]; r.Outcome == "failed" {
				bars.line(s.err, "seehear: "+oneLine(r.Error))
			}
		})
	}
	wg.Wait()
	bars.wait()
	return c.finish(s, results, time.Since(began))
}

// finish reports all outcomes and picks the exit code.
func (c *annotateCmd) finish(s streams, results []outcome, wall time.Duration) error {
	count := map[string]int{}
	for _, r := range results {
		count[r.Outcome]++
		if !c.JSON && r.Outcome != "failed" {
			switch {
			case r.Outcome == "interrupted" && r.Media == 0:
				fmt.Fprintln(s.out, oneLine(r.Source+": interrupted before anything was done"))
			case r.Outcome == "interrupted":
				fmt.Fprintln(s.out, oneLine(r.Source+": interrupted; what was done is in "+r.Folder))
			case r.report != "":
				fmt.Fprintln(s.out, oneLine(r.Source+": "+r.Outcome+"; open "+r.report))
			default:
				fmt.Fprintln(s.out, oneLine(r.Source+": "+r.Outcome+"; see "+r.Folder))
			}
			if r.Lacks != "" {
				fmt.Fprintln(s.out, oneLine(r.Source+": "+r.Lacks))
			}
		}
	}
	if c.JSON {
		b, err := json.Marshal(map[string]any{
			"inputs": results, "done": count["done"], "skipped": count["skipped"],
			"failed": count["failed"], "interrupted": count["interrupted"], "wall_seconds": wall.Seconds(),
		})
		if err != nil {
			return fmt.Errorf("annotate: %w", err)
		}
		fmt.Fprintln(s.out, string(b))
	}
	switch {
	case count["interrupted"] > 0:
		return &exitError{code: exitInterrupted}
	case count["failed"] == len(results):
		return &exitError{code: exitAll}
	case count["failed"] > 0:
		return &exitError{code: exitSome}
	}
	return nil
}

// fingerprint identifies a run: if it is that of the finished one in the folder,
// there is nothing to do.
type fingerprint struct {
	Version string   `json:"version"`
	Source  string   `json:"source"`
	Size    int64    `json:"size"`
	Changed int64    `json:"changed"` // modification time in ns since the epoch
	Models  []string `json:"models"`
	Options string   `json:"options"`
}

const doneName = "done.json"

func (c *annotateCmd) fingerprint(in input, net *network) fingerprint {
	f := fingerprint{Version: version, Source: ingest.Redact(in.name)}
	if info, err := os.Stat(in.name); err == nil {
		f.Size, f.Changed = info.Size(), info.ModTime().UnixNano()
	}
	for _, m := range net.infos {
		f.Models = append(f.Models, m.SHA256)
	}
	slices.Sort(f.Models)
	if net.pack != nil {
		// The manifest has the checksums of the labels, and every setting.
		if b, err := os.ReadFile(filepath.Join(net.pack.Dir, "pack.yaml")); err == nil {
			sum := sha256.Sum256(b)
			f.Models = append(f.Models, hex.EncodeToString(sum[:]))
		}
	}
	f.Options = fmt.Sprintf("%s %+v %s %+v", strings.Join(c.Outputs, ","), c.familyFlags, c.HeatmapFrames, c.sourceFlags)
	return f
}

// made is the file by which each kind of output is known to be there.
var made = map[string]string{"jsonl": "results.jsonl", "vtt": "captions.vtt", "mp4": "annotated.mp4", "report": "report.html"}

// done reports whether the folder holds the finished results of this very run.
// A stream that cannot be looked at again is never done.
func (f fingerprint) done(dir string, outputs []string) bool {
	if f.Source == "-" || isURL(f.Source) {
		return false
	}
	for _, o := range outputs {
		if name, ok := made[o]; ok {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				return false
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, doneName))
	if err != nil {
		return false
	}
	var was fingerprint
	return json.Unmarshal(b, &was) == nil && fmt.Sprint(was) == fmt.Sprint(f)
}

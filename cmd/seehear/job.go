package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seehear/seehear"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/jsonl"
	"github.com/seehear/seehear/sinks/overlay"
	"github.com/seehear/seehear/sinks/report"
	"github.com/seehear/seehear/sinks/webvtt"
)

// job is the annotation of one input.
type job struct {
	cmd   *annotateCmd
	net   *network
	in    input
	dir   string
	stdin io.Reader
	stop  softStop
}

func (j *job) run(ctx context.Context, bars *progress) outcome {
	shown := ingest.Redact(j.in.name)
	o := outcome{Source: shown, Folder: j.dir}
	fail := func(err error) outcome {
		o.Outcome, o.Error = "failed", err.Error()
		return o
	}
	if j.in.err != nil {
		return fail(j.in.err)
	}
	if j.stop.asked() {
		o.Outcome = "interrupted"
		return o
	}
	if slices.Contains(j.cmd.Outputs, "report") {
		o.report = filepath.Join(j.dir, "report.html")
	}
	mark := j.cmd.fingerprint(j.in, j.net)
	if !j.cmd.Force && mark.done(j.dir, j.cmd.Outputs) {
		o.Outcome = "skipped"
		return o
	}
	b := bars.bar(oneLine(shown))
	defer b.done()
	began := time.Now()
	sum, err := j.annotate(ctx, shown, b)
	o.Wall = time.Since(began).Seconds()
	o.Media, o.Events, o.Lacks = sum.Duration.Seconds(), sum.Events, lacks(sum)
	o.Speed = o.Media / max(o.Wall, 1e-3)
	switch {
	case errors.Is(err, seehear.ErrStopped):
		o.Outcome = "interrupted"
		return o
	case err != nil:
		return fail(named(err, shown))
	case !sum.Complete:
		o.Outcome = "interrupted"
		return o
	}
	if err := writeDone(j.dir, mark); err != nil {
		return fail(err)
	}
	o.Outcome = "done"
	return o
}

// named puts the input's name in front of an error that does not have it yet.
func named(err error, shown string) error {
	if text := err.Error(); strings.Contains(text, shown) || strings.Contains(text, oneLine(shown)) {
		return err
	}
	return fmt.Errorf("%s: %w", shown, err)
}

// annotate runs the pipeline over the input into the job's folder.
func (j *job) annotate(ctx context.Context, shown string, b *bar) (sinks.Summary, error) {
	if err := j.clear(); err != nil {
		return sinks.Summary{}, err
	}
	wants := func(o string) bool { return slices.Contains(j.cmd.Outputs, o) }
	draws := wants("mp4") || wants("png") || wants("report")

	name, stdin, again := j.in.name, j.stdin, io.Reader(nil)
	if file, ok := fileOf(stdin); ok && name == "-" {
		stdin, again = file(), file()
	} else if name == "-" && draws {
		// The second pass needs the input again: what is read is kept aside.
		spool, err := os.CreateTemp(j.dir, "stdin-*.spool")
		if err != nil {
			return sinks.Summary{}, fmt.Errorf("annotate: %w", err)
		}
		defer os.Remove(spool.Name())
		defer spool.Close()
		stdin, name = io.TeeReader(j.stdin, spool), spool.Name()
	}
	open := j.cmd.opener(j.in.name, stdin, func(opened *av.Source, src ingest.Source) ingest.Source {
		b.next("analysing", opened.Duration())
		return src
	})

	// The results are closed last: their summary is about everything that was
	// asked for, the second pass included.
	var out []sinks.Sink
	if wants("vtt") {
		out = append(out, webvtt.New(j.dir, webvtt.Options{}))
	}
	if draws {
		by := &interruption{stop: j.stop}
		draw := overlay.New(j.drawing(wants, j.cmd.opener(name, again, by.watch), func(done, total time.Duration) {
			if done == 0 {
				b.next("drawing", total)
			}
			b.reached(done)
		}))
		defer draw.Release()
		out = append(out, &drawn{draw, by})
		if wants("report") {
			out = append(out, report.New(report.Config{
				Path:  filepath.Join(j.dir, "report.html"),
				Media: func() report.Media { return j.media(draw) },
			}))
		}
	}
	if wants("jsonl") {
		results := jsonl.New(j.dir)
		if wants("png") {
			results = results.WithFaces()
		}
		out = append(out, results)
	}
	sum, err := seehear.Run(ctx, seehear.Pipeline{
		Source:   shown,
		Open:     open.unless(j.stop),
		Families: j.net.families,
		Sinks:    out,
		Cuts:     true,
		Gaps:     true,
		Soft:     j.stop,
		Progress: b.reached,
	})
	if errors.Is(err, decode.ErrNothingDecoded) || errors.Is(err, ingest.ErrNoMedia) || (err != nil && sum.Frames == 0 && sum.Samples == 0) {
		// Nothing was found out: leave no folder that looks as if.
		_ = j.clear()
		_ = os.Remove(j.dir) // only if empty
	}
	return sum, err
}

// The report embeds a video of its own size, small enough for a page.
const smallVideo = 480

// drawing says what the second pass makes.
func (j *job) drawing(wants func(string) bool, open opening, reached func(done, total time.Duration)) overlay.Config {
	c := overlay.Config{Dir: j.dir, Open: open, Progress: reached}
	if wants("mp4") {
		c.Videos = append(c.Videos, overlay.Video{Name: overlay.VideoName, MaxHeight: 1080})
	}
	if wants("report") {
		c.Videos = append(c.Videos, overlay.Video{Name: overlay.SmallVideoName, MaxHeight: smallVideo})
		c.ThumbWidth = 320
	}
	if wants("png") {
		c.Faces = true
		switch j.cmd.HeatmapFrames {
		case "cuts":
			c.Heatmaps = overlay.AtCuts
		case "all":
			c.Heatmaps = overlay.Every
		}
	}
	return c
}

// media is what the report shows of the second pass: the small video inside the
// page if it is small enough, else the video that lies beside it.
func (j *job) media(draw *overlay.Sink) report.Media {
	r := draw.Result()
	thumbs := map[ingest.Stamp]overlay.Thumb{}
	for _, t := range r.Thumbs {
		thumbs[t.Stamp] = t
	}
	m := report.Media{Thumb: func(at ingest.Stamp) ([]byte, error) {
		t, ok := thumbs[at]
		if !ok {
			return nil, nil
		}
		return draw.Thumb(t)
	}}
	for _, v := range r.Videos {
		if v.Asked == overlay.SmallVideoName {
			m.Embed = filepath.Join(j.dir, v.Name)
		}
		if m.Beside == "" {
			m.Beside = v.Name
		}
	}
	return m
}

// clear makes the folder and removes what an earlier run left in it, so that
// nothing old is taken for a result of this run.
func (j *job) clear() error {
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		return fmt.Errorf("annotate: %w", err)
	}
	root, err := os.OpenRoot(j.dir)
	if err != nil {
		return fmt.Errorf("annotate: %w", err)
	}
	defer root.Close()
	// The folder's own name may hold what is special in a pattern, so the
	// patterns are matched inside it. What marks the folder as done goes first.
	for _, pattern := range []string{
		doneName + "*", "results.jsonl*", "captions.vtt*", "sounds.vtt*", "annotated*.mp4*", "report.html*",
		"heatmaps/*.png*", "faces/*.png*", "stdin-*.spool",
	} {
		files, err := fs.Glob(root.FS(), pattern)
		if err != nil {
			return fmt.Errorf("annotate: %s: %w", j.dir, err)
		}
		for _, f := range files {
			if err := root.Remove(f); err != nil {
				return fmt.Errorf("annotate: %s: %w", j.dir, err)
			}
		}
	}
	for _, sub := range []string{"heatmaps", "faces"} {
		_ = root.Remove(sub) // only if empty
	}
	return nil
}

func writeDone(dir string, f fingerprint) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("annotate: %w", err)
	}
	p, err := sinks.Create(filepath.Join(dir, doneName))
	if err != nil {
		return fmt.Errorf("annotate: %w", err)
	}
	_, err = p.Write(append(b, '\n'))
	if err = p.End(err); err != nil {
		return fmt.Errorf("annotate: %w", err)
	}
	return nil
}

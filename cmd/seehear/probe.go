package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seehear/seehear"
	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/sinks"
)

// probeCmd prints the moments of an input as the networks would see them. It is
// a family and a sink like any other, so it takes the very path of annotate.
type probeCmd struct {
	Input  string        `arg:"" help:"A file, URL or - (standard input)."`
	JSON   bool          `name:"json" help:"JSON, one object a line, instead of a table."`
	Every  time.Duration `placeholder:"DUR" help:"A moment every so often instead of at every video frame."`
	Rate   int           `default:"22050" help:"Sample rate of the window in Hz."`
	Window time.Duration `default:"1s" help:"Length of the window of sound."`
	Size   int           `default:"224" help:"Side of the square picture in pixels."`
	sourceFlags
}

// Run is called by kong.
func (c *probeCmd) Run(ctx context.Context, s streams, stop softStop) error {
	if c.Rate < 1 || c.Rate > 768000 || c.Window < 0 || c.Window > 10*time.Minute || c.Every < 0 || c.Size < 1 || c.Size > 8192 {
		return &exitError{exitUsage, fmt.Errorf("probe: --rate takes 1..768000, --window 0..10m, --size 1..8192, --every a positive duration")}
	}
	stdin := s.in
	if file, ok := fileOf(stdin); ok {
		stdin = file()
	}
	w := bufio.NewWriterSize(s.out, 1<<16)
	sink := &probeSink{w: w, json: c.JSON}
	summary, err := seehear.Run(ctx, seehear.Pipeline{
		Source:   ingest.Redact(c.Input),
		Open:     c.opener(c.Input, stdin).unless(stop),
		Families: []infer.Family{newProbeFamily(c)},
		Sinks:    []sinks.Sink{sink},
		Soft:     stop,
	})
	if ferr := w.Flush(); err == nil && ferr != nil {
		err = fmt.Errorf("probe: %w", ferr)
	}
	switch {
	case errors.Is(err, seehear.ErrStopped):
		return &exitError{code: exitInterrupted}
	case err != nil:
		return &exitError{exitAll, named(err, ingest.Redact(c.Input))}
	case stop.asked() && !summary.Complete:
		return &exitError{code: exitInterrupted}
	}
	return nil
}

// probed is what probe prints of one moment.
type probed struct {
	hasFrame, hasWave bool
	pts               time.Duration
	luma              float64
	start             time.Duration
	samples, rate     int
	rms               float64
	peakAt            time.Duration
	missing, skew     time.Duration
}

func (*probed) Kind() string { return "probe" }

type probeFamily struct{ need infer.Need }

func newProbeFamily(c *probeCmd) *probeFamily {
	need := infer.Need{
		Cadence: align.EveryFrame,
		// Without video there is no frame to go by.
		Period: 500 * time.Millisecond,
		Image:  decode.Size{W: c.Size, H: c.Size, Fit: decode.Squash, Filter: decode.Bilinear},
		Sound:  decode.Sound{Rate: c.Rate, Channels: 1},
		Window: int(ingest.Samples(c.Window, c.Rate)),
		// A silent film and a record are printed too.
		Partial: true,
	}
	if c.Every > 0 {
		need.Cadence, need.Period = align.EveryPeriod, c.Every
	}
	return &probeFamily{need}
}

func (f *probeFamily) Models() []infer.Info { return nil }
func (f *probeFamily) Need() infer.Need     { return f.need }
func (f *probeFamily) Open() infer.State    { return nil }

func (f *probeFamily) Infer(_ context.Context, m *align.Moment) (infer.Output, error) {
	p := &probed{missing: m.Wave.Missing, skew: m.Skew}
	if m.Frame != nil {
		p.hasFrame, p.pts, p.luma = true, m.Frame.At, luma(m.Image.Pix)
	}
	if m.Wave.PCM != nil {
		p.hasWave, p.start = true, m.Wave.At
		p.samples, p.rate = len(m.Wave.PCM.Data), m.Wave.PCM.Format.SampleRate
		var peak int
		p.rms, peak = level(m.Wave.PCM.Data)
		p.peakAt = p.start + ingest.SampleTime(int64(peak), p.rate)
	}
	return p, nil
}

func (f *probeFamily) Resolve(_ context.Context, _ infer.State, m *align.Moment, out infer.Output) ([]infer.Event, error) {
	return []infer.Event{{Stamp: m.Stamp, Dur: m.Dur, Payload: out.(*probed)}}, nil
}

func (f *probeFamily) Finish(context.Context, infer.State) ([]infer.Event, error) { return nil, nil }

// luma is the mean BT.601 luma of an RGB24 picture, 0..255.
func luma(pix []byte) float64 {
	var r, g, b uint64
	for i := 0; i+2 < len(pix); i += 3 {
		r += uint64(pix[i])
		g += uint64(pix[i+1])
		b += uint64(pix[i+2])
	}
	return (0.299*float64(r) + 0.587*float64(g) + 0.114*float64(b)) / float64(max(1, len(pix)/3))
}

// level returns the root mean square and the index of the loudest sample, the
// first one if several are equally loud.
func level(pcm []float32) (rms float64, peak int) {
	var most float32
	sum := 0.0
	for i, v := range pcm {
		sum += float64(v) * float64(v)
		if v < 0 {
			v = -v
		}
		if v > most {
			most, peak = v, i
		}
	}
	return math.Sqrt(sum / float64(max(1, len(pcm)))), peak
}

// probeSink prints the moments.
type probeSink struct {
	w    *bufio.Writer
	json bool
	line []byte
}

func (s *probeSink) Begin(context.Context, sinks.Header) error {
	if !s.json {
		fmt.Fprintf(s.w, "%12s %4s %12s %6s %12s %8s %6s %8s %12s %10s %10s\n",
			"t", "seg", "frame_pts", "luma", "start", "samples", "rate", "rms", "peak_at", "missing", "skew")
	}
	return nil
}

func (s *probeSink) Write(_ context.Context, e infer.Event) error {
	p := e.Payload.(*probed)
	null := "-"
	if s.json {
		null = "null"
	}
	pts, lum, skew := null, null, null
	if p.hasFrame {
		pts, lum = seconds(p.pts), strconv.FormatFloat(p.luma, 'f', 2, 64)
		if p.hasWave {
			skew = strconv.FormatFloat(p.skew.Seconds(), 'f', 9, 64)
		}
	}
	if !s.json {
		start, samples, rate, rms, peak, missing := null, null, null, null, null, null
		if p.hasWave {
			start, samples, rate = seconds(p.start), strconv.Itoa(p.samples), strconv.Itoa(p.rate)
			rms, peak, missing = strconv.FormatFloat(p.rms, 'f', 5, 64), seconds(p.peakAt), seconds(p.missing)
		}
		_, err := fmt.Fprintf(s.w, "%12s %4d %12s %6s %12s %8s %6s %8s %12s %10s %10s\n",
			seconds(e.At), e.Seg, pts, lum, start, samples, rate, rms, peak, missing, skew)
		return err
	}
	b := append(s.line[:0], `{"t":`...)
	b = append(b, seconds(e.At)...)
	b = append(b, `,"seg":`...)
	b = strconv.AppendUint(b, uint64(e.Seg), 10)
	b = append(b, `,"frame_pts":`...)
	b = append(b, pts...)
	b = append(b, `,"luma":`...)
	b = append(b, lum...)
	b = append(b, `,"window":`...)
	if p.hasWave {
		b = append(b, `{"start":`...)
		b = append(b, seconds(p.start)...)
		b = append(b, `,"samples":`...)
		b = strconv.AppendInt(b, int64(p.samples), 10)
		b = append(b, `,"rate":`...)
		b = strconv.AppendInt(b, int64(p.rate), 10)
		b = append(b, `,"rms":`...)
		b = strconv.AppendFloat(b, p.rms, 'f', 6, 64)
		b = append(b, `,"peak_at":`...)
		b = append(b, seconds(p.peakAt)...)
		b = append(b, `,"missing":`...)
		b = append(b, seconds(p.missing)...)
		b = append(b, '}')
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"skew":`...)
	b = append(b, skew...)
	b = append(b, '}', '\n')
	s.line = b
	_, err := s.w.Write(b)
	return err
}

func (s *probeSink) Close(_ context.Context, sum sinks.Summary) error {
	if s.json {
		_, err := fmt.Fprintf(s.w, `{"summary":{"complete":%t,"duration":%s,"segs":%d,"frames":%d,"samples":%d,"moments":%d,"missing_audio":%s,"errors":%d,"truncated":%t,"missing":%s,"damaged":%d,"late_frames":%d,"late_samples":%d}}`+"\n",
			sum.Complete, seconds(sum.Duration), sum.Segs, sum.Frames, sum.Samples, sum.Moments, seconds(sum.MissingAudio), sum.Errors,
			sum.Truncated, seconds(sum.Missing), sum.Damaged, sum.LateFrames, sum.LateSamples)
		return err
	}
	_, err := fmt.Fprintf(s.w, "%d frames, %d samples, %d moments in %s s; %s s of sound missing, %d packets did not decode\n",
		sum.Frames, sum.Samples, sum.Moments, seconds(sum.Duration), seconds(sum.MissingAudio), sum.Errors)
	if l := lacks(sum); l != "" && err == nil {
		_, err = fmt.Fprintln(s.w, l)
	}
	return err
}

// lacks says in words what a source turned out to lack, "" if nothing.
func lacks(sum sinks.Summary) string {
	var l []string
	switch {
	case sum.Missing > 0:
		l = append(l, fmt.Sprintf("cut off %s s before the end that it states", seconds(sum.Missing)))
	case sum.Truncated:
		l = append(l, "cut off in its last packet")
	}
	if sum.Damaged > 0 {
		l = append(l, fmt.Sprintf("%d places could not be read", sum.Damaged))
	}
	if sum.Errors > 0 {
		l = append(l, fmt.Sprintf("%d packets did not decode", sum.Errors))
	}
	if sum.LateFrames > 0 || sum.LateSamples > 0 {
		l = append(l, fmt.Sprintf("%d frames and %d samples came too late to be placed", sum.LateFrames, sum.LateSamples))
	}
	return strings.Join(l, "; ")
}

// seconds prints integer nanoseconds as seconds with six decimals, rounded half
// away from zero.
func seconds(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	us := (int64(d) + 500) / 1000
	if us == 0 {
		sign = ""
	}
	return fmt.Sprintf("%s%d.%06d", sign, us/1e6, us%1e6)
}

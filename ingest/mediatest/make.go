package mediatest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Generate makes the clips with the given ffmpeg binary, each with its truth in
// a file of the same name that ends in .json. kept chooses those that only a
// full ffmpeg can make; the others need an FFmpeg 7.1 of the project.
func Generate(ctx context.Context, ffmpeg, dir string, kept bool) error {
	specs := plan()
	if kept {
		specs = keptPlan()
	}
	work, err := os.MkdirTemp("", "mediatest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	next := make(chan spec)
	errs := make([]error, max(2, runtime.GOMAXPROCS(0)))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for s := range next {
				if err := generate(ctx, ffmpeg, dir, work, s); err != nil {
					errs[i] = errors.Join(errs[i], fmt.Errorf("mediatest: make %s: %w", s.name, err))
				}
			}
		})
	}
	for _, s := range specs {
		next <- s
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

func generate(ctx context.Context, ffmpeg, dir, work string, s spec) error {
	out := filepath.Join(dir, filepath.FromSlash(s.file))
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	tr := predict(s)
	var joined []byte
	for i, p := range s.parts {
		to := out
		if len(s.parts) > 1 {
			to = filepath.Join(work, s.name+".part")
		}
		var clicks []int64
		if tr.feed != nil {
			clicks = tr.feed[i]
		}
		if err := encode(ctx, ffmpeg, work, to, s, p, clicks); err != nil {
			return err
		}
		if len(s.parts) > 1 {
			b, err := os.ReadFile(to)
			if err != nil {
				return err
			}
			joined = append(joined, b...)
		}
	}
	if joined != nil {
		if err := os.WriteFile(out, joined, 0o644); err != nil {
			return err
		}
	}
	if err := finish(ctx, ffmpeg, out, s, tr); err != nil {
		return err
	}
	b, err := json.MarshalIndent(&tr.Truth, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, s.name+".json"), append(b, '\n'), 0o644)
}

// encode runs ffmpeg over the raw pictures and samples of one part.
func encode(ctx context.Context, ffmpeg, work, out string, s spec, p part, clicks []int64) error {
	args := []string{"-v", "error", "-nostdin", "-y"}
	seconds := func(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
	var outArgs []string
	if v := p.video; v != nil {
		raw := filepath.Join(work, s.name+".yuv")
		w, h := v.w, v.h
		if v.rotation%180 != 0 {
			w, h = h, w
		}
		if err := os.WriteFile(raw, v.raw(w, h), 0o644); err != nil {
			return err
		}
		defer os.Remove(raw)
		args = append(args, "-itsoffset", seconds(v.delay), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", fmt.Sprintf("%dx%d", w, h),
			"-framerate", fmt.Sprintf("%d/%d", v.den, v.num), "-i", raw)
		outArgs = append(outArgs, "-fps_mode", "passthrough", "-threads:v", "1", "-flags:v", "+bitexact")
		if v.vfr {
			// The filter counts from the delay on, which a clip with both would need.
			outArgs = append(outArgs, "-vf", "settb=1/1000,setpts="+unevenExpr, "-enc_time_base:v", "1:1000")
		}
		outArgs = append(outArgs, v.args...)
		if v.codec == "mjpeg" {
			outArgs = append(outArgs, "-pix_fmt", "yuvj420p")
		} else {
			outArgs = append(outArgs, "-pix_fmt", "yuv420p")
		}
	}
	if a := p.audio; a != nil {
		raw := filepath.Join(work, s.name+".pcm")
		if err := os.WriteFile(raw, a.raw(clicks), 0o644); err != nil {
			return err
		}
		defer os.Remove(raw)
		layout := map[int]string{1: "mono", 2: "stereo", 6: "5.1"}[a.channels]
		args = append(args, "-itsoffset", seconds(a.delay), "-f", "s16le", "-ar", strconv.Itoa(a.rate), "-ch_layout", layout, "-i", raw)
		outArgs = append(outArgs, "-flags:a", "+bitexact")
		outArgs = append(outArgs, a.args...)
		if a.drop[1] > 0 {
			outArgs = append(outArgs, "-bsf:a", fmt.Sprintf(`noise=drop=between(n\,%d\,%d)`, a.drop[0], a.drop[1]))
		}
	}
	args = append(args, outArgs...)
	if p.offset != 0 {
		args = append(args, "-output_ts_offset", seconds(p.offset))
	}
	args = append(args, "-fflags", "+bitexact", "-map_metadata", "-1")
	args = append(args, s.mux...)
	if s.live {
		b, err := run(ctx, ffmpeg, append(args, "pipe:1")...)
		if err != nil {
			return err
		}
		return os.WriteFile(out, b, 0o644)
	}
	_, err := run(ctx, ffmpeg, append(args, out)...)
	return err
}

// raw returns the pictures as yuv420p in the order of their presentation.
func (v *video) raw(w, h int) []byte {
	size := w * h * 3 / 2
	b := bytes.Repeat([]byte{128}, size*v.n)
	for i := range v.n {
		drawLuma(b[i*size:i*size+w*h], w, h, v.rotation, v.base+i)
	}
	return b
}

// raw returns the samples as 16-bit integers; every channel is the same.
func (a *audio) raw(clicks []int64) []byte {
	mono := make([]float64, a.n)
	pulse := []float64{Amplitude}
	if !a.lossless {
		pulse = Pulse(a.rate)
	}
	for _, c := range clicks {
		for i, v := range pulse {
			if n := c - int64(len(pulse)/2) + int64(i); n >= 0 && n < a.n {
				mono[n] += v
			}
		}
	}
	b := make([]byte, 0, 2*a.n*int64(a.channels))
	for _, v := range mono {
		for range a.channels {
			b = binary.LittleEndian.AppendUint16(b, uint16(int16(math.Round(v*32767))))
		}
	}
	return b
}

// run returns what a tool prints, or an error that carries what it complains.
func run(ctx context.Context, tool string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(tool), strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

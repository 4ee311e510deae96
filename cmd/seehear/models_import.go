package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seehear/seehear/models"
	"github.com/seehear/seehear/models/train"
)

// importCmd makes a pack of a checkpoint that was published for PyTorch, Torch7,
// TensorFlow or Keras. The work is Python's (models/train), which is run as a
// process; this looks for a Python that has what it needs, and lets nothing out that
// does not load and verify as a pack.
type importCmd struct {
	Kind     string   `arg:"" enum:"soundnet,lvs,ez-vsl,speech2face,voice2face,show-attend-tell" help:"What the files are: ${enum}."`
	Files    []string `arg:"" name:"file" help:"The checkpoint, and what goes with it: a face decoder, a WORDMAP_*.json, lists of labels."`
	Out      string   `name:"out" short:"o" placeholder:"DIR" help:"Folder of the new pack; by default in the data folder, where --models finds it by name."`
	Rate     int      `name:"rate" default:"16000" placeholder:"HZ" help:"lvs, ez-vsl: sample rate of the sound, which their authors leave open (${default})."`
	Features bool     `name:"features" help:"soundnet: also write soundnet_features.onnx with pool5 and conv7, for other programs."`
	Python   string   `name:"python" env:"PYTHON" placeholder:"PATH" help:"The Python to try first; then the one of make test-models, then python3."`
}

// lacksPackages is the exit code of convert.py where a package is missing.
const lacksPackages = 3

// Run is called by kong.
func (c *importCmd) Run(ctx context.Context, s streams, stop softStop) error {
	ctx, end := stop.within(ctx)
	defer end()

	dir, said, err := c.make(ctx)
	switch {
	case err != nil && stop.asked():
		return &exitError{exitInterrupted, errors.New("models: import: stopped; nothing was written")}
	case err != nil:
		return fmt.Errorf("models: import %s: %w", c.Kind, err)
	}
	fmt.Fprintln(s.out, said)
	fmt.Fprintf(s.out, "%s\nuse it with: --models %s\n", dir, dir)
	return nil
}

// make returns the folder of the new pack and what the importer said of it.
func (c *importCmd) make(ctx context.Context) (dir, said string, err error) {
	files := make([]string, len(c.Files))
	for i, f := range c.Files {
		if files[i], err = filepath.Abs(f); err != nil {
			return "", "", err
		}
		if st, statErr := os.Stat(f); statErr != nil || !st.Mode().IsRegular() {
			return "", "", fmt.Errorf("%s: there is no such file", f)
		}
	}
	if dir, err = c.folder(c.Kind); err != nil {
		return "", "", err
	}
	// The pack is made beside its place, so that it gets there whole or not at all.
	if err = os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".import-*")
	if err != nil {
		return "", "", err
	}
	defer func() {
		if removed := os.RemoveAll(work); err == nil {
			err = removed
		}
	}()
	source, pack := filepath.Join(work, "source"), filepath.Join(work, "pack")
	if err = os.CopyFS(source, train.Importer); err != nil {
		return "", "", err
	}
	args := []string{filepath.Join(source, "convert.py"), c.Kind, "-o", pack, "--rate", strconv.Itoa(c.Rate)}
	if c.Features {
		args = append(args, "--features")
	}
	args = append(append(args, "--"), files...)
	if said, err = convert(ctx, c.pythons(), args); err != nil {
		return "", "", err
	}
	p, err := models.Load(pack)
	if err != nil {
		return "", "", err
	}
	if err = p.Verify(); err != nil {
		return "", "", err
	}
	if dir, err = c.folder(p.Name); err != nil {
		return "", "", err
	}
	if err = os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	if err = os.Chmod(pack, 0o755); err != nil {
		return "", "", err
	}
	return dir, said, os.Rename(pack, dir)
}

// folder is where the pack goes: not onto anything that is there.
func (c *importCmd) folder(name string) (dir string, err error) {
	if dir = c.Out; dir == "" {
		dir, err = models.DataFolder(name)
	} else {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return dir, nil
	case err != nil:
		return "", err
	case len(entries) > 0:
		return "", fmt.Errorf("%s is there and not empty: choose another folder with -o, or remove it", dir)
	}
	return dir, nil
}

// pythons lists what to try: the one that was named, the one that `make
// test-models` installed, and that of the system.
func (c *importCmd) pythons() []string {
	var list []string
	if c.Python != "" {
		list = append(list, c.Python)
	}
	cache := os.Getenv("SEEHEAR_CACHE")
	if cache == "" {
		if base := os.Getenv("XDG_CACHE_HOME"); base != "" {
			cache = filepath.Join(base, "seehear")
		} else if home, err := os.UserHomeDir(); err == nil {
			cache = filepath.Join(home, ".cache", "seehear")
		}
	}
	if cache != "" {
		list = append(list, filepath.Join(cache, "venv", "bin", "python"))
	}
	return slices.Compact(append(list, "python3"))
}

// convert runs the importer with the first Python that has the packages it needs.
func convert(ctx context.Context, pythons, args []string) (said string, err error) {
	var lacking []string
	for _, python := range pythons {
		path, err := exec.LookPath(python)
		if err != nil {
			continue
		}
		out, errs, err := execute(ctx, path, args)
		if err == nil {
			return strings.TrimSpace(out), nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		why := lastLine(errs)
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() == lacksPackages:
			lacking = append(lacking, path+" lacks "+strings.TrimPrefix(why, "missing: "))
			continue
		case why == "":
			return "", fmt.Errorf("%s: %w", path, err)
		case errors.As(err, &exit) && exit.ExitCode() == 1 && !strings.Contains(errs, "Traceback"):
			return "", errors.New(why)
		}
		return "", fmt.Errorf("%s: %w: %s", path, err, why)
	}
	const remedy = "run `make test-models` in seehear's sources, which installs what is needed, or name a Python that has torch, onnx, onnxruntime, numpy and h5py in PYTHON"
	if len(lacking) == 0 {
		return "", fmt.Errorf("it needs Python 3, and there is none: install it, then %s", remedy)
	}
	return "", fmt.Errorf("%s: %s", strings.Join(lacking, "; "), remedy)
}

// maxSaid bounds what is kept of the importer's output.
const maxSaid = 64 << 10

func execute(ctx context.Context, python string, args []string) (out, errs string, err error) {
	cmd := exec.CommandContext(ctx, python, args...)
	var stdout, stderr tail
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONIOENCODING=utf-8", "PYTHONWARNINGS=ignore")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// tail keeps the end of what is written to it.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if over := t.Len() + n - maxSaid; over > 0 {
		t.Next(over)
		p = p[max(0, n-maxSaid):]
	}
	if _, err := t.Buffer.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

var _ io.Writer = (*tail)(nil)

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// Package mediatest is the ground truth for everything timed: clips in which
// every picture carries its index as a barcode and clicks sound at known
// samples, with a JSON of the true stamps beside each.
//
// Tests call [Clips] or [ByName]. The clips that the project's own FFmpeg can
// encode are made on demand (a few seconds, then cached under the user's cache
// folder by a hash of this package and of the ffmpeg binary's version); the
// others are kept in testdata/clips. The folder generate holds the same as a command.
//
// The truth follows from what is fed in and from what the container is told. It
// is never read back from our own decoder; the tests of this package hold it
// against ffmpeg and ffprobe.
package mediatest

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// What decides how a generated clip looks.
//
//go:embed barcode.go finish.go make.go predict.go spec.go truth.go
var recipe embed.FS

//go:embed testdata/clips
var kept embed.FS

// Clips returns every clip. They are shared with other tests: read only.
func Clips(tb testing.TB) []Clip {
	tb.Helper()
	clips, err := load(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return clips
}

// ByName returns the clip of that name.
func ByName(tb testing.TB, name string) Clip {
	tb.Helper()
	for _, c := range Clips(tb) {
		if c.Name == name {
			return c
		}
	}
	tb.Fatalf("mediatest: no clip %q", name)
	return Clip{}
}

// FFmpeg returns the binary that makes the clips: the environment variable
// FFMPEG, else ffmpeg on the PATH.
func FFmpeg() (string, error) {
	name := os.Getenv("FFMPEG")
	if name == "" {
		name = "ffmpeg"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("mediatest: an ffmpeg of version 7.1 is needed to make the clips: put it on the PATH, name it in FFMPEG, or run `make test`: %w", err)
	}
	return path, nil
}

// load makes the clips unless they are there.
func load(ctx context.Context) ([]Clip, error) {
	ffmpeg, err := FFmpeg()
	if err != nil {
		return nil, err
	}
	key, err := cacheKey(ctx, ffmpeg)
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "seehear")
	dir := filepath.Join(cache, "mediatest-"+key)
	now := time.Now()
	if os.Chtimes(dir, now, now) != nil {
		prune(cache, now)
		if err := fill(ctx, ffmpeg, cache, dir); err != nil {
			return nil, err
		}
	}
	return readAll(dir)
}

// fill makes the clips in a folder of its own and moves it to dir as a whole, so
// that test binaries that run at the same time never see half of them.
func fill(ctx context.Context, ffmpeg, cache, dir string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("mediatest: %w", err)
	}
	tmp, err := os.MkdirTemp(cache, "mediatest-new-")
	if err != nil {
		return fmt.Errorf("mediatest: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err = Generate(ctx, ffmpeg, tmp, false); err != nil {
		return err
	}
	err = fs.WalkDir(kept, "testdata/clips", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := kept.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tmp, d.Name()), b, 0o644)
	})
	if err != nil {
		return fmt.Errorf("mediatest: %w", err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("mediatest: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil // somebody else was faster
		}
		return fmt.Errorf("mediatest: %w", err)
	}
	return nil
}

// prune removes clips that nobody has used for a month, and what a killed test
// left behind.
func prune(cache string, now time.Time) {
	old, _ := filepath.Glob(filepath.Join(cache, "mediatest-*"))
	for _, dir := range old {
		if info, err := os.Stat(dir); err == nil && now.Sub(info.ModTime()) > 30*24*time.Hour {
			os.RemoveAll(dir)
		}
	}
}

func readAll(dir string) ([]Clip, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(paths) == 0 {
		return nil, errors.Join(fmt.Errorf("mediatest: no clips in %s", dir), err)
	}
	sort.Strings(paths)
	clips := make([]Clip, 0, len(paths))
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("mediatest: %w", err)
		}
		var c Clip
		if err := json.Unmarshal(b, &c.Truth); err != nil {
			return nil, fmt.Errorf("mediatest: read %s: %w", path, err)
		}
		c.Name = c.Truth.Name
		c.File = filepath.Join(dir, filepath.FromSlash(c.Truth.File))
		clips = append(clips, c)
	}
	return clips, nil
}

// cacheKey tells clips apart that were made in different ways.
func cacheKey(ctx context.Context, ffmpeg string) (string, error) {
	sum := sha256.New()
	version, err := run(ctx, ffmpeg, "-version")
	if err != nil {
		return "", fmt.Errorf("mediatest: %w", err)
	}
	line, _, _ := strings.Cut(string(version), "\n")
	fmt.Fprintln(sum, line)
	for _, fsys := range []embed.FS{recipe, kept} {
		err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fsys.ReadFile(path)
			fmt.Fprintln(sum, path, len(b))
			sum.Write(b)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("mediatest: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

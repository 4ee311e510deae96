package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mediaExtensions are the names by which a folder's media are recognized. A file
// named on the command line is tried whatever its name.
var mediaExtensions = []string{
	".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".m2ts", ".mts", ".avi", ".mpg", ".mpeg", ".vob", ".flv", ".3gp", ".ogv",
	".wmv", ".asf", ".m3u8", ".ogg", ".oga", ".opus", ".wav", ".mp3", ".flac", ".m4a", ".aac", ".wma", ".aiff",
}

// input is one thing to annotate.
type input struct {
	name string // what libavformat opens: a path, a URL or "-"
	err  error  // why it cannot be tried at all
}

// expand turns the arguments into inputs, in order and without repeats: folders
// into the media files below them, patterns that the shell left alone into what
// they match.
func expand(args []string) []input {
	var out []input
	seen := map[string]bool{}
	add := func(name string, err error) {
		if !seen[name] {
			seen[name] = true
			out = append(out, input{name, err})
		}
	}
	for _, arg := range args {
		if arg == "-" || isURL(arg) {
			add(arg, nil)
			continue
		}
		info, err := os.Stat(arg)
		switch {
		case err == nil && info.IsDir():
			var files []string
			if files, err = mediaIn(arg); err == nil && len(files) == 0 {
				err = fmt.Errorf("%s: the folder holds no media files", arg)
			}
			if err != nil {
				add(arg, err)
			}
			for _, f := range files {
				add(f, nil)
			}
		case err != nil && strings.ContainsAny(arg, "*?["):
			matches, merr := filepath.Glob(arg)
			if merr != nil || len(matches) == 0 {
				add(arg, fmt.Errorf("%s: the pattern matches no file", arg))
			}
			for _, m := range matches {
				add(m, nil)
			}
		default: // a missing file is reported by whoever opens it
			add(arg, nil)
		}
	}
	return out
}

func mediaIn(folder string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && slices.Contains(mediaExtensions, strings.ToLower(filepath.Ext(path))) {
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func isURL(s string) bool {
	i := strings.Index(s, "://")
	return i > 0 && !strings.ContainsAny(s[:i], `/\`)
}

// folderNames gives each input a folder of its own: the name of the file without
// its extension, and, where two inputs share it, a short hash of the whole name
// behind it, so that the same inputs get the same folders on every run.
func folderNames(inputs []input) []string {
	names := make([]string, len(inputs))
	count := map[string]int{}
	for i, in := range inputs {
		names[i] = stem(in.name)
		count[names[i]]++
	}
	for i, in := range inputs {
		if count[names[i]] > 1 {
			full := in.name
			if abs, err := filepath.Abs(full); err == nil && !isURL(full) {
				full = abs
			}
			sum := sha256.Sum256([]byte(full))
			names[i] += "-" + hex.EncodeToString(sum[:4])
		}
	}
	return names
}

// longestStem leaves room for a hash within the 255 bytes of a file name.
const longestStem = 200

// stem is a file name that is safe on every system.
func stem(name string) string {
	if name == "-" {
		return "stdin"
	}
	base := filepath.Base(name)
	if isURL(name) {
		base = "stream"
		if u, err := url.Parse(name); err == nil {
			base = u.Hostname()
			if p := strings.Trim(u.Path, "/"); p != "" {
				base = p[strings.LastIndex(p, "/")+1:]
			}
		}
	}
	base = strings.TrimSuffix(base, filepath.Ext(base))
	base = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, base)
	if strings.Trim(base, ". ") == "" {
		return "input"
	}
	return strings.ToValidUTF8(base[:min(len(base), longestStem)], "")
}

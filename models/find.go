package models

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// Place is a folder where a pack is looked for.
type Place struct {
	From  string // "as given", "beside the binary", "checkout", "data folder"
	Dir   string
	Found bool // there is a pack.yaml in it
}

// Find looks for a pack and returns its folder ("" if there is none) and where
// it looked, in that order. A name with a slash is a folder, looked for as it
// stands; another is looked for beside the binary (models/NAME, ../models/NAME
// and ../share/seehear/models/NAME), in the checkout that the working directory
// is in, and in the data folder ($XDG_DATA_HOME/seehear/models/NAME). Of several
// names the first is looked for everywhere before the second.
func Find(names ...string) (dir string, looked []Place) {
	for _, name := range names {
		for _, p := range places(name) {
			st, err := os.Stat(filepath.Join(p.Dir, Manifest))
			p.Found = err == nil && st.Mode().IsRegular()
			looked = append(looked, p)
			if p.Found && dir == "" {
				dir = p.Dir
			}
		}
	}
	return dir, looked
}

func places(name string) []Place {
	if strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) || name == "." || name == ".." {
		return []Place{{From: "as given", Dir: name}}
	}
	var list []Place
	add := func(from string, elem ...string) {
		dir := filepath.Join(elem...)
		for _, p := range list {
			if p.Dir == dir {
				return
			}
		}
		list = append(list, Place{From: from, Dir: dir})
	}
	if exe, err := os.Executable(); err == nil {
		if target, err := filepath.EvalSymlinks(exe); err == nil {
			exe = target
		}
		bin := filepath.Dir(exe)
		add("beside the binary", bin, "models", name)
		add("beside the binary", filepath.Dir(bin), "models", name)
		add("beside the binary", filepath.Dir(bin), "share", "seehear", "models", name)
	}
	if wd, err := os.Getwd(); err == nil {
		for at := wd; ; at = filepath.Dir(at) {
			if isCheckout(at) {
				add("checkout", at, "models", name)
				break
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		if home, err := os.UserHomeDir(); err == nil {
			data = filepath.Join(home, ".local", "share")
		}
	}
	if data != "" {
		add("data folder", data, "seehear", "models", name)
	}
	return list
}

// isCheckout says whether dir is the root of this project's sources.
func isCheckout(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	return s.Scan() && s.Text() == "module github.com/seehear/seehear"
}

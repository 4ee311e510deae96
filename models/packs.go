package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/seehear/seehear/models/onnx"
)

// Installed lists the packs in all places where [Find] would look for a name, in
// its order: of two with one name the first is the one that is found. They are
// not loaded.
func Installed() []Place {
	var list []Place
	seen := map[string]bool{}
	for _, p := range places("any") {
		parent := filepath.Dir(p.Dir)
		entries, err := os.ReadDir(parent)
		if err != nil {
			continue // most places are not there
		}
		for _, e := range entries {
			dir := filepath.Join(parent, e.Name())
			if !seen[dir] && isFile(filepath.Join(dir, Manifest)) {
				seen[dir] = true
				list = append(list, Place{From: p.From, Dir: dir, Found: true})
			}
		}
	}
	return list
}

// DataFolder returns the folder that a pack of that name has in the data folder,
// whether it is there or not.
func DataFolder(name string) (string, error) {
	if !nameForm.MatchString(name) {
		return "", fmt.Errorf("models: %q is not a name (letters, digits and ._+-)", name)
	}
	for _, p := range places(name) {
		if p.From == "data folder" {
			return p.Dir, nil
		}
	}
	return "", fmt.Errorf("models: there is no data folder: neither XDG_DATA_HOME nor HOME is set")
}

// Mismatches compares every file with its checksum, as [Pack.Verify] does, and
// returns an error for each that differs or can't be read.
func (p *Pack) Mismatches() []error {
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return []error{fmt.Errorf("models: verify %s: %w", p.Dir, cause(err))}
	}
	defer root.Close()
	var list []error
	for i := range p.Models {
		m := &p.Models[i]
		for _, f := range m.files() {
			if err := verify(root, f); err != nil {
				list = append(list, fmt.Errorf("models: verify %s: model %s: %w", p.Dir, m.Name, err))
			}
		}
	}
	return list
}

// Check compares every file of the pack in dir with its checksum, and if all agree
// loads it. It returns an error for each file that differs, so that a damaged one
// does not hide the others, and what the manifest says if it can be read.
func Check(dir string) (*Pack, []error) {
	p, err := manifestOf(dir)
	if err != nil {
		return nil, []error{fmt.Errorf("models: verify %s: %w", dir, err)}
	}
	if list := p.Mismatches(); len(list) > 0 {
		return p, list
	}
	if _, err := Load(dir); err != nil {
		return p, []error{err}
	}
	return p, nil
}

// manifestOf reads a manifest without looking at the files.
func manifestOf(dir string) (*Pack, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cause(err)
	}
	defer root.Close()
	return manifest(root, dir)
}

// Shape writes the shape of an input or output as errors of this package do: the
// name of a dynamic axis, "?" for one without a name.
func Shape(v onnx.Value) string {
	if !v.Ranked {
		return "[…]"
	}
	return shapeOf(v)
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// hashFile returns the sha256 and the size of a file.
func hashFile(root *os.Root, path string) (sum string, size int64, err error) {
	if _, err = stat(root, path); err != nil {
		return "", 0, err
	}
	f, err := root.Open(local(path))
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", path, cause(err))
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("%s: %w", path, cause(err))
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// Verify compares every file with its checksum and returns the first that
// differs or can't be read.
func (p *Pack) Verify() error {
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return fmt.Errorf("models: verify %s: %w", p.Dir, cause(err))
	}
	defer root.Close()
	for i := range p.Models {
		m := &p.Models[i]
		for _, f := range m.files() {
			if err := verify(root, f); err != nil {
				return fmt.Errorf("models: verify %s: model %s: %w", p.Dir, m.Name, err)
			}
		}
	}
	return nil
}

func verify(root *os.Root, f File) error {
	if _, err := stat(root, f.Path); err != nil {
		return err
	}
	r, err := root.Open(local(f.Path))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, cause(err))
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return fmt.Errorf("%s: %w", f.Path, cause(err))
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("%s has sha256 %s, and the manifest says %s: fetch the pack again", f.Path, got, f.SHA256)
	}
	return nil
}

// files lists the model's files with checksums, in a fixed order.
func (m *Model) files() []File {
	var list []File
	for _, role := range sortedKeys(m.Graphs) {
		g := m.Graphs[role]
		list = append(list, g.File)
		list = append(list, g.Data...)
	}
	for _, name := range sortedKeys(m.Labels) {
		list = append(list, m.Labels[name])
	}
	return list
}

// Digest is one checksum for the model, as the header of the results gives it: of
// a model with a single graph file that file's own, otherwise the sha256 of all
// checksums, with a line feed between them, in the order of the roles.
func (m *Model) Digest() string {
	var sums []string
	for _, role := range sortedKeys(m.Graphs) {
		g := m.Graphs[role]
		sums = append(sums, g.SHA256)
		for _, d := range g.Data {
			sums = append(sums, d.SHA256)
		}
	}
	if len(sums) == 1 {
		return sums[0]
	}
	all := sha256.Sum256([]byte(strings.Join(sums, "\n")))
	return hex.EncodeToString(all[:])
}

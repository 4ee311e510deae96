package models

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seehear/seehear/models/onnx"
)

// Manifest is the name of the file that makes a folder a pack.
const Manifest = "pack.yaml"

// maxManifest bounds the size of a manifest; real ones have a few kilobytes.
const maxManifest = 1 << 20

// Load reads the pack in dir and checks all of it short of the checksums, for
// which there is [Pack.Verify]: every field of the manifest, that no file lies
// outside of the folder, the labels, and that every graph fits its contract. It
// reads the outside of the graphs, not their weights. An error is one line that
// names the pack, the model and the field.
func Load(dir string) (*Pack, error) {
	p, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("models: load %s: %w", dir, err)
	}
	return p, nil
}

func load(dir string) (*Pack, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cause(err)
	}
	defer root.Close()
	p, err := manifest(root, dir)
	if err != nil {
		return nil, err
	}
	for i := range p.Models {
		if err := p.open(root, &p.Models[i]); err != nil {
			return nil, fmt.Errorf("model %s: %w", p.Models[i].Name, err)
		}
	}
	return p, nil
}

// manifest reads the manifest of the pack in dir, which root is open on, without
// looking at the other files.
func manifest(root *os.Root, dir string) (*Pack, error) {
	data, err := readAll(root, Manifest, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Manifest, err)
	}
	p, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Manifest, err)
	}
	p.Dir, err = filepath.Abs(dir)
	return p, err
}

// parse decodes and validates a manifest.
func parse(data []byte) (*Pack, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	p := &Pack{}
	if err := d.Decode(p); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		return nil, oneLine(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, oneLine(err)
	}
	if err := wholeNumbers(&root, reflect.TypeFor[Pack]()); err != nil {
		return nil, err
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is a second document in it")
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// wholeNumbers refuses what the decoder would cut down to an integer, such as a
// rate of 22050.5. The tree is that of a manifest which was decoded as typ.
func wholeNumbers(n *yaml.Node, typ reflect.Type) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return wholeNumbers(n.Alias, typ)
	case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
		return wholeNumbers(n.Content[0], typ)
	case n.Kind == yaml.ScalarNode && (typ.Kind() == reflect.Int || typ.Kind() == reflect.Int64):
		if n.ShortTag() == "!!float" {
			return fmt.Errorf("line %d: %s is not a whole number", n.Line, n.Value)
		}
	case n.Kind == yaml.SequenceNode && (typ.Kind() == reflect.Slice || typ.Kind() == reflect.Array):
		for _, c := range n.Content {
			if err := wholeNumbers(c, typ.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && typ.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			if err := wholeNumbers(n.Content[i], typ.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && typ.Kind() == reflect.Struct:
		for i := 1; i < len(n.Content); i += 2 {
			if n.Content[i-1].Value == "<<" { // fields of an anchor
				if err := wholeNumbers(n.Content[i], typ); err != nil {
					return err
				}
			}
			for _, f := range reflect.VisibleFields(typ) {
				if key, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); key == n.Content[i-1].Value {
					if err := wholeNumbers(n.Content[i], f.Type); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// open looks at the files of a model.
func (p *Pack) open(root *os.Root, m *Model) error {
	if m.Card != "" {
		if _, err := stat(root, m.Card); err != nil {
			return fmt.Errorf("card: %w", err)
		}
	}
	classes, lists := map[string]int{}, map[string][]string{}
	for _, name := range sortedKeys(m.Labels) {
		f := m.Labels[name]
		if _, err := stat(root, f.Path); err != nil {
			return fmt.Errorf("labels.%s: %w", name, err)
		}
		if name == "vocabulary" && m.Decode.Tokenizer != "words" {
			continue // a tokenizer.json, which its reader checks
		}
		labels, err := Labels(p.Path(f))
		if err != nil {
			return fmt.Errorf("labels.%s: %w", name, err)
		}
		classes[name], lists[name] = len(labels), labels
	}
	if err := checkLists(m, lists); err != nil {
		return err
	}
	sizes := map[string]size{}
	for _, role := range sortedKeys(m.Graphs) {
		g := m.Graphs[role]
		if err := p.openGraph(root, m, role, g, classes, sizes); err != nil {
			return fmt.Errorf("graphs.%s: %w", role, err)
		}
	}
	return nil
}

func (p *Pack) openGraph(root *os.Root, m *Model, role string, g Graph, classes map[string]int, sizes map[string]size) error {
	st, err := stat(root, g.Path)
	if err != nil {
		return err
	}
	f, err := root.Open(local(g.Path))
	if err != nil {
		return cause(err)
	}
	defer f.Close()
	file, err := onnx.Read(f, st.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", g.Path, err)
	}
	// The runtime follows these from the graph's folder on its own, so each has
	// to be one of the files whose checksum the manifest gives.
	for _, location := range file.External {
		if err := inside(location); err != nil {
			return fmt.Errorf("%s: external data %w", g.Path, err)
		}
		at := filepath.ToSlash(filepath.Join(filepath.Dir(local(g.Path)), local(location)))
		if !slices.ContainsFunc(g.Data, func(d File) bool { return filepath.ToSlash(filepath.Clean(local(d.Path))) == at }) {
			return fmt.Errorf("%s: its external data %q are not listed under data", g.Path, location)
		}
	}
	for _, d := range g.Data {
		if _, err := stat(root, d.Path); err != nil {
			return fmt.Errorf("data: %w", err)
		}
	}
	if _, marked := file.Metadata["fixture"]; marked && !p.Fixture {
		return fmt.Errorf("%s is a test graph, and the pack is not marked as a fixture", g.Path)
	}
	if err := check(m, role, file, classes, sizes); err != nil {
		return fmt.Errorf("%s: %w", g.Path, err)
	}
	return nil
}

// Path returns where f lies.
func (p *Pack) Path(f File) string { return filepath.Join(p.Dir, local(f.Path)) }

// Model returns the pack's model for a family.
func (p *Pack) Model(family string) (*Model, bool) {
	for i := range p.Models {
		if p.Models[i].Family == family {
			return &p.Models[i], true
		}
	}
	return nil, false
}

// local is a path of the manifest in this system's notation.
func local(path string) string { return filepath.FromSlash(path) }

// inside refuses a path that leads out of the pack, whatever lies there.
func inside(path string) error {
	switch {
	case path == "":
		return errors.New("path is empty")
	case strings.ContainsAny(path, "\\\x00\n\r"):
		return fmt.Errorf("path %q holds a character that has no place in it", path)
	case !filepath.IsLocal(local(path)):
		return fmt.Errorf("path %q leads out of the pack", path)
	}
	return nil
}

// stat looks at a regular file of the pack. Links are followed within the pack
// and refused out of it.
func stat(root *os.Root, path string) (fs.FileInfo, error) {
	st, err := root.Stat(local(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return st, nil
}

func readAll(root *os.Root, path string, most int64) ([]byte, error) {
	st, err := root.Stat(path)
	if err != nil {
		return nil, cause(err)
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, cause(err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("it is larger than %d bytes", most)
	}
	return data, nil
}

// cause drops the operation and the path, which the caller names itself.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func oneLine(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	return errors.New(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), ";"))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package models

import (
	"bytes"
	_ "embed" // the catalogue
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed catalogue.yaml
var catalogueYAML []byte

// Entry is a published model of the catalogue: files to fetch, and the contract
// that makes a pack of them.
type Entry struct {
	Name    string `yaml:"name"`
	Family  string `yaml:"family"` // also of kinds that no package runs yet
	Version string `yaml:"version"`
	License string `yaml:"license"`
	Page    string `yaml:"page"` // where its publisher describes it
	Note    string `yaml:"note"`
	// Files is what [Puller.Pull] fetches.
	Files []Source `yaml:"files"`
	// Contract holds the fields of a [Model] that are not above, the checksums of
	// its files left out.
	Contract yaml.Node `yaml:"contract"`
}

// Source is one file of an entry and what is known of it.
type Source struct {
	Path string `yaml:"path"` // within the pack
	URL  string `yaml:"url"`
	// Size is exact; About stands where only a rounded size is published, and is
	// right within a hundredth. With neither, the size is not known.
	Size  int64 `yaml:"size"`
	About int64 `yaml:"about"`
	// SHA256 is whole; Partial is "first digits...last digits" where no more is
	// known. With neither, the person has to vouch for one.
	SHA256  string `yaml:"sha256"`
	Partial string `yaml:"sha256_partial"`
	Basis   string `yaml:"basis"` // what the checksum rests on
}

var (
	partialForm = regexp.MustCompile(`^[0-9a-f]{8,60}\.\.\.[0-9a-f]{4,56}$`)
	// dummy stands for checksums while a contract is checked without its files.
	dummy = strings.Repeat("0", 64)
)

// Catalogue returns the published models that this version knows, in order.
func Catalogue() ([]Entry, error) {
	entries, err := parseCatalogue(catalogueYAML)
	if err != nil {
		return nil, fmt.Errorf("models: catalogue: %w", err)
	}
	return entries, nil
}

// Lookup returns the catalogue's entry of that name.
func Lookup(name string) (*Entry, bool, error) {
	entries, err := Catalogue()
	if err != nil {
		return nil, false, err
	}
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return nil, false, nil
	}
	return &entries[i], true, nil
}

func parseCatalogue(data []byte) ([]Entry, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var c struct {
		Seehear int     `yaml:"seehear"`
		Models  []Entry `yaml:"models"`
	}
	if err := d.Decode(&c); err != nil {
		return nil, oneLine(err)
	}
	if c.Seehear != Format {
		return nil, fmt.Errorf("format %d, and this program reads %d", c.Seehear, Format)
	}
	names := map[string]bool{}
	for i := range c.Models {
		e := &c.Models[i]
		if err := e.validate(); err != nil {
			return nil, fmt.Errorf("model %s: %w", e.Name, err)
		}
		if names[e.Name] {
			return nil, fmt.Errorf("model %s: there are two of it", e.Name)
		}
		names[e.Name] = true
	}
	return c.Models, nil
}

func (e *Entry) validate() error {
	c := &checker{}
	c.name("name", e.Name)
	c.name("family", e.Family)
	c.text("version", e.Version)
	c.text("license", e.License)
	c.text("note", e.Note)
	if len(e.Files) == 0 {
		c.fail("files", "there is none")
	}
	paths := map[string]bool{}
	for i, f := range e.Files {
		field := fmt.Sprintf("files[%d]", i)
		if err := f.validate(); err != nil {
			c.fail(field, "%w", err)
		}
		if paths[f.Path] {
			c.fail(field, "path: there are two of it")
		}
		paths[f.Path] = true
	}
	if c.err != nil || !e.Used() {
		return c.err
	}
	sums := map[string]string{}
	for _, f := range e.Files {
		sums[f.Path] = dummy
	}
	data, err := e.manifest(sums)
	if err == nil {
		_, err = parse(data)
	}
	if err != nil {
		return fmt.Errorf("contract: %w", err)
	}
	return nil
}

func (f Source) validate() error {
	c := &checker{}
	c.path("path", f.Path)
	if f.Path == Manifest || strings.HasSuffix(f.Path, partSuffix) || strings.HasSuffix(f.Path, stateSuffix) {
		c.fail("path", "%q is taken", f.Path)
	}
	c.text("basis", f.Basis)
	if u, err := url.Parse(f.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		c.fail("url", "%q is not a https address", f.URL)
	}
	if f.Size < 0 || f.About < 0 || (f.Size > 0) == (f.About > 0) {
		c.fail("size", "one of size and about is wanted")
	}
	switch {
	case f.SHA256 != "" && f.Partial != "":
		c.fail("sha256", "is there whole and in part")
	case f.SHA256 != "" && !hashForm.MatchString(f.SHA256):
		c.fail("sha256", "%q is not 64 lower-case hexadecimal digits", f.SHA256)
	case f.Partial != "" && !partialForm.MatchString(f.Partial):
		c.fail("sha256_partial", "%q is not the beginning and the end of a checksum", f.Partial)
	}
	return c.err
}

// Used says whether a family of this version runs the model.
func (e *Entry) Used() bool { return !e.Contract.IsZero() }

// Size is that of all files; it is exact only if each file's is known exactly.
func (e *Entry) Size() (bytes int64, exact bool) {
	exact = true
	for _, f := range e.Files {
		bytes += f.Size + f.About
		exact = exact && f.Size > 0
	}
	return bytes, exact
}

// In says whether the entry lies in dir whole: every file under its name, with a
// size that can be right, and the manifest if there is a contract. It reads no
// checksum; [Entry.Mismatches] does.
func (e *Entry) In(dir string) bool {
	if e.Used() && !isFile(filepath.Join(dir, Manifest)) {
		return false
	}
	for _, f := range e.Files {
		st, err := os.Stat(filepath.Join(dir, local(f.Path)))
		if err != nil || !st.Mode().IsRegular() || f.sizeFits(st.Size()) != nil {
			return false
		}
	}
	return true
}

// Mismatches compares the files of a pulled entry in dir with what the catalogue
// knows, and returns an error for each that differs.
func (e *Entry) Mismatches(dir string) []error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return []error{fmt.Errorf("models: verify %s: %w", dir, cause(err))}
	}
	defer root.Close()
	var list []error
	for _, f := range e.Files {
		sum, n, err := hashFile(root, f.Path)
		if err == nil {
			err = f.sizeFits(n)
		}
		if err == nil {
			if want := f.SHA256 + f.Partial; want != "" && !f.sumFits(sum) {
				err = fmt.Errorf("%s has sha256 %s, and the catalogue says %s: pull the model again", f.Path, sum, want)
			}
		}
		if err != nil {
			list = append(list, fmt.Errorf("models: verify %s: %w", dir, err))
		}
	}
	return list
}

// sizeFits refuses a number of bytes that the file cannot have.
func (f Source) sizeFits(n int64) error {
	switch {
	case f.Size > 0 && n != f.Size:
		return fmt.Errorf("%s has %d bytes, and the catalogue says %d", f.Path, n, f.Size)
	case f.About > 0 && (n < f.About-f.About/100 || n > f.About+f.About/100):
		return fmt.Errorf("%s has %d bytes, and the catalogue says about %d", f.Path, n, f.About)
	}
	return nil
}

// sumFits says whether a checksum is the one that is known, as far as it is.
func (f Source) sumFits(sum string) bool {
	if f.SHA256 != "" {
		return sum == f.SHA256
	}
	head, tail, ok := strings.Cut(f.Partial, "...")
	return ok && strings.HasPrefix(sum, head) && strings.HasSuffix(sum, tail)
}

// manifest writes the pack.yaml of the entry: its contract with checksums.
func (e *Entry) manifest(sums map[string]string) ([]byte, error) {
	model := mapping("name", e.Name, "family", e.Family, "version", e.Version, "license", e.License)
	contract, err := flat(&e.Contract)
	if err != nil {
		return nil, err
	}
	if contract.Kind != yaml.MappingNode {
		return nil, errors.New("is not a map")
	}
	for i := 0; i < len(contract.Content); i += 2 {
		key, value := contract.Content[i], contract.Content[i+1]
		if key.Value == "graphs" || key.Value == "labels" {
			if err := fill(value, sums); err != nil {
				return nil, fmt.Errorf("%s: %w", key.Value, err)
			}
		}
		model.Content = append(model.Content, key, value)
	}
	doc := mapping("name", e.Name, "version", e.Version, "license", e.License)
	doc.HeadComment = fmt.Sprintf("# Written by `seehear models pull %s`.\n# %s\n# %s", e.Name, e.Note, e.Page)
	doc.Content = append([]*yaml.Node{text("seehear"), {Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(Format)}}, doc.Content...)
	doc.Content = append(doc.Content, text("models"), &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{model}})
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// fill adds the checksum to every file below n, a map with a path.
func fill(n *yaml.Node, sums map[string]string) error {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value != "path" {
			continue
		}
		sum, ok := sums[n.Content[i+1].Value]
		if !ok {
			return fmt.Errorf("%q is none of the files", n.Content[i+1].Value)
		}
		n.Content = append(n.Content, text("sha256"), text(sum))
		break
	}
	for _, c := range n.Content {
		if err := fill(c, sums); err != nil {
			return err
		}
	}
	return nil
}

// flat copies a mapping with its anchors and merges resolved, so that it can
// stand in another document.
func flat(n *yaml.Node) (*yaml.Node, error) {
	if n.Kind == yaml.AliasNode {
		return flat(n.Alias)
	}
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style}
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			child, err := flat(c)
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, child)
		}
		return out, nil
	}
	var merged *yaml.Node
	own := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		child, err := flat(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		if n.Content[i].Value == "<<" {
			if merged = child; merged.Kind != yaml.MappingNode {
				return nil, errors.New("what is merged is not a map")
			}
			continue
		}
		own[n.Content[i].Value] = true
		out.Content = append(out.Content, text(n.Content[i].Value), child)
	}
	for i := 0; merged != nil && i < len(merged.Content); i += 2 {
		if !own[merged.Content[i].Value] {
			out.Content = append(out.Content, merged.Content[i], merged.Content[i+1])
		}
	}
	return out, nil
}

func mapping(pairs ...string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range pairs {
		n.Content = append(n.Content, text(s))
	}
	return n
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

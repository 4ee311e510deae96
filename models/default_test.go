package models_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/seehear/seehear/models"
)

// The default pack is whole: every model has a card and figures to hold it to, shows no
// class that it is not sure of, and the folder stays within what a clone should cost.
func TestDefaultPack(t *testing.T) {
	p, err := models.Load("default")
	if err != nil {
		t.Fatal(err)
	}
	if err = p.Verify(); err != nil {
		t.Fatal(err)
	}
	if p.Fixture || p.Name != "default" {
		t.Errorf("fixture %v, name %q", p.Fixture, p.Name)
	}
	text, err := os.ReadFile("default/metrics.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var figures map[string]map[string]float64
	if err = yaml.Unmarshal(text, &figures); err != nil {
		t.Fatal(err)
	}
	for _, m := range p.Models {
		if m.Card == "" || len(figures[m.Name]) == 0 {
			t.Errorf("%s: card %q, %d figures in metrics.yaml", m.Name, m.Card, len(figures[m.Name]))
			continue
		}
		card, failed := os.ReadFile(filepath.Join(p.Dir, m.Card))
		if failed != nil {
			t.Fatal(failed)
		}
		if !strings.HasPrefix(string(card), "# "+m.Name+"\n") {
			t.Errorf("%s is no card of %s", m.Card, m.Name)
		}
		if m.Family != "soundnet" && m.Family != "pictures" {
			continue
		}
		for head, file := range m.Labels {
			if m.Family == "soundnet" && !(m.Gate.Show[head] > 0) {
				t.Errorf("%s reports %s that it is not sure of", m.Name, head)
			}
			labels, failed := models.Labels(p.Path(file))
			if failed != nil {
				t.Fatal(failed)
			}
			for _, l := range labels {
				if l == "" || strings.ContainsRune(l, '_') {
					t.Errorf("%s: %s: %q is not what a person reads", m.Name, head, l)
				}
			}
		}
	}
	numbered(t, p, "objects", "imagenet", "train/importer/labels/categories_imagenet.txt")
	numbered(t, p, "scenes", "places2", "train/importer/labels/categories_places2.txt")
	var size int64
	if err = filepath.WalkDir("default", func(_ string, d os.DirEntry, failed error) error {
		if failed != nil || d.IsDir() {
			return failed
		}
		st, failed := d.Info()
		if failed == nil {
			size += st.Size()
		}
		return failed
	}); err != nil {
		t.Fatal(err)
	}
	if size > 40e6 {
		t.Errorf("the folder has %d bytes", size)
	}
}

// numbered checks that what the pack sees in pictures has the numbers that a published
// list gives to classes of the same names.
func numbered(t *testing.T, p *models.Pack, of, numbers, published string) {
	t.Helper()
	m, ok := p.Model("pictures")
	if !ok {
		t.Error("the pack has no pictures")
		return
	}
	var lists [3][]string
	for i, path := range []string{p.Path(m.Labels[of]), p.Path(m.Labels[numbers]), published} {
		var err error
		if lists[i], err = models.Labels(path); err != nil {
			t.Fatal(err)
		}
	}
	// "n01443537 goldfish, Carassius auratus", "/a/airport_terminal"
	lead := regexp.MustCompile(`^(n\d{8} |/[a-z]/)`)
	for i, name := range lists[0] {
		n, err := strconv.Atoi(lists[1][i])
		if err != nil || n < 0 || n >= len(lists[2]) {
			t.Fatalf("%s: line %d: %q", numbers, i+1, lists[1][i])
		}
		there, _, _ := strings.Cut(lead.ReplaceAllString(lists[2][n], ""), ",")
		if there = strings.NewReplacer("_", " ", "/", " ").Replace(there); there != name {
			t.Errorf("%s: %q is number %d, which is %q", of, name, n, there)
		}
	}
}

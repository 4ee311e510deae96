package models_test

import (
	"os"
	"path/filepath"
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
		if m.Family != "soundnet" {
			continue
		}
		for head, file := range m.Labels {
			if !(m.Gate.Show[head] > 0) {
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

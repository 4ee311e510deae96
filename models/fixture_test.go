package models_test

import (
	"testing"

	"github.com/seehear/seehear/models"
)

func TestFixturePacksLoad(t *testing.T) {
	for dir, families := range map[string][]string{
		"fixture":         {"soundnet", "speech", "speech2face", "localize", "caption"},
		"fixture-optimum": {"caption"},
	} {
		p, err := models.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Verify(); err != nil {
			t.Fatal(err)
		}
		if !p.Fixture || p.Name != dir {
			t.Errorf("%s: fixture %v, name %q", dir, p.Fixture, p.Name)
		}
		for _, f := range families {
			m, ok := p.Model(f)
			if !ok || m.Family != f {
				t.Errorf("%s has no model for %s", dir, f)
			}
		}
		if len(p.Models) != len(families) {
			t.Errorf("%s has %d models", dir, len(p.Models))
		}
	}
}

package models

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestCatalogue(t *testing.T) {
	entries, err := Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	for i := range entries {
		e := &entries[i]
		if e.Used() {
			used = append(used, e.Name)
			if _, ok := roles[e.Family]; !ok {
				t.Errorf("%s: no family %s", e.Name, e.Family)
			}
		} else if _, ok := roles[e.Family]; ok {
			t.Errorf("%s: a model of family %s without a contract", e.Name, e.Family)
		}
		if u, err := url.Parse(e.Page); err != nil || u.Scheme != "https" {
			t.Errorf("%s: page %q", e.Name, e.Page)
		}
		for _, f := range e.Files {
			// A partial checksum is only as good as what it rests on says.
			if f.SHA256 == "" && !strings.Contains(f.Basis, "abbreviated") && !strings.Contains(f.Basis, "no checksum") {
				t.Errorf("%s: %s: basis %q", e.Name, f.Path, f.Basis)
			}
		}
	}
	if want := []string{"silero-vad", "silero-vad-16k", "vit-gpt2-quantized", "vit-gpt2"}; !slices.Equal(used, want) {
		t.Errorf("used: %q", used)
	}
}

// The manifest of an entry holds its contract, merged fields and checksums.
func TestManifestOfAnEntry(t *testing.T) {
	e, ok, err := Lookup("vit-gpt2")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	sums := map[string]string{}
	for i, f := range e.Files {
		sums[f.Path] = strings.Repeat(string("abc"[i]), 64)
	}
	data, err := e.manifest(sums)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parse(data)
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	m, ok := p.Model("caption")
	if !ok || p.Name != "vit-gpt2" || p.Fixture || !strings.HasPrefix(p.License, "Apache-2.0") || m.Version != "main" {
		t.Errorf("%+v", p)
	}
	if g := m.Graphs["decoder"]; g.Path != "decoder_model_merged.onnx" || g.SHA256 != sums["decoder_model_merged.onnx"] {
		t.Errorf("%+v", g)
	}
	if l := m.Labels["vocabulary"]; l.Path != "vocab.json" || l.SHA256 != sums["vocab.json"] {
		t.Errorf("%+v", l)
	}
	if m.Image.W != 224 || m.Image.Mean != [3]float64{0.5, 0.5, 0.5} || m.Decode.Start != 50256 || m.Decode.Beam != 4 {
		t.Errorf("%+v %+v", m.Image, m.Decode)
	}
	// It was made of copies: the next one has its own checksums.
	sums["vocab.json"] = strings.Repeat("d", 64)
	again, err := e.manifest(sums)
	if err != nil || strings.Count(string(again), "sha256") != 3 || !strings.Contains(string(again), sums["vocab.json"]) {
		t.Errorf("%v in\n%s", err, again)
	}
}

func TestCatalogueRefuses(t *testing.T) {
	good := `seehear: 1
models:
  - name: m
    family: speech
    version: "1"
    license: MIT
    note: a model
    files:
      - {path: m.onnx, url: "https://example.org/m.onnx", size: 5, sha256: "` + dummy + `", basis: none}
    contract:
      graphs: {gate: {path: m.onnx}}
      audio: {rate: 16000, window: 0.032}
`
	if _, err := parseCatalogue([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"seehear: 1", "seehear: 2", "format 2"},
		{"note: a model", "noet: a model", "noet"},
		{"name: m", "name: ../m", "not a name"},
		{"path: m.onnx, url", "path: ../m.onnx, url", "leads out"},
		{"path: m.onnx, url", "path: pack.yaml, url", "taken"},
		{"https://", "http://", "not a https address"},
		{"https://", "https://me:pw@", "not a https address"},
		{"size: 5,", "", "size and about"},
		{"size: 5", "size: 5, about: 5", "size and about"},
		{"size: 5", "size: -5", "size and about"},
		{dummy, dummy[1:], "64 lower-case"},
		{`sha256: "` + dummy, `sha256_partial: "0123`, "beginning and the end"},
		{`basis: none`, `basis: none, sha256_partial: 01234567...0123`, "whole and in part"},
		{"gate: {path: m.onnx}", "gate: {path: n.onnx}", "none of the files"},
		{"gate: {path", "gait: {path", "graphs.gate"},
		{"rate: 16000", "rate: 1", "audio.rate"},
		{"audio:", "sound:", "sound"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if _, err := parseCatalogue([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.new, err)
		}
	}
	if _, err := parseCatalogue([]byte(strings.Replace(good, good[strings.Index(good, "contract:"):], "contract: [1, 2]\n", 1))); err == nil {
		t.Error("a list is taken for a contract")
	}
	twice := good + good[strings.Index(good, "  - name"):]
	if _, err := parseCatalogue([]byte(twice)); err == nil || !strings.Contains(err.Error(), "two of it") {
		t.Error(err)
	}
	if _, err := DataFolder("../x"); err == nil {
		t.Error("a folder elsewhere is the data folder")
	}
}

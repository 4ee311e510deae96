package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyPack copies a fixture pack into a new folder, to be spoilt.
func copyPack(t *testing.T, pack string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pack")
	if err := os.CopyFS(dir, os.DirFS(pack)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func edit(t *testing.T, dir, from, to string) {
	t.Helper()
	path := filepath.Join(dir, Manifest)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), from, to, 1)
	if text == string(data) {
		t.Fatalf("the manifest has no %q", from)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s was accepted", what)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: error %q does not say %q", what, err, w)
		}
	}
	if strings.ContainsRune(err.Error(), '\n') {
		t.Errorf("%s: error of several lines: %q", what, err)
	}
}

func TestLoadRefusesFields(t *testing.T) {
	dirs := map[string]string{"fixture": copyPack(t, "fixture"), "fixture-optimum": copyPack(t, "fixture-optimum")}
	for _, c := range []struct {
		pack, from, to string
		want           string
	}{
		{"fixture", "seehear: 1", "seehear: 2", "seehear: format 2"},
		{"fixture", "seehear: 1", "seehear: one", "line 2"},
		{"fixture", "seehear: 1", "seehear: 1\nextra: 1", "field extra not found"},
		{"fixture", "seehear: 1", "seehear: 1\nseehear: 1", "already defined"},
		{"fixture", "seehear: 1", "{", "pack.yaml"},
		{"fixture", "name: fixture\n", "name: a/b\n", `name: "a/b" is not a name`},
		{"fixture", `version: "1.0.0"`, `version: ""`, "version: is missing"},
		{"fixture", `version: "1.0.0"`, `version: "1\n2"`, "version: is too long or holds control"},
		{"fixture", "fixture: true", "fixture: false", "model fixture-soundnet: name"},
		{"fixture", "name: fixture-soundnet", "name: soundnet", "model soundnet: name"},
		{"fixture", "name: fixture-speech\n", "name: fixture-soundnet\n", "two of it"},
		{"fixture", "family: soundnet", "family: ears", `model fixture-soundnet: family: "ears" is none of caption, embedding, localize`},
		{"fixture", "family: speech\n", "family: soundnet\n", "model fixture-speech: graphs.graph: is missing"},
		{"fixture", "      gate: {path", "      gates: {path", "graphs.gate: is missing"},
		{"fixture", "    labels:\n      objects", "    labels:\n      people: {path: a, sha256: b}\n      objects", "labels.people: a model of family soundnet has no labels"},
		{"fixture", "path: soundnet.onnx", "path: ../soundnet.onnx", "leads out of the pack"},
		{"fixture", "path: soundnet.onnx", "path: /etc/passwd", "graphs.graph.path: path \"/etc/passwd\" leads out"},
		{"fixture", "path: soundnet.onnx", "path: a/../../b.onnx", "leads out"},
		{"fixture", "path: soundnet.onnx", `path: 'a\b'`, "no place in it"},
		{"fixture", "path: soundnet.onnx", `path: ""`, "is empty"},
		{"fixture", "path: soundnet.onnx", "path: other.onnx", "graphs.graph: other.onnx: no such file"},
		{"fixture", "path: soundnet.onnx", "path: .", "not a regular file"},
		{"fixture", "path: soundnet.onnx", "path: objects.txt", "graphs.graph: objects.txt: "},
		{"fixture", "path: soundnet.onnx", "path: speech.onnx", "input waveform is missing: the contract has float32 [batch samples]"},
		{"fixture", "path: scenes.txt", "path: objects.txt", "output scenes is [batch 256 frames], and the contract says [batch 87 frames]"},
		{"fixture", "card: README.md", "card: ../README.md", "card: path"},
		{"fixture", "card: README.md", "card: CARD.md", "card: CARD.md: no such file"},
		{"fixture", "sha256: ", "sha256: X", "sha256"},
		{"fixture", "rate: 22050", "rate: 0", "audio.rate: 0 is not between"},
		{"fixture", "rate: 22050", "rate: 22050.5", "line 19: 22050.5 is not a whole number"},
		{"fixture", "window: 1.0", "window: .nan", "audio.window: NaN is not between"},
		{"fixture", "window: 1.0", "window: -1", "audio.window"},
		{"fixture", "scale: 256", "scale: .inf", "audio.scale"},
		{"fixture", "hop: 11025", "hop: 0", "audio.hop"},
		{"fixture", "stride: 11025", "stride: 0", "audio.stride"},
		{"fixture", "pad: silence", "pad: noise", "audio.pad"},
		{"fixture", "enter: 0.5, leave: 0.35", "enter: 0.5, leave: 0.6", "gate.leave: 0.6 is above"},
		{"fixture", "kind: power-law", "kind: mel", `audio.stft.kind: "mel" is none of power-law, log-psd`},
		{"fixture", "length: 400, hop: 160, fft: 512", "length: 400, hop: 160, fft: 256", "audio.stft.fft"},
		{"fixture", "power: 0.3", "power: 0", "audio.stft.power"},
		{"fixture", "fft: 512, power", "fft: 1024, power", "spectrogram is [batch 2 frames 257], and the contract says [batch 2 frames 513]"},
		{"fixture", "floor: 1.0e-7", "floor: 0", "audio.stft.floor"},
		{"fixture", "same_voice: 0.8", "same_voice: 2", "gate.same_voice"},
		{"fixture", "floor: 0.3, ceiling: 0.9", "floor: 0.9, ceiling: 0.9", "gate.floor: 0.9 is not below"},
		{"fixture", "rms: -60", "rms: 3", "gate.rms"},
		{"fixture", "gate: {rms: -100}", "gate: {show: {objects: 1.5}}", "gate.show.objects: 1.5 is not between"},
		{"fixture", "gate: {rms: -100}", "gate: {show: {events: 0.5}}", "gate.show.events: the model has no labels for that"},
		{"fixture", "method: semantic", "method: magic", "heat.method"},
		{"fixture", "width: 224", "width: 225", "input image is [batch 3 224 224], and the contract says [batch 3 224 225]"},
		{"fixture", "mean: [0.485, 0.456, 0.406]", "mean: [0.485, 0.456]", "want 3 elements but got 2"},
		{"fixture", "std: [0.229", "std: [-0.229", "image.std"},
		{"fixture", "fit: squash", "fit: stretch", "image.fit"},
		{"fixture", "order: rgb", "order: rbg", "image.order"},
		{"fixture", "layout: step", "layout: steps", "decode.layout"},
		{"fixture", "max: 8", "max: 0", "decode.max"},
		{"fixture", "state: [8, 8]", "state: [9, 8]", "input h is [batch 8], and the contract says [batch 9]"},
		{"fixture", "grid: [4, 4]", "grid: [4]", "decode.grid"},
		{"fixture", "path: caption_decoder.onnx", "path: caption_encoder.onnx", "input token is missing: the contract has int64 [batch]"},
		{"fixture", "path: localize_audio.onnx", "path: voice_encoder.onnx", "spectrogram is [batch 2 frames 257]"},
		{"fixture-optimum", "layers: 1", "layers: 2", "past_key_values.1.key is missing, and the manifest says 2 layers"},
		{"fixture-optimum", "head_dim: 2", "head_dim: 3", "past_key_values.0.key is [batch_size 2 past_decoder_sequence_length 2], and the contract says [batch 2 decoder_past 3]"},
		{"fixture-optimum", "heads: 2", "heads: 0", "decode.heads"},
		{"fixture-optimum", "layout: optimum", "layout: step", "input token is missing"},
	} {
		dir := dirs[c.pack]
		edit(t, dir, c.from, c.to)
		_, err := Load(dir)
		refused(t, c.to, err, c.want, "models: load "+dir+": ")
		whole, err := os.ReadFile(filepath.Join(c.pack, Manifest))
		if err != nil {
			t.Fatal(err)
		}
		if err = os.WriteFile(filepath.Join(dir, Manifest), whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoadRefusesFolders(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none"))
	refused(t, "a missing folder", err, "no such file")
	_, err = Load(t.TempDir())
	refused(t, "an empty folder", err, "pack.yaml: no such file")
	_, err = Load("models.go")
	refused(t, "a file", err, "not a directory")

	write := func(data string) error {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, Manifest), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		return err
	}
	refused(t, "an empty manifest", write(""), "empty")
	refused(t, "binary", write("\x00\x01\x02"), "pack.yaml: ")
	refused(t, "two documents", write("seehear: 1\n---\nseehear: 1\n"), "second document")
	refused(t, "a huge manifest", write(strings.Repeat("#", maxManifest+1)), "larger than")
	refused(t, "no models", write("seehear: 1\nname: a\nversion: b\nlicense: c\n"), "models: there is none")
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	refused(t, "a bomb", write(bomb), "pack.yaml: ")
}

func TestLoadRefusesLinksOut(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.onnx")
	data, err := os.ReadFile("fixture/soundnet.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(outside, data, 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(target, name string) string {
		dir := copyPack(t, "fixture")
		path := filepath.Join(dir, name)
		if err = os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err = os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, target := range []string{outside, "../../../etc/passwd"} {
		_, err = Load(link(target, "soundnet.onnx"))
		refused(t, target, err, "graphs.graph: soundnet.onnx: ", "escapes")
	}
	_, err = Load(link("/etc/passwd", "objects.txt"))
	refused(t, "labels elsewhere", err, "labels.objects: objects.txt: ", "escapes")
	_, err = Load(link("/etc/passwd", Manifest))
	refused(t, "a manifest elsewhere", err, "escapes")
	_, err = Load(link("/dev/zero", "README.md"))
	refused(t, "a card elsewhere", err, "escapes")

	// Within the pack a link is a file like others.
	dir := copyPack(t, "fixture")
	if err := os.Rename(filepath.Join(dir, "soundnet.onnx"), filepath.Join(dir, "real.onnx")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.onnx", filepath.Join(dir, "soundnet.onnx")); err != nil {
		t.Fatal(err)
	}
	if p, err := Load(dir); err != nil {
		t.Error(err)
	} else if err := p.Verify(); err != nil {
		t.Error(err)
	}
}

// pretend makes a pack of one real-looking soundnet model from the fixture's
// labels, with data as its graph and lines under it.
func pretend(t *testing.T, graph, lines string) string {
	t.Helper()
	dir := copyPack(t, "fixture")
	edit(t, dir, "graph: {path: soundnet.onnx, sha256: 50", "graph:\n        path: x.onnx\n"+lines+"        sha256: \"50")
	path := filepath.Join(dir, Manifest)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "}\n", "\"\n", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.onnx"), []byte(graph), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExternalData(t *testing.T) {
	plain, err := os.ReadFile("fixture/soundnet.onnx")
	if err != nil {
		t.Fatal(err)
	}
	// with appends to the model another graph field, which protobuf merges with
	// the first, holding a weight of which the data lie at location.
	with := func(location string) string {
		bytes := func(tag byte, s string) string { return string([]byte{tag, byte(len(s))}) + s }
		entry := bytes(1<<3|2, "location") + bytes(2<<3|2, location)
		return string(plain) + bytes(7<<3|2, bytes(5<<3|2, bytes(8<<3|2, "w")+bytes(13<<3|2, entry)))
	}
	listed := "        data: [{path: weights.bin, sha256: " + strings.Repeat("0", 64) + "}]\n"

	_, err = Load(pretend(t, with("weights.bin"), ""))
	refused(t, "data that are not listed", err, `"weights.bin" are not listed under data`)
	_, err = Load(pretend(t, with("weights.bin"), listed))
	refused(t, "data that are missing", err, "weights.bin: no such file")
	for _, location := range []string{"../weights.bin", "/etc/passwd", "a/../../b", "", "..", `..\x`} {
		_, err = Load(pretend(t, with(location), listed))
		refused(t, location, err, "external data path") // whether or not weights.bin is there
	}
	dir := pretend(t, with("weights.bin"), listed)
	file := filepath.Join(dir, "weights.bin")
	if err = os.WriteFile(file, []byte("weights"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "wrong weights", p.Verify(), "model fixture-soundnet: ", "sha256")
	if err = os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err = os.Symlink("/etc/passwd", file); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	refused(t, "weights elsewhere", err, "escapes")
}

func TestFixtureGraphInRealPack(t *testing.T) {
	dir := copyPack(t, "fixture-optimum")
	edit(t, dir, "fixture: true", "fixture: false")
	edit(t, dir, "name: fixture-caption-optimum", "name: captions")
	_, err := Load(dir)
	refused(t, "a test graph in a real pack", err, "is a test graph")
}

func TestVerify(t *testing.T) {
	for _, name := range []string{"decoder_model_merged.onnx", "vocabulary.txt"} {
		dir := copyPack(t, "fixture-optimum")
		p, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		refused(t, name, p.Verify(), "models: verify "+dir+": model fixture-caption-optimum: "+name, hex.EncodeToString(sum[:]))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		refused(t, name, p.Verify(), name+": ", "no such file")
	}
}

func TestDigest(t *testing.T) {
	p, err := Load("fixture")
	if err != nil {
		t.Fatal(err)
	}
	one, _ := p.Model("soundnet")
	if one.Digest() != one.Graphs["graph"].SHA256 {
		t.Error("the digest of one graph is not its own")
	}
	two, _ := p.Model("localize")
	sum := sha256.Sum256([]byte(two.Graphs["audio"].SHA256 + "\n" + two.Graphs["image"].SHA256))
	if two.Digest() != hex.EncodeToString(sum[:]) {
		t.Error("the digest of two graphs is wrong")
	}
	if _, ok := p.Model("taste"); ok {
		t.Error("there is a model for taste")
	}
}

func FuzzManifest(f *testing.F) {
	for _, pack := range []string{"fixture", "fixture-optimum"} {
		data, err := os.ReadFile(filepath.Join(pack, Manifest))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("seehear: 1\nmodels: [{labels: {a: }}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parse(data)
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		for i := range p.Models {
			for _, f := range p.Models[i].files() {
				if !filepath.IsLocal(f.Path) || len(f.SHA256) != 64 {
					t.Errorf("file %+v", f)
				}
			}
		}
	})
}

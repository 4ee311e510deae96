package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/models"
)

// packCopy puts a copy of the fixture pack into a data folder of the test's own.
func packCopy(t *testing.T, name string) (dir string) {
	t.Helper()
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	dir = filepath.Join(data, "seehear", "models", name)
	if err := os.CopyFS(dir, os.DirFS("../../models/fixture-optimum")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, models.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("name: fixture-optimum"), []byte("name: "+name), 1)
	if err := os.WriteFile(filepath.Join(dir, models.Manifest), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestModelsList(t *testing.T) {
	dir := packCopy(t, "mine")
	code, stdout, stderr := seehearRun(t, nil, "models", "list")
	if code != exitOK || stderr != "" {
		t.Fatal(code, stderr)
	}
	for _, want := range []string{"\nfixture ", "TEST FIXTURES", dir, "\nsilero-vad ", "2.3 MB", "about 247.3 MB", "not pulled, not used yet"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	code, stdout, _ = seehearRun(t, nil, "models", "list", "--json")
	var list struct {
		Packs     []packRow  `json:"packs"`
		Catalogue []entryRow `json:"catalogue"`
	}
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitOK {
		t.Fatal(code, err)
	}
	last := list.Packs[len(list.Packs)-1]
	if last.Name != "mine" || last.Dir != dir || last.From != "data folder" || !last.Fixture || len(last.Families) != 1 || last.Families[0] != "caption" {
		t.Errorf("%+v", last)
	}
	if e := list.Catalogue[0]; e.Name != "silero-vad" || e.Size != 2327524 || !e.Exact || e.Pulled || !e.Used {
		t.Errorf("%+v", e)
	}
	// A pack that can't be loaded stands in the list with the reason.
	if err := os.Remove(filepath.Join(dir, "vocabulary.txt")); err != nil {
		t.Fatal(err)
	}
	if _, stdout, _ = seehearRun(t, nil, "models", "list"); !strings.Contains(stdout, "CAN'T BE LOADED: models: load "+dir) {
		t.Errorf("got\n%s", stdout)
	}
}

func TestModelsInfo(t *testing.T) {
	dir := packCopy(t, "mine")
	for _, name := range []string{"mine", dir} {
		code, stdout, stderr := seehearRun(t, nil, "models", "info", name)
		if code != exitOK || stderr != "" {
			t.Fatal(code, stderr)
		}
		for _, want := range []string{
			"all agree", filepath.Join(dir, "README.md"), "opset 17",
			"in   pixel_values float32 [batch", "layout: optimum", "TEST FIXTURES",
		} {
			if !strings.Contains(stdout, want) {
				t.Errorf("no %q in\n%s", want, stdout)
			}
		}
	}
	// By the name of a model; and one file that was changed.
	if err := os.WriteFile(filepath.Join(dir, "vocabulary.txt"), []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ := seehearRun(t, nil, "models", "info", "--json", "mine")
	var info struct {
		Pack packInfo `json:"pack"`
	}
	if err := json.Unmarshal([]byte(stdout), &info); err != nil {
		// A vocabulary that does not fit the graph is refused before.
		t.Fatal(code, err, stdout)
	}
	if info.Pack.Checksums != "differ" || len(info.Pack.Mismatches) != 1 || len(info.Pack.Models[0].Graphs) != 2 || info.Pack.Manifest["license"] == "" {
		t.Errorf("%+v", info.Pack)
	}
	if code, stdout, _ = seehearRun(t, nil, "models", "info", "fixture-speech"); code != exitOK || !strings.Contains(stdout, "pack        fixture 1.0.0") {
		t.Errorf("%d\n%s", code, stdout)
	}

	code, stdout, _ = seehearRun(t, nil, "models", "info", "vit-gpt2")
	for _, want := range []string{"sha256_partial 1e624fcd6a4a...0b29: only the beginning", "sha256 not known", "about 343.0 MB", "Apache-2.0", "https://huggingface.co/Xenova/vit-gpt2-image-captioning/resolve/main/onnx/encoder_model.onnx", "layout: optimum"} {
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if _, stdout, _ = seehearRun(t, nil, "models", "info", "yunet"); !strings.Contains(stdout, notUsed) {
		t.Errorf("got\n%s", stdout)
	}
	if _, stdout, _ = seehearRun(t, nil, "models", "info", "--json", "vit-gpt2"); !strings.Contains(stdout, `"sha256_partial": "1e624fcd6a4a...0b29"`) || !json.Valid([]byte(stdout)) {
		t.Errorf("got\n%s", stdout)
	}
	if code, _, stderr := seehearRun(t, nil, "models", "info", "nobody"); code == exitOK || strings.Count(stderr, "\n") != 1 {
		t.Error(code, stderr)
	}
}

func TestModelsVerify(t *testing.T) {
	dir := packCopy(t, "mine")
	code, stdout, stderr := seehearRun(t, nil, "models", "verify")
	if code != exitOK || stderr != "" || strings.Count(stdout, "all checksums agree") < 3 {
		t.Fatal(code, stdout, stderr)
	}
	for _, f := range []string{"vocabulary.txt", "encoder_model.onnx"} {
		file, err := os.OpenFile(filepath.Join(dir, f), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString("\xff"); err != nil { // neither UTF-8 nor a graph
			t.Fatal(err)
		}
		file.Close()
	}
	code, stdout, stderr = seehearRun(t, nil, "models", "verify", "mine")
	if code != exitAll || strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, "vocabulary.txt has sha256") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	if code, _, _ = seehearRun(t, nil, "models", "verify"); code != exitSome {
		t.Errorf("exit %d with one bad pack of several", code)
	}
	code, stdout, _ = seehearRun(t, nil, "models", "verify", "--json", dir)
	var all []verified
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || code != exitAll || len(all) != 1 || all[0].OK || len(all[0].Mismatches) != 2 {
		t.Errorf("%d, %v, %+v", code, err, all)
	}
	for _, name := range []string{"nobody", "silero-vad"} {
		if code, _, stderr = seehearRun(t, nil, "models", "verify", name); code == exitOK || strings.Count(stderr, "\n") != 1 {
			t.Error(name, code, stderr)
		}
	}
	// What no family uses is compared with the catalogue.
	other := filepath.Join(filepath.Dir(dir), "rfb-320")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "version-RFB-320.onnx"), make([]byte, 1270727), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ = seehearRun(t, nil, "models", "verify", "rfb-320"); code != exitAll || !strings.Contains(stdout, "the catalogue says 34cd7e60") {
		t.Errorf("%d\n%s", code, stdout)
	}
}

func TestModelsPull(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	data := bytes.Repeat([]byte("weights "), 1000)
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	gets := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gets++
		http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(data))
	}))
	defer s.Close()
	address := strings.Replace(s.URL, "://", "://me:hunter2@", 1) + "/gate.onnx"
	dir, err := models.DataFolder("gate")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gate.onnx")

	code, stdout, stderr := seehearRun(t, nil, "models", "pull", address)
	if code != exitAll || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--sha256 "+hash) || strings.Contains(stderr, "hunter2") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it is installed without a checksum")
	}
	code, stdout, stderr = seehearRun(t, nil, "models", "pull", address, "--sha256", strings.ToUpper(hash))
	if code != exitOK || !strings.Contains(stdout, hash+" (as you gave it)") || !strings.Contains(stdout, "write a pack.yaml") || stderr != "" {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, data) {
		t.Error(err)
	}
	out := t.TempDir()
	code, stdout, _ = seehearRun(t, nil, "models", "pull", address, "--sha256", hash, "-o", out, "--json")
	var pulled struct {
		Dir   string       `json:"dir"`
		Pack  bool         `json:"pack"`
		Files []pulledFile `json:"files"`
	}
	if err := json.Unmarshal([]byte(stdout), &pulled); err != nil || code != exitOK || pulled.Dir != out || pulled.Pack || pulled.Files[0].SHA256 != hash {
		t.Errorf("%d, %v, %s", code, err, stdout)
	}
	if gets != 2 {
		t.Errorf("%d downloads, want 2", gets)
	}
	for _, bad := range [][]string{{"nobody"}, {"https://h/"}, {"silero-vad", "--sha256", hash}, {address, "--sha256", "12"}} {
		if code, _, stderr := seehearRun(t, nil, append([]string{"models", "pull"}, bad...)...); code != exitAll || strings.Count(stderr, "\n") != 1 {
			t.Error(bad, code, stderr)
		}
	}
}

// The first interrupt ends a pull; the next one goes on.
func TestModelsPullStops(t *testing.T) {
	stop := make(chan struct{})
	data := bytes.Repeat([]byte{1}, 4096)
	var ranges []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		w.Header().Set("ETag", `"a"`)
		if len(ranges) > 1 {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:1000])
		_ = http.NewResponseController(w).Flush()
		close(stop)
		<-r.Context().Done()
	}))
	defer s.Close()
	dir := t.TempDir()
	sum := sha256.Sum256(data)
	args := []string{"models", "pull", s.URL + "/m.onnx", "-o", dir, "--sha256", hex.EncodeToString(sum[:])}
	if code, _, stderr := seehearRun(t, stop, args...); code != exitInterrupted || !strings.Contains(stderr, "goes on from here") {
		t.Error(code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "m.onnx")); err == nil {
		t.Error("a part has the final name")
	}
	if code, _, stderr := seehearRun(t, nil, args...); code != exitOK {
		t.Error(code, stderr)
	}
	if len(ranges) != 2 {
		t.Errorf("%q", ranges)
	}
}

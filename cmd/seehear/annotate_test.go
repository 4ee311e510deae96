package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/sinks/encode"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if barcodeClip.name != "" {
			_ = os.RemoveAll(filepath.Dir(barcodeClip.name))
		}
		os.Exit(code)
	}))
}

const (
	demo = "../../docs/demo/demo.mp4"
	pack = "../../models/fixture"
)

// seehear runs the command in this process.
func seehearRun(t *testing.T, stop <-chan struct{}, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, streams{strings.NewReader(""), &out, &errs}, stop)
	noHandles(t)
	return code, out.String(), errs.String()
}

// noHandles asserts that every C object of every adapter was freed: goleak
// cannot see those.
func noHandles(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int64{
		"ingest/av": av.Handles(), "decode/ffmpeg": ffmpeg.Handles(), "sinks/encode": encode.Handles(), "infer/ort": ort.Handles(),
	} {
		if n != 0 {
			t.Errorf("%s: %d C handles are still open", name, n)
		}
	}
}

// lines reads results and checks each line against the published schema.
func lines(t *testing.T, path string) []map[string]any {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.NewCompiler().Compile("../../docs/results.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for i, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatalf("%s:%d: %v", path, i+1, err)
		}
		if err := schema.Validate(v); err != nil {
			t.Fatalf("%s:%d: %v", path, i+1, err)
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func noParts(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".part") || strings.HasSuffix(path, ".spool") {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnnotateDemo(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr := seehearRun(t, nil, "annotate", "--models", pack, "--faces", "-o", dir, demo)
	if code != exitOK {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	if !strings.Contains(stdout, filepath.Join(dir, "demo", "report.html")) {
		t.Errorf("the report is not named: %q", stdout)
	}
	if !strings.Contains(stderr, "fixtures") {
		t.Errorf("standard error does not say that the models are fixtures: %q", stderr)
	}
	for _, f := range []string{"results.jsonl", "captions.vtt", "sounds.vtt", "annotated.mp4", "report.html", doneName} {
		if info, err := os.Stat(filepath.Join(dir, "demo", f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	noParts(t, dir)
	all := lines(t, filepath.Join(dir, "demo", "results.jsonl"))
	kinds := map[string]int{}
	for _, l := range all[1 : len(all)-1] {
		kinds[l["kind"].(string)]++
		if l["model"] != nil && l["model"] != "" && l["fixture"] != true {
			t.Fatalf("a result of a fixture does not say so: %v", l)
		}
	}
	for _, l := range all[1 : len(all)-1] {
		if l["kind"] == "face" {
			name, _ := l["face"].(map[string]any)["file"].(string)
			if _, err := os.Stat(filepath.Join(dir, "demo", filepath.FromSlash(name))); name == "" || err != nil {
				t.Errorf("a face names its picture %q: %v", name, err)
			}
		}
	}
	for _, k := range []string{"sound", "heatmap", "caption", "cut", "speech", "face"} {
		if kinds[k] == 0 {
			t.Errorf("no %s among the results: %v", k, kinds)
		}
	}
	if kinds["cut"] != 5 {
		t.Errorf("%d cuts, want 5: the first frame and four scene changes", kinds["cut"])
	}
	sum := all[len(all)-1]["summary"].(map[string]any)
	if sum["complete"] != true || sum["frames"] != 562.0 || sum["drops"] != 0.0 {
		t.Errorf("summary: %v", sum)
	}

	// A second run has nothing to do; --force does it again, to the same bytes.
	before, err := os.ReadFile(filepath.Join(dir, "demo", "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, _ = seehearRun(t, nil, "annotate", "--models", pack, "--faces", "-o", dir, "--json", demo)
	if code != exitOK || !strings.Contains(stdout, `"skipped":1`) {
		t.Errorf("second run: exit %d, %s", code, stdout)
	}
	for _, n := range []int{1, 2} {
		was := runtime.GOMAXPROCS(n)
		other := t.TempDir()
		code, _, stderr = seehearRun(t, nil, "annotate", "--models", pack, "--faces", "-o", other, "--outputs", "jsonl,png", demo)
		runtime.GOMAXPROCS(was)
		after, err := os.ReadFile(filepath.Join(other, "demo", "results.jsonl"))
		if code != exitOK || err != nil {
			t.Fatalf("GOMAXPROCS=%d: exit %d, %v\n%s", n, code, err, stderr)
		}
		if !bytes.Equal(before, after) {
			t.Errorf("GOMAXPROCS=%d gives other bytes", n)
		}
	}
}

func TestBadInputs(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, err := os.ReadFile(demo)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 20000)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	// A PNG header that claims 65,536 x 65,536 pixels.
	wide := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x00\x00\x00\x01\x00\x00\x08\x02\x00\x00\x00"), make([]byte, 400)...)
	bad := []string{
		filepath.Join(dir, "missing.mp4"),
		file("empty.mp4", nil),
		file("text.mp4", []byte(strings.Repeat("this is not a video\n", 100))),
		file("noise.mp4", noise),
		file("wide.png", wide),
		file("headless.mp4", good[len(good)/2:]),
		t.TempDir(),
		filepath.Join(dir, "new\nline\x1b[31m.mp4"),
		filepath.Join(dir, "new\nline*.mp4"),
	}
	for _, in := range bad {
		code, stdout, stderr := seehearRun(t, nil, "annotate", "--models", "none", "-o", out, in)
		if code != exitAll {
			t.Errorf("%s: exit %d, want %d\n%s%s", in, code, exitAll, stdout, stderr)
		}
		if n := strings.Count(stderr, "\n"); n != 1 || !strings.Contains(stderr, oneLine(filepath.Base(in))) {
			t.Errorf("%s: want one line that names it, got %q", in, stderr)
		}
		code, _, _ = seehearRun(t, nil, "probe", in)
		if code != exitAll {
			t.Errorf("probe %s: exit %d, want %d", in, code, exitAll)
		}
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	code, stdout, _ := seehearRun(t, nil, append([]string{"annotate", "--models", "none", "--outputs", "jsonl", "--json", "-o", out}, append(bad, demo)...)...)
	if code != exitSome || !strings.Contains(stdout, fmt.Sprintf(`"failed":%d`, len(bad))) || !strings.Contains(stdout, `"done":1`) {
		t.Errorf("bad inputs and a good one: exit %d, %s", code, stdout)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"annotate"},
		{"nonsense"},
		{"annotate", "--outputs", "gif", demo},
		{"annotate", "-j", "0", demo},
		{"probe", "--rate", "0", demo},
		{"annotate", "--caption-every", "bogus", demo},
		{"annotate", "--models", "none", "--caption-every", "bogus", demo},
		{"annotate", "--models", pack, "--beam", "-1", demo},
		{"annotate", "--models", pack, "--localize-fps", "0", demo},
	} {
		if code, _, stderr := seehearRun(t, nil, args...); code != exitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit %d, %q", args, code, stderr)
		}
	}
	if code, stdout, _ := seehearRun(t, nil, "--help"); code != exitOK || !strings.Contains(stdout, "annotate") {
		t.Errorf("--help: exit %d", code)
	}
}

func TestModelsMissing(t *testing.T) {
	code, _, stderr := seehearRun(t, nil, "annotate", "--models", filepath.Join(t.TempDir(), "nowhere"), "-o", t.TempDir(), demo)
	if code != exitAll || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "nowhere") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// TestSoftStop: what is decoded is finished, and every file that has its final
// name is whole and says that it is not all.
func TestSoftStop(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	// Asked before anything began: nothing is begun.
	if code, _, _ := seehearRun(t, stop, "annotate", "--models", "none", "-o", t.TempDir(), demo); code != exitInterrupted {
		t.Errorf("exit %d, want %d", code, exitInterrupted)
	}
}

// TestStdin: standard input is spooled for the second pass and the spool removed.
func TestStdin(t *testing.T) {
	f, err := os.Open(demo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"annotate", "--models", pack, "--outputs", "jsonl,mp4", "-o", dir, "-"}, streams{f, &out, &errs}, nil)
	noHandles(t)
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	noParts(t, dir)
	all := lines(t, filepath.Join(dir, "stdin", "results.jsonl"))
	if sum := all[len(all)-1]["summary"].(map[string]any); sum["frames"] != 562.0 {
		t.Errorf("summary: %v", sum)
	}
	if _, err := os.Stat(filepath.Join(dir, "stdin", "annotated.mp4")); err != nil {
		t.Error(err)
	}
}

// afterBytes is standard input that closes stop once so many bytes were read.
type afterBytes struct {
	io.Reader
	left int
	stop chan struct{}
	once sync.Once
}

func (a *afterBytes) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p[:min(len(p), 4096)])
	if a.left -= n; a.left <= 0 {
		a.once.Do(func() { close(a.stop) })
	}
	return n, err
}

// TestStopInTheMiddle: every file is whole under its final name, and says that
// it is not all.
func TestStopInTheMiddle(t *testing.T) {
	b, err := os.ReadFile(demo)
	if err != nil {
		t.Fatal(err)
	}
	dir, stop := t.TempDir(), make(chan struct{})
	in := &afterBytes{Reader: bytes.NewReader(b), left: len(b) / 3, stop: stop}
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"annotate", "--models", "none", "-o", dir, "-"}, streams{in, &out, &errs}, stop)
	noHandles(t)
	if code != exitInterrupted {
		t.Fatalf("exit %d, want %d: %s", code, exitInterrupted, errs.String())
	}
	stopped(t, filepath.Join(dir, "stdin"))
}

// TestStopWhileDrawing: a stop in the second pass ends it, and the results say
// that not all was made.
func TestStopWhileDrawing(t *testing.T) {
	dir, stop := t.TempDir(), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(stop)
		for range 3000 { // the second pass has begun once there is a video
			if m, _ := filepath.Glob(filepath.Join(dir, "demo", "annotated*.part")); len(m) > 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	code, stdout, stderr := seehearRun(t, stop, "annotate", "--models", "none", "-o", dir, demo)
	<-ended
	if code != exitInterrupted {
		t.Fatalf("exit %d, want %d\n%s%s", code, exitInterrupted, stdout, stderr)
	}
	stopped(t, filepath.Join(dir, "demo"))
}

func stopped(t *testing.T, dir string) {
	t.Helper()
	noParts(t, dir)
	all := lines(t, filepath.Join(dir, "results.jsonl"))
	if sum := all[len(all)-1]["summary"].(map[string]any); sum["complete"] != false || sum["frames"] == 0.0 {
		t.Errorf("summary: %v", sum)
	}
	for _, f := range []string{"annotated.mp4", "report.html", "captions.vtt", "sounds.vtt"} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, doneName)); err == nil {
		t.Error("an interrupted run looks finished")
	}
}

// TestAwkwardNames: names that mean something to a pattern, to HTML or to the
// file system; what an earlier run left goes away.
func TestAwkwardNames(t *testing.T) {
	b, err := os.ReadFile(demo)
	if err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), t.TempDir()
	for _, name := range []string{"a[b] *?.mp4", "<script>alert(1)</script>", "new\nline.mp4", "-dash.mp4", "100%d.mp4", "ñ 雪.mp4", strings.Repeat("é", 125) + ".mp4"} {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(out, stem(file))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		old := filepath.Join(folder, "report.html")
		if err := os.WriteFile(old, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := seehearRun(t, nil, "annotate", "--models", "none", "--outputs", "jsonl", "-o", out, file)
		if code != exitOK {
			t.Errorf("%q: exit %d, %s", name, code, stderr)
			continue
		}
		if _, err := os.Stat(old); err == nil {
			t.Errorf("%q: what an earlier run left is still there", name)
		}
		lines(t, filepath.Join(folder, "results.jsonl"))
	}
}

// TestModelFaults: a pack or a library that does not fit is one line, no crash,
// and doctor tells of it too.
func TestModelFaults(t *testing.T) {
	copied := func() string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(pack)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	changed := copied()
	f, err := os.OpenFile(filepath.Join(changed, "soundnet.onnx"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, werr := f.Write([]byte("\n"))
	if err := errors.Join(werr, f.Close()); err != nil {
		t.Fatal(err)
	}
	missing := copied()
	if err := os.Remove(filepath.Join(missing, "speech.onnx")); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"a changed graph":      {"--models", changed},
		"a missing graph":      {"--models", missing},
		"a missing library":    {"--models", pack, "--onnxruntime", filepath.Join(t.TempDir(), "none.so")},
		"no library":           {"--models", pack, "--onnxruntime", demo},
		"faces without a face": {"--models", withoutFaces(t, copied()), "--faces"},
	} {
		code, _, stderr := seehearRun(t, nil, append([]string{"annotate", "-o", t.TempDir(), demo}, args...)...)
		if code != exitAll || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q", name, code, stderr)
		}
	}
	for _, args := range [][]string{{"--models", changed}, {"--models", missing}, {"--models", pack, "--onnxruntime", demo}} {
		code, stdout, _ := seehearRun(t, nil, append([]string{"doctor"}, args...)...)
		if code != exitSome || !strings.Contains(stdout, "PROBLEM") {
			t.Errorf("doctor %v: exit %d, %s", args, code, stdout)
		}
	}
}

// withoutFaces takes the model of faces out of a manifest.
func withoutFaces(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "pack.yaml")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	models := strings.Split(string(b), "\n  - name: ")
	models = slices.DeleteFunc(models, func(m string) bool { return strings.Contains(m, "family: speech2face") })
	if err := os.WriteFile(name, []byte(strings.Join(models, "\n  - name: ")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

package viewer

import (
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// read returns the files of the page by name.
func read(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(Files(), name)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Every file that a file of the page asks for is there, and every file is asked
// for by another.
func TestFilesAreWhole(t *testing.T) {
	files := read(t)
	wanted := map[string]bool{"index.html": true}
	imports := regexp.MustCompile(`(?m)^(?:import|export)\s[^"]*from "(\./[^"]+)";`)
	links := regexp.MustCompile(`(?:src|href)="viewer/([^"]+)"`)
	for name, text := range files {
		for _, m := range imports.FindAllStringSubmatch(text, -1) {
			wanted[path.Clean(m[1])] = true
		}
		if name == "index.html" {
			for _, m := range links.FindAllStringSubmatch(text, -1) {
				wanted[m[1]] = true
			}
		}
	}
	for name := range wanted {
		if _, ok := files[name]; !ok {
			t.Errorf("%s is asked for and missing", name)
		}
	}
	for name := range files {
		if !wanted[name] {
			t.Errorf("%s is asked for by nobody", name)
		}
	}
}

// The page works under its policy, and cannot read a name as markup.
func TestFilesKeepThePolicy(t *testing.T) {
	banned := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|https?://|setAttribute\("(?:style|on)|<style|<script>|\sstyle="|\son[a-z]+="`)
	for name, text := range read(t) {
		// The namespace of SVG is a name, not an address.
		text = strings.ReplaceAll(text, `"http://www.w3.org/2000/svg"`, "")
		for _, at := range banned.FindAllStringIndex(text, -1) {
			t.Errorf("%s: %q", name, text[at[0]:at[1]])
		}
	}
}

// The modules that touch no browser, in node.
func TestModules(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is missing: Debian's package nodejs, which `make deps` installs")
	}
	tests, err := filepath.Glob("test/*.test.js")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), node, append([]string{"--test"}, tests...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !regexp.MustCompile(`(?m)^# pass [1-9]`).Match(out) {
		t.Fatalf("no test ran:\n%s", out)
	}
}

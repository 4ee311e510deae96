package ort

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// found is the library that the other tests use.
func found(t *testing.T) string {
	t.Helper()
	path, err := choose(Search(""))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSearchOrder(t *testing.T) {
	lib := found(t)
	cache := t.TempDir()
	t.Setenv("SEEHEAR_CACHE", cache)
	t.Setenv(LibraryEnv, "")
	order := func(explicit string) (from []string) {
		for _, c := range Search(explicit) {
			from = append(from, c.From)
		}
		return from
	}
	rest := []string{"beside the binary", "beside the binary", "cache", "system"}
	if got := order(""); !slices.Equal(got, rest) {
		t.Errorf("order %q", got)
	}
	t.Setenv(LibraryEnv, lib)
	if got := order("x.so"); !slices.Equal(got, append([]string{"--onnxruntime", LibraryEnv}, rest...)) {
		t.Errorf("order %q", got)
	}
	// What the user names is taken or refused, never passed over.
	if _, err := choose(Search("/nowhere/x.so")); err == nil || !strings.Contains(err.Error(), "/nowhere/x.so (--onnxruntime): ") {
		t.Errorf("%v", err)
	}
	if got, err := choose(Search("")); err != nil || got != lib {
		t.Errorf("%s, %v", got, err)
	}
	// The cache.
	t.Setenv(LibraryEnv, "")
	dir := filepath.Join(cache, "onnxruntime-"+Version)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(lib, filepath.Join(dir, libraryName())); err != nil {
		t.Fatal(err)
	}
	if got, err := choose(Search("")); err != nil || got != filepath.Join(dir, libraryName()) {
		t.Errorf("%s, %v", got, err)
	}
	for _, c := range Search(lib)[:1] {
		if !c.Found || c.Version != Version || c.Err != nil || !c.Demanded {
			t.Errorf("%+v", c)
		}
	}
}

func TestNothingFound(t *testing.T) {
	_, err := choose([]Candidate{{From: "cache", Path: "/a/b"}, {From: "system", Path: "c"}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"1.27.0", "/a/b", "make deps", "--onnxruntime", LibraryEnv} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

// Every wrong file is refused with a reason and a way to mend it, by Search and
// by Open, without bringing the process down.
func TestRefusesWrongLibraries(t *testing.T) {
	lib := found(t)
	dir := t.TempDir()
	whole, err := os.ReadFile(lib)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	compile := func(name, source string) string {
		p := filepath.Join(dir, name)
		c := write(name+".c", []byte(source))
		if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", p, c).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return p
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing.so"): "no such file",
		dir:                              "not a regular file",
		write("empty.so", nil):           "not a shared library",
		write("text.so", []byte("#!/bin/sh\nexit 0\n")):                                "not a shared library",
		write("cut.so", whole[:len(whole)/2]):                                          "",
		write("header.so", whole[:200]):                                                "",
		write("older.so", bytes.ReplaceAll(whole, []byte("1.27.0"), []byte("1.22.0"))): "it is ONNX Runtime 1.22.0, and the binding is made for 1.27.0",
		compile("other.so", "int answer(void) { return 42; }"):                         "not a library of ONNX Runtime",
		compile("old.so", `static const char *v(void) { return "1.9.1"; }
			static const void *a(unsigned n) { return 0; }
			static struct { const void *(*a)(unsigned); const char *(*v)(void); } base = { a, v };
			void *OrtGetApiBase(void) { return &base; }`): "it is ONNX Runtime 1.9.1, and the binding is made for 1.27.0",
		compile("null.so", "void *OrtGetApiBase(void) { return 0; }"): "not a library of ONNX Runtime",
	} {
		rt, err := Open(Options{Library: path})
		if err == nil {
			rt.Close()
			t.Errorf("%s was accepted", path)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, want) || !strings.Contains(text, path) || !strings.Contains(text, "make deps") ||
			strings.ContainsRune(text, '\n') || !strings.HasPrefix(text, "ort: ") {
			t.Errorf("%s: error %q, want %q", filepath.Base(path), text, want)
		}
	}
	if Handles() != 0 {
		t.Errorf("%d handles", Handles())
	}
	open(t) // the right one still works
}

func TestOneLibraryAtATime(t *testing.T) {
	lib := found(t)
	copied := filepath.Join(t.TempDir(), libraryName())
	whole, err := os.ReadFile(lib)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	rt := open(t)
	if _, err := Open(Options{Library: copied}); err == nil || !strings.Contains(err.Error(), rt.Library()) {
		t.Errorf("%v", err)
	}
}

// The system's loader is asked last, with a name that it does not know here.
func TestLoadUnknownName(t *testing.T) {
	if _, err := load("libseehear-nothing.so.1"); !errors.Is(err, errNotFound) {
		t.Errorf("%v", err)
	}
}

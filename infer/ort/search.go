package ort

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// LibraryEnv is the environment variable that names the library.
const LibraryEnv = "SEEHEAR_ONNXRUNTIME"

// mend is the end of every error about the library.
const mend = "run `make deps`, or name the library of ONNX Runtime " + Version +
	" with --onnxruntime or " + LibraryEnv

// Candidate is a place where the library is looked for.
type Candidate struct {
	From  string // "--onnxruntime", the variable, "beside the binary", "cache", "system"
	Path  string // of the system's loader, the bare name
	Found bool   // there is such a file; it is the one used unless one before it was found
	// Demanded: the user named it, so nothing after it is looked at.
	Demanded bool
	// Version is what the file says of itself without being loaded, "" if it
	// does not tell; Err is why it can't be used.
	Version string
	Err     error
}

// Search lists the places in the order in which they are tried. Nothing is
// loaded, save that the system's own loader can only be asked by loading: it is
// left alone if something was found before it.
func Search(explicit string) []Candidate {
	var list []Candidate
	add := func(from, path string, demanded bool) {
		c := Candidate{From: from, Path: path, Demanded: demanded}
		if _, err := os.Stat(path); err == nil {
			c.Found = true
			c.Version, c.Err = inspect(path)
		} else if demanded || !errors.Is(err, fs.ErrNotExist) {
			c.Err = err
		}
		list = append(list, c)
	}
	if explicit != "" {
		add("--onnxruntime", explicit, true)
	}
	if p := os.Getenv(LibraryEnv); p != "" {
		add(LibraryEnv, p, true)
	}
	if exe, err := os.Executable(); err == nil {
		if target, err := filepath.EvalSymlinks(exe); err == nil {
			exe = target
		}
		dir := filepath.Dir(exe)
		add("beside the binary", filepath.Join(dir, libraryName()), false)
		add("beside the binary", filepath.Join(filepath.Dir(dir), "lib", libraryName()), false)
	}
	if dir := cacheDir(); dir != "" {
		add("cache", filepath.Join(dir, "onnxruntime-"+Version, libraryName()), false)
	}
	c := Candidate{From: "system", Path: libraryName()}
	if slices.ContainsFunc(list, func(c Candidate) bool { return c.Found || c.Demanded }) {
		return append(list, c)
	}
	if lib, err := load(c.Path); err == nil {
		c.Found, c.Path, c.Version = true, lib.Path, lib.Version
	} else if !errors.Is(err, errNotFound) {
		c.Found, c.Err = true, err
	}
	return append(list, c)
}

// choose returns the path of the first candidate that exists. One that exists
// and can't be used is an error: silently taking the next would hide it.
func choose(list []Candidate) (string, error) {
	var looked []string
	for _, c := range list {
		switch {
		case c.Err != nil:
			return "", fmt.Errorf("%s (%s): %w: %s", c.Path, c.From, c.Err, mend)
		case c.Found:
			return c.Path, nil
		}
		looked = append(looked, c.Path)
	}
	return "", fmt.Errorf("ONNX Runtime %s was not found (looked at %s): %s",
		Version, strings.Join(looked, ", "), mend)
}

func libraryName() string {
	if runtime.GOOS == "darwin" {
		return "libonnxruntime.dylib"
	}
	return "libonnxruntime.so.1"
}

// cacheDir is the folder that make deps fills.
func cacheDir() string {
	if d := os.Getenv("SEEHEAR_CACHE"); d != "" {
		return d
	}
	if d := os.Getenv("XDG_CACHE_HOME"); d != "" {
		return filepath.Join(d, "seehear")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".cache", "seehear")
}

// inspect looks at a library without loading it, since loading runs its code and
// a damaged one can kill the process: is it whole, is it ONNX Runtime, and which
// (the version is the suffix of its one exported symbol).
func inspect(path string) (version string, err error) {
	if runtime.GOOS != "linux" {
		return "", nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("it is not a shared library: %w", err)
	}
	defer f.Close()
	if f.Type != elf.ET_DYN || f.Machine != machine() {
		return "", fmt.Errorf("it is a %v for %v, not a shared library for %s", f.Type, f.Machine, runtime.GOARCH)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && (p.Off > uint64(st.Size()) || p.Filesz > uint64(st.Size())-p.Off) {
			return "", errors.New("the file is cut off")
		}
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return "", fmt.Errorf("it is not a library of ONNX Runtime: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "OrtGetApiBase" && s.Section != elf.SHN_UNDEF {
			v := strings.TrimPrefix(s.Version, "VERS_")
			if v == "" {
				return "", nil // a build without symbol versions; load will ask it
			}
			return v, fits(v)
		}
	}
	return "", errors.New("it is not a library of ONNX Runtime")
}

func machine() elf.Machine {
	switch runtime.GOARCH {
	case "amd64":
		return elf.EM_X86_64
	case "arm64":
		return elf.EM_AARCH64
	case "386":
		return elf.EM_386
	case "arm":
		return elf.EM_ARM
	case "riscv64":
		return elf.EM_RISCV
	}
	return elf.EM_NONE
}

// fits says whether the binding can work with a version of the library.
func fits(version string) error {
	want := Version[:strings.LastIndexByte(Version, '.')+1]
	if !strings.HasPrefix(version, want) {
		return fmt.Errorf("it is ONNX Runtime %s, and the binding is made for %s", version, Version)
	}
	return nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

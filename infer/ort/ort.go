// Package ort runs ONNX graphs on ONNX Runtime, through onnxruntime_go.
//
// The command opens one [Runtime] and a [Session] per graph, hands the sessions
// to families (as infer.Session) and closes everything in reverse order:
//
//	rt, err := ort.Open(ort.Options{Library: flags.ONNXRuntime})
//	…
//	defer rt.Close()
//	s, err := rt.Session("models/default/soundnet8.onnx", ort.SessionOptions{})
//	…
//	defer s.Close()
//
// The caller's tensors are lent to the library for the length of one Run: they
// are pinned, not copied, and the library keeps nothing of them afterwards.
// Outputs that the library sized itself are copied into fresh Go memory, which
// the caller owns. [Handles] counts what is open on the C side.
package ort

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	binding "github.com/yalue/onnxruntime_go"
)

// Version is the release of ONNX Runtime that the binding is made for. Another
// patch of the same minor release will do; anything else is refused.
const Version = "1.27.0"

// ErrClosed is what a closed Session or Runtime answers.
var ErrClosed = errors.New("closed")

// Options say which library to use.
type Options struct {
	// Library is the path of the shared library, from --onnxruntime. Empty:
	// the first candidate of [Search] that exists.
	Library string
}

// Runtime is a reference to the process's one ONNX Runtime environment. Its
// methods may be called by several goroutines.
type Runtime struct {
	lib library

	mu       sync.Mutex
	closed   bool
	sessions int
}

// environment is the state that the binding keeps for the whole process; ours is
// only the count of the Runtimes that share it.
var environment struct {
	sync.Mutex
	refs int
	lib  library
}

var handles atomic.Int64

// Handles returns the number of C objects that are open: environment, sessions,
// tensors, run options. It is zero when everything was closed.
func Handles() int64 { return handles.Load() }

// Open finds and loads the library, checks its version and makes the
// environment. Several Runtimes may be open if they use the same library. An
// error says which file was looked at and how to mend it.
func Open(o Options) (*Runtime, error) {
	environment.Lock()
	defer environment.Unlock()
	if environment.refs > 0 {
		if o.Library != "" && !sameFile(o.Library, environment.lib.Path) {
			return nil, fmt.Errorf("ort: open %s: %s is open in this process, and there can be one only",
				o.Library, environment.lib.Path)
		}
		environment.refs++
		return &Runtime{lib: environment.lib}, nil
	}
	path, err := choose(Search(o.Library))
	if err != nil {
		return nil, fmt.Errorf("ort: %w", err)
	}
	lib, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("ort: %w", err)
	}
	binding.SetSharedLibraryPath(lib.Path)
	// Errors come back from each call; what the library would print besides
	// would spoil the terminal.
	if err := binding.InitializeEnvironment(binding.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("ort: start ONNX Runtime from %s: %w", lib.Path, err)
	}
	handles.Add(1)
	environment.refs, environment.lib = 1, lib
	return &Runtime{lib: lib}, nil
}

// Library returns where the library was found.
func (rt *Runtime) Library() string { return rt.lib.Path }

// Version returns what the library says of itself, such as "1.27.0".
func (rt *Runtime) Version() string { return rt.lib.Version }

// Providers lists the execution providers of the library, best first; the last
// one is CPUExecutionProvider.
func (rt *Runtime) Providers() []string { return slices.Clone(rt.lib.Providers) }

// Close gives the environment back. All sessions must have been closed: with one
// still open Close does nothing but return an error, and may be called again.
func (rt *Runtime) Close() error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.closed {
		return nil
	}
	if rt.sessions > 0 {
		return fmt.Errorf("ort: close: %d sessions are still open", rt.sessions)
	}
	rt.closed = true

	environment.Lock()
	defer environment.Unlock()
	environment.refs--
	if environment.refs > 0 {
		return nil
	}
	handles.Add(-1)
	environment.lib = library{}
	if err := binding.DestroyEnvironment(); err != nil {
		return fmt.Errorf("ort: close: %w", err)
	}
	return nil
}

// take and drop count the open sessions.
func (rt *Runtime) take() error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.closed {
		return ErrClosed
	}
	rt.sessions++
	return nil
}

func (rt *Runtime) drop() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.sessions--
}

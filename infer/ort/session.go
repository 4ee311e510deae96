package ort

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models/onnx"
)

// SessionOptions tune one graph. The zero value is what a pipeline of several
// graphs wants: each run on the caller's own thread, no waiting threads, no
// memory kept between runs.
type SessionOptions struct {
	// IntraOp is the number of threads for one operator; 0 means 1, which makes
	// no thread at all.
	IntraOp int
	// InterOp is the number of operators run side by side; 0 means 1.
	InterOp int
	// Spin lets idle threads of the two pools burn CPU while they wait for work,
	// for a little less latency.
	Spin bool
	// Arena keeps the memory of past runs for the next ones. It grows to the
	// largest run there was, for every session.
	Arena bool
}

// Session is one loaded graph. It implements infer.Session: Run may be called by
// many goroutines at once; Close waits for the runs in progress.
type Session struct {
	rt   *Runtime
	name string // of the file, for errors
	in   []port
	out  []port

	// gate is held for reading by runs and for writing by Close.
	gate    sync.RWMutex
	closed  bool
	session *binding.DynamicAdvancedSession

	idleMu sync.Mutex
	idle   []*call
}

var _ infer.Session = (*Session)(nil)

// port is an input or output; ranked is false if the graph does not say how many
// dimensions it has.
type port struct {
	infer.Value
	ranked bool
}

// Session loads the graph at path, with its external data, if it has any, from
// the same folder. Only float32, int64 and bool tensors go in and out.
func (rt *Runtime) Session(path string, o SessionOptions) (*Session, error) {
	s, err := rt.open(path, o)
	if err != nil {
		return nil, fmt.Errorf("ort: load %s: %w", path, err)
	}
	return s, nil
}

func (rt *Runtime) open(path string, o SessionOptions) (_ *Session, err error) {
	file, err := onnx.Open(path)
	if err != nil {
		return nil, err
	}
	s := &Session{rt: rt, name: filepath.Base(path)}
	inNames, err := ports(&s.in, "input", file.Inputs)
	if err != nil {
		return nil, err
	}
	outNames, err := ports(&s.out, "output", file.Outputs)
	if err != nil {
		return nil, err
	}
	if err = rt.take(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			rt.drop()
		}
	}()
	opts, err := o.binding()
	if err != nil {
		return nil, err
	}
	defer opts.Destroy()
	if err = s.rank(path, opts); err != nil {
		return nil, err
	}
	if s.session, err = binding.NewDynamicAdvancedSession(path, inNames, outNames, opts); err != nil {
		return nil, err
	}
	handles.Add(1)
	return s, nil
}

// ports turns the values of the file into ports.
func ports(dst *[]port, kind string, values []onnx.Value) ([]string, error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("it has no %ss", kind)
	}
	names := make([]string, len(values))
	for i, v := range values {
		switch v.Type {
		case "float32", "int64", "bool":
		default:
			return nil, fmt.Errorf("%s %s is of type %q; float32, int64 and bool are supported", kind, v.Name, v.Type)
		}
		names[i] = v.Name
		*dst = append(*dst, port{
			Value:  infer.Value{Name: v.Name, Type: v.Type, Shape: v.Shape, Axes: v.Axes},
			ranked: v.Ranked,
		})
	}
	return names, nil
}

// rank asks the library for the shapes of values whose shape the file leaves out;
// it infers most of them. That loads the graph a second time, hence only then.
func (s *Session) rank(path string, opts *binding.SessionOptions) error {
	unranked := func(p port) bool { return !p.ranked }
	if !slices.ContainsFunc(s.in, unranked) && !slices.ContainsFunc(s.out, unranked) {
		return nil
	}
	in, out, err := binding.GetInputOutputInfoWithOptions(path, opts)
	if err != nil {
		return err
	}
	for _, list := range []struct {
		ports []port
		infos []binding.InputOutputInfo
	}{{s.in, in}, {s.out, out}} {
		for i := range list.ports {
			p := &list.ports[i]
			for _, info := range list.infos {
				// The library reports an unknown rank like a scalar's.
				if info.Name == p.Name && !p.ranked && len(info.Dimensions) > 0 {
					p.ranked, p.Shape, p.Axes = true, info.Dimensions, make([]string, len(info.Dimensions))
				}
			}
		}
	}
	return nil
}

func (o SessionOptions) binding() (*binding.SessionOptions, error) {
	b, err := binding.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	spin := "0"
	if o.Spin {
		spin = "1"
	}
	intra, inter, mode := max(o.IntraOp, 1), max(o.InterOp, 1), binding.ExecutionMode(binding.ExecutionModeSequential)
	if inter > 1 {
		mode = binding.ExecutionModeParallel
	}
	err = errors.Join(
		b.SetIntraOpNumThreads(intra),
		b.SetInterOpNumThreads(inter),
		b.SetExecutionMode(mode),
		b.AddSessionConfigEntry("session.intra_op.allow_spinning", spin),
		b.AddSessionConfigEntry("session.inter_op.allow_spinning", spin),
		b.SetCpuMemArena(o.Arena),
		// A memory pattern is a plan for one set of shapes; ours vary.
		b.SetMemPattern(false),
		b.SetLogSeverityLevel(binding.LoggingLevelFatal),
	)
	if err != nil {
		b.Destroy()
		return nil, err
	}
	return b, nil
}

// Inputs describes the graph's inputs, in the order that Run takes them.
func (s *Session) Inputs() []infer.Value { return values(s.in) }

// Outputs describes the graph's outputs, in the order that Run takes them.
func (s *Session) Outputs() []infer.Value { return values(s.out) }

func values(ports []port) []infer.Value {
	vs := make([]infer.Value, len(ports))
	for i, p := range ports {
		vs[i] = p.Value
	}
	return vs
}

// Close frees the graph, after the runs in progress. Runs that come later
// answer [ErrClosed].
func (s *Session) Close() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, c := range s.idle {
		errs = append(errs, c.close())
	}
	s.idle = nil
	errs = append(errs, s.session.Destroy())
	handles.Add(-1)
	s.rt.drop()
	trim()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ort: close %s: %w", s.name, err)
	}
	return nil
}

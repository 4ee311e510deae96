package ort

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	binding "github.com/yalue/onnxruntime_go"
	"go.uber.org/goleak"

	"github.com/seehear/seehear/infer"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if n := Handles(); n != 0 {
			fmt.Fprintf(os.Stderr, "%d handles are open\n", n)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// open returns a runtime that is closed at the end of the test.
func open(t *testing.T) *Runtime {
	t.Helper()
	rt, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return rt
}

func load1(t *testing.T, rt *Runtime, path string, o SessionOptions) *Session {
	t.Helper()
	s, err := rt.Session(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestRuntime(t *testing.T) {
	rt := open(t)
	if rt.Version() != Version {
		t.Errorf("version %s", rt.Version())
	}
	if _, err := os.Stat(rt.Library()); err != nil {
		t.Error(err)
	}
	p := rt.Providers()
	if len(p) == 0 || p[len(p)-1] != "CPUExecutionProvider" {
		t.Errorf("providers %q", p)
	}
	// A second reference shares the environment and outlives the first.
	again, err := Open(Options{Library: rt.Library()})
	if err != nil {
		t.Fatal(err)
	}
	if Handles() != 1 {
		t.Errorf("%d handles", Handles())
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Session("testdata/types.onnx", SessionOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("session of a closed runtime: %v", err)
	}
	load1(t, rt, "testdata/types.onnx", SessionOptions{})
}

func TestRuntimeReopens(t *testing.T) {
	for range 5 {
		rt, err := Open(Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := rt.Session("testdata/types.onnx", SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := rt.Close(); err == nil || !strings.Contains(err.Error(), "1 sessions are still open") {
			t.Errorf("close with an open session: %v", err)
		}
		if err := errors.Join(s.Close(), s.Close(), rt.Close()); err != nil {
			t.Fatal(err)
		}
		if Handles() != 0 {
			t.Fatalf("%d handles", Handles())
		}
	}
}

func TestDescribesGraph(t *testing.T) {
	s := load1(t, open(t), "testdata/types.onnx", SessionOptions{})
	want := []infer.Value{
		{Name: "f", Type: "float32", Shape: []int64{-1, 2}, Axes: []string{"n", ""}},
		{Name: "i", Type: "int64", Shape: []int64{-1}, Axes: []string{"n"}},
		{Name: "b", Type: "bool", Shape: []int64{-1}, Axes: []string{"n"}},
		{Name: "s", Type: "int64"},
	}
	if d := cmp.Diff(want, s.Inputs()); d != "" {
		t.Error(d)
	}
	for i, name := range []string{"double", "shifted", "inverse", "sum", "count", "positive"} {
		if got := s.Outputs()[i].Name; got != name {
			t.Errorf("output %d is %s", i, got)
		}
	}
	// What we read from the file is what the library sees.
	for _, path := range []string{"types", "slow", "external", "wide", "unranked"} {
		path = "testdata/" + path + ".onnx"
		s := load1(t, open(t), path, SessionOptions{})
		in, out, err := binding.GetInputOutputInfo(path)
		if err != nil {
			t.Fatal(err)
		}
		for k, pair := range [][2]any{{in, s.Inputs()}, {out, s.Outputs()}} {
			theirs, ours := pair[0].([]binding.InputOutputInfo), pair[1].([]infer.Value)
			if len(theirs) != len(ours) {
				t.Fatalf("%s %d: %d and %d values", path, k, len(theirs), len(ours))
			}
			for i := range ours {
				if ours[i].Name != theirs[i].Name || !slices.Equal(ours[i].Shape, []int64(theirs[i].Dimensions)) {
					t.Errorf("%s: ours %v, theirs %v", path, ours[i], theirs[i])
				}
			}
		}
	}
}

func TestRunTypes(t *testing.T) {
	s := load1(t, open(t), "testdata/types.onnx", SessionOptions{})
	for _, n := range []int{3, 0, 1} {
		in := []*infer.Tensor{
			{Shape: []int64{int64(n), 2}, F32: make([]float32, 2*n)},
			{Shape: []int64{int64(n)}, I64: make([]int64, n)},
			{Shape: []int64{int64(n)}, Bool: make([]bool, n)},
			{I64: []int64{40}},
		}
		want := []infer.Tensor{
			{Shape: []int64{int64(n), 2}, F32: make([]float32, 2*n)},
			{Shape: []int64{int64(n)}, I64: make([]int64, n)},
			{Shape: []int64{int64(n)}, Bool: make([]bool, n)},
			{F32: []float32{0}},
			{I64: []int64{int64(n)}},
			{Bool: []bool{true}},
		}
		for i := range 2 * n {
			x := float32(i) + 0.5
			in[0].F32[i], want[0].F32[i] = x, 2*x
			want[3].F32[0] += x
		}
		for i := range n {
			in[1].I64[i], want[1].I64[i] = int64(i), int64(i)+40
			in[2].Bool[i], want[2].Bool[i] = i%2 == 0, i%2 != 0
		}
		if n == 0 { // nothing may be no slice at all
			in[0].F32, in[1].I64, in[2].Bool = nil, nil, nil
		}
		out := []*infer.Tensor{{}, {}, {}, {}, {}, {}}
		if err := s.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		for i := range out {
			if d := cmp.Diff(&want[i], out[i]); d != "" {
				t.Errorf("n=%d, %s: %s", n, s.Outputs()[i].Name, d)
			}
		}
		// Again into the same memory, which now has data and shape.
		before := out[0].F32
		for i := range in[0].F32 {
			in[0].F32[i]++
		}
		if err := s.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		for i := range in[0].F32 {
			if before[i] != 2*in[0].F32[i] {
				t.Errorf("n=%d: not written in place: %v of %v", n, before, in[0].F32)
			}
		}
		// Outputs that nobody wants.
		only := []*infer.Tensor{nil, {}, nil, nil, nil, nil}
		if err := s.Run(context.Background(), in, only); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&want[1], only[1]); d != "" {
			t.Error(d)
		}
		if Handles() != 2 {
			t.Errorf("%d handles", Handles())
		}
	}
}

func TestRunRefuses(t *testing.T) {
	s := load1(t, open(t), "testdata/types.onnx", SessionOptions{})
	f := func(n ...int64) *infer.Tensor {
		size := int64(1)
		for _, d := range n {
			size *= d
		}
		return &infer.Tensor{Shape: n, F32: make([]float32, size)}
	}
	one := &infer.Tensor{Shape: []int64{1}, I64: []int64{1}}
	yes := &infer.Tensor{Shape: []int64{1}, Bool: []bool{true}}
	scalar := &infer.Tensor{I64: []int64{1}}
	none := make([]*infer.Tensor, 6)
	for _, c := range []struct {
		in, out []*infer.Tensor
		want    string
	}{
		{[]*infer.Tensor{f(1, 2)}, none, "4 inputs and 6 outputs, and was given 1 and 6"},
		{[]*infer.Tensor{nil, one, yes, scalar}, none, "input f is missing"},
		{[]*infer.Tensor{f(1, 3), one, yes, scalar}, none, "input f: shape [1 3] where the graph has [n 2]"},
		{[]*infer.Tensor{f(2), one, yes, scalar}, none, "shape [2] where the graph has [n 2]"},
		{[]*infer.Tensor{one, one, yes, scalar}, none, "input f: shape [1] where"},
		{[]*infer.Tensor{f(1, 2), f(1), yes, scalar}, none, "input i: the data are not int64"},
		{[]*infer.Tensor{f(1, 2), one, yes, one}, none, "input s: shape [1] where the graph has []"},
		{[]*infer.Tensor{{Shape: []int64{2, 2}, F32: []float32{1}}, one, yes, scalar}, none, "1 values for shape [2 2]"},
		{[]*infer.Tensor{{Shape: []int64{-1, 2}}, one, yes, scalar}, none, "impossible"},
		{[]*infer.Tensor{{Shape: []int64{1 << 62, 2}}, one, yes, scalar}, none, "impossible"},
		{[]*infer.Tensor{f(1, 2), one, yes, {}}, none, "0 values for shape []"},
		{[]*infer.Tensor{f(1, 2), one, yes, scalar}, []*infer.Tensor{f(2, 2), nil, nil, nil, nil, nil}, "double"},
		{[]*infer.Tensor{f(1, 2), one, yes, scalar}, []*infer.Tensor{one, nil, nil, nil, nil, nil}, "output double: shape [1] where the graph has [n 2]"},
		{[]*infer.Tensor{f(1, 2), one, yes, scalar}, []*infer.Tensor{nil, nil, nil, f(1), nil, nil}, "output sum: shape [1] where the graph has a scalar"},
	} {
		err := s.Run(context.Background(), c.in, c.out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		} else if strings.ContainsRune(err.Error(), '\n') || !strings.Contains(err.Error(), "ort: run types.onnx (f ") {
			t.Errorf("error %q", err)
		}
	}
	if Handles() != 2 {
		t.Errorf("%d handles", Handles())
	}
}

// An output whose rank is not declared and which is a scalar is beyond the
// binding; the others are not.
func TestUnrankedOutput(t *testing.T) {
	s := load1(t, open(t), "testdata/unranked.onnx", SessionOptions{})
	in := []*infer.Tensor{{Shape: []int64{2}, F32: []float32{1, 2}}}
	err := s.Run(context.Background(), in, []*infer.Tensor{{}, {}})
	if err == nil || !strings.Contains(err.Error(), "unranked.onnx (x [2])") {
		t.Errorf("%v", err)
	}
	if Handles() != 2 {
		t.Errorf("%d handles", Handles())
	}
}

func TestSessionRefuses(t *testing.T) {
	rt := open(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		p := dir + "/" + name
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	types, err := os.ReadFile("testdata/types.onnx")
	if err != nil {
		t.Fatal(err)
	}
	external, err := os.ReadFile("testdata/external.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir + "/missing.onnx":   "no such file",
		dir:                     "not a regular file",
		write("empty.onnx", ""): "empty",
		write("text.onnx", "hello, this is no graph"):    "",
		write("cut.onnx", string(types[:len(types)-40])): "",
		write("lost.onnx", string(external)):             "external.bin",
		"testdata/half.onnx":                             `input x is of type "float16"`,
	} {
		s, err := rt.Session(path, SessionOptions{})
		if err == nil {
			s.Close()
			t.Errorf("%s was loaded", path)
		} else if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "ort: load "+path+": ") {
			t.Errorf("error %q", err)
		}
	}
	if Handles() != 1 {
		t.Errorf("%d handles", Handles())
	}
}

func TestExternalData(t *testing.T) {
	s := load1(t, open(t), "testdata/external.onnx", SessionOptions{})
	in := &infer.Tensor{Shape: []int64{256}, F32: make([]float32, 256)}
	var out infer.Tensor
	if err := s.Run(context.Background(), []*infer.Tensor{in}, []*infer.Tensor{&out}); err != nil {
		t.Fatal(err)
	}
	for i, v := range out.F32 {
		if v != float32(i) {
			t.Fatalf("value %d is %v", i, v)
		}
	}
}

func TestConcurrentRuns(t *testing.T) {
	for _, o := range []SessionOptions{{}, {IntraOp: 2, Arena: true}} {
		s := load1(t, open(t), "testdata/types.onnx", o)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				rng := rand.New(rand.NewPCG(1, uint64(g)))
				for range 200 {
					n := rng.IntN(20)
					in := []*infer.Tensor{
						{Shape: []int64{int64(n), 2}, F32: make([]float32, 2*n)},
						{Shape: []int64{int64(n)}, I64: make([]int64, n)},
						{Shape: []int64{int64(n)}, Bool: make([]bool, n)},
						{I64: []int64{int64(g)}},
					}
					for i := range in[0].F32 {
						in[0].F32[i] = rng.Float32()
					}
					out := []*infer.Tensor{{}, {}, nil, {}, {}, nil}
					if n > 0 && rng.IntN(2) == 0 {
						out[0] = &infer.Tensor{Shape: []int64{int64(n), 2}, F32: make([]float32, 2*n)}
					}
					if err := s.Run(ctx, in, out); err != nil {
						t.Error(err)
						return
					}
					for i, v := range out[0].F32 {
						if v != 2*in[0].F32[i] {
							t.Errorf("%v is not twice %v", v, in[0].F32[i])
							return
						}
					}
					if out[4].I64[0] != int64(n) || (n > 0 && out[1].I64[n-1] != int64(g)) {
						t.Errorf("results of another run: %v, %v", out[4].I64, out[1].I64)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestCloseWaitsForRuns(t *testing.T) {
	rt := open(t)
	s, err := rt.Session("testdata/slow.onnx", SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := []*infer.Tensor{{I64: []int64{20000}}, {Shape: []int64{32, 32}, F32: make([]float32, 1024)}}
	done := make(chan error, 4)
	for range cap(done) {
		go func() { done <- s.Run(context.Background(), in, []*infer.Tensor{{}}) }()
	}
	time.Sleep(20 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(done) {
		if err := <-done; err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	if err := s.Run(context.Background(), in, []*infer.Tensor{nil}); !errors.Is(err, ErrClosed) {
		t.Errorf("run after close: %v", err)
	}
}

func TestCancel(t *testing.T) {
	s := load1(t, open(t), "testdata/slow.onnx", SessionOptions{})
	in := []*infer.Tensor{{I64: []int64{1 << 40}}, {Shape: []int64{32, 32}, F32: make([]float32, 1024)}}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := s.Run(ctx, in, []*infer.Tensor{{}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("run that never ends: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopped after %v", took)
	}
	if err := s.Run(ctx, in, []*infer.Tensor{{}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("run with a context that is over: %v", err)
	}
	// What was stopped runs again.
	in[0].I64[0] = 3
	live, stop := context.WithCancel(context.Background())
	defer stop()
	for range 3 {
		if err := s.Run(live, in, []*infer.Tensor{{}}); err != nil {
			t.Fatal(err)
		}
	}
}

// Opening, running and closing again and again takes no more memory in the end
// than after the first few times.
func TestChurnKeepsMemoryFlat(t *testing.T) {
	rt := open(t)
	const n = 64
	in := &infer.Tensor{Shape: []int64{n, 1024}, F32: make([]float32, n*1024)}
	for i := range in.F32 {
		in.F32[i] = 1
	}
	churn := func(times int) {
		for i := range times {
			s, err := rt.Session("testdata/wide.onnx", SessionOptions{Arena: i%2 == 0})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(context.Background(), []*infer.Tensor{in}, []*infer.Tensor{{}}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Threads come and go, and with them some memory of the C library's arenas; the
	// least of several readings is what is really held.
	least := func() int64 {
		low := int64(math.MaxInt64)
		for range 5 {
			churn(20)
			low = min(low, resident(t))
		}
		return low
	}
	churn(20)
	before := least()
	churn(100)
	after := least()
	t.Logf("resident: %d kB, 200 sessions later %d kB", before>>10, after>>10)
	// Each session holds 4 MB of weights: a leak of one in thirty would show.
	if after-before > 24<<20 {
		t.Errorf("resident memory grew from %d to %d kB over 200 sessions", before>>10, after>>10)
	}
}

func resident(t *testing.T) int64 {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func BenchmarkRun(b *testing.B) {
	rt, err := Open(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer rt.Close()
	s, err := rt.Session("testdata/types.onnx", SessionOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	in := []*infer.Tensor{
		{Shape: []int64{1, 2}, F32: make([]float32, 2)},
		{Shape: []int64{1}, I64: make([]int64, 1)},
		{Shape: []int64{1}, Bool: make([]bool, 1)},
		{I64: []int64{40}},
	}
	out := []*infer.Tensor{{Shape: []int64{1, 2}, F32: make([]float32, 2)}, nil, nil, nil, nil, nil}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Run(context.Background(), in, out); err != nil {
			b.Fatal(err)
		}
	}
}

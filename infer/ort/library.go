package ort

// Note [Asking the library first]
//
// The binding loads whatever file it is given and keeps process-wide state from
// the first call on, so the library is asked for its version here, before. The
// two structs are the beginning of ONNX Runtime's C interface, in which functions
// are only ever added at the end (onnxruntime_c_api.h: OrtApiBase, and OrtApi
// with GetAvailableProviders as function 125 and ReleaseStatus as 93).
//
// A library that was accepted is never unloaded: C++ libraries with per-thread
// state do not survive that under threads that are not theirs, and the next Open
// wants the same one.

/*
#cgo linux LDFLAGS: -ldl
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
	const void *(*get_api)(uint32_t version);
	const char *(*get_version)(void);
} api_base;

typedef struct { void *f[127]; } api;

static void *seehear_ort_symbol(void *lib) { return dlsym(lib, "OrtGetApiBase"); }

static const char *seehear_ort_version(void *sym, const api_base **base) {
	*base = ((const api_base *(*)(void))sym)();
	return *base ? (*base)->get_version() : NULL;
}

// Interface version 1 is in every library and holds the functions up to 93;
// version 4 the two others.
static int seehear_ort_providers(const api_base *base, char ***list) {
	const api *a = base->get_api(4);
	int n = 0;
	if (!a) return -1;
	void *status = ((void *(*)(char ***, int *))a->f[125])(list, &n);
	if (status) {
		((void (*)(void *))a->f[93])(status);
		return -1;
	}
	return n;
}

static void seehear_ort_free_providers(const api_base *base, char **list, int n) {
	const api *a = base->get_api(4);
	void *status = ((void *(*)(char **, int))a->f[126])(list, n);
	if (status) ((void (*)(void *))a->f[93])(status);
}

static const char *seehear_ort_path(void *sym) {
	Dl_info info;
	return dladdr(sym, &info) ? info.dli_fname : NULL;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"path/filepath"
	"unsafe"
)

// library is a loaded ONNX Runtime that fits the binding.
type library struct {
	Path      string
	Version   string
	Providers []string
}

// errNotFound is for a bare name that the system's loader doesn't know.
var errNotFound = errors.New("not found")

// load loads the library at path, which may be a bare name for the system's
// loader, and checks it. Every error says how to mend it.
func load(path string) (library, error) {
	bare := filepath.Base(path) == path
	fail := func(err error) (library, error) {
		return library{}, fmt.Errorf("%s: %w: %s", path, err, mend)
	}
	if !bare {
		if _, err := inspect(path); err != nil {
			return fail(err)
		}
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	lib := C.dlopen(name, C.RTLD_LAZY|C.RTLD_LOCAL)
	if lib == nil {
		if bare {
			return fail(errNotFound)
		}
		return fail(errors.New(C.GoString(C.dlerror())))
	}
	sym := C.seehear_ort_symbol(lib)
	if sym == nil {
		C.dlclose(lib)
		return fail(errors.New("it is not a library of ONNX Runtime"))
	}
	var base *C.api_base
	version := C.seehear_ort_version(sym, &base)
	if version == nil {
		C.dlclose(lib)
		return fail(errors.New("it is not a library of ONNX Runtime"))
	}
	l := library{Path: path, Version: C.GoString(version)}
	if err := fits(l.Version); err != nil {
		C.dlclose(lib)
		return fail(err)
	}
	if p := C.seehear_ort_path(sym); p != nil {
		l.Path = C.GoString(p)
	}
	var list **C.char
	if n := C.seehear_ort_providers(base, &list); n > 0 {
		for _, p := range unsafe.Slice(list, int(n)) {
			l.Providers = append(l.Providers, C.GoString(p))
		}
		C.seehear_ort_free_providers(base, list, n)
	}
	return l, nil
}

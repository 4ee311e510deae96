package ffmpeg

/*
#define _GNU_SOURCE
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>

// where names the file that holds the symbol, NULL if the loader does not say.
static const char *where(void *symbol) {
	Dl_info info;
	return dladdr(symbol, &info) ? info.dli_fname : NULL;
}
static const char *where_avcodec(void) { return where((void *)avcodec_version); }
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Build says which FFmpeg the process runs with.
type Build struct {
	Version string // FFmpeg's own, such as "7.1.5"
	Codec   string // libavcodec's
	Format  string // libavformat's
	License string // of the build: GPL parts make it "GPL version 3 or later"
	Path    string // of libavcodec
	Headers string // libavcodec of the headers that were compiled against
}

// Matches returns an error if the libraries are not those of the headers: the
// major version decides the layout of every structure.
func (b Build) Matches() error {
	if got, want := C.avcodec_version()>>16, C.uint(C.LIBAVCODEC_VERSION_MAJOR); got != want {
		return fmt.Errorf("libavcodec %s is loaded from %s, but seehear was built against %s; run `make build` again", b.Codec, b.Path, b.Headers)
	}
	return nil
}

// Loaded returns the FFmpeg that the process has loaded.
func Loaded() Build {
	dotted := func(v C.uint) string { return fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff) }
	return Build{
		Version: C.GoString(C.av_version_info()),
		Codec:   dotted(C.avcodec_version()),
		Format:  dotted(C.avformat_version()),
		License: C.GoString(C.avcodec_license()),
		Path:    C.GoString(C.where_avcodec()),
		Headers: dotted(C.LIBAVCODEC_VERSION_INT),
	}
}

// HasDecoder reports whether the build has the decoder of that name.
func HasDecoder(name string) bool {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return C.avcodec_find_decoder_by_name(c) != nil
}

// HasEncoder reports whether the build has the encoder of that name.
func HasEncoder(name string) bool {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return C.avcodec_find_encoder_by_name(c) != nil
}

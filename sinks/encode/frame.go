package encode

/*
#cgo pkg-config: libavutil
#include <libavutil/frame.h>
*/
import "C"

import (
	"unsafe"

	"github.com/asticode/go-astiav"
)

// plane returns n bytes of a frame's plane i, and the bytes from one row to the
// next. go-astiav's own accessors copy through two more buffers. The slice must
// not outlive the frame's buffer.
func plane(f *astiav.Frame, i, rows int) ([]byte, int) {
	c := (*C.AVFrame)(f.UnsafePointer())
	stride := int(c.linesize[i])
	return unsafe.Slice((*byte)(unsafe.Pointer(c.data[i])), stride*rows), stride
}

// samples returns the n floats of a frame's plane i.
func samples(f *astiav.Frame, i, n int) []float32 {
	c := (*C.AVFrame)(f.UnsafePointer())
	planes := unsafe.Slice(c.extended_data, i+1)
	return unsafe.Slice((*float32)(unsafe.Pointer(planes[i])), n)
}

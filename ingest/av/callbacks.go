package av

/*
#include <stdlib.h>
#include "demux.h"
*/
import "C"

import (
	"errors"
	"io"
	"runtime/cgo"
	"unsafe"
)

// What C calls. The handle names the Source on whose goroutine the call runs.

func owner(handle C.uintptr_t) *Source { return cgo.Handle(handle).Value().(*Source) }

//export seehearOpen
func seehearOpen(handle C.uintptr_t, url *C.char, root C.int, offset, end C.int64_t, key, iv *C.char, seekable *C.int, location, mime **C.char) C.int {
	s := owner(handle)
	var r *resource
	var err error
	if root != 0 {
		r, err = s.gate.openRoot(s.io)
	} else {
		r, err = s.gate.openNested(s.io, C.GoString(url), int64(offset), int64(end), goString(key), goString(iv))
	}
	if err != nil {
		return C.int(s.failed(err, root != 0))
	}
	handles.Add(1)
	r.root = root != 0
	id := s.add(r)
	if r.stream.Seekable() {
		*seekable = 1
	}
	*location = C.CString(r.location)
	*mime = C.CString(r.mime)
	return C.int(id)
}

//export seehearRead
func seehearRead(handle C.uintptr_t, id C.int, buf *C.uint8_t, size C.int) C.int {
	s := owner(handle)
	r := s.resources[int(id)]
	if s.io.Err() != nil {
		return C.AVERROR_EXIT
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(buf)), int(size))
	for range 100 {
		n, err := r.stream.Read(b)
		if n > 0 {
			if r.took(b[:n]) {
				s.lists += int64(n)
				if r.count > maxPlaylist || s.clock == nil && s.lists > maxPlaylist {
					return C.int(s.failed(&refusal{r.location, "a playlist of more than 16 MiB"}, r.root))
				}
			}
			s.alive(r)
			return C.int(n) // an error comes again with the next read
		}
		if err != nil {
			if err == io.EOF {
				return C.AVERROR_EOF
			}
			return C.int(s.failed(err, r.root))
		}
	}
	return C.int(s.failed(io.ErrNoProgress, r.root))
}

//export seehearSeek
func seehearSeek(handle C.uintptr_t, id C.int, offset C.int64_t, whence C.int) C.int64_t {
	s := owner(handle)
	r := s.resources[int(id)]
	n, err := r.stream.Seek(int64(offset), int(whence))
	if err != nil {
		if errors.Is(err, errSeek) {
			return -C.EINVAL
		}
		return C.int64_t(s.failed(err, r.root))
	}
	return C.int64_t(n)
}

//export seehearSize
func seehearSize(handle C.uintptr_t, id C.int) C.int64_t {
	if n := owner(handle).resources[int(id)].stream.Size(); n >= 0 {
		return C.int64_t(n)
	}
	return -C.ENOSYS
}

//export seehearClose
func seehearClose(handle C.uintptr_t, id C.int) {
	s := owner(handle)
	if r := s.resources[int(id)]; r != nil {
		_ = r.close()
		delete(s.resources, int(id))
		handles.Add(-1)
	}
}

//export seehearLog
func seehearLog(level C.int, line *C.char) {
	if l := logger.Load(); l != nil {
		l.line(int(level), C.GoString(line))
	}
}

func goString(s *C.char) string {
	if s == nil {
		return ""
	}
	return C.GoString(s)
}

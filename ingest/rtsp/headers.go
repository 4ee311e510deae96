package rtsp

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// jpegSize returns the size in the frame header of a JPEG, 0 if there is none.
func jpegSize(b []byte) (w, h int) {
	if len(b) < 2 || b[0] != 0xff || b[1] != 0xd8 {
		return 0, 0
	}
	for b = b[2:]; len(b) >= 4 && b[0] == 0xff; {
		marker, size := b[1], int(binary.BigEndian.Uint16(b[2:]))
		switch {
		case marker == 0xff: // fill
			b = b[1:]
			continue
		case size < 2 || len(b) < 2+size:
			return 0, 0
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
			if size < 8 {
				return 0, 0
			}
			return int(binary.BigEndian.Uint16(b[7:])), int(binary.BigEndian.Uint16(b[5:]))
		}
		b = b[2+size:]
	}
	return 0, 0
}

// splitVOP returns what lies in front of the first picture of MPEG-4 video, and
// whether that picture is one to begin with.
func splitVOP(b []byte) (head []byte, key bool) {
	i := bytes.Index(b, []byte{0, 0, 1, 0xb6})
	if i < 0 {
		return b, false
	}
	return b[:i:i], len(b) > i+4 && b[i+4]>>6 == 0
}

// volSize returns the size that the headers of MPEG-4 video state: the video object
// layer of ISO/IEC 14496-2, 6.2.3.
func volSize(b []byte) (w, h int, ok bool) {
	for {
		i := bytes.Index(b, []byte{0, 0, 1})
		if i < 0 || len(b) < i+4 {
			return 0, 0, false
		}
		code := b[i+3]
		if b = b[i+4:]; code >= 0x20 && code <= 0x2f {
			break
		}
	}
	r := bitReader{b: b}
	r.get(1 + 8) // random access, type
	version := 1
	if r.get(1) == 1 {
		version = r.get(4)
		r.get(3)
	}
	if r.get(4) == 15 { // the pixel's shape
		r.get(8 + 8)
	}
	if r.get(1) == 1 { // control parameters
		r.get(2 + 1)
		if r.get(1) == 1 { // of the buffer: 79 bits
			for range 5 {
				r.get(15)
			}
			r.get(4)
		}
	}
	shape := r.get(2)
	if shape == 3 && version != 1 {
		r.get(4)
	}
	r.get(1)
	resolution := r.get(16)
	r.get(1)
	if r.get(1) == 1 { // a fixed rate
		r.get(max(bits.Len(uint(max(resolution-1, 0))), 1))
	}
	if shape != 0 {
		return 0, 0, false
	}
	r.get(1)
	w = r.get(13)
	r.get(1)
	h = r.get(13)
	return w, h, !r.short && w > 0 && h > 0
}

// bitReader reads from the highest bit on; past the end it reads zeros and is short.
type bitReader struct {
	b     []byte
	pos   int
	short bool
}

func (r *bitReader) get(n int) (v int) {
	for range n {
		v <<= 1
		if r.pos>>3 >= len(r.b) {
			r.short = true
			continue
		}
		v |= int(r.b[r.pos>>3]>>(7-r.pos&7)) & 1
		r.pos++
	}
	return v
}

package ffmpeg

// #include "resample.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/seehear/seehear/decode"
)

// resampler makes one form of sound out of frames that all have one form.
// libswresample is free of delay: its first output sample stands for the place
// of the first input sample. It holds back half a filter until drained.
type resampler struct {
	c              *C.SwrContext
	from           int // rate
	rate, channels int
	count          int64 // samples made since the anchor
}

func newResampler(frame unsafe.Pointer, s decode.Sound, f form) (*resampler, error) {
	r := &resampler{from: f.rate, rate: s.Rate, channels: s.Channels}
	if r.rate == 0 {
		r.rate = f.rate
	}
	if r.channels == 0 {
		r.channels = f.channels
	}
	if err := averror(C.sh_swr_new(&r.c, (*C.AVFrame)(frame), C.int(r.rate), C.int(s.Channels))); err != nil {
		return nil, fmt.Errorf("resample %d Hz, %d channels to %d Hz, %d channels: %w", f.rate, f.channels, r.rate, r.channels, err)
	}
	handles.Add(1)
	return r, nil
}

// feed resamples samples [skip, skip+n) of the frame; nil if nothing is ready.
func (r *resampler) feed(pool *decode.Pool, frame unsafe.Pointer, skip, n int) (*decode.Block, error) {
	room := int(C.swr_get_out_samples(r.c, C.int(n)))
	if room < 0 {
		return nil, averror(C.int(room))
	}
	b := pool.Block(r.rate, r.channels, room)
	got := C.sh_swr_feed(r.c, (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b.PCM.Data))), C.int(room), (*C.AVFrame)(frame), C.int(skip), C.int(n))
	runtime.KeepAlive(b)
	return r.keep(b, int(got))
}

// drain returns the rest of what `in` samples since the anchor come to, exactly.
func (r *resampler) drain(pool *decode.Pool, in int64) (*decode.Block, error) {
	want := int(scaleRate(in, r.rate, r.from) - r.count)
	if want <= 0 {
		return nil, nil
	}
	if short := r.filter() + 2 - in; r.rate != r.from && short > 0 {
		// The resampler does not begin before it has seen a whole filter.
		if err := averror(C.swr_inject_silence(r.c, C.int(short))); err != nil {
			return nil, err
		}
	}
	b := pool.Block(r.rate, r.channels, want)
	p := unsafe.Pointer(unsafe.SliceData(b.PCM.Data))
	got := 0
	for got < want {
		n := C.sh_swr_flush(r.c, (*C.uint8_t)(unsafe.Add(p, got*r.channels*4)), C.int(want-got))
		if n < 0 {
			b.Release()
			return nil, averror(n)
		}
		if n == 0 {
			break
		}
		got += int(n)
	}
	runtime.KeepAlive(b)
	clear(b.PCM.Data[got*r.channels:])
	return r.keep(b, want)
}

// filter is an upper bound of the filter's length in input samples.
func (r *resampler) filter() int64 {
	return int64(C.SH_SWR_TAPS) * int64(max(1, (r.from+r.rate-1)/r.rate))
}

// keep counts n samples of b and cuts it to them.
func (r *resampler) keep(b *decode.Block, n int) (*decode.Block, error) {
	if n <= 0 {
		b.Release()
		return nil, averror(C.int(n))
	}
	b.PCM.Data = b.PCM.Data[:n*r.channels]
	r.count += int64(n)
	return b, nil
}

// restart forgets everything before a new anchor.
func (r *resampler) restart() {
	C.swr_init(r.c)
	r.count = 0
}

func (r *resampler) close() {
	if r.c != nil {
		C.swr_free(&r.c)
		handles.Add(-1)
	}
}

// scaleRate is n*to/from, rounded to the nearest.
func scaleRate(n int64, to, from int) int64 {
	return (n*int64(to) + int64(from)/2) / int64(from)
}

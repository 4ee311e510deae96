package ffmpeg

// #include <errno.h>
// #include <stdlib.h>
// #include "codec.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"
	"unsafe"

	astiav "github.com/asticode/go-astiav"

	"github.com/seehear/seehear/ingest"
)

// FFmpeg's error codes that are no failures.
var (
	errAgain error = astiav.ErrEagain
	errEOF   error = astiav.ErrEof
)

// averror is nil for what FFmpeg calls success.
func averror(ret C.int) error {
	switch {
	case ret >= 0:
		return nil
	case ret == C.int(astiav.ErrEagain):
		return errAgain
	case ret == C.int(astiav.ErrEof):
		return errEOF
	}
	return astiav.Error(ret)
}

// CanDecode reports whether the linked FFmpeg has a decoder for a codec, by the
// name that ingest.Stream gives it.
func CanDecode(codec string) bool {
	name := C.CString(codec)
	defer C.free(unsafe.Pointer(name))
	return C.sh_find_decoder(name) != nil
}

// codec owns one codec context with the packet and the frame that pass through
// it.
type codec struct {
	ctx   *astiav.CodecContext
	frame *astiav.Frame
	pkt   *C.AVPacket
	info  *C.SHFrame // in C memory, so that the calls of the hot path move nothing to the heap
}

// openCodec makes a decoder from what the stream says of itself.
func openCodec(st *ingest.Stream, o Options) (*codec, error) {
	name := C.CString(st.Codec)
	found := C.sh_find_decoder(name)
	C.free(unsafe.Pointer(name))
	if found == nil {
		return nil, fmt.Errorf("no decoder for %q", st.Codec)
	}
	if (st.Kind == ingest.Video) != (found._type == C.AVMEDIA_TYPE_VIDEO) {
		return nil, fmt.Errorf("%q is not a codec of %v", st.Codec, st.Kind)
	}
	if st.Kind == ingest.Video {
		if err := o.checkSize(st.Width, st.Height); err != nil {
			return nil, err
		}
	}
	// astiav cannot adopt an AVCodec, so the decoder is looked up by its name.
	dec := astiav.FindDecoderByName(C.GoString(found.name))
	if dec == nil {
		return nil, fmt.Errorf("no decoder for %q", st.Codec)
	}
	c := &codec{
		ctx: astiav.AllocCodecContext(dec), frame: astiav.AllocFrame(), pkt: C.av_packet_alloc(),
		info: (*C.SHFrame)(C.calloc(1, C.sizeof_SHFrame)),
	}
	handles.Add(4)
	if c.ctx == nil || c.frame == nil || c.pkt == nil || c.info == nil {
		c.close()
		return nil, errors.New("out of memory")
	}
	p := params(st, o)
	ret := C.sh_codec_setup(c.c(), &p, (*C.uint8_t)(unsafe.SliceData(st.Extra)), C.int(len(st.Extra)))
	runtime.KeepAlive(st)
	if ret >= 0 {
		ret = C.sh_codec_open(c.c())
	}
	if err := averror(ret); err != nil {
		c.close()
		return nil, fmt.Errorf("open decoder %s: %w", C.GoString(found.name), err)
	}
	return c, nil
}

func params(st *ingest.Stream, o Options) C.SHParams {
	return C.SHParams{
		tag: C.uint32_t(st.Tag), profile: C.int(st.Profile), level: C.int(st.Level), format: C.int(st.Format),
		bit_rate:              C.int64_t(st.BitRate),
		bits_per_coded_sample: C.int(st.BitsPerCodedSample), bits_per_raw_sample: C.int(st.BitsPerRawSample),
		width: C.int(st.Width), height: C.int(st.Height), reorder: C.int(st.Reorder),
		rate_num: C.int(st.FrameRate.Num), rate_den: C.int(max(st.FrameRate.Den, 1)),
		sar_num: C.int(st.SampleAspect.Num), sar_den: C.int(max(st.SampleAspect.Den, 1)),
		color_range: C.int(st.ColorRange), color_space: C.int(st.ColorSpace),
		color_primaries: C.int(st.ColorPrimaries), color_transfer: C.int(st.ColorTransfer),
		sample_rate: C.int(st.SampleRate), channels: C.int(st.Channels), channel_mask: C.uint64_t(st.ChannelMask),
		block_align: C.int(st.BlockAlign), frame_size: C.int(st.FrameSize),
		initial_padding: C.int(st.InitialPadding), trailing_padding: C.int(st.TrailingPadding), seek_preroll: C.int(st.SeekPreroll),
		threads: C.int(o.Threads), low_delay: flag(o.LowDelay), max_pixels: C.int64_t(o.MaxPixels),
	}
}

func (c *codec) c() *C.AVCodecContext { return (*C.AVCodecContext)(c.ctx.UnsafePointer()) }

// send passes p on, or begins the drain if p is nil. Everything received must
// have been taken before.
func (c *codec) send(p *ingest.Packet) error {
	if p == nil {
		return averror(C.sh_send(c.c(), nil))
	}
	if len(p.Data) > math.MaxInt32-64 {
		return errors.New("packet too large")
	}
	ret := C.sh_packet_set(c.pkt, (*C.uint8_t)(unsafe.SliceData(p.Data)), C.int(len(p.Data)),
		ticks(p.PTS), ticks(p.DTS), C.int64_t(max(p.Dur, 0)), flag(p.Key), flag(p.Corrupt), flag(p.Discard), C.uint32_t(p.Seg))
	for i := range p.Side {
		if ret >= 0 {
			ret = C.sh_packet_side(c.pkt, C.int(p.Side[i].Type), (*C.uint8_t)(unsafe.SliceData(p.Side[i].Data)), C.int(len(p.Side[i].Data)))
		}
	}
	runtime.KeepAlive(p)
	if ret < 0 {
		C.av_packet_unref(c.pkt)
		return averror(ret)
	}
	return averror(C.sh_send(c.c(), c.pkt))
}

// receive takes the next frame, described by info until the next call.
func (c *codec) receive() error {
	return averror(C.sh_receive(c.c(), (*C.AVFrame)(c.frame.UnsafePointer()), c.info))
}

func (c *codec) close() {
	if c.ctx != nil {
		c.ctx.Free()
		c.ctx = nil
		handles.Add(-1)
	}
	if c.frame != nil {
		c.frame.Free()
		c.frame = nil
		handles.Add(-1)
	}
	if c.pkt != nil {
		C.av_packet_free(&c.pkt)
		handles.Add(-1)
	}
	if c.info != nil {
		C.free(unsafe.Pointer(c.info))
		c.info = nil
		handles.Add(-1)
	}
}

// ticks is a stamp as FFmpeg has it; ingest.NoTime is AV_NOPTS_VALUE.
func ticks(d time.Duration) C.int64_t { return C.int64_t(d) }

// isFatal reports whether an error is about us and not about the packet.
func isFatal(err error) bool { return errors.Is(err, astiav.Error(-C.ENOMEM)) }

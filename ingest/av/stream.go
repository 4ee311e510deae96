package av

// #include "demux.h"
import "C"

import (
	"time"
	"unsafe"

	"github.com/seehear/seehear/ingest"
)

// describe copies everything a decoder must know of st to Go.
func (s *Source) describe(st *C.AVStream) ingest.Stream {
	par := st.codecpar
	out := ingest.Stream{
		Index:              int(st.index),
		Codec:              C.GoString(C.avcodec_get_name(par.codec_id)),
		Tag:                uint32(par.codec_tag),
		Profile:            int(par.profile),
		Level:              int(par.level),
		Format:             int(par.format),
		BitRate:            int64(par.bit_rate),
		Extra:              goBytes(par.extradata, int(par.extradata_size)),
		Timebase:           rational(st.time_base),
		BitsPerCodedSample: int(par.bits_per_coded_sample),
		BitsPerRawSample:   int(par.bits_per_raw_sample),
		Default:            st.disposition&C.AV_DISPOSITION_DEFAULT != 0,
	}
	if st.duration != noTicks && st.duration > 0 {
		if d := out.Timebase.Duration(int64(st.duration)); s.plausible(d) {
			out.Duration = d
		}
	}
	switch par.codec_type {
	case C.AVMEDIA_TYPE_VIDEO:
		out.Kind = ingest.Video
		out.Width, out.Height = int(par.width), int(par.height)
		out.Rotation = int(C.stream_rotation(st))
		out.FrameRate = rational(C.av_guess_frame_rate(C.demux_format(s.c), st, nil))
		out.SampleAspect = rational(C.av_guess_sample_aspect_ratio(C.demux_format(s.c), st, nil))
		out.Reorder = int(par.video_delay)
		out.ColorRange = int(par.color_range)
		out.ColorSpace = int(par.color_space)
		out.ColorPrimaries = int(par.color_primaries)
		out.ColorTransfer = int(par.color_trc)
	case C.AVMEDIA_TYPE_AUDIO:
		out.Kind = ingest.Audio
		out.SampleRate = int(par.sample_rate)
		out.Channels = int(par.ch_layout.nb_channels)
		out.ChannelMask = uint64(C.layout_mask(&par.ch_layout))
		out.BlockAlign = int(par.block_align)
		out.FrameSize = int(par.frame_size)
		out.InitialPadding = int(par.initial_padding)
		out.TrailingPadding = int(par.trailing_padding)
		out.SeekPreroll = int(par.seek_preroll)
	}
	return out
}

// plausible reports whether a container's duration can be true. Damaged and
// fragmented files state hours for kilobytes: no codec goes below a few hundred
// bits a second, so what would need less than 100 is not believed.
func (s *Source) plausible(d time.Duration) bool {
	return s.size <= 0 || d.Seconds()*100 <= float64(s.size)*8 || d < time.Minute
}

func rational(r C.AVRational) ingest.Timebase {
	if r.den == 0 || r.num == 0 {
		return ingest.Timebase{}
	}
	if r.den < 0 {
		r.num, r.den = -r.num, -r.den
	}
	return ingest.Timebase{Num: int32(r.num), Den: int32(r.den)}
}

// goBytes copies n bytes of C, nil if there are none.
func goBytes(p *C.uint8_t, n int) []byte {
	if p == nil || n <= 0 {
		return nil
	}
	return C.GoBytes(unsafe.Pointer(p), C.int(n))
}

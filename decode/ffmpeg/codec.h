// Accessors for what go-astiav 0.39 does not reach: the fields of a codec
// context that a demuxer fills, a packet made from Go memory, and the parts of a
// frame that place it in time and colour. One call each per packet and per
// frame, so that the hot path crosses into C twice and allocates nothing.
#ifndef SEEHEAR_DECODE_CODEC_H
#define SEEHEAR_DECODE_CODEC_H

#include <libavcodec/avcodec.h>
#include <stdint.h>

typedef struct SHParams {
    uint32_t tag;
    int profile, level, format;
    int64_t bit_rate;
    int bits_per_coded_sample, bits_per_raw_sample;
    int width, height, reorder;
    int rate_num, rate_den, sar_num, sar_den;
    int color_range, color_space, color_primaries, color_transfer;
    int sample_rate, channels;
    uint64_t channel_mask;
    int block_align, frame_size, initial_padding, trailing_padding, seek_preroll;
    int threads, low_delay;
    int64_t max_pixels;
} SHParams;

typedef struct SHFrame {
    int64_t pts, best, duration; // nanoseconds or AV_NOPTS_VALUE
    uint32_t seg;
    int key, damaged;
    // video
    int width, height, format, sar_num, sar_den;
    int color_range, color_space, color_transfer, chroma_location;
    int has_matrix;
    int32_t matrix[4]; // a b c d of the display matrix
    // audio
    int samples, sample_rate, channels, layout_order;
    uint64_t layout_mask;
} SHFrame;

// The decoder for FFmpeg's name of a codec (not of a decoder), or NULL.
const AVCodec *sh_find_decoder(const char *codec);
// Fills c from p before avcodec_open2; extra is copied.
int sh_codec_setup(AVCodecContext *c, const SHParams *p, const uint8_t *extra, int extra_size);
int sh_codec_open(AVCodecContext *c);

// Makes pkt a copy of data. Times are nanoseconds or AV_NOPTS_VALUE.
int sh_packet_set(AVPacket *pkt, const uint8_t *data, int size, int64_t pts, int64_t dts,
                  int64_t duration, int key, int corrupt, int discard, uint32_t seg);
int sh_packet_side(AVPacket *pkt, int type, const uint8_t *data, int size);
// Sends pkt and empties it; NULL begins the drain.
int sh_send(AVCodecContext *c, AVPacket *pkt);
// Receives a frame and describes it.
int sh_receive(AVCodecContext *c, AVFrame *f, SHFrame *info);

#endif

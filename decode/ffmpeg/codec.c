#include "codec.h"

#include <libavutil/display.h>
#include <libavutil/mem.h>
#include <string.h>

const AVCodec *sh_find_decoder(const char *codec) {
    const AVCodecDescriptor *d = avcodec_descriptor_get_by_name(codec);
    return d ? avcodec_find_decoder(d->id) : NULL;
}

int sh_codec_setup(AVCodecContext *c, const SHParams *p, const uint8_t *extra, int extra_size) {
    c->codec_tag = p->tag;
    c->profile = p->profile;
    c->level = p->level;
    c->bit_rate = p->bit_rate;
    c->bits_per_coded_sample = p->bits_per_coded_sample;
    c->bits_per_raw_sample = p->bits_per_raw_sample;
    // Nanoseconds hold a place to far below a sample, so FFmpeg's own skipping
    // of samples keeps the stamps exact.
    c->pkt_timebase = (AVRational){1, 1000000000};
    c->flags |= AV_CODEC_FLAG_COPY_OPAQUE;
    if (c->codec_type == AVMEDIA_TYPE_VIDEO) {
        c->pix_fmt = p->format;
        c->width = p->width;
        c->height = p->height;
        c->has_b_frames = p->reorder;
        c->framerate = (AVRational){p->rate_num, p->rate_den};
        c->sample_aspect_ratio = (AVRational){p->sar_num, p->sar_den};
        c->color_range = p->color_range;
        c->colorspace = p->color_space;
        c->color_primaries = p->color_primaries;
        c->color_trc = p->color_transfer;
        c->max_pixels = p->max_pixels;
        c->thread_count = p->threads;
        c->thread_type = FF_THREAD_SLICE;
        if (p->low_delay)
            c->flags |= AV_CODEC_FLAG_LOW_DELAY;
        else
            c->thread_type |= FF_THREAD_FRAME;
    } else {
        c->sample_fmt = p->format;
        c->sample_rate = p->sample_rate;
        c->block_align = p->block_align;
        c->frame_size = p->frame_size;
        c->delay = c->initial_padding = p->initial_padding;
        c->trailing_padding = p->trailing_padding;
        c->seek_preroll = p->seek_preroll;
        c->thread_count = 1;
        int ret = 0;
        av_channel_layout_uninit(&c->ch_layout);
        if (p->channel_mask)
            ret = av_channel_layout_from_mask(&c->ch_layout, p->channel_mask);
        else if (p->channels > 0) {
            c->ch_layout.order = AV_CHANNEL_ORDER_UNSPEC;
            c->ch_layout.nb_channels = p->channels;
        }
        if (ret < 0)
            return ret;
    }
    if (extra_size > 0) {
        c->extradata = av_mallocz((size_t)extra_size + AV_INPUT_BUFFER_PADDING_SIZE);
        if (!c->extradata)
            return AVERROR(ENOMEM);
        memcpy(c->extradata, extra, extra_size);
        c->extradata_size = extra_size;
    }
    return 0;
}

int sh_codec_open(AVCodecContext *c) { return avcodec_open2(c, c->codec, NULL); }

int sh_packet_set(AVPacket *pkt, const uint8_t *data, int size, int64_t pts, int64_t dts,
                  int64_t duration, int key, int corrupt, int discard, uint32_t seg) {
    int ret = av_new_packet(pkt, size);
    if (ret < 0)
        return ret;
    if (size > 0)
        memcpy(pkt->data, data, size);
    pkt->pts = pts;
    pkt->dts = dts;
    pkt->duration = duration;
    pkt->flags = (key ? AV_PKT_FLAG_KEY : 0) | (corrupt ? AV_PKT_FLAG_CORRUPT : 0) |
                 (discard ? AV_PKT_FLAG_DISCARD : 0);
    pkt->opaque = (void *)(uintptr_t)seg;
    return 0;
}

int sh_packet_side(AVPacket *pkt, int type, const uint8_t *data, int size) {
    uint8_t *d = av_packet_new_side_data(pkt, type, size);
    if (!d)
        return AVERROR(ENOMEM);
    if (size > 0)
        memcpy(d, data, size);
    return 0;
}

int sh_send(AVCodecContext *c, AVPacket *pkt) {
    int ret = avcodec_send_packet(c, pkt);
    if (pkt)
        av_packet_unref(pkt);
    return ret;
}

int sh_receive(AVCodecContext *c, AVFrame *f, SHFrame *info) {
    int ret = avcodec_receive_frame(c, f);
    if (ret < 0)
        return ret;
    info->pts = f->pts;
    info->best = f->best_effort_timestamp;
    info->duration = f->duration;
    info->seg = (uint32_t)(uintptr_t)f->opaque;
    info->key = !!(f->flags & AV_FRAME_FLAG_KEY);
    info->damaged = (f->flags & AV_FRAME_FLAG_CORRUPT) || f->decode_error_flags;
    info->format = f->format;
    if (c->codec_type == AVMEDIA_TYPE_VIDEO) {
        info->width = f->width;
        info->height = f->height;
        info->sar_num = f->sample_aspect_ratio.num;
        info->sar_den = f->sample_aspect_ratio.den;
        info->color_range = f->color_range;
        info->color_space = f->colorspace;
        info->color_transfer = f->color_trc;
        info->chroma_location = f->chroma_location;
        const AVFrameSideData *sd = av_frame_get_side_data(f, AV_FRAME_DATA_DISPLAYMATRIX);
        info->has_matrix = sd && sd->size >= 9 * sizeof(int32_t);
        if (info->has_matrix) {
            const int32_t *m = (const int32_t *)sd->data;
            info->matrix[0] = m[0];
            info->matrix[1] = m[1];
            info->matrix[2] = m[3];
            info->matrix[3] = m[4];
        }
    } else {
        info->samples = f->nb_samples;
        info->sample_rate = f->sample_rate;
        info->channels = f->ch_layout.nb_channels;
        info->layout_order = f->ch_layout.order;
        info->layout_mask = f->ch_layout.order == AV_CHANNEL_ORDER_NATIVE ? f->ch_layout.u.mask : 0;
    }
    return 0;
}
